// One drone before its pilot: how it stands, what it does, how it is called back, and what it shall fly next.

import { fact, make, refill } from "./dom.js";
import { ageText, clockText } from "./format.js";
import { ageOf, ageOfValue, command, droneNames, findingText, forget, freshness, isFlying, isOver, itemName, linkText, lookingOf, modeText, offerOfOrder,
  openOffers, orderAt, percent, reliefOf, secondsLeft, sentForText, waitingTasks, whyNoFleet, wishOf, words } from "./fleet.js";
import { holdButton, isHeld } from "./hold.js";
import { investigateSection } from "./investigate.js";
import { number, onLanguage, t } from "./language.js";
import { markLeg, offerParts } from "./pilot_offer.js";
import { draft, isComplete, pilot, wishOfDraft, change } from "./pilot_draft.js";
import { planForm, planKey } from "./pilot_plan.js";
import { showOffer } from "./pilot_map.js";
import { now, on, onCalmly, selectedContact, state, tell } from "./state.js";

const PHASES = ["created", "sent", "received", "accepted", "executing", "done"];
const PENDING = ["sending", "waiting", "under_way"];
const LOW_PERCENT = 30, OLDER_S = 3;
const MARKS = { off: "–", pass: "✓", warning: "!", running: "…", soft_failure: "▲", failure: "✕", error: "✕" };
const PARTS = ["none", "head", "acts", "doing", "look", "plan", "offer", "launch", "preflight", "waiting"];
let root = null, shownOffer = null, answered = null;
const boxes = {}, keys = {}, holds = new Map();

export function startPanel(element) {
  root = element;
  onLanguage(() => { for (const name of PARTS) keys[name] = null; holds.clear(); render(); });
  for (const name of PARTS) { boxes[name] = make("div", { class: `part part-${name}` }); keys[name] = null; }
  root.replaceChildren(...PARTS.map((name) => boxes[name]));
  for (const topic of ["fleet", "draft", "selection"]) on(topic, render);
  on("leg", () => markLeg(root));
  onCalmly("picture", render, 300);
  setInterval(render, 500);
  render();
}

export function chooseDrone(drone) {
  if (pilot.drone === drone) return;
  pilot.drone = drone;
  pilot.leg = null;
  keys.look = null;
  root.scrollTop = 0;
  tell("fleet");
}

/** The offer that the chosen drone's panel shows; none while the form is open. */
export function theOffer() {
  const drone = pilot.drone;
  if (!drone || pilot.isPlanning.has(drone)) return null;
  const own = offerOfOrder(orderAt(`plan:${drone}`)?.id);
  if (own?.plan) return own;
  // Others': what may be launched, and was not overtaken by what the drone flies since.
  const since = state.drones.get(drone)?.task?.at_ns ?? 0;
  return openOffers().filter((o) => o.drone === drone && o.plan && o.check?.passed && o.made_ns > since).sort((a, b) => b.made_ns - a.made_ns)[0] ?? null;
}

export function isDrawing() {
  return Boolean(state.me?.flies) && pilot.drone !== null && pilot.isPlanning.has(pilot.drone) && ["area", "point", "orbit"].includes(draft().kind);
}

function keep(name, key, build) {
  const text = JSON.stringify(key);
  if (keys[name] === text) return;
  keys[name] = text;
  const box = boxes[name];
  if (isHeld(box)) { keys[name] = null; return; }
  refill(box, build);
}

const nothing = (name) => keep(name, null, () => []);

function render() {
  if (!root || !state.me || !state.geography) return;
  root.setAttribute("aria-label", t("pilot.title"));
  const why = state.hasPicture ? whyNoFleet() : t("node.waiting");
  const all = droneNames();
  if (pilot.drone === null && all.length) pilot.drone = all[0];
  const view = pilot.drone ? state.drones.get(pilot.drone) : null;
  keep("none", [why, Boolean(view), state.me.flies], () => [
    why ? make("div", { class: "empty" }, make("p", { class: "empty-title" }, t("pilot.none_title")), make("p", {}, why)) : null,
    state.me.flies ? null : make("p", { class: "advice looks-only" }, t("pilot.looks_only"))]);
  if (!view) { for (const name of PARTS.slice(1)) nothing(name); return; }
  head(view);
  acts(view);
  doing(view);
  look();
  planning(view, why);
  preflight(view);
  queued();
}

// ---------------------------------------------------------------------------------------------------------- how it stands

/** With its age where it is older than the drone's last word, whose own age stands beside the link. */
function aged(view, name, text) {
  const age = ageOfValue(view, name), isOlder = age > ageOf(view) + OLDER_S;
  return make("span", { class: freshness(age) }, text, isOlder ? make("small", {}, ` ${t("age.ago", { age: ageText(age) })}`) : null);
}

function head(view) {
  const h = view.telemetry, old = Math.round(ageOf(view));
  const charge = h.battery_percent, low = charge !== null && charge < LOW_PERCENT;
  const ages = ["battery_percent", "gps_fix", "height_above_home_m", "ground_speed_m_s"].map((n) => freshness(ageOfValue(view, n)) === "fresh" ? 0 : Math.round(ageOfValue(view, n)));
  keep("head", [view.drone, h.mode, h.armed, h.link, old < 3 ? 0 : old, percent(charge), h.battery_v?.toFixed(1), h.gps_fix, h.gps_satellites, h.height_above_home_m?.toFixed(0), h.ground_speed_m_s?.toFixed(0), h.wind_m_s?.toFixed(0), ages, h.autopilot], () => {
    const fill = make("i", {});
    fill.style.width = `${charge === null ? 0 : Math.max(2, Math.min(100, charge))}%`;
    return [
      make("header", { class: "drone-head" },
        make("h2", {}, view.drone, h.simulated ? make("span", { class: "sim" }, "SIM") : null),
        make("p", { class: `drone-link ${h.link} ${freshness(ageOf(view))}` }, make("span", { "aria-hidden": "true" }, h.link === "connected" && freshness(ageOf(view)) !== "stale" ? "● " : h.link === "late" ? "◐ " : "○ "), linkText(view))),
      make("div", { class: `battery ${low ? "low" : ""}` },
        make("div", { class: "battery-bar", "aria-hidden": "true" }, fill),
        make("p", {}, make("b", {}, low ? "▼ " : "", percent(charge)), h.battery_v === null ? null : make("span", {}, `${number(h.battery_v, 1)} V`), aged(view, "battery_percent", ""))),
      make("dl", { class: "drone-facts" },
        fact(t("drone.mode"), aged(view, "mode", h.armed || h.link !== "connected" ? modeText(h.mode) : t("drone.on_ground")), make("span", { class: "aside" }, t(h.armed ? "drone.armed" : "drone.disarmed"))),
        fact(t("drone.height"), h.height_above_home_m === null ? "–" : aged(view, "height_above_home_m", `${number(h.height_above_home_m, 0)} m`)),
        fact(t("fact.speed"), h.ground_speed_m_s === null ? "–" : aged(view, "ground_speed_m_s", `${number(h.ground_speed_m_s, 0)} m/s`)),
        h.wind_m_s === null || h.wind_m_s === undefined ? null : fact(t("drone.wind"), `${number(h.wind_m_s, 0)} m/s`),
        fact("GPS", h.gps_fix === null ? "–" : aged(view, "gps_fix", h.gps_fix >= 3 ? "3D" : t("drone.no_fix")), h.gps_satellites === null || h.gps_satellites === undefined ? null : make("span", { class: "aside" }, t("drone.satellites", { n: h.gps_satellites })))),
    ];
  });
}

// --------------------------------------------------------------------------------------------------- what stops and returns

const order = (action, drone) => command({ action, drone }, `do:${drone}`);

function hold(id, kind, hint, onHeld) {
  if (!holds.has(id)) holds.set(id, holdButton(kind, hint, onHeld));
  return holds.get(id);
}

/** Key R, and the largest button: one press, no question. */
export function returnNow() {
  const view = state.drones.get(pilot.drone);
  if (view && state.me.flies && isFlying(view)) order("return", view.drone);
}

function acts(view) {
  const flying = isFlying(view), mode = view.telemetry.mode, done = orderAt(`do:${view.drone}`);
  if (!flying || !state.me.flies) { onGround(view, flying, done); return; }
  const isBack = mode === "RTL" || mode === "LAND", isPaused = ["BRAKE", "LOITER", "POSHOLD"].includes(mode) || done?.action === "pause" && done.state === "done" && mode !== "AUTO";
  const land = hold(`land:${view.drone}`, "land", "land-hint", () => order("land", pilot.drone));
  land.set(t("act.land"), t("hold.short"));
  const said = done && (done.state !== "done" || done.passed < 20) ? done : null;
  keep("acts", [view.drone, isBack, mode, isPaused], () => [
    make("button", { type: "button", class: "return", "data-focus": "return", onclick: () => order("return", view.drone) },
      make("span", {}, t("act.return"), make("kbd", { "aria-hidden": "true" }, "R")), make("small", {}, mode === "RTL" ? t("order_now.returns", { drone: view.drone }) : view.drone)),
    make("div", { class: "acts" },
      isPaused ? make("button", { type: "button", "data-focus": "pause", onclick: () => order("resume", view.drone) }, t("act.resume"))
        : isBack ? null : make("button", { type: "button", "data-focus": "pause", onclick: () => order("pause", view.drone) }, t("act.pause")),
      land),
    make("p", { class: "unseen", id: "land-hint" }, t("hold.hint")),
    make("div", { class: "act-said" })]);
  fill(boxes.acts.querySelector(".act-said"), [said?.state, said?.words, said?.action], () => (said ? [orderLine(said)] : []));
}

/** A simulated drone gets a new battery at a press; that of a real one is changed by hand. */
function onGround(view, flying, done) {
  const said = done?.action === "swap_battery" && (done.state !== "done" || done.passed < 20) ? done : null;
  const canSwap = !flying && state.me.flies && view.telemetry.simulated && view.telemetry.link === "connected";
  keep("acts", ["ground", view.drone, flying, canSwap, said?.state, said?.words], () => [
    make("p", { class: "on-ground" }, flying ? "" : t("pilot.on_ground")),
    canSwap ? make("div", { class: "acts" }, make("button", { type: "button", "data-focus": "swap", disabled: PENDING.includes(said?.state), onclick: () => order("swap_battery", view.drone) }, t("act.swap_battery"))) : null,
    canSwap && said ? orderLine(said) : null]);
}

/** Only this part of a box, so that the buttons beside it stay. */
function fill(part, key, build) {
  const text = JSON.stringify(key);
  if (!part || part.dataset.key === text) return;
  part.dataset.key = text;
  refill(part, build);
}

function orderLine(said) {
  const bad = ["failed", "refused", "late"].includes(said.state);
  return make("p", { class: bad ? "fleet-trouble" : "fleet-progress", role: "status" }, make("span", { "aria-hidden": "true" }, bad ? "✕ " : said.state === "done" ? "✓ " : "… "), said.action === "launch" ? t("act.launched", { drone: said.drone }) : t(`act.${said.action}`), ": ", said.words);
}

// ------------------------------------------------------------------------------------------------------------- what it does

function doing(view) {
  const task = view.task, looking = lookingOf(view.drone), relief = reliefOf(view.drone), wish = wishOf(view);
  const findings = task && !isOver(task) ? task.findings ?? [] : [];
  if (!task) { nothing("doing"); return; }
  keep("doing", [view.drone, task, looking, relief, wish, view.telemetry.mode, view.telemetry.mission_item, view.telemetry.mission_total], () => {
    const at = PHASES.indexOf(task.phase), failed = ["failed", "cancelled"].includes(task.phase);
    return [make("section", { class: "doing" },
      make("h3", {}, t("pilot.task"), make("small", {}, sentForText(view))),
      make("ol", { class: "phases", "aria-label": t("pilot.task") }, PHASES.map((phase, i) => make("li", { class: failed ? "" : i < at ? "done" : i === at ? "now" : "", "aria-current": !failed && i === at ? "step" : null }, t(`task.${phase}`)))),
      failed ? make("p", { class: task.phase === "failed" ? "fleet-trouble" : "fleet-progress" }, make("span", { "aria-hidden": "true" }, task.phase === "failed" ? "✕ " : "■ "), t(`task.${task.phase}`), ": ", words(task.key, task.params, task.sentence))
        : make("p", { class: "task-words" }, words(task.key, task.params, task.sentence), make("small", {}, clockText(task.at_ns / 1e6))),
      isOver(task) || view.telemetry.mode !== "AUTO" || view.telemetry.mission_item === null ? null : make("p", { class: "task-words" }, t("pilot.waypoint", { n: view.telemetry.mission_item, of: view.telemetry.mission_total ?? "–" })),
      looking ? make("p", { class: `looks ${looking.inView ? "in-view" : ""}` }, make("span", { "aria-hidden": "true" }, looking.inView ? "◉ " : "○ "), t("drone.looks_at", { contact: looking.contact }), " · ", t(looking.inView ? "drone.in_view" : "drone.not_in_view")) : null,
      relief ? make("p", {}, t("drone.relief_value", relief)) : null,
      findings.length ? make("ul", { class: "fleet-reasons warned" }, findings.map((f) => make("li", {}, findingText(f)))) : null)];
  });
}

/** The contact that was chosen on the map: to be looked at by this drone. */
function look() {
  const contact = selectedContact();
  keep("look", [contact?.id ?? null, pilot.drone], () => contact ? [make("div", { class: "look" },
    make("p", { class: "look-at" }, t("pilot.chosen_contact", { contact: contact.id })), investigateSection(contact.id, pilot.drone))] : []);
}

// ------------------------------------------------------------------------------------------------- plan, check, launch

function planning(view, why) {
  const drone = view.drone, asked = orderAt(`plan:${drone}`), launched = orderAt(`launch:${drone}`);
  if (!state.me.flies || why) { for (const name of ["plan", "offer", "launch"]) nothing(name); return; }
  const own = offerOfOrder(asked?.id);
  if (own?.plan && answered !== own.order_id) {      // what was asked for has come, whatever the answer said that came before it
    answered = own.order_id;
    pilot.isPlanning.delete(drone);
  }
  const offer = theOffer(), isAsking = asked && PENDING.includes(asked.state);
  if (!offer && !pilot.isPlanning.has(drone) && !isFlying(view) && !isAsking && !isLaunching(launched, view) && (!view.task || isOver(view.task))) pilot.isPlanning.add(drone);
  if (pilot.isPlanning.has(drone)) form(view, asked);
  else keep("plan", ["shut", Boolean(offer), isAsking, isLaunching(launched, view)], () => isAsking ? [make("p", { class: "fleet-progress", role: "status" }, t("plan.checking"))]
    : [make("button", { type: "button", class: "plan-open", "data-focus": "plan-open", onclick: () => openForm(drone) }, t(offer ? "plan.change" : "plan.new"), make("kbd", { "aria-hidden": "true" }, "P"))]);
  if (!offer) { nothing("offer"); launchLine(launched, view); return; }
  keep("offer", [offer], () => [make("section", { class: "offer" }, offerParts(offer, () => shorten(offer)))]);
  if (shownOffer !== offer.order_id) {
    shownOffer = offer.order_id;
    showOffer(offer);
    tell("draft");
    // Whoever asked has the verdict before them, and not only the button that launches.
    if (offer === own) root.scrollTop += boxes.offer.getBoundingClientRect().top - (boxes.acts.querySelector(".return") ? boxes.acts.getBoundingClientRect().bottom : root.getBoundingClientRect().top);
  }
  launchButton(view, offer, launched);
}

const isLaunching = (launched, view) => Boolean(launched) && view.task?.plan_id !== launched.plan && (PENDING.includes(launched.state) || (launched.state === "done" && launched.passed < 60));

export function openForm(drone = pilot.drone) {
  if (!drone || !state.me.flies) return;
  pilot.isPlanning.add(drone);
  forget(`launch:${drone}`);
  tell("draft");
}

function form(view, asked) {
  const bad = asked && asked.kind === draft().kind && ["failed", "refused", "late"].includes(asked.state) ? asked.words : "";
  keep("plan", [planKey(), bad, isFlying(view)], () => [make("section", { class: "plan" },
    make("h3", {}, t("plan.title", { drone: view.drone })), planForm(),
    make("div", { class: "row" },
      bad ? make("p", { class: "fleet-trouble", role: "status" }, make("span", { "aria-hidden": "true" }, "✕ "), bad) : null,
      make("button", { type: "button", class: "primary check", disabled: !isComplete(), "data-focus": "check", onclick: () => check(view.drone) }, t("plan.check")),
      isFlying(view) || openOffers().some((o) => o.drone === view.drone && o.plan) ? make("button", { type: "button", "data-focus": "plan-shut", onclick: () => { pilot.isPlanning.delete(view.drone); tell("draft"); } }, t("plan.shut")) : null))]);
}

/** Of a corridor that is shared each drone is asked for its own share, and gets an offer of its own. */
async function check(drone) {
  const wish = wishOfDraft();
  for (const other of wish.drones ?? []) {
    if (other === drone) continue;
    pilot.isPlanning.delete(other);
    command({ action: "plan", drone: other, wish, fit: draft().fit }, `plan:${other}`);
  }
  pilot.isPlanning.delete(drone);
  forget(`launch:${drone}`);
  const id = await command({ action: "plan", drone, wish, fit: draft().fit }, `plan:${drone}`);
  if (!id) { pilot.isPlanning.add(drone); tell("draft"); }
}

/** The same flight, as long as the battery lets it be. */
function shorten(offer) {
  forget(`launch:${offer.drone}`);
  command({ action: "plan", drone: offer.drone, wish: offer.wish, fit: true }, `plan:${offer.drone}`);
}

function launchLine(launched, view) {
  const bad = launched && ["failed", "refused", "late"].includes(launched.state);
  if (!launched || (!bad && !isLaunching(launched, view))) { nothing("launch"); return; }
  keep("launch", [launched.state, launched.words], () => [orderLine(launched.state === "done" ? { ...launched, words: t("order_now.begins") } : launched)]);
}

function launchButton(view, offer, launched) {
  const busy = isFlying(view);
  const button = hold(`launch:${offer.plan_id}`, "launch", "launch-hint", () => launch(offer));
  const sending = launched?.plan === offer.plan_id && [...PENDING, "done"].includes(launched.state);
  button.set(t(busy ? "act.launch_now" : "act.launch", { drone: offer.drone }),
    t("hold.battery_home", { battery: percent(view.telemetry.battery_percent), home: percent(offer.left_percent) }), sending);
  keep("launch", [offer.plan_id, offer.check?.passed, launched?.state, launched?.words, busy], () => [make("section", { class: "launch-part" },
    offer.check?.passed ? [button, make("p", { class: "hold-hint", id: "launch-hint" }, t("hold.hint"), " ", make("span", { class: "offer-left" }))] : null,
    busy && offer.check?.passed ? make("label", { class: "switch" }, make("input", { type: "checkbox", checked: draft().wait, "data-focus": "wait", onchange: (event) => change({ wait: event.target.checked }) }), t("plan_field.wait")) : null,
    launched ? orderLine(launched) : null,
    make("button", { type: "button", class: "quiet", "data-focus": "discard", onclick: () => discard(offer) }, t(offer.check?.passed ? "offer.discard" : "offer.discard_refused")))]);
  const left = boxes.launch.querySelector(".offer-left"), text = t("offer.holds_for", { seconds: Math.max(0, Math.floor(secondsLeft(offer) / 10) * 10) });
  if (left && left.textContent !== text) left.textContent = text;
}

function launch(offer) { command({ action: "launch", drone: offer.drone, plan_id: offer.plan_id, wait: draft().wait }, `launch:${offer.drone}`); }

function discard(offer) {
  forget(`plan:${offer.drone}`);
  forget(`launch:${offer.drone}`);
  command({ action: "withdraw", drone: offer.drone, plan_id: offer.plan_id }, `withdraw:${offer.drone}`);
  pilot.isPlanning.add(offer.drone);
  tell("draft");
}

// ------------------------------------------------------------------------------------------------------- pre-flight, queue

function preflight(view) {
  const p = view.preflight;
  if (!p) { nothing("preflight"); return; }
  keep("preflight", [view.drone, p, Math.floor((now() - p.at_ns / 1e6) / 10_000)], () => [make("section", { class: "preflight" },
    make("h3", {}, t("drawer.preflight"), make("small", {}, t(`preflight.${p.state}`), " · ", t("age.ago", { age: ageText((now() - p.at_ns / 1e6) / 1000) }))),
    make("ul", {}, p.items.map((item) => make("li", { class: item.state }, make("span", { class: "mark", "aria-hidden": "true" }, MARKS[item.state]),
      make("b", {}, itemName(item.name)), make("em", {}, t(`preflight.${item.state}`)), make("span", { class: "said-by" }, words(item.key, item.params, item.sentence))))))]);
}

function queued() {
  const tasks = waitingTasks();
  keep("waiting", [tasks, state.me.flies], () => tasks.length ? [make("section", { class: "waiting-tasks" }, make("h3", {}, t("queue_of.title", { n: tasks.length })),
    make("ol", {}, tasks.map((task) => make("li", {}, make("span", {}, make("b", {}, task.drone || t("queue_of.any")), " · ", t(`flight.${task.kind}`), task.contact ? ` ${task.contact}` : "",
      make("small", {}, t("queue_of.by", { person: task.person, priority: task.priority, at: clockText(task.since_ns / 1e6) }))),
    state.me.flies ? make("button", { type: "button", "data-focus": `withdraw-${task.plan_id}`, onclick: () => command({ action: "withdraw", drone: task.drone, plan_id: task.plan_id }, `withdraw:${task.plan_id}`) }, t("offer.withdraw")) : null))))] : []);
}

