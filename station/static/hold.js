// A button that has to be held: what flies is never started by a touch. Mouse, pen, finger, and Space or Enter alike.

import { make } from "./dom.js";

export const HOLD_MS = 1500;

/** Whether something in it is being held: then nothing of it is taken out of the page, not even to be put back at once. */
export function isHeld(root) { return root.querySelector(".hold.holding") !== null; }

/** kind: a class. set(text, second) changes the words without touching a hold that is on its way. onHeld runs once a hold. */
export function holdButton(kind, hintId, onHeld) {
  const title = make("b", {}), second = make("small", {});
  const button = make("button", { type: "button", class: `hold ${kind}`, "data-focus": `hold-${kind}`, "aria-describedby": hintId },
    make("i", { class: "hold-fill", "aria-hidden": "true" }), make("span", { class: "hold-words" }, title, second));
  let held = null, since = 0;

  const begin = (event) => {
    if (held !== null || button.disabled) return;
    since = event.timeStamp;
    button.classList.add("holding");
    held = setTimeout(done, HOLD_MS);
  };
  const end = () => {
    clearTimeout(held);
    held = null;
    button.classList.remove("holding");
  };
  const done = () => { end(); onHeld(); };
  /** Let go. What counts is how long it was held, also where a busy page comes late to say so. */
  const release = (event) => {
    if (held === null) return;
    if (event.timeStamp - since >= HOLD_MS) done();
    else end();
  };

  button.addEventListener("pointerdown", (event) => { if (event.button === 0) { button.setPointerCapture?.(event.pointerId); begin(event); } });
  button.addEventListener("pointerup", release);
  for (const name of ["pointercancel", "lostpointercapture", "blur"]) button.addEventListener(name, end);
  button.addEventListener("pointermove", (event) => {
    const box = button.getBoundingClientRect();
    if (event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom) end();
  });
  button.addEventListener("keydown", (event) => {
    if (event.key !== " " && event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();
    if (!event.repeat) begin(event);
  });
  button.addEventListener("keyup", (event) => { if (event.key === " " || event.key === "Enter") { event.preventDefault(); release(event); } });
  button.addEventListener("contextmenu", (event) => event.preventDefault());      // a long touch

  // set(): the words, the small ones below them, and whether it may be held at all.
  button.set = (text, more = "", disabled = false) => {
    if (title.textContent !== text) title.textContent = text;
    if (second.textContent !== more) second.textContent = more;
    if (disabled && held !== null) end();
    button.disabled = disabled;
  };
  return button;
}
