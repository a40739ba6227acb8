// What goes with an alarm beside its answer: teams that were sent, the incident it lies in, notes for the shift.

import { askLoggedIn } from "./api.js";
import { cap, make } from "./dom.js";
import { timeElement } from "./format.js";
import { short, say, t } from "./language.js";
import { personText } from "./decision.js";
import { announce, warn } from "./status.js";
import { chosenAlarm, isWaiting, now, select, state, tell, waiting } from "./state.js";

const OUTCOMES = ["found_helped", "found_handed_over", "found_let_go", "nobody_found", "turned_back", "child_protected", "referral",
  "medical", "not_needed", "other"];
const EXPECTED_MIN = 20;        // a first guess, to be typed over
let openForm = null;            // the alarm whose form is open

/** Ask the station for something; what the screen shows changes when the station says so. Returns its answer, or null. */
async function put(path, body, said) {
  try {
    const answer = await askLoggedIn(path, body);
    announce(t(said));
    return answer ?? {};
  } catch (error) {
    if (!error.says) throw error;
    warn(say(error.says));
    return null;
  }
}

// ------------------------------------------------------------------------------------------------------------ teams

/** Key S: a team for the chosen alarm, or for the first that waits. */
export function sendTeamNext() {
  const chosen = chosenAlarm();
  const alarm = chosen ?? waiting()[0];
  if (!alarm || alarm.state === "closed" || !state.me?.decides) return;
  openTeamForm(alarm.id);
}

export function openTeamForm(alarm) {
  openForm = alarm;
  if (state.selection?.kind !== "alarm" || state.selection.id !== alarm) select("alarm", alarm);
  else tell("duty");
  document.querySelector(".team-form input")?.focus();
}

/** What the drawer's section depends on. */
export function teamKey(alarm) {
  return [alarm.id, alarm.state === "closed", openForm === alarm.id, (alarm.teams ?? []).map((x) => [x.id, x.state, x.overdue])];
}

export function teamSection(alarm) {
  const teams = alarm.teams ?? [];
  const may = state.me?.decides;
  if (!teams.length && (!may || alarm.state === "closed")) return null;
  return make("section", { class: "teams" }, make("h3", {}, t("team.title")),
    teams.length ? make("ul", {}, teams.map((team) => teamItem(team, may))) : null,
    !may || alarm.state === "closed" ? null : openForm === alarm.id ? teamForm(alarm)
      : make("button", { type: "button", "data-focus": "send-team", onclick: () => openTeamForm(alarm.id) }, t("team.title"), cap("S")));
}

function teamForm(alarm) {
  const id = (name) => `team-${name}-${alarm.id}`;
  const who = make("input", { id: id("who"), maxlength: 80, required: true, placeholder: t("team.who_example"), "data-focus": "team-who" });
  const minutes = make("input", { id: id("minutes"), type: "number", min: 1, max: 720, required: true, value: EXPECTED_MIN });
  const note = make("input", { id: id("note"), maxlength: 300 });
  return make("form", { class: "team-form", onsubmit: async (event) => {
    event.preventDefault();
    const made = await put(`/api/alarms/${encodeURIComponent(alarm.id)}/teams`,
      { who: who.value, expected_min: Number(minutes.value), note: note.value.trim() }, "team.said_sent");
    if (made) { openForm = null; tell("duty"); }
  } },
  alarm.simulated ? make("p", { class: "advice" }, make("span", { class: "sim" }, "SIM"), " ", t("team.simulated")) : null,
  make("label", { for: id("who") }, t("team.who")), who,
  make("label", { for: id("minutes") }, t("team.expected")), minutes,
  make("label", { for: id("note") }, t("team.note")), note,
  make("div", { class: "row" }, make("button", { class: "primary", type: "submit" }, t("team.send"))));
}

function teamItem(team, may) {
  const last = team.events.at(-1);
  const out = team.state === "on_the_way" || team.state === "arrived";
  return make("li", { class: `team ${team.state} ${team.overdue ? "overdue" : ""}` },
    make("p", {}, make("b", {}, team.who), ` · ${t(`team_state.${team.state}`)}`, team.overdue ? make("strong", {}, ` ${t("team.overdue")}`) : null,
      team.simulated ? make("span", { class: "sim" }, "SIM") : null),
    make("p", { class: "by" }, team.state === "on_the_way" ? `${t("team.expected_at", { at_ns: team.expected_ns })} · ` : null,
      timeElement(last.at_ns, now()), ` · ${personText(last.person)}`, outcomeText(last) ? ` · ${outcomeText(last)}` : null),
    may && out ? teamEnd(team) : null);
}

function outcomeText(event) {
  const [first, ...rest] = event.reason.split(" ");
  const words = OUTCOMES.includes(first) ? t(`team_outcome.${first}`) : first;
  return [words, ...rest].filter(Boolean).join(" ");
}

function teamEnd(team) {
  const tell = (to, reason) => put(`/api/teams/${encodeURIComponent(team.id)}`, { to, reason }, "team.said_told");
  const id = `outcome-${team.id}`;
  const outcome = make("select", { id }, make("option", { value: "" }, t("team.outcome_label")),
    OUTCOMES.map((o) => make("option", { value: o }, t(`team_outcome.${o}`))));
  return make("div", { class: "row wrap" },
    team.state === "on_the_way" ? make("button", { type: "button", onclick: () => tell("arrived", "") }, t("team.arrived")) : null,
    make("label", { for: id, class: "unseen" }, t("team.outcome_label")), outcome,
    make("button", { type: "button", onclick: () => tell("done", outcome.value) }, t("team.finish")),
    team.state === "on_the_way" ? make("button", { class: "quiet", type: "button", onclick: () => tell("recalled", outcome.value || "not_needed") }, t("team.recall")) : null);
}

// -------------------------------------------------------------------------------------------------------- incidents

let incidents = null;           // the open ones, as last asked for

export function incidentKey(alarm) { return [alarm.id, alarm.incident ?? null, incidents?.map((i) => i.id) ?? null]; }

export function incidentSection(alarm) {
  if (alarm.incident) return ownIncident(alarm.incident);
  if (!state.me?.decides) return null;
  if (incidents === null) {
    return make("div", { class: "row" }, make("button", { type: "button", class: "quiet", "data-focus": "incident", onclick: loadIncidents }, t("incident.add")));
  }
  const id = `incident-${alarm.id}`;
  const choice = make("select", { id, "data-focus": "incident" }, make("option", { value: "" }, t("incident.new")),
    incidents.map((i) => make("option", { value: i.id }, `${short(i.id)} ${i.title}`)));
  const title = make("input", { maxlength: 120, placeholder: t("incident.name"), "aria-label": t("incident.name") });
  choice.addEventListener("change", () => { title.hidden = choice.value !== ""; });
  return make("form", { class: "incident-form", onsubmit: async (event) => {
    event.preventDefault();
    const done = choice.value
      ? await put(`/api/incidents/${encodeURIComponent(choice.value)}/alarms`, { alarm: alarm.id }, "incident.said")
      : await put("/api/incidents", { title: title.value, alarms: [alarm.id] }, "incident.said");
    if (done) { incidents = null; tell("duty"); }
  } }, make("label", { for: id }, t("incident.add")), choice, make("div", { class: "row" }, title, make("button", { type: "submit" }, t("incident.add"))));
}

function ownIncident(incident) {
  const outcome = make("input", { maxlength: 2000, required: true, placeholder: t("incident.outcome"), "aria-label": t("incident.outcome") });
  return make("div", { class: "incident" }, make("p", {}, t("incident.in", { incident })),
    state.me?.decides ? make("form", { class: "row", onsubmit: (event) => {
      event.preventDefault();
      put(`/api/incidents/${encodeURIComponent(incident)}/close`, { text: outcome.value }, "team.said_told");
    } }, outcome, make("button", { type: "submit" }, t("incident.close"))) : null);
}

async function loadIncidents() {
  try {
    incidents = (await askLoggedIn("/api/duty")).incidents.filter((i) => i.closed_ns === null);
  } catch (error) {
    if (!error.says) throw error;
    warn(say(error.says));
    return;
  }
  tell("duty");
}

/** A line in the shift log about this alarm. */
export function noteSection(alarm) {
  if (!state.me?.decides || isWaiting(alarm)) return null;
  const text = make("input", { maxlength: 2000, placeholder: t("note.title"), "aria-label": t("note.title"), required: true });
  return make("form", { class: "row note-form", onsubmit: async (event) => {
    event.preventDefault();
    if (await put("/api/notes", { text: text.value, alarm: alarm.id }, "team.said_told")) text.value = "";
  } }, text, make("button", { type: "submit" }, t("note.add")));
}

export function openHandover() { location.assign(`/handover?lang=${document.documentElement.lang}`); }
