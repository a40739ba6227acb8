// The keyboard: everything an operator does in a night without the mouse.

import { make } from "./dom.js";
import { otherLanguage, t } from "./language.js";
import { centreOnSelected, showSector } from "./map.js";
import { acknowledgeNext, step } from "./queue.js";
import { toggleSound } from "./sound.js";
import { select } from "./state.js";

const KEYS = [
  ["A", "keys.acknowledge", acknowledgeNext],
  ["J", "keys.next", () => step(1)],
  ["K", "keys.previous", () => step(-1)],
  ["C", "keys.centre", centreOnSelected],
  ["F", "keys.sector", showSector],
  ["M", "keys.sound", toggleSound],
  ["L", "keys.language", otherLanguage],
  ["Esc", "keys.close", () => select(null)],
  ["?", "keys.this", showKeys],
];

export function startKeys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    const field = event.target.closest?.("input, textarea, select");
    if (field && event.key !== "Escape") return;
    if (field) { field.blur(); return; }
    if (document.getElementById("keys").open) return;
    const name = event.key === "Escape" ? "Esc" : event.key.toUpperCase();
    const found = KEYS.find(([key]) => key === name);
    if (!found) return;
    event.preventDefault();
    found[2]();
  });
}

export function showKeys() {
  const dialog = document.getElementById("keys");
  dialog.replaceChildren(make("h2", {}, t("keys.title")),
    make("dl", {}, KEYS.map(([key, text]) => make("div", {}, make("dt", {}, make("kbd", {}, key)), make("dd", {}, t(text))))),
    make("form", { method: "dialog" }, make("button", { class: "primary" }, t("action.close_drawer"))));
  dialog.showModal();
}
