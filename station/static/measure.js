// Measuring on the map: press D, then place after place. The sum, the last leg, and its bearing from true north; Esc or D ends it.

import { make } from "./dom.js";
import { metres } from "./format.js";
import { bearingOf, metresBetween } from "./ground.js";
import { onLanguage, t } from "./language.js";
import { showMeasured, takeClicks } from "./map.js";

let isOn = false, points = [], box = null;

export function startMeasure(ground) {
  box = make("div", { class: "measure", role: "status", hidden: true });
  ground.append(box);
  takeClicks(Object.assign(take, { isWanted: () => isOn }));
  onLanguage(draw);
}

export function isMeasuring() { return isOn; }

export function toggleMeasure() {
  isOn = !isOn;
  points = [];
  draw();
}

function take(event) {
  if (!isOn) return false;
  points.push([event.lngLat.lat, event.lngLat.lng]);
  draw();
  return true;
}

function draw() {
  if (!box) return;
  box.hidden = !isOn;
  const legs = points.slice(1).map((p, i) => metresBetween(points[i], p)), sum = legs.reduce((a, b) => a + b, 0);
  showMeasured(points, legs.length ? metres(sum) : "");
  const words = !points.length ? t("measure.first") : !legs.length ? t("measure.next")
    : t("measure.result", { sum: metres(sum), leg: metres(legs.at(-1)), bearing: String(Math.round(bearingOf(points.at(-2), points.at(-1))) % 360).padStart(3, "0") });
  box.replaceChildren(make("b", {}, words), make("button", { type: "button", class: "quiet", onclick: toggleMeasure }, t("measure.end")));
}
