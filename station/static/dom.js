// Elements from values. Text is always set as text: nothing that came over a wire is ever parsed as HTML.

const SVG = "http://www.w3.org/2000/svg";

/** make("button", {class: "quiet", onclick: f}, "text", child, ...): attributes by name, `on...` as listeners, null left out. */
export function make(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/**
 * The children of an element as they are wanted, in their order; whether anything had to be moved. What stays is not taken out of the
 * page for a moment: a press or a hold on it would be lost, and the place to which somebody has scrolled.
 */
export function arrange(parent, wanted) {
  const there = parent.children;
  if (wanted.length === there.length && wanted.every((child, i) => child === there[i])) return false;
  const kept = new Set(wanted);
  for (const child of [...there]) if (!kept.has(child)) child.remove();
  wanted.forEach((child, i) => { if (there[i] !== child) parent.insertBefore(child, there[i] ?? null); });
  return true;
}

/**
 * Fills a box anew and leaves the keyboard where it was: on the same element where `build` puts that back, else on the one of the same
 * name (data-focus, or its id). Whether the keyboard's place in it is lost.
 */
export function refill(box, build) {
  const focused = box.contains(document.activeElement) ? document.activeElement : null;     // asked first: building may take it out already
  box.replaceChildren(...[build()].flat(3).filter(Boolean));
  return !refocus(box, focused);
}

/** Back to where the keyboard was in a box that has been changed; whether it is there. */
export function refocus(box, focused) {
  if (!focused || focused === document.activeElement) return true;
  const name = focused.dataset.focus;
  const next = focused.isConnected ? focused : name ? box.querySelector(`[data-focus="${CSS.escape(name)}"]`) : focused.id ? document.getElementById(focused.id) : null;
  next?.focus();
  return Boolean(next) && document.activeElement === next;      // what cannot be pressed now does not take it
}

function draw(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

const SHAPES = {
  1: () => draw("path", { d: "M12 2.6 22.4 21H1.6Z" }),
  2: () => draw("path", { d: "M12 1.2 22.8 12 12 22.8 1.2 12Z" }),
  3: () => draw("circle", { cx: 12, cy: 12, r: 9.6 }),
};

/** The priority's shape: triangle, diamond, circle. `label` is read out; without it the shape is decoration. */
export function priorityShape(priority, label = null) {
  const svg = draw("svg", { viewBox: "0 0 24 24", class: `shape p${priority}`, role: label ? "img" : null,
    "aria-label": label, "aria-hidden": label ? null : "true" }, SHAPES[priority]());
  return svg;
}

const GLYPHS = {
  person: ["M12 4.2a2.5 2.5 0 1 1 0 5 2.5 2.5 0 0 1 0-5Z", "M7.5 20v-5.2c0-2.4 1.8-4.2 4.5-4.2s4.5 1.8 4.5 4.2V20Z"],
  vehicle: ["M2.5 16.5v-8h10v8Z", "M13.5 16.5v-5.6h4.2l3.6 3v2.6Z", "M6.8 15a2.1 2.1 0 1 1 0 4.2 2.1 2.1 0 0 1 0-4.2Z",
    "M17.2 15a2.1 2.1 0 1 1 0 4.2 2.1 2.1 0 0 1 0-4.2Z"],
  camera: ["M3 7h11v10H3Z", "M15.5 10.5 21 7.5v9l-5.5-3Z"],
  node: ["M4 5h16v5H4Z", "M4 13h16v5H4Z"],
  watch: ["M12 5c5 0 8.5 4.2 10 7-1.500 2.800-5 7-10 7S3.500 14.800 2 12c1.500-2.800 5-7 10-7Z"],
  sound: ["M3 9h4l5-4v14l-5-4H3Z", "M15 8.500c2 1.600 2 5.400 0 7Z", "M18 6c3.400 3 3.400 9 0 12Z"],
  list: ["M4 5h3v3H4Z", "M9 5h11v3H9Z", "M4 10.500h3v3H4Z", "M9 10.500h11v3H9Z", "M4 16h3v3H4Z", "M9 16h11v3H9Z"],
  gear: ["M10.300 2.500h3.400l.5 2.600 1.700.7 2.200-1.500 2.400 2.400-1.500 2.200.7 1.700 2.600.5v3.400l-2.600.5-.7 1.700 1.500 2.200-2.400 2.400-2.200-1.500-1.700.7-.5 2.600h-3.400l-.5-2.600-1.700-.7-2.200 1.500-2.400-2.400 1.500-2.200-.7-1.700-2.600-.5v-3.400l2.600-.5.7-1.700-1.500-2.200 2.400-2.400 2.200 1.500 1.700-.7Z"],
  help: ["M12 20.500 4 12.600a5 5 0 0 1 7.200-7L12 6.400l.8-.8a5 5 0 0 1 7.200 7Z"],
  shield: ["M12 2.500 20 5.500v6c0 5-3.400 8.400-8 10-4.600-1.600-8-5-8-10v-6Z"],
  rewind: ["M11.500 5.500v13L3 12Z", "M21 5.500v13L12.500 12Z"],
  moon: ["M14.500 3a9.200 9.200 0 1 0 6.500 13.800A8 8 0 0 1 14.500 3Z"],
  find: ["M10.500 3a7.500 7.500 0 1 0 4.600 13.400L20 21.300l1.500-1.500-5-4.900A7.500 7.500 0 0 0 10.500 3Zm0 2.200a5.300 5.300 0 1 1 0 10.600 5.300 5.300 0 0 1 0-10.600Z"],
  sheet: ["M5 3h14v18H5ZM8 7v1.800h8V7ZM8 11v1.800h8V11ZM8 15v1.800h5V15Z"],
  eye: ["M12 5c5 0 8.500 4.200 10 7-1.500 2.800-5 7-10 7S3.500 14.800 2 12c1.500-2.800 5-7 10-7ZM12 8.300a3.700 3.700 0 1 0 0 7.400 3.700 3.700 0 1 0 0-7.400Z", "M12 10.300a1.700 1.700 0 1 1 0 3.400 1.700 1.700 0 1 1 0-3.400Z"],
  map: ["M3 5.500 9 3v15.500L3 21Z", "M10 3l5 2.500V21l-5-2.500Z", "M16 5.500 21 3v15.500L16 21Z"],
  drone: ["M5.500 3a3.500 3.500 0 1 0 0 7 3.500 3.500 0 1 0 0-7Zm0 2a1.500 1.500 0 1 1 0 3 1.500 1.500 0 1 1 0-3Z", "M18.500 3a3.500 3.500 0 1 0 0 7 3.500 3.500 0 1 0 0-7Zm0 2a1.500 1.500 0 1 1 0 3 1.500 1.500 0 1 1 0-3Z",
    "M5.500 14a3.500 3.500 0 1 0 0 7 3.500 3.500 0 1 0 0-7Zm0 2a1.500 1.500 0 1 1 0 3 1.500 1.500 0 1 1 0-3Z", "M18.500 14a3.500 3.500 0 1 0 0 7 3.500 3.500 0 1 0 0-7Zm0 2a1.500 1.500 0 1 1 0 3 1.500 1.500 0 1 1 0-3Z",
    "M8 7.200 9.200 6l6.800 10.800L14.800 18Z", "M14.800 6 16 7.200 9.200 18 8 16.800Z", "M9.500 9h5v6h-5Z"],
  silent: ["M3 9h4l5-4v14l-5-4H3Z", "M15.200 9.200l1.200-1.200 5 5-1.200 1.200Z", "M20.200 8l1.200 1.200-5 5-1.200-1.200Z"],
};

export function glyph(name, label = null) {
  return draw("svg", { viewBox: "0 0 24 24", class: "glyph", role: label ? "img" : null, "aria-label": label,
    "aria-hidden": label ? null : "true" }, ...GLYPHS[name].map((d) => draw("path", { d })));
}

export function classGlyph(objectClass) {
  return glyph(objectClass === "person" ? "person" : "vehicle");
}

/** A key of the keyboard as it is shown on a button. */
export function cap(text) {
  return make("kbd", { "aria-hidden": "true" }, text);
}

/** A label and its value, as one row of a list of facts. */
export function fact(label, ...value) {
  return make("div", { class: "fact" }, make("dt", {}, label), make("dd", {}, ...value));
}
