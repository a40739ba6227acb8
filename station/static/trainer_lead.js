// Leading: the clock and its buttons, what is to come, the trainees' alarms, who runs, and the truth on the map.

import { askLoggedIn } from "./api.js";
import { askPerson, closeDialog, empty, press, tellPerson } from "./desk.js";
import { make } from "./dom.js";
import { corridorName, hasWords, language, number, say, t } from "./language.js";
import { state } from "./state.js";
import { drawContacts, drawTruth, openGround } from "./trainer_map.js";
import { inWords, minutes, whenText } from "./trainer_words.js";

const EVERY_MS = 1000, SCORE_EVERY_MS = 10_000;
let timer = null, scoreTimer = null, opened = null, parts = null, shownRun = null;

export function leaveLead() {
  clearTimeout(timer);
  clearTimeout(scoreTimer);
  timer = scoreTimer = null;
  opened?.map.remove();
  opened = parts = shownRun = null;
}

export async function showLead(main) {
  const running = await askLoggedIn("/api/desk/running");
  if (!running) {
    main.replaceChildren(make("div", { class: "page-empty" }, empty(t("trainer.nothing_runs"), t("trainer.nothing_runs_advice"),
      make("a", { class: "button", href: "#exercises" }, t("trainer.exercises")))));
    return;
  }
  build(main);
  turn();
  score();
}

function build(main) {
  const button = (order, text, how = "") => make("button", { type: "button", class: how, "data-order": order, onclick: (event) => give(event.currentTarget, order) }, t(text));
  parts = {
    clock: make("output", { class: "clock" }, "–"), bar: make("div", { class: "course" }), state: make("span", { class: "chip" }), pace: make("span", { class: "pace" }),
    start: button("start", "trainer.start", "primary"), pause: button("pause", "trainer.pause"), freeze: button("freeze", "trainer.freeze"),
    resume: button("resume", "trainer.resume", "primary"), slower: button("slower", "trainer.slower"), faster: button("faster", "trainer.faster"),
    end: make("button", { type: "button", class: "danger", onclick: confirmEnd }, t("trainer.end")),
    injects: make("ul", { class: "injects" }), alarms: make("ul", { class: "lines" }), score: make("div", { class: "score" }, make("p", { class: "hint" }, t("trainer.score_soon"))),
    processes: make("div", { class: "chips" }), said: make("ul", { class: "lines" }), station: make("div", { class: "station" }), map: make("div", { class: "map", role: "region", "aria-label": t("trainer.map") }),
    title: make("h2", {}),
  };
  parts.pause.title = t("trainer.pause_hint");
  parts.freeze.title = t("trainer.freeze_hint");
  main.replaceChildren(make("div", { class: "lead" },
    make("section", { class: "lead-bar", "aria-label": t("trainer.course") }, make("div", { class: "lead-clock" }, parts.clock, parts.state, parts.pace),
      make("div", { class: "lead-buttons" }, parts.start, parts.resume, parts.pause, parts.freeze, parts.slower, parts.faster, parts.end), parts.bar),
    make("div", { class: "lead-map" }, parts.map, key()),
    make("aside", { class: "lead-side", "aria-label": t("trainer.details"), tabindex: 0 }, parts.title, parts.station, make("h3", {}, t("trainer.to_come")), parts.injects,
      make("h3", {}, t("trainer.their_alarms")), parts.alarms, make("h3", {}, t("trainer.score_so_far")), parts.score,
      make("h3", {}, t("trainer.said")), parts.said, make("h3", {}, t("trainer.processes")), parts.processes)));
}

export function key() {
  return make("ul", { class: "map-key" },
    make("li", {}, make("i", { class: "dot meant" }), t("trainer.key_truth")), make("li", {}, make("i", { class: "dot innocent" }), t("trainer.key_innocent")),
    make("li", {}, make("i", { class: "dot contact" }), t("trainer.key_contact")));
}

async function give(button, order, inject = "") {
  await press(button, async () => { await askLoggedIn("/api/desk/order", { order, inject }); });
  turn();
}

function confirmEnd() {
  askPerson({ title: t("trainer.end_title"), advice: t("trainer.end_advice"), button: t("trainer.end"), danger: true, send: async () => {
    await askLoggedIn("/api/desk/order", { order: "end" });
    closeDialog();
    tellPerson(t("trainer.ending"));
  } });
}

async function turn() {
  clearTimeout(timer);
  if (!parts) return;
  const mine = parts;
  let running;
  try {
    running = await askLoggedIn("/api/desk/running");
    if (parts !== mine) return;
    if (!running) { await over(); return; }
    shownRun = running.id;
    draw(running);
    if (running.view && !opened) open(running.id);
    if (opened && running.view && running.view.phase !== "starting") await drawMap(running.view);
  } catch (error) {
    if (!error.says) throw error;
    if (error.says.key !== "trainer.refused") tellPerson(say(error.says), "warning");
  }
  if (parts === mine) { clearTimeout(timer); timer = setTimeout(turn, EVERY_MS); }
}

async function open(run) {
  const mine = parts;
  if (mine.isOpening) return;
  mine.isOpening = true;
  const ground = await askLoggedIn(`/api/desk/runs/${run}/ground`);
  if (parts !== mine) return;
  try {
    const made = await openGround(mine.map, ground);
    if (parts === mine) opened = made;
    else made.map.remove();
  } catch (error) {
    mine.map.replaceChildren(make("p", { class: "no-map" }, t("map.no_webgl", { detail: String(error?.message ?? error) })));
  }
}

async function drawMap(view) {
  const truth = await askLoggedIn("/api/desk/truth");
  if (!opened) return;
  drawTruth(opened.put, truth.actors);
  drawContacts(opened.put, view.contacts.map((c) => [c.id, c.lat_deg, c.lon_deg]));
}

/** It has ended: to its debrief. */
async function over() {
  const run = shownRun;
  leaveLead();
  const runs = await askLoggedIn("/api/desk/runs");
  const found = runs.find((r) => r.id === run) ?? runs[0];
  location.hash = found && found.state !== "not_begun" ? `#debrief/${found.id}` : "#runs";
}

function draw({ exercise, preparing, view }) {
  const v = view, phase = preparing ? "preparing" : v?.phase ?? "ending";
  parts.state.textContent = v?.frozen && phase === "standing" ? t("phase.frozen") : t(`phase.${phase}`);
  parts.state.className = `chip ${{ going: "good", ready: "good", standing: "warn", starting: "warn", preparing: "warn" }[phase] ?? ""}`;
  const may = { start: ["ready"], pause: ["going"], freeze: ["going"], resume: ["standing"], slower: ["going", "standing"], faster: ["going", "standing"], end: ["preparing", "starting", "ready", "going", "standing"] };
  for (const [name, phases] of Object.entries(may)) parts[name].disabled = !phases.includes(phase);
  for (const name of ["start", "pause", "freeze", "resume"]) parts[name].hidden = name === "start" ? !["ready", "starting", "preparing"].includes(phase) : name === "resume" ? phase !== "standing" : !["going", "ending"].includes(phase);
  if (!v) {       // nothing is known yet but which one it is
    parts.title.textContent = exercise;
    if (preparing && !parts.station.firstChild) parts.station.replaceChildren(make("p", { class: "hint" }, t("trainer.prepare_hint")));
    return;
  }
  if (!v.can_change_pace) for (const name of ["slower", "faster"]) { parts[name].disabled = true; parts[name].title = t("trainer.pace_drone"); }
  parts.title.textContent = inWords(v, "title");
  parts.clock.textContent = `${minutes(v.at_s)} / ${minutes(v.seconds)}`;
  parts.pace.textContent = v.pace === 1 ? "" : t("trainer.pace", { n: v.pace });
  course(v);
  drawStation(v);
  drawInjects(v);
  parts.alarms.replaceChildren(...(v.alarms.length ? v.alarms.map((a) => make("li", { class: `p${a.priority}` }, make("b", {}, a.id.replace(/-0+/, "-")), ` ${t(`rule.${a.rule}`)}${a.corridor ? `, ${corridorName(a.corridor)}` : ""}, ${hasWords(`alarm_state.${a.state}`) ? t(`alarm_state.${a.state}`) : a.state}, ${minutes(a.raised_s)}`)) : [make("li", { class: "hint" }, t("trainer.no_alarms"))]));
  parts.processes.replaceChildren(...v.processes.map((p) => make("span", { class: `chip ${p.alive ? "good" : "bad"}` }, `${p.alive ? "●" : "✕"} ${p.name}`)));
  parts.said.replaceChildren(...(v.said.length ? [...v.said].reverse().map((s) => make("li", {}, make("b", {}, minutes(s.at_s)), ` ${s.says_in?.[language()] ?? s.says}`)) : [make("li", { class: "hint" }, "–")]));
}

function course(v) {
  const at = (s) => `${Math.min(100, 100 * s / v.seconds)}%`;
  const done = make("div", { class: "course-done" });
  done.style.width = at(v.at_s);
  parts.bar.replaceChildren(done, ...v.injects.filter((i) => i.at_s !== null).map((i) => {
    const mark = make("i", { title: `${i.id} ${minutes(i.at_s)}`, class: i.done_s === null ? "" : "done" });
    mark.style.left = at(i.at_s);
    return mark;
  }));
}

function drawStation(v) {
  const key_ = JSON.stringify([v.address, v.missing, v.phase]);
  if (parts.station.dataset.key === key_) return;
  parts.station.dataset.key = key_;
  const waits = v.phase === "starting" ? make("p", { class: "hint" }, v.missing.length ? t("trainer.missing", { who: v.missing.join(", ") }) : t("trainer.station_comes"))
    : v.phase === "ready" ? make("p", { class: "ready" }, t("trainer.ready_advice")) : null;
  // Once it goes on, nobody looks over the trainer's shoulder at passwords.
  const was = parts.phase === v.phase ? parts.station.querySelector("details") : null;
  parts.phase = v.phase;
  parts.station.replaceChildren(waits ?? "", make("details", { open: was ? was.open : v.phase !== "going" },
    make("summary", {}, t("trainer.accounts")), make("p", {}, make("a", { href: v.address, target: "_blank", rel: "noopener" }, v.address)),
    make("table", {}, make("tbody", {}, Object.entries(v.accounts).map(([name, word]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, make("code", {}, word)))))),
    make("p", { class: "hint" }, t("trainer.accounts_hint"))));
}

function drawInjects(v) {
  const key_ = JSON.stringify([v.injects, v.phase]);
  if (parts.injects.dataset.key === key_) return;
  parts.injects.dataset.key = key_;
  const can = v.phase === "going" || v.phase === "standing";
  parts.injects.replaceChildren(...(v.injects.length ? v.injects.map((i) => make("li", { class: i.done_s === null ? "" : "done" },
    make("div", {}, make("b", {}, i.id), make("small", {}, i.done_s === null ? whenText(i) : t("trainer.done", { at: minutes(i.done_s) })), make("span", {}, `${t(`inject_do.${i.do}`)}: ${i.about_in?.[language()] ?? i.about}`)),
    make("button", { type: "button", disabled: !can, "aria-label": t("trainer.inject_now", { id: i.id }), onclick: (event) => give(event.currentTarget, "inject", i.id) }, t(i.done_s === null ? "trainer.now" : "trainer.again"))))
    : [make("li", { class: "hint" }, t("trainer.no_injects"))]));
}

async function score() {
  clearTimeout(scoreTimer);
  const mine = parts;
  if (!mine) return;
  try {
    const d = await askLoggedIn("/api/desk/score");
    if (parts !== mine) return;
    if (d) mine.score.replaceChildren(scoreFacts(d));
  } catch (error) { if (!error.says) throw error; }
  if (parts === mine) scoreTimer = setTimeout(score, SCORE_EVERY_MS);
}

/** The score's main figures; also in the debrief. */
export function scoreFacts(d) {
  const s = d.score, n = (value, unit = "") => value === null || value === undefined ? "–" : `${number(value, Number.isInteger(value) ? 0 : value < 10 ? 1 : 0)}${unit}`;
  const row = (name, value) => make("div", { class: "fact" }, make("dt", {}, name), make("dd", {}, value));
  return make("dl", { class: "facts" },
    row(t("trainer.crossings"), s.pd.of ? t("trainer.of", { n: s.pd.hits, of: s.pd.of }) : t("trainer.none_yet")),
    ...["time_to_alarm_p50_s", "false_alarms", "nuisance_alarms", "position_error_p50_m"].filter((m) => !s.goals.some((g) => g.measure === m)).map((m) => row(t(`measure.${m}`), n(s.truth[m]))),
    ...s.people.map((p) => row(p.name, t("trainer.person_did", { n: p.answered, s: n(p.answer_p50_s), closed: p.closed, wrong: p.wrong_reasons }))),
    ...(s.together && s.people.length > 1 ? [row(t("trainer.together"), t("trainer.person_did", { n: s.together.answered, s: n(s.together.answer_p50_s), closed: s.together.closed, wrong: s.together.wrong_reasons }))] : []),
    ...(s.teams ?? []).map((x) => row(`${x.who} (${x.alarm.replace(/-0+/, "-")})`, [t("trainer.team_sent", { person: x.by, s: n(x.waited_s) }), x.recalled ? t("trainer.team_recalled") : x.arrived_s === null ? t("trainer.team_not_there") : t("trainer.team_there", { s: n(x.arrived_s - x.sent_s) }), x.outcome ? t(`team_outcome.${x.outcome}`) : "", x.right === false ? t("trainer.team_wrong") : ""].filter(Boolean).join("; "))),
    ...(s.drones ?? []).map((d) => row(d.drone, t("trainer.drone_did", { s: n(d.waited_s), seen: d.crossings_seen, percent: n(d.battery_least_percent), m: n(d.nearest_m) }))),
    ...s.goals.map((g) => row(`${t(`measure.${g.measure}`)} ${g.goal.replace(">=", "≥").replace("<=", "≤")}`, make("span", { class: g.met === null ? "" : g.met ? "met" : "unmet" }, `${n(g.value)} ${t(g.met === null ? "trainer.not_measured" : g.met ? "trainer.met" : "trainer.not_met")}`))));
}
