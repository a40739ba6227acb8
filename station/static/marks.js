// What lives on the map: views, trails, error ellipses, headings, places and names of contacts, cameras and drones, drawn straight
// from numbers on a canvas over the ground, so that the ground is not drawn again each time somebody has walked a step.
//
// An update is one walk over what there is. Dots, signs and names are small pictures that are made once and laid on whole pixels:
// where there is no graphics card that is the cheapest there is (2,000 in some milliseconds; WebGL drawn in software took 0.1 s of the
// processor for the same, most of it to bring a screen full of pixels over). When drawing is slower than the hand that drags the map,
// the canvas is moved with the ground until it is drawn anew.
//
// A press in the middle of that is answered first: it is drawn in pieces, on a canvas that nobody sees, which is shown when it is whole.

import { sizeOf } from "./ground.js";
import { inPieces, nextTask } from "./presses.js";

const PLANE = 6378137.0 * 2 * Math.PI;      // metres around the equator: the side of the Web Mercator square
const LEAST_PX = 2;                         // a trail's points that are nearer to each other on the screen are one
const RADIUS_PX = 5.2, STROKE_PX = 1.8;     // of a dot; what is shorter is below it, and is not drawn
const TRAIL_PX = 2, TICK_PX = 2.4;
const TRAIL_OPACITY = [0.2, 0.36, 0.58];    // the older part is fainter
const HALO_PX = 3.2, LINE_EM = 1.2, PAD_PX = 2;
const ALWAYS = 0;                           // what is chosen, and drones
const WORDS_KEPT = 600;                     // pictures of names
const REST = 1, CHEAP_MS = 10;              // drawing that takes longer rests for so many times what it took, while the camera moves
const GRID_PX = 100;                        // MapLibre's grid of names begins so far outside of the screen
const PIECE = 128;                          // marks that are drawn before a press is looked for

const mercator = (lat, lon) => [(lon + 180) / 360, (1 - Math.asinh(Math.tan(lat * Math.PI / 180)) / Math.PI) / 2];

function sheetOf(width, height) {
  const sheet = new OffscreenCanvas(Math.max(1, Math.ceil(width)), Math.max(1, Math.ceil(height)));
  return [sheet, sheet.getContext("2d", { willReadFrequently: true })];
}

/** Each of them, with a place to stop after some; painted(): what was told to the canvas is on it. */
function* pieces(all, each, painted) {
  let count = 0;
  for (const it of all) {
    each(it);
    if ((count += 1) % PIECE) continue;
    painted();
    yield;
  }
}

/** What there is. */
function nothing() {
  return {
    areas: [],                  // {id, ring, fill, line, dash}
    lines: [],                  // {path, count, here, colour}: trails
    ticks: [],
    rings: [],                  // {id, x, y, major, minor, angle, colour, opacity, isDashed, isHatched}
    dots: [],                   // {kind, id, x, y, reach, sprite, opacity, turn}
    names: [],                  // {kind, id, x, y, words, size, colour, away, order}
  };
}

/** A canvas over a MapLibre map. Between begin() and end(turn) it is told what there is; what was before is gone with end(). */
export class Marks {
  /** isDear: the processor draws. told(turn): that turn is on the canvas. Angles are radians from east, counter-clockwise. */
  constructor(map, origin, isDear, told) {
    this.map = map;
    this.told = told;
    this.isDear = isDear;
    [this.lat0, this.lon0] = origin;
    this.origin = mercator(...origin);
    this.ground = "#000";
    this.turn = -1;
    this.restUntil = 0;
    this.due = null;
    this.paths = new WeakMap(); // trail -> its points as differences from the origin
    this.signs = new Map();     // name -> {image, ratio}
    this.sprites = new Map();   // name -> {sheet, half}: drawn for the screen as it is
    this.words = new Map();     // the same of names, the longest unused first
    this.sides = new Map();     // id -> on which side its name was last
    this.all = this.next = nothing();
    this.isDrawing = this.isAskedAgain = false;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "marks";
    map.getCanvasContainer().append(this.canvas);
    this.glass = this.canvas.getContext("2d", { willReadFrequently: isDear });
    this.below = new OffscreenCanvas(1, 1);
    this.brush = this.below.getContext("2d", { willReadFrequently: isDear });
    map.on("render", () => { if (this.shown && this.seen !== this.camera()) this.drawSoon(); });
    map.on("resize", () => this.draw());
  }

  camera() {
    const { lng, lat } = this.map.getCenter(), { wide, high } = sizeOf(this.map);
    return `${lng} ${lat} ${this.map.getZoom()} ${wide} ${high} ${devicePixelRatio}`;
  }

  // ------------------------------------------------------------------------------------------------------- what there is

  /** A sign by a name. image: ImageData, square; `ratio` of its pixels are one of the screen's. */
  addSign(name, image, ratio) {
    this.signs.set(name, { image, ratio });
    this.sprites.delete(name);
  }

  begin() {
    const bounds = this.map.getBounds(), [a, b] = [bounds.getSouthWest(), bounds.getNorthEast()].map((p) => this.at([p.lat, p.lng]));
    const wide = (b[0] - a[0]) / 2, high = (a[1] - b[1]) / 2;
    this.view = [a[0] - wide, b[1] - high, b[0] + wide, a[1] + high];      // half a screen around it, for a hand that drags
    this.next = nothing();
  }

  end(turn) {
    this.turn = turn;
    this.all = this.next;
    this.all.dots.sort((a, b) => a.order - b.order);
    this.all.names.sort((a, b) => a.order - b.order);
    this.draw();
  }

  isNear(here) {
    const [x, y] = this.at(here), [west, north, east, south] = this.view;
    return x > west && x < east && y > north && y < south;
  }

  /** Web Mercator, as a difference from the origin. */
  at([lat, lon]) {
    const [x, y] = mercator(lat, lon);
    return [x - this.origin[0], y - this.origin[1]];
  }

  path(trail) {
    let path = this.paths.get(trail);
    if (!path) this.paths.set(trail, path = Float64Array.from(trail.flatMap((p) => this.at(p))));
    return path;
  }

  trail(trail, here, colour) { this.next.lines.push({ path: this.path(trail), here: this.at(here), colour }); }

  /** A heading: from a place to where it would be. */
  tick(here, there, colour, opacity) { this.next.ticks.push({ from: this.at(here), to: this.at(there), colour, opacity }); }

  /** Semi-axes in metres, the major one's angle from east in radians. */
  ellipse(id, here, { major, minor, angle }, colour, opacity, isDashed, isHatched) {
    const [x, y] = this.at(here), unit = 1 / (PLANE * Math.cos(here[0] * Math.PI / 180));
    this.next.rings.push({ id, x, y, major: major * unit, minor: minor * unit, angle, colour, opacity, isDashed, isHatched });
  }

  dot(id, here, colour, opacity, isFilled) { this.put("contact", id, here, `${colour}${isFilled ? "" : "-hollow"}`, opacity, 0, 9, { colour, isFilled }); }

  /** order: what has more of it lies over the rest. turn: of the sign, radians clockwise. */
  sign(kind, id, here, name, opacity, order, turn = 0) {
    const { image, ratio } = this.signs.get(name);
    this.put(kind, id, here, name, opacity, order, image.width / ratio / 2, null, turn);
  }

  put(kind, id, here, sprite, opacity, order, reach, dot, turn = 0) {
    const [x, y] = this.at(here);
    this.next.dots.push({ kind, id, x, y, sprite, opacity, order, reach, dot, turn });
  }

  /** A ring around what is chosen. */
  chosen(here, radius, colour, width) { this.put(null, null, here, `ring-${radius}-${colour}`, 1, -1, radius, { radius, colour, width }); }

  /** What a camera sees: its corners. */
  area(id, corners, fill, line, dash = []) { this.next.areas.push({ id, ring: corners.map((p) => this.at(p)), fill, line, dash }); }

  /** The least `order` has its name first; up to ALWAYS it stands whatever is there. away: pixels from the place. */
  name(kind, id, here, words, { size, colour, away, order }) {
    const [x, y] = this.at(here);
    this.next.names.push({ kind, id, x, y, words, size, colour, away, order });
  }

  // -------------------------------------------------------------------------------------------------------------- drawing

  /** With the ground, when a hand drags it: anew where that is cheap, moved where it is not. */
  drawSoon() {
    if (this.isDrawing) { this.follow(); return; }      // when it is done it looks where the camera is
    const wait = this.restUntil - performance.now();
    if (wait <= 0 && !this.isDear) { this.draw(); return; }
    this.follow();
    if (wait <= 0) { this.draw(); return; }
    this.due ??= setTimeout(() => this.draw(), wait);
  }

  /** What is seen lies where the ground has gone since it was drawn. */
  follow() {
    if (!this.shown) return;
    const { centre, at, zoom } = this.shown, now = this.map.project(centre), scale = 2 ** (this.map.getZoom() - zoom);
    const isThere = scale === 1 && Math.abs(now.x - at.x) < 0.01 && Math.abs(now.y - at.y) < 0.01;
    this.canvas.style.transform = isThere ? "" : `matrix(${scale}, 0, 0, ${scale}, ${now.x - at.x * scale}, ${now.y - at.y * scale})`;
  }

  draw() {
    clearTimeout(this.due);
    this.due = null;
    if (this.isDrawing) { this.isAskedAgain = true; return; }
    this.isDrawing = true;
    const turn = this.turn;
    const begin = () => inPieces(this.drawing(), () => {
      this.isDrawing = false;
      this.told(turn);
      const isAskedAgain = this.isAskedAgain;
      this.isAskedAgain = false;
      if (isAskedAgain) this.draw();
      else if (this.seen !== this.camera()) this.drawSoon();
    });
    if (this.isDear) nextTask(begin);           // who asks has done its piece of work already: a press is heard in between
    else begin();
  }

  *drawing() {
    const began = performance.now(), { wide, high } = sizeOf(this.map), ratio = devicePixelRatio, g = this.brush, { areas, lines, ticks, rings, dots, names } = this.all;
    [this.wide, this.high, this.px] = [wide, high, 512 * 2 ** this.map.getZoom()];
    const size = [Math.round(this.wide * ratio), Math.round(this.high * ratio)];
    if (this.below.width !== size[0] || this.below.height !== size[1]) [this.below.width, this.below.height] = size;
    if (this.drawnZoom !== this.map.getZoom()) { this.drawnZoom = this.map.getZoom(); this.sides.clear(); }
    if (this.ratio !== ratio) { this.ratio = ratio; this.sprites.clear(); this.words.clear(); }
    this.zero = this.map.project([this.lon0, this.lat0]);
    this.seen = this.camera();
    const centre = this.map.getCenter(), shown = { centre, at: this.map.project(centre), zoom: this.map.getZoom() };
    // A canvas keeps what it is told, and paints when it is asked for a pixel: here and there, or all of it waits for the end.
    const painted = () => { if (this.isDear) g.getImageData(0, 0, 1, 1); };
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    g.globalAlpha = 1;
    g.clearRect(0, 0, this.wide, this.high);
    g.lineJoin = g.lineCap = "round";
    this.drawAreas(g, areas);
    yield* pieces(lines, (it) => this.drawTrail(g, it), painted);
    g.lineWidth = TICK_PX;
    yield* pieces(ticks, (it) => this.drawTick(g, it), painted);
    g.lineWidth = 1.3;
    yield* pieces(rings, (it) => this.drawRing(g, it), painted);
    g.setLineDash([]);
    yield* pieces(dots, (it) => this.lay(g, this.spriteOf(it), it.x, it.y, it.opacity, it.turn), painted);
    yield* this.drawNames(g, dots, names, painted);
    painted();
    if (this.canvas.width !== size[0] || this.canvas.height !== size[1]) [this.canvas.width, this.canvas.height] = size;
    this.glass.globalCompositeOperation = "copy";
    this.glass.drawImage(this.below, 0, 0);
    this.shown = shown;
    this.follow();
    const took = performance.now() - began;
    this.restUntil = took > CHEAP_MS ? began + took + REST * took : 0;
  }

  on(x, y) { return [this.zero.x + x * this.px, this.zero.y + y * this.px]; }

  isOff(x, y, room) { return x < -room || y < -room || x > this.wide + room || y > this.high + room; }

  drawAreas(g, areas) {
    g.lineWidth = 1;
    for (const { ring, fill, line, dash } of areas) {
      g.beginPath();
      ring.forEach((p, i) => g[i ? "lineTo" : "moveTo"](...this.on(...p)));
      g.closePath();
      if (fill) { g.fillStyle = fill; g.fill(); }
      g.setLineDash(dash);
      g.strokeStyle = line;
      g.stroke();
    }
    g.setLineDash([]);
  }

  drawTrail(g, { path, here, colour }) {
    const count = path.length / 2, [ex, ey] = this.on(...here);
    let [x, y] = this.on(path[0], path[1]);
    if (this.isOff(ex, ey, 200) || Math.hypot(ex - x, ey - y) < RADIUS_PX) return;
    g.strokeStyle = colour;
    g.lineWidth = TRAIL_PX;
    for (let piece = 0, i = 1; piece < 3; piece += 1) {
      g.globalAlpha = TRAIL_OPACITY[piece];
      g.beginPath();
      g.moveTo(x, y);
      for (const last = Math.ceil(count * (piece + 1) / 3); i <= last; i += 1) {
        const [u, v] = i < count ? this.on(path[2 * i], path[2 * i + 1]) : [ex, ey];
        if (i < last && Math.abs(u - x) < LEAST_PX && Math.abs(v - y) < LEAST_PX) continue;
        g.lineTo(u, v);
        [x, y] = [u, v];
      }
      g.stroke();
    }
  }

  drawTick(g, { from, to, colour, opacity }) {
    const [x, y] = this.on(...from), [u, v] = this.on(...to);
    if (this.isOff(x, y, 40) || Math.hypot(u - x, v - y) < RADIUS_PX) return;
    g.globalAlpha = opacity;
    g.strokeStyle = colour;
    g.beginPath();
    g.moveTo(x, y);
    g.lineTo(u, v);
    g.stroke();
  }

  drawRing(g, { x, y, major, minor, angle, colour, opacity, isDashed, isHatched }) {
    const a = major * this.px, b = minor * this.px, [u, v] = this.on(x, y);
    if (a < RADIUS_PX || this.isOff(u, v, a)) return;
    g.beginPath();
    g.ellipse(u, v, a, b, -angle, 0, 2 * Math.PI);
    g.globalAlpha = opacity * (isHatched ? 0.45 : 0.16);
    g.fillStyle = isHatched ? this.hatch(colour) : colour;
    g.fill();
    g.globalAlpha = opacity * 0.9;
    g.strokeStyle = colour;
    g.setLineDash(isDashed ? [4, 3.2] : []);
    g.stroke();
  }

  hatch(colour) {
    const name = `hatch-${colour}`;
    if (!this.sprites.has(name)) {
      const [sheet, g] = sheetOf(14, 14);
      g.strokeStyle = colour;
      g.lineWidth = 2.4;
      for (const d of [-14, 0, 14]) { g.moveTo(d, 14); g.lineTo(d + 14, 0); }
      g.stroke();
      const pattern = this.brush.createPattern(sheet.transferToImageBitmap(), "repeat");
      pattern.setTransform(new DOMMatrix([0.5, 0, 0, 0.5, 0, 0]));
      this.sprites.set(name, pattern);
    }
    return this.sprites.get(name);
  }

  /** The picture of a dot or sign for this screen. */
  spriteOf({ sprite: name, dot }) {
    let sprite = this.sprites.get(name);
    if (sprite) return sprite;
    const r = this.ratio, sign = this.signs.get(name);
    const half = sign ? sign.image.width / sign.ratio / 2 : dot.radius ? dot.radius + 2 : RADIUS_PX + STROKE_PX + 1;
    const [sheet, g] = sheetOf(2 * half * r, 2 * half * r);
    if (sign) {
      const [whole, w] = sheetOf(sign.image.width, sign.image.width);
      w.putImageData(sign.image, 0, 0);
      g.imageSmoothingQuality = "high";
      g.drawImage(whole, 0, 0, sheet.width, sheet.height);
    } else {
      const middle = sheet.width / 2, disc = (radius, colour) => { g.beginPath(); g.arc(middle, middle, radius * r, 0, 7); g.fillStyle = colour; g.fill(); };
      if (dot.radius) { g.beginPath(); g.arc(middle, middle, dot.radius * r, 0, 7); g.lineWidth = dot.width * r; g.strokeStyle = dot.colour; g.stroke(); }
      else { disc((dot.isFilled ? RADIUS_PX : RADIUS_PX - 0.8) + STROKE_PX, dot.isFilled ? this.ground : dot.colour); disc(dot.isFilled ? RADIUS_PX : RADIUS_PX - 0.8, dot.isFilled ? dot.colour : this.ground); }
    }
    this.sprites.set(name, sprite = sheet.transferToImageBitmap());
    return sprite;
  }

  /** On whole pixels, where that is cheaper by far. */
  lay(g, sprite, x, y, opacity, turn) {
    const r = this.ratio, [u, v] = this.on(x, y), w = sprite.width, h = sprite.height;
    if (this.isOff(u, v, w)) return;
    g.globalAlpha = opacity;
    if (turn) {
      g.setTransform(Math.cos(turn), Math.sin(turn), -Math.sin(turn), Math.cos(turn), u * r, v * r);
      g.drawImage(sprite, -w / 2, -h / 2);
    } else {
      g.setTransform(1, 0, 0, 1, 0, 0);
      g.drawImage(sprite, Math.round(u * r - w / 2), Math.round(v * r - h / 2));
    }
    g.setTransform(r, 0, 0, r, 0, 0);
  }

  /** Each name on a side where nothing is yet, the one it had before if that is free; over a name of the ground, or cut by the screen's edge, only where no other side is left. */
  *drawNames(g, dots, names, painted) {
    const r = this.ratio, taken = [], boxes = [], isOnName = this.namesOfGround();
    for (const { kind, id, x, y, reach, order } of dots) if (kind && order) { const [u, v] = this.on(x, y); if (!this.isOff(u, v, reach)) taken.push([u - reach * 0.7, v - reach * 0.7, u + reach * 0.7, v + reach * 0.7, id]); }
    g.globalAlpha = 1;
    g.setTransform(1, 0, 0, 1, 0, 0);
    yield* pieces(names, (it) => {
      const [u, v] = this.on(it.x, it.y);
      if (!it.words || this.isOff(u, v, 20)) return;
      const { width, height } = this.wordsOf(it), w = width / r, h = height / r, d = it.away, was = this.sides.get(it.id);
      const all = { right: [u + d, v - h / 2], left: [u - d - w, v - h / 2], below: [u - w / 2, v + d * 0.8], above: [u - w / 2, v - d * 0.8 - h],
        "right below": [u + d, v + h / 2], "left below": [u - d - w, v + h / 2], "right above": [u + d, v - h * 1.5], "left above": [u - d - w, v - h * 1.5] };
      const order = Object.keys(all).sort((a, b) => Number(b === was) - Number(a === was));
      const isFree = ([a, b]) => !taken.some(([west, north, east, south, id]) => id !== it.id && a < east && a + w > west && b < south && b + h > north);
      const free = order.filter((name) => isFree(all[name]));
      const isWhole = ([a, b]) => a > 0 && b > 0 && a + w < this.wide && b + h < this.high;
      const side = free.find((name) => isWhole(all[name]) && !isOnName(all[name][0], all[name][1], w, h)) ?? free.find((name) => isWhole(all[name])) ?? free[0] ?? (it.order > ALWAYS ? null : "right");
      if (!side) return;
      this.sides.set(it.id, side);
      const [left, top] = all[side], box = [left, top, left + w, top + h];
      taken.push(box);
      boxes.push({ kind: it.kind, id: it.id, box });
      g.drawImage(this.wordsOf(it, side), Math.round(left * r), Math.round(top * r));
    }, painted);
    this.boxes = boxes;
    if (this.sides.size > 4 * WORDS_KEPT) this.sides.clear();
    g.setTransform(r, 0, 0, r, 0, 0);
  }

  /** Says of a box whether a name of the ground (a corridor, a place) stands in it, as MapLibre has placed them; that is not promised, and tested. */
  namesOfGround() {
    const grid = this.map.style?.placement?.collisionIndex?.grid;
    if (!grid) return () => false;
    return (left, top, wide, high) => grid.query(left + GRID_PX, top + GRID_PX, left + wide + GRID_PX, top + high + GRID_PX).length > 0;
  }

  wordsOf({ words, size, colour }, side = "right") {
    const align = side.startsWith("right") ? "left" : side.startsWith("left") ? "right" : "center", key = `${align} ${size} ${colour} ${words}`;
    let sheet = this.words.get(key);
    if (sheet) { this.words.delete(key); this.words.set(key, sheet); return sheet; }
    const r = this.ratio, rows = words.split("\n"), font = `${size * r}px "Noto Sans", sans-serif`;
    this.brush.font = font;
    const wide = Math.max(...rows.map((row) => this.brush.measureText(row).width)) + 2 * PAD_PX * r, high = (rows.length * size * LINE_EM + 2 * PAD_PX) * r;
    const [drawn, g] = sheetOf(wide, high);
    Object.assign(g, { font, textAlign: align, textBaseline: "middle", lineJoin: "round", lineWidth: HALO_PX * r, strokeStyle: this.ground, fillStyle: colour });
    const x = align === "left" ? PAD_PX * r : align === "right" ? wide - PAD_PX * r : wide / 2;
    for (const paint of ["strokeText", "fillText"]) rows.forEach((row, i) => g[paint](row, x, (PAD_PX + (i + 0.5) * size * LINE_EM) * r));
    if (this.words.size >= WORDS_KEPT) {
      const [oldest, picture] = this.words.entries().next().value;
      picture.close();
      this.words.delete(oldest);
    }
    this.words.set(key, sheet = drawn.transferToImageBitmap());
    return sheet;
  }

  // ------------------------------------------------------------------------------------------------------ what is where

  /** [kind, id] of what lies at a point of the screen, the most important first; null where there is nothing. */
  found(point) {
    const zero = this.map.project([this.lon0, this.lat0]), px = 512 * 2 ** this.map.getZoom(), x = (point.x - zero.x) / px, y = (point.y - zero.y) / px;
    const named = (kind) => this.boxes?.find((it) => it.kind === kind && point.x > it.box[0] && point.x < it.box[2] && point.y > it.box[1] && point.y < it.box[3])?.id;
    const one = (kind, id) => (id ? [kind, id] : null);
    return one("contact", this.dotAt("contact", x, y, px) ?? named("contact")) ?? one("drone", this.dotAt("drone", x, y, px)) ?? one("sensor", this.dotAt("sensor", x, y, px))
      ?? one("contact", this.ringAt(x, y, px)) ?? one("sensor", this.all.areas.find(({ ring }) => isInside(ring, x, y))?.id);
  }

  /** The nearest for its size. */
  dotAt(kind, x, y, px) {
    let best = null, least = 1;
    for (const dot of this.all.dots) {
      if (dot.kind !== kind) continue;
      const away = Math.hypot(dot.x - x, dot.y - y) * px / dot.reach;
      if (away < least) [best, least] = [dot.id, away];
    }
    return best;
  }

  /** The smallest ellipse around a place. */
  ringAt(x, y, px) {
    let best = null, least = Infinity;
    for (const { id, x: cx, y: cy, major, minor, angle } of this.all.rings) {
      const east = x - cx, north = cy - y, u = east * Math.cos(angle) + north * Math.sin(angle), v = north * Math.cos(angle) - east * Math.sin(angle);
      if (major * px >= RADIUS_PX && Math.hypot(u / major, v / minor) < 1 && major * minor < least) [best, least] = [id, major * minor];
    }
    return best;
  }
}

function isInside(ring, x, y) {
  let inside = false;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i, i += 1) {
    const [[a, b], [c, d]] = [ring[i], ring[j]];
    if ((b > y) !== (d > y) && x < (c - a) * (y - b) / (d - b) + a) inside = !inside;
  }
  return inside;
}
