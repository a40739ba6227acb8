// The builder's map: ways drawn by clicks, their points moved, cameras placed, moved and turned.

import { lonLat, feature } from "./ground.js";
import { apart, away, bearing, rounded } from "./builder_ways.js";
import { tellPerson } from "./desk.js";
import { t } from "./language.js";
import { drawEyes, openGround } from "./trainer_map.js";
import { minutes } from "./trainer_words.js";

const SNAP_PX = 14, AIM_PX = 64;

export class BuilderMap {
  constructor(container, built, { change, choose }) {
    Object.assign(this, { container, built, change, choose, opened: null, held: null });
  }

  async open() {
    this.opened = await openGround(this.container, this.built.opened.ground);
    const map = this.opened.map;
    map.on("click", (event) => this.clicked(event));
    map.on("mousemove", (event) => this.moved(event));
    map.on("mousedown", (event) => this.pressed(event));
    map.on("mouseup", () => this.released());
    map.doubleClickZoom.disable();
    map.on("zoomend", () => this.draw());
    this.draw();
  }

  close() { this.opened?.map.remove(); this.opened = null; }

  place(event) { return [event.lngLat.lat, event.lngLat.lng]; }

  /** So many metres as a finger's breadth is on this zoom. */
  within(event) {
    const map = this.opened.map, other = map.unproject([event.point.x + SNAP_PX, event.point.y]);
    return Math.max(6, apart(this.place(event), [other.lat, other.lng]));
  }

  metresOf(px) {
    const map = this.opened.map, a = map.unproject([0, 0]), b = map.unproject([px, 0]);
    return apart([a.lat, a.lng], [b.lat, b.lng]);
  }

  found(event, layers) {
    const box = [[event.point.x - 7, event.point.y - 7], [event.point.x + 7, event.point.y + 7]];
    return this.opened.map.queryRenderedFeatures(box, { layers })[0];
  }

  clicked(event) {
    const b = this.built, place = this.place(event), at = place.map((v) => rounded(v, 6));
    if (this.justMoved) { this.justMoved = false; return; }
    const entry = b.chosen ? b.data[b.chosen.list]?.[b.chosen.index] : null;
    if (b.mode === "way" && entry) { this.addPoint(entry, place, this.within(event)); return; }
    if (b.mode === "start" && entry) {
      const spot = b.ground.spot(place, this.within(event));
      b.mode = "way";
      this.change(() => { entry.at = spot; });
      return;
    }
    if (b.mode === "place" && entry) {
      b.mode = null;
      this.change(() => { if (b.chosen.list === "drones") entry.home = at; else entry.position = at; });
      return;
    }
    const hit = this.found(event, ["way-points", "ways", "sensors"]);
    if (!hit) return;
    if (hit.layer.id === "sensors") this.chooseEye(hit.properties.id);
    else this.choose("actors", hit.properties.actor);
  }

  chooseEye(id) {
    const camera = this.built.data.cameras.findIndex((c) => c.id === id);
    if (camera >= 0) { this.choose("cameras", camera); return; }
    const drone = this.built.data.drones.findIndex((d) => `${d.id}-eye` === id);
    if (drone >= 0) this.choose("drones", drone);
  }

  addPoint(actor, place, within) {
    const b = this.built, act = b.ground.actTo(actor, place, within);
    if (!act) { tellPerson(t("builder.wheels_need_a_way"), "warning"); return; }
    this.change(() => {
      const script = actor.script ??= [];
      if (script.length === 1 && script[0].do === "wait" && b.freshWait) script.length = 0;
      b.freshWait = false;
      const last = script.at(-1);
      // On along the same trail the same way: one act with a farther end.
      if (act.do === "follow_trail" && last?.do === "follow_trail" && last.trail === act.trail && !last.gait && this.goesOn(actor, act)) last.to_m = act.to_m;
      else script.push(act);
    });
  }

  goesOn(actor, act) {
    const stops = this.built.ground.way(actor).stops, [from, to] = [stops.at(-2), stops.at(-1)];
    const a = this.built.ground.nearest(from.place, Infinity, act.trail)?.s ?? 0, b = this.built.ground.nearest(to.place, Infinity, act.trail)?.s ?? 0;
    return (b - a) * (act.to_m - b) > 0;
  }

  pressed(event) {
    const b = this.built;
    if (b.mode) return;
    const hit = this.found(event, ["way-points", "sensors", "aims"]);
    if (!hit) return;
    const p = hit.properties;
    if (hit.layer.id === "way-points" && b.chosen?.list === "actors" && p.actor === b.chosen.index) this.held = { kind: "way", index: p.act };
    else if (b.chosen && ["sensors", "aims"].includes(hit.layer.id) && p.id === this.eyeId()) this.held = { kind: hit.layer.id === "aims" ? "aim" : "eye" };
    if (this.held) { event.preventDefault(); this.before = JSON.stringify(b.data); }
  }

  eyeId() {
    const c = this.built.chosen, entry = c && this.built.data[c.list]?.[c.index];
    return c?.list === "cameras" ? entry?.id : c?.list === "drones" ? `${entry?.id}-eye` : null;
  }

  moved(event) {
    const b = this.built;
    if (!this.held) {
      this.opened.map.getCanvas().style.cursor = b.mode ? "crosshair" : this.found(event, ["way-points", "ways", "sensors", "aims"]) ? "pointer" : "";
      return;
    }
    const entry = b.data[b.chosen.list][b.chosen.index], place = this.place(event);
    this.hasMoved = true;
    if (this.held.kind === "way") b.ground.move(entry, this.held.index, place, this.within(event));
    else if (this.held.kind === "aim") entry.yaw_deg = rounded(bearing(this.eyePlace(entry), place), 1);
    else if (b.chosen.list === "drones") entry.home = place.map((v) => rounded(v, 6));
    else entry.position = place.map((v) => rounded(v, 6));
    this.draw();
  }

  released() {
    if (!this.held) return;
    this.held = null;
    if (!this.hasMoved) return;
    this.hasMoved = false;
    this.justMoved = true;
    const now = JSON.stringify(this.built.data);
    this.built.data = JSON.parse(this.before);      // so that it can be taken back
    this.change(() => { this.built.data = JSON.parse(now); });
  }

  eyePlace(camera) { return camera.position ?? this.built.eyes.find((e) => e.id === camera.id)?.position ?? null; }

  draw() {
    if (!this.opened) return;
    const b = this.built, put = this.opened.put, chosenActor = b.chosen?.list === "actors" ? b.chosen.index : -1;
    const ways = [], points = [], names = [];
    b.data.actors.forEach((actor, i) => {
      const { path, stops } = b.ground.way(actor), chosen = i === chosenActor, common = { actor: i, chosen, role: actor.role };
      if (path.length > 1) ways.push(feature("LineString", path.map(lonLat), common));
      stops.forEach((stop, n) => {
        if (!stop.place || (!chosen && n > 0) || stop.act?.do === "wait") return;
        points.push(feature("Point", lonLat(stop.place), { ...common, act: stop.index, first: n === 0 }));
        names.push(feature("Point", lonLat(stop.place), { chosen, label: n === 0 ? `${actor.name}${(actor.count ?? 1) > 1 ? ` ×${actor.count}` : ""} ${minutes(stop.at_s)}` : minutes(stop.at_s) }));
      });
    });
    put("ways", ways);
    put("way-points", points);
    put("way-names", names);
    this.drawCameras(put);
  }

  drawCameras(put) {
    const b = this.built, aims = [];
    const eyes = [...b.data.cameras.map((c) => ({ c, id: c.id })), ...b.data.drones.map((d) => ({ c: d, id: `${d.id}-eye` }))].map(({ c, id }) => {
      const known = b.eyes.find((e) => e.id === id), position = c.home ?? c.position ?? known?.position;
      if (!position) return null;
      const yaw = c.yaw_deg ?? known?.yaw_deg;
      const isSame = known && apart(known.position, position) < 0.5 && Math.abs(known.yaw_deg - (yaw ?? 0)) < 0.05;
      if (id === this.eyeId() && !c.home && yaw !== undefined) {
        const end = away(position, yaw, this.metresOf(AIM_PX));
        aims.push(feature("LineString", [lonLat(position), lonLat(end)], { id }));
      }
      // While it is moved the old footprint would lie; the station draws the new one when it has judged.
      return { id, position, yaw_deg: yaw, footprint: isSame || c.home ? known?.footprint ?? [] : [] };
    }).filter(Boolean);
    drawEyes(put, eyes);
    put("aims", aims);
  }
}
