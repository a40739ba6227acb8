// The base map below everything: cover, water, contours, roads, trails, places, and relief. Files of the station's own; none
// of it is needed, so whatever goes wrong here leaves the map as it is without.

import { ask } from "./api.js";
import { COLOURS as C } from "./symbols.js";
import { state } from "./state.js";

const BELOW = "other-side-hatch";       // the layer over the base map
const RELIEF_PX = 512;                  // that a tile's 256 pixels cover: relief is soft, and was two thirds of what a first look fetched
const LOOK_EVERY_MS = 60_000;           // for a map that was exchanged
const KEPT = "trailwatch.layers";
const METRES = ["concat", ["to-string", ["get", "height_m"]], " m"];

export const PARTS = ["relief", "cover", "contour", "way"];     // what one may switch off

let map = null;
let shown = {};                         // kind to version
let told = () => {};
const off = new Set(remembered());

function remembered() {
  try { return JSON.parse(localStorage.getItem(KEPT)) ?? []; } catch { return []; }
}

function text(field, size, colour, layout = {}) {
  return { layout: { "text-field": field, "text-font": ["Noto Sans"], "text-size": size, ...layout },
    paint: { "text-color": colour, "text-halo-color": C.background, "text-halo-width": 1.4 } };
}

function vector(id, part, type, layer, rest) {
  return { part, spec: { id: `base-${id}`, type, source: "base-vector", "source-layer": layer, ...rest } };
}

const by = (kind, value, other) => ["case", ["==", ["get", "kind"], kind], value, other];

const LAYERS = {
  vector: [
    vector("cover", "cover", "fill", "cover", { paint: { "fill-antialias": false,
      "fill-color": ["match", ["get", "kind"], "forest", "#1b3a2a", "field", "#4a4522", "grass", "#2c3a26", "settled", "#3d3944", "#20262c"],
      "fill-opacity": ["match", ["get", "kind"], "forest", 0.42, "field", 0.4, 0.3] } }),
    vector("water", null, "fill", "water", { filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": "#143a52", "fill-outline-color": "#2b617f" } }),
    vector("stream", null, "line", "water", { filter: ["==", ["geometry-type"], "LineString"], paint: { "line-color": "#1f4e6b", "line-width": ["interpolate", ["linear"], ["zoom"], 11, 0.8, 16, 3] } }),
    vector("contour", "contour", "line", "contour", { paint: { "line-color": "#c2a878", "line-width": ["case", ["get", "main"], 1, 0.7], "line-opacity": ["case", ["get", "main"], 0.3, 0.14] } }),
    vector("road-casing", "way", "line", "road", { layout: { "line-cap": "round", "line-join": "round" },
      paint: { "line-color": C.background, "line-opacity": 0.7, "line-width": ["interpolate", ["linear"], ["zoom"], 11, by("main", 2.4, 1.4), 16, by("main", 8, 4.6)] } }),
    vector("road", "way", "line", "road", { layout: { "line-cap": "round", "line-join": "round" },
      paint: { "line-color": by("main", "#8c8779", "#6d685c"), "line-width": ["interpolate", ["linear"], ["zoom"], 11, by("main", 1.2, 0.7), 16, by("main", 5, 2.6)] } }),
    vector("trail", "way", "line", "trail", { paint: { "line-color": "#a39a83", "line-opacity": 0.75, "line-width": 1.1, "line-dasharray": [3, 2] } }),
    vector("contour-names", "contour", "symbol", "contour", { minzoom: 13.5, filter: ["get", "main"],
      ...text(METRES, 10, "#a08f6e", { "symbol-placement": "line", "symbol-spacing": 380, "text-max-angle": 25 }) }),
    vector("road-names", "way", "symbol", "road", { filter: ["has", "name"], ...text(["get", "name"], 11, "#a9a392", { "symbol-placement": "line" }) }),
    vector("water-names", null, "symbol", "water", { filter: ["has", "name"], ...text(["get", "name"], 11, "#7fb0cc", { "symbol-placement": "line" }) }),
    vector("places", null, "symbol", "place", { filter: ["has", "name"], ...text(["get", "name"], 13, C.text) }),
  ],
  hillshade: [{ part: "relief", spec: { id: "base-relief", type: "raster", source: "base-hillshade",
    paint: { "raster-opacity": 0.5, "raster-fade-duration": 0, "raster-resampling": "linear" } } }],
};

/** Draw it, and again whenever the station has another one. `retold` is called when what must be said of it has changed. */
export async function startBaseMap(openedMap, retold) {
  if (map !== openedMap) { shown = {}; own = []; }        // another map on the same page has nothing of it yet
  map = openedMap;
  told = retold;
  await look();
  setInterval(look, LOOK_EVERY_MS);
}

async function look() {
  let sheets, layers;
  try { [sheets, layers] = await Promise.all([ask("/api/basemap"), ask("/api/layers")]); } catch { return; }
  state.basemap = sheets;
  let changed = false;
  for (const kind of ["vector", "hillshade"]) changed = put(kind, sheets[kind]) || changed;
  changed = putOwn(layers) || changed;
  if (changed) told();
}

// ------------------------------------------------------------------------------------------ the agency's own layers

let own = [];                           // as the station has them, in the order in which they were taken

const OWN = (id, source) => [
  { id: `own-${id}-area`, type: "fill", source, "source-layer": "cover", paint: { "fill-color": "#8fb8ff", "fill-opacity": 0.1 } },
  { id: `own-${id}-edge`, type: "line", source, "source-layer": "cover", paint: { "line-color": "#8fb8ff", "line-opacity": 0.7, "line-width": 1.2, "line-dasharray": [4, 2] } },
  { id: `own-${id}-line`, type: "line", source, "source-layer": "road", paint: { "line-color": "#8fb8ff", "line-opacity": 0.85, "line-width": 1.6 } },
  { id: `own-${id}-point`, type: "circle", source, "source-layer": "place", paint: { "circle-radius": 3.6, "circle-color": C.background, "circle-stroke-color": "#8fb8ff", "circle-stroke-width": 1.6 } },
  { id: `own-${id}-name`, type: "symbol", source, "source-layer": "place", filter: ["has", "name"], ...text(["get", "name"], 11.5, "#b9d2ff", { "text-anchor": "left", "text-offset": [0.7, 0] }) },
];

export function ownLayers() { return own; }

function putOwn(layers) {
  const usable = layers.filter((it) => it.sheet), key = (list) => JSON.stringify(list.map((it) => [it.id, it.sheet.version]));
  if (key(usable) === key(own)) return false;
  for (const { id } of own) {
    for (const layer of map.getStyle().layers.filter((it) => it.source === `own-${id}`)) map.removeLayer(layer.id);
    if (map.getSource(`own-${id}`)) map.removeSource(`own-${id}`);
  }
  own = usable;
  for (const { id, kind, sheet, attribution } of own) {
    const source = `own-${id}`, isVector = kind === "vector";
    map.addSource(source, { type: isVector ? "vector" : "raster", tiles: [`${location.origin}/api/layers/${id}/${kind}/${sheet.version}/{z}/{x}/{y}`], minzoom: sheet.least_zoom,
      maxzoom: sheet.most_zoom, bounds: sheet.box, attribution: escaped(attribution), ...(isVector ? {} : { tileSize: RELIEF_PX }) });
    for (const spec of isVector ? OWN(id, source) : [{ id: `own-${id}-relief`, type: "raster", source, paint: { "raster-opacity": 0.5, "raster-fade-duration": 0 } }]) {
      map.addLayer(visible(spec, source), spec.type === "symbol" ? "side-names" : BELOW);
    }
  }
  return true;
}

function put(kind, sheet) {
  if (shown[kind] === sheet?.version) return false;
  const source = `base-${kind}`;
  for (const { spec } of LAYERS[kind]) if (map.getLayer(spec.id)) map.removeLayer(spec.id);
  if (map.getSource(source)) map.removeSource(source);
  shown = { ...shown, [kind]: sheet?.version };
  if (!sheet) return true;
  map.addSource(source, { type: kind === "vector" ? "vector" : "raster", tiles: [`${location.origin}/api/basemap/${kind}/${sheet.version}/{z}/{x}/{y}`],
    minzoom: sheet.least_zoom, maxzoom: sheet.most_zoom, bounds: sheet.box, attribution: escaped(sheet.attribution), ...(kind === "vector" ? {} : { tileSize: RELIEF_PX }) });
  for (const { part, spec } of LAYERS[kind]) map.addLayer(visible(spec, part), under(kind, spec));
  return true;
}

/** Relief lies on the cover and under the water, whichever file came first. */
function under(kind, spec) {
  if (kind === "hillshade") return map.getLayer("base-water") ? "base-water" : BELOW;
  if (spec.id === "base-cover" && map.getLayer("base-relief")) return "base-relief";
  return spec.type === "symbol" ? "side-names" : BELOW;
}

function visible(spec, part) {
  return { ...spec, layout: { ...spec.layout, visibility: part && off.has(part) ? "none" : "visible" } };
}

export function isOn(part) { return !off.has(part); }

export function has(part) { return Boolean(shown[part === "relief" ? "hillshade" : "vector"]); }

export function toggle(part) {
  if (off.has(part)) off.delete(part); else off.add(part);
  try { localStorage.setItem(KEPT, JSON.stringify([...off])); } catch { /* it is then forgotten with the page */ }
  for (const layer of map?.getStyle().layers ?? []) if (layer.source === part) map.setLayoutProperty(layer.id, "visibility", off.has(part) ? "none" : "visible");
  for (const { part: of, spec } of [...LAYERS.vector, ...LAYERS.hillshade]) {
    if (of === part && map?.getLayer(spec.id)) map.setLayoutProperty(spec.id, "visibility", off.has(part) ? "none" : "visible");
  }
}

/** MapLibre shows an attribution as HTML; a file's words are text. */
function escaped(words) { return words.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`); }
