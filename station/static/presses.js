// Who presses something is answered first: drawing waits for the frame that shows the answer, and stops halfway for it.

const SLICE_MS = 8;             // so long a press waits for drawing at most
let isOpen = false;             // something was pressed, and the frame that answers it is not there yet

for (const name of ["keydown", "pointerdown", "click"]) {
  document.addEventListener(name, () => {
    if (isOpen) return;
    isOpen = true;
    afterFrame(() => { isOpen = false; });
  }, { capture: true, passive: true });
}

/** Once the next frame is on its way to the glass. */
export function afterFrame(then) { requestAnimationFrame(() => setTimeout(then, 0)); }

/** At once, or, where a press is being answered, once its frame is on its way. */
export function afterPress(then) { if (isOpen) afterFrame(() => afterPress(then)); else then(); }

/** In a task of its own: what has come in meanwhile, presses first, is heard before it. */
function nextTask(then) { if (globalThis.scheduler?.postTask) scheduler.postTask(then); else setTimeout(then, 0); }

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
