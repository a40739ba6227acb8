// The map itself: its camera, its clicks, the ground that never changes. What lives on it is in contacts.js.

import { AttributionControl, Map as GroundMap, NavigationControl, ScaleControl, setWorkerUrl }
  from "/static/vendor/maplibre/maplibre-gl.mjs";
import { collection, feature, moved } from "./ground.js";
import { onLanguage, t } from "./language.js";
import { graticule, startRuler } from "./ruler.js";
import { CLICKABLE, emptyStyle } from "./layers.js";
import { contactFeatures, droneFeatures, sensorFeatures } from "./contacts.js";
import { drawerWidth } from "./drawer.js";
import { on, select, selectedContact, state } from "./state.js";
import { addSymbols } from "./symbols.js";
import { make } from "./dom.js";

setWorkerUrl("/static/vendor/maplibre/maplibre-gl-worker.mjs");

let map = null;
let due = false;

/** Resolves when the ground is drawn. Rejects where the browser has no WebGL. */
export function openMap(container) {
  const g = state.geography;
  map = new GroundMap({
    container, style: emptyStyle(), bounds: workingBounds(), fitBoundsOptions: { padding: 70 }, attributionControl: false,
    maxPitch: 0, dragRotate: false, pitchWithRotate: false, touchPitch: false, fadeDuration: 150, minZoom: 9, maxZoom: 20,
    maxBounds: grown(g.box, 0.6), keyboard: true, validateStyle: false, localIdeographFontFamily: false,
  });
  map.touchZoomRotate.disableRotation();
  map.addControl(new NavigationControl({ showCompass: false }), "bottom-right");
  map.addControl(new ScaleControl({ maxWidth: 140, unit: "metric" }), "bottom-left");
  map.addControl(new AttributionControl({ compact: false }), "bottom-right");
  map.on("click", clicked);
  map.on("mousemove", hovered);
  return new Promise((resolve, reject) => {
    map.once("load", () => {
      addSymbols(map);
      drawGround();
      onLanguage(() => { drawGround(); drawLive(); });
      on("picture", soon);
      on("selection", () => { soon(); follow(); });
      setInterval(soon, 1000);
      startRuler(map, document.getElementById("ruler"));
      drawLive();
      document.body.dataset.map = "ready";
      resolve(map);
    });
    map.once("error", (event) => reject(event.error));
  });
}

/** Where people work: the corridors, the cameras and the stretch of border beside them. */
function workingBounds() {
  const points = state.geography.centre_lines.features.flatMap((f) => f.geometry.coordinates);
  if (!points.length) return state.geography.box;
  const lon = points.map((p) => p[0]), lat = points.map((p) => p[1]);
  return [Math.min(...lon), Math.min(...lat), Math.max(...lon), Math.max(...lat)];
}

function grown([west, south, east, north], part) {
  const w = (east - west) * part, h = (north - south) * part;
  return [west - w, south - h, east + w, north + h];
}

export function showSector() { map?.fitBounds(workingBounds(), { padding: padding(), duration: 300 }); }

function padding() { return { top: 60, bottom: 60, left: 60, right: 60 + drawerWidth() }; }

/** Bring what is selected into sight, without zooming out and without moving when it is in sight already. */
function follow() {
  const contact = selectedContact();
  const sensor = state.selection?.kind === "sensor" ? state.sensors.get(state.selection.id) : null;
  const position = contact?.position ?? sensor?.position ?? state.alarms.get(state.selection?.id)?.position;
  if (position) bringIntoSight([position[1], position[0]]);
}

function bringIntoSight(point) {
  const at = map.project(point), canvas = map.getCanvas(), edge = 90;
  const right = canvas.clientWidth - drawerWidth() - edge;
  if (at.x > edge && at.x < right && at.y > edge && at.y < canvas.clientHeight - edge) return;
  map.easeTo({ center: point, zoom: Math.max(map.getZoom(), 15), offset: [-drawerWidth() / 2, 0], duration: 300 });
}

export function centreOnSelected() {
  const position = selectedContact()?.position;
  if (position) {
    map.easeTo({ center: [position[1], position[0]], zoom: Math.max(map.getZoom(), 16), offset: [-drawerWidth() / 2, 0], duration: 300 });
  }
}

function at(point) {
  const box = [[point.x - 6, point.y - 6], [point.x + 6, point.y + 6]];
  for (const [layer, kind] of CLICKABLE) {
    const found = map.queryRenderedFeatures(box, { layers: [layer] })[0];
    if (found) return [kind, found.properties.id];
  }
  return null;
}

function clicked(event) {
  const found = at(event.point);
  if (found) select(...found);
  else select(null);
}

function hovered(event) { map.getCanvas().style.cursor = at(event.point) ? "pointer" : ""; }

const drawn = new Map();

/** Hand data to the map, but only what is new: drawing is dear where there is no graphics card. */
function put(source, data) {
  const text = JSON.stringify(data);
  if (drawn.get(source) === text) return;
  drawn.set(source, text);
  map.getSource(source)?.setData(data);
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
    make("span", { class: "source" }, t("map.source", { source: g.border_source })),
  );
}

function soon() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => { due = false; drawLive(); });
}

function drawLive() {
  if (!map?.getSource("contacts")) return;
  for (const [source, data] of Object.entries({ ...contactFeatures(), ...sensorFeatures(), ...droneFeatures() })) put(source, data);
}

/** For whoever steers the page from outside (tests, screenshots): a place on the screen. */
export function onScreen([lat, lon]) { return map.project(moved([lat, lon], 0, 0)); }
