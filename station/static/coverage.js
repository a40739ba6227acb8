// Coverage: each corridor cut into what somebody sees now, by class, and what nobody does, by how long; and its figures.

import { fact, make } from "./dom.js";
import { ageText, clockText, dateText } from "./format.js";
import { collection, cut, feature } from "./ground.js";
import { corridorName, corridorNames, number, onLanguage, t } from "./language.js";
import { now, onCalmly, state, tell } from "./state.js";
import { RefusedError, askLoggedIn } from "./api.js";
import { announce, warn } from "./status.js";

const REMEMBERED = "trailwatch.coverage";
const NEVER = 7;                        // as station/coverage_runs.py
const LABEL_FROM_M = 30;                // shorter pieces say nothing
const VISIBILITIES_M = [20_000, 5_000, 1_000, 300, 80];
const RAINS_MM_H = [0, 2, 10, 40];
const HOURS = [1, 3, 6];
const GRADES = [1, 2, 3, 4, 5], AGES = [1, 2, 3, 4, 5, 6, NEVER];

let root = null;
let isShown = remembered();
let key = "";

function remembered() {
  try { return localStorage.getItem(REMEMBERED) === "on"; } catch { return false; }
}

export function startCoverage(element) {
  root = element;
  onCalmly("picture", () => build(), 1000);
  onLanguage(() => build(true));
  setInterval(() => build(), 5000);
  build(true);
}

/** How much of the map the panel covers, from its left edge. */
export function coverageWidth() { return root && isShown ? root.offsetWidth : 0; }

export function toggleCoverage() {
  isShown = !isShown;
  try { localStorage.setItem(REMEMBERED, isShown ? "on" : "off"); } catch { /* it is then off again after a reload */ }
  build(true);
  tell("picture", { isUrgent: true });
  tell("layout");
}

/** What the map draws of it; nothing while the layer is off. */
export function coverageFeatures() {
  const lines = [];
  document.body.classList.toggle("coverage-shown", isShown);
  if (isShown) {
    const paths = new Map(state.geography.centre_lines.features.map((f) => [f.properties.id, f.geometry.coordinates]));
    for (const view of state.coverage.values()) {
      const path = paths.get(view.corridor);
      if (!path) continue;
      for (const [from, to, grade, age, sensor, oldestNs] of view.runs) {
        const piece = cut(path, from, to);
        if (piece.length < 2) continue;
        lines.push(feature("LineString", piece, { grade, age,
          label: to - from < LABEL_FROM_M ? "" : age === 0 ? t("coverage.seen_by", { grade: t(`grade.${grade}`), sensor }) : unseenText(age, oldestNs) }));
      }
    }
  }
  return { coverage: collection(lines) };
}

/** In steps, so that the map is not drawn anew each second. */
function unseenText(age, oldestNs) {
  if (age === NEVER || !oldestNs) return t("coverage.never");
  return t("coverage.unseen_for", { age: stepText(oldestNs) });
}

function stepText(ns) {
  const seconds = (now() - ns / 1e6) / 1000;
  if (seconds < 3600) return t("age.minutes_only", { n: Math.max(1, Math.round(seconds / 60)) });
  return seconds < 172_800 ? t("age.hours_only", { n: Math.round(seconds / 3600) }) : t("age.days", { n: Math.round(seconds / 86_400) });
}

/** What a sensor is worth now; undefined where the station has not said. */
export function sensorCoverage(id) { return state.coverageWhole?.sensors.find((s) => s.sensor === id); }

/** The same for its details. */
export function sensorCoverageFact(id) {
  const it = sensorCoverage(id);
  if (!it) return null;
  const kind = it.kind ? make("span", { class: "aside" }, t(`sensor_kind.${it.kind}`)) : null;
  const sees = it.why ? t(`coverage.why.${it.why}`) : t("coverage.sensor_sees", { n: it.watched_m, grade: t(`grade.${it.grade}`) });
  return fact(t("coverage.of_trail"), sees, kind, it.doubtful ? make("span", { class: "second stale" }, t("coverage.doubtful")) : null);
}

function build(anew = false) {
  if (!root) return;
  const whole = state.coverageWhole, views = [...state.coverage.values()];
  const minute = Math.floor(now() / 60_000);
  const wanted = JSON.stringify([isShown, whole, views.map((v) => [v.watched_m, v.debt_mh, v.oldest_ns, v.seen_ns, v.walked]), minute]);
  if (!anew && wanted === key) return;
  if (!anew && root.contains(document.activeElement) && document.activeElement.matches("select")) return;    // somebody chooses
  key = wanted;
  const open = root.querySelector("details.weather")?.open ?? false;
  root.replaceChildren(make("button", { class: "coverage-switch", type: "button", "aria-pressed": String(isShown), title: t("keys.coverage"), onclick: toggleCoverage },
    make("i", { "aria-hidden": "true" }), make("span", {}, t("coverage.title")), make("b", {}, whole ? shareText(whole) : "")),
    isShown ? panel(whole, views, open) : "");
}

function shareText(v) { return t("coverage.share", { percent: number(v.length_m ? 100 * v.watched_m / v.length_m : 0, 0) }); }

function panel(whole, views, weatherOpen) {
  if (!whole) return make("p", { class: "coverage-none" }, t("coverage.waiting"));
  return make("div", { class: "coverage-panel" },
    make("p", { class: "coverage-light" }, lightText(whole), " · ", weatherText(whole)),
    make("table", {},
      make("thead", {}, make("tr", {}, ["corridor", "now", "oldest", "debt"].map((c) => make("th", { scope: "col" }, t(`coverage.column.${c}`))))),
      make("tbody", {}, views.sort((a, b) => b.debt_mh * b.weight - a.debt_mh * a.weight).flatMap((v) => [row(v), walked(v.walked)].filter(Boolean)))),
    make("p", { class: "coverage-sum" }, t("coverage.sum", { watched: number(whole.watched_m, 0), length: number(whole.length_m, 0), debt: number(whole.weighted_mh, 0) })),
    make("div", { class: "coverage-signs" },
      make("h4", {}, t("coverage.signs_now")), make("h4", {}, t("coverage.signs_unseen")),
      make("ul", {}, GRADES.map((g) => make("li", { class: g < whole.counts_from ? "too-little" : "" }, make("i", { class: `run grade-${g}`, "aria-hidden": "true" }), t(`grade.${g}`), make("small", {}, t(`grade.pixels.${g}`))))),
      make("ul", {}, AGES.map((a) => make("li", {}, make("i", { class: `run age-${a}`, "aria-hidden": "true" }), t(`coverage.age.${a}`))))),
    make("p", { class: "coverage-note" }, t("coverage.counts_from", { grade: t(`grade.${whole.counts_from}`) }), " ",
      t(growthKey(whole, views), { corridors: corridorNames(whole.growth) })),
    state.me?.decides ? weatherForm(whole, weatherOpen) : null);
}

function growthKey(whole, views) {
  if (!whole.growth.length) return "coverage.growth_unknown";
  return whole.growth.length < views.length ? "coverage.growth_partly" : "coverage.growth_known";
}

function row(v) {
  const oldest = v.oldest_ns >= v.at_ns ? t("coverage.now") : !v.oldest_ns ? t("coverage.never") : ageText((now() - v.oldest_ns / 1e6) / 1000);
  return make("tr", {}, make("th", { scope: "row" }, corridorName(v.corridor)),
    make("td", { title: t("coverage.watched_title", { n: number(v.watched_m, 0), length: number(v.length_m, 0) }) }, `${number(v.length_m ? 100 * v.watched_m / v.length_m : 0, 0)} %`),
    make("td", {}, oldest), make("td", {}, number(v.debt_mh, 0)));
}

/** What walk tests of a corridor say, below its row: the share of passes with an alarm, and its interval. */
function walked(w) {
  if (!w) return null;
  const percent = (share) => number(100 * share, 0), range = { low: percent(w.low), high: percent(w.high) };
  return make("tr", { class: "walked" }, make("td", { colspan: 4, title: t("coverage.walked_title", { hits: w.hits, of: w.of, ...range, day: dateText(w.last_ns / 1e6), person: w.by }) },
    t("coverage.walked", { percent: percent(w.hits / w.of), n: w.of, ...range })));
}

function lightText(w) {
  const hour = w.sun_deg > 0 ? "day" : w.sun_deg > -12 ? "dusk" : "night";
  return t(`coverage.light.${hour}`, { lux: w.lux >= 10 ? number(Math.round(w.lux), 0) : number(w.lux, w.lux < 0.01 ? 4 : 2) });
}

function weatherText(w) {
  const far = w.visibility_m >= 1000 ? `${number(w.visibility_m / 1000, 0)} km` : `${number(w.visibility_m, 0)} m`;
  const said = w.weather_by ? t("coverage.weather_by", { person: w.weather_by, until: clockText(w.weather_until_ns / 1e6).slice(0, 5) }) : t("coverage.weather_assumed");
  return [t("coverage.visibility", { far }), w.rain_mm_h > 0 ? t("coverage.rain", { mm: number(w.rain_mm_h, 0) }) : null, said].filter(Boolean).join(", ");
}

function weatherForm(whole, open) {
  const choice = (name, values, chosen, text) => make("label", {}, t(`coverage.form.${name}`), make("select", { name },
    values.map((v) => make("option", { value: v, selected: v === chosen }, text(v)))));
  const nearest = VISIBILITIES_M.reduce((a, b) => (Math.abs(Math.log(b / whole.visibility_m)) < Math.abs(Math.log(a / whole.visibility_m)) ? b : a));
  const form = make("form", { onsubmit: (event) => { event.preventDefault(); say(form); } },
    choice("visibility_m", VISIBILITIES_M, nearest, (v) => t(`coverage.form.visibility.${v}`)),
    choice("rain_mm_h", RAINS_MM_H, 0, (v) => t(`coverage.form.rain.${v}`)),
    choice("hours", HOURS, 3, (n) => t("coverage.form.for_hours", { n })),
    make("button", { type: "submit" }, t("coverage.form.say")));
  return make("details", { class: "weather", open }, make("summary", {}, t("coverage.form.title")), form);
}

async function say(form) {
  const wanted = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, Number(value)]));
  const cloud = wanted.rain_mm_h > 0 || wanted.visibility_m < 1000 ? 1.0 : 0.3;
  try {
    await askLoggedIn("/api/coverage/weather", { ...wanted, cloud });
    root.querySelector("details.weather").open = false;
    document.activeElement?.blur();
    announce(t("coverage.form.said"));
  } catch (error) {
    if (!(error instanceof RefusedError)) throw error;
    warn(t(error.says.key, error.says.params ?? {}));
  }
}
