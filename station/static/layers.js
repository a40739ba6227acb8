// The map's style: what lies over what, and how it looks. Local fonts draw the labels; nothing is fetched.

import { COLOURS as C } from "./symbols.js";

const FONT = ["Noto Sans"];
const byRank = ["match", ["get", "rank"], 1, C.p1, 2, C.p2, 3, C.p3, C.trail];
const empty = { type: "FeatureCollection", features: [] };

const LIVE_SOURCES = ["plans", "plan-points", "corridor-alarms", "found", "measured", "coverage"];
const WATCHERS = ["sensors", "footprints"];
const GROUND_SOURCES = ["outside", "own-side", "other-side", "graticule", "strips", "centre-lines", "keep-outs", "border",
  "side-names", "box"];

function text(field, size, colour, extra = {}) {
  return {
    layout: { "text-field": field, "text-font": FONT, "text-size": size, "text-letter-spacing": 0.01, ...extra },
    paint: { "text-color": colour, "text-halo-color": C.background, "text-halo-width": 1.6 },
  };
}

function line(id, source, paint, extra = {}) {
  return { id, type: "line", source, layout: { "line-join": "round", "line-cap": "round" }, paint, ...extra };
}

const ground = [
  { id: "background", type: "background", paint: { "background-color": "#070a0e" } },
  { id: "own-side", type: "fill", source: "own-side", paint: { "fill-color": "#151e27", "fill-antialias": false } },
  { id: "other-side", type: "fill", source: "other-side", paint: { "fill-color": "#0b0f14", "fill-antialias": false } },
  { id: "other-side-hatch", type: "fill", source: "other-side", paint: { "fill-pattern": "hatch-other", "fill-antialias": false } },
  line("graticule", "graticule", { "line-color": "#8fa3b5", "line-opacity": ["case", ["get", "major"], 0.17, 0.07], "line-width": 1 }),
  { id: "side-names", type: "symbol", source: "side-names",
    ...text(["get", "name"], 13, "#77879a", { "text-letter-spacing": 0.32, "text-transform": "uppercase" }) },
  line("box", "box", { "line-color": "#8fa3b5", "line-opacity": 0.35, "line-width": 1 }),
  { id: "strips", type: "fill", source: "strips", paint: { "fill-color": C.trail, "fill-opacity": 0.1, "fill-antialias": false } },
  line("strip-edges", "strips", { "line-color": C.trail, "line-opacity": 0.34, "line-width": 1 }),
  line("centre-lines", "centre-lines", { "line-color": C.trail, "line-opacity": 0.6, "line-width": 1.2, "line-dasharray": [1, 3] }),
  { id: "keep-outs", type: "fill", source: "keep-outs", paint: { "fill-pattern": "hatch-keep-out", "fill-antialias": false } },
  line("keep-out-edges", "keep-outs", { "line-color": C.grey, "line-opacity": 0.7, "line-width": 1.2 }),
  line("border-casing", "border", { "line-color": C.background, "line-width": 6, "line-opacity": 0.7 }),
  line("border", "border", { "line-color": C.border, "line-width": 2.2, "line-dasharray": [3.2, 2.2] },
    { layout: { "line-join": "round", "line-cap": "butt" } }),
];

// Seen now: solid, the wider the better the class. Not seen: dashed, the older the shorter; as coverage.css has them.
const GRADES = [[1, "#5f8f84", 3], [2, "#6fb3a0", 6], [3, "#8fd8c0", 8], [4, "#b9efdd", 10], [5, "#eafff7", 12]];
const AGES = [[1, "#8093a8", 3, [4.3, 0.7]], [2, "#8f8fc4", 4, [2.3, 0.8]], [3, "#a886d6", 5, [1.4, 0.8]], [4, "#c47ade", 5, [1, 0.8]],
  [5, "#de6edb", 5, [0.8, 1]], [6, "#f268cf", 5, [0.6, 1.2]]];
const flat = { layout: { "line-join": "round", "line-cap": "butt" } };

const coverage = [
  { id: "corridor-alarms", type: "fill", source: "corridor-alarms", paint: { "fill-color": byRank, "fill-opacity": 0.05, "fill-antialias": false } },
  line("corridor-alarm-edges", "corridor-alarms", { "line-color": byRank, "line-opacity": 0.6, "line-width": 1.3 }),
  line("coverage-casing", "coverage", { "line-color": C.background, "line-width": ["case", [">", ["get", "grade"], 0], ["+", 6, ["*", 2, ["get", "grade"]]], 9], "line-opacity": 0.85 }, flat),
  ...GRADES.map(([grade, colour, width]) => line(`coverage-grade-${grade}`, "coverage", { "line-color": colour, "line-width": width },
    { ...flat, filter: ["==", ["get", "grade"], grade] })),
  ...AGES.map(([age, colour, width, dash]) => line(`coverage-age-${age}`, "coverage", { "line-color": colour, "line-width": width, "line-dasharray": dash },
    { ...flat, filter: ["==", ["get", "age"], age] })),
  line("coverage-age-7", "coverage", { "line-color": "#f3f6f9", "line-width": 4, "line-dasharray": [0.01, 2.5] },
    { layout: { "line-join": "round", "line-cap": "round" }, filter: ["==", ["get", "age"], 7] }),
];

// Of maps on which nothing moves; the station's own has them as marks.
const watchers = [
  { id: "footprints", type: "fill", source: "footprints", paint: { "fill-color": C.ours, "fill-opacity": 0.13 } },
  line("footprint-edges", "footprints", { "line-color": C.ours, "line-opacity": 0.5, "line-width": 1 }),
  { id: "sensors", type: "symbol", source: "sensors",
    layout: { "icon-image": ["concat", "camera-", ["get", "state"]], "icon-allow-overlap": true } },
];

const plans = [
  line("plans", "plans", { "line-color": C.ours, "line-opacity": 0.6, "line-width": 1.4, "line-dasharray": [1.5, 3] },
    { layout: { "line-join": "round" } }),
  { id: "plan-points", type: "circle", source: "plan-points", filter: ["!", ["get", "home"]],
    paint: { "circle-radius": 2.6, "circle-color": C.background, "circle-stroke-color": C.ours, "circle-stroke-width": 1.3 } },
  { id: "home", type: "symbol", source: "plan-points", filter: ["get", "home"],
    layout: { "icon-image": "home", "icon-allow-overlap": true } },
  line("measured", "measured", { "line-color": C.bright, "line-width": 2, "line-dasharray": [2, 1.5] }, { filter: ["==", ["geometry-type"], "LineString"] }),
  { id: "measured-points", type: "circle", source: "measured", filter: ["==", ["geometry-type"], "Point"],
    paint: { "circle-radius": 4, "circle-color": C.background, "circle-stroke-color": C.bright, "circle-stroke-width": 2 } },
  { id: "found", type: "circle", source: "found",
    paint: { "circle-radius": 14, "circle-opacity": 0, "circle-stroke-color": C.ours, "circle-stroke-width": 2.4 } },
];

const labels = [
  { id: "coverage-labels", type: "symbol", source: "coverage", filter: ["!=", ["get", "label"], ""],
    ...text(["get", "label"], 11, ["case", [">", ["get", "grade"], 0], "#b9efdd", "#e3c3ee"], { "symbol-placement": "line-center",
      "text-offset": [0, 1.35], "text-max-angle": 40 }) },
  { id: "keep-out-names", type: "symbol", source: "keep-outs", ...text(["get", "label"], 12, "#aab6c1") },
  { id: "corridor-names", type: "symbol", source: "centre-lines",
    ...text(["get", "name"], 12.5, "#c9d3dc", { "symbol-placement": "line", "symbol-spacing": 240, "text-offset": [0, -1.5],
      "text-max-angle": 40 }) },
  { id: "sensor-names", type: "symbol", source: "sensors",
    ...text(["get", "label"], 11, "#aebbc6", { "text-variable-anchor": ["top", "bottom", "left", "right"], "text-radial-offset": 1.1,
      "text-justify": "auto", "text-padding": 3, "text-max-width": 20 }) },
  { id: "measured-names", type: "symbol", source: "measured", filter: ["all", ["==", ["geometry-type"], "Point"], ["!=", ["get", "label"], ""]],
    ...text(["get", "label"], 13, C.bright, { "text-anchor": "left", "text-offset": [0.8, 0], "text-allow-overlap": true }) },
];

// A map cuts what it draws to its tiles with a stencil, over the whole screen, each time the source changes from one layer to the
// next: 16 sources of lines and areas were 16 such passes a frame. They are parts of two.
export const GROUP_OF = Object.fromEntries([...GROUND_SOURCES.map((name) => [name, "ground"]),
  ...["corridor-alarms", "coverage", "plans", "measured"].map((name) => [name, "live"])]);

function grouped(layer) {
  const group = GROUP_OF[layer.source];
  if (!group) return layer;
  const isPart = ["==", ["get", "part"], layer.source];
  return { ...layer, source: group, filter: layer.filter ? ["all", isPart, layer.filter] : isPart };
}

function style(names, layers) {
  return { version: 8, sources: Object.fromEntries(names.map((name) => [name, { type: "geojson", data: empty }])), layers, transition: { duration: 150, delay: 0 } };
}

const LAYERS = [...ground, ...coverage, ...watchers, ...plans, ...labels], SOURCES = [...GROUND_SOURCES, ...LIVE_SOURCES];

/** A source for each name, and for the cameras. */
export function emptyStyle() { return style([...SOURCES, ...WATCHERS], LAYERS); }

/** The same with the parts of GROUP_OF as parts of its sources, and the cameras left to the marks. */
export function groupedStyle() {
  return style([...new Set(SOURCES.map((name) => GROUP_OF[name] ?? name))], LAYERS.filter((it) => !WATCHERS.includes(it.source)).map(grouped));
}
