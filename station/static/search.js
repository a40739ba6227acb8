// Search: by what a person reads out on the radio. A place, a grid reference, degrees, a plate, a contact, an alarm, a corridor, a
// sensor, a drone. Subjects only for those who may read them, and only when they press it: that look is recorded.

import { toPoint } from "/static/vendor/mgrs/mgrs.mjs";
import { askLoggedIn } from "./api.js";
import { make } from "./dom.js";
import { degrees, mgrs } from "./format.js";
import { onLanguage, say, short, t } from "./language.js";
import { placesOfMap, showPlace } from "./map.js";
import { select, state } from "./state.js";
import { warn } from "./status.js";

const MOST = 12, WAIT_MS = 120, LEAST = 2;
const LANES = { operator: ["welfare", "enforcement"], supervisor: ["welfare", "enforcement"], pilot: ["enforcement"], trainer: ["enforcement"], administrator: ["enforcement"] };
let box = null, input = null, list = null, found = [], at = -1, waiting = null, asked = 0;

/** Without signs of tone and case: "khe da" finds "Khe Đá". */
export const plain = (text) => String(text).normalize("NFD").replace(/\p{M}/gu, "").replaceAll("đ", "d").replaceAll("Đ", "D").toLowerCase();
const letters = (text) => plain(text).replace(/[^a-z0-9]/g, "");

/** Degrees as people write them, or a grid reference; [lat, lon] or null. */
export function placeOf(text) {
  const words = text.trim().toUpperCase().replaceAll("−", "-");
  const grid = words.replace(/^MGRS\s*/, "").replace(/\s/g, "");
  if (/^\d{1,2}[C-HJ-NP-X][A-HJ-NP-Z]{2}(\d\d)+$/.test(grid)) {
    try { const [lon, lat] = toPoint(grid); return [lat, lon]; } catch { return null; }
  }
  const one = String.raw`([NSEW])?\s*(-?\d{1,3}(?:\.\d+)?)\s*°?\s*(?:(\d{1,2}(?:\.\d+)?)\s*['′]\s*(?:(\d{1,2}(?:\.\d+)?)\s*(?:["″]|'')\s*)?)?([NSEW])?`;
  const parts = new RegExp(`^${one}[\\s,;/]+${one}$`).exec(words);
  if (!parts) return null;
  const value = ([before, whole, minutes, seconds, after]) => {
    const size = Math.abs(Number(whole)) + Number(minutes ?? 0) / 60 + Number(seconds ?? 0) / 3600, side = before ?? after ?? "";
    return [whole.startsWith("-") !== (side === "S" || side === "W") ? -size : size, side];
  };
  let [first, second] = [value(parts.slice(1, 6)), value(parts.slice(6, 11))];
  if (/[EW]/.test(first[1]) || /[NS]/.test(second[1])) [first, second] = [second, first];
  return Math.abs(first[0]) <= 90 && Math.abs(second[0]) <= 180 ? [first[0], second[0]] : null;
}

export function startSearch(element) {
  box = element;
  build();
  onLanguage(build);
  document.addEventListener("pointerdown", (event) => { if (!box.contains(event.target)) close(); });
}

export function openSearch() { input?.focus(); input?.select(); }

function build() {
  list = make("ul", { id: "search-list", role: "listbox", "aria-label": t("search.found"), hidden: true });
  input = make("input", { id: "search-field", type: "search", role: "combobox", "aria-expanded": "false", "aria-controls": "search-list", "aria-autocomplete": "list", autocomplete: "off",
    spellcheck: "false", maxlength: 80, placeholder: t("search.placeholder"), "aria-label": t("search.title"), title: t("search.title"), value: input?.value ?? "",
    oninput: () => { clearTimeout(waiting); waiting = setTimeout(look, WAIT_MS); }, onkeydown: pressed });
  box.replaceChildren(input, list);
}

function pressed(event) {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    if (list.hidden) look();
    at = found.length ? (at + (event.key === "ArrowDown" ? 1 : -1) + found.length) % found.length : -1;
    mark();
  } else if (event.key === "Enter") {
    event.preventDefault();
    clearTimeout(waiting);
    look(at);
    found[Math.max(at, 0)]?.go();
  } else if (event.key === "Escape") close();
}

function close() {
  clearTimeout(waiting);
  list.hidden = true;
  at = -1;
  input.setAttribute("aria-expanded", "false");
  input.removeAttribute("aria-activedescendant");
}

function look(keep = -1) {
  const text = input.value.trim();
  asked += 1;
  if (text.length < LEAST) { close(); return; }
  show(candidates(text), keep);
}

function show(rows, keep = -1) {
  found = rows;
  at = Math.min(keep, rows.length - 1);
  list.hidden = false;
  input.setAttribute("aria-expanded", "true");
  list.replaceChildren(...(rows.length ? rows.map((row, i) => make("li", { id: `search-${i}`, role: "option", "aria-selected": "false", onclick: row.go },
    make("small", {}, t(`search_kind.${row.kind}`)), make("b", {}, row.title), row.aside ? make("span", {}, row.aside) : null))
    : [make("li", { class: "none", role: "option", "aria-disabled": "true", "aria-selected": "false" }, t("search.nothing"))]));
  mark();
}

function mark() {
  [...list.children].forEach((row, i) => row.setAttribute("aria-selected", String(i === at)));
  if (at >= 0) { input.setAttribute("aria-activedescendant", `search-${at}`); list.children[at]?.scrollIntoView({ block: "nearest" }); }
}

function candidates(text) {
  const wanted = plain(text), bare = letters(text), rows = [];
  const has = (...words) => words.some((word) => word && (plain(word).includes(wanted) || (bare.length >= LEAST && letters(word).includes(bare))));
  // What is called just so comes first: "K-12" is the contact before an alarm that speaks of it.
  const add = (kind, title, aside, go, ...ids) => rows.push({ kind, title, aside, isIt: ids.some((id) => id && letters(id) === bare), go: () => { close(); input.blur(); go(); } });
  const place = placeOf(text);
  if (place) add("place", degrees(place), `MGRS ${mgrs(place)}`, () => showPlace(place));
  for (const alarm of state.alarms.values()) if (alarm.state !== "closed" && has(alarm.id, short(alarm.id), say(alarm.says))) add("alarm", short(alarm.id), say(alarm.says), () => select("alarm", alarm.id), alarm.id, short(alarm.id));
  for (const contact of state.contacts.values()) {
    if (has(contact.id, short(contact.id), contact.plate)) add(contact.plate && has(contact.plate) ? "plate" : "contact", contact.plate ?? short(contact.id), `${t(`class.${contact.object_class}`)} ${short(contact.id)}`, () => select("contact", contact.id), contact.id, short(contact.id), contact.plate);
  }
  for (const [id, it] of state.sensors) if (has(id, it.node)) add("sensor", id, t(`sensor.${it.state}`), () => select("sensor", id));
  for (const [id, it] of state.drones) if (has(id)) add("drone", id, t(`link.${it.telemetry.link}`), () => select("drone", id));
  for (const f of state.geography.centre_lines.features) {
    if (has(f.properties.name, f.properties.id)) add("corridor", f.properties.name, f.properties.id, () => showPlace(null, f.geometry.coordinates));
  }
  for (const f of state.geography.keep_outs.features) if (has(f.properties.name)) add("keep_out", f.properties.name, "", () => showPlace(null, f.geometry.coordinates.flat(Infinity)));
  for (const { name, point } of placesOfMap()) if (has(name)) add("place", name, `MGRS ${mgrs(point)}`, () => showPlace(point));
  rows.sort((a, b) => Number(b.isIt) - Number(a.isIt)).splice(MOST);
  const lanes = state.isReplay ? [] : LANES[state.me?.role] ?? [];
  if (lanes.length) rows.push({ kind: "subject", title: t("search.watchlist", { text }), aside: [rows.length ? null : t("search.nothing"), t("search.recorded")].filter(Boolean).join(" "), go: () => askWatchlist(text, lanes) });
  return rows;
}

async function askWatchlist(text, lanes) {
  const mine = asked += 1;
  try {
    const answers = await Promise.all(lanes.map((lane) => askLoggedIn(`/api/watchlist?${new URLSearchParams({ lane, find: text, limit: MOST })}`)));
    if (mine !== asked) return;
    show(answers.flatMap((answer) => answer.rows).slice(0, MOST).map((it) => {
      const match = [...state.matches.values()].find((m) => m.subject === it.id && ["question", "confirmed"].includes(m.state) && state.contacts.has(m.contact));
      return { kind: match ? "match" : "subject", title: it.label, aside: it.plates.join(", "),
        go: () => { close(); if (match) select("contact", match.contact); else location.assign(`/watchlist#${it.id}`); } };
    }));
    input.focus();
  } catch (error) {
    if (!error.says) throw error;
    warn(say(error.says));
  }
}
