// The map of the trainer's desk: the station's ground and look, and over it the truth, which no station has.

import { AttributionControl, Map as GroundMap, NavigationControl, ScaleControl, setWorkerUrl }
  from "/static/vendor/maplibre/maplibre-gl.mjs";
import { startBaseMap } from "./basemap.js";
import { collection, feature, lonLat } from "./ground.js";
import { t } from "./language.js";
import { nameControls } from "./map_words.js";
import { emptyStyle } from "./layers.js";
import { graticule } from "./ruler.js";
import { addSymbols, COLOURS as C } from "./symbols.js";

setWorkerUrl("/static/vendor/maplibre/maplibre-gl-worker.mjs");

export const TRUTH = "#c9a2ff";         // of training; the station's own map has nothing in it but the frame
const FONT = ["Noto Sans"];
const MEANT = ["in", ["get", "role"], ["literal", ["crosser", "subject"]]];
const SOURCES = ["shown", "truth", "truth-trails", "ways", "way-points", "way-names", "aims"];
const label = (field, size, colour, layout = {}) => ({
  layout: { "text-field": field, "text-font": FONT, "text-size": size, "text-variable-anchor": ["left", "right", "bottom", "top"],
    "text-radial-offset": 0.9, "text-justify": "auto", ...layout },
  paint: { "text-color": colour, "text-halo-color": C.background, "text-halo-width": 1.6 },
});

const LAYERS = [
  // In a ring of its own: who sees no blue tells its colour from that of the truth by night no more.
  { id: "shown-rings", type: "circle", source: "shown", paint: { "circle-radius": 9, "circle-opacity": 0, "circle-stroke-color": C.trail, "circle-stroke-width": 1.6 } },
  { id: "shown", type: "circle", source: "shown", paint: { "circle-radius": 5, "circle-color": C.trail, "circle-stroke-color": C.background, "circle-stroke-width": 1.8 } },
  { id: "ways", type: "line", source: "ways", layout: { "line-join": "round", "line-cap": "round" },
    paint: { "line-color": ["case", ["get", "chosen"], "#ffffff", MEANT, TRUTH, "#8f86a8"], "line-width": ["case", ["get", "chosen"], 3.2, 2],
      "line-opacity": ["case", ["get", "chosen"], 1, 0.75] } },
  { id: "truth-trails", type: "line", source: "truth-trails", layout: { "line-join": "round", "line-cap": "round" },
    paint: { "line-color": TRUTH, "line-width": 2, "line-opacity": ["case", MEANT, 0.8, 0.35] } },
  { id: "aims", type: "line", source: "aims", paint: { "line-color": "#ffffff", "line-width": 1.6, "line-dasharray": [2, 2] } },
  { id: "way-points", type: "circle", source: "way-points", paint: { "circle-radius": ["case", ["get", "first"], 6, 4.2],
    "circle-color": ["case", ["get", "first"], TRUTH, C.background], "circle-stroke-color": ["case", ["get", "chosen"], "#ffffff", TRUTH], "circle-stroke-width": 1.8 } },
  { id: "truth", type: "circle", source: "truth", paint: { "circle-radius": ["case", MEANT, 7, 5],
    "circle-color": ["case", MEANT, TRUTH, C.background], "circle-stroke-color": ["case", MEANT, "#ffffff", TRUTH], "circle-stroke-width": 1.6 } },
  { id: "way-names", type: "symbol", source: "way-names", ...label(["get", "label"], 11.5, ["case", ["get", "chosen"], "#ffffff", "#d9c2ff"], { "text-allow-overlap": false }) },
  { id: "truth-names", type: "symbol", source: "truth", filter: ["!=", ["get", "label"], ""], ...label(["get", "label"], 12, "#e3d0ff") },
];

/** Resolves with {map, put}. put(source, features) hands data over, but only what is new. Rejects where there is no WebGL. */
export function openGround(container, ground) {
  const map = new GroundMap({
    container, style: emptyStyle(), bounds: bounds(ground), fitBoundsOptions: { padding: { top: 56, left: 56, right: 64, bottom: 120 } }, attributionControl: false, maxPitch: 0,
    dragRotate: false, pitchWithRotate: false, touchPitch: false, fadeDuration: 0, minZoom: 9, maxZoom: 20, keyboard: true,
    validateStyle: false, localIdeographFontFamily: false,
  });
  map.touchZoomRotate.disableRotation();
  map.addControl(new NavigationControl({ showCompass: false }), "bottom-right");
  map.addControl(new ScaleControl({ maxWidth: 140, unit: "metric" }), "bottom-left");
  map.addControl(new AttributionControl({ compact: false }), "bottom-right");
  nameControls(map);
  const drawn = new Map();
  const put = (source, data) => {
    const text = JSON.stringify(data);
    if (drawn.get(source) === text) return;
    drawn.set(source, text);
    map.getSource(source)?.setData(Array.isArray(data) ? collection(data) : data);
  };
  return new Promise((resolve, reject) => {
    map.once("load", () => {
      addSymbols(map);
      for (const source of SOURCES) map.addSource(source, { type: "geojson", data: collection([]) });
      for (const layer of LAYERS) map.addLayer(layer);
      drawGround(put, ground.geography);
      drawEyes(put, ground.eyes);
      startBaseMap(map, () => {});
      container.dataset.map = "ready";
      resolve({ map, put });
    });
    map.once("error", (event) => reject(event.error));
  });
}

function bounds(ground) {
  const points = ground.geography.centre_lines.features.flatMap((f) => f.geometry.coordinates);
  for (const eye of ground.eyes) points.push(lonLat(eye.position), ...eye.footprint.map(lonLat));
  if (!points.length) return ground.geography.box;
  const lon = points.map((p) => p[0]), lat = points.map((p) => p[1]);
  return [Math.min(...lon), Math.min(...lat), Math.max(...lon), Math.max(...lat)];
}

function drawGround(put, g) {
  put("own-side", g.own_side);
  put("other-side", g.other_side);
  put("graticule", graticule(g.box));
  put("strips", g.strips);
  put("centre-lines", g.centre_lines);
  put("border", g.border);
  put("keep-outs", { ...g.keep_outs, features: g.keep_outs.features.map((f) => ({ ...f, properties: { ...f.properties, label: t("map.keep_out", { name: f.properties.name }) } })) });
  put("side-names", [feature("Point", g.own_label, { name: t("map.own_side") }), feature("Point", g.other_label, { name: t("map.other_side") })]);
}

export function drawEyes(put, eyes) {
  put("footprints", eyes.filter((e) => e.footprint.length > 2).map((e) => feature("Polygon", [[...e.footprint, e.footprint[0]].map(lonLat)], { state: "seeing", id: e.id })));
  put("sensors", eyes.map((e) => feature("Point", lonLat(e.position), { id: e.id, state: "seeing", label: e.id })));
}

/** What the trainees see: their contacts as dots, as their map has them. */
export function drawContacts(put, contacts) {
  put("shown", contacts.map(([id, lat, lon]) => feature("Point", [lon, lat], { id })));
}

/** actors: {name, role, lat_deg, lon_deg}. Of a party one name is enough. */
export function drawTruth(put, actors) {
  const named = new Set();
  put("truth", actors.map((a) => {
    const first = !named.has(a.name);
    named.add(a.name);
    return feature("Point", [a.lon_deg, a.lat_deg], { role: a.role, label: first ? a.name : "" });
  }));
}
