// Who presses something is answered first: the map and all drawing wait until the answer is on the glass, and stop halfway for it.

const SLICE_MS = 6;             // so long a press waits for drawing at most
const GLASS_MS = 24;            // from the page's part of a frame to the glass: other threads paint and compose it, on few cores with none to spare
const HELD_MS = 1000;           // a hand that presses without end does not stop the map
const MOVES_MAP = /^(Arrow|[-+=]$)/;

let open = 0, openSinceMs = 0;  // presses whose answer is not there yet
let waiting = [];

for (const name of ["keydown", "pointerdown", "click"]) document.addEventListener(name, pressed, { capture: true, passive: true });

function pressed(event) {
  if (event.repeat) return;
  // Who takes hold of the map is answered by the map.
  if (event.target.closest?.(".maplibregl-canvas-container") && (event.type === "pointerdown" || MOVES_MAP.test(event.key))) return;
  if (!open) openSinceMs = performance.now();
  open += 1;
  requestAnimationFrame(() => setTimeout(answered, GLASS_MS));
}

function answered() {
  open -= 1;
  if (isAnswering()) return;
  const all = waiting;
  waiting = [];
  for (const then of all) nextTask(then);
}

/** A press has been heard, and the frame that answers it is not on the glass yet. */
export function isAnswering() { return open > 0 && performance.now() - openSinceMs < HELD_MS; }

/** At once, or, where a press is being answered, once its answer is on the glass. */
export function afterPress(then) { if (isAnswering()) waiting.push(then); else then(); }

/** In a task of its own: what has come in meanwhile, presses first, is heard before it. */
export function nextTask(then) { if (globalThis.scheduler?.postTask) scheduler.postTask(then); else setTimeout(then, 0); }

/** Do work that says by `yield` where it may be stopped; a press in between is answered before it goes on. then(): it is done. */
export function inPieces(work, then) {
  const until = performance.now() + SLICE_MS;
  while (!work.next().done) {
    if (performance.now() < until) continue;
    nextTask(() => afterPress(() => inPieces(work, then)));
    return;
  }
  then();
}
