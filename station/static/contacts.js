// From the picture to what the map draws: contacts with error, heading and trail; sensors; drones.

import { axes, collection, feature, lonLat, metresBetween, moved } from "./ground.js";
import { ageText } from "./format.js";
import { number, short, t } from "./language.js";
import { hasMil, milImage } from "./mil.js";
import { alarmOf, isWaiting, now, raisedAt, selectedContact, state } from "./state.js";
import { COLOURS } from "./symbols.js";

export const FRESH_S = 3, DIM_S = 10;
const TICK_S = 8;               // the heading tick reaches where the contact would be in so many seconds
const STANDING_M_S = 0.25;      // slower than this is no heading
const NAMED_FROM_ZOOM = 16.5;   // from here on every contact in sight has its name
const ON_DRONE_M = 60;      // a drone's camera is where it was some seconds ago
const MOST_NAMED = 150;         // of contacts that raise no alarm; the rest are marks without a name

export function freshness(ageS) { return ageS < FRESH_S ? "fresh" : ageS < DIM_S ? "dim" : "stale"; }

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

/** Each age is a picture of words of its own: they are made anew every five seconds. */
function coarse(ageS) { return Math.floor(ageS / 5) * 5; }

function contactLabel(contact, alarm, age) {
  const lines = [`${t(`class.${contact.object_class}`)} ${short(contact.id)}`];
  if (age >= DIM_S) lines.push(t("contact.not_seen_for", { age: ageText(coarse(age)) }));
  else if (contact.plate) lines.push(contact.plate);
  if (contact.simulated) lines[0] += "  SIM";
  return lines.join("\n");
}

const PIECE = 64;               // contacts between two looks at whether somebody has pressed something

/** All that lives on the map, as marks. zoom: of the map, which names contacts only from near. It may be stopped at each yield. */
export function* drawMarks(marks, zoom) {
  const turn = state.turn;      // what comes in between is drawn the next time
  marks.ground = COLOURS.background;
  marks.begin();
  drawSensors(marks);
  yield* drawContacts(marks, zoom);
  drawDrones(marks);
  const place = chosenPlace();
  if (place) marks.chosen(place, 19, COLOURS.bright, 1.6);
  marks.end(turn);
}

function* drawContacts(marks, zoom) {
  const colours = { 1: COLOURS.p1, 2: COLOURS.p2, 3: COLOURS.p3, 9: COLOURS.trail };
  const chosen = selectedContact(), at = now();
  let room = MOST_NAMED, count = 0;
  for (const contact of state.contacts.values()) {
    if ((count += 1) % PIECE === 0) yield;
    if (!marks.isNear(contact.position)) continue;
    const alarm = alarmOf(contact.id), rank = alarm?.priority ?? 9, colour = colours[rank], here = contact.position, isChosen = contact === chosen;
    const ageS = (at - contact.last_seen_ns / 1e6) / 1000, how = freshness(ageS), isLive = contact.state === "live", isEnded = contact.state === "ended";
    const opacity = isEnded ? 0.3 : { fresh: 1, dim: 0.6, stale: 0.45 }[how];
    if (contact.trail.length) marks.trail(contact.trail, here, colour);
    // A mark where it was lost; its error says nothing any more.
    if (!isEnded || isChosen) marks.ellipse(contact.id, here, axes(contact.covariance), colour, opacity, contact.simulated, how === "stale");
    const [east, north] = contact.velocity_m_s;
    if (isLive && Math.hypot(east, north) > STANDING_M_S) {
      const [lon, lat] = moved(here, east * TICK_S, north * TICK_S);
      marks.tick(here, [lat, lon], colour, opacity);
    }
    const sign = signOf(marks, contact, alarm, isChosen);
    if (sign) marks.sign("contact", contact.id, here, sign, alarm ? Math.max(opacity, 0.75) : opacity, 10 - rank);      // the most urgent on top
    else marks.dot(contact.id, here, colour, opacity, isLive);
    if (isEnded && !isChosen) continue;
    if (!alarm && !isChosen) {
      if (room <= 0 || zoom < NAMED_FROM_ZOOM) continue;
      room -= 1;
    }
    marks.name("contact", contact.id, here, contactLabel(contact, alarm, ageS), { size: 12, colour: isChosen ? COLOURS.bright : "#d5dde4", away: 17, order: isChosen ? 0 : rank });
  }
}

/** Where what is chosen is, [lat, lon]. */
function chosenPlace() {
  const s = state.selection;
  if (s?.kind === "sensor") return state.sensors.get(s.id)?.position ?? null;
  if (s?.kind === "drone") return state.drones.get(s.id)?.telemetry.position ?? null;
  return selectedContact()?.position ?? (s?.kind === "alarm" && state.alarms.has(s.id) ? raisedAt(state.alarms.get(s.id)) : null) ?? null;
}

function drawSensors(marks) {
  for (const sensor of state.sensors.values()) {
    const isSeeing = sensor.state === "seeing", word = isSeeing ? "" : `\n${t(`sensor.${sensor.state}`)}`;
    if (sensor.footprint.length > 2) {
      if (isSeeing) marks.area(sensor.id, sensor.footprint, "rgb(143 216 192 / 0.13)", "rgb(143 216 192 / 0.5)");
      else marks.area(null, sensor.footprint, null, "rgb(154 167 179 / 0.75)", [2.4, 4.8]);
    }
    marks.sign("sensor", sensor.id, sensor.position, `camera-${sensor.state}`, 1, -2);
    if (!isSeeing || !isOnDrone(sensor)) marks.name("sensor", sensor.id, sensor.position, `${sensor.id}${sensor.simulated ? " SIM" : ""}${word}`, { size: 11, colour: "#aebbc6", away: 12, order: 12 });
  }
}

/** The camera of a drone that is there with its own name; it is named as well while it lags behind, or says that it sees nothing. */
function isOnDrone(sensor) {
  if (state.nodes.get(sensor.node)?.kind !== "drone") return false;
  return [...state.drones.values()].some(({ telemetry: { position } }) => position && metresBetween(position, sensor.position) < ON_DRONE_M);
}

function drawDrones(marks) {
  const at = now();
  for (const view of state.drones.values()) {
    const heard = view.telemetry, here = heard.position;
    if (!here) continue;
    const ageS = (at - heard.at_ns / 1e6) / 1000 + heard.heard_age_s;
    const second = [heard.height_above_home_m === null ? null : `${number(heard.height_above_home_m, 0)} m`,
      heard.battery_percent === null ? null : `${number(heard.battery_percent, 0)} %`].filter(Boolean).join(" · ");
    const late = ageS >= DIM_S ? `\n${t("contact.not_seen_for", { age: ageText(ageS) })}` : "";
    if (view.trail.length) marks.trail(view.trail, here, COLOURS.ours);
    marks.sign("drone", view.drone, here, "drone", { fresh: 1, dim: 0.6, stale: 0.45 }[freshness(ageS)], 11, (heard.heading_deg ?? 0) * Math.PI / 180);
    marks.name("drone", view.drone, here, `${view.drone}${heard.simulated ? "  SIM" : ""}\n${second}${late}`, { size: 12, colour: COLOURS.ours, away: 21, order: -1 });
  }
}

/** What of the picture belongs to the ground: it changes when somebody decides, not each second. */
export function groundFeatures() {
  const corridors = [], plans = [], points = [], ranks = new Map();
  for (const alarm of state.alarms.values()) if (isWaiting(alarm) && alarm.corridor) ranks.set(alarm.corridor, Math.min(alarm.priority, ranks.get(alarm.corridor) ?? 9));
  for (const strip of state.geography.strips.features) {
    if (ranks.has(strip.properties.id)) corridors.push({ ...strip, properties: { rank: ranks.get(strip.properties.id) } });
  }
  for (const { plan } of state.drones.values()) {
    if (!plan) continue;
    const ring = [plan.home, ...plan.waypoints.map((w) => w.position)].map(lonLat);
    plans.push(feature("LineString", ring));
    points.push(feature("Point", ring[0], { home: true }), ...plan.waypoints.map((w) => feature("Point", lonLat(w.position), { home: false })));
  }
  return { "corridor-alarms": collection(corridors), plans: collection(plans), "plan-points": collection(points) };
}
