// What a pilot draws, and what is offered, on the map: legs that pass and legs that do not, and the places of refusals.

import { collection, cut, feature, lonLat, moved } from "./ground.js";
import { addPlace, corridorOf, draft, pilot, takesPlaces } from "./pilot_draft.js";
import { onLanguage } from "./language.js";
import { onCalmly, on, state, tell } from "./state.js";
import { takeClicks } from "./map.js";
import { COLOURS as C } from "./symbols.js";

const SOURCES = ["draft", "offer-legs", "offer-marks"];
let map = null, offered = () => null, isDrawing = () => false, drawn = "";

/** offer: the one that is looked at, or null. drawing: whether clicks on the ground are places. */
export function startPilotMap(theMap, offer, drawing) {
  map = theMap;
  offered = offer;
  isDrawing = drawing;
  for (const name of SOURCES) map.addSource(name, { type: "geojson", data: collection([]) });
  const round = { "line-join": "round", "line-cap": "round" };
  const isBad = ["get", "bad"], isMeant = ["get", "meant"];
  const layers = [
    { id: "draft-fill", type: "fill", source: "draft", filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": C.bright, "fill-opacity": 0.08 } },
    { id: "draft-line", type: "line", source: "draft", filter: ["!=", ["geometry-type"], "Point"], layout: round, paint: { "line-color": C.bright, "line-width": 2, "line-dasharray": [2, 2] } },
    { id: "draft-point", type: "circle", source: "draft", filter: ["==", ["geometry-type"], "Point"], paint: { "circle-radius": 6, "circle-color": C.background, "circle-stroke-color": C.bright, "circle-stroke-width": 2.5 } },
    { id: "offer-casing", type: "line", source: "offer-legs", layout: round, paint: { "line-color": C.background, "line-width": ["case", isMeant, 10, 7], "line-opacity": 0.8 } },
    { id: "offer-legs", type: "line", source: "offer-legs", filter: ["!", isBad], layout: round, paint: { "line-color": ["case", isMeant, C.bright, C.ours], "line-width": ["case", isMeant, 6, 3.4] } },
    { id: "offer-legs-bad", type: "line", source: "offer-legs", filter: isBad, layout: { "line-join": "round" }, paint: { "line-color": ["case", isMeant, C.bright, C.p1], "line-width": ["case", isMeant, 6, 4], "line-dasharray": [1.4, 0.9] } },
    { id: "offer-points", type: "circle", source: "offer-marks", filter: ["==", ["get", "mark"], "point"], paint: { "circle-radius": 3.6, "circle-color": C.background, "circle-stroke-color": C.ours, "circle-stroke-width": 1.8 } },
    { id: "offer-labels", type: "symbol", source: "offer-marks", filter: ["!=", ["get", "mark"], "point"],
      layout: { "text-field": ["get", "label"], "text-font": ["Noto Sans"], "text-size": ["case", ["==", ["get", "mark"], "found"], 17, 13], "text-allow-overlap": true, "text-ignore-placement": true },
      paint: { "text-color": ["case", ["==", ["get", "mark"], "found"], C.p1, C.bright], "text-halo-color": C.background, "text-halo-width": 2 } },
  ];
  for (const layer of layers) map.addLayer(layer);
  takeClicks(Object.assign((event) => {
    if (!isDrawing()) return false;
    addPlace([event.lngLat.lat, event.lngLat.lng]);
    return true;
  }, { isWanted: () => isDrawing() }));
  for (const name of ["offer-legs", "offer-legs-bad"]) {
    map.on("mousemove", name, (event) => pointAt(event.features?.[0]?.properties.leg ?? null));
    map.on("mouseleave", name, () => pointAt(null));
  }
  for (const topic of ["draft", "fleet", "leg"]) on(topic, drawPlans);
  onCalmly("picture", drawPlans, 300);
  onLanguage(drawPlans);
  drawPlans();
  showOffer(offered());
}

/** Point at a leg of the offer, on the map and in the list alike. */
export function pointAt(leg) {
  if (pilot.leg === leg) return;
  pilot.leg = leg;
  tell("leg");
}

export function addCentre() { const { lat, lng } = map.getCenter(); addPlace([lat, lng]); }

/** Show all of an offer, once. */
export function showOffer(offer) {
  if (!map || !offer?.plan) return;
  const all = pathOf(offer);
  const lon = all.map((p) => p[0]), lat = all.map((p) => p[1]);
  map.fitBounds([Math.min(...lon), Math.min(...lat), Math.max(...lon), Math.max(...lat)], { padding: { top: 110, bottom: 90, left: 70, right: 70 }, maxZoom: 17, duration: 300 });
}

function drawPlans() {
  if (!map?.getSource("draft")) return;
  const offer = offered();
  const values = { draft: collection(offer ? [] : draftFeatures()), ...offerFeatures(offer) };
  const text = JSON.stringify(values);
  if (text === drawn) return;
  drawn = text;
  for (const [name, value] of Object.entries(values)) map.getSource(name).setData(value);
}

function ringOf(position, radiusM) {
  const ring = [];
  for (let i = 0; i <= 48; i += 1) ring.push(moved(position, radiusM * Math.cos(2 * Math.PI * i / 48), radiusM * Math.sin(2 * Math.PI * i / 48)));
  return ring;
}

function draftFeatures() {
  if (!pilot.drone || !state.drones.has(pilot.drone) || !pilot.isPlanning.has(pilot.drone)) return [];
  const d = draft();
  if (d.kind === "corridor") {
    const line = state.geography.centre_lines.features.find((f) => f.properties.id === corridorOf(d))?.geometry.coordinates;
    const part = line ? cut(line, d.from_m, d.reach_m > 0 ? d.reach_m : Infinity) : [];
    return part.length > 1 ? [feature("LineString", part)] : [];
  }
  if (!takesPlaces(d.kind)) return [];
  const points = d.places[d.kind].map(lonLat);
  const marks = points.map((p) => feature("Point", p));
  if (d.kind === "area" && points.length > 2) return [feature("Polygon", [[...points, points[0]]]), feature("LineString", [...points, points[0]]), ...marks];
  if (d.kind === "area" && points.length === 2) return [feature("LineString", points), ...marks];
  if (d.kind === "orbit" && points.length) return [feature("LineString", ringOf(d.places.orbit[0], d.radius_m)), ...marks];
  return marks;
}

/** Home, or where it is in the air, and then each waypoint; a return ends at home. */
function pathOf(offer) {
  const plan = offer.plan, here = offer.airborne ? state.drones.get(offer.drone)?.telemetry.position : null;
  return [lonLat(here ?? plan.home), ...plan.waypoints.map((w) => lonLat(w.kind === "return" ? plan.home : w.position))];
}

/** Legs as the checks count them: leg n ends at waypoint n. */
export function badLegs(offer) { return new Set((offer?.check?.findings ?? []).map((f) => f.leg).filter((leg) => leg !== null)); }

function offerFeatures(offer) {
  const legs = [], marks = [];
  if (offer?.plan) {
    const path = pathOf(offer), bad = badLegs(offer);
    offer.plan.waypoints.forEach((w, leg) => {
      const properties = { leg, bad: bad.has(leg), meant: pilot.leg === leg };
      const [a, b] = [path[leg], path[leg + 1]];
      if (a[0] !== b[0] || a[1] !== b[1]) legs.push(feature("LineString", [a, b], properties));
      if (w.kind === "orbit") legs.push(feature("LineString", ringOf(w.position, w.radius_m), properties));
      marks.push(feature("Point", b, { mark: "point" }));
      if (bad.has(leg) || pilot.leg === leg) marks.push(feature("Point", [(a[0] + b[0]) / 2, (a[1] + b[1]) / 2], { mark: "leg", label: String(leg + 1) }));
    });
    for (const finding of offer.check?.findings ?? []) if (finding.position) marks.push(feature("Point", lonLat(finding.position), { mark: "found", label: "✕" }));
    legs.sort((one, other) => Number(one.properties.meant) - Number(other.properties.meant));
  }
  return { "offer-legs": collection(legs), "offer-marks": collection(marks) };
}
