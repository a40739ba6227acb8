// The alarm queue: what waits for a person on top, what somebody has taken below it.

import { askLoggedIn } from "./api.js";
import { arrange, cap, classGlyph, glyph, make, priorityShape, refocus } from "./dom.js";
import { ageText, borderText, clockText, timeElement } from "./format.js";
import { enterDrawer } from "./drawer.js";
import { corridorName, onLanguage, say, t } from "./language.js";
import { personText, reasonText } from "./decision.js";
import { announce, warn } from "./status.js";
import { snapshotSource } from "./pictures.js";
import { stateEntry, chosenAlarm, isAboutNobody, isFaultOver, isWaiting, now, on, onCalmly, select, state, taken, waiting } from "./state.js";

const TAKEN_SHOWN = 30;
const DECIDED_WITHIN_MS = 10_000;      // then it is said that the station has not answered; it says so itself when its mind has not
const SIGNS = { node_silent: "node", clock_wrong: "node", position_untrusted: "node", node_elsewhere: "node", node_over_budget: "node", drone_trouble: "drone", no_coverage: "eye", nobody_watching: "eye" };
const cards = new Map();        // alarm id -> {element, signature}
const pending = new Set();      // alarms whose acknowledgement is on its way
const unfolded = new Set();     // corridors whose group in a flood a person has opened
let root = null, parts = null;

export function startQueue(element) {
  root = element;
  onCalmly("picture", render, 500);
  on("selection", () => { render(); scrollToSelected(); });
  on("replay", render);
  onLanguage(build);
  setInterval(ages, 1000);
  build();
}

function build() {
  cards.clear();
  const list = (name) => make("ul", { class: "cards", "aria-label": t(name) });
  parts = {
    tally: make("div", { class: "counts" }), body: make("div", { class: "queue-body", tabindex: "-1" }), waiting: list("queue.waiting"),
    takenHead: make("h3", {}, t("queue.taken"), make("span", { class: "tally" })), taken: list("queue.taken"),
  };
  root.setAttribute("aria-label", t("queue.title"));
  root.replaceChildren(make("header", { class: "queue-head" }, make("h2", {}, t("queue.title")), parts.tally), parts.body);
  render();
}

/** Only what has changed is changed: cards that stay are not laid out anew, and are where a finger is about to press them. */
function render() {
  if (!root) return;
  const open = waiting(), done = taken().slice(0, TAKEN_SHOWN);
  const focused = root.contains(document.activeElement) ? document.activeElement : null;
  counts(open);
  const isFlood = state.counts?.alarms?.flood;
  if (!isFlood) arrange(parts.waiting, open.map(card));
  arrange(parts.taken, done.map(card));
  parts.takenHead.lastChild.textContent = String(done.length);
  arrange(parts.body, [...(!open.length ? [nothingWaits()] : isFlood ? flood(open) : [parts.waiting]), ...(done.length ? [parts.takenHead, parts.taken] : [])]);
  const shown = new Set([...open, ...done].map((alarm) => alarm.id));
  for (const id of cards.keys()) if (!shown.has(id)) cards.delete(id);          // closed ones stay known for hours
  if (!refocus(root, focused)) cards.get(focused.closest(".card")?.dataset.id)?.element.querySelector("button").focus();     // what could be pressed is gone
}

/** Too many to read one by one: by corridor and stretch of time, as the station groups them, the most urgent first. */
function flood(open) {
  const list = (alarms, name) => make("ul", { class: "cards", "aria-label": name }, alarms.map(card));
  const byId = new Map(open.map((alarm) => [alarm.id, alarm]));
  const groups = (state.counts.alarms.groups ?? []).map((group) => ({ ...group, open: group.alarms.map((id) => byId.get(id)).filter(Boolean) }))
    .filter((group) => group.open.length > 1);
  const grouped = new Set(groups.flatMap((group) => group.open.map((alarm) => alarm.id)));
  const alone = open.filter((alarm) => !grouped.has(alarm.id));
  const urgency = (group) => Math.min(...group.open.map((alarm) => alarm.priority));
  return [make("p", { class: "flood" }, t("queue.flood")), ...[1, 2, 3].flatMap((priority) => {
    const single = alone.filter((alarm) => alarm.priority === priority);
    return [single.length ? list(single, t("queue.waiting")) : null,
      ...groups.filter((group) => urgency(group) === priority).map((group) => floodGroup(group, priority, list))];
  })].filter(Boolean);
}

/** Folded, unless a person has opened it or the chosen alarm is in it: what is chosen is never out of sight. */
function floodGroup(group, priority, list) {
  const holdsChosen = state.selection?.kind === "alarm" && group.open.some((alarm) => alarm.id === state.selection.id);
  return make("details", { class: "flood-group", "data-group": `${group.corridor} ${group.begins_ns}`, open: holdsChosen || unfolded.has(group.corridor),
    ontoggle: (event) => { if (event.target.open) unfolded.add(group.corridor); else unfolded.delete(group.corridor); } },
  make("summary", {}, priorityShape(priority, t("priority.name", { n: priority })),
    make("b", {}, group.corridor ? corridorName(group.corridor) : t("queue.flood_none")),
    make("span", {}, `${clockText(group.begins_ns / 1e6)} – ${clockText(group.ends_ns / 1e6)}`),
    make("span", {}, t("queue.flood_group", { alarms: group.open.length, contacts: group.contacts }))),
  list(group.open, t("queue.flood")));
}

function counts(open) {
  const all = [1, 2, 3].map((p) => open.filter((a) => a.priority === p).length);
  if (parts.tally.dataset.all === String(all)) return;
  parts.tally.dataset.all = String(all);
  parts.tally.replaceChildren(...all.map((n, i) => make("span", { class: `count p${i + 1}${n ? "" : " none"}`, title: t("queue.count", { priority: i + 1, n }) }, priorityShape(i + 1), String(n))));
}

function nothingWaits() {
  const watching = [...state.sensors.values()].filter((s) => s.state === "seeing").length;
  if (state.isReplay) return empty(...thatWas(watching));
  const advice = !state.hasPicture ? "queue.empty_no_picture"
    : state.sensors.size === 0 ? "queue.empty_no_sensor" : watching === 0 ? "queue.empty_blind" : "queue.empty_quiet";
  return empty(t("queue.empty"), t(advice, { n: watching, all: state.sensors.size }));
}

/** Of the past nobody is told what to do, and where nothing was kept it is not said that all was quiet. */
function thatWas(watching) {
  if (!state.replay) return [t("queue.empty_no_picture"), ""];
  if (state.replay.empty) return [t("replay.empty_title"), t("replay.empty_advice")];
  return [t("replay.quiet"), t(!state.sensors.size ? "replay.no_sensor" : watching ? "replay.watched" : "replay.blind", { n: watching, all: state.sensors.size })];
}

function empty(title, text) {
  if (parts.emptyText !== title + text) {
    parts.emptyText = title + text;
    parts.empty = make("div", { class: "empty" }, glyph("watch"), make("p", {}, title), make("p", { class: "advice" }, text));
  }
  return parts.empty;
}

function card(alarm) {
  const contact = state.contacts.get(alarm.contact);
  const chosen = state.selection?.kind === "alarm" && state.selection.id === alarm.id;
  const place = placeText(alarm, contact);
  const signature = JSON.stringify([alarm.state, alarm.priority, alarm.snapshot ?? contact?.snapshot, alarm.events.length, Boolean(place), chosen,
    pending.has(alarm.id), alarm.says, (alarm.teams ?? []).map((team) => [team.id, team.state, team.overdue])]);
  const kept = cards.get(alarm.id);
  if (kept?.signature === signature) {
    const line = kept.element.querySelector(".place");      // who walks changes it all the time
    if (line && line.textContent !== place) line.textContent = place;
    return kept.element;
  }
  const element = buildCard(alarm, contact, chosen, place);
  cards.set(alarm.id, { element, signature });
  return element;
}

function placeText(alarm, contact) {
  const named = alarm.rule === "corridor_entry" || !alarm.corridor;       // its sentence names the corridor already
  return [named ? null : corridorName(alarm.corridor), contact ? borderText(contact.border_m) : null].filter(Boolean).join(" · ");
}

function buildCard(alarm, contact, chosen, place) {
  const open = isWaiting(alarm);
  const classes = ["card", `p${alarm.priority}`, open ? "open" : "done", chosen ? "chosen" : ""].join(" ");
  return make("li", { class: classes, "data-id": alarm.id, onclick: () => select("alarm", alarm.id) },
    picture(alarm, contact),
    make("div", { class: "card-text" },
      make("button", { class: "card-title", type: "button", "aria-current": chosen ? "true" : null, "data-action": "open", "data-focus": `open ${alarm.id}` },
        priorityShape(alarm.priority, t("priority.name", { n: alarm.priority })), make("span", {}, say(alarm.says))),
      place ? make("p", { class: "place" }, place) : null,
      make("p", { class: "when" }, timeElement(alarm.raised_ns, now()), make("span", { class: "age", "data-since": alarm.raised_ns },
        ageText((now() - alarm.raised_ns / 1e6) / 1000)), alarm.contacts.length > 1 ? make("span", {}, t("queue.group", { n: alarm.contacts.length })) : null),
      open && isFaultOver(alarm) ? make("p", { class: "fault-over" }, t("queue.fault_over")) : null,
      alarm.state === "escalated" ? make("p", { class: "escalated" }, t("queue.escalated")) : null,
      (alarm.teams ?? []).filter((team) => team.state === "on_the_way" || team.state === "arrived").map((team) => make("p", { class: `team-line ${team.overdue ? "overdue" : ""}` },
        `${team.who} · ${t(`team_state.${team.state}`)}`, team.overdue ? make("strong", {}, ` ${t("team.overdue")}`) : null)),
      open ? null : make("p", { class: "by" }, takenByText(alarm))),
    open ? actions(alarm, chosen) : null);
}

function takenByText(alarm) {
  const by = stateEntry(alarm);
  return t(`alarm_state.${alarm.state}_by`, { person: personText(by.person), reason: reasonText(by) });
}

function picture(alarm, contact) {
  const id = alarm.snapshot ?? contact?.snapshot;
  const simulated = alarm.simulated ? make("span", { class: "sim" }, "SIM") : null;
  if (id) return make("div", { class: "picture" }, make("img", { class: "thumb", src: snapshotSource(id), alt: t("snapshot.alt") }), simulated);
  const sign = isAboutNobody(alarm) ? glyph(alarm.sensor ? "camera" : SIGNS[alarm.rule] ?? "gear") : classGlyph(contact?.object_class ?? alarm.says.params?.object_class ?? "person");
  return make("div", { class: "picture" }, make("div", { class: "thumb none", title: isAboutNobody(alarm) ? null : t("snapshot.none") }, sign), simulated);
}

function actions(alarm, chosen) {
  if (!state.me?.decides) return null;
  const busy = pending.has(alarm.id);
  return make("div", { class: "actions" },
    make("button", { class: chosen ? "primary" : "take", type: "button", disabled: busy, "data-action": "acknowledge", "data-focus": `acknowledge ${alarm.id}`,
      onclick: (event) => { event.stopPropagation(); acknowledge(alarm.id); } }, t(busy ? "action.acknowledging" : "action.acknowledge"),
      chosen ? cap("A") : null));
}

function ages() {
  const at = now();
  root.classList.toggle("beat");
  for (const element of root.querySelectorAll("[data-since]")) {
    element.textContent = ageText((at - Number(element.dataset.since) / 1e6) / 1000);
  }
}

export async function acknowledge(id) { await change(id, "acknowledged", ""); }

/** Ask the station for a change of an alarm; what the screen shows changes when the station says so. */
export async function change(id, to, reason) {
  if (pending.has(id)) return false;
  pending.add(id);
  render();
  try {
    await askLoggedIn(`/api/alarms/${encodeURIComponent(id)}`, { to, reason }, DECIDED_WITHIN_MS);
    announce(t(`said.${to}`));
    return true;
  } catch (error) {
    if (!error.says) throw error;
    warn(say(error.says));
    return false;
  } finally {
    pending.delete(id);
    render();
  }
}

/** Key A: the chosen alarm, or the chosen contact's; without a choice the first that waits. */
export function acknowledgeNext() {
  const chosen = chosenAlarm();
  const alarm = chosen ?? waiting()[0];
  if (!alarm || !state.me?.decides) return;
  if (!isWaiting(alarm)) { announce(takenByText(alarm)); return; }        // somebody was first: a press is never without an answer
  if (!chosen) select("alarm", alarm.id);
  acknowledge(alarm.id);
}

/** Key E: the chosen alarm goes to the supervisor. */
export function escalateChosen() {
  const chosen = chosenAlarm();
  if (!chosen || !state.me?.decides || chosen.state === "closed") return;
  if (chosen.state === "escalated") announce(t("queue.escalated"));       // as with A: a press is never without an answer
  else change(chosen.id, "escalated", "");
}

export function step(by) {
  const all = [...waiting(), ...taken().slice(0, TAKEN_SHOWN)];
  if (!all.length) return;
  const here = all.findIndex((a) => state.selection?.kind === "alarm" && a.id === state.selection.id);
  const next = here < 0 ? 0 : Math.min(Math.max(here + by, 0), all.length - 1);
  select("alarm", all[next].id);
}

/** Enter: the chosen alarm's details, ready for what comes next; without a choice, the first that waits. */
export function openChosen() {
  if (state.selection) enterDrawer();
  else step(1);
}

/** With the frame that shows it, which has the page laid out in any case. */
function scrollToSelected() {
  if (state.selection?.kind === "alarm") requestAnimationFrame(() => cards.get(state.selection?.id)?.element.scrollIntoView({ block: "nearest" }));
}
