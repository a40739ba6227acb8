// The door: name and password, and a password of one's own when the present one was for one time.

import { ask } from "./api.js";
import { make } from "./dom.js";
import { loadLanguage, onLanguage, otherLanguage, say, t } from "./language.js";
import { state } from "./state.js";

const door = document.getElementById("door");
const NO_PAGES = /^\/(\/|(login|api|static)(\/|$))/;      // the login itself would go round, and the rest is no page
let show = loginForm;

function field(id, label, type, autocomplete, extra = {}) {
  return [make("label", { for: id }, label), make("input", { id, name: id, type, autocomplete, required: true, ...extra })];
}

function frame(title, advice, ...content) {
  door.replaceChildren(
    make("div", { class: "brand" }, make("img", { src: "/static/mark.svg", alt: "", width: 40, height: 40 }), make("div", {}, make("h1", {}, "Trailwatch"), make("p", {}, t("login.what")))),
    document.documentElement.dataset.realm === "training" ? make("p", { class: "realm training" }, "TRAINING / HUẤN LUYỆN") : "",
    make("h2", {}, title), advice ? make("p", { class: "advice" }, advice) : "", ...content,
    make("button", { class: "quiet", type: "button", onclick: otherLanguage }, t("language.other")));
  door.querySelector("input")?.focus();
}

function form(button, send, ...fields) {
  const problem = make("p", { class: "problem", role: "alert" });
  const press = make("button", { class: "primary", type: "submit" }, button);
  return make("form", { onsubmit: async (event) => {
    event.preventDefault();
    press.disabled = true;
    problem.textContent = "";
    try {
      await send(Object.fromEntries(new FormData(event.target)));
    } catch (error) {
      if (!error.says) throw error;
      problem.textContent = say(error.says);
      event.target.querySelector("input[type=password]")?.select();
    } finally {
      press.disabled = false;
    }
  } }, ...fields.flat(), problem, press);
}

/** The page that was asked for before the login: one of our own, or the first. A page's #part stays in the address on the way here. */
function wanted() {
  const to = new URLSearchParams(location.search).get("to") ?? "";
  if (!to.startsWith("/") || to.includes("\\")) return "/";
  // What a browser makes of it decides, not how it is written: "//host" leads elsewhere, and so do a tab between
  // two slashes and the path of "/.//host".
  let page;
  try { page = new URL(to, location.origin); } catch { return "/"; }
  if (page.origin !== location.origin || NO_PAGES.test(page.pathname)) return "/";
  if (!page.hash) page.hash = location.hash;
  return page.href;
}

function enter(me) {
  state.me = me;
  if (!me.must_change_password) { location.assign(wanted()); return; }
  show = passwordForm;
  show();
}

function loginForm() {
  frame(t("login.title"), t("login.first_time"), form(t("login.enter"), async ({ name, password }) => enter(await ask("/api/login", { name, password })),
    field("name", t("login.name"), "text", "username", { autocapitalize: "none", spellcheck: "false", maxlength: 64 }),
    field("password", t("login.password"), "password", "current-password", { maxlength: 256 })));
}

function passwordForm() {
  frame(t("login.new_title"), t("login.new_advice"), form(t("login.change"), async ({ old, fresh, again }) => {
    if (fresh !== again) throw Object.assign(new Error("differ"), { says: { key: "refused.passwords_differ", params: {} } });
    enter(await ask("/api/password", { old, new: fresh }));
  },
  make("input", { type: "hidden", name: "username", autocomplete: "username", value: state.me.name }),
  field("old", t("login.old"), "password", "current-password", { maxlength: 256 }),
  field("fresh", t("login.new"), "password", "new-password", { maxlength: 256 }),
  field("again", t("login.again"), "password", "new-password", { maxlength: 256 })));
}

async function start() {
  await loadLanguage();
  const me = await ask("/api/me").catch(() => null);
  if (me) enter(me);
  else show();
  onLanguage(() => show());
}

start();
