// The map itself: its camera, its clicks, the ground that never changes. What lives on it is in contacts.js.

import { AttributionControl, Map as GroundMap, NavigationControl, ScaleControl, setWorkerUrl }
  from "/static/vendor/maplibre/maplibre-gl.mjs";
import { startBaseMap } from "./basemap.js";
import { collection, feature, moved, sizeOf } from "./ground.js";
import { onLanguage, t } from "./language.js";
import { nameControls } from "./map_words.js";
import { graticule, startRuler } from "./ruler.js";
import { GROUP_OF, groupedStyle } from "./layers.js";
import { drawMarks, groundFeatures } from "./contacts.js";
import { Marks } from "./marks.js";
import { isSoftware, Sheet } from "./sheet.js";
import { coverageFeatures, coverageWidth } from "./coverage.js";
import { drawerWidth } from "./drawer.js";
import { fetchMil } from "./mil.js";
import { afterPress, inPieces } from "./presses.js";
import { on, raisedAt, select, selectedContact, state, tell } from "./state.js";
import { addSigns, addSymbols } from "./symbols.js";
import { make } from "./dom.js";

setWorkerUrl("/static/vendor/maplibre/maplibre-gl-worker.mjs");

let map = null;
let marks = null;
let isGroundThere = false;      // its style is loaded, so that it can be given something to draw
let wholeSector = true;         // what is shown is the working area, so a page that changes its size shows it again

const AFTER_MAP_MS = 1000;      // then what a first look does not need is fetched
const CLOSE_ZOOM = 17.4;        // about 900 m across: the place, and still the trail it is on
const NEAREST_ZOOM = 19.2;

/** Resolves when the ground is drawn. Rejects where the browser has no WebGL. */
export function openMap(container) {
  const g = state.geography;
  map = new GroundMap({
    container, style: groupedStyle(), bounds: workingBounds(), fitBoundsOptions: { padding: padding() }, attributionControl: false,
    maxPitch: 0, dragRotate: false, pitchWithRotate: false, touchPitch: false, fadeDuration: 0, minZoom: 9, maxZoom: 20,
    maxBounds: grown(g.box, 0.6), keyboard: true, validateStyle: false, localIdeographFontFamily: false,
  });
  sizeOf(map);        // the first to hear of a new size
  const isDear = isSoftware(map.painter.context.gl);
  if (isDear) new Sheet(map);
  map.touchZoomRotate.disableRotation();
  map.addControl(new NavigationControl({ showCompass: false }), "bottom-right");
  map.addControl(new ScaleControl({ maxWidth: 140, unit: "metric" }), "bottom-left");
  map.addControl(new AttributionControl({ compact: false }), "bottom-right");
  nameControls(map);
  map.on("click", clicked);
  map.on("mousemove", hovered);
  map.on("movestart", (event) => { if (event.originalEvent) wholeSector = false; });
  map.on("resize", () => { if (wholeSector) map.fitBounds(workingBounds(), { padding: padding(), duration: 0 }); });
  // Who is on the ground is shown at once; the ground itself comes when it is there.
  marks = new Marks(map, [g.box[1], g.box[0]], isDear, (turn) => tell("drawn", turn));
  addSigns(marks);
  map.on("moveend", soon);
  onLanguage(drawNow);
  on("picture", (news) => { if (news?.isUrgent) drawNow(); else soon(); });
  for (const topic of ["selection", "candidate"]) on(topic, () => afterPress(() => { drawNow(); follow(); }));
  on("selection", () => { if (state.selection && isGroundThere) put("found", collection([])); });      // what was looked for is found, or given up
  on("layout", () => { if (wholeSector) showSector(); });
  setInterval(soon, 1000);
  startRuler(map, document.getElementById("ruler"));
  drawNow();
  let isFitted = state.sensors.size > 0;
  on("picture", () => {
    if (isFitted || !state.sensors.size) return;
    isFitted = true;        // the cameras have come after the ground
    if (wholeSector) map.fitBounds(workingBounds(), { padding: padding(), duration: 0 });
  });
  return new Promise((resolve, reject) => {
    map.once("load", () => {
      addSymbols(map);
      isGroundThere = true;
      drawGround();
      onLanguage(drawGround);
      startBaseMap(map, () => { drawNotes(); tell("basemap"); });
      drawNow();
      document.body.dataset.map = "ready";
      setTimeout(() => fetchMil().then((is) => { if (is) drawNow(); }), AFTER_MAP_MS);
      resolve(map);
    });
    map.once("error", (event) => reject(event.error));
  });
}

/** Where people work: the corridors, the cameras, and the border where a corridor meets it. */
function workingBounds() {
  const points = state.geography.centre_lines.features.flatMap((f) => f.geometry.coordinates);
  for (const sensor of state.sensors.values()) points.push([sensor.position[1], sensor.position[0]], ...sensor.footprint.map((p) => [p[1], p[0]]));
  if (!points.length) return state.geography.box;
  const lon = points.map((p) => p[0]), lat = points.map((p) => p[1]);
  return [Math.min(...lon), Math.min(...lat), Math.max(...lon), Math.max(...lat)];
}

function grown([west, south, east, north], part) {
  const w = (east - west) * part, h = (north - south) * part;
  return [west - w, south - h, east + w, north + h];
}

export function showSector() {
  if (!map) return;
  wholeSector = true;
  map.fitBounds(workingBounds(), { padding: padding(), duration: 300 });
}

function padding() { return { top: topPadding(), bottom: 72, left: leftPadding(), right: 84 + covered().right }; }

/** How much of the map lies under the drawer: at its right, or below on a phone. */
function covered() {
  if (!drawerWidth()) return { right: 0, below: 0 };
  const whole = document.getElementById("map").getBoundingClientRect(), drawer = document.getElementById("drawer").getBoundingClientRect();
  return drawer.left > whole.left + 1 ? { right: drawerWidth(), below: 0 } : { right: 0, below: Math.max(0, whole.bottom - drawer.top) };
}

const OVER_MAP = "#search, #legend, #coverage, #strip > *";
const CLEAR_PX = 30;            // so far from a panel's edge a chosen contact is seen with its symbol

/** The panels that lie over the map at its upper edge and at its left, in the map's pixels. */
function panels() {
  const whole = document.getElementById("map").getBoundingClientRect();
  return [...document.querySelectorAll(OVER_MAP)].map((it) => it.getBoundingClientRect()).filter((it) => it.width && it.height)
    .map((it) => ({ left: it.left - whole.left, right: it.right - whole.left, top: it.top - whole.top, bottom: it.bottom - whole.top }));
}

const isUnder = (at, { left, right, top, bottom }) => at.x > left - CLEAR_PX && at.x < right + CLEAR_PX && at.y > top - CLEAR_PX && at.y < bottom + CLEAR_PX;

/** What stands over the map's upper edge hides no trail, unless it leaves too little of the map. */
function topPadding() {
  const { top, height } = document.getElementById("map").getBoundingClientRect();
  const low = [...document.querySelectorAll("#strip > *, .coverage-switch")].map((it) => it.getBoundingClientRect().bottom - top);
  return Math.min(Math.max(56, ...low.map((it) => it + 24)), Math.max(56, height * 0.26));
}

function leftPadding() { return coverageWidth() ? coverageWidth() + 40 : 84; }

function selectedPosition() {
  const s = state.selection;
  if (s?.kind === "drone") return state.drones.get(s.id)?.telemetry.position ?? null;
  if (s?.kind === "sensor") return state.sensors.get(s.id)?.position ?? null;
  return selectedContact()?.position ?? (s?.kind === "alarm" ? sensorOf(s.id)?.position ?? (state.alarms.has(s.id) ? raisedAt(state.alarms.get(s.id)) : null) : null) ?? null;
}

function sensorOf(alarmId) { return state.sensors.get(state.alarms.get(alarmId)?.sensor); }

/** Show the place of what is selected from near enough to tell people apart; do not move when it is shown so already. */
function follow() {
  const position = selectedPosition();
  if (!position) return;
  const point = [position[1], position[0]];
  const at = map.project(point), canvas = map.getCanvas(), edge = 90;
  const { right, below } = covered();
  const isInSight = at.x > edge && at.x < canvas.clientWidth - right - edge && at.y > edge && at.y < canvas.clientHeight - below - edge && !panels().some((it) => isUnder(at, it));
  if (isInSight && (state.selection.kind === "drone" || map.getZoom() > CLOSE_ZOOM - 1)) return;
  go(point, state.selection.kind === "drone" ? map.getZoom() : Math.max(map.getZoom(), CLOSE_ZOOM));
}

function go(point, zoom) {
  wholeSector = false;
  map.easeTo({ center: point, zoom, offset: middleOfFree(), duration: 300 });
}

/** From the map's middle to the middle of what no panel covers: beside what reaches down to there, where it leaves room for that. */
function middleOfFree() {
  const { right, below } = covered(), canvas = map.getCanvas();
  const y = (canvas.clientHeight - below) / 2, free = canvas.clientWidth - right;
  const left = Math.max(0, ...panels().filter((it) => it.top < y && it.bottom > y - CLEAR_PX && it.left < free / 2).map((it) => it.right));
  return [((free - left > 2 * CLEAR_PX ? left : 0) - right) / 2, -below / 2];
}

export function centreOnSelected() {
  const position = selectedPosition();
  if (position) go([position[1], position[0]], Math.max(map.getZoom(), map.getZoom() < CLOSE_ZOOM ? CLOSE_ZOOM : NEAREST_ZOOM));
}

let taker = null;

/** Who gets the clicks on the ground before they select: it says whether it has taken one; isWanted(): whether it would. */
export function takeClicks(listener) { taker = listener; }

function clicked(event) {
  if (taker?.(event)) return;
  const found = marks?.found(event.point);
  if (found) select(...found);
  else select(null);
}

function hovered(event) { map.getCanvas().style.cursor = taker?.isWanted() ? "crosshair" : marks?.found(event.point) ? "pointer" : ""; }

const drawn = new Map();

const parts = {};               // of a source that several share: its features, by the part's name
const changed = new Set();

/** Hand data to the map, but only what is new: drawing is dear where there is no graphics card. */
function put(name, data) {
  const text = JSON.stringify(data);
  if (drawn.get(name) === text) return;
  drawn.set(name, text);
  const group = GROUP_OF[name];
  if (!group) { map.getSource(name)?.setData(data); return; }
  (parts[group] ??= {})[name] = (data.features ?? [data]).map((f) => ({ ...f, properties: { ...f.properties, part: name } }));
  if (!changed.size) queueMicrotask(handParts);
  changed.add(group);
}

function handParts() {
  for (const group of changed) map.getSource(group)?.setData(collection(Object.values(parts[group]).flat()));
  changed.clear();
}

function drawGround() {
  const g = state.geography;
  const [west, south, east, north] = g.box;
  put("own-side", g.own_side);
  put("other-side", g.other_side);
  put("box", feature("LineString", [[west, south], [east, south], [east, north], [west, north], [west, south]]));
  put("graticule", graticule(g.box));
  put("strips", g.strips);
  put("centre-lines", g.centre_lines);
  put("border", g.border);
  put("keep-outs", { ...g.keep_outs, features: g.keep_outs.features.map((f) =>
    ({ ...f, properties: { ...f.properties, label: t("map.keep_out", { name: f.properties.name }) } })) });
  put("side-names", collection([feature("Point", g.own_label, { name: t("map.own_side") }),
    feature("Point", g.other_label, { name: t("map.other_side") })]));
  drawNotes();
}

/** What must be known about the map before it is believed. */
function drawNotes() {
  const g = state.geography;
  const notes = document.getElementById("notes");
  notes.replaceChildren(
    g.border_advisory ? make("span", { title: `${g.border_source} (${g.border_as_of})` }, t("map.border_advisory")) : "",
    g.terrain_synthetic ? make("span", {}, t("map.terrain_synthetic")) : "",
    state.basemap?.vector?.synthetic || state.basemap?.hillshade?.synthetic ? make("span", {}, t("map.basemap_synthetic")) : "",
    make("span", { class: "source" }, t("map.source", { source: g.border_source })),
  );
}

// Drawing follows the news at its own pace: however much is told, most of the time is left for whoever uses the page. What somebody has
// pressed is answered by queue and drawer first; the map's answer, its camera and its marks, never shares that frame.
const REST = 3, LEAST_GAP_MS = 60, LONGEST_GAP_MS = 400;
let due = null, restUntil = 0;
let isDrawing = false, askedAgain = null;       // whom to call when what is being drawn is drawn: soon or draw

function soon() { due ??= setTimeout(draw, Math.max(0, restUntil - performance.now())); }

function drawNow() {
  groundMs = -Infinity;
  clearTimeout(due);
  if (isDrawing) askedAgain = draw;
  else due = setTimeout(draw, 0);
}

function draw() {
  clearTimeout(due);
  due = null;
  if (isDrawing) { askedAgain ??= soon; return; }
  isDrawing = true;
  afterPress(() => {
    const began = performance.now();
    inPieces(drawMarks(marks, map.getZoom()), () => {
      drawOnGround();
      const took = performance.now() - began;
      restUntil = began + took + Math.min(LONGEST_GAP_MS, Math.max(LEAST_GAP_MS, REST * took));
      isDrawing = false;
      const again = askedAgain;
      askedAgain = null;
      again?.();
    });
  });
}

const GROUND_EVERY_MS = 1000;    // the ground is dear to draw; marks move at once
let groundMs = -Infinity;

function drawOnGround() {
  if (!isGroundThere || performance.now() - groundMs < GROUND_EVERY_MS) return;
  groundMs = performance.now();
  for (const [source, data] of Object.entries({ ...coverageFeatures(), ...groundFeatures() })) put(source, data);
}

/** A place that somebody looked for ([lat, lon]), marked; or all of a line's or area's points, as numbers or pairs. */
export function showPlace(place, points = []) {
  if (!map) return;
  const flat = points.flat(Infinity), lon = flat.filter((_, i) => i % 2 === 0), lat = flat.filter((_, i) => i % 2 === 1);
  select(null);
  put("found", collection(place ? [feature("Point", [place[1], place[0]])] : []));
  if (place) go([place[1], place[0]], Math.max(map.getZoom(), CLOSE_ZOOM));
  else if (flat.length) {
    wholeSector = false;
    map.fitBounds([Math.min(...lon), Math.min(...lat), Math.max(...lon), Math.max(...lat)], { padding: padding(), duration: 300, maxZoom: CLOSE_ZOOM });
  }
}

/** What somebody measures: its places [lat, lon], and what is written at the last. */
export function showMeasured(points, words) {
  const line = points.map(([lat, lon]) => [lon, lat]);
  put("measured", collection([...(line.length > 1 ? [feature("LineString", line)] : []), ...line.map((p, i) => feature("Point", p, { label: i === line.length - 1 ? words : "" }))]));
}

/** The named places of the base map, as far as it is loaded: {name, point}. */
export function placesOfMap() {
  if (!map?.getSource("base-vector")) return [];
  const names = new Map();
  for (const layer of ["place", "water", "road"]) {
    for (const f of map.querySourceFeatures("base-vector", { sourceLayer: layer, filter: ["has", "name"] })) {
      if (names.has(f.properties.name)) continue;
      const [lon, lat] = f.geometry.coordinates.flat(Infinity);
      names.set(f.properties.name, [lat, lon]);
    }
  }
  return [...names].map(([name, point]) => ({ name, point }));
}

/** For whoever steers the page from outside (tests, screenshots): a place on the screen. */
export function onScreen([lat, lon]) { return map.project(moved([lat, lon], 0, 0)); }

export function theMap() { return map; }

export function theMarks() { return marks; }
