// The bar of a replay: pause, speed, where in the interval. Loaded on the page under /replay alone.

import { make } from "./dom.js";
import { tellStation } from "./feed.js";
import { loadLanguage, t } from "./language.js";
import { on, state } from "./state.js";

const SPEEDS = [0.5, 1, 2, 5, 10, 30, 60];

async function start() {
  await loadLanguage();
  const pause = make("button", { type: "button" }, t("replay.pause"));
  const speed = make("select", { "aria-label": t("replay.speed") }, ...SPEEDS.map((s) => make("option", { value: String(s) }, `${s}×`)));
  const slider = make("input", { type: "range", min: "0", max: "1000", value: "0", "aria-label": t("replay.seek") });
  const clock = make("time", {});
  const live = make("a", { href: "/" }, t("replay.live"));
  document.body.append(make("div", { class: "replay-bar", role: "group", "aria-label": t("replay.title") },
    make("span", { class: "replay-word" }, t("replay.title")), pause, speed, slider, clock, live));
  let held = false;
  const where = () => state.replay;
  pause.addEventListener("click", () => tellStation({ paused: !where()?.paused }));
  speed.addEventListener("change", () => tellStation({ speed: Number(speed.value) }));
  slider.addEventListener("input", () => { held = true; });
  slider.addEventListener("change", () => {
    const w = where();
    held = false;
    if (w) tellStation({ seek_ns: Math.round(w.from_ns + (w.to_ns - w.from_ns) * Number(slider.value) / 1000) });
  });
  on("replay", () => {
    const w = where();
    pause.textContent = t(w.paused ? "replay.play" : "replay.pause");
    speed.value = String(w.speed);
    if (!held) slider.value = String(Math.round(1000 * (w.at_ns - w.from_ns) / Math.max(1, w.to_ns - w.from_ns)));
    const at = new Date(w.at_ns / 1e6 + (state.geography?.utc_offset_min ?? 0) * 60000);
    clock.textContent = `${at.toISOString().replace("T", " ").slice(0, 19)}${w.ended ? ` · ${t("replay.ended")}` : ""}`;
  });
}

start();
