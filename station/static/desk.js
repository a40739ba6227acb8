// What the pages beside the map share: who is it, the line on top, words that are said, dialogs, fields and tables.

import { ask, askLoggedIn, loginFor } from "./api.js";
import { make } from "./dom.js";
import { dateText, setOffset, timeElement, utcText } from "./format.js";
import { hasWords, loadLanguage, number, onLanguage, otherLanguage, say, setNames, short, t } from "./language.js";
import { nightSwitch } from "./look.js";
import { state } from "./state.js";

const SAID_MS = 6000;
export const WHO_READS_WATCHLIST = ["operator", "pilot", "trainer", "supervisor", "administrator"];
export const WHO_HELPS = ["operator", "supervisor"];
export const WHO_LOOKS_AFTER = ["administrator", "supervisor", "auditor"];
const PAGES = [["/watchlist", "watchlist.title", WHO_READS_WATCHLIST], ["/admin", "admin.title", WHO_LOOKS_AFTER]];

const element = (id) => document.getElementById(id);
export const may = (roles) => roles.includes(state.me.role);

/** Everything before the page's own part: language, person, place. `title` names the page; draw() puts its part into <main>, again
 *  after the language was changed. pages: what the line on top leads to, beside `home`: the map, or another page of no station. */
export async function openDesk(title, draw, pages = PAGES, home = { path: "/", text: "desk.map", says: "desk.to_map" }) {
  await loadLanguage();
  [state.me, state.geography] = await Promise.all([askLoggedIn("/api/me"), askLoggedIn("/api/geography")]);
  if (!state.me) { location.assign(loginFor()); return; }
  setNames(state.geography.names);
  setOffset(state.geography.utc_offset_min);
  const all = () => { head(title, pages, home); draw(element("main")); };
  onLanguage(all);
  addEventListener("hashchange", () => head(title, pages, home));
  all();
}

/** The page that is shown, of those that the line on top leads to: an address without a #part shows the first of its path. */
function pageHere(pages) {
  const { pathname, hash } = location;
  return pages.find(([path]) => path === pathname || path === pathname + hash) ?? (hash ? null : pages.find(([path]) => path.startsWith(`${pathname}#`)));
}

function head(title, pages, home) {
  document.title = `${t(title)} · Trailwatch`;
  const training = state.realm === "training", [here] = pageHere(pages) ?? [];
  element("head").replaceChildren(
    make("a", { class: "brand", href: home.path, title: t(home.says) }, make("img", { src: "/static/mark.svg", alt: "", width: 22, height: 22 }), t(home.text)),
    make("span", { class: `realm ${state.realm}` }, training ? "TRAINING / HUẤN LUYỆN" : t("realm.live")),
    make("h1", {}, t(title), make("small", {}, state.geography.name)),
    make("nav", { "aria-label": t("desk.pages") }, pages.filter(([, , roles]) => may(roles)).map(([path, text]) =>
      make("a", { href: path, "aria-current": path === here ? "page" : null }, t(text)))),
    make("button", { type: "button", class: "icon text", title: t("action.language"), onclick: otherLanguage }, t("language.other")),
    nightSwitch(),
    make("div", { class: "desk-person" }, make("b", {}, state.me.name), make("small", {}, t(`role.${state.me.role}`))),
    make("button", { type: "button", class: "quiet", onclick: logOut }, t("action.log_out")));
}

async function logOut() {
  try { await ask("/api/logout", {}); } catch { /* the login page is right in either case */ }
  location.assign("/login");
}

let silenced = null;

/** In words, to eyes and to screen readers. kind: done or warning. */
export function tellPerson(text, kind = "done") {
  const line = element("said");
  sayAt(openedDialog() ?? document.body);
  line.className = `desk-said ${kind}`;
  line.textContent = text;
  clearTimeout(silenced);
  silenced = setTimeout(() => { line.textContent = ""; line.className = "desk-said"; }, SAID_MS);
}

const openedDialog = () => element("dialog").open ? element("dialog") : null;

/** While a dialog is open nothing outside of it is heard or seen well: what is said is said in it. */
function sayAt(place) {
  const line = element("said");
  if (line.parentElement !== place) place.append(line);
}

/** Run what a press asks for, the button held meanwhile; a refusal is said. Returns undefined then. */
export async function press(button, work) {
  if (button) button.disabled = true;
  try {
    return await work();
  } catch (error) {
    if (!error.says) throw error;
    tellPerson(say(error.says), "warning");
    return undefined;
  } finally {
    if (button) button.disabled = false;
  }
}

// ------------------------------------------------------------------------------------------------------------ dialogs

/** A dialog with a title; `content` are its elements. Escape closes it, and the focus goes back to where it was. */
export function openDialog(title, content, kind = "") {
  const dialog = element("dialog");
  dialog.className = `desk-dialog ${kind}`;
  sayAt(document.body);
  dialog.replaceChildren(
    make("div", { class: "dialog-head" }, make("h2", { id: "dialog-title" }, title),
      make("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, t("action.close_drawer"))),
    ...[content].flat());
  dialog.onclose = () => { sayAt(document.body); dialog.replaceChildren(); };       // what is shown once does not stay in the page
  if (!dialog.open) dialog.showModal();
  (dialog.querySelector("[autofocus]") ?? dialog.querySelector("input, select, textarea, button.primary"))?.focus();
  return dialog;
}

export function closeDialog() { element("dialog").close(); }

/** A question with fields. send(values) does it; what it refuses is said in the dialog, and the dialog stays. */
export function askPerson({ title, advice, fields = [], button, danger = false, send }) {
  const problem = make("p", { class: "problem", role: "alert" });
  const press_ = make("button", { type: "submit", class: danger ? "primary danger" : "primary" }, button);
  const form = make("form", { class: "dialog-form" }, advice ? make("p", { class: "advice" }, advice) : null, fields, problem,
    make("div", { class: "dialog-buttons" }, press_, make("button", { type: "button", onclick: closeDialog }, t("desk.cancel"))));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    press_.disabled = true;
    problem.textContent = "";
    try {
      await send(Object.fromEntries(new FormData(form)), form);
    } catch (error) {
      if (!error.says) throw error;
      problem.textContent = say(error.says);
    } finally {
      press_.disabled = false;
    }
  });
  return openDialog(title, form);
}

/** Something that is shown once, to be copied: a password, a token. */
export function showOnce(title, advice, secret) {
  const value = make("output", { class: "secret" }, secret);
  const copy = make("button", { type: "button", class: "primary", autofocus: true, onclick: async () => {
    try { await navigator.clipboard.writeText(secret); copy.textContent = t("desk.copied"); } catch {
      // Without https there is no clipboard: mark it, so that Ctrl-C takes it.
      getSelection().selectAllChildren(value);
      copy.textContent = t("desk.press_copy");
    }
  } }, t("desk.copy"));
  openDialog(title, [make("p", { class: "advice" }, advice), value, make("div", { class: "dialog-buttons" }, copy)]);
}

// ------------------------------------------------------------------------------------------------------ fields, tables

/** A labelled field: its hint and what is wrong with it are read out with it. control: an element without an id. */
export function field(name, label, control, hint = "", { needed = false, wide = false } = {}) {
  control.id = `f-${name}`;
  control.name ||= name;
  const described = [hint ? `h-${name}` : null, `p-${name}`].filter(Boolean).join(" ");
  control.setAttribute("aria-describedby", described);
  if (needed) control.setAttribute("aria-required", "true");
  return make("div", { class: wide ? "field wide" : "field", "data-field": name },
    make("label", { for: control.id }, label, needed ? make("i", { class: "needed", "aria-hidden": "true" }, "*") : null),
    hint ? make("p", { class: "hint", id: `h-${name}` }, hint) : null, control,
    make("p", { class: "problem", id: `p-${name}`, role: "alert" }));
}

/** What is wrong, by the name of its field; the first of them gets the focus. It goes with the next change of that field: it was
 *  said about what had been sent. */
export function showProblems(form, byName) {
  for (const box of form.querySelectorAll("[data-field]")) {
    const text = byName[box.dataset.field] ?? "";
    showProblem(box, text);
    if (text) box.addEventListener("input", () => showProblem(box, ""), { once: true });
  }
  form.querySelector(".wrong input, .wrong select, .wrong textarea")?.focus();
}

function showProblem(box, text) {
  box.querySelector(".problem").textContent = text;
  box.classList.toggle("wrong", text !== "");
  const control = box.querySelector("input, select, textarea");
  if (text) control?.setAttribute("aria-invalid", "true");
  else control?.removeAttribute("aria-invalid");
}

export function choice(options, chosen = "", attributes = {}) {
  return make("select", attributes, options.map(([value, text]) => make("option", { value, selected: value === chosen }, text)));
}

/** columns: [title, class?]; rows: arrays of cells. */
export function table(caption, columns, rows) {
  return make("div", { class: "table-box", tabindex: 0, role: "region", "aria-label": caption }, make("table", {},
    make("caption", { class: "unseen" }, caption),
    make("thead", {}, make("tr", {}, columns.map(([title, how]) => make("th", { scope: "col", class: how ?? null }, title)))),
    make("tbody", {}, rows.map((cells) => make("tr", {}, cells.map((cell, i) => make("td", { class: columns[i][1] ?? null }, cell)))))));
}

export function empty(title, advice, ...buttons) {
  return make("div", { class: "empty" }, make("p", { class: "empty-title" }, title), make("p", {}, advice),
    buttons.length ? make("div", { class: "dialog-buttons" }, buttons) : null);
}

// ---------------------------------------------------------------------------------------------------------------- times

export function moment(ns) { return ns ? timeElement(ns, Date.now()) : "–"; }

/** The last day of something that ends at a midnight, with its exact end in UTC on hover. */
export function lastDay(ns) {
  const ms = ns / 1e6;
  return make("time", { datetime: new Date(ms).toISOString(), title: utcText(ms) }, dateText(ms - 1000));
}

export function megabytes(bytes) {
  return bytes >= 1e9 ? `${(bytes / 1e9).toLocaleString(document.documentElement.lang, { maximumFractionDigits: 1 })} GB`
    : `${(bytes / 1e6).toLocaleString(document.documentElement.lang, { maximumFractionDigits: 1 })} MB`;
}

const WORDS_OF = { lane: "lane_name", role: "role", shown: "shown", category: "category", kind: "node_kind", action: "trace_action", flight: "flight" };
const CORRIDORS = ["corridor", "corridors"];

/** The details of an entry of the record, in one line: times as times, digests short, words of ours in the person's language. */
export function traceDetails(trace, leaveOut = []) {
  const told = Object.entries(trace.details).filter(([name, value]) => value !== "" && !leaveOut.includes(name) && !(name === "searched" && value === 0) && !(name === "why" && value === "page"));
  return told.flatMap(([name, value], i) => [i ? " · " : "", make("span", { class: "detail-name" }, `${hasWords(`detail.${name}`) ? t(`detail.${name}`) : name.replaceAll("_", " ")} `), detail(name, value)]);
}

function detail(name, value) {
  if (name === "until_ns") return lastDay(value);
  if (name.endsWith("_ns")) return timeElement(value, 0);
  if (/^[0-9a-f]{64}$/.test(value)) return make("span", { title: value }, `${value.slice(0, 12)}…`);
  const key = `${WORDS_OF[name]}.${value}`;
  if (hasWords(key)) return t(key);
  if (CORRIDORS.includes(name)) return t("detail.of_corridor", { corridor: value });
  if (typeof value === "number" && !Number.isInteger(value)) return number(value);
  const [code, ...more] = String(value).split(" ");       // a reason begins with one of ours, and goes on with the person's own words
  return name === "reason" && hasWords(`close.${code}`) ? [t(`close.${code}`), ...more].join(" ") : short(String(value));
}
