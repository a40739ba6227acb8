// A match: a question to an officer, with the evidence for and against in bits, and the officer's answer.

import { askLoggedIn } from "./api.js";
import { make } from "./dom.js";
import { number, say, t } from "./language.js";
import { announce, warn } from "./status.js";
import { state } from "./state.js";

const FULL_BITS = 16;       // the longest bar

export function matchSection(match) {
  const welfare = match.lane === "welfare";
  return make("section", { class: `match ${welfare ? "welfare" : ""}` },
    make("h3", {}, t(welfare ? "match.question_welfare" : "match.question")),
    make("p", { class: "match-subject" }, t("match.subject", { subject: match.subject }),
      make("span", { class: "bits total" }, t("match.bits", { bits: signed(match.bits) }))),
    make("ul", { class: "evidence" }, match.evidence.map(evidence)),
    instructions(match),
    match.state === "question" && match.confirmed_by.length
      ? make("p", { class: "match-answer" }, t("match.one_yes", { person: match.confirmed_by.join(", "), needed: match.needed })) : null,
    match.state === "question" ? answer(match) : make("p", { class: `match-answer ${match.state}` }, t(`match.${match.state}`)));
}

function signed(bits) { return `${bits < 0 ? "−" : "+"}${number(Math.abs(bits), 1)}`; }

function evidence(item) {
  const width = Math.max(5, Math.round(Math.min(Math.abs(item.bits) / FULL_BITS, 1) * 20) * 5);
  return make("li", { class: item.bits < 0 ? "against" : "for" },
    make("span", { class: "evidence-text" }, say(item.says)), make("span", { class: "bits" }, signed(item.bits)),
    make("span", { class: "bar", "aria-hidden": "true" }, make("span", { class: `w${width}` })));
}

/** What to do with this subject: asked for by a press, since every look is recorded. */
function instructions(match) {
  const box = make("div", { class: "instructions" });
  if (!state.me?.decides) return box;
  box.append(make("button", { type: "button", class: "quiet", onclick: async () => {
    try {
      const file = await askLoggedIn(`/api/matches/${encodeURIComponent(match.id)}`);
      box.replaceChildren(make("h4", {}, t("match.what_to_do")), make("p", {}, file.what_to_do || t("match.nothing_to_do")),
        make("h4", {}, t("match.category")), make("p", {}, t(`category.${file.category}`)),
        make("h4", {}, t("match.why_listed")), make("p", {}, file.reason),
        make("p", { class: "recorded" }, t("match.recorded")));
    } catch (error) {
      if (!error.says) throw error;
      warn(say(error.says));
    }
  } }, t("match.open")));
  return box;
}

function answer(match) {
  if (!state.me?.decides) return null;
  const id = `answer-${match.id}`;
  const reason = make("input", { id, class: "reason", maxlength: 300, placeholder: t("match.reason") });
  const decide = async (to) => {
    if (!reason.value.trim()) { reason.focus(); warn(t("match.reason_needed")); return; }
    try {
      await askLoggedIn(`/api/matches/${encodeURIComponent(match.id)}`, { to, reason: reason.value.trim() });
      announce(t(`match.${to}`));
    } catch (error) {
      if (!error.says) throw error;
      warn(say(error.says));
    }
  };
  return make("div", { class: "answer" }, make("label", { for: id }, t("match.reason_label")), reason,
    make("div", { class: "row" },
      make("button", { type: "button", onclick: () => decide("confirmed") }, t("match.confirm")),
      make("button", { type: "button", onclick: () => decide("rejected") }, t("match.reject"))));
}
