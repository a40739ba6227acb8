// The WebSocket to the station: picture, deltas, beats. Lost, it comes back with growing pauses and a whole picture.

import { logInAgain } from "./again.js";
import { ask, loginFor } from "./api.js";
import { on, state, takeDelta, takePicture, tell } from "./state.js";

const SILENT_MS = 4000;         // four beats missed: the line is dead, whatever the browser believes
const CONNECT_MS = 10_000, HELD_UP_MS = 1500;
const FIRST_PAUSE_MS = 500, LONGEST_PAUSE_MS = 8000;

let socket = null;
let askedAgain = false;         // whether a session that has ended was spoken of

export function startFeed() {
  open();
  on("session", () => {
    state.feed.ended = askedAgain = false;
    if (!socket) open();
  });
  let ticked = performance.now(), silent = 0;
  setInterval(() => {
    const at = performance.now(), wasHeldUp = at - ticked > HELD_UP_MS;
    ticked = at;
    // A page that was held up itself has messages waiting: it hears them before it calls the line dead.
    silent = !wasHeldUp && socket && state.feed.open && at - state.feed.heardMs > SILENT_MS ? silent + 1 : 0;
    if (silent > 1) { silent = 0; drop(socket); }
  }, 500);
}

function open() {
  const address = new URL(state.isReplay ? `/replay/feed${location.search}` : "/feed", location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const mine = new WebSocket(address);
  socket = mine;
  mine.onmessage = (event) => { if (mine === socket) take(JSON.parse(event.data)); };
  mine.onclose = (event) => lost(mine, event.code);
  if (state.isReplay && state.replay) mine.onopen = goOn;
  setTimeout(() => { if (mine === socket && mine.readyState === WebSocket.CONNECTING) drop(mine); }, CONNECT_MS);
}

/** A replay whose line was lost goes on where it was. */
function goOn() {
  const { at_ns, speed, paused } = state.replay;
  tellStation({ seek_ns: Math.round(at_ns), speed, paused });
}

/** Tell the station something over the feed; nothing is kept while it is away. */
export function tellStation(word) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(word));
}

function drop(old) {
  old.onclose = null;
  old.close();
  lost(old, 0);
}

function take(message) {
  const feed = state.feed;
  feed.heardMs = performance.now();
  if (message.type === "beat") {
    feed.offsetMs = message.sent_ns / 1e6 - Date.now();
    feed.mindSilentSinceNs = message.mind_silent_since_ns;
    feed.p50 = message.latency_p50_ms;
    feed.p99 = message.latency_p99_ms;
    tell("feed");
  } else if (message.type === "picture") {
    feed.attempt = 0;
    feed.open = true;
    feed.ended = false;
    takePicture(message);
    tell("feed");
  } else if (message.type === "delta") {
    takeDelta(message);
  } else if (message.type === "replay") {
    state.replay = { ...message, heardMs: performance.now() };
    tell("replay");
  }
}

async function lost(old, code) {
  if (old !== socket) return;
  socket = null;
  state.feed.open = false;
  tell("feed");
  if (code === 4401 || state.feed.attempt % 5 === 1) {
    // Browsers hide why a WebSocket was refused; a plain question tells a lost line from an ended session.
    const me = await ask("/api/me", undefined, CONNECT_MS).catch(() => undefined);
    if (me === null) {
      if (!state.me) { location.assign(loginFor()); return; }
      // The map and the sound stay. Who says "later" is asked again when they do something.
      state.feed.ended = true;
      tell("feed");
      if (!askedAgain) { askedAgain = true; logInAgain(); }
    }
  }
  const pause = Math.min(FIRST_PAUSE_MS * 2 ** state.feed.attempt, LONGEST_PAUSE_MS) * (0.75 + Math.random() / 2);
  state.feed.attempt += 1;
  setTimeout(() => { if (!socket) open(); }, pause);
}
