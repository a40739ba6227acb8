// The form of a flight: what is to be flown, and where. Large enough for gloves; empty values leave a drone its own habit.

import { make } from "./dom.js";
import { t } from "./language.js";
import { addCentre } from "./pilot_map.js";
import { droneNames } from "./fleet.js";
import { change, clearPlaces, corridorOf, draft, KINDS, pilot, removeLast, sharers, shareWith, takesPlaces } from "./pilot_draft.js";
import { state } from "./state.js";

// field: [least, most, step, digits]
const NUMBERS = {
  height_m: [0, 400, 10], speed_m_s: [0, 20, 1], from_m: [0, 50_000, 100], reach_m: [0, 50_000, 100], rounds: [1, 20, 1],
  radius_m: [20, 255, 10], turns: [1, 50, 1], hold_s: [0, 600, 10],
};
const FIELDS = {
  corridor: ["height_m", "rounds"], share: ["height_m", "rounds"], area: ["height_m"], point: ["height_m", "hold_s"], orbit: ["height_m", "radius_m", "turns"], debt: ["height_m"],
};
const MORE = { corridor: ["speed_m_s", "from_m", "reach_m"], share: ["speed_m_s", "from_m", "reach_m"], area: ["speed_m_s"], point: ["speed_m_s"], orbit: ["speed_m_s"], debt: ["speed_m_s"] };
const SWITCHES = { corridor: ["follow_ground", "by_camera"], share: ["follow_ground", "by_camera"], area: ["follow_ground"], point: [], orbit: [], debt: ["follow_ground"] };
const HABIT = ["height_m", "speed_m_s", "reach_m"];        // of which 0 means: as it is used to, or all of it
let isMoreOpen = false;

export function planForm() {
  const d = draft();
  return [
    make("div", { class: "kinds", role: "group", "aria-label": t("plan.kind") }, KINDS.map((kind) =>
      make("button", { type: "button", "aria-pressed": String(kind === d.kind), "data-focus": `kind-${kind}`, onclick: () => change({ kind }) }, t(`flight.${kind}`)))),
    make("p", { class: "plan-about" }, t(`flight_about.${d.kind}`)),
    ["corridor", "share"].includes(d.kind) ? corridorChoice(d) : null,
    d.kind === "share" ? sharing() : null,
    takesPlaces(d.kind) ? places(d) : null,
    make("div", { class: "steppers" }, FIELDS[d.kind].map(stepper)),
    d.kind === "debt" ? null : flag("fit"),
    make("details", { class: "more", open: isMoreOpen, ontoggle: (event) => { isMoreOpen = event.target.open; } },
      make("summary", {}, t("plan.more")),
      make("div", { class: "steppers" }, MORE[d.kind].map(stepper)),
      SWITCHES[d.kind].map(flag)),
  ];
}

function flag(name) {
  return make("label", { class: "switch" },
    make("input", { type: "checkbox", checked: draft()[name], "data-focus": name, onchange: (event) => change({ [name]: event.target.checked }) }), t(`plan_field.${name}`));
}

function corridorChoice(d) {
  const id = "plan-corridor";
  return make("div", { class: "plan-choice" }, make("label", { for: id }, t("plan_field.corridor")),
    make("select", { id, "data-focus": id, onchange: (event) => change({ corridor: event.target.value }) },
      state.geography.centre_lines.features.map((f) => make("option", { value: f.properties.id, selected: f.properties.id === corridorOf(d) }, f.properties.name))));
}

/** Each drone a switch; the one that is planned for is always among them. */
function sharing() {
  return make("div", { class: "kinds sharing", role: "group", "aria-label": t("plan.share_with") }, droneNames().map((name) =>
    make("button", { type: "button", "aria-pressed": String(sharers().includes(name)), disabled: name === pilot.drone, "data-focus": `share-${name}`, onclick: () => shareWith(name, !sharers().includes(name)) }, name)));
}

function places(d) {
  const count = d.places[d.kind].length;
  return make("div", { class: "places" },
    make("p", { role: "status" }, d.kind === "area" ? t("plan.corners", { n: count }) : t(count ? "plan.place_set" : "plan.place_wanted")),
    make("div", { class: "row wrap" },
      make("button", { type: "button", "data-focus": "centre", onclick: addCentre }, t("plan.add_centre")),
      count ? make("button", { type: "button", "data-focus": "undo", onclick: removeLast }, t("plan.undo")) : null,
      count > 1 ? make("button", { type: "button", "data-focus": "clear", onclick: clearPlaces }, t("plan.clear")) : null));
}

function stepper(name) {
  const d = draft(), [least, most, step] = NUMBERS[name], id = `plan-${name}`;
  const text = () => (HABIT.includes(name) && d[name] === 0 ? "" : String(d[name]));
  const bounded = (value) => Math.min(most, Math.max(least, Number.isFinite(value) ? value : least));
  const read = (typed) => bounded(typed.trim() === "" ? 0 : Number(typed.replace(",", ".")));
  const input = make("input", { id, type: "text", inputmode: "numeric", value: text(), placeholder: HABIT.includes(name) ? t(`plan_habit.${name}`) : null, "data-focus": id, autocomplete: "off",
    oninput: () => change({ [name]: read(input.value) }), onchange: () => { input.value = text(); } });
  const set = (value) => { change({ [name]: bounded(value) }); input.value = text(); };
  return make("div", { class: "stepper" }, make("label", { for: id }, t(`plan_field.${name}`)),
    make("button", { type: "button", "data-focus": `${id}-less`, "aria-label": t("plan.less", { what: t(`plan_field.${name}`) }), onclick: () => set(d[name] - step) }, "−"),
    input,
    make("button", { type: "button", "data-focus": `${id}-plus`, "aria-label": t("plan.greater", { what: t(`plan_field.${name}`) }), onclick: () => set(d[name] + step) }, "+"));
}

/** What the form has to be built anew for. Not for its own fields: a button must not go away under the finger that presses it. */
export function planKey() { return [pilot.drone, draft().kind, draft().corridor !== "", draft().places, draft().kind === "share" ? [droneNames(), sharers()] : null]; }
