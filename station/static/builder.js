// The exercise builder: an exercise on the map, as forms, and as the file that it is. Whatever one changes, the station's own
// loader judges; what it refuses is shown with line and key, and is not saved.

import { askLoggedIn } from "./api.js";
import { askPerson, closeDialog, empty, may, openDesk, press, tellPerson } from "./desk.js";
import { make } from "./dom.js";
import { say, t } from "./language.js";
import { Ground } from "./builder_ways.js";
import { drawForms, TABS } from "./builder_forms.js";
import { BuilderMap } from "./builder_map.js";
import { HOME, PAGES, TRAINER } from "./trainer_words.js";

const CHECK_AFTER_MS = 500, UNDO_LIMIT = 60;

/** What is built. data: the exercise as its file has it. chosen: {list, index} of what the form is about. */
export const built = { data: null, base: "", name: "", state: "", isOwn: true, opened: null, ground: null, chosen: null, tab: "about", checked: null, eyes: [], mode: null, dirty: false };

let parts = {}, map = null, undo = [], timer = null, asked = 0;

function draw(main) {
  if (!may(TRAINER)) { main.replaceChildren(empty(t("trainer.not_yours"), t("trainer.not_yours_advice"))); return; }
  map?.close();
  map = null;
  load(main);
}

async function load(main) {
  const name = decodeURIComponent(location.hash.slice(1));
  if (!built.data || built.wanted !== name) {
    try {
      built.opened = await askLoggedIn(name ? `/api/desk/build/${encodeURIComponent(name)}` : "/api/desk/build");
    } catch (error) {
      if (!error.says) throw error;
      main.replaceChildren(make("div", { class: "page-empty" }, empty(t("trainer.cannot"), say(error.says))));
      return;
    }
    take(built.opened.opened);
    Object.assign(built, { wanted: name, ground: new Ground(built.opened), eyes: built.opened.ground.eyes, chosen: null, tab: "about", mode: null, checked: null, dirty: false });
    undo = [];
  }
  build(main);
  map = new BuilderMap(parts.map, built, { change, choose });
  map.open().catch((error) => parts.map.replaceChildren(make("p", { class: "no-map" }, t("map.no_webgl", { detail: String(error?.message ?? error) }))));
  redraw();
  check();
}

function take(opened) {
  Object.assign(built, { data: opened.data, base: opened.name, isOwn: opened.is_own, state: opened.is_own ? opened.state : "", text: opened.text });
  built.name = opened.is_own && opened.name ? opened.name : opened.name ? `${opened.name}-2` : "my-exercise";
  for (const list of ["actors", "cameras", "drones", "injects", "weather", "goals", "watchlist"]) built.data[list] ??= [];
}

function build(main) {
  parts = {
    tabs: make("div", { class: "tabs", role: "tablist", "aria-label": t("builder.parts") }), form: make("div", { class: "build-form", role: "tabpanel", tabindex: 0 }),
    map: make("div", { class: "map", role: "region", "aria-label": t("builder.map") }), verdict: make("div", { class: "verdict", role: "status" }),
    name: make("input", { id: "build-name", value: built.name, maxlength: 40, spellcheck: "false", autocapitalize: "none", onchange: () => { built.name = parts.name.value.trim(); check(); } }),
    save: make("button", { type: "button", class: "primary", onclick: save }, t("builder.save")),
    undo: make("button", { type: "button", onclick: back }, t("builder.undo")), hint: make("div", { class: "map-hint", role: "status" }),
  };
  main.replaceChildren(make("div", { class: "build" },
    make("aside", { class: "build-side", "aria-label": t("builder.parts") }, parts.tabs, parts.form),
    make("div", { class: "lead-map" }, parts.map, parts.hint),
    make("div", { class: "build-bar" }, make("label", { for: "build-name" }, t("builder.name")), parts.name, parts.verdict, parts.undo, parts.save)));
}

/** Draw forms and map as the data stands. */
export function redraw() {
  parts.tabs.replaceChildren(...TABS.map((tab) => make("button", { type: "button", role: "tab", "aria-selected": String(built.tab === tab), class: "quiet", onclick: () => { setMode(null); built.tab = tab; built.chosen = null; redraw(); } },
    `${t(`build_tab.${tab}`)}${Array.isArray(built.data[tab]) && built.data[tab].length ? ` ${built.data[tab].length}` : ""}`)));
  drawForms(parts.form, built, { change, choose, setMode, redraw, takeText });
  drawMap();
}

function drawMap() {
  map?.draw();
  parts.hint.textContent = built.mode ? t(`build_mode.${built.mode}`) : "";
  parts.hint.hidden = !built.mode;
  parts.undo.disabled = undo.length === 0;
}

/** Every change goes through here: it can be taken back, and is judged. quiet: the forms stay as they are. */
export function change(work, quiet = false) {
  undo.push(JSON.stringify(built.data));
  undo = undo.slice(-UNDO_LIMIT);
  work(built.data);
  built.dirty = true;
  built.edited = null;
  if (quiet) drawMap();
  else redraw();
  clearTimeout(timer);
  timer = setTimeout(check, CHECK_AFTER_MS);
}

function back() {
  if (!undo.length) return;
  built.data = JSON.parse(undo.pop());
  if (built.chosen && !built.data[built.chosen.list]?.[built.chosen.index]) built.chosen = null;
  redraw();
  check();
}

export function choose(list, index) {
  const tab = TABS.includes(list) ? list : "cameras";
  built.chosen = index === null ? null : { list, index };
  if (index !== null) built.tab = tab;
  redraw();
}

export function setMode(mode) {
  built.mode = mode;
  drawMap();
}

function wish() {
  return { name: built.name || "new-exercise", base: built.base, state: built.state, ...(built.edited === null || built.edited === undefined ? { data: built.data } : { text: built.edited }) };
}

async function check() {
  clearTimeout(timer);
  const mine = asked += 1;
  try {
    const answer = await askLoggedIn("/api/desk/check", wish());
    if (mine !== asked) return;
    built.checked = answer.checked;
    if (!answer.checked.refused) built.eyes = answer.eyes;
    built.text = answer.checked.text;
    built.parsed = answer.data;
    verdict();
    drawMap();
    if (built.tab === "file" && !built.edited) redraw();
  } catch (error) {
    if (!error.says) throw error;
    parts.verdict.replaceChildren(make("p", { class: "problem" }, say(error.says)));
  }
}

function verdict() {
  const c = built.checked;
  parts.verdict.replaceChildren(c.refused ? make("p", { class: "problem" }, c.refused) : make("p", { class: "good" }, t("builder.sound")),
    c.lost_comments.length ? make("p", { class: "hint", title: c.lost_comments.join("\n") }, t("builder.loses", { n: c.lost_comments.length })) : "");
  parts.save.disabled = Boolean(c.refused);
}

/** The file was changed by hand: it is the file that counts, and the forms follow. */
async function takeText(text) {
  built.edited = text;
  await check();
  if (built.parsed) {
    undo.push(JSON.stringify(built.data));
    built.data = built.parsed;
    for (const list of ["actors", "cameras", "drones", "injects", "weather", "goals", "watchlist"]) built.data[list] ??= [];
    built.dirty = true;
  }
  redraw();
}

async function save() {
  await press(parts.save, async () => {
    const saved = await askLoggedIn("/api/desk/save", wish());
    take(saved.opened);
    Object.assign(built, { wanted: saved.opened.name, dirty: false, edited: null });
    history.replaceState(null, "", `#${saved.opened.name}`);
    parts.name.value = built.name;
    redraw();
    if (saved.lost_comments.length) {
      askPerson({ title: t("builder.saved_as", { name: built.name }), advice: t("builder.lost"), button: t("builder.understood"), fields: [make("ul", { class: "lines" }, saved.lost_comments.map((c) => make("li", {}, make("code", {}, c))))], send: async () => closeDialog() });
    } else tellPerson(t("builder.saved_as", { name: built.name }));
    check();
  });
}

addEventListener("hashchange", () => { if (decodeURIComponent(location.hash.slice(1)) !== built.wanted) location.reload(); });
addEventListener("beforeunload", (event) => { if (built.dirty) event.preventDefault(); });
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && built.mode) setMode(null);
  if (event.key === "Enter" && built.mode === "way" && event.target.closest(".maplibregl-canvas")) setMode(null);
});
openDesk("builder.title", draw, PAGES, HOME);
