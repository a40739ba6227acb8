// A session that has ended while somebody watches: the map and the sound stay, and who wants to do something says again who they are.

import { ask, loginFor } from "./api.js";
import { make } from "./dom.js";
import { say, t } from "./language.js";
import { state, tell } from "./state.js";

let asking = null;

/** Asks for the password of whoever was logged in; resolves to whether they are again. One question at a time. */
export function logInAgain() {
  asking ??= question().finally(() => { asking = null; });
  return asking;
}

function question() {
  return new Promise((resolve) => {
    const problem = make("p", { class: "problem", role: "alert" });
    const password = make("input", { id: "again-password", type: "password", autocomplete: "current-password", required: true, maxlength: 256 });
    const press = make("button", { type: "submit", class: "primary" }, t("again.go_on"));
    const dialog = make("dialog", { id: "again", class: "keys again", "aria-labelledby": "again-title", onclose: () => { dialog.remove(); resolve(dialog.returnValue === "in"); } },
      make("h2", { id: "again-title" }, t("again.title")), make("p", {}, t("again.advice")),
      make("form", { onsubmit: async (event) => {
        event.preventDefault();
        press.disabled = true;
        problem.textContent = "";
        try {
          const me = await ask("/api/login", { name: state.me.name, password: password.value });
          if (me.must_change_password) { location.assign(loginFor()); return; }
          state.me = me;
          dialog.close("in");
          tell("session");
        } catch (error) {
          if (!error.says) throw error;
          problem.textContent = say(error.says);
          password.select();
        } finally {
          press.disabled = false;
        }
      } }, make("label", { for: "again-password" }, t("again.password", { name: state.me.name })), password, problem,
      make("div", { class: "row" }, press, make("button", { type: "button", onclick: () => dialog.close() }, t("again.later")),
        make("a", { href: loginFor() }, t("again.other")))));
    document.body.append(dialog);
    dialog.showModal();
    password.focus();
  });
}
