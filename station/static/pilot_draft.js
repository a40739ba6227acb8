// What a pilot is about to ask for, each drone's by itself: what was begun for one is never sent to another.

import { droneNames } from "./fleet.js";
import { metresBetween } from "./ground.js";
import { state, tell } from "./state.js";

export const KINDS = ["corridor", "share", "area", "point", "orbit", "debt"];
const PLACES = { area: 100, point: 1, orbit: 1 };       // how many a kind takes
const LEAST = { area: 3, point: 1, orbit: 1 };

export const pilot = { drone: null, leg: null, isPlanning: new Set() };     // leg: of the offer that is looked at, pointed to
const drafts = new Map();

function fresh() {
  return { kind: "corridor", corridor: "", fit: true, places: { area: [], point: [], orbit: [] },
    height_m: 0, speed_m_s: 0, from_m: 0, reach_m: 0, rounds: 1, follow_ground: false, by_camera: false, radius_m: 60, turns: 2, hold_s: 20, wait: false,
    with: new Set(droneNames()) };        // of a share: who flies it together; the drone itself always
}

export function draft() {
  if (!drafts.has(pilot.drone)) drafts.set(pilot.drone, fresh());
  const d = drafts.get(pilot.drone);
  if (!d.corridor) d.corridor = nearestCorridor();
  return d;
}

/** The corridor that is nearest to the drone, for the others may begin too far away to be flown; "" while nobody knows where it is. */
function nearestCorridor() {
  const at = state.drones.get(pilot.drone)?.telemetry.position;
  if (!at) return "";
  const away = (f) => Math.min(...f.geometry.coordinates.map(([lon, lat]) => metresBetween(at, [lat, lon])));
  return [...state.geography.centre_lines.features].sort((a, b) => away(a) - away(b))[0]?.properties.id ?? "";
}

export const corridorOf = (d) => d.corridor || (state.geography.centre_lines.features[0]?.properties.id ?? "");

export function change(values) {
  Object.assign(draft(), values);
  tell("draft");
}

export const takesPlaces = (kind) => kind in PLACES;

/** A corner, or the place: [lat, lon]. */
export function addPlace(place) {
  const d = draft(), list = d.places[d.kind];
  if (!list) return;
  if (PLACES[d.kind] === 1) list.splice(0, 1, place);
  else if (list.length < PLACES[d.kind]) list.push(place);
  tell("draft");
}

export function removeLast() { draft().places[draft().kind]?.pop(); tell("draft"); }

export function clearPlaces() { const d = draft(); if (d.places[d.kind]) d.places[d.kind].length = 0; tell("draft"); }

export function isComplete() {
  const d = draft();
  if (d.kind === "share") return corridorOf(d) !== "" && sharers().length > 1;
  return d.kind === "corridor" ? corridorOf(d) !== "" : (d.places[d.kind]?.length ?? 0) >= (LEAST[d.kind] ?? 0);
}

/** Who shares a corridor: the drone that is planned for, and those that were chosen and are still there. */
export function sharers() { return droneNames().filter((name) => name === pilot.drone || draft().with.has(name)); }

export function shareWith(name, isWith) {
  if (isWith) draft().with.add(name);
  else draft().with.delete(name);
  tell("draft");
}

/** The wish of wire.tasking.FlightWish, with what its kind takes and nothing else. */
export function wishOfDraft() {
  const d = draft();
  const wish = { kind: d.kind, height_m: d.height_m, speed_m_s: d.speed_m_s };
  const along = { ...wish, corridor: corridorOf(d), from_m: d.from_m, reach_m: d.reach_m, rounds: d.rounds, follow_ground: d.follow_ground, by_camera: d.by_camera };
  if (d.kind === "corridor") return along;
  if (d.kind === "share") return { ...along, drones: sharers() };
  if (d.kind === "debt") return { ...wish, follow_ground: d.follow_ground };
  const places = d.places[d.kind].map(([lat, lon]) => [lat, lon]);
  if (d.kind === "area") return { ...wish, places, follow_ground: d.follow_ground };
  if (d.kind === "orbit") return { ...wish, places, radius_m: d.radius_m, turns: d.turns };
  return { ...wish, places, hold_s: d.hold_s };
}
