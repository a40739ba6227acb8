// The drones above the map, one beside the other: how each stands, and which one is meant.

import { arrange, glyph, make } from "./dom.js";
import { ageText } from "./format.js";
import { ageOf, doingText, droneNames, freshness, isFlying, isWarnedOf, percent } from "./fleet.js";
import { onLanguage, t } from "./language.js";
import { on, onCalmly, select, state, tell } from "./state.js";

const LOW_PERCENT = 30;
const chips = new Map();        // drone -> {button, key}: a chip stays the same element, or a press on it would be lost
let root = null, choose = null, chosen = () => null;

/** onChoose, isChosen: of the page; by themselves they select the drone. */
export function startStrip(element, onChoose = (drone) => select("drone", drone),
  whichOne = () => (state.selection?.kind === "drone" ? state.selection.id : null)) {
  root = element;
  choose = onChoose;
  chosen = whichOne;
  onCalmly("picture", render, 500);
  for (const topic of ["selection", "fleet"]) on(topic, render);
  onLanguage(() => { chips.clear(); render(); });
  setInterval(render, 1000);
  render();
}

function render() {
  if (!root) return;
  const all = droneNames().map((name) => {
    const view = state.drones.get(name), age = ageOf(view), heard = view.telemetry;
    return { name, sim: heard.simulated, flying: isFlying(view), link: heard.link, how: freshness(age), age: freshness(age) === "fresh" ? "" : ageText(age),
      battery: percent(heard.battery_percent), low: heard.battery_percent !== null && heard.battery_percent < LOW_PERCENT, doing: doingText(view),
      warned: isWarnedOf(view), chosen: chosen() === name };
  });
  root.hidden = !all.length;
  root.setAttribute("aria-label", t("strip.title"));
  const count = root.children.length;
  arrange(root, all.map(chip));
  if (root.children.length !== count) tell("layout");      // what stands over the map's upper edge
}

function chip(d) {
  const text = JSON.stringify(d);
  if (!chips.has(d.name)) chips.set(d.name, { key: "", button: make("button", { type: "button", "data-drone": d.name, onclick: () => choose(d.name) }) });
  const kept = chips.get(d.name), button = kept.button;
  if (kept.key === text) return button;
  kept.key = text;
  const isUnheard = d.link === "connected" && d.how === "stale";       // the fleet is silent, and with it all its drones
  const how = d.link !== "connected" || isUnheard ? "lost" : d.warned || d.low ? "warned" : d.flying ? "flying" : "ground";
  button.className = `drone-chip ${how} ${d.how}`;
  button.setAttribute("aria-pressed", String(d.chosen));
  button.replaceChildren(glyph("drone"),
    make("span", { class: "chip-words" },
      make("b", {}, make("span", { class: "chip-name" }, d.name), d.sim ? make("span", { class: "sim" }, "SIM") : null),
      make("small", {}, isUnheard ? t("contact.not_seen_for", { age: d.age }) : d.link === "connected" ? d.doing : `${t(`link.${d.link}`)} ${d.age}`)),
    make("span", { class: `chip-battery ${d.low ? "low" : ""}` }, d.low ? "▼ " : "", d.battery));
  return button;
}
