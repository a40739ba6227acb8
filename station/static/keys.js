// The keyboard: everything an operator does in a night without the mouse.

import { make } from "./dom.js";
import { openHandover, sendTeamNext } from "./duty.js";
import { investigateSelected } from "./investigate.js";
import { otherLanguage, t } from "./language.js";
import { toggleCoverage } from "./coverage.js";
import { toggleNight } from "./look.js";
import { centreOnSelected, showSector } from "./map.js";
import { isMeasuring, toggleMeasure } from "./measure.js";
import { acknowledgeNext, escalateChosen, openChosen, step } from "./queue.js";
import { openSearch } from "./search.js";
import { toggleSound } from "./sound.js";
import { select } from "./state.js";

const NAMES = { Escape: "Esc", ArrowDown: "↓", ArrowUp: "↑" };
const ALSO = { J: "↓", K: "↑" };
let KEYS = [         // without a text of its own: another key for the same
  ["A", "keys.acknowledge", acknowledgeNext],
  ["J", "keys.next", () => step(1)],
  ["K", "keys.previous", () => step(-1)],
  ["↓", null, () => step(1)],
  ["↑", null, () => step(-1)],
  ["Enter", "keys.open", openChosen],
  ["S", "keys.team", sendTeamNext],
  ["I", "keys.investigate", investigateSelected],
  ["E", "keys.escalate", escalateChosen],
  ["/", "keys.search", openSearch],
  ["C", "keys.centre", centreOnSelected],
  ["F", "keys.sector", showSector],
  ["D", "keys.measure", toggleMeasure],
  ["V", "keys.coverage", toggleCoverage],
  ["M", "keys.sound", toggleSound],
  ["H", "keys.handover", openHandover],
  ["R", "keys.replay", () => location.assign("/replay")],
  ["P", "keys.pilot", () => location.assign("/pilot")],
  ["W", "keys.watchlist", () => location.assign("/watchlist")],
  ["N", "keys.night", toggleNight],
  ["L", "keys.language", otherLanguage],
  ["Esc", "keys.close", () => (isMeasuring() ? toggleMeasure() : select(null))],
  ["?", "keys.this", showKeys],
];

/** The keys of another page; the list of them is there too. */
export function useKeys(list) { KEYS = [...list, ["?", "keys.this", showKeys]]; }

export function startKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    const field = event.target.closest?.("input, textarea, select");
    if (field && event.key !== "Escape") return;
    if (field) { field.blur(); return; }
    if (document.getElementById("keys").open) return;
    const name = NAMES[event.key] ?? (event.key.length === 1 ? event.key.toUpperCase() : event.key);
    const found = KEYS.find(([key]) => key === name);
    if (!found) return;
    // A button has its own Enter, and the map its own arrows, while they have the focus.
    if (name === "Enter" && event.target.closest?.("button, summary, a")) return;
    if (event.key.startsWith("Arrow") && event.target.closest?.(".maplibregl-canvas, .drawer")) return;
    event.preventDefault();
    found[2]();
  });
}

export function showKeys() {
  const dialog = document.getElementById("keys");
  dialog.replaceChildren(make("h2", {}, t("keys.title")),
    make("dl", {}, KEYS.filter(([, text]) => text).map(([key, text]) => make("div", {},
      make("dt", {}, [key, ALSO[key]].filter(Boolean).map((k) => make("kbd", {}, k))), make("dd", {}, t(text))))),
    make("form", { method: "dialog" }, make("button", { class: "primary" }, t("action.close_drawer"))));
  dialog.showModal();
}
