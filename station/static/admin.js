// Administration: one section at a time; who sees which is checked by the station, and here only not offered.

import { askLoggedIn } from "./api.js";
import { drawLayers } from "./admin_layers.js";
import { drawNodes } from "./admin_nodes.js";
import { drawPeople, drawTokens } from "./admin_people.js";
import { drawBackups, drawHealth, drawRecord, drawRetention } from "./admin_station.js";
import { empty, may, openDesk, WHO_LOOKS_AFTER } from "./desk.js";
import { make } from "./dom.js";
import { say, t } from "./language.js";

const ADMINISTRATOR = ["administrator"], AUDIT = ["supervisor", "auditor"];
const SECTIONS = [
  ["people", ADMINISTRATOR, "/api/admin/people", drawPeople],
  ["nodes", ADMINISTRATOR, "/api/admin/nodes", drawNodes],
  ["tokens", ADMINISTRATOR, "/api/admin/tokens", drawTokens],
  ["health", WHO_LOOKS_AFTER, "/api/admin/health", drawHealth],
  ["backups", ADMINISTRATOR, "/api/admin/backups", drawBackups],
  ["retention", WHO_LOOKS_AFTER, "/api/retention", drawRetention],
  ["layers", ADMINISTRATOR, "/api/layers", drawLayers],
  ["record", AUDIT, "/api/admin/record", drawRecord],
];
const REFRESH_MS = { nodes: 5000, health: 5000, backups: 2000 };     // what changes by itself, while nobody types in it
let box = null, nav = null, again = null;

const mine = () => SECTIONS.filter(([, roles]) => may(roles));
const chosen = () => mine().find(([name]) => name === location.hash.slice(1)) ?? mine()[0];

function draw(main) {
  if (!may(WHO_LOOKS_AFTER)) {
    main.replaceChildren(make("div", { class: "page-empty" }, empty(t("admin.not_yours"), t("admin.not_yours_advice"))));
    return;
  }
  nav = make("nav", { class: "sections", "aria-label": t("admin.sections") });
  box = make("section", { class: "section" });
  main.replaceChildren(nav, box);
  show();
}

async function show(quietly = false) {
  clearTimeout(again);
  const [name, , path, drawSection] = chosen();
  nav.replaceChildren(...mine().map(([section]) => make("a", { href: `#${section}`, "aria-current": section === name ? "page" : null }, t(`admin_tab.${section}`))));
  let found;
  try {
    found = await askLoggedIn(path);
  } catch (error) {
    if (!error.says) throw error;
    if (!quietly) box.replaceChildren(make("h2", {}, t(`admin_tab.${name}`)), make("p", { class: "problem", role: "alert" }, say(error.says)));
    if (quietly) again = setTimeout(() => show(true), REFRESH_MS[name] ?? 5000);
    return;
  }
  if (chosen()[0] !== name) return;
  // Who holds a button or reads a dialog is not interrupted: the section is drawn anew when they have done.
  const busy = quietly && (document.getElementById("dialog").open || box.contains(document.activeElement));
  if (!busy) {
    box.setAttribute("aria-label", t(`admin_tab.${name}`));
    box.replaceChildren(make("h2", {}, t(`admin_tab.${name}`)), make("p", { class: "advice" }, t(`admin_about.${name}`)), ...[drawSection(found, () => show())].flat().filter(Boolean));
  }
  if (REFRESH_MS[name]) again = setTimeout(() => show(true), REFRESH_MS[name]);
}

addEventListener("hashchange", () => { if (box) show(); });
openDesk("admin.title", draw);
