// The ground as a picture, where there is no graphics card: MapLibre paints it on a canvas that nobody sees, the picture is fetched when
// it is done without the page waiting for it, and is moved and stretched with the camera until the next one is there. It is painted
// anew when the camera stands still, or has gone too far from the last one, and never because a contact has moved.
//
// Painted by the processor, the ground of one screen costs half a second of it. A WebGL canvas that is seen has the page wait for that;
// here pixels go into a buffer of the driver's (WebGL 2, PIXEL_PACK_BUFFER) and are taken when its fence is passed.

import { sizeOf } from "./ground.js";
import { afterPress, isAnswering } from "./presses.js";

const SETTLED_MS = 90;          // the camera has stood still for so long: a sharp picture is worth its price
const REST = 1, LONGEST_REST_MS = 600;  // where the camera has not moved, the next picture begins after so many times what the last one took
const BARE = 0.12, STRETCH = 0.8;       // while the camera moves: so much of the screen without a picture, or zoom levels from it, is too much
const TOO_FAR = 2.5;            // zoom levels from it, letters are as tall as hills: no picture is better
const TILES_MS = 400;           // so long after it has come to rest the ground's tiles are waited for
const LOOK_EVERY_MS = 8, BUSY_MS = 30;
const SOFTWARE = /swiftshader|llvmpipe|softpipe|software|basic render/i;

/** Whether a WebGL context draws on the processor. */
export function isSoftware(gl) {
  const names = gl.getExtension("WEBGL_debug_renderer_info");
  return SOFTWARE.test(gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER) ?? "");
}

export class Sheet {
  /** Takes over how the map is painted, as long as the map lives. */
  constructor(map) {
    this.map = map;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "sheet";
    this.canvas.setAttribute("aria-hidden", "true");
    this.brush = this.canvas.getContext("2d", { alpha: false, willReadFrequently: true });
    this.shown = null;          // the camera of the picture that is seen
    this.coming = null;         // the one that is painted: {camera, fence, wide, high, beganMs}
    this.restUntil = this.movedMs = 0;
    this.due = null;
    this.isHeld = false;        // a frame of the map waits for the answer to a press
    this.holdFrames();
    this.takeOver();
    map.getCanvas().classList.add("behind");
    map.getCanvas().after(this.canvas);
    map.on("render", () => this.follow());
    map.on("webglcontextrestored", () => this.takeOver());
    map.triggerRepaint();
  }

  /** A frame that answers a press is none of the map's: moving its picture has the whole screen composed again. */
  holdFrames() {
    const map = this.map, frame = map._render.bind(map), next = () => { this.isHeld = false; map.triggerRepaint(); };
    map._render = (at) => {
      if (!isAnswering()) { frame(at); return; }
      if (!this.isHeld) afterPress(next);
      this.isHeld = true;
    };
  }

  takeOver() {
    const painter = this.map.painter, paint = painter.render.bind(painter);
    this.gl = painter.context.gl;
    this.coming = this.buffer = this.bytes = null;
    painter.render = (style, transform, options) => {
      const at = performance.now();
      if (options.moving) this.movedMs = at;
      const wait = this.waitMs(at, options.moving);
      if (wait > 0) { this.due ??= setTimeout(() => { this.due = null; this.map.triggerRepaint(); }, wait); return; }
      clearTimeout(this.due);
      this.due = null;
      paint(style, transform, options);
      this.fetch(at);
    };
  }

  /** How long until the ground may be painted; 0: now. */
  waitMs(at, isMoving) {
    if (this.coming) return BUSY_MS;
    if (at < this.restUntil && !this.isElsewhere()) return this.restUntil - at;
    if (!this.shown) return 0;
    const still = isMoving ? 0 : at - this.movedMs, isBare = this.isBare();
    if (still < SETTLED_MS && !isBare) return Math.max(BUSY_MS, SETTLED_MS - still);
    return still >= SETTLED_MS && still < TILES_MS && !this.map.areTilesLoaded() ? BUSY_MS : 0;     // else it is painted twice
  }

  /** Ask for the pixels of what was painted; they are there when the fence is passed. */
  fetch(beganMs) {
    const gl = this.gl, [wide, high] = [gl.drawingBufferWidth, gl.drawingBufferHeight], bytes = wide * high * 4, centre = this.map.getCenter();
    gl.bindFramebuffer(gl.FRAMEBUFFER, null);
    this.buffer ??= gl.createBuffer();
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, this.buffer);
    if (this.bytes !== bytes) gl.bufferData(gl.PIXEL_PACK_BUFFER, this.bytes = bytes, gl.STREAM_READ);
    gl.readPixels(0, 0, wide, high, gl.RGBA, gl.UNSIGNED_BYTE, 0);
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    const camera = { centre, at: this.map.project(centre), zoom: this.map.getZoom(), ...sizeOf(this.map) };
    this.coming = { camera, fence: gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0), wide, high, beganMs };
    this.canvas.dataset.painting = "yes";         // for whoever steers the page from outside
    gl.flush();
    setTimeout(() => this.look(), LOOK_EVERY_MS);
  }

  look() {
    const gl = this.gl, it = this.coming;
    if (!it) return;
    if (isAnswering() || gl.getSyncParameter(it.fence, gl.SYNC_STATUS) !== gl.SIGNALED) { setTimeout(() => this.look(), LOOK_EVERY_MS); return; }
    gl.deleteSync(it.fence);
    this.coming = null;
    this.restUntil = performance.now() + Math.min(LONGEST_REST_MS, REST * (performance.now() - it.beganMs));
    this.show(it);
    this.canvas.dataset.painting = "no";
  }

  show({ camera, wide, high }) {
    const gl = this.gl;
    if (this.image?.width !== wide || this.image.height !== high) {
      [this.canvas.width, this.canvas.height] = [wide, high];
      this.image = new ImageData(wide, high);
      this.pixels = new Uint32Array(wide * high);
    }
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, this.buffer);
    gl.getBufferSubData(gl.PIXEL_PACK_BUFFER, 0, this.pixels);
    gl.bindBuffer(gl.PIXEL_PACK_BUFFER, null);
    const to = new Uint32Array(this.image.data.buffer);
    for (let y = 0; y < high; y += 1) to.set(this.pixels.subarray((high - 1 - y) * wide, (high - y) * wide), y * wide);    // a driver's first row is the lowest
    this.brush.putImageData(this.image, 0, 0);
    this.shown = camera;
    [this.canvas.style.width, this.canvas.style.height] = [`${camera.wide}px`, `${camera.high}px`];
    this.follow();
  }

  /** Where the picture lies on the screen now: scale, left, top. */
  place() {
    const { centre, at, zoom } = this.shown, now = this.map.project(centre), scale = 2 ** (this.map.getZoom() - zoom);
    return [scale, now.x - at.x * scale, now.y - at.y * scale];
  }

  /** The camera has moved since what is seen was painted. */
  isElsewhere() {
    if (!this.shown) return false;
    const [scale, left, top] = this.place();
    return Math.abs(scale - 1) > 1e-3 || Math.abs(left) > 0.5 || Math.abs(top) > 0.5;
  }

  isBare() {
    const [scale, left, top] = this.place(), { wide, high } = this.shown, screen = sizeOf(this.map);
    const across = Math.min(left + wide * scale, screen.wide) - Math.max(left, 0), down = Math.min(top + high * scale, screen.high) - Math.max(top, 0);
    return Math.abs(Math.log2(scale)) > STRETCH || Math.max(across, 0) * Math.max(down, 0) < (1 - BARE) * screen.wide * screen.high;
  }

  follow() {
    if (!this.shown) return;
    const [scale, left, top] = this.place();
    this.canvas.style.visibility = Math.abs(Math.log2(scale)) > TOO_FAR ? "hidden" : "";
    this.canvas.style.transform = `matrix(${scale}, 0, 0, ${scale}, ${left}, ${top})`;
  }
}
