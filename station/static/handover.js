// The hand-over sheet's two signatures. The sheet itself comes whole from the station; this only asks and goes on.

import { askLoggedIn } from "./api.js";
import { loadLanguage, say } from "./language.js";
import { state } from "./state.js";

const language = document.documentElement.lang;

async function start() {
  await loadLanguage(language);
  state.me = await askLoggedIn("/api/me");
  document.getElementById("open")?.addEventListener("submit", (event) => {
    event.preventDefault();
    const to = document.getElementById("receiver").value, note = document.getElementById("note").value;
    go(event.submitter, "/api/handovers", { to, note }, (made) => `/handover/${encodeURIComponent(made.id)}`);
  });
  document.getElementById("jot")?.addEventListener("submit", (event) => {
    event.preventDefault();
    go(event.submitter, "/api/notes", { text: document.getElementById("text").value }, () => location.pathname);
  });
  for (const form of document.querySelectorAll(".end-incident")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      go(event.submitter, `/api/incidents/${encodeURIComponent(form.dataset.incident)}/close`, { text: form.elements.outcome.value }, () => location.pathname);
    });
  }
  const sign = document.getElementById("sign");
  sign?.addEventListener("click", () => go(sign, `/api/handovers/${encodeURIComponent(sign.dataset.handover)}/sign`, {}, () => location.pathname));
  for (const button of document.querySelectorAll("button[disabled]")) button.disabled = false;      // before, a press would have been for nothing
}

async function go(button, path, body, next) {
  button.disabled = true;
  try {
    const made = await askLoggedIn(path, body);
    location.assign(`${next(made)}?lang=${language}`);
  } catch (error) {
    if (!error.says) throw error;
    document.getElementById("said").textContent = say(error.says);
    button.disabled = false;
  }
}

start();
