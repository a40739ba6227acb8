// The map's symbols, drawn on a canvas: no sprite file, no second source of shapes.

export const COLOURS = {
  background: "#0b0f14", panel: "#10161d", text: "#c9d3dc", bright: "#eef3f7", grey: "#9aa7b3",
  p1: "#ff5a52", p2: "#f2b705", p3: "#5ab4f0", border: "#d08f3c", ours: "#8fd8c0", trail: "#b7c6d4",
};
const RATIO = 2;

function canvas(width, height, paint) {
  const c = new OffscreenCanvas(width * RATIO, height * RATIO);
  const g = c.getContext("2d", { willReadFrequently: true });        // drawn where it is read: asking a graphics card for 30 pictures took 2 s
  g.scale(RATIO, RATIO);
  paint(g);
  return g.getImageData(0, 0, width * RATIO, height * RATIO);
}

function outlined(g, fill, stroke = COLOURS.background, width = 2) {
  g.lineJoin = "round";
  g.lineWidth = width * 2;
  g.strokeStyle = stroke;
  g.stroke();
  g.fillStyle = fill;
  g.fill();
}

const SHAPES = {
  1: (g) => { g.moveTo(17, 3); g.lineTo(31, 28.5); g.lineTo(3, 28.5); g.closePath(); },
  2: (g) => { g.moveTo(17, 2.5); g.lineTo(31.5, 17); g.lineTo(17, 31.5); g.lineTo(2.5, 17); g.closePath(); },
  3: (g) => g.arc(17, 17, 12.5, 0, 7),
};
const MIDDLE = { 1: 20.5, 2: 17, 3: 17 };       // where a shape has most room

const GROUPS = {
  person: (g, y) => { g.arc(17, y - 4.2, 2.3, 0, 7); g.moveTo(13.4, y + 5.6); g.bezierCurveTo(13.4, y - 3, 20.6, y - 3, 20.6, y + 5.6); g.closePath(); },
  vehicle: (g, y) => { g.roundRect(11.2, y - 3.2, 7.4, 5.8, 1); g.roundRect(19.2, y - 1.2, 3.6, 3.8, 0.8); g.moveTo(15.4, y + 3.6);
    g.arc(13.6, y + 3.6, 1.8, 0, 7); g.moveTo(21.8, y + 3.6); g.arc(20, y + 3.6, 1.8, 0, 7); },
  boat: (g, y) => { g.moveTo(10.6, y + 1); g.lineTo(23.4, y + 1); g.lineTo(20.6, y + 5); g.lineTo(13.4, y + 5); g.closePath();
    g.moveTo(16.4, y - 0.4); g.lineTo(16.4, y - 6); g.lineTo(21.6, y - 0.4); g.closePath(); },
};

/** Priority by shape and colour, class by the sign in it. Filled: waits for a person. Hollow: somebody has taken it. */
function shape(priority, group, hollow) {
  return canvas(34, 34, (g) => {
    const colour = COLOURS[`p${priority}`];
    g.beginPath();
    SHAPES[priority](g);
    outlined(g, hollow ? COLOURS.background : colour);
    if (hollow) {
      g.lineWidth = 2.4;
      g.strokeStyle = colour;
      g.stroke();
    }
    g.beginPath();
    GROUPS[group](g, MIDDLE[priority]);
    g.fillStyle = hollow ? colour : COLOURS.background;
    g.fill();
  });
}

/** A vehicle or boat without an alarm; people without one are plain dots, which any number of can be drawn. */
function plain(group) {
  return canvas(34, 34, (g) => {
    g.beginPath();
    GROUPS[group](g, 17);
    outlined(g, COLOURS.trail, COLOURS.background, 1.6);
  });
}

/** A camera: a ring around a lens when it sees, crossed out when blind, half full when calibrating. */
function camera(state) {
  return canvas(26, 26, (g) => {
    const colour = state === "seeing" ? COLOURS.ours : COLOURS.grey;
    const disc = (radius, paint) => { g.beginPath(); g.arc(13, 13, radius, 0, 7); g.fillStyle = paint; g.fill(); };
    disc(11, COLOURS.background);
    disc(9, colour);
    disc(6.8, COLOURS.background);
    if (state === "seeing") disc(4.2, colour);
    if (state === "calibrating") {
      g.beginPath();
      g.arc(13, 13, 6.9, -Math.PI / 2, Math.PI / 2);
      g.fillStyle = colour;
      g.fill();
    }
    if (state === "blind") {
      for (const [width, paint] of [[6.4, COLOURS.background], [2.8, COLOURS.bright]]) {
        g.beginPath();
        g.moveTo(3.5, 22.5); g.lineTo(22.5, 3.5);
        g.lineWidth = width;
        g.strokeStyle = paint;
        g.stroke();
      }
    }
  });
}

function drone() {
  return canvas(38, 38, (g) => {
    for (const [x, y] of [[10, 10], [28, 10], [10, 28], [28, 28]]) {
      g.beginPath();
      g.moveTo(19, 19); g.lineTo(x, y);
      g.lineWidth = 6; g.strokeStyle = COLOURS.background; g.stroke();
      g.lineWidth = 2.8; g.strokeStyle = COLOURS.ours; g.stroke();
      g.beginPath();
      g.arc(x, y, 5.4, 0, 7);
      g.lineWidth = 4.6; g.strokeStyle = COLOURS.background; g.stroke();
      g.lineWidth = 2; g.strokeStyle = COLOURS.ours; g.stroke();
    }
    g.beginPath();
    g.moveTo(19, 9); g.lineTo(25.5, 26); g.lineTo(19, 22.5); g.lineTo(12.5, 26); g.closePath();
    outlined(g, COLOURS.ours, COLOURS.background, 1.4);
  });
}

function home() {
  return canvas(22, 22, (g) => {
    g.beginPath();
    g.arc(11, 11, 7.5, 0, 7);
    outlined(g, COLOURS.background);
    g.lineWidth = 1.8; g.strokeStyle = COLOURS.ours; g.stroke();
    g.fillStyle = COLOURS.ours;
    g.font = "700 10px 'Noto Sans', sans-serif";
    g.textAlign = "center";
    g.fillText("H", 11, 14.6);
  });
}

/** A pattern of diagonal lines that repeats without a seam. */
function hatch(size, colour, width, cross = false) {
  return canvas(size, size, (g) => {
    g.strokeStyle = colour;
    g.lineWidth = width;
    g.lineCap = "square";
    g.beginPath();
    for (const d of [-size, 0, size]) {
      g.moveTo(d, size); g.lineTo(d + size, 0);
      if (cross) { g.moveTo(d, 0); g.lineTo(d + size, size); }
    }
    g.stroke();
  });
}

const CAMERAS = () => [["seeing", camera("seeing")], ["calibrating", camera("calibrating")],
  ...["blind", "covered", "dark", "defocused", "frozen", "moved"].map((state) => [state, camera("blind")])];

/** For what lives on the map (marks.js). */
export function addSigns(marks) {
  const add = (name, image) => marks.addSign(name, image, RATIO);
  for (const group of Object.keys(GROUPS)) {
    for (const p of [1, 2, 3]) {
      add(`p${p}-${group}`, shape(p, group, false));
      add(`p${p}-${group}-taken`, shape(p, group, true));
    }
    if (group !== "person") add(`plain-${group}`, plain(group));
  }
  for (const [state, image] of CAMERAS()) add(`camera-${state}`, image);
  add("drone", drone());
}

/** For the ground. */
export function addSymbols(map) {
  const add = (name, image) => map.addImage(name, image, { pixelRatio: RATIO });
  for (const [state, image] of CAMERAS()) add(`camera-${state}`, image);
  add("home", home());
  add("hatch-other", hatch(14, "rgba(154,167,179,0.105)", 1));
  add("hatch-keep-out", hatch(10, "rgba(154,167,179,0.24)", 1));
}
