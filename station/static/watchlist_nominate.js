// A nomination: the form of one lane, with the rules of the domain at each field.

import { ask } from "./api.js";
import { choice, closeDialog, field, openDialog, showProblems } from "./desk.js";
import { glyph, make } from "./dom.js";
import { corridorName, say, t } from "./language.js";
import { state } from "./state.js";

const CATEGORIES = { welfare: ["at_risk", "missing_person"], enforcement: ["organiser_broker", "courier", "repeat_crosser"] };
const VEHICLES = ["car", "motorcycle", "truck", "bus", "boat", "bicycle"];
const COLOURS = ["white", "grey", "black", "red", "orange", "yellow", "green", "blue", "brown"];
const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const TEXT_MOST = 2000;

export function openNomination(lane, done) {
  const area = (rows) => make("textarea", { maxlength: TEXT_MOST, rows });
  const vehicles = make("div", { class: "vehicle-rows" });
  const addVehicle = () => vehicles.append(vehicleRow(vehicles.children.length + 1));
  const problem = make("p", { class: "problem", role: "alert" });
  const send = make("button", { type: "submit", class: "primary" }, t("nominate.send"));
  const form = make("form", { class: "nomination", novalidate: true },
    make("p", { class: `lane-line ${lane}` }, glyph(lane === "welfare" ? "help" : "shield"), t(`lane_name.${lane}`)),
    make("p", { class: "advice" }, t("nominate.advice")),
    make("div", { class: "grid" },
      field("category", t("column.category"), choice([["", t("nominate.choose")], ...CATEGORIES[lane].map((c) => [c, t(`category.${c}`)])]), t("hint.category"), { needed: true }),
      field("label", t("column.label"), make("input", { type: "text", maxlength: TEXT_MOST, autocomplete: "off" }), t("hint.label"), { needed: true }),
      field("reason", t("column.reason"), area(2), t("hint.reason"), { needed: true }),
      field("lawful_basis", t("column.lawful_basis"), area(2), t("hint.lawful_basis"), { needed: true }),
      field("what_to_do", t("column.what_to_do"), area(2), t(lane === "welfare" ? "hint.what_to_do_welfare" : "hint.what_to_do"), { needed: true, wide: true }),
      field("expires", t("column.expires"), make("input", { type: "date" }), t("hint.expires"), { needed: true }),
      field("plates", t("column.plates"), make("input", { type: "text", autocomplete: "off", placeholder: "74C-123.45; 74C-678.90" }), t("hint.plates")),
      make("fieldset", { class: "field wide", "data-field": "vehicles" }, make("legend", {}, t("column.vehicles")), make("p", { class: "hint" }, t("hint.vehicles")), vehicles,
        make("div", {}, make("button", { type: "button", onclick: () => { addVehicle(); vehicles.lastChild.querySelector("input").focus(); } }, t("nominate.add_vehicle"))), make("p", { class: "problem", role: "alert" }))),
    make("details", { class: "habits" }, make("summary", {}, t("nominate.habits")), make("p", { class: "hint" }, t("nominate.habits_hint")), habits()),
    problem,
    make("div", { class: "dialog-buttons" }, send, make("button", { type: "button", onclick: closeDialog }, t("desk.cancel")), make("span", { class: "hint" }, t("nominate.needed"))));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    send.disabled = true;
    problem.textContent = "";
    try {
      const made = await ask("/api/watchlist", values(form));
      if (made.subject === null) refuse(form, made.problems, problem);
      else { closeDialog(); done(made.subject); }
    } catch (error) {
      if (!error.says) throw error;
      problem.textContent = say(error.says);
    } finally {
      send.disabled = false;
    }
  });
  openDialog(t("nominate.title"), form, "large");
}

function refuse(form, problems, line) {
  const byName = {};
  for (const { column, says } of problems) byName[column] = [byName[column], say(says)].filter(Boolean).join(" ");
  if (["corridors", "hours", "days", "party_size"].some((name) => byName[name])) form.querySelector("details").open = true;
  line.textContent = t("nominate.refused", { n: problems.length });
  showProblems(form, byName);
}

function vehicleRow(n) {
  const row = make("div", { class: "vehicle-row" },
    make("input", { type: "text", name: "vehicle_plate", "aria-label": t("nominate.vehicle_plate", { n }), placeholder: "74C-123.45", autocomplete: "off" }),
    choice([["", t("nominate.any_class")], ...VEHICLES.map((v) => [v, t(`class.${v}`)])], "", { name: "vehicle_class", "aria-label": t("nominate.vehicle_class", { n }) }),
    choice([["", t("nominate.any_colour")], ...COLOURS.map((c) => [c, t(`colour.${c}`)])], "", { name: "vehicle_colour", "aria-label": t("nominate.vehicle_colour", { n }) }),
    make("button", { type: "button", class: "quiet", onclick: () => row.remove() }, t("nominate.take_out")));
  return row;
}

function habits() {
  const corridors = state.geography.centre_lines.features.map((f) => f.properties.id);
  const tick = (name, value, text) => make("label", { class: "tick" }, make("input", { type: "checkbox", name, value }), text);
  return make("div", { class: "grid" },
    make("fieldset", { class: "field wide", "data-field": "corridors" }, make("legend", {}, t("column.corridors")), make("div", { class: "ticks" }, corridors.map((id) => tick("corridors", id, corridorName(id)))), make("p", { class: "problem", role: "alert" })),
    make("fieldset", { class: "field wide", "data-field": "days" }, make("legend", {}, t("column.days")), make("div", { class: "ticks" }, DAYS.map((d, i) => tick("days", d, t(`weekday.${i}`)))), make("p", { class: "problem", role: "alert" })),
    make("fieldset", { class: "field", "data-field": "hours" }, make("legend", {}, t("column.hours")), make("div", { class: "pair" },
      make("input", { type: "time", name: "from", "aria-label": t("nominate.from") }), make("input", { type: "time", name: "to", "aria-label": t("nominate.to") })), make("p", { class: "problem", role: "alert" })),
    field("party_size", t("column.party_size"), make("input", { type: "text", inputmode: "numeric" }), t("hint.party_size")));
}

/** As a line of an imported file has it: the station reads both with the same rules. */
function values(form) {
  const data = new FormData(form), one = (name) => String(data.get(name) ?? "");
  const plates = data.getAll("vehicle_plate"), classes = data.getAll("vehicle_class"), colours = data.getAll("vehicle_colour");
  const vehicles = plates.map((p, i) => [p.trim(), classes[i], colours[i]].join("/").replace(/\/+$/, "")).filter((v) => v !== "");
  const hours = one("from") || one("to") ? `${one("from")}-${one("to")}` : "";
  return { category: one("category"), label: one("label"), reason: one("reason"), lawful_basis: one("lawful_basis"), what_to_do: one("what_to_do"), expires: one("expires"),
    plates: one("plates"), vehicles: vehicles.join("; "), corridors: data.getAll("corridors").join("; "), hours, days: data.getAll("days").join("; "), party_size: one("party_size") };
}
