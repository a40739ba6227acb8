"""What the screen's benchmark puts into the page: it listens, and changes nothing.

An update counts as painted in the frame after the one in which the map has drawn the contacts as they were told. The page's
time and the mind's are one machine's.
"""

PROBE = """(() => {
  const seen = { arrived: [], page: [], told: [], frames: [], keys: [], tasks: [], cards: new Map() };
  seen.cardAt = seen.mapAt = seen.pictureAt = null;
  const wall = () => performance.timeOrigin + performance.now();
  const Real = window.WebSocket;
  window.WebSocket = class extends Real {
    constructor(...all) {
      super(...all);
      this.addEventListener("message", (event) => {
        const found = /"type":"(delta|picture)".*?"turn":(\\d+),"at_ns":(\\d+)/.exec(event.data.slice(0, 120));
        if (found?.[1] === "picture" && Number(found[2]) >= 0) seen.pictureAt ??= wall();
        if (found?.[1] === "delta") seen.arrived.push({ turn: Number(found[2]), at: wall(), told: Number(found[3]) / 1e6 });
      });
    }
  };
  const watch = (what, take) => new PerformanceObserver((list) => list.getEntries().forEach(take)).observe(what);
  watch({ type: "longtask" }, (e) => seen.tasks.push(e.duration));
  watch({ type: "event", durationThreshold: 16 }, (e) => { if (e.name === "keydown") seen.keys.push(e); });
  /** The page says which turn a frame of the map shows. */
  const painted = (turn) => requestAnimationFrame(() => {
    const now = wall();
    if (turn >= 0) seen.mapAt ??= now;        // before, the mind had not said anything
    while (seen.arrived.length && seen.arrived[0].turn <= turn) {
      const one = seen.arrived.shift();
      seen.page.push(now - one.at);
      seen.told.push(now - one.told);
    }
  });
  const frame = () => seen.frames.push(performance.now());
  const look = () => {
    if (document.querySelector(".card")) seen.cardAt ??= wall();
    for (const [id, told] of seen.cards) {
      if (!document.querySelector(`.card[data-id="${id}"]`)) continue;
      seen.cards.delete(id);
      requestAnimationFrame(() => told(wall()));
    }
    requestAnimationFrame(look);
  };
  const start = async () => {
    if (!document.querySelector(".marks")) { setTimeout(start, 20); return; }
    const { theMap } = await import("/static/map.js"), { on } = await import("/static/state.js");
    theMap().on("render", frame);
    on("drawn", painted);
  };
  requestAnimationFrame(look);
  start();
  window.probe = {
    isReady: () => seen.mapAt !== null && seen.cardAt !== null,
    opened: () => ({ first: performance.getEntriesByName("first-contentful-paint")[0]?.startTime ?? 1e9,
      picture: seen.pictureAt - performance.timeOrigin, alarms: seen.cardAt - performance.timeOrigin,
      map: seen.mapAt - performance.timeOrigin }),
    reset: () => { seen.tasks.length = 0; window.probe.clear(); },
    clear: () => { seen.page.length = seen.told.length = seen.frames.length = seen.keys.length = 0; },
    drawn: () => ({ page: [...seen.page], told: [...seen.told] }),
    keys: () => seen.keys.map((e) => e.duration),
    presses: () => seen.keys.map((e) => ({ whole: e.duration, wait: e.processingStart - e.startTime,
      work: e.processingEnd - e.processingStart, frame: e.startTime + e.duration - e.processingEnd })),
    tasks: () => [...seen.tasks],
    frames: () => {
      const all = seen.frames, span = all.length ? (performance.now() - all[0]) / 1000 : 1;
      const within = (k) => all.filter((t) => Math.floor((t - all[0]) / 1000) === k).length;
      const seconds = Array.from({ length: Math.floor(span) }, (_, k) => within(k));
      return { rate: all.length / span, worst: Math.min(...seconds), count: all.length };
    },
    /** When the card is there; after half a minute it is as if it came then. */
    card: (id) => new Promise((told) => { seen.cards.set(id, told); setTimeout(() => told(wall()), 30_000); }),
  };
})();"""

RENDERER = """() => {
  const gl = document.createElement("canvas").getContext("webgl2"), names = gl.getExtension("WEBGL_debug_renderer_info");
  return gl.getParameter(names ? names.UNMASKED_RENDERER_WEBGL : gl.RENDERER);
}"""

MARKERS = """(async () => {
  const { Marker } = await import("/static/vendor/maplibre/maplibre-gl.mjs");
  const { theMap } = await import("/static/map.js");
  const { on, state } = await import("/static/state.js");
  const map = theMap(), markers = new Map();
  document.querySelector(".marks").remove();
  const draw = () => {
    for (const c of state.contacts.values()) {
      const at = [c.position[1], c.position[0]];
      if (markers.has(c.id)) { markers.get(c.id).setLngLat(at); continue; }
      const element = document.createElement("div");
      element.style.cssText = "width:10px;height:10px;border-radius:50%;background:#b7c6d4;border:2px solid #0b0f14";
      markers.set(c.id, new Marker({ element }).setLngLat(at).addTo(map));
    }
  };
  on("picture", draw);
  draw();
})()"""
