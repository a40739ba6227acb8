// A past incident becomes an exercise: which station, which incident or which time, and under what name.

import { askLoggedIn, AT_WORK_MS } from "./api.js";
import { askPerson, choice, closeDialog, field, tellPerson } from "./desk.js";
import { make } from "./dom.js";
import { clockText, dateText, offsetMs } from "./format.js";
import { t } from "./language.js";

const text = (ns) => `${dateText(ns / 1e6)} ${clockText(ns / 1e6)}`;
const fieldText = (ns) => new Date(ns / 1e6 + offsetMs()).toISOString().slice(0, 19);
const ns = (value) => Number(`${Date.parse(`${value}Z`) - offsetMs()}000000`);

export async function openPastDialog() {
  const sources = await askLoggedIn("/api/desk/past");
  if (!sources.length) { tellPerson(t("past.none"), "warning"); return; }
  const incident = make("select", { name: "incident" }), from = make("input", { type: "datetime-local", step: 1, name: "from" }), to = make("input", { type: "datetime-local", step: 1, name: "to" });
  const source = choice(sources.map((s, i) => [String(i), `${s.source.split("/").slice(-2).join("/")} (${t(`past_realm.${s.realm}`)}, ${text(s.past.first_ns)})`]), "0", { name: "source", onchange: () => fill() });
  const fill = () => {
    const past = sources[Number(source.value)].past;
    incident.replaceChildren(make("option", { value: "" }, t("past.by_time")), ...past.incidents.map((i) => make("option", { value: i.id }, t("past.incident", { id: i.id, at: text(i.opened_ns), alarms: i.alarms, contacts: i.contacts }))));
    if (past.incidents.length) incident.value = past.incidents[0].id;
    from.value = fieldText(past.first_ns);
    to.value = fieldText(past.last_ns);
    times();
  };
  const times = () => { for (const input of [from, to]) input.disabled = incident.value !== ""; };
  incident.addEventListener("change", times);
  const plates = make("input", { type: "checkbox", name: "plates" });
  fill();
  askPerson({ title: t("past.title"), advice: t("past.advice"), button: t("past.make"), fields: [
    field("source", t("past.source"), source), field("incident", t("past.which"), incident), field("from", t("past.from"), from), field("to", t("past.to"), to),
    make("label", { class: "tick" }, plates, t("past.plates")), field("name", t("builder.name"), make("input", { name: "name", value: "from-the-past", maxlength: 40 }), t("past.name_hint"))],
  send: async (values) => {
    const wanted = { source: sources[Number(source.value)].source, name: values.name.trim(), incident: incident.value, invent_plates: plates.checked };
    if (!incident.value) Object.assign(wanted, { from_ns: ns(from.value), to_ns: ns(to.value) });
    const made = await askLoggedIn("/api/desk/past/take", wanted, AT_WORK_MS);
    closeDialog();
    if (made.left_out.length) tellPerson(t("past.left_out", { n: made.left_out.length, who: made.left_out.join("; ") }), "warning");
    location.assign(`/builder#${made.name}`);
  } });
}
