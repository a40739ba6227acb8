// Every text on the screen comes from language/*.json. Vietnamese first.

import { clockText } from "./format.js";

const LANGUAGES = ["vi", "en"];
const REMEMBERED = "trailwatch.language";
let texts = {};
let current = "vi";
let names = {};
const listeners = [];

function remembered() {
  try { return localStorage.getItem(REMEMBERED); } catch { return null; }     // a locked-down browser has no storage
}

function preferred() {
  const kept = remembered();
  if (LANGUAGES.includes(kept)) return kept;
  const wish = (navigator.languages ?? []).map((tag) => tag.slice(0, 2)).find((tag) => LANGUAGES.includes(tag));
  return wish ?? "vi";
}

export function language() { return current; }

/** Names of corridors, by id. */
export function setNames(byId) { names = byId; }
export function corridorName(id) { return names[id] ?? id; }
export function corridorNames(ids) { return ids.map(corridorName).join(", "); }

export function onLanguage(listener) { listeners.push(listener); }

const files = new Map();        // language -> its texts

async function textsOf(wanted) {
  if (!files.has(wanted)) {
    const answer = await fetch(`/static/language/${wanted}.json`);
    if (!answer.ok) throw new Error(`language file ${wanted}: ${answer.status}`);
    files.set(wanted, await answer.json());
  }
  return files.get(wanted);
}

/** Fetch the other languages too, so that the switch works while the line to the station is lost. */
export function fetchOthers() { for (const wanted of LANGUAGES) textsOf(wanted).catch(() => { /* asked again by the switch */ }); }

export async function loadLanguage(wanted = preferred()) {
  texts = await textsOf(wanted);
  current = wanted;
  document.documentElement.lang = wanted;
  for (const listener of listeners) listener();
}

export async function otherLanguage() {
  const next = LANGUAGES[(LANGUAGES.indexOf(current) + 1) % LANGUAGES.length];
  try { localStorage.setItem(REMEMBERED, next); } catch { /* it is then forgotten with the page */ }
  await loadLanguage(next);
}

/** The text of a key. {name} takes a parameter, {name|class} looks its value up under "class.", {name|time} is a time of day,
 *  {name|corridor} the name of a corridor, {name|short} an id without its zeros. */
export function t(key, parameters = {}) {
  const text = texts[key];
  if (text === undefined) return `[${key}]`;
  return text.replace(/\{(\w+)(?:\|(\w+))?\}/g, (_, name, how) => {
    const value = parameters[name];
    if (value === undefined || value === null) return "?";
    const key = parameters[`${name}|key`];      // a sentence within this one (wire/node_words.py)
    if (key && texts[key] !== undefined) return t(key, within(name, parameters));
    if (how === "corridor") return corridorNames(String(value).split(", "));
    if (how === "short") return short(String(value));
    if (how === "time") return clockText(value / 1e6);
    if (how && texts[`${how}.${value}`] !== undefined) return texts[`${how}.${value}`];
    return typeof value === "number" ? number(value) : String(value);
  });
}

function within(name, parameters) {
  const own = Object.entries(parameters).filter(([n]) => n.startsWith(`${name}|`));
  return Object.fromEntries(own.map(([n, value]) => [n.slice(name.length + 1), value]));
}

/** Whether there are words for it. */
export function hasWords(key) { return texts[key] !== undefined; }

/** Ids as people say them: "C-000017" is "C-17". The record keeps the long form. */
export function short(text) { return text.replace(/\b([ACMTIH])-0+(?=\d)/g, "$1-"); }

/** A Sentence of the station: {key, params}. */
export function say(sentence) { return t(sentence.key, sentence.params ?? {}); }

const formats = new Map();      // made once: making one takes as long as writing a hundred numbers

export function number(value, digits = Number.isInteger(value) ? 0 : 1) {
  const key = `${current} ${digits}`;
  if (!formats.has(key)) formats.set(key, new Intl.NumberFormat(current === "vi" ? "vi-VN" : "en-GB",
    { minimumFractionDigits: digits, maximumFractionDigits: digits, signDisplay: "negative" }));
  return formats.get(key).format(value);
}
