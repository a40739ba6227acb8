// Small geometry: metres to degrees near a point, error ellipses, distances. WGS 84; good to a millimetre over 1 km here.

const A = 6378137.0, E2 = 6.69437999014e-3;
const CHI2_90 = 4.605170185988092;      // chi-squared, two degrees of freedom, 90 %

/** Point [lat, lon] moved by metres east and north, as [lon, lat]. */
export function moved([lat, lon], east, north) {
  const s = Math.sin(lat * Math.PI / 180), w = Math.sqrt(1 - E2 * s * s);
  const meridian = A * (1 - E2) / w ** 3, parallel = A / w * Math.cos(lat * Math.PI / 180);
  return [lon + east / parallel * 180 / Math.PI, lat + north / meridian * 180 / Math.PI];
}

const sizes = new WeakMap();

/** {wide, high} of a MapLibre map on the screen, pixels; kept, because asking the page has all of it laid out in the middle of a frame. */
export function sizeOf(map) {
  if (!sizes.has(map)) {
    const measure = () => { const canvas = map.getCanvas(); sizes.set(map, { wide: canvas.clientWidth, high: canvas.clientHeight }); };
    map.on("resize", measure);
    measure();
  }
  return sizes.get(map);
}

/** Semi-axes in metres of the 90 % ellipse of [ee, en, nn] (square metres), and the major axis' angle from east. */
export function axes([ee, en, nn]) {
  const middle = (ee + nn) / 2, half = Math.hypot((ee - nn) / 2, en);
  return { major: Math.sqrt(Math.max(middle + half, 0) * CHI2_90), minor: Math.sqrt(Math.max(middle - half, 0) * CHI2_90),
    angle: Math.atan2(2 * en, ee - nn) / 2 };
}

/** Closed ring of the 90 % ellipse around a position. */
export function ellipse(position, covariance, sides = 40) {
  const { major, minor, angle } = axes(covariance);
  const ring = [];
  for (let i = 0; i <= sides; i += 1) {
    const u = major * Math.cos(2 * Math.PI * i / sides), v = minor * Math.sin(2 * Math.PI * i / sides);
    ring.push(moved(position, u * Math.cos(angle) - v * Math.sin(angle), u * Math.sin(angle) + v * Math.cos(angle)));
  }
  return ring;
}

/** The piece of a path (longitudes and latitudes) between two distances along it, metres. */
export function cut(path, fromM, toM) {
  const piece = [];
  let done = 0;
  for (let i = 1; i < path.length && done < toM; i += 1) {
    const [a, b] = [path[i - 1], path[i]];
    const length = distance(a, b);
    const at = (d) => { const f = length ? Math.min(Math.max((d - done) / length, 0), 1) : 0; return [a[0] + (b[0] - a[0]) * f, a[1] + (b[1] - a[1]) * f]; };
    if (done + length > fromM) {
      if (!piece.length) piece.push(at(fromM));
      piece.push(at(toM));
    }
    done += length;
  }
  return piece;
}

function distance([lonA, latA], [lonB, latB]) {
  const s = Math.sin((latA + latB) / 2 * Math.PI / 180), w = Math.sqrt(1 - E2 * s * s);
  const north = (latB - latA) * A * (1 - E2) / w ** 3, east = (lonB - lonA) * A / w * Math.sqrt(1 - s * s);
  return Math.hypot(east, north) * Math.PI / 180;
}

/** Between two places, [lat, lon, ...]. */
export function metresBetween(a, b) { return distance([a[1], a[0]], [b[1], b[0]]); }

/** From one place to another, degrees clockwise from true north. */
export function bearingOf(from, to) {
  const east = metresBetween(from, [from[0], to[1]]) * Math.sign(to[1] - from[1]), north = metresBetween(from, [to[0], from[1]]) * Math.sign(to[0] - from[0]);
  return (Math.atan2(east, north) * 180 / Math.PI + 360) % 360;
}

export const lonLat = (p) => [p[1], p[0]];

export function feature(type, coordinates, properties = {}) {
  return { type: "Feature", properties, geometry: { type, coordinates } };
}

export function collection(features) { return { type: "FeatureCollection", features }; }
