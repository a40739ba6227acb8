// Light marks for any number of contacts: trails, error ellipses, headings, dots and signs, drawn straight from numbers on a canvas
// over the map, so that the ground below is not drawn again each time somebody has walked a step.
//
// As features of a GeoJSON source, 2,000 contacts went to a worker, were cut into tiles and came back, for seconds, each time
// one of them moved. Here an update is one walk over the contacts and one upload. Each mark is four corners with the same
// numbers, and not an instance: where there is no graphics card, each instance is a drawing of its own (2 frames a second).

const PLANE = 6378137.0 * 2 * Math.PI;      // metres around the equator: the side of the Web Mercator square
const LEAST_PX = 2;                         // a trail's points that are nearer to each other on the screen are one
const RADIUS_PX = 5.2, STROKE_PX = 1.8;     // of a dot
const TRAIL_PX = 2, TICK_PX = 2.4;

const mercator = (lat, lon) => [(lon + 180) / 360, (1 - Math.asinh(Math.tan(lat * Math.PI / 180)) / Math.PI) / 2];

// Positions are Web Mercator, as differences from `origin`, so that 32 bits are good to a millimetre; `place` turns them into pixels.
const HEAD = `#version 300 es
precision highp float;
uniform vec4 place; uniform vec2 size; uniform float ratio;
vec2 pixels(vec2 at) { return place.xy + at * place.z; }
vec4 shown(vec2 px) { return vec4(px.x / size.x * 2.0 - 1.0, 1.0 - px.y / size.y * 2.0, 0.0, 1.0); }
vec2 corner() { return vec2(float(gl_VertexID & 1), float((gl_VertexID >> 1) & 1)) * 2.0 - 1.0; }
`;
const END = `#version 300 es
precision highp float;
uniform float ratio; out vec4 ink;
`;

const PROGRAMS = {
  line: {
    floats: [4, 4, 1],      // from and to; colour; width
    vertex: `${HEAD} layout(location=0) in vec4 ends; layout(location=1) in vec4 colour; layout(location=2) in float width;
      out vec4 paint; out float side; out float half_width;
      void main() {
        vec2 a = pixels(ends.xy), b = pixels(ends.zw), along = b - a, c = corner();
        vec2 n = length(along) < 0.01 ? vec2(1.0, 0.0) : normalize(along);
        half_width = width / 2.0; side = c.y * (half_width + 1.0); paint = colour;
        gl_Position = shown(mix(a, b, c.x * 0.5 + 0.5) + vec2(-n.y, n.x) * side);
      }`,
    fragment: `${END} in vec4 paint; in float side; in float half_width;
      void main() { float a = paint.a * clamp(half_width + 0.5 - abs(side), 0.0, 1.0); ink = vec4(paint.rgb * a, a); }`,
  },
  ellipse: {
    floats: [2, 3, 4, 2],   // centre; semi-axes and angle; colour; dashed, hatched
    vertex: `${HEAD} layout(location=0) in vec2 centre; layout(location=1) in vec3 shape; layout(location=2) in vec4 colour; layout(location=3) in vec2 how;
      out vec4 paint; out vec2 at; out vec2 axes; out vec2 style;
      void main() {
        axes = shape.xy * place.z; paint = colour; style = how;
        vec2 d = corner() * (axes + 2.0); at = d;
        float c = cos(shape.z), s = sin(shape.z);
        gl_Position = axes.x < ${RADIUS_PX.toFixed(1)} ? vec4(2.0, 2.0, 2.0, 1.0) : shown(pixels(centre) + vec2(d.x * c - d.y * s, -(d.x * s + d.y * c)));
      }`,
    fragment: `${END} in vec4 paint; in vec2 at; in vec2 axes; in vec2 style;
      void main() {
        float r = length(at / axes), away = (r - 1.0) * axes.x * axes.y / max(length(at * axes.yx / axes), 0.001) * r;
        float inside = clamp(0.5 - away, 0.0, 1.0), edge = clamp(1.15 - abs(away), 0.0, 1.0);
        float turn = atan(at.y / axes.y, at.x / axes.x) / 6.2831853, dashes = max(6.0, floor(3.1 * (axes.x + axes.y) / 7.0));
        if (style.x > 0.5) edge *= step(fract(turn * dashes), 0.56);
        float stripe = step(fract((gl_FragCoord.x - gl_FragCoord.y) / ratio / 7.0), 0.2);
        float a = paint.a * max(edge * 0.9, inside * (style.y > 0.5 ? 0.45 * stripe : 0.16));
        if (a < 0.004) discard;
        ink = vec4(paint.rgb * a, a);
      }`,
  },
  dot: {
    floats: [2, 4, 1],      // centre; colour; filled
    vertex: `${HEAD} layout(location=0) in vec2 centre; layout(location=1) in vec4 colour; layout(location=2) in float filled;
      out vec4 paint; out vec2 at; out float full;
      void main() { at = corner() * ${(RADIUS_PX + STROKE_PX + 1).toFixed(1)}; paint = colour; full = filled; gl_Position = shown(pixels(centre) + at); }`,
    fragment: `${END} uniform vec3 ground; in vec4 paint; in vec2 at; in float full;
      void main() {
        float r = length(at), radius = full > 0.5 ? ${RADIUS_PX.toFixed(1)} : ${(RADIUS_PX - 0.8).toFixed(1)};
        float whole = clamp(radius + ${STROKE_PX.toFixed(1)} + 0.5 - r, 0.0, 1.0), inner = clamp(radius + 0.5 - r, 0.0, 1.0);
        vec3 colour = full > 0.5 ? mix(ground, paint.rgb, inner) : mix(paint.rgb, ground, inner);
        float a = paint.a * whole;
        if (a < 0.004) discard;
        ink = vec4(colour * a, a);
      }`,
  },
};

PROGRAMS.sign = {
  floats: [2, 4, 1],        // centre; where in the sheet of signs, half its side in pixels; opacity
  vertex: `${HEAD} layout(location=0) in vec2 centre; layout(location=1) in vec4 where; layout(location=2) in float strength;
    out vec2 at; out float opacity;
    void main() { vec2 c = corner(); at = where.xy + (c * 0.5 + 0.5) * where.z; opacity = strength; gl_Position = shown(floor(pixels(centre) + 0.5) + c * where.w); }`,
  fragment: `${END} uniform sampler2D sheet; in vec2 at; in float opacity;
    void main() { vec4 c = texture(sheet, at); ink = vec4(c.rgb * c.a, c.a) * opacity; }`,
};
const ORDER = ["line", "ellipse", "dot", "sign"];
const CELL_PX = 96, SHEET_PX = 1024;        // of the sheet of signs
const SIGNS = 100, SIGNS_KEPT = 20;         // it has room for so many; when it is full, those after the first are made anew

function compile(gl, { vertex, fragment }) {
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(`marks: ${gl.getProgramInfoLog(program)}`);
  return program;
}

/** Numbers of marks, each written four times, that grow as they are written, and are written anew each time. */
class Numbers {
  constructor() { this.data = new Float32Array(16384); this.length = 0; }

  add(...values) {
    const count = values.length, from = this.length;
    if (from + 4 * count > this.data.length) {
      const wider = new Float32Array(this.data.length * 2);
      wider.set(this.data);
      this.data = wider;
    }
    const data = this.data;
    for (let corner = 0, to = from; corner < 4; corner += 1) for (let i = 0; i < count; i += 1) data[to++] = values[i];
    this.length = from + 4 * count;
  }
}

/** A canvas over a MapLibre map. Between begin() and end() it is told what there is; what was before is gone then. */
export class Marks {
  constructor(map, origin) {
    this.map = map;
    [this.lat0, this.lon0] = origin;
    this.origin = mercator(...origin);
    this.ground = [0, 0, 0];
    this.dots = [];             // {id, x, y, reach} for whoever asks what is where
    this.rings = [];            // {id, x, y, major, minor, angle}
    this.numbers = Object.fromEntries(ORDER.map((name) => [name, new Numbers()]));
    this.paths = new WeakMap(); // trail -> its points as differences from the origin
    this.signs = new Map();     // name -> {cell, image, ratio}
    this.canvas = document.createElement("canvas");
    this.canvas.className = "marks";
    map.getCanvasContainer().append(this.canvas);
    this.gl = this.canvas.getContext("webgl2", { antialias: false, depth: false, stencil: false });
    if (!this.gl) throw new Error("WebGL 2");
    this.prepare();
    this.canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
    this.canvas.addEventListener("webglcontextrestored", () => { this.prepare(); this.draw(); });
    // With the ground in the same frame, when a hand drags it.
    map.on("render", () => { if (this.seen !== this.camera()) this.draw(); });
    map.on("resize", () => this.draw());
  }

  camera() {
    const { lng, lat } = this.map.getCenter(), canvas = this.map.getCanvas();
    return `${lng} ${lat} ${this.map.getZoom()} ${canvas.width} ${canvas.height}`;
  }

  prepare() {
    const gl = this.gl;
    this.parts = {};
    for (const [name, it] of Object.entries(PROGRAMS)) {
      const program = compile(gl, it), array = gl.createVertexArray(), buffer = gl.createBuffer(), stride = it.floats.reduce((a, b) => a + b);
      gl.bindVertexArray(array);
      gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
      it.floats.reduce((at, count, place) => {
        gl.enableVertexAttribArray(place);
        gl.vertexAttribPointer(place, count, gl.FLOAT, false, stride * 4, at * 4);
        return at + count;
      }, 0);
      const where = (word) => gl.getUniformLocation(program, word);
      this.parts[name] = { program, array, buffer, stride, place: where("place"), size: where("size"), ratio: where("ratio"), ground: where("ground") };
    }
    this.corners = gl.createBuffer();
    this.room = 0;
    this.isNew = true;
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, SHEET_PX, SHEET_PX, 0, gl.RGBA, gl.UNSIGNED_BYTE, null);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR);
    for (const sign of this.signs.values()) this.load(sign);
  }

  /** A sign by a name. image: ImageData, square, at most CELL_PX wide, `ratio` of its pixels one of the screen's. */
  addSign(name, image, ratio) {
    if (!this.signs.has(name) && this.signs.size === SIGNS) for (const old of [...this.signs.keys()].slice(SIGNS_KEPT)) this.signs.delete(old);
    const sign = { cell: this.signs.get(name)?.cell ?? this.signs.size, image, ratio };
    this.signs.set(name, sign);
    this.load(sign);
  }

  load({ cell, image }) {
    const columns = Math.floor(SHEET_PX / CELL_PX);
    this.gl.texSubImage2D(this.gl.TEXTURE_2D, 0, (cell % columns) * CELL_PX, Math.floor(cell / columns) * CELL_PX, this.gl.RGBA, this.gl.UNSIGNED_BYTE, image);
  }

  /** Two triangles for each of so many marks. */
  triangles(gl, count) {
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, this.corners);
    if (count <= this.room) return;
    this.room = Math.max(1024, 2 ** Math.ceil(Math.log2(count)));
    const all = new Uint32Array(this.room * 6);
    for (let i = 0; i < this.room; i += 1) all.set([4 * i, 4 * i + 1, 4 * i + 2, 4 * i + 2, 4 * i + 1, 4 * i + 3], 6 * i);
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, all, gl.STATIC_DRAW);
  }

  /** Screen pixels of a whole Web Mercator square. */
  scale() { return 512 * 2 ** this.map.getZoom(); }

  draw() {
    const gl = this.gl;
    if (gl.isContextLost()) return;
    const below = this.map.getCanvas(), ratio = devicePixelRatio, wide = below.clientWidth, high = below.clientHeight;
    if (this.canvas.width !== Math.round(wide * ratio) || this.canvas.height !== Math.round(high * ratio)) {
      [this.canvas.width, this.canvas.height] = [Math.round(wide * ratio), Math.round(high * ratio)];
      gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    }
    this.seen = this.camera();
    const at = this.map.project([this.lon0, this.lat0]);
    gl.clear(gl.COLOR_BUFFER_BIT);
    for (const name of ORDER) {
      const part = this.parts[name], { data, length } = this.numbers[name], count = length / part.stride / 4;
      if (this.isNew) {
        gl.bindBuffer(gl.ARRAY_BUFFER, part.buffer);
        gl.bufferData(gl.ARRAY_BUFFER, data.subarray(0, length), gl.DYNAMIC_DRAW);
      }
      if (!length) continue;
      gl.useProgram(part.program);
      gl.bindVertexArray(part.array);
      gl.uniform4f(part.place, at.x, at.y, this.scale(), 0);
      gl.uniform2f(part.size, wide, high);
      gl.uniform1f(part.ratio, ratio);
      if (part.ground) gl.uniform3f(part.ground, ...this.ground);
      this.triangles(gl, count);
      gl.drawElements(gl.TRIANGLES, 6 * count, gl.UNSIGNED_INT, 0);
    }
    this.isNew = false;
    gl.bindVertexArray(null);
  }

  begin() {
    const bounds = this.map.getBounds(), [a, b] = [bounds.getSouthWest(), bounds.getNorthEast()].map((p) => this.at([p.lat, p.lng]));
    const wide = (b[0] - a[0]) / 2, high = (a[1] - b[1]) / 2;
    this.view = [a[0] - wide, b[1] - high, b[0] + wide, a[1] + high];      // half a screen around it, for a hand that drags
    for (const numbers of Object.values(this.numbers)) numbers.length = 0;
    this.dots.length = this.rings.length = 0;
    this.px = this.scale();
  }

  end() {
    this.isNew = true;
    this.draw();
  }

  isNear(here) {
    const [x, y] = this.at(here), [west, north, east, south] = this.view;
    return x > west && x < east && y > north && y < south;
  }

  at([lat, lon]) {
    const [x, y] = mercator(lat, lon);
    return [x - this.origin[0], y - this.origin[1]];
  }

  path(trail) {
    let path = this.paths.get(trail);
    if (!path) this.paths.set(trail, path = Float64Array.from(trail.flatMap((p) => this.at(p))));
    return path;
  }

  /** The older part is fainter. colour: red, green, blue. */
  trail(trail, here, colour) {
    const path = this.path(trail), count = path.length / 2, least = LEAST_PX / this.px, line = this.numbers.line;
    const [ex, ey] = this.at(here);
    let [x, y] = [path[0], path[1]];
    for (let i = 1; i <= count; i += 1) {
      const [u, v] = i < count ? [path[2 * i], path[2 * i + 1]] : [ex, ey];
      if (i < count && Math.abs(u - x) < least && Math.abs(v - y) < least) continue;
      line.add(x, y, u, v, ...colour, 0.14 + 0.48 * (i / count) ** 1.5, TRAIL_PX);
      [x, y] = [u, v];
    }
  }

  /** A heading: from a place to where it would be. */
  tick(here, there, colour, opacity) { this.numbers.line.add(...this.at(here), ...this.at(there), ...colour, opacity, TICK_PX); }

  /** Semi-axes in metres, the major one's angle from east in radians. */
  ellipse(id, here, { major, minor, angle }, colour, opacity, isDashed, isHatched) {
    const [x, y] = this.at(here), unit = 1 / (PLANE * Math.cos(here[0] * Math.PI / 180));
    this.numbers.ellipse.add(x, y, major * unit, minor * unit, angle, ...colour, opacity, isDashed ? 1 : 0, isHatched ? 1 : 0);
    this.rings.push({ id, x, y, major: major * unit, minor: minor * unit, angle });
  }

  dot(id, here, colour, opacity, isFilled) {
    const [x, y] = this.at(here);
    this.numbers.dot.add(x, y, ...colour, opacity, isFilled ? 1 : 0);
    this.dots.push({ id, x, y, reach: 9 });
  }

  sign(id, here, name, opacity) {
    const [x, y] = this.at(here), { cell, image, ratio } = this.signs.get(name), columns = Math.floor(SHEET_PX / CELL_PX);
    this.numbers.sign.add(x, y, (cell % columns) * CELL_PX / SHEET_PX, Math.floor(cell / columns) * CELL_PX / SHEET_PX, image.width / SHEET_PX, image.width / ratio / 2, opacity);
    this.dots.push({ id, x, y, reach: image.width / ratio / 2 });
  }

  /** The id of the mark at a point of the screen, the nearest for its size; null where there is none. */
  dotAt(point) {
    const [x, y, px] = this.under(point);
    let best = null, least = 1;
    for (const dot of this.dots) {
      const away = Math.hypot(dot.x - x, dot.y - y) * px / dot.reach;
      if (away < least) [best, least] = [dot.id, away];
    }
    return best;
  }

  /** The id of the smallest ellipse around a point of the screen. */
  ringAt(point) {
    const [x, y, px] = this.under(point);
    let best = null, least = Infinity;
    for (const { id, x: cx, y: cy, major, minor, angle } of this.rings) {
      const east = x - cx, north = cy - y, u = east * Math.cos(angle) + north * Math.sin(angle), v = north * Math.cos(angle) - east * Math.sin(angle);
      if (major * px >= RADIUS_PX && Math.hypot(u / major, v / minor) < 1 && major * minor < least) [best, least] = [id, major * minor];
    }
    return best;
  }

  under(point) {
    const at = this.map.project([this.lon0, this.lat0]), px = this.scale();
    return [(point.x - at.x) / px, (point.y - at.y) / px, px];
  }
}
