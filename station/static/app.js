// The page, put together: who is it, what ground, then the live feed.

import { askLoggedIn, loginFor } from "./api.js";
import { startCoverage } from "./coverage.js";
import { startDrawer } from "./drawer.js";
import { startFeed } from "./feed.js";
import { setOffset } from "./format.js";
import { startInvestigate } from "./investigate.js";
import { startKeys } from "./keys.js";
import { fetchOthers, loadLanguage, setNames, t } from "./language.js";
import { startLegend } from "./legend.js";
import { openMap } from "./map.js";
import { startMeasure } from "./measure.js";
import { startQueue } from "./queue.js";
import { startSearch } from "./search.js";
import { startSound } from "./sound.js";
import { state } from "./state.js";
import { startStatus } from "./status.js";
import { startStrip } from "./strip.js";
import { make } from "./dom.js";

const OTHERS_MS = 10_000;        // a first look comes before the language that nobody has asked for

const element = (id) => document.getElementById(id);

async function start() {
  await loadLanguage();
  [state.me, state.geography] = await Promise.all([askLoggedIn("/api/me"), askLoggedIn("/api/geography")]);
  if (!state.me) { location.assign(loginFor()); return; }
  setNames(state.geography.names);
  setOffset(state.geography.utc_offset_min);
  startStatus(element("status"), element("banner"));
  startQueue(element("queue"));
  startDrawer(element("drawer"));
  startStrip(element("strip"));
  startInvestigate();
  startSound();
  startKeys();
  startFeed();
  startLegend(element("legend"));
  startCoverage(element("coverage"));
  startSearch(element("search"));
  startMeasure(document.querySelector(".ground"));
  setTimeout(fetchOthers, OTHERS_MS);
  try {
    await openMap(element("map"));
  } catch (error) {
    // The queue is worth more than the map: without WebGL alarms still come and can be taken.
    element("map").replaceChildren(make("p", { class: "no-map" }, t("map.no_webgl", { detail: String(error?.message ?? error) })));
  }
}

start();
