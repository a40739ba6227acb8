// A match: a question to an officer, with the evidence for and against in bits, and the officer's answer.

import { askLoggedIn } from "./api.js";
import { classGlyph, make } from "./dom.js";
import { number, say, t } from "./language.js";
import { largePicture, snapshotSource, takenBy } from "./pictures.js";
import { announce, warn } from "./status.js";
import { chooseCandidate, state } from "./state.js";

const FULL_BITS = 16;       // the longest bar

export function matchSection(match) {
  return make("section", { class: lane(match) },
    make("h3", {}, question(match)),
    make("p", { class: "match-subject" }, t("match.subject", { subject: match.subject }),
      make("span", { class: "bits total" }, t("match.bits", { bits: signed(match.bits) }))),
    strength(match),
    make("ul", { class: "evidence" }, match.evidence.map(evidence)),
    instructions(match),
    standing(match));
}

/** How much there is to it: a word, and a number only where numbers have proved to be right. */
function strength(match) {
  if (!match.strength) return null;
  const probability = match.probability ?? null;
  return make("p", { class: "match-strength" }, t(`match.strength.${match.strength}`),
    probability === null ? null : `, ${t("match.probability", { percent: Math.round(100 * probability) })}`);
}

function lane(match) { return match.lane === "welfare" ? "match welfare" : "match"; }

function question(match) { return t(match.lane === "welfare" ? "match.question_welfare" : "match.question"); }

/** What heads several candidates of one subject: the question and the record, which they have in common. */
export function candidatesHead(matches) {
  const open = matches.filter((m) => m.state === "question").length;
  return make("section", { class: `${lane(matches[0])} candidates-head` },
    make("h3", {}, question(matches[0])),
    make("p", { class: "match-subject" }, t("match.subject", { subject: matches[0].subject }),
      make("span", {}, t("match.candidates", { open, all: matches.length }))),
    instructions(matches[0]));
}

/** One of several candidates: a line to press, and below it, when it is the chosen one, its picture, evidence and answer. */
export function candidateSection(match, number, all, contact, chosen) {
  const picture = match.snapshot ?? contact?.snapshot;
  const word = match.state === "question" ? t("match.waiting") : t(`answer.${match.state}`);
  return make("section", { class: `${lane(match)} candidate ${match.state}${chosen ? " chosen" : ""}` },
    make("button", { type: "button", class: "candidate-line", "data-focus": match.id, "aria-expanded": String(chosen), onclick: () => chooseCandidate(match.id) },
      picture ? make("img", { class: "thumb", src: snapshotSource(picture), alt: "" }) : make("span", { class: "thumb none" }, classGlyph(contact?.object_class ?? "person")),
      make("span", { class: "candidate-name" }, t("match.candidate", { n: number, all, contact: match.contact }), make("small", {}, word), picture ? takenBy(picture, make("small", { class: "taken-by" })) : null),
      make("span", { class: "bits" }, signed(match.bits))),
    chosen ? make("div", { class: "candidate-body" },
      picture ? largePicture(picture, "candidate-picture") : null,
      strength(match),
      make("ul", { class: "evidence" }, match.evidence.map(evidence)),
      standing(match)) : null);
}

function standing(match) {
  return make("div", {}, match.state === "question" && match.confirmed_by.length
    ? make("p", { class: "match-answer" }, t("match.one_yes", { person: match.confirmed_by.join(", "), needed: match.needed })) : null,
  match.state === "question" ? answer(match) : make("p", { class: `match-answer ${match.state}` }, t(`match.${match.state}`, { into: match.merged_into })));
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
      chooseCandidate(null);      // the next one that waits
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
