// Day or night: dim and warm, remembered by the browser. night.js reads it before a page is drawn.

import { glyph, make } from "./dom.js";
import { t } from "./language.js";

const REMEMBERED = "trailwatch.night";

export function isNight() { return document.documentElement.hasAttribute("data-night"); }

export function toggleNight() {
  const night = document.documentElement.toggleAttribute("data-night");
  try { localStorage.setItem(REMEMBERED, night ? "on" : "off"); } catch { /* it is then forgotten with the page */ }
  for (const button of document.querySelectorAll(".night-switch")) button.setAttribute("aria-pressed", String(night));
}

export function nightSwitch() {
  return make("button", { class: "icon text night-switch", type: "button", title: t("keys.night"), "aria-label": t("keys.night"), "aria-pressed": String(isNight()), onclick: toggleNight }, glyph("moon"));
}
