// Times, ages, distances and places as people read them. Times are the sector's local ones; UTC stands in the tooltip.

import { forward } from "/static/vendor/mgrs/mgrs.mjs";
import { number, t } from "./language.js";
import { make } from "./dom.js";

let offsetMinutes = 0;

export function setOffset(minutes) { offsetMinutes = minutes; }

/** Of the station's own time from UTC, milliseconds. */
export function offsetMs() { return offsetMinutes * 60_000; }

const pad = (value) => String(value).padStart(2, "0");

function parts(ms) {
  const d = new Date(ms);
  return { date: `${pad(d.getUTCDate())}/${pad(d.getUTCMonth() + 1)}`, clock:
    `${pad(d.getUTCHours())}:${pad(d.getUTCMinutes())}:${pad(d.getUTCSeconds())}` };
}

export function clockText(ms) { return parts(ms + offsetMinutes * 60_000).clock; }

export function dateText(ms) {
  const d = new Date(ms + offsetMinutes * 60_000);
  return `${pad(d.getUTCDate())}/${pad(d.getUTCMonth() + 1)}/${d.getUTCFullYear()}`;
}

export function utcText(ms) { return `${new Date(ms).toISOString().slice(0, 19).replace("T", " ")} UTC`; }

export function zoneText() {
  const sign = offsetMinutes < 0 ? "−" : "+";
  const minutes = Math.abs(offsetMinutes);
  return `UTC${sign}${Math.floor(minutes / 60)}${minutes % 60 ? `:${pad(minutes % 60)}` : ""}`;
}

/** Local time of day, with the date before it when it is not today's, and the year where it is another one; of pictures to a tenth. */
export function timeElement(ns, nowMs, isOfPicture = false) {
  const ms = ns / 1e6;
  const at = parts(ms + offsetMinutes * 60_000);
  const today = parts(nowMs + offsetMinutes * 60_000).date, isOtherYear = nowMs > 0 && dateText(ms).slice(6) !== dateText(nowMs).slice(6);
  const clock = isOfPicture ? at.clock + number(Math.floor(ms % 1000 / 100) / 10, 1).slice(1) : at.clock;
  return make("time", { datetime: new Date(ms).toISOString(), title: utcText(ms) },
    isOtherYear ? `${dateText(ms)} ${clock}` : at.date === today ? clock : `${at.date} ${clock}`);
}

export function ageText(seconds) {
  const s = Math.max(0, Math.round(seconds));
  if (s < 60) return t("age.seconds", { n: s });
  if (s < 3600) return t("age.minutes", { n: Math.floor(s / 60), s: pad(s % 60) });
  if (s < 86400) return t("age.hours", { n: Math.floor(s / 3600), m: pad(Math.floor(s / 60) % 60) });
  return t("age.days", { n: Math.floor(s / 86400) });
}

export function metres(value) {
  return Math.abs(value) < 10 ? `${number(value, 1)} m` : Math.abs(value) < 10_000 ? `${number(Math.round(value), 0)} m`
    : `${number(value / 1000, 1)} km`;
}

export function borderText(borderM) {
  return borderM >= 0 ? t("place.border_own", { distance: metres(borderM) })
    : t("place.border_other", { distance: metres(-borderM) });
}

export function degrees([lat, lon]) {
  const one = (value, plus, minus) => `${Math.abs(value).toFixed(5)}°${value >= 0 ? plus : minus}`;
  return `${one(lat, "N", "S")}  ${one(lon, "E", "W")}`;
}

/** Military grid reference to 1 m: "48Q XE 70000 38100". */
export function mgrs([lat, lon]) {
  try {
    const text = forward([lon, lat], 5);
    const found = /^(\d+[A-Z])([A-Z]{2})(\d{5})(\d{5})$/.exec(text);
    return found ? found.slice(1).join(" ") : text;
  } catch { return "–"; }       // beyond 84 degrees north there is no such grid
}
