// The pilot's page, put together: who is it, what ground, the drones, and the one that is before the pilot.

import { askLoggedIn, loginFor } from "./api.js";
import { make } from "./dom.js";
import { droneNames } from "./fleet.js";
import { startFeed } from "./feed.js";
import { setOffset } from "./format.js";
import { startInvestigate } from "./investigate.js";
import { startKeys, useKeys } from "./keys.js";
import { loadLanguage, onLanguage, otherLanguage, setNames, t } from "./language.js";
import { centreOnSelected, openMap, showSector } from "./map.js";
import { pilot } from "./pilot_draft.js";
import { startPilotMap } from "./pilot_map.js";
import { chooseDrone, isDrawing, openForm, returnNow, startPanel, theOffer } from "./pilot_panel.js";
import { on, select, state } from "./state.js";
import { startSound } from "./sound.js";
import { startStatus } from "./status.js";
import { startStrip } from "./strip.js";

const element = (id) => document.getElementById(id);

function nth(n) { const drone = droneNames()[n]; if (drone) chooseDrone(drone); }

const KEYS = [
  ["1", "keys.drone_1", () => nth(0)], ...[1, 2, 3, 4, 5, 6, 7, 8].map((n) => [String(n + 1), null, () => nth(n)]),
  ["R", "keys.return", returnNow],
  ["P", "keys.plan", () => openForm()],
  ["C", "keys.centre", centreOnSelected],
  ["F", "keys.sector", showSector],
  ["L", "keys.language", otherLanguage],
  ["Esc", "keys.close", () => select(null)],
  ["M", "keys.to_map", () => location.assign("/")],
];

async function start() {
  await loadLanguage();
  [state.me, state.geography] = await Promise.all([askLoggedIn("/api/me"), askLoggedIn("/api/geography")]);
  if (!state.me) { location.assign(loginFor()); return; }
  setNames(state.geography.names);
  setOffset(state.geography.utc_offset_min);
  const name = () => { document.title = `${t("pilot.title")} · Trailwatch`; };
  onLanguage(name);
  name();
  startStatus(element("status"), element("banner"));
  startPanel(element("pilot"));
  startStrip(element("strip"), chooseDrone, () => pilot.drone);
  on("selection", () => { if (state.selection?.kind === "drone") chooseDrone(state.selection.id); });
  startInvestigate();
  startSound();
  useKeys(KEYS);
  startKeys();
  startFeed();
  try {
    const map = await openMap(element("map"));
    startPilotMap(map, theOffer, isDrawing);
    startDrawing(element("drawing"));
  } catch (error) {
    // What a pilot must be able to do, and Return above all, needs no map.
    element("map").replaceChildren(make("p", { class: "no-map" }, t("map.no_webgl", { detail: String(error?.message ?? error) })));
  }
}

/** Over the map while its clicks are places. */
function startDrawing(box) {
  const draw = () => {
    const text = isDrawing() ? t("plan.drawing") : "";
    box.hidden = text === "";
    if (box.textContent !== text) box.textContent = text;
  };
  for (const topic of ["draft", "fleet", "selection"]) on(topic, draw);
  onLanguage(draw);
  draw();
}

start();
