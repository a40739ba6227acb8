// What is known of the fleet, for every part of the page that speaks of drones: who is there, what is offered, what was answered.

import { ask, askLoggedIn } from "./api.js";
import { ageText } from "./format.js";
import { corridorName, hasWords, number, say, short, t } from "./language.js";
import { now, onCalmly, state, tell } from "./state.js";

const FRESH_S = 3, DIM_S = 10;
const OVER = ["done", "failed", "cancelled"];
const ENDS = ["RTL", "SMART_RTL", "LAND"];
const TAKEN_OVER = ["sortie.taken_over", "sortie.taken_over_why", "task.taken_over"];
const FOLLOW_MS = 1000, FOLLOWED_S = 900, OFFER_WAIT_MS = 5000;      // what became of an order is asked of the station, until it is settled
const given = new Map();        // order id -> {action, drone, wish, atMs, error}: what this page has ordered

/** Order something. The order is known at once as waiting; a refusal of the station is kept with it. Returns its id, or null. */
export async function command(wanted, place) {
  const mark = { ...wanted, place, atMs: performance.now(), id: null, refused: null, view: null, isAsking: false };
  remember(mark);
  tell("fleet");
  try {
    mark.id = (await askLoggedIn("/api/fleet/orders", wanted)).id;
  } catch (error) {
    if (!error.says) throw error;
    mark.refused = error.says;
  }
  tell("fleet");
  follow(mark);
  return mark.id;
}

/** place: what the order is about on this page; a new one takes the place of the last. */
function remember(mark) { given.set(mark.place, mark); }

export function forget(place) { given.delete(place); tell("fleet"); }

/** Of what was last ordered at a place of this page: {action, state: sending | waiting | under_way | done | failed | refused | late, words}. What became of
 *  an order is the station's word (/api/fleet/orders), here as for everybody else. */
export function orderAt(place) {
  const mark = given.get(place);
  if (!mark) return null;
  const passed = (performance.now() - mark.atMs) / 1000, view = mark.view;
  const base = { id: mark.id, action: mark.action, kind: mark.wish?.kind, drone: mark.drone, plan: mark.plan_id, passed };
  if (mark.refused) return { ...base, state: "refused", words: say(mark.refused) };
  if (!mark.id) return { ...base, state: "sending", words: t("order_now.sending") };
  if (!view || view.state === "waiting") return { ...base, state: "waiting", words: t("order_now.waiting", { seconds: Math.floor(passed) }) };
  if (view.state === "expired") return { ...base, state: "late", words: t("order_now.late") };
  if (view.state === "done" && !isShown(mark)) return { ...base, state: "under_way", words: t("order_now.waiting", { seconds: Math.floor(passed) }) };
  return { ...base, state: view.state, words: words(view.key, view.params, view.detail) || t(`order_state.${view.state}`) };
}

/** Of a plan: whether its offer is here, too. It comes another way than the word that it is done, and may come after it. */
function isShown(mark) {
  if (mark.action !== "plan") return true;
  mark.doneMs ??= performance.now();
  mark.isShown ||= Boolean(offerOfOrder(mark.id)) || performance.now() - mark.doneMs > OFFER_WAIT_MS;
  return mark.isShown;
}

const isSettled = (mark) => Boolean(mark.refused) || ["done", "failed"].includes(mark.view?.state) || performance.now() - mark.atMs > FOLLOWED_S * 1000;

/** Ask the station what became of it; once at a time. */
async function follow(mark) {
  if (!mark.id || mark.isAsking || isSettled(mark)) return;
  mark.isAsking = true;
  try {
    const view = await ask(`/api/fleet/orders/${mark.id}`);
    if (JSON.stringify(view) !== JSON.stringify(mark.view)) { mark.view = view; tell("fleet"); }
  } catch { /* asked again at the next turn */ } finally {
    mark.isAsking = false;
  }
}

function followAll() { for (const mark of given.values()) follow(mark); }
setInterval(followAll, FOLLOW_MS);
onCalmly("picture", followAll, 250);        // an answer comes with the feed before anybody asks for it

/** A sentence of the fleet: in the person's language where there are words for it, else as the fleet said it. */
export function words(key, params, sentence) { return short(key && hasWords(key) ? t(key, { leg: "", ...inner(params ?? {}) }) : sentence); }

/** Sentences within a sentence, in the person's language too: of `why` these are `why|key` and `why|NAME`; of several, `why|n`, `why|0|key` and so on. */
function inner(params) {
  const own = Object.entries(params).filter(([name]) => !name.includes("|"));
  return Object.fromEntries(own.map(([name, value]) => [name, innerText(params, name, value)]));
}

function innerText(params, name, value) {
  const start = `${name}|`;
  const own = Object.fromEntries(Object.entries(params).filter(([n]) => n.startsWith(start)).map(([n, v]) => [n.slice(start.length), v]));
  if (own.n !== undefined && own.key === undefined) return Array.from({ length: own.n }, (_, i) => innerText(own, String(i), own[i])).join("; ");
  if (own.key === undefined) return value;
  return words(own.key, own.key.startsWith("check.") && typeof own.leg === "number" ? { ...own, leg: own.leg + 1 } : own, String(value));
}

/** Of a check before take-off: "position fix" as people say it. */
export function itemName(name) {
  const key = `preflight_item.${name.replaceAll(" ", "_")}`;
  return hasWords(key) ? t(key) : name;
}

export function findingText(finding) { return words(finding.key, { ...finding.params, ...legParam(finding) }, finding.sentence); }

/** People count legs from 1. */
function legParam(finding) { return typeof finding.params?.leg === "number" ? { leg: finding.params.leg + 1 } : {}; }

// ------------------------------------------------------------------------------------------------------------ who is there

function fleetNodes() { return [...state.nodes.values()].filter((n) => n.kind === "fleet"); }

/** Why nothing can be ordered at all; null where it can. */
export function whyNoFleet() {
  const nodes = fleetNodes();
  if (!nodes.length) return t("fleet.none");
  const heard = nodes.filter((n) => !n.silent);
  if (!heard.length) return t("fleet.silent", { node: nodes[0].node, age: ageText((now() - nodes[0].last_heard_ns / 1e6) / 1000) });
  if (!state.drones.size) return t("fleet.no_drones");
  return null;
}

export function droneNames() { return [...state.drones.keys()].sort((a, b) => a.localeCompare(b, undefined, { numeric: true })); }

function dispatches() { return [...state.fleets.values()].map((f) => f.dispatch).filter(Boolean); }

export function waitingTasks() { return dispatches().flatMap((d) => d.waiting ?? []).sort((a, b) => a.priority - b.priority || a.since_ns - b.since_ns); }

/** The contact that a drone looks at, and whether it is in its picture. */
export function lookingOf(drone) {
  for (const d of dispatches()) if (d.looking?.[drone]) return { contact: d.looking[drone], inView: d.in_view?.[drone] ?? null };
  return null;
}

export function reliefOf(drone) {
  for (const d of dispatches()) for (const [contact, holds, takes] of d.reliefs ?? []) if (drone === holds || drone === takes) return { contact, holds, takes };
  return null;
}

/** Those that may be taken, and those of nothing, which only say why. */
export function openOffers() { return [...state.fleets.values()].flatMap((f) => f.offers).filter((o) => !o.plan || secondsLeft(o) > 0); }

export function secondsLeft(offer) { return (offer.expires_ns / 1e6 - now()) / 1000; }

export function offerOfOrder(id) { return id ? openOffers().find((o) => o.order_id === id) ?? null : null; }

/** What a drone's plan was wished for; null of a patrol that its settings name. */
export function wishOf(view) {
  if (!view?.task) return null;
  for (const fleet of state.fleets.values()) if (fleet.wishes[view.task.plan_id]) return fleet.wishes[view.task.plan_id];
  return null;
}

export const isOver = (task) => OVER.includes(task.phase);

// ---------------------------------------------------------------------------------------------------------- a drone in words

/** Seconds since the station could know of it: since the drone itself was heard. */
export function ageOf(view) { return (now() - view.telemetry.at_ns / 1e6) / 1000 + view.telemetry.heard_age_s; }

export function freshness(seconds) { return seconds < FRESH_S ? "fresh" : seconds < DIM_S ? "dim" : "stale"; }

/** Of one value of its telemetry. */
export function ageOfValue(view, name) {
  const own = view.telemetry.ages_s?.[name];
  return own === undefined ? ageOf(view) : (now() - view.telemetry.at_ns / 1e6) / 1000 + own;
}

/** In the air, or thought to be: what is not known to be on the ground is treated as flying. */
export function isFlying(view) {
  const heard = view.telemetry;
  return heard.armed || (heard.link !== "connected" && view.task !== null && !isOver(view.task));
}

/** An autopilot's own name of a mode, with what it means where we know. */
export function modeText(mode) { return hasWords(`flight_mode.${mode}`) ? t(`flight_mode.${mode}`) : mode; }

/** What it was sent for, or the corridor of a patrol that its settings name; nothing where that is not known. */
export function sentForText(view) { return kindText(wishOf(view)) || (view.plan?.corridor ? corridorName(view.plan.corridor) : ""); }

export function kindText(wish) {
  if (!wish) return "";
  const where = wish.corridor ? corridorName(wish.corridor) : "";
  return [t(`flight.${wish.kind}`), where].filter(Boolean).join(" · ");
}

/** Whether its pilot has to look at it: a warning of the watch, no satellites in the air, or it does what nobody here has ordered. */
export function isWarnedOf(view) {
  const { task, telemetry: heard } = view, isExecuting = task?.phase === "executing";
  return isExecuting && ((task.findings ?? []).length > 0 || TAKEN_OVER.includes(task.key)) || heard.armed && heard.gps_fix !== null && heard.gps_fix < 3;
}

/** What it does now, in one line. */
export function doingText(view) {
  const looking = lookingOf(view.drone), { mode } = view.telemetry;
  if (isFlying(view) && ENDS.includes(mode)) return modeText(mode);       // whatever it was sent for
  if (looking) return t("drone.looks_at", { contact: looking.contact });
  if (view.task && !isOver(view.task)) return [t(`task.${view.task.phase}`), sentForText(view)].filter(Boolean).join(" · ");
  return isFlying(view) ? modeText(view.telemetry.mode) : t("drone.on_ground");
}

export function linkText(view) {
  const age = ageOf(view);
  // Nobody tells of it any more: what its link was then says nothing of now.
  if (view.telemetry.link === "connected" && freshness(age) === "stale") return t("contact.not_seen_for", { age: ageText(age) });
  return `${t(`link.${view.telemetry.link}`)}${age >= FRESH_S ? ` · ${ageText(age)}` : ""}`;
}

/** "1 reason" and "2 reasons": of a plan that did not pass. */
export function refusedText(n) { return n === 1 ? t("offer.refused_one") : t("offer.refused", { n }); }

/** Whether a plan was refused for its battery. What is then said is the worst case, and what is to be expected is not put beside it. */
export function isTooLong(offer) { return offer.check?.passed === false && (offer.check.findings ?? []).some((finding) => finding.rule === "energy"); }

export function percent(value) { return value === null || value === undefined ? "–" : `${number(Math.round(value), 0)} %`; }

/** "± 4 s" beside a time that is promised; nothing where nobody said how far it may be off. */
export function spreadText(spread, unit) { return spread === null || spread === undefined ? "" : `± ${number(spread, unit === "%" ? 1 : 0)} ${unit}`; }

export function durationText(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const s = Math.max(0, Math.round(seconds));
  return s < 90 ? t("age.seconds", { n: s }) : t("age.minutes", { n: Math.floor(s / 60), s: String(s % 60).padStart(2, "0") });
}
