// The watchlist: one lane at a time, so that nobody takes one for the other; its records, and the one that is open.

import { ask, askLoggedIn } from "./api.js";
import { empty, lastDay, may, openDesk, press, tellPerson, WHO_HELPS, WHO_READS_WATCHLIST } from "./desk.js";
import { glyph, make } from "./dom.js";
import { number, t } from "./language.js";
import { openImport } from "./watchlist_import.js";
import { openNomination } from "./watchlist_nominate.js";
import { drawRecord, stateChip } from "./watchlist_record.js";

const LANES = ["welfare", "enforcement"];
const SHOWN = ["all", "waiting", "in_force", "soon", "over"];
const GLYPHS = { welfare: "help", enforcement: "shield" };
const DAY_NS = 86_400e9;

const view = { lane: "enforcement", shown: "all", find: "", rows: [], next: null, waiting: {}, unopened: 0, record: null, chosen: new Set(), loaded: false };
let parts = {};

const lanes = () => LANES.filter((lane) => lane !== "welfare" || may(WHO_HELPS));

function laneOfAddress() {
  const wanted = location.hash.slice(1);
  return lanes().includes(wanted) ? wanted : lanes()[0];
}

function draw(main) {
  if (!may(WHO_READS_WATCHLIST)) {
    main.replaceChildren(make("div", { class: "page-empty" }, empty(t("watchlist.not_yours"), t("watchlist.not_yours_advice"))));
    return;
  }
  parts = { tabs: make("nav", { class: "lanes", "aria-label": t("watchlist.lanes") }), band: make("div", { class: "band" }),
    tools: make("div", { class: "tools" }), list: make("div", { class: "list" }), detail: make("section", { class: "detail", "aria-label": t("watchlist.record") }) };
  const left = make("section", { class: "left", "aria-label": t("watchlist.list") }, parts.tools, parts.list);
  main.replaceChildren(parts.tabs, parts.band, make("div", { class: "halves" }, left, parts.detail));
  drawAll();
  if (!view.loaded) load();
}

function drawAll() {
  document.body.dataset.lane = view.lane;
  parts.tabs.replaceChildren(...lanes().map((lane) => make("a", { href: `#${lane}`, class: `lane ${lane}`, "aria-current": lane === view.lane ? "page" : null },
    glyph(GLYPHS[lane]), make("span", {}, t(`lane_name.${lane}`)),
    view.waiting[lane] ? make("em", {}, t("watchlist.waiting_count", { n: view.waiting[lane] })) : null)));
  parts.band.replaceChildren(make("p", {}, make("b", {}, t(`lane_who.${view.lane}`)), " ", t(`lane_how.${view.lane}`)));
  drawTools();
  drawList();
  drawDetail();
}

function drawTools() {
  const find = make("input", { type: "search", name: "find", value: view.find, maxlength: 100, placeholder: t("watchlist.find_hint"), "aria-label": t("watchlist.find") });
  const search = make("form", { class: "find", role: "search", onsubmit: (event) => { event.preventDefault(); view.find = find.value.trim(); load(); } },
    find, make("button", { type: "submit" }, t("watchlist.find")),
    view.find ? make("button", { type: "button", class: "quiet", onclick: () => { view.find = ""; load(); } }, t("watchlist.find_end")) : null);
  parts.tools.replaceChildren(
    make("div", { class: "shown", role: "group", "aria-label": t("watchlist.shown") }, SHOWN.map((shown) =>
      make("button", { type: "button", "aria-pressed": String(shown === view.shown), onclick: () => { view.shown = shown; view.chosen.clear(); load(); } },
        t(`shown.${shown}`), shown === "waiting" && view.waiting[view.lane] ? make("em", {}, number(view.waiting[view.lane])) : null))),
    make("div", { class: "tools-right" }, search, may(WHO_HELPS) ? [
      make("button", { type: "button", onclick: () => openImport(reload) }, t("import.open")),
      make("button", { type: "button", class: "primary", onclick: nominate }, t("nominate.open"))] : null));
}

function nominate() {
  openNomination(view.lane, (id) => { tellPerson(t("nominate.done", { subject: id })); reload(); openRecord(id); });
}

async function load(more = false) {
  const query = new URLSearchParams({ lane: view.lane, shown: view.shown, find: view.find, before: more ? view.next : 0 });
  const lane = view.lane;
  const page = await press(null, () => askLoggedIn(`/api/watchlist?${query}`));
  if (!page || lane !== view.lane) return;
  view.rows = more ? [...view.rows, ...page.rows] : page.rows;
  if (!more) view.waiting = page.waiting;
  view.next = page.next;
  view.unopened = page.unopened;
  view.loaded = true;
  drawAll();
}

function reload() { view.chosen.clear(); load(); }

function drawList() {
  const rows = view.rows.map(row);
  const foot = [];
  if (view.unopened) foot.push(make("p", { class: "problem" }, t("watchlist.unopened", { n: view.unopened })));
  if (view.next !== null) foot.push(make("button", { type: "button", onclick: (event) => press(event.target, () => load(true)) }, t("watchlist.more")));
  if (view.chosen.size) {
    foot.push(make("div", { class: "approving" }, make("button", { type: "button", class: "primary", onclick: approveChosen }, t("watchlist.approve_chosen", { n: view.chosen.size }))));
  }
  if (!rows.length && view.loaded && view.next === null) parts.list.replaceChildren(nothing(), ...foot);
  else parts.list.replaceChildren(make("ul", { class: "records" }, rows), ...foot);
}

function nothing() {
  if (view.find) return empty(t("watchlist.none_found", { find: view.find }), t("watchlist.none_found_advice"));
  if (view.shown !== "all") return empty(t("watchlist.none_shown"), t("watchlist.none_shown_advice"));
  const start = may(WHO_HELPS) ? [make("button", { type: "button", class: "primary", onclick: nominate }, t("nominate.open")),
    make("button", { type: "button", onclick: () => openImport(reload) }, t("import.open"))] : [];
  return empty(t("watchlist.none"), t(may(WHO_HELPS) ? "watchlist.none_advice" : "watchlist.none_advice_reader"), ...start);
}

function row(r) {
  const days = Math.max(0, Math.floor((r.expires_ns - Date.now() * 1e6) / DAY_NS));
  const ends = make("span", { class: `ends ${r.state === "over" ? "over" : r.soon ? "soon" : ""}` },
    r.state === "over" ? t("watchlist.ended") : t("watchlist.until"), " ", lastDay(r.expires_ns),
    r.state !== "over" && r.soon ? make("b", {}, ` ${days ? t("watchlist.days_left", { n: days }) : t("watchlist.last_day")}`) : null);
  const who = r.approved_by ? t("watchlist.by_both", { first: r.nominated_by, second: r.approved_by }) : t("watchlist.by_one", { first: r.nominated_by });
  const open = make("button", { type: "button", class: "record-row", "aria-current": view.record?.subject.id === r.id ? "true" : null, onclick: () => openRecord(r.id) },
    make("span", { class: "row-top" }, make("b", { class: "label" }, r.label), stateChip(r.state, r.extension)),
    make("span", { class: "row-facts" }, make("span", { class: "id" }, r.id), make("span", {}, t(`category.${r.category}`)),
      r.plates.length ? make("span", { class: "plates" }, r.plates.slice(0, 3).map((p) => make("span", { class: "plate" }, p)), r.plates.length > 3 ? ` +${r.plates.length - 3}` : null) : null),
    make("span", { class: "row-facts" }, make("span", {}, who), ends));
  const choosable = view.shown === "waiting" && r.state === "waiting" && may(WHO_HELPS);
  const tick = choosable ? make("input", { type: "checkbox", "aria-label": t("watchlist.choose", { label: r.label }), checked: view.chosen.has(r.id), onchange: (event) => {
    if (event.target.checked) view.chosen.add(r.id); else view.chosen.delete(r.id);
    drawList();
    parts.list.querySelector(`[data-id="${r.id}"] input`)?.focus();
  } }) : null;
  return make("li", { "data-id": r.id, class: choosable ? "choosable" : null }, tick, open);
}

async function approveChosen(event) {
  const subjects = [...view.chosen];
  if (await press(event.target, () => ask("/api/watchlist/approve", { subjects })) !== null) return;
  tellPerson(t("watchlist.approved_many", { n: subjects.length }));
  reload();
}

async function openRecord(id) {
  const record = await press(null, () => askLoggedIn(`/api/watchlist/${encodeURIComponent(id)}`));
  if (!record) return;
  view.record = record;
  drawList();
  drawDetail();
  parts.detail.querySelector("h2")?.focus();
}

function drawDetail() {
  document.body.classList.toggle("record-open", view.record !== null);
  if (!view.record) {
    parts.detail.replaceChildren(make("div", { class: "advice-open" }, glyph("eye"), make("p", {}, t("watchlist.choose_one")), make("p", { class: "hint" }, t("watchlist.every_look"))));
    return;
  }
  drawRecord(parts.detail, view.record, { changed: (id) => { load(); if (id) openRecord(id); }, close: () => { view.record = null; drawList(); drawDetail(); parts.list.querySelector("button")?.focus(); } });
}

addEventListener("hashchange", () => {
  const lane = laneOfAddress();
  if (lane === view.lane) return;
  Object.assign(view, { lane, rows: [], next: null, record: null, shown: "all", find: "", loaded: false });
  view.chosen.clear();
  drawAll();
  load();
});

let started = false;
openDesk("watchlist.title", (main) => {
  if (!started) { started = true; view.lane = laneOfAddress() ?? "enforcement"; }
  draw(main);
});
