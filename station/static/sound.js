// Two tones for what waits: again and again for priority 1, once for 2, never for 3. Two low ones, once a minute, when nothing new can
// come: a page that stands still must not be taken for a quiet night. Browsers lock sound until a press.
// The page tells the station whether its sound works and whether it is in sight: a station that nobody watches is an alarm.

import { tellStation } from "./feed.js";
import { now, on, state, tell, waiting } from "./state.js";

const REPEAT_MS = 2600;
const LINE_LOST_MS = 15_000, MIND_SILENT_MS = 60_000, DEAF_EVERY_MS = 60_000;
const TOLD_EVERY_MS = 5000;     // as station/alarm_watch.py expects it
const REMEMBERED = "trailwatch.muted";
let context = null;
let muted = false;
let repeating = null;
let isSecondDue = false;        // what comes together sounds once
let deafMs = null;              // when it was last heard that nothing new can come
let told = "";

try { muted = localStorage.getItem(REMEMBERED) === "yes"; } catch { /* no storage: sound is on */ }

export function soundState() {
  if (muted) return "muted";
  return context?.state === "running" ? "on" : "locked";
}

export function startSound() {
  if (state.isReplay) return;
  try {
    context = new AudioContext();
    context.onstatechange = () => tell("feed");
  } catch { context = null; }     // a machine without sound: the state says locked, and the screen shows it
  for (const event of ["pointerdown", "keydown"]) document.addEventListener(event, unlock, { capture: true });
  on("alarm", (alarm) => { if (alarm.priority === 2 && alarm.state === "active") second(); });
  on("picture", watch);
  watch();
  setInterval(deaf, 1000);
  // Where a browser slows down the timers of a page that is out of sight, the station hears less of it: it is not watched.
  setInterval(tellWatch, TOLD_EVERY_MS);
  document.addEventListener("visibilitychange", tellWatch);
  on("feed", () => { if (told !== wordNow()) tellWatch(); });
}

function wordNow() { return `${soundState()} ${document.visibilityState} ${state.feed.open}`; }

function tellWatch() {
  told = wordNow();
  tellStation({ type: "screen", sound: soundState(), visible: document.visibilityState === "visible" });
}

function unlock() { if (context?.state === "suspended") context.resume(); }

export function toggleSound() {
  const locked = soundState() === "locked";
  unlock();
  if (!locked) muted = !muted;
  try { localStorage.setItem(REMEMBERED, muted ? "yes" : "no"); } catch { /* it is then forgotten with the page */ }
  watch();
  tell("feed");
}

function watch() {
  const first = !muted && waiting().some((alarm) => alarm.priority === 1);
  if (first && repeating === null) {
    tones(880, 660);
    repeating = setInterval(() => tones(880, 660), REPEAT_MS);
  } else if (!first && repeating !== null) {
    clearInterval(repeating);
    repeating = null;
  }
}

function second() {
  if (isSecondDue) return;
  isSecondDue = true;
  setTimeout(() => { isSecondDue = false; tones(660, 520); }, 0);
}

function deaf() {
  const at = performance.now(), { heardMs, mindSilentSinceNs } = state.feed;
  if (at - heardMs < LINE_LOST_MS && (mindSilentSinceNs === null || now() - mindSilentSinceNs / 1e6 < MIND_SILENT_MS)) deafMs = null;
  else if (deafMs === null || at - deafMs >= DEAF_EVERY_MS) {
    deafMs = at;
    tones(330, 262);
  }
}

function tones(...hertz) {
  if (state.isReplay) return;        // what was an alarm then is none now
  if (muted || context?.state !== "running" || !state.hasPicture) return;
  hertz.forEach((frequency, i) => {
    const start = context.currentTime + i * 0.19;
    const tone = context.createOscillator(), loudness = context.createGain();
    tone.type = "triangle";
    tone.frequency.value = frequency;
    loudness.gain.setValueAtTime(0, start);
    loudness.gain.linearRampToValueAtTime(0.22, start + 0.015);
    loudness.gain.setValueAtTime(0.22, start + 0.14);
    loudness.gain.linearRampToValueAtTime(0, start + 0.18);
    tone.connect(loudness).connect(context.destination);
    tone.start(start);
    tone.stop(start + 0.2);
  });
}
