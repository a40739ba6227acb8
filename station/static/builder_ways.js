// Ways of actors on the map: what a script says in places and times, and what a click on the map says as a script.

const EARTH_M = 111_320;
const TWO_WHEELS = ["motorcycle", "bicycle"];
export const WHEELS = [...TWO_WHEELS, "car", "pickup", "truck", "bus"];
const ROUND = { place: 6, metres: 1 };

export const rounded = (value, digits) => Number(value.toFixed(digits));

export function apart([latA, lonA], [latB, lonB]) {
  return Math.hypot((latA - latB) * EARTH_M, (lonA - lonB) * EARTH_M * Math.cos((latA + latB) / 2 * Math.PI / 180));
}

export function bearing([latA, lonA], [latB, lonB]) {
  const deg = Math.atan2((lonB - lonA) * Math.cos(latA * Math.PI / 180), latB - latA) * 180 / Math.PI;
  return (deg + 360) % 360;
}

/** The place `metres` from another in a direction, degrees clockwise from north. */
export function away([lat, lon], deg, metres) {
  const r = deg * Math.PI / 180;
  return [lat + Math.cos(r) * metres / EARTH_M, lon + Math.sin(r) * metres / (EARTH_M * Math.cos(lat * Math.PI / 180))];
}

export class Ground {
  constructor(opened) {
    this.lines = new Map(opened.ground.lines.map((line) => [line.name, line]));
    this.pace = opened.pace_mps;
    this.offTrail = opened.off_trail;
    this.cruise = opened.cruise_mps;
  }

  along(name, s) {
    const points = this.lines.get(name)?.points;
    if (!points) return null;
    for (let i = 1; i < points.length; i += 1) {
      if (points[i][2] < s) continue;
      const [a, b] = [points[i - 1], points[i]], f = Math.max(0, (s - a[2]) / Math.max(b[2] - a[2], 1e-9));
      return [a[0] + (b[0] - a[0]) * f, a[1] + (b[1] - a[1]) * f];
    }
    return points.at(-1).slice(0, 2);
  }

  /** The nearest line within `within` metres: {name, s, away}; null for open ground. only: one of this name. */
  nearest(place, within, only = null) {
    const k = Math.cos(place[0] * Math.PI / 180);
    let best = null;
    for (const [name, line] of this.lines) {
      if (only && name !== only) continue;
      for (let i = 1; i < line.points.length; i += 1) {
        const [a, b] = [line.points[i - 1], line.points[i]];
        const [x, y] = [(b[1] - a[1]) * k, b[0] - a[0]], [px, py] = [(place[1] - a[1]) * k, place[0] - a[0]];
        const f = Math.min(1, Math.max(0, (px * x + py * y) / Math.max(x * x + y * y, 1e-18)));
        const far = Math.hypot(px - f * x, py - f * y) * EARTH_M;
        if (far <= within && (!best || far < best.away)) best = { name, s: rounded(a[2] + f * (b[2] - a[2]), ROUND.metres), away: far };
      }
    }
    return best;
  }

  place(spot) { return spot?.position ?? (spot?.on ? this.along(spot.on, spot.at_m ?? 0) : null); }

  /** A spot for a place: on a line where one is near. */
  spot(place, within) {
    const on = this.nearest(place, within);
    return on ? { on: on.name, at_m: on.s } : { position: place.map((v) => rounded(v, ROUND.place)) };
  }

  slice(name, from, to) {
    const points = this.lines.get(name)?.points ?? [];
    const inside = points.filter((p) => p[2] > Math.min(from, to) && p[2] < Math.max(from, to)).map((p) => p.slice(0, 2));
    if (from > to) inside.reverse();
    return [this.along(name, from), ...inside, this.along(name, to)].filter(Boolean);
  }

  /** {path: places, stops: [{place, at_s, act, index}]}; times as whoever walks at a usual pace would have them. */
  way(actor) {
    const start = this.place(actor.at);
    if (!start) return { path: [], stops: [] };
    const path = [start], stops = [{ place: start, at_s: actor.enters_s ?? 0, act: null, index: -1 }];
    let here = start, on = actor.at.on || null, s = actor.at.at_m ?? 0, clock = actor.enters_s ?? 0;
    const gait = (act) => this.pace[act.gait ?? "walk"] ?? 1.4;
    const follow = (line, to, speed) => {
      if (!this.lines.has(line)) return;
      const from = on === line ? s : this.nearest(here, Infinity, line)?.s ?? 0;
      clock += Math.abs(to - from) / speed;
      path.push(...this.slice(line, from, to));
      [on, s] = [line, to];
      here = path.at(-1);
    };
    const go = (act) => {
      if (act.do === "follow_trail") follow(act.trail, act.to_m, gait(act));
      else if (act.do === "drive") follow(act.road, act.to_m, act.speed_kmh / 3.6);
      else if (act.do === "patrol") { follow(act.trail, act.to_m, gait(act)); follow(act.trail, act.from_m, gait(act)); }
      else if (act.do === "go_to") {
        const to = this.place(act.to);
        if (!to) return;
        clock += apart(here, to) / (actor.kind === "person" ? gait(act) * this.offTrail : this.cruise[actor.kind] ?? 1);
        path.push(to);
        [here, on, s] = [to, act.to.on || null, act.to.at_m ?? 0];
      } else if (act.do === "wait") clock += (act.seconds ?? 0) + (act.spread_s ?? 0) / 2;
      else if (["work", "graze", "herd", "fly"].includes(act.do)) clock += act.seconds ?? 0;
      else if (act.script) act.script.forEach(go);
    };
    (actor.script ?? []).forEach((act, index) => { go(act); stops.push({ place: here, at_s: clock, act, index }); });
    return { path, stops };
  }

  /** The act that brings an actor to a place; null with a reason where it cannot get there. */
  actTo(actor, place, within) {
    const on = this.nearest(place, within);
    const last = this.way(actor).stops.at(-1).place;
    if (WHEELS.includes(actor.kind)) {
      if (!on) return null;
      return { do: "drive", road: on.name, to_m: on.s, speed_kmh: TWO_WHEELS.includes(actor.kind) ? 25 : 30 };
    }
    const to = on ? { on: on.name, at_m: on.s } : { position: place.map((v) => rounded(v, ROUND.place)) };
    if (actor.kind !== "person") return { do: "go_to", to: { position: place.map((v) => rounded(v, ROUND.place)) } };
    if (on && this.nearest(last, Math.max(within, 8), on.name)) return { do: "follow_trail", trail: on.name, to_m: on.s };
    return { do: "go_to", to };
  }

  /** Move the end of an act (or, with index -1, the start) to a place. */
  move(actor, index, place, within) {
    if (index < 0) { actor.at = WHEELS.includes(actor.kind) && !this.nearest(place, within) ? actor.at : this.spot(place, within); return; }
    const act = actor.script[index];
    if (act.do === "go_to") act.to = this.spot(place, within);
    const line = act.trail ?? act.road;
    if (line && act.to_m !== undefined) act.to_m = this.nearest(place, Infinity, line)?.s ?? act.to_m;
  }
}
