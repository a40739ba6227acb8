// The builder's forms: one tab for each part of an exercise. A field that was changed changes the data, and nothing else.

import { choice, field } from "./desk.js";
import { make, refill } from "./dom.js";
import { language, t } from "./language.js";
import { WHEELS } from "./builder_ways.js";
import { minutes } from "./trainer_words.js";

export const TABS = ["about", "actors", "cameras", "weather", "injects", "file"];
const TOOLS = ["drones", "watchlist", "orders", "teams"];
const FAULTS = ["blind", "covered", "dark", "defocused", "frozen", "moved"], DRONE_FAULTS = ["gps", "link"];
const GAITS = ["walk", "stroll", "hurry", "run", "crouch_walk"];
const MEASURES = ["pd", "time_to_alarm_p50_s", "false_alarms", "nuisance_alarms", "acknowledged_p50_s", "right_reason_share", "lane_share", "position_error_p50_m", "matches_asked", "f1", "ellipse90_share", "alarms_most_10_min", "gospa_mean_m"];
const INJECTS = ["message", "weather", "camera", "report", "split", "drone"];
const ROLE_OF = { person: "crosser", motorcycle: "traffic", bicycle: "traffic", car: "traffic", pickup: "traffic", truck: "traffic", bus: "traffic", boat: "traffic", dog: "animal", buffalo: "animal", bird: "animal" };
const KINDS = Object.keys(ROLE_OF), ROLES = ["crosser", "subject", "farmer", "child", "patrol", "traffic", "animal"];

let built, acts;

export function drawForms(box, b, actions) {
  built = b;
  acts = actions;
  const scrolled = box.scrollTop;
  refill(box, FORMS[b.tab]);
  box.scrollTop = scrolled;
}

const FORMS = { about, actors, cameras, weather, injects, file };
const words = (values, prefix) => values.map((v) => [v, t(`${prefix}.${v}`)]);
const set = (target, key, value) => acts.change(() => { if (value === null || value === "") delete target[key]; else target[key] = value; }, true);

/** A number; empty where the file is to say nothing. */
function num(target, key, label, { least = null, most = null, step = "any", hint = "", usual = null, wide = false } = {}) {
  const control = make("input", { type: "number", value: target[key] ?? "", min: least, max: most, step, placeholder: usual ?? null, onchange: () => set(target, key, control.value === "" ? null : Number(control.value)) });
  return field(`${key}-${label}`.replace(/\W+/g, "-"), label, control, hint, { wide });
}

function txt(target, key, label, { area = false, hint = "", wide = true, onset = null } = {}) {
  const control = make(area ? "textarea" : "input", { rows: area ? 3 : null, onchange: () => (onset ? onset(control.value) : set(target, key, control.value)) });
  control.value = target[key] ?? "";
  return field(`${key}-${label}`.replace(/\W+/g, "-"), label, control, hint, { wide });
}

function pick(target, key, label, options, { none = null, redraw = false, onset = null, wide = false } = {}) {
  const control = choice(none === null ? options : [["", none], ...options], target[key] ?? "", { onchange: () => {
    if (onset) onset(control.value);
    else acts.change(() => { if (control.value === "") delete target[key]; else target[key] = control.value; }, !redraw);
  } });
  return field(`${key}-${label}`.replace(/\W+/g, "-"), label, control, "", { wide });
}

function tick(checked, label, onset) {
  const box = make("input", { type: "checkbox", checked, onchange: () => onset(box.checked) });
  return make("label", { class: "tick" }, box, label);
}

const button = (label, work, how = "") => make("button", { type: "button", class: how, onclick: work }, label);
const head = (text) => make("h3", {}, text);
const grid = (...children) => make("div", { class: "grid2" }, children);

// --------------------------------------------------------------------------------------------------------------- about

function about() {
  const d = built.data, e = d.exercise, may = d.trainees ??= {}, read = d.words?.[language()];
  const starts = String(d.starts ?? ""), local = starts.slice(0, 16), offset = starts.slice(19) || "+07:00";
  const when = make("input", { type: "datetime-local", value: local, onchange: () => set(d, "starts", `${when.value}:00${offset}`) });
  return [
    grid(txt(read ?? e, "title", t("builder.exercise_title")), txt(read ?? e, "teaches", t("builder.teaches"), { area: true }), txt(read ?? may, "brief", t("builder.brief"), { area: true, hint: t("builder.brief_hint") }),
      num(e, "seconds", t("builder.seconds"), { least: 10, step: 30 }), field("starts", t("builder.starts"), when, t("builder.starts_hint"), { wide: true })),
    tick(Boolean(e.nothing_to_find), t("builder.nothing_to_find"), (v) => acts.change(() => { e.nothing_to_find = v; }, true)),
    head(t("trainer.may_use")), make("div", { class: "ticks" }, TOOLS.map((tool) => tick((may.may_use ?? TOOLS).includes(tool), t(`tool.${tool}`), (v) => acts.change(() => {
      const now = new Set(may.may_use ?? TOOLS);
      if (v) now.add(tool); else now.delete(tool);
      may.may_use = TOOLS.filter((x) => now.has(x));
    }, true)))),
    head(t("trainer.goals")), ...d.goals.map((g, i) => goal(g, i)),
    button(t("builder.add_goal"), () => acts.change((x) => { x.goals.push({ measure: MEASURES.find((m) => !x.goals.some((g) => g.measure === m)) ?? "pd", at_least: 1 }); })),
  ];
}

function goal(g, i) {
  const least = g.at_least !== undefined && g.at_least !== null;
  const measure = choice(words(MEASURES, "measure"), g.measure, { "aria-label": t("trainer.measure"), onchange: () => acts.change(() => { g.measure = measure.value; }, true) });
  const way = choice([["at_least", "≥"], ["at_most", "≤"]], least ? "at_least" : "at_most", { "aria-label": t("builder.compare"), onchange: () => acts.change(() => { g[way.value] = g.at_least ?? g.at_most; delete g[way.value === "at_least" ? "at_most" : "at_least"]; }, true) });
  const value = make("input", { type: "number", step: "any", value: g.at_least ?? g.at_most ?? "", "aria-label": t("builder.value"), onchange: () => acts.change(() => { g[way.value] = Number(value.value); }, true) });
  return make("div", { class: "goal-row" }, measure, way, value, remove("goals", i));
}

const remove = (list, i) => make("button", { type: "button", class: "small", "aria-label": t("builder.remove"), title: t("builder.remove"), onclick: () => acts.change((d) => { const [gone] = d[list].splice(i, 1); if (list === "injects") for (const w of Object.values(d.words ?? {})) delete w.says?.[gone.id]; if (built.chosen?.list === list) built.chosen = null; }) }, "✕");

// -------------------------------------------------------------------------------------------------------------- actors

function entries(list, text) {
  return make("ul", { class: "entries" }, built.data[list].map((x, i) => make("li", {}, make("button", { type: "button", class: "quiet", "aria-expanded": String(built.chosen?.list === list && built.chosen.index === i),
    onclick: () => { acts.setMode(null); acts.choose(list, built.chosen?.list === list && built.chosen.index === i ? null : i); } }, ...text(x)), built.chosen?.list === list && built.chosen.index === i ? remove(list, i) : null)));
}

const chosenOf = (list) => (built.chosen?.list === list ? built.data[list][built.chosen.index] : null);

function fresh(list, key, wanted) {
  const taken = new Set(built.data[list].map((x) => x[key]));
  let n = 1;
  while (taken.has(`${wanted}-${n}`)) n += 1;
  return `${wanted}-${n}`;
}

function addActor(kind) {
  const line = built.opened.ground.lines.find((l) => !l.is_road && !/-(beyond|inland)$/.test(l.name)) ?? built.opened.ground.lines[0];
  built.freshWait = true;
  built.tab = "actors";
  acts.change((d) => {
    d.actors.push({ name: fresh("actors", "name", kind === "person" ? "people" : kind), kind, role: ROLE_OF[kind], enters_s: 30, at: { on: line.name, at_m: Math.round(line.length_m / 2) }, script: [{ do: "wait", seconds: 600 }] });
    if (ROLE_OF[kind] === "crosser") d.exercise.nothing_to_find = false;
    built.chosen = { list: "actors", index: d.actors.length - 1 };
  });
  acts.setMode("start");
}

function actors() {
  const a = chosenOf("actors");
  const kind = choice(words(KINDS, "actor_kind"), "person", { "aria-label": t("builder.kind") });
  return [make("div", { class: "add-row" }, kind, button(t("builder.add_actor"), () => addActor(kind.value), "primary")),
    entries("actors", (x) => [make("b", {}, x.name), make("span", {}, `${(x.count ?? 1) > 1 ? `${x.count} × ` : ""}${t(`actor_kind.${x.kind}`)}, ${t(`actor_role.${x.role}`)}, ${minutes(x.enters_s ?? 0)}`)]),
    a ? actorForm(a) : make("p", { class: "hint" }, t("builder.actors_hint"))];
}

function actorForm(a) {
  const looks = a.looks ?? {};
  const look = (key, value) => acts.change(() => { a.looks = { ...a.looks, [key]: value }; if (!value) delete a.looks[key]; if (!Object.keys(a.looks).length) delete a.looks; }, true);
  const isPerson = a.kind === "person", isDrawing = built.mode === "way" || built.mode === "start";
  return make("section", { class: "entry", "aria-label": a.name },
    grid(txt(a, "name", t("builder.name"), { wide: false, onset: (v) => rename(a, v) }), pick(a, "role", t("builder.role"), words(ROLES, "actor_role")),
      num(a, "enters_s", t("builder.enters"), { least: 0, step: 5 }),
      num(a, "count", t(isPerson ? "builder.party" : "builder.count"), { least: 1, most: 40, step: 1, usual: 1 }),
      (a.count ?? 1) > 1 ? num(a, "spacing_m", t("builder.spacing"), { least: 0.8, step: 0.1, usual: 2.5 }) : null,
      isPerson ? pick(looks, "age", t("builder.age"), words(["child", "young", "old"], "age_of"), { none: "–", onset: (v) => look("age", v) }) : null,
      WHEELS.includes(a.kind) ? txt(looks, "plate", t("builder.plate"), { wide: false, onset: (v) => look("plate", v) }) : null),
    isPerson ? make("div", { class: "ticks" }, tick(Boolean(looks.pack), t("builder.pack"), (v) => look("pack", v)), tick(Boolean(looks.hat), t("builder.hat"), (v) => look("hat", v))) : null,
    make("div", { class: "dialog-buttons" },
      isDrawing ? button(t("builder.way_done"), () => { acts.setMode(null); acts.redraw(); }, "primary") : button(t("builder.draw_way"), () => { acts.setMode("way"); acts.redraw(); }, "primary"),
      button(t("builder.new_way"), () => { built.freshWait = true; acts.change(() => { a.script = [{ do: "wait", seconds: 600 }]; }); acts.setMode("start"); })),
    head(t("builder.script")), script(a));
}

function rename(a, name) {
  acts.change((d) => {
    const was = a.name;
    a.name = name;
    for (const w of d.watchlist) if (w.actor === was) w.actor = name;
    for (const i of d.injects) { if (i.actor === was) i.actor = name; if (i.when?.actor === was) i.when.actor = name; }
  });
}

function script(a) {
  const stops = built.ground.way(a).stops;
  const row = (act, i) => make("li", {}, make("span", { class: `at ${(stops[i + 1]?.at_s ?? 0) > built.data.exercise.seconds ? "late" : ""}`, title: (stops[i + 1]?.at_s ?? 0) > built.data.exercise.seconds ? t("builder.after_end") : null }, minutes(stops[i + 1]?.at_s ?? 0)), actRow(act, a, i),
    make("button", { type: "button", class: "small", "aria-label": t("builder.remove"), title: t("builder.remove"), disabled: a.script.length < 2, onclick: () => acts.change(() => { a.script.splice(i, 1); }) }, "✕"));
  return make("ol", { class: "acts" }, (a.script ?? []).map(row), make("li", { class: "act-add" },
    button(t("builder.add_wait"), () => acts.change(() => { built.freshWait = false; a.script.push({ do: "wait", seconds: 20, ...(a.kind === "person" ? { posture: "crouch" } : {}) }); }), "small"),
    a.kind === "person" ? button(t("builder.add_turn"), () => acts.change(() => { a.script.push({ do: "turn_back", metres: 60 }); }), "small") : null,
    a.kind === "person" ? button(t("builder.add_scatter"), () => acts.change(() => { a.script.push({ do: "scatter" }, { do: "regroup" }); }), "small") : null));
}

function actRow(act, a, i) {
  const small = (key, label, step) => { const c = make("input", { type: "number", step, value: act[key] ?? "", "aria-label": `${label} ${i + 1}`, onchange: () => acts.change(() => { act[key] = Number(c.value); }) }); return c; };
  const gait = () => { const c = choice(words(GAITS, "gait"), act.gait ?? (act.do === "turn_back" ? "hurry" : "walk"), { "aria-label": `${t("builder.gait")} ${i + 1}`, onchange: () => acts.change(() => { act.gait = c.value; }) }); return c; };
  if (act.do === "follow_trail") return make("div", {}, make("span", {}, t("step.follow_trail", { on: act.trail })), small("to_m", t("builder.to_m"), 10), "m", gait());
  if (act.do === "drive") return make("div", {}, make("span", {}, t("step.follow_trail", { on: act.road })), small("to_m", t("builder.to_m"), 10), "m", small("speed_kmh", t("builder.speed"), 1), "km/h");
  if (act.do === "go_to") return make("div", {}, make("span", {}, t("step.go_to")), a.kind === "person" ? gait() : "");
  if (act.do === "wait") return make("div", {}, make("span", {}, t("step.wait")), small("seconds", t("builder.seconds"), 5), "s");
  if (act.do === "turn_back") return make("div", {}, make("span", {}, t("step.turn_back")), small("metres", t("builder.metres"), 10), "m", gait());
  return make("div", {}, make("span", {}, t(`step.${act.do}`)), act.seconds !== undefined ? small("seconds", t("builder.seconds"), 5) : "");
}

// ------------------------------------------------------------------------------------------------------------- cameras

function cameras() {
  const c = chosenOf("cameras"), d = chosenOf("drones");
  const masts = built.opened.nodes.filter(([, , flies]) => !flies), flying = built.opened.nodes.filter(([, , flies]) => flies);
  const add = (list, entry) => { acts.change((x) => { x[list].push(entry); built.chosen = { list, index: x[list].length - 1 }; }); acts.setMode("place"); };
  const corridors = built.opened.ground.geography.strips.features.map((f) => [f.properties.id, f.properties.name]);
  const like = (files, label, now) => (files.some(([path]) => path === now) ? files : [[now, now.split("/").at(-1), false], ...files]).map(([path, name]) => [path, label ? name : name]);
  const middle = () => { const box = built.opened.ground.geography.centre_lines.features[0]?.geometry.coordinates; const p = box[Math.floor(box.length / 2)]; return [Number(p[1].toFixed(6)), Number(p[0].toFixed(6))]; };
  return [
    make("div", { class: "add-row" }, button(t("builder.add_camera"), () => add("cameras", { id: fresh("cameras", "id", "camera"), like: masts[0][0], position: middle(), height_agl_m: 8, yaw_deg: 0, pitch_deg: -13.5 }), "primary"),
      flying.length && !built.data.drones.length ? button(t("builder.add_drone"), () => { acts.change((x) => { x.trainees.may_use = [...new Set([...(x.trainees.may_use ?? TOOLS), "drones"])]; }); add("drones", { id: "drone-1", like: flying[0][0], home: middle(), corridor: corridors[0][0] }); }) : null),
    entries("cameras", (x) => [make("b", {}, x.id), make("span", {}, x.height_agl_m ? `${x.height_agl_m} m, ${Math.round(x.yaw_deg ?? 0)}°` : x.like.split("/").at(-1))]),
    built.data.drones.length ? entries("drones", (x) => [make("b", {}, x.id), make("span", {}, x.corridor)]) : null,
    c ? make("section", { class: "entry", "aria-label": c.id }, grid(txt(c, "id", t("builder.name"), { wide: false }), pick(c, "like", t("builder.like"), like(masts, true, c.like)),
      num(c, "height_agl_m", t("builder.height"), { least: 1, most: 80, step: 0.5, usual: t("builder.as_like") }), num(c, "yaw_deg", t("builder.yaw"), { step: 1, usual: t("builder.as_like") }),
      num(c, "pitch_deg", t("builder.pitch"), { least: -90, most: 90, step: 0.5, usual: t("builder.as_like") }), num(c, "fps", t("builder.fps"), { least: 0.2, most: 30, step: 0.5, usual: 3 }),
      pick(c, "kind", t("builder.sees"), words(["day", "low_light", "thermal"], "sensor_kind"), { none: t("builder.as_like") }), num(c, "lamp_reach_m", t("builder.lamp"), { least: 0, step: 5, usual: t("builder.as_like") })),
    place(c, "position"), button(t("builder.place"), () => acts.setMode("place"), "primary"), make("p", { class: "hint" }, t("builder.camera_hint"))) : null,
    d ? make("section", { class: "entry", "aria-label": d.id }, grid(txt(d, "id", t("builder.name"), { wide: false }), pick(d, "corridor", t("builder.corridor"), corridors),
      num(d, "height_m", t("builder.height_home"), { least: 10, most: 120, step: 1, usual: 32 }), num(d, "speed_m_s", t("builder.flies"), { least: 1, most: 15, step: 0.5, usual: 5 }), num(d, "reach_m", t("builder.reach"), { least: 0, step: 50, usual: 400 })),
    place(d, "home"), button(t("builder.place"), () => acts.setMode("place"), "primary")) : null,
    !c && !d ? make("p", { class: "hint" }, t("builder.cameras_hint")) : null,
  ];
}

/** For whoever places by numbers. */
function place(target, key) {
  if (!target[key]) return null;
  const one = (i, label) => { const c = make("input", { type: "number", step: "0.00001", value: target[key][i], onchange: () => acts.change(() => { target[key] = target[key].map((v, n) => (n === i ? Number(c.value) : v)); }, true) }); return field(`place-${i}`, label, c); };
  return make("div", { class: "grid2" }, one(0, t("builder.lat")), one(1, t("builder.lon")));
}

// ------------------------------------------------------------------------------------------------------------- weather

const WEATHER = [["at_s", 0, null, 30], ["cloud", 0, 1, 0.1], ["rain_mm_h", 0, 200, 0.5], ["visibility_m", 20, 100000, 500], ["wind_mps", 0, 40, 0.5], ["wind_from_deg", 0, 360, 10]];

function weather() {
  return [make("p", { class: "hint" }, t("builder.weather_hint")),
    ...built.data.weather.map((w, i) => make("section", { class: "entry", "aria-label": `${t("build_tab.weather")} ${i + 1}` }, make("div", { class: "entry-head" }, make("b", {}, minutes(w.at_s ?? 0)), remove("weather", i)),
      grid(WEATHER.map(([key, least, most, step]) => num(w, key, `${t(`weather.${key}`)}${i ? ` (${i + 1})` : ""}`, { least, most, step }))))),
    button(t("builder.add_weather"), () => acts.change((d) => { const last = d.weather.at(-1) ?? { cloud: 0.3, visibility_m: 18000, wind_mps: 2 }; d.weather.push({ ...last, at_s: d.weather.length ? (last.at_s ?? 0) + 120 : 0 }); }))];
}

// ------------------------------------------------------------------------------------------------------------- injects

function injects() {
  const kind = choice(words(INJECTS, "inject_do"), "message", { "aria-label": t("builder.kind") });
  const i = chosenOf("injects");
  return [make("div", { class: "add-row" }, kind, button(t("builder.add_inject"), () => acts.change((d) => { d.injects.push(freshInject(kind.value, d)); built.chosen = { list: "injects", index: d.injects.length - 1 }; }), "primary")),
    entries("injects", (x) => [make("b", {}, x.id), make("span", {}, `${t(`inject_do.${x.do}`)}, ${x.at_s !== undefined && x.at_s !== null ? minutes(x.at_s) : x.when ? t("builder.on_condition") : t("trainer.by_hand")}`)]),
    i ? injectForm(i) : make("p", { class: "hint" }, t("builder.injects_hint"))];
}

function freshInject(kind, d) {
  const it = { id: fresh("injects", "id", kind), do: kind };
  const people = d.actors.find((a) => a.kind === "person"), corridor = built.opened.ground.geography.strips.features[0]?.properties.id;
  return { ...it, ...{ message: { says: "…" }, weather: { over_s: 60, rain_mm_h: 6, visibility_m: 3000 }, camera: { camera: d.cameras[0]?.id ?? "", fault: "covered", for_s: 120 },
    report: { by: "…", says: "…", corridor }, split: { actor: people?.name ?? "", count: 1, script: [{ do: "wait", seconds: 300, posture: "crouch" }] }, drone: { drone: d.drones[0]?.id ?? "", fault: "gps", for_s: 60 } }[kind] };
}

/** What is written by an inject's id in another language goes with it. */
function renameInject(i, id) {
  acts.change((d) => {
    const was = i.id;
    i.id = id;
    for (const x of d.injects) if (x.when?.after === was) x.when.after = id;
    for (const { says } of Object.values(d.words ?? {})) if (says?.[was] !== undefined) { says[id] = says[was]; delete says[was]; }
  });
}

function injectForm(i) {
  const said = built.data.words?.[language()]?.says?.[i.id] === undefined ? i : built.data.words[language()].says;
  const d = built.data, corridors = built.opened.ground.geography.strips.features.map((f) => [f.properties.id, f.properties.name]);
  const how = i.at_s !== undefined && i.at_s !== null ? "time" : i.when ? "condition" : "hand";
  const lines = built.opened.ground.lines.map((l) => [l.name, l.name]), names = d.actors.map((a) => [a.name, a.name]);
  const w = i.when ?? {}, on = w.after !== undefined ? "after" : w.alarms ? "alarms" : "actor";
  const setHow = (v) => acts.change(() => { delete i.at_s; delete i.when; if (v === "time") i.at_s = 120; if (v === "condition") i.when = { alarms: 1 }; });
  const setOn = (v) => acts.change(() => { i.when = v === "alarms" ? { alarms: 1 } : v === "after" ? { after: d.injects.find((x) => x !== i)?.id ?? "", wait_s: 60 } : { actor: names[0]?.[0] ?? "", on: lines[0][0], beyond_m: 100 }; });
  return make("section", { class: "entry", "aria-label": i.id }, grid(txt(i, "id", t("builder.name"), { wide: false, onset: (v) => renameInject(i, v) }),
    pick({ how }, "how", t("builder.when"), words(["time", "condition", "hand"], "build_when"), { onset: setHow }),
    how === "time" ? num(i, "at_s", t("builder.at_s"), { least: 0, step: 5 }) : null,
    how === "condition" ? pick({ on }, "on", t("builder.condition"), words(["alarms", "actor", "after"], "build_on"), { onset: setOn }) : null,
    how === "condition" && on === "alarms" ? num(w, "alarms", t("builder.alarms"), { least: 1, step: 1 }) : null,
    how === "condition" && on === "actor" ? [pick(w, "actor", t("builder.actor"), names), pick(w, "on", t("builder.line"), lines), num(w, "beyond_m", t("builder.beyond"), { least: 0, step: 10 })] : null,
    how === "condition" && on === "after" ? [pick(w, "after", t("builder.after"), d.injects.filter((x) => x !== i).map((x) => [x.id, x.id])), num(w, "wait_s", t("builder.wait_s"), { least: 0, step: 5 })] : null,
    i.do === "message" ? txt(said, said === i ? "says" : i.id, t("builder.says"), { area: true }) : null,
    i.do === "weather" ? ["over_s", "cloud", "rain_mm_h", "visibility_m", "wind_mps"].map((k) => num(i, k, t(`weather.${k}`), { usual: t("builder.stays") })) : null,
    i.do === "camera" ? [pick(i, "camera", t("builder.camera"), d.cameras.map((c) => [c.id, c.id])), pick(i, "fault", t("builder.fault"), words(FAULTS, "sensor"))] : null,
    i.do === "drone" ? [pick(i, "drone", t("builder.drone"), d.drones.map((c) => [c.id, c.id])), pick(i, "fault", t("builder.fault"), words(DRONE_FAULTS, "drone_fault"))] : null,
    ["camera", "drone"].includes(i.do) ? num(i, "for_s", t("builder.for_s"), { least: 0, step: 10, hint: t("builder.for_hint") }) : null,
    i.do === "report" ? [txt(i, "by", t("builder.by")), txt(said, said === i ? "says" : i.id, t("builder.says"), { area: true }), pick(i, "corridor", t("builder.corridor"), corridors), pick(i, "subject", t("builder.subject"), d.watchlist.map((x) => [x.id, x.label]), { none: "–" })] : null,
    i.do === "split" ? [pick(i, "actor", t("builder.actor"), d.actors.filter((a) => a.kind === "person").map((a) => [a.name, a.name])), num(i, "count", t("builder.how_many"), { least: 1, step: 1 })] : null));
}

// ---------------------------------------------------------------------------------------------------------------- file

function file() {
  const area = make("textarea", { class: "toml", spellcheck: "false", rows: 30, "aria-label": t("build_tab.file"), onchange: () => acts.takeText(area.value) });
  area.value = built.edited ?? built.text ?? "";
  const line = built.checked?.refused ? built.checked.line : null;
  return [make("p", { class: "hint" }, t("builder.file_hint")), line ? button(t("builder.to_line", { n: line }), () => {
    const from = area.value.split("\n").slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    area.focus();
    area.setSelectionRange(from, from + (area.value.split("\n")[line - 1] ?? "").length);
    area.scrollTop = (line - 5) * 18;
  }) : null, area];
}
