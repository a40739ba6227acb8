// The line on top: realm, sector, nodes, feed, clock, sound, who. And the banner when the feed is gone or the mind silent.

import { ask } from "./api.js";
import { arrange, glyph, make, refocus } from "./dom.js";
import { ageText, clockText, dateText, utcText, zoneText } from "./format.js";
import { showKeys } from "./keys.js";
import { number, onLanguage, otherLanguage, t } from "./language.js";
import { nightSwitch } from "./look.js";
import { nodeProblems } from "./node_words.js";
import { presetText } from "./orders.js";
import { soundState, toggleSound } from "./sound.js";
import { now, on, onCalmly, select, state } from "./state.js";

const LATE_MS = 3000;
const WARNING_MS = 7000;
const CLOCK_WRONG_MS = 15_000;  // of this computer against the station; times on the screen are the station's
const STARTING_S = 120;         // a mind that reads a long night again may take so long
const BACKLOG = 100;            // messages that wait, at a node or here, and are worth saying: ten seconds of a busy camera
let line = null, banner = null, parts = {};
const buttons = new Map();      // node -> {button, words, opens: what a press does, or null}

export function startStatus(lineElement, bannerElement) {
  line = lineElement;
  banner = bannerElement;
  onLanguage(build);
  on("feed", update);
  onCalmly("picture", update, 500);
  setInterval(update, 1000);
  build();
}

function build() {
  parts = {
    nodes: make("div", { class: "nodes" }), feed: make("span", { class: "feed" }), clock: make("time", { class: "clock" }),
    sound: make("button", { class: "icon", type: "button", onclick: toggleSound }), rate: make("span", { class: "rate" }),
  };
  const training = state.realm === "training";
  line.replaceChildren(
    make("div", { class: "brand" }, make("img", { src: "/static/mark.svg", alt: "", width: 22, height: 22 }), "Trailwatch"),
    make("span", { class: `realm ${state.realm}` }, training ? "TRAINING / HUẤN LUYỆN" : t("realm.live")),
    make("div", { class: "sector" }, make("b", {}, state.geography.name)),
    parts.nodes,
    parts.rate, parts.feed, parts.clock, parts.sound,
    make("button", { class: "icon text", type: "button", title: t("action.language"), onclick: otherLanguage }, t("language.other")),
    nightSwitch(),
    link("replay", "/replay", "rewind", "replay.open", "keys.replay"),
    link("handover", `/handover?lang=${document.documentElement.lang}`, "sheet", "handover.title", "keys.handover"),
    location.pathname === "/pilot" ? link("map-link", "/", "map", "desk.map", "desk.to_map") : state.me.flies ? link("pilot-link", "/pilot", "drone", "pilot.title", "keys.pilot") : "",
    ["operator", "pilot", "trainer", "supervisor", "administrator"].includes(state.me.role) ? link("desk-link", "/watchlist", "list", "watchlist.title", "keys.watchlist") : "",
    ["administrator", "supervisor", "auditor"].includes(state.me.role) ? link("desk-link", "/admin", "gear", "admin.title", "admin.title") : "",
    make("button", { class: "icon text keys-switch", type: "button", title: t("keys.title"), "aria-label": t("keys.title"), onclick: showKeys }, "?"),
    make("div", { class: "person" }, make("span", { title: t(`role.${state.me.role}`) }, state.me.name),
      make("button", { class: "quiet", type: "button", onclick: logOut }, t("action.log_out"))));
  update();
}

/** To another page: a sign with its word, and the sign alone where the line is short, so that nodes keep their names. */
function link(name, href, sign, text, title) {
  return make("a", { class: `icon text page-link ${name}`, href, title: t(title), "aria-label": t(text) }, glyph(sign), make("span", {}, t(text)));
}

async function logOut() {
  try { await ask("/api/logout", {}); } catch { /* the login page is right in either case */ }
  location.assign("/login");
}

function update() {
  if (!line || !parts.clock) return;
  const at = now();
  parts.clock.replaceChildren(make("b", {}, clockText(at)), make("span", {}, `${dateText(at)} ${zoneText()}`));
  parts.clock.title = utcText(at);
  const wrongMs = state.isReplay ? 0 : -state.feed.offsetMs, isWrong = Math.abs(wrongMs) > CLOCK_WRONG_MS;
  parts.clock.classList.toggle("off", isWrong);
  if (isWrong) {
    const words = t(wrongMs > 0 ? "clock.ahead" : "clock.behind", { age: ageText(Math.abs(wrongMs) / 1000) });
    parts.clock.lastChild.textContent = words;
    parts.clock.title = `${words}. ${t("clock.advice")}`;
  }
  const sound = soundState();
  if (parts.soundShown !== sound) {
    parts.soundShown = sound;
    parts.sound.replaceChildren(glyph(sound === "on" ? "sound" : "silent"), make("span", {}, t(`sound.${sound}`)));
    parts.sound.className = `icon sound ${sound}`;
    parts.sound.title = t(`sound.${sound}_hint`);
  }
  rate();
  feed(at);
  nodes(at);          // last: they have the room that the others leave
}

/** How many alarms a person is asked to look at, against what a person can bear (EEMUA 191). */
function rate() {
  const r = state.counts?.alarms;
  parts.rate.hidden = !r;
  if (!r) return;
  parts.rate.textContent = t(r.flood ? "rate.flood" : "rate.now", { n: r.per_10_min });
  parts.rate.className = `rate ${r.flood ? "flood" : r.average_10_min > r.target_10_min ? "high" : "good"}`;
  parts.rate.title = [t("rate.title", { n: r.per_10_min, average: r.average_10_min, target: r.target_10_min, most: r.most_10_min, shift: r.per_shift }),
    state.counts.screens === 0 ? t("rate.unwatched") : ""].filter(Boolean).join("\n");
}

function nodes(at) {
  const all = [...state.nodes.values()].map((node) => health(node, at));
  // Those that need somebody first: a line too short for all of them must not hide these.
  all.sort((a, b) => a.rank - b.rank || a.node.node.localeCompare(b.node.node));
  const width = parts.nodes.clientWidth;
  for (const name of buttons.keys()) if (!state.nodes.has(name)) buttons.delete(name);
  for (const h of all) say(h);          // in place: a button that is pressed or focused stays the same one
  // How long the texts are decides how many fit.
  const key = JSON.stringify([width, state.hasPicture, state.replay?.empty, all.map((h) => [h.node.node, h.how, h.text.length])]);
  if (parts.key === key) return;
  parts.key = key;
  if (!all.length) {
    parts.nodes.replaceChildren(make("span", { class: "more" }, t(!state.hasPicture ? "node.waiting" : !state.isReplay ? "node.none" : state.replay?.empty ? "replay.empty" : "replay.no_node")));
    return;
  }
  const focused = parts.nodes.contains(document.activeElement) ? document.activeElement : null;
  for (let shown = all.length; shown >= 0; shown -= 1) {
    const left = all.slice(shown);
    const more = left.length ? [make("span", { class: "more", title: left.map((h) => h.title).join("\n") }, t("node.more", { n: left.length, silent: left.filter((h) => h.node.silent).length }))] : [];
    arrange(parts.nodes, [...all.slice(0, shown).map((h) => buttons.get(h.node.node).button), ...more]);
    if (parts.nodes.scrollWidth <= width) break;
    if (shown === 0 && all[0].rank <= RANK.late) arrange(parts.nodes, [buttons.get(all[0].node.node).button]);       // squeezed, but who needs somebody is there
  }
  refocus(parts.nodes, focused);
}

function say({ node, sensor, how, text, title }) {
  if (!buttons.has(node.node)) buttons.set(node.node, nodeButton(node.node));
  const kept = buttons.get(node.node), { button, words } = kept;
  kept.opens = sensor ? () => select("sensor", sensor.id) : node.kind === "fleet" && state.drones.size ? () => select("drone", state.drones.keys().next().value) : null;
  const looks = `node ${RANK[how] === 1 ? "blind" : how}`;
  if (button.className !== looks) button.className = looks;
  if (button.title !== title) button.title = title;
  if (words.textContent !== text) words.textContent = text;
  words.hidden = !text;
  button.disabled = !kept.opens;
}

function nodeButton(name) {
  const words = make("em", {});
  const button = make("button", { type: "button", "data-node": name, onclick: () => buttons.get(name).opens?.() }, make("i", { "aria-hidden": "true" }), make("span", {}, name), words);
  return { button, words, opens: null };
}

const RANK = { silent: 0, blind: 1, covered: 1, dark: 1, defocused: 1, frozen: 1, moved: 1, late: 2, calibrating: 3, good: 4 };

/** How a node is, in a word: silent, late, blind, calibrating, or good and then at what rate. */
function health(node, at) {
  const age = (at - node.last_heard_ns / 1e6) / 1000;
  const sensor = [...state.sensors.values()].find((s) => s.node === node.node);
  const how = node.silent ? "silent" : age >= LATE_MS / 1000 ? "late" : sensor && sensor.state !== "seeing" ? sensor.state : "good";
  const waiting = node.health?.outbox_depth ?? 0;
  const text = how === "silent" || how === "late" ? ageText(age) : how === "calibrating" && node.health?.turning_to ? presetText(node.health) : how !== "good" ? t(`sensor.${how}`)
    : waiting > BACKLOG ? t("node.backlog", { n: waiting }) : node.health && sensor ? t("node.rate", { rate: number(node.health.frames_per_s, 0) }) : "";
  const heard = how === "silent" || how === "late" ? [t("node.title", { node: node.node, age: ageText(age) })] : [node.node];
  const title = [...heard, ...nodeProblems(node.health)].join("\n");
  return { node, sensor, how, text, title, rank: RANK[how] };
}

function feed(at) {
  const f = state.feed;
  const quietMs = performance.now() - f.heardMs;
  const lost = !f.open || quietMs > LATE_MS;
  const silentS = f.mindSilentSinceNs === null ? null : (at - f.mindSilentSinceNs / 1e6) / 1000;
  const oldNews = state.counts?.old_news ?? 0, n = number(oldNews, 0);
  const how = lost ? "lost" : silentS !== null ? "late" : oldNews > BACKLOG ? "old" : "good";
  parts.feed.className = `feed ${how}`;
  parts.feed.textContent = lost ? t("feed.lost_short", { age: ageText(quietMs / 1000) }) : how === "old" ? t("feed.old_news", { n })
    : f.p50 === null ? t("feed.live") : t("feed.live_latency", { seconds: number(f.p50 / 1000, 1) });
  parts.feed.title = [how === "old" ? t("feed.old_news_title", { n }) : "", f.p99 === null ? "" : t("feed.latency", { p50: number(f.p50, 0), p99: number(f.p99, 0) })].filter(Boolean).join("\n");
  const text = lost && f.ended ? t("feed.session_ended", { age: ageText(quietMs / 1000) }) : lost && state.hasPicture ? t("feed.lost", { age: ageText(quietMs / 1000), since: (at - quietMs) * 1e6 })
    : lost ? t("feed.connecting") : silentS === null ? ""
      : t(state.hasPicture || silentS > STARTING_S ? "feed.mind_silent" : "feed.mind_starting", { age: ageText(silentS) });
  if (banner.textContent !== text) banner.textContent = text;
  banner.hidden = text === "";
  document.body.classList.toggle("stale", lost);
}

let warned = null;

/** Something was refused: said in words, for a while, and to screen readers. */
export function warn(text) { show(text, "warning"); }

export function announce(text) { show(text, "done"); }

function show(text, kind) {
  const said = document.getElementById("said");
  said.className = `said ${kind}`;
  said.textContent = text;
  clearTimeout(warned);
  warned = setTimeout(() => { said.textContent = ""; said.className = "said"; }, kind === "warning" ? WARNING_MS : 2500);
}
