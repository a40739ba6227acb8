// From the picture to what the map draws: contacts with error, heading and trail; sensors; drones.

import { axes, collection, feature, lonLat, moved } from "./ground.js";
import { ageText } from "./format.js";
import { number, short, t } from "./language.js";
import { hasMil, milImage } from "./mil.js";
import { alarmOf, isWaiting, now, selectedContact, state } from "./state.js";
import { COLOURS } from "./symbols.js";

export const FRESH_S = 3, DIM_S = 10;
const TICK_S = 8;               // the heading tick reaches where the contact would be in so many seconds
const STANDING_M_S = 0.25;      // slower than this is no heading
const NAMED_FROM_ZOOM = 16.5;   // from here on every contact in sight has its name
const MOST_NAMED = 150;         // of contacts that raise no alarm; the rest are marks without a name

export function freshness(ageS) { return ageS < FRESH_S ? "fresh" : ageS < DIM_S ? "dim" : "stale"; }

/** The older part of a trail is fainter: three pieces, since a line has one opacity. */
function trailPieces(trail, head, properties) {
  const points = [...trail.map((p) => [p[1], p[0]]), head];
  const pieces = [];
  const bounds = [0, Math.floor(points.length / 3), Math.floor(points.length * 2 / 3), points.length - 1];
  for (let i = 0; i < 3; i += 1) {
    const piece = points.slice(bounds[i], bounds[i + 1] + 1);
    if (piece.length > 1) pieces.push(feature("LineString", piece, { ...properties, opacity: [0.16, 0.34, 0.62][i] }));
  }
  return pieces;
}

function groupOf(objectClass) { return objectClass === "person" || objectClass === "boat" ? objectClass : "vehicle"; }

/** The name of the sign, made when it is first needed; none for who raises no alarm, is not chosen and goes on foot. */
function signOf(marks, contact, alarm, isChosen) {
  const group = groupOf(contact.object_class);
  if (!hasMil() || (!alarm && !isChosen)) {
    if (alarm) return `p${alarm.priority}-${group}${isWaiting(alarm) ? "" : "-taken"}`;
    return group === "person" ? "" : `plain-${group}`;
  }
  const how = { priority: alarm?.priority ?? 0, isTaken: Boolean(alarm) && !isWaiting(alarm), objectClass: contact.object_class, isOurs: Boolean(contact.own_patrol), isSimulated: contact.simulated };
  const name = `mil-${Object.values(how).join("-")}`;
  if (!marks.signs.has(name)) marks.addSign(name, milImage(how), 2);
  return name;
}

/** An age on the map changes every five seconds: each change of a label has the whole map drawn again. */
function coarse(ageS) { return Math.floor(ageS / 5) * 5; }

function contactLabel(contact, alarm, age) {
  const lines = [`${t(`class.${contact.object_class}`)} ${short(contact.id)}`];
  if (age >= DIM_S) lines.push(t("contact.not_seen_for", { age: ageText(coarse(age)) }));
  else if (contact.plate) lines.push(contact.plate);
  if (contact.simulated) lines[0] += "  SIM";
  return lines.join("\n");
}

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16) / 255);

/** The contacts' trails, errors, headings and places as light marks. */
export function drawMarks(marks) {
  const colours = { 1: rgb(COLOURS.p1), 2: rgb(COLOURS.p2), 3: rgb(COLOURS.p3), 9: rgb(COLOURS.trail) };
  const chosen = selectedContact(), at = now(), signs = [];
  marks.ground = rgb(COLOURS.background);
  marks.begin();
  for (const contact of state.contacts.values()) {
    if (!marks.isNear(contact.position)) continue;
    const alarm = alarmOf(contact.id), colour = colours[alarm?.priority ?? 9], here = contact.position;
    const how = freshness((at - contact.last_seen_ns / 1e6) / 1000), isLive = contact.state === "live";
    const opacity = contact.state === "ended" ? 0.3 : { fresh: 1, dim: 0.6, stale: 0.45 }[how];
    if (contact.trail.length) marks.trail(contact.trail, here, colour);
    // A mark where it was lost; its error says nothing any more.
    if (contact.state !== "ended" || contact === chosen) marks.ellipse(contact.id, here, axes(contact.covariance), colour, opacity, contact.simulated, how === "stale");
    const [east, north] = contact.velocity_m_s;
    if (isLive && Math.hypot(east, north) > STANDING_M_S) {
      const [lon, lat] = moved(here, east * TICK_S, north * TICK_S);
      marks.tick(here, [lat, lon], colour, opacity);
    }
    const sign = signOf(marks, contact, alarm, contact === chosen);
    if (sign) signs.push([alarm?.priority ?? 9, contact.id, here, sign, alarm ? Math.max(opacity, 0.75) : opacity]);
    else marks.dot(contact.id, here, colour, opacity, isLive);
  }
  for (const [, ...sign] of signs.sort((a, b) => b[0] - a[0])) marks.sign(...sign);      // the most urgent on top
  marks.end();
}

/** Those that have a name: alarming, selected, and some of those in sight. isInSight: of [lat, lon]. */
export function contactFeatures(zoom, isInSight) {
  const points = [], corridors = [], selected = [];
  const chosen = selectedContact();
  const at = now();
  let room = MOST_NAMED;
  for (const contact of state.contacts.values()) {
    const alarm = alarmOf(contact.id), isChosen = contact === chosen;
    if (!alarm && !isChosen) {
      if (room <= 0 || zoom < NAMED_FROM_ZOOM || !isInSight(contact.position)) continue;
      room -= 1;
    }
    const age = (at - contact.last_seen_ns / 1e6) / 1000;
    const rank = alarm?.priority ?? 9;
    const isOver = contact.state === "ended" && !isChosen;
    points.push(feature("Point", lonLat(contact.position), {
      id: contact.id, selected: isChosen, order: isChosen ? 0 : isOver ? rank + 10 : rank, label: isOver ? "" : contactLabel(contact, alarm, age),
    }));
    if (isChosen) selected.push(feature("Point", lonLat(contact.position)));
  }
  if (!chosen && state.selection?.kind === "alarm") {
    const position = state.alarms.get(state.selection.id)?.position;
    if (position) selected.push(feature("Point", lonLat(position)));
  }
  const ranks = new Map();
  for (const alarm of state.alarms.values()) if (isWaiting(alarm) && alarm.corridor) ranks.set(alarm.corridor, Math.min(alarm.priority, ranks.get(alarm.corridor) ?? 9));
  for (const strip of state.geography.strips.features) {
    if (ranks.has(strip.properties.id)) corridors.push({ ...strip, properties: { rank: ranks.get(strip.properties.id) } });
  }
  return { contacts: collection(points), "corridor-alarms": collection(corridors), selected: collection([...selected, ...otherSelection()]) };
}

function otherSelection() {
  const s = state.selection;
  const position = s?.kind === "sensor" ? state.sensors.get(s.id)?.position
    : s?.kind === "drone" ? state.drones.get(s.id)?.telemetry.position : null;
  return position ? [feature("Point", lonLat(position))] : [];
}

export function sensorFeatures() {
  const marks = [], footprints = [];
  for (const sensor of state.sensors.values()) {
    const word = sensor.state === "seeing" ? "" : `\n${t(`sensor.${sensor.state}`)}`;
    marks.push(feature("Point", lonLat(sensor.position), { id: sensor.id, state: sensor.state,
      label: `${sensor.id}${sensor.simulated ? " SIM" : ""}${word}` }));
    if (sensor.footprint.length > 2) {
      const ring = sensor.footprint.map(lonLat);
      footprints.push(feature("Polygon", [[...ring, ring[0]]], { id: sensor.id, state: sensor.state }));
    }
  }
  return { sensors: collection(marks), footprints: collection(footprints) };
}

export function droneFeatures() {
  const marks = [], trails = [], plans = [], points = [];
  const at = now();
  for (const view of state.drones.values()) {
    const { telemetry: heard, plan } = view;
    if (plan) {
      const ring = [plan.home, ...plan.waypoints.map((w) => w.position)].map(lonLat);
      plans.push(feature("LineString", ring));
      points.push(feature("Point", ring[0], { home: true }),
        ...plan.waypoints.map((w) => feature("Point", lonLat(w.position), { home: false })));
    }
    if (!heard.position) continue;
    const here = lonLat(heard.position);
    const age = (at - heard.at_ns / 1e6) / 1000 + heard.heard_age_s;
    const second = [heard.height_above_home_m === null ? null : `${number(heard.height_above_home_m, 0)} m`,
      heard.battery_percent === null ? null : `${number(heard.battery_percent, 0)} %`].filter(Boolean).join(" · ");
    const late = age >= DIM_S ? `\n${t("contact.not_seen_for", { age: ageText(age) })}` : "";
    marks.push(feature("Point", here, { id: view.drone, heading: heard.heading_deg ?? 0, fresh: freshness(age),
      label: `${view.drone}${heard.simulated ? "  SIM" : ""}\n${second}${late}` }));
    trails.push(...trailPieces(view.trail, here, {}));
  }
  return { drones: collection(marks), "drone-trails": collection(trails), plans: collection(plans), "plan-points": collection(points) };
}
