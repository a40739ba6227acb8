// What a person may do with an alarm, and how a decision reads afterwards.

import { cap, make } from "./dom.js";
import { t } from "./language.js";
import { acknowledge, change } from "./queue.js";
import { isWaiting } from "./state.js";

const CLOSE_CODES = ["crossing", "turned_back", "handed_over", "lawful", "known_person", "own_patrol",
  "child", "asks_for_protection", "trafficking_suspected", "missing_found", "rescue", "medical", "referral",
  "animal", "false_detection", "duplicate", "technical", "exercise", "other"];
const CLOSE_GROUPS = [["border", 0, 6], ["welfare", 6, 13], ["nothing", 13, 19]];     // stretches of the list above
const SYSTEM_REASONS = ["joined", "recovered", "again", "unanswered", "unanswered_still", "also", "worse", "shelving_over", "team_sent", "match_rejected", "match_confirmed",
  "candidate_no", "candidate_yes", "candidate_merged"];
const SHELVE_MINUTES = [5, 15, 60];

export function personText(person) { return person === "system" || person === "" ? t("person.system") : person; }

/** A reason starts with a code where there is one ("animal", "15", "joined K-7"); what follows is the person's own text. */
export function reasonText(event) {
  const [first, ...rest] = event.reason.split(" ");
  const more = rest.join(" ");
  const answered = first.startsWith("candidate_") || first.startsWith("match_") || first === "team_sent";
  if ((event.person === "system" || answered) && SYSTEM_REASONS.includes(first)) return t(`reason.${first}`, { contact: more });
  const words = event.state === "closed" && CLOSE_CODES.includes(first) ? t(`close.${first}`)
    : event.state === "shelved" && /^\d+$/.test(first) ? t("reason.shelved", { n: Number(first) }) : null;
  if (words === null) return event.reason;
  return more ? `${words}: ${more}` : words;
}

export function decisionSection(alarm) {
  const waits = isWaiting(alarm);
  const button = (text, to, reason, key = null) => make("button", { type: "button", onclick: () => change(alarm.id, to, reason) }, text, key);
  return make("div", { class: "decision" },
    waits || alarm.state === "shelved" ? make("button", { class: "primary", type: "button", onclick: () => acknowledge(alarm.id) }, t("action.acknowledge"),
      waits ? cap("A") : null) : null,
    make("div", { class: "row wrap" },
      alarm.state === "escalated" ? null : button(t("action.escalate"), "escalated", "", cap("E")),
      alarm.priority === 1 || alarm.state === "shelved" ? null
        : SHELVE_MINUTES.map((n) => button(t("action.shelve", { n }), "shelved", String(n)))),
    waits ? null : closing(alarm));
}

function closing(alarm) {
  const id = `close-${alarm.id}`;
  const code = make("select", { id, required: true }, make("option", { value: "" }, t("action.close_why")),
    CLOSE_GROUPS.map(([group, from, to]) => make("optgroup", { label: t(`close_group.${group}`) },
      CLOSE_CODES.slice(from, to).map((c) => make("option", { value: c }, t(`close.${c}`))))));
  const note = make("input", { maxlength: 300, placeholder: t("action.note"), "aria-label": t("action.note") });
  return make("form", { class: "closing", onsubmit: (event) => {
    event.preventDefault();
    change(alarm.id, "closed", `${code.value} ${note.value.trim()}`.trim());
  } }, make("label", { for: id }, t("action.close_label")), code, make("div", { class: "row" }, note, make("button", { type: "submit" }, t("action.close"))));
}
