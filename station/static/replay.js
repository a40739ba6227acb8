// The bar of a replay: pause, speed, where in the interval, and another interval. Loaded on the page under /replay alone.

import { askLoggedIn } from "./api.js";
import { make } from "./dom.js";
import { tellStation } from "./feed.js";
import { clockText, dateText, offsetMs } from "./format.js";
import { loadLanguage, onLanguage, t } from "./language.js";
import { on, state } from "./state.js";

const SPEEDS = [0.5, 1, 2, 5, 10, 30, 60];
const LAST_MINUTES = [5, 15, 60, 480];
const STEP_NS = 10e9;           // an arrow key
let parts = {}, held = false;

const bar = make("div", { class: "replay-bar", role: "group" });

async function start() {
  await loadLanguage();
  document.querySelector(".ground").append(bar);
  onLanguage(build);
  on("replay", update);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest?.("input, select, button, summary, a, dialog, .maplibregl-canvas")) return;
    if (event.key === " ") { event.preventDefault(); turnPause(); }
    if (event.key === "ArrowLeft") seekTo((state.replay?.at_ns ?? 0) - STEP_NS);
    if (event.key === "ArrowRight") seekTo((state.replay?.at_ns ?? 0) + STEP_NS);
  });
  build();
}

function turnPause() { tellStation({ paused: !state.replay?.paused }); }

function seekTo(ns) { if (state.replay) tellStation({ seek_ns: Math.max(0, Math.round(ns)) }); }

/** Also where nothing changed: a slider that was dragged away and put back is told no change. */
function letGo() { held = false; }

function build() {
  bar.setAttribute("aria-label", t("replay.title"));
  parts = {
    pause: make("button", { type: "button", class: "replay-pause", onclick: turnPause }, t("replay.pause")),
    speed: make("select", { "aria-label": t("replay.speed"), title: t("replay.speed"), onchange: () => tellStation({ speed: Number(parts.speed.value) }) },
      SPEEDS.map((s) => make("option", { value: String(s) }, `${s}×`))),
    slider: make("input", { type: "range", min: "0", max: "1000", value: "0", "aria-label": t("replay.seek"), title: t("replay.seek"),
      oninput: () => { held = true; }, onpointerup: letGo, onpointercancel: letGo, onblur: letGo, onchange: () => {
        const w = state.replay;
        letGo();
        if (w) seekTo(w.from_ns + (w.to_ns - w.from_ns) * Number(parts.slider.value) / 1000);
      } }),
    clock: make("time", { class: "replay-clock" }),
    said: make("span", { class: "replay-said", role: "status" }),
  };
  bar.replaceChildren(make("span", { class: "replay-word" }, t("replay.title")), parts.pause, parts.speed, parts.slider, parts.clock, parts.said,
    interval(), make("a", { class: "replay-live", href: "/" }, t("replay.live")));
  update();
}

function update() {
  const w = state.replay;
  if (!w) return;
  parts.pause.textContent = t(w.paused ? "replay.play" : "replay.pause");
  parts.pause.disabled = w.ended;
  parts.speed.value = String(w.speed);
  if (!held) parts.slider.value = String(Math.round(1000 * (w.at_ns - w.from_ns) / Math.max(1, w.to_ns - w.from_ns)));
  parts.clock.textContent = `${dateText(w.at_ns / 1e6)} ${clockText(w.at_ns / 1e6)}`;
  const wantedNs = Number(new URLSearchParams(location.search).get("from") ?? Infinity);
  parts.said.textContent = w.empty ? t("replay.empty") : w.ended ? t("replay.ended")
    : wantedNs < w.from_ns - STEP_NS ? t("replay.begins", { from_ns: w.from_ns }) : "";
}

/** The station's own time, as a field of the browser takes it, and back. */
const fieldText = (ms) => new Date(ms + offsetMs()).toISOString().slice(0, 19);
const fieldMs = (text) => Date.parse(`${text}Z`) - offsetMs();

function interval() {
  const from = make("input", { type: "datetime-local", step: "1", required: true, "aria-label": t("replay.from") });
  const to = make("input", { type: "datetime-local", step: "1", required: true, "aria-label": t("replay.to") });
  const last = async (minutes) => {
    const span = await askLoggedIn("/api/replay");       // by the station's clock
    go((span.last_ns ?? span.now_ns) / 1e6 - minutes * 60_000, (span.last_ns ?? span.now_ns) / 1e6);
  };
  const go = (fromMs, toMs) => location.assign(`/replay?from=${Math.round(fromMs)}000000&to=${Math.round(toMs)}000000&speed=${parts.speed.value}`);
  const form = make("form", { onsubmit: (event) => {
    event.preventDefault();
    if (fieldMs(from.value) < fieldMs(to.value)) go(fieldMs(from.value), fieldMs(to.value));
    else to.setCustomValidity(t("replay.order"));
    to.reportValidity();
    to.setCustomValidity("");
  } }, make("label", {}, t("replay.from"), from), make("label", {}, t("replay.to"), to),
  make("button", { type: "submit", class: "primary" }, t("replay.show")),
  make("div", { class: "replay-last" }, LAST_MINUTES.map((n) => make("button", { type: "button", onclick: () => last(n) },
    t("replay.last", { n })))));
  return make("details", { ontoggle: () => {
    if (!state.replay || from.value) return;
    from.value = fieldText(state.replay.from_ns / 1e6);
    to.value = fieldText(state.replay.to_ns / 1e6);
  } }, make("summary", {}, t("replay.interval")), form);
}

start();
