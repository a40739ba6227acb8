// The details of what is selected: an alarm with its contact, a contact, a sensor or a drone.

import { sensorCoverage, sensorCoverageFact } from "./coverage.js";
import { apartSection, contactWork, neighbours } from "./contact.js";
import { arrange, cap, fact, make, priorityShape, refocus } from "./dom.js";
import { findingText, freshness, itemName, linkText, modeText, sentForText, words } from "./fleet.js";
import { ageText, borderText, degrees, metres, mgrs, timeElement } from "./format.js";
import { axes } from "./ground.js";
import { corridorName, corridorNames, number, onLanguage, say, short, t } from "./language.js";
import { decisionSection, personText, reasonText } from "./decision.js";
import { incidentKey, incidentSection, noteSection, teamKey, teamSection } from "./duty.js";
import { candidateSection, candidatesHead, matchSection } from "./match.js";
import { investigateSection } from "./investigate.js";
import { centreOnSelected } from "./map.js";
import { nodeSays } from "./node_words.js";
import { choiceSection, orderSection, presetText, profileText } from "./orders.js";
import { largePicture } from "./pictures.js";
import { alarmOf, candidateOf, candidates, isAboutNobody, isWaiting, now, on, onCalmly, raisedAt, select, selectedContact, state } from "./state.js";

let root = null, isScrolled = false;
const shown = new Map();        // section -> {key, element}

export function startDrawer(element) {
  root = element;
  onCalmly("picture", render, 300);
  root.addEventListener("scroll", () => { isScrolled = root.scrollTop > 0; }, { passive: true });
  on("selection", () => { shown.clear(); render(); if (isScrolled) root.scrollTop = 0; });      // to ask has the whole page laid out
  on("candidate", render);
  on("duty", render);
  onLanguage(() => { shown.clear(); render(); });
  setInterval(render, 1000);
}

export function drawerWidth() { return root && !root.hidden ? root.offsetWidth + 16 : 0; }

/** A section is built again when its key changes, so that what a person is typing into another one stays. */
function section(name, key, build) {
  const text = JSON.stringify(key);
  const kept = shown.get(name);
  if (kept?.key === text) return kept.element;
  const element = build();
  shown.set(name, { key: text, element });
  return element;
}

function render() {
  const s = state.selection;
  const parts = s ? { alarm: alarmParts, contact: contactParts, sensor: sensorParts, drone: droneParts }[s.kind](s.id) : null;
  root.hidden = !parts;
  if (!parts) { root.replaceChildren(); shown.clear(); return; }       // what is out of sight is not kept
  root.setAttribute("aria-label", t("drawer.title"));
  const focused = root.contains(document.activeElement) ? document.activeElement : null;
  if (arrange(root, parts.filter(Boolean))) refocus(root, focused);
}

/** For the keyboard: from the queue into what a person does with the chosen alarm. */
export function enterDrawer() { (root?.querySelector(".decision .primary, .answer input, .candidate-line") ?? root?.querySelector("button"))?.focus(); }

function head(title, sub, priority, simulated) {
  return section("head", [title, sub, priority, simulated], () => make("header", { class: "drawer-head" },
    priority ? priorityShape(priority, t("priority.name", { n: priority })) : null,
    make("div", {}, make("h2", {}, title), make("p", {}, sub, simulated ? make("span", { class: "sim", title: t("drawer.simulated") }, "SIM") : null)),
    make("button", { class: "close", type: "button", "aria-label": t("action.close_drawer"), title: t("action.close_drawer"), onclick: () => select(null) }, "×")));
}

function alarmParts(id) {
  const alarm = state.alarms.get(id);
  if (!alarm) return null;
  const contact = selectedContact(), several = candidates(alarm).length > 1;
  return [
    head(say(alarm.says), [short(alarm.id), t(`alarm_state.${alarm.state}`)].join(" · "), alarm.priority, alarm.simulated),
    several || isAboutNobody(alarm) ? null : snapshot(alarm.snapshot ?? contact?.snapshot ?? null),
    decision(alarm),
    contact && !several ? investigate(contact) : null,
    section("teams", teamKey(alarm), () => teamSection(alarm) ?? make("div", { hidden: true })),
    whyAlarm(alarm),
    ...(several ? candidateParts(alarm) : matchesOf(alarm.contact, alarm.match)),
    contact ? contactFacts(contact) : raisedAt(alarm) ? placeFacts(alarm) : null,
    alarm.sensor && state.sensors.has(alarm.sensor) ? sensorFacts(state.sensors.get(alarm.sensor)) : null,
    contact ? reasons(contact) : null,
    contact ? apart(contact) : null,
    contact && !several ? work(contact) : null,
    history(alarm),
    replayOf(alarm.id, contact?.first_seen_ns ?? alarm.raised_ns, Math.max(alarm.raised_ns, contact?.last_seen_ns ?? 0)),
    alarm.state === "closed" && !alarm.incident ? null : section("incident", incidentKey(alarm), () => incidentSection(alarm) ?? make("div", { hidden: true })),
    section("note", [alarm.id, isWaiting(alarm)], () => noteSection(alarm) ?? make("div", { hidden: true })),
  ];
}

/** What the rule saw, a sentence for each condition, or what a node said of itself; and other alarms about the same contact. */
function whyAlarm(alarm) {
  const params = alarm.says.params ?? {}, told = params.detail && !say(alarm.says).includes(t("drawer.told", params));
  const why = [...(alarm.why ?? []), ...(told ? [{ key: "drawer.told", params }] : [])], linked = (alarm.linked ?? []).filter((id) => state.alarms.has(id));
  if (!why.length && !linked.length) return null;
  return section("why-alarm", [why, linked, alarm.rules], () => make("section", { class: "reasons" },
    why.length ? [make("h3", {}, t("drawer.why_alarm")), make("ul", {}, why.map((sentence) => make("li", {}, say(sentence))))] : null,
    linked.length ? [make("h3", {}, t("drawer.linked")), make("ul", {}, linked.map((id) => make("li", {},
      make("button", { class: "quiet", type: "button", onclick: () => select("alarm", id) }, `${short(id)} ${say(state.alarms.get(id).says)}`))))] : null));
}

function contactParts(id) {
  const contact = state.contacts.get(id);
  if (!contact) return null;
  const alarm = alarmOf(id);
  return [
    head(`${t(`class.${contact.object_class}`)} ${short(contact.id)}`, t(`contact_state.${contact.state}`), alarm?.priority, contact.simulated),
    snapshot(contact.snapshot),
    alarm ? decision(alarm) : null,
    investigate(contact),
    ...matchesOf(id),
    contactFacts(contact),
    reasons(contact),
    apart(contact),
    work(contact),
    alarm ? history(alarm) : null,
    replayOf(contact.id, contact.first_seen_ns, contact.last_seen_ns),
  ];
}

/** A drone that looks; it keeps itself up to date. */
function investigate(contact) { return section("investigate", contact.id, () => investigateSection(contact.id)); }

function decision(alarm) {
  if (!state.me?.decides || alarm.state === "closed") return null;
  return section("decision", [alarm.id, alarm.state], () => decisionSection(alarm));
}

function candidateParts(alarm) {
  const all = candidates(alarm), chosen = candidateOf(alarm);
  return [section("candidates", all.map((m) => [m.id, m.state]), () => candidatesHead(all)),
    ...all.map((m, i) => {
      const contact = state.contacts.get(m.contact);
      const isChosen = m === chosen;
      return section(`candidate-${m.id}`, [m, i, all.length, isChosen, m.snapshot ? null : contact?.snapshot],
        () => candidateSection(m, i + 1, all.length, contact, isChosen));
    })];
}

function matchesOf(contact, match = null) {
  return [...state.matches.values()].filter((m) => m.id === match || (contact && m.contact === contact))
    .map((m) => section(`match-${m.id}`, m, () => matchSection(m)));
}

function snapshot(id) {
  return section("snapshot", id, () => (id ? largePicture(id) : make("p", { class: "no-snapshot" }, t("snapshot.none"))));
}

/** How sure it is, in words; nothing where the station does not say. */
function sure(probability) { return typeof probability === "number" ? t("fact.sure", { percent: Math.min(99, Math.round(100 * probability)) }) : ""; }

function contactFacts(contact) {
  const age = (now() - contact.last_seen_ns / 1e6) / 1000;
  const { major, minor } = axes(contact.covariance);
  const [east, north] = contact.velocity_m_s;
  const speed = Math.hypot(east, north);
  const course = (Math.atan2(east, north) * 180 / Math.PI + 360) % 360;
  return section("facts", [contact, Math.round(age)], () => make("dl", { class: "facts" },
    fact(t("fact.class"), `${t(`class.${contact.object_class}`)} ${short(contact.id)}`, make("span", { class: "aside" }, [sure(contact.class_probability), t("fact.score", { score: number(contact.score, 2) })].filter(Boolean).join(" · "))),
    contact.own_patrol ? fact(t("fact.own_patrol"), contact.own_patrol, make("span", { class: "aside" }, t("fact.own_patrol_aside"))) : null,
    contact.party?.length ? fact(t("fact.party"), t("fact.party_value", { n: contact.party.length + 1 }), make("span", { class: "aside" }, contact.party.map(short).join(", "))) : null,
    contact.kind || contact.colour ? fact(t("fact.vehicle"),
      [[contact.kind && t(`kind.${contact.kind}`), sure(contact.kind_probability)], [contact.colour && t(`colour.${contact.colour}`), sure(contact.colour_probability)]]
        .filter(([word]) => word).map((said) => said.filter(Boolean).join(" ")).join(", ")) : null,
    contact.plate ? fact(t("fact.plate"), make("span", { class: "plate" }, contact.plate)) : null,
    fact(t("fact.seen"), make("span", { class: age >= 10 ? "stale" : age >= 3 ? "dim" : "" }, t("age.ago", { age: ageText(age) })),
      make("span", { class: "aside" }, t("fact.since"), " ", timeElement(contact.first_seen_ns, now()))),
    fact(t("fact.position"), make("span", { class: "mono" }, degrees(contact.position)), make("span", { class: "mono second" }, `MGRS ${mgrs(contact.position)}`),
      make("button", { class: "quiet nearer", type: "button", onclick: centreOnSelected }, t("action.nearer"), cap("C"))),
    fact(t("fact.error"), t("fact.error_value", { major: metres(major), minor: metres(minor) })),
    fact(t("fact.border"), borderText(contact.border_m)),
    fact(t("fact.corridor"), contact.corridors.length ? corridorNames(contact.corridors) : t("fact.outside")),
    fact(t("fact.motion"), speed < 0.25 ? t("fact.standing") : t("fact.motion_value", { speed: number(speed * 3.6, 1), course: String(Math.round(course)).padStart(3, "0") })),
    fact(t("fact.sensors"), contact.sensors.join(", "), make("span", { class: "aside" }, t("fact.detections", { n: contact.detections })))));
}

function placeFacts(alarm) {
  return section("facts", alarm.id, () => make("dl", { class: "facts" },
    fact(t("fact.position"), make("span", { class: "mono" }, degrees(alarm.position)), make("span", { class: "mono second" }, `MGRS ${mgrs(alarm.position)}`)),
    alarm.corridor ? fact(t("fact.corridor"), corridorName(alarm.corridor)) : null,
    fact(t("fact.seen"), t("fact.contact_gone"))));
}

function reasons(contact) {
  if (!contact.why_merged.length) return null;
  return section("reasons", contact.why_merged, () => make("section", { class: "reasons" }, make("h3", {}, t("drawer.why_merged")),
    make("ul", {}, contact.why_merged.map((why) => make("li", {}, say(why))))));
}

function apart(contact) {
  return contact.why_apart?.length ? section("apart", contact.why_apart, () => apartSection(contact)) : null;
}

function work(contact) {
  if (!state.me?.decides || state.isReplay || contact.state === "ended") return null;
  const others = neighbours(contact);
  if (!others.length && contact.sensors.length < 2) return null;
  return section("work", [contact.id, contact.sensors, others], () => contactWork(contact, others));
}

/** Contacts that joined one after the other are one line. */
function folded(events) {
  const lines = [];
  for (const event of events) {
    const last = lines.at(-1);
    const isJoin = (e) => e?.person === "system" && e.reason.startsWith("joined ");
    if (isJoin(event) && isJoin(last) && last.state === event.state) last.reason += `, ${event.reason.slice("joined ".length)}`;
    else lines.push({ ...event });
  }
  return lines;
}

function history(alarm) {
  return section("history", alarm.events, () => make("section", { class: "history" }, make("h3", {}, t("drawer.history")),
    make("ol", {}, folded(alarm.events).map((event) => make("li", {}, timeElement(event.at_ns, now()), make("span", {}, t(`alarm_state.${event.state}`),
      ` · ${personText(event.person)}`, event.reason ? make("small", {}, reasonText(event)) : null))))));
}

/** The way to a replay of what it was about; the past has none. Nanoseconds. */
function replayOf(id, fromNs, toNs) {
  if (state.isReplay) return null;
  const ms = (ns, plus) => `${Math.round(ns / 1e6) + plus}000000`;
  return section("replay", [id, fromNs], () => make("p", { class: "replay-link" },
    make("a", { href: `/replay?from=${ms(fromNs, -30_000)}&to=${ms(toNs, 60_000)}` }, t("replay.of_this"))));
}

function sensorFacts(sensor) {
  const at = now();
  const frame = (at - sensor.last_frame_ns / 1e6) / 1000;
  const node = state.nodes.get(sensor.node);
  return section("sensor-facts", [sensor.state, Math.round(frame), sensor.detail, node?.health?.frames_per_s, node?.silent, node?.health?.profile, presetText(node?.health), sensorCoverage(sensor.id)], () => make("dl", { class: "facts" },
    fact(t("fact.sensor_state"), make("span", { class: `sensor-state ${["seeing", "calibrating"].includes(sensor.state) ? sensor.state : "blind"}` }, t(`sensor.${sensor.state}`)),
      sensor.state_since_ns > 0 ? make("span", { class: "aside" }, t("fact.since"), " ", timeElement(sensor.state_since_ns, at)) : null),
    fact(t("fact.last_frame"), t("age.ago", { age: ageText(frame) })),
    sensor.detail ? fact(t("fact.detail"), nodeSays(sensor.detail, sensor.detail_words)) : null,
    fact(t("fact.node"), sensor.node, node?.silent ? make("span", { class: "stale" }, t("node.silent")) : null),
    sensorCoverageFact(sensor.id),
    node?.health?.profile ? fact(t("fact.profile"), profileText(node.health.profile)) : null,
    presetText(node?.health) ? fact(t("fact.preset"), presetText(node.health)) : null,
    node?.health ? fact(t("fact.rate"), t("fact.rate_value", { rate: number(node.health.frames_per_s, 1) })) : null,
    node?.health ? fact(t("fact.outbox"), t("fact.outbox_value", { n: node.health.outbox_depth })) : null,
    fact(t("fact.position"), make("span", { class: "mono" }, degrees(sensor.position)), make("span", { class: "mono second" }, `MGRS ${mgrs(sensor.position)}`))));
}

function sensorParts(id) {
  const sensor = state.sensors.get(id);
  if (!sensor) return null;
  const health = state.nodes.get(sensor.node)?.health;
  return [head(t("drawer.sensor", { id: sensor.id }), t(`sensor.${sensor.state}`), null, sensor.simulated), sensorFacts(sensor),
    state.me?.decides && health?.profiles?.length
      ? section("choices", [sensor.id, health.profile, health.profiles, health.preset, health.presets, health.turning_to], () => choiceSection(sensor, health)) : null,
    state.isReplay ? null : section("orders", [sensor.id, sensor.node], () => orderSection(sensor))];
}

function droneParts(id) {
  const view = state.drones.get(id);
  if (!view) return null;
  const heard = view.telemetry;
  const age = (now() - heard.at_ns / 1e6) / 1000 + heard.heard_age_s;
  const maybe = (value, digits, unit) => (value === null ? "–" : `${number(value, digits)}\u00a0${unit}`);
  const facts = section("drone-facts", [view, Math.round(age)], () => make("dl", { class: "facts" },
    fact(t("fact.link"), t(`link.${heard.link}`), make("span", { class: freshness(age) === "stale" ? "aside stale" : "aside" }, t("age.ago", { age: ageText(age) }))),
    view.task ? fact(t("fact.task"), [sentForText(view), t(`task.${view.task.phase}`)].filter(Boolean).join(" · "), make("span", { class: "second" }, words(view.task.key, view.task.params, view.task.sentence))) : null,
    heard.mission_item === null ? null : fact(t("fact.waypoint"), `${heard.mission_item} / ${heard.mission_total ?? "–"}`),
    fact(t("fact.mode"), `${heard.armed ? modeText(heard.mode) : t("drone.on_ground")} · ${t(heard.armed ? "drone.armed" : "drone.disarmed")}`),
    fact(t("fact.height"), maybe(heard.height_above_home_m, 1, "m")),
    fact(t("fact.speed"), maybe(heard.ground_speed_m_s, 1, "m/s")),
    fact(t("fact.battery"), maybe(heard.battery_percent, 0, "%"), make("span", { class: "aside" }, maybe(heard.battery_v, 1, "V"))),
    heard.position ? fact(t("fact.position"), make("span", { class: "mono" }, degrees(heard.position)), make("span", { class: "mono second" }, `MGRS ${mgrs(heard.position)}`)) : null));
  const checks = view.preflight ? section("preflight", view.preflight, () => make("section", { class: "reasons" }, make("h3", {}, t("drawer.preflight"), ` · ${t(`preflight.${view.preflight.state}`)}`),
    make("ul", {}, view.preflight.items.filter((i) => i.state !== "pass").map((i) => make("li", {}, `${itemName(i.name)}: ${words(i.key, i.params, i.sentence)}`))))) : null;
  const check = view.check && view.plan && view.check.plan_id === view.plan.plan_id ? view.check : null;
  const buffer = check?.buffer;
  const refusals = check ? section("plan-check", check, () => make("section", { class: "reasons" }, make("h3", {}, t("drawer.check"), ` · ${t(check.passed ? "drawer.check_passed" : "drawer.check_refused")}`),
    buffer ? make("p", {}, t("drawer.buffer", { total_m: number(buffer.total_m, 0), drift_m: number(buffer.drift_m, 0), wind_m_s: number(buffer.wind_m_s, 1), seconds: number(buffer.detection_s + buffer.descent_s, 0), reaction_m: number(buffer.reaction_m, 0), margin_m: number(buffer.margin_m, 0), configured_m: number(buffer.configured_m, 0) })) : null,
    make("ul", {}, check.findings.map((f) => make("li", {}, findingText(f)))))) : null;
  return [head(t("drawer.drone", { id: view.drone }), linkText(view), null, heard.simulated), facts, checks, refusals];
}
