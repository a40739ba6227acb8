// Lines of latitude and longitude over the sector, and their values along the map's edges: the only relief that a flat,
// invented terrain is owed.

import { make } from "./dom.js";
import { collection, feature, sizeOf } from "./ground.js";

const STEP = 0.001, MAJOR = 5;      // degrees: a thin line each 0.001, a stronger one each 0.005
const STEPS = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1];
const LEAST_PX = 110;
const SCALE_PX = 56;

function ticks(from, to, step) {
  const values = [];
  for (let i = Math.ceil(from / step - 1e-6); i * step <= to + 1e-9; i += 1) values.push(i);
  return values;
}

export function graticule([west, south, east, north]) {
  const line = (i, coordinates) => feature("LineString", coordinates, { major: i % MAJOR === 0 });
  return collection([
    ...ticks(south, north, STEP).map((i) => line(i, [[west, i * STEP], [east, i * STEP]])),
    ...ticks(west, east, STEP).map((i) => line(i, [[i * STEP, south], [i * STEP, north]])),
  ]);
}

export function startRuler(map, element) {
  const draw = () => {
    const bounds = map.getBounds(), { wide, high } = sizeOf(map);
    const perDegree = wide / (bounds.getEast() - bounds.getWest());
    const step = STEPS.find((s) => s * perDegree >= LEAST_PX) ?? STEPS.at(-1);
    const digits = step < 0.01 ? 3 : 2;
    const label = (kind, value, letters, at) => {
      const mark = make("span", { class: kind }, `${Math.abs(value).toFixed(digits)}° ${value < 0 ? letters[1] : letters[0]}`);
      mark.style.setProperty(kind === "lat" ? "top" : "left", `${Math.round(at)}px`);
      return mark;
    };
    const free = high - SCALE_PX;        // below it the scale bar stands
    element.replaceChildren(
      ...ticks(bounds.getSouth(), bounds.getNorth(), step).map((i) => [i, map.project([bounds.getWest(), i * step]).y])
        .filter(([, y]) => y < free).map(([i, y]) => label("lat", i * step, "NS", y)),
      ...ticks(bounds.getWest(), bounds.getEast(), step).map((i) => label("lon", i * step, "EW", map.project([i * step, bounds.getNorth()]).x)),
    );
  };
  map.on("move", draw);
  map.on("resize", draw);
  draw();
}
