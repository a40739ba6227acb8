// Questions to the station. A refusal carries a sentence of the language files.

import { state } from "./state.js";

export class RefusedError extends Error {
  constructor(status, says) {
    super(says.key);
    this.status = status;
    this.says = says;
  }
}

const PATIENCE_MS = 60_000;     // a cable that is out refuses nothing: without an end a press would wait for it for a quarter of an hour

/** For what a station works at for minutes: a large layer, a long record, the score of an exercise. */
export const AT_WORK_MS = 900_000;

/** withinMs: an answer that takes longer is none. */
export async function ask(path, body = undefined, withinMs = PATIENCE_MS) {
  // The station gives a replay no secret to change anything with; this only says so sooner, and in better words.
  if (state.isReplay && body !== undefined) throw new RefusedError(0, { key: "refused.replay", params: {} });
  if (state.isReplay && path === "/api/me") path = "/api/me?replay=yes";
  const options = { credentials: "same-origin", headers: {}, signal: AbortSignal.timeout(withinMs) };
  if (body !== undefined) {
    options.method = "POST";
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
    if (state.me) options.headers["X-CSRF-Token"] = state.me.csrf;
  }
  return answerOf(path, options);
}

/** A file as it is, to be looked at or taken. */
export async function sendFile(path, file) {
  const headers = { "Content-Type": "application/octet-stream", "X-CSRF-Token": state.me?.csrf ?? "" };
  return answerOf(path, { method: "POST", credentials: "same-origin", headers, body: file });
}

async function answerOf(path, options) {
  let answer;
  try {
    answer = await fetch(path, options);
  } catch (error) {
    throw new RefusedError(0, { key: error.name === "TimeoutError" ? "refused.no_answer" : "refused.no_connection", params: {} });
  }
  if (answer.ok) return answer.json();
  let says = { key: "refused.http", params: { status: answer.status } };
  try { says = (await answer.json()).says ?? says; } catch { /* a proxy's own page: the status must do */ }
  throw new RefusedError(answer.status, says);
}

/** The login that leads back here; whoever logs out on purpose goes to the plain one. */
export function loginFor() {
  const here = location.pathname + location.search + location.hash;
  return here === "/" ? "/login" : `/login?to=${encodeURIComponent(here)}`;
}

/** As ask(); where the session has ended, who was logged in is asked for the password, and then it goes on. */
export async function askLoggedIn(path, body = undefined, withinMs = PATIENCE_MS) {
  try {
    return await ask(path, body, withinMs);
  } catch (error) {
    if (error.status !== 401) throw error;
    if (!state.me) location.assign(loginFor());
    else if (await (await import("./again.js")).logInAgain()) return ask(path, body, withinMs);
    throw error;
  }
}
