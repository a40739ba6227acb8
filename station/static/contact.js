// What a person may decide about a contact: that it is two, or one with another.

import { askLoggedIn } from "./api.js";
import { make } from "./dom.js";
import { say, short, t } from "./language.js";
import { announce, warn } from "./status.js";
import { state } from "./state.js";

const CHOICES = 6;          // the nearest of its kind

export function apartSection(contact) {
  return make("section", { class: "reasons" }, make("h3", {}, t("drawer.why_apart")),
    make("ul", {}, contact.why_apart.map((why) => make("li", {}, say(why)))));
}

/** The contacts that it could be one with, the nearest first. */
export function neighbours(contact) {
  const kind = (c) => ["person", "boat"].includes(c.object_class) ? c.object_class : "vehicle";
  const away = (c) => Math.hypot(c.position.lat_deg - contact.position.lat_deg,
    (c.position.lon_deg - contact.position.lon_deg) * Math.cos(contact.position.lat_deg * Math.PI / 180));
  return [...state.contacts.values()].filter((c) => c.id !== contact.id && c.state !== "ended" && kind(c) === kind(contact))
    .sort((a, b) => away(a) - away(b)).slice(0, CHOICES).map((c) => c.id);
}

export function contactWork(contact, others) {
  const choice = make("select", { "aria-label": t("drawer.merge"), "data-focus": "merge-choice" }, others.map((id) => make("option", { value: id }, short(id))));
  return make("section", { class: "contact-work" }, make("h3", {}, t("drawer.work")),
    others.length ? make("p", { class: "row" }, make("label", {}, `${t("drawer.merge")} `, choice), " ",
      make("button", { type: "button", onclick: () => tell(contact, "merge", { other: choice.value }) }, t("drawer.merge_button"))) : null,
    contact.sensors.length > 1 ? make("p", {}, contact.sensors.map((sensor) =>
      make("button", { type: "button", onclick: () => tell(contact, "split", { sensor }) }, t("drawer.split", { sensor })))) : null);
}

async function tell(contact, what, body) {
  try {
    await askLoggedIn(`/api/contacts/${encodeURIComponent(contact.id)}/${what}`, body);
    announce(t("drawer.work_done"));
  } catch (error) { warn(error.says ? say(error.says) : error.message); }
}
