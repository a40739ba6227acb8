// Investigate: a drone goes and looks at a contact. What it would take, held to confirm, and then how far it is, to its end.

import { cap, fact, glyph, make, refill } from "./dom.js";
import { clockText } from "./format.js";
import { command, durationText, findingText, forget, isOver, isTooLong, lookingOf, offerOfOrder, openOffers, orderAt, percent, refusedText, reliefOf, secondsLeft, spreadText,
  waitingTasks, whyNoFleet, wishOf, words } from "./fleet.js";
import { holdButton, isHeld } from "./hold.js";
import { onLanguage, t } from "./language.js";
import { metresBetween } from "./ground.js";
import { on, onCalmly, selectedContact, state } from "./state.js";

const BEGINS_WITHIN_S = 10;     // a launch that was accepted shows as a flight by then, or the drone is back at what it did before
const PENDING = ["sending", "waiting", "under_way"];
const shown = new Map();        // contact id -> {root, key, hold, plan, was: whether it has been on the page, waits: whether who asked has not got an answer}

export function startInvestigate() {
  onCalmly("picture", drawAll, 300);
  on("fleet", drawAll);
  onLanguage(() => { shown.clear(); });
  setInterval(drawAll, 1000);
}

function drawAll() {
  for (const [id, part] of shown) {
    if (part.root.isConnected) part.was = true;
    else if (part.was) { shown.delete(id); continue; }
    draw(id, part);
  }
}

/** The section of a contact; it keeps itself up to date as long as it is on the page. `drone`: the one it is asked of. */
export function investigateSection(id, drone = "") {
  const part = { root: make("section", { class: "investigate" }), key: "", hold: null, plan: null, was: false, waits: false, drone };
  shown.set(id, part);
  draw(id, part);
  return part.root;
}

/** Key I: ask what it would take to look at what is selected. */
export function investigateSelected() {
  const contact = selectedContact();
  if (contact && mayAsk(contact) && !whyNoFleet() && !flightTo(contact.id)) ask(contact.id, shown.get(contact.id)?.drone ?? "");
}

function mayAsk(contact) { return Boolean(state.me?.sends) && !state.isReplay && contact.state !== "ended" && !(contact.simulated && state.realm === "live"); }

function ask(id, drone) {
  const part = shown.get(id);
  if (part) part.waits = true;
  forget(`launch:${id}`);
  command({ action: "plan", drone, wish: { kind: "investigate", contact: id } }, `plan:${id}`);
}

/** The drone that is on its way to a contact, or looks at it, or has looked last; with how far it has come. */
function flightTo(id) {
  let last = null;
  for (const view of state.drones.values()) {
    const looking = lookingOf(view.drone), wish = wishOf(view);
    const isMeant = looking?.contact === id || (wish?.contact === id && ["investigate", "relief"].includes(wish.kind));
    if (!isMeant) continue;
    const found = { view, looking: looking?.contact === id ? looking : null, over: looking?.contact !== id && isOver(view.task) };
    if (!found.over) return found;
    if (!last || view.task.at_ns > last.view.task.at_ns) last = found;
  }
  return last;
}

function offerFor(id) {
  const own = offerOfOrder(orderAt(`plan:${id}`)?.id);
  return own ?? openOffers().find((o) => o.wish.kind === "investigate" && o.wish.contact === id && o.plan) ?? null;
}

function draw(id, part) {
  const contact = state.contacts.get(id);
  const flight = flightTo(id), waits = waitingTasks().find((task) => task.contact === id);
  const offer = offerFor(id), asked = orderAt(`plan:${id}`), launched = orderAt(`launch:${id}`);
  const title = make("h3", {}, t("investigate.title"));
  if (flight && !flight.over) return put(part, flying(id, flight), title);
  if (waits) return put(part, { key: ["waits", waits], build: () => waiting(waits) }, title);
  if (!state.me?.sends || state.isReplay || !contact) return put(part, flight ? ended(flight, null) : { key: ["none"], build: () => [] }, flight ? title : null);
  if (contact.simulated && state.realm === "live") return put(part, { key: ["sim"], build: () => [make("p", { class: "advice" }, make("span", { class: "sim" }, "SIM"), " ", t("investigate.simulated"))] }, title);
  const why = whyNoFleet();
  if (why) return put(part, { key: ["why", why], build: () => [make("p", { class: "advice" }, why)] }, title);
  const isBack = launched?.state === "done" && launched.passed > BEGINS_WITHIN_S && state.drones.get(launched.drone)?.task;
  if (isBack && !flight && !offer && !(asked && PENDING.includes(asked.state))) {
    return put(part, ended({ view: state.drones.get(launched.drone) }, contact.state === "ended" ? null : () => askButton(id, part, t("investigate.again")), "done"), title);
  }
  if (launched && !isBack && [...PENDING, "done"].includes(launched.state)) return put(part, { key: ["launched", launched.state, launched.words], build: () => [progress(launched.state === "done" ? t("order_now.begins") : launched.words)] }, title);
  if (launched && !isBack) return put(part, { key: ["refused", launched.words], build: () => [trouble(launched.words), askButton(id, part, t("investigate.again"))] }, title);
  if (offer?.plan) return offered(id, part, offer, title);
  if (offer) return put(part, { key: ["nothing", offer], build: () => [trouble(ofOnlyOne(offer, words(offer.key, offer.params, offer.sentence))), reasons(offer), others(offer), askButton(id, part, t("investigate.again"))] }, title);
  if (asked && PENDING.includes(asked.state)) return put(part, { key: ["asked"], build: () => [progress(t("investigate.asked"))] }, title);
  if (asked && asked.state !== "done") return put(part, { key: ["no", asked.words], build: () => [trouble(asked.words), askButton(id, part, t("investigate.again"))] }, title);
  if (contact.state === "ended") return put(part, flight ? ended(flight, null) : { key: ["gone"], build: () => [make("p", { class: "advice" }, t("investigate.gone"))] }, title);
  return put(part, flight ? ended(flight, () => askButton(id, part, t("investigate.again"))) : { key: ["ask", part.drone], build: () => [askButton(id, part, t("investigate.button"))] }, title);
}

function put(part, content, title) {
  const key = JSON.stringify(content.key);
  content.update?.();
  if (part.key === key || isHeld(part.root)) return;
  part.key = key;
  const isLost = refill(part.root, () => [title, content.build()]);
  content.update?.();
  if (isLost) part.root.querySelector("button")?.focus();
}

function askButton(id, part, text) {
  return make("button", { type: "button", class: "primary investigate-ask", "data-focus": "investigate", onclick: () => ask(id, part.drone) }, glyph("drone"), make("span", {}, text), cap("I"));
}

function progress(text) { return make("p", { class: "fleet-progress", role: "status" }, text); }

function trouble(text) { return make("p", { class: "fleet-trouble", role: "status" }, make("span", { "aria-hidden": "true" }, "✕ "), text); }

function reasons(offer) {
  const all = offer.findings?.length ? offer.findings : offer.check?.findings ?? [];
  return all.length ? make("ul", { class: "fleet-reasons" }, all.map((f) => make("li", {}, findingText(f)))) : null;
}

/** Drones that were not chosen, and why. */
function others(offer) {
  const isTheAnswer = !offer.plan && offer.others?.length === 1 && words(offer.others[0].key, offer.others[0].params, offer.others[0].sentence) === words(offer.key, offer.params, offer.sentence);
  if (!offer.others?.length || isTheAnswer) return null;
  return make("details", { class: "not-chosen", open: !offer.plan }, make("summary", {}, t("investigate.others", { n: offer.others.length })),
    make("ul", {}, offer.others.map((o) => make("li", {}, make("b", {}, o.drone), " ", words(o.key, o.params, o.sentence)))));
}

/** An answer that is about one drone alone names it. */
function ofOnlyOne(offer, text) {
  const drone = offer.others?.length === 1 ? offer.others[0].drone : "";
  return !drone || text.includes(drone) ? text : `${drone}: ${text}`;
}

/** Of a contact: where its orders stand on this page. The second drone's are not the first one's. */
const PLACES = { look: { plan: "plan", launch: "launch", hold: "investigate.hold" }, relief: { plan: "relief", launch: "relief-launch", hold: "relieve.hold" } };

/** What it would take, and the button that is held. */
function offered(id, part, offer, title, at = PLACES.look, again = askButton) {
  if (part.plan !== offer.plan_id) {
    part.plan = offer.plan_id;
    part.hold = holdButton("launch", `hold-${offer.plan_id}`, () => launch(id, offer, at));
  }
  const view = state.drones.get(offer.drone), passed = offer.check?.passed;
  const update = () => {
    part.hold.set(t(at.hold, { drone: offer.drone }), t("hold.battery_home", { battery: percent(view?.telemetry.battery_percent), home: percent(offer.left_percent) }));
    const left = part.root.querySelector(".offer-left");
    const text = t("offer.holds_for", { seconds: Math.max(0, Math.floor(secondsLeft(offer))) });
    if (left && left.textContent !== text) left.textContent = text;
  };
  const build = () => [
    make("dl", { class: "facts offer-facts" },
      fact(t("offer.drone"), make("b", {}, offer.drone), offer.airborne ? make("span", { class: "aside" }, t("offer.airborne")) : null),
      fact(t("offer.arrives"), make("b", {}, durationText(offer.arrives_s)), make("span", { class: "aside" }, spreadText(offer.arrives_spread_s, "s"))),
      isTooLong(offer) ? null : fact(t("offer.energy"), make("b", {}, percent(offer.energy_percent)), make("span", { class: "aside" }, spreadText(offer.energy_spread_percent, "%")), make("span", { class: "aside" }, t("offer.lands_with", { percent: percent(offer.left_percent) }))),
      offer.resumes ? fact(t("offer.afterwards"), t("offer.resumes")) : null),
    passed ? null : [trouble(refusedText(offer.check?.findings.length ?? 0)), reasons(offer)],
    others(offer),
    passed ? part.hold : null,
    passed ? make("p", { class: "hold-hint", id: `hold-${offer.plan_id}` }, t("hold.hint"), " ", make("span", { class: "offer-left" })) : null,
    make("div", { class: "row" }, make("button", { type: "button", class: "quiet", onclick: () => discard(id, offer, at) }, t(passed ? "offer.discard" : "offer.discard_refused")),
      passed ? null : again(id, part, t("investigate.again"))),
  ];
  put(part, { key: ["offer", offer.plan_id, passed], build, update }, title);
  // Who asked has the answer under the keys, however it came; unless they are writing something by now.
  if (part.waits && passed && part.hold.isConnected && !document.activeElement?.matches("input, textarea, select")) part.hold.focus();
  part.waits = false;
}

function launch(id, offer, at) { command({ action: "launch", drone: offer.drone, plan_id: offer.plan_id, priority: 1 }, `${at.launch}:${id}`); }

function discard(id, offer, at) {
  forget(`${at.plan}:${id}`);
  command({ action: "withdraw", drone: offer.drone, plan_id: offer.plan_id }, `withdraw:${id}`);
}

/** Under a drone that looks: another one takes over, by hand. For those who fly; the fleet itself does it when a battery ends. */
function drawRelief(id, first) {
  const part = shown.get(id);
  part.relief ??= { root: make("section", { class: "relieve" }), key: "", hold: null, plan: null, waits: false };
  const sub = part.relief, asked = orderAt(`relief:${id}`), launched = orderAt(`relief-launch:${id}`);
  const offer = offerOfOrder(asked?.id) ?? openOffers().find((o) => o.wish.kind === "relief" && o.wish.contact === id && o.plan) ?? null;
  if (!state.me?.flies || state.isReplay || !lookingOf(first) || reliefOf(first)) return put(sub, { key: ["none"], build: () => [] }, null);
  const title = make("h4", {}, t("relieve.title", { drone: first }));
  const again = () => reliefButton(id, t("investigate.again"));
  if (launched && [...PENDING, "done"].includes(launched.state)) return put(sub, { key: ["launched", launched.words], build: () => [progress(launched.words)] }, title);
  if (launched) return put(sub, { key: ["refused", launched.words], build: () => [trouble(launched.words), again()] }, title);
  if (offer?.plan) return offered(id, sub, offer, title, PLACES.relief, again);
  if (offer) return put(sub, { key: ["nothing", offer], build: () => [trouble(words(offer.key, offer.params, offer.sentence)), others(offer), again()] }, title);
  if (asked && PENDING.includes(asked.state)) return put(sub, { key: ["asked"], build: () => [progress(t("investigate.asked"))] }, title);
  if (asked && asked.state !== "done") return put(sub, { key: ["no", asked.words], build: () => [trouble(asked.words), again()] }, title);
  return put(sub, { key: ["ask", first], build: () => [reliefButton(id, t("relieve.button", { drone: first }))] }, null);
}

function reliefButton(id, text) {
  return make("button", { type: "button", class: "relieve-ask", "data-focus": "relieve", onclick: () => {
    shown.get(id).relief.waits = true;
    forget(`relief-launch:${id}`);
    command({ action: "plan", drone: "", wish: { kind: "relief", contact: id } }, `relief:${id}`);
  } }, text);
}

function waiting(task) {
  return [progress(t("investigate.waits", { drone: task.drone, person: task.person })),
    state.me?.sends && !state.isReplay ? make("div", { class: "row" }, make("button", { type: "button", onclick: () => command({ action: "withdraw", drone: task.drone, plan_id: task.plan_id }, `withdraw:${task.contact}`) }, t("offer.withdraw"))) : null];
}

/** On its way, or looking: what it does, how far it is, whether it has the contact in its picture; and the way back. */
function flying(id, { view, looking }) {
  const heard = view.telemetry, contact = state.contacts.get(id), relief = reliefOf(view.drone);
  const far = heard.position && contact ? Math.round(metresBetween(heard.position, contact.position) / 10) * 10 : null;
  const order = orderAt(`return:${view.drone}`), isBack = ["RTL", "LAND"].includes(heard.mode);
  const live = () => [
    make("ol", { class: "steps" }, ["accepted", "executing", "in_view"].map((step) => {
      const done = step === "accepted" ? view.task !== null && view.task.phase !== "created" && view.task.phase !== "sent" && view.task.phase !== "received"
        : step === "executing" ? view.task?.phase === "executing" : looking?.inView === true;
      return make("li", { class: done ? "done" : "" }, make("span", { "aria-hidden": "true" }, done ? "● " : "○ "), t(`investigate_step.${step}`), make("span", { class: "unseen" }, done ? ` ${t("steps.reached")}` : ""));
    })),
    make("dl", { class: "facts offer-facts" },
      fact(t("offer.drone"), make("b", {}, view.drone), make("span", { class: "aside" }, t(`link.${heard.link}`))),
      far === null ? null : fact(t("investigate.distance"), `${far} m`),
      fact(t("fact.battery"), percent(heard.battery_percent)),
      view.task ? fact(t("fact.task"), t(`task.${view.task.phase}`), make("span", { class: "second" }, words(view.task.key, view.task.params, view.task.sentence))) : null,
      relief ? fact(t("drone.relief"), t("drone.relief_value", relief)) : null),
    view.task?.findings?.length ? make("ul", { class: "fleet-reasons warned" }, view.task.findings.map((f) => make("li", {}, findingText(f)))) : null,
    order && order.state !== "done" && !isBack ? (PENDING.includes(order.state) ? progress(order.words) : trouble(order.words)) : null,
  ];
  const build = () => [make("div", { class: "live" }),
    state.me?.sends && !state.isReplay ? (isBack ? progress(t("order_now.returns", { drone: view.drone }))
      : make("button", { type: "button", class: "return", "data-focus": "return", onclick: () => command({ action: "return", drone: view.drone }, `return:${view.drone}`) }, t("act.return"), make("small", {}, view.drone))) : null,
    shown.get(id)?.relief?.root ?? null,
  ];
  const now_ = JSON.stringify([view.task?.phase, view.task?.sentence, looking, far, percent(heard.battery_percent), heard.link, order?.state, order?.words, relief, view.task?.findings ?? []]);
  const update = () => {          // what moves is filled in anew; the button stays where it is
    drawRelief(id, view.drone);
    const part = shown.get(id)?.root.querySelector(".live");
    if (!part || part.dataset.key === now_) return;
    part.dataset.key = now_;
    part.replaceChildren(...live().filter(Boolean));
  };
  return { key: ["flying", view.drone, isBack], build, update };
}

/** How the last look ended; and the button to look again. phase: of the look, where the drone's task is another one by now. */
function ended({ view }, again, phase = view.task.phase) {
  const task = view.task;
  return { key: ["ended", view.drone, task, phase, Boolean(again)], build: () => [
    make("p", { class: `fleet-ended ${phase}` }, make("span", { "aria-hidden": "true" }, phase === "done" ? "✓ " : "✕ "),
      t("investigate.ended", { drone: view.drone, how: t(`task.${phase}`), at: clockText(task.at_ns / 1e6) }), make("small", {}, words(task.key, task.params, task.sentence))),
    again?.() ?? null] };
}
