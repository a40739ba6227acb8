// Snapshots as they are shown: large ones, and whose picture each is and of when.

import { ask } from "./api.js";
import { make } from "./dom.js";
import { timeElement } from "./format.js";
import { t } from "./language.js";
import { now } from "./state.js";

const abouts = new Map();       // snapshot -> what is known of it, or the promise of that: asked for once
const KEPT = 200;

/** Where a snapshot is had from. */
export function snapshotSource(id) { return `/api/snapshots/${encodeURIComponent(id)}`; }

/** A picture as large as its box, with its camera and its time in a corner. */
export function largePicture(id, kind = "") {
  return make("figure", { class: `snapshot ${kind}`.trim() }, make("img", { src: snapshotSource(id), alt: t("snapshot.alt") }), takenBy(id, make("figcaption", {})));
}

/** Whose picture it is, and of when, in `line`: what else saw somebody may have seen another moment. */
export function takenBy(id, line) {
  about(id).then((it) => line.replaceChildren(it.sensor, " · ", timeElement(it.captured_ns, now())), () => line.remove());
  return line;
}

function about(id) {
  if (!abouts.has(id)) {
    if (abouts.size >= KEPT) abouts.delete(abouts.keys().next().value);
    abouts.set(id, ask(`${snapshotSource(id)}/about`).catch((error) => { abouts.delete(id); throw error; }));
  }
  return abouts.get(id);
}
