// What was run, and its debrief: the score, the moments that mattered, and truth beside screen on one line of time.

import { askLoggedIn, AT_WORK_MS } from "./api.js";
import { empty, press, tellPerson } from "./desk.js";
import { make } from "./dom.js";
import { timeElement } from "./format.js";
import { feature } from "./ground.js";
import { language, number, say, t } from "./language.js";
import { key, scoreFacts } from "./trainer_lead.js";
import { drawContacts, drawTruth, openGround } from "./trainer_map.js";
import { inWords, minutes } from "./trainer_words.js";

const BEFORE_S = 20, AFTER_S = 60, TRAIL_S = 60, TABLES = ["crossings", "timeline", "moments", "people", "teams"];
let opened = null, playing = null;

/** What a moment or a line says, in the language of the page. */
const words = (entry) => entry.sentences.map(say).join(" ");

export async function showRuns(main) {
  leave();
  const runs = await askLoggedIn("/api/desk/runs");
  if (!runs.length) {
    main.replaceChildren(make("div", { class: "page-empty" }, empty(t("trainer.no_runs"), t("trainer.no_runs_advice"), make("a", { class: "button", href: "#exercises" }, t("trainer.exercises")))));
    return;
  }
  main.replaceChildren(make("div", { class: "runs" }, make("h2", {}, t("trainer.runs")), make("ul", { class: "run-list" }, runs.map((r) => make("li", {},
    make("b", {}, inWords(r, "title") || r.id, ["not_begun", "crashed"].includes(r.state) && r.detail ? make("small", {}, r.says ? say(r.says) : r.detail) : null), make("span", {}, r.began_ns ? timeElement(r.began_ns, 0) : r.id), make("span", {}, minutes(r.seconds)),
    make("span", { class: `chip ${{ over: "good", crashed: "bad", running: "warn" }[r.state] ?? ""}` }, t(`run_state.${r.state}`)),
    r.state === "running" ? make("a", { class: "button", href: "#lead" }, t("trainer.lead")) : r.state === "not_begun" ? make("span", {}) : make("a", { class: "button", href: `#debrief/${r.id}` }, t("trainer.debrief")))))));
}

function leave() {
  clearInterval(playing);
  playing = null;
  opened?.map.remove();
  opened = null;
}

export async function showDebrief(main, run) {
  leave();
  main.replaceChildren(make("p", { class: "page-empty" }, t("trainer.working_out")));
  const [d, tracks, ground, runs] = await Promise.all(["debrief", "tracks", "ground"].map((what) => askLoggedIn(`/api/desk/runs/${run}/${what}`, undefined, AT_WORK_MS)).concat(askLoggedIn("/api/desk/runs")));
  const slider = make("input", { type: "range", min: 0, max: Math.ceil(tracks.seconds), step: 1, value: 0, "aria-label": t("trainer.time"), oninput: () => seek(Number(slider.value)) });
  const clock = make("output", { class: "clock" }, "0:00");
  const map = make("div", { class: "map", role: "region", "aria-label": t("trainer.map") });
  const play = make("button", { type: "button", onclick: () => turnPlay() }, t("trainer.play"));
  const list = make("ol", { class: "timeline", tabindex: 0, "aria-label": t("trainer.timeline") }, d.timeline.map((e) => make("li", { class: e.track, "data-at": e.at_s },
    make("button", { type: "button", class: "quiet", onclick: () => seek(e.at_s, true) }, minutes(e.at_s)), make("i", {}, t(`track.${e.track}`)), make("span", {}, words(e)))));
  let review = null;

  function seek(at, moveMap = false) {
    slider.value = at;
    clock.textContent = minutes(at);
    if (opened) drawAt(tracks, at);
    let last = null;
    for (const li of list.children) { const isPast = Number(li.dataset.at) <= at; li.classList.toggle("past", isPast); if (isPast) last = li; }
    last?.scrollIntoView({ block: "nearest" });
    if (moveMap && opened) fitTo(tracks, at);
  }

  function turnPlay() {
    clearInterval(playing);
    if (playing) { playing = null; play.textContent = t("trainer.play"); return; }
    play.textContent = t("trainer.stop");
    playing = setInterval(() => {
      if (Number(slider.value) >= tracks.seconds) { turnPlay(); return; }
      seek(Number(slider.value) + 2);
    }, 250);
  }

  async function replay(button, atS) {
    await press(button, async () => {
      review ??= await askLoggedIn(`/api/desk/runs/${run}/review`, {}, AT_WORK_MS);
      const ns = (s) => `${Math.round(tracks.starts_ns / 1e6 + s * 1000)}000000`;
      const address = `${review.address}/replay?from=${ns(Math.max(0, atS - BEFORE_S))}&to=${ns(atS + AFTER_S)}`;
      drawReview(address);        // where the pages took long to come, a browser opens no window any more: the link leads there too
      window.open(address, "trailwatch-replay", "noopener");
    });
  }

  const reviewBox = make("div", { class: "review" });
  function drawReview(address) {
    reviewBox.replaceChildren(make("p", { class: "hint" }, t("trainer.replay_hint")), make("p", {}, make("a", { href: address, target: "_blank", rel: "noopener" }, `${review.address}/replay`), " ",
      make("b", {}, review.account), " ", make("code", {}, review.password)));
  }

  const moments = d.moments.map((m) => make("li", { class: m.kind === "best_catch" ? "good" : "bad" },
    make("button", { type: "button", class: "quiet at", title: t("trainer.show_on_map"), onclick: () => seek(Math.max(0, m.at_s), true) }, minutes(m.at_s)),
    make("div", {}, make("b", {}, t(`moment.${m.kind}`)), make("span", {}, words(m))),
    make("button", { type: "button", "aria-label": t("trainer.replay_at", { at: minutes(m.at_s) }), onclick: (event) => replay(event.currentTarget, m.at_s) }, t("trainer.replay"))));
  const others = runs.filter((r) => r.id !== run && r.state === "over" && r.exercise === d.score.exercise).slice(0, 3);
  const compared = make("div", {}), broken = d.moments.find((m) => m.kind === "crash");
  main.replaceChildren(make("div", { class: "debrief" },
    make("aside", { class: "debrief-side", "aria-label": t("trainer.debrief"), tabindex: 0 },
      make("h2", {}, inWords(d, "title")), make("p", { class: "teaches" }, inWords(d, "teaches")), d.score.crashed ? make("p", { class: "problem" }, broken ? words(broken) : d.score.crashed) : null,
      make("div", { class: "dialog-buttons" },
        make("a", { class: "button", href: `/api/desk/runs/${run}/debrief.pdf?language=${language()}`, download: true }, "PDF"),
        TABLES.map((name) => make("a", { class: "button small", href: `/api/desk/runs/${run}/${name}.csv`, download: true }, `${t(`table.${name}`)} (CSV)`))),
      make("h3", {}, t("trainer.mattered")), make("ul", { class: "moments" }, moments.length ? moments : make("li", { class: "hint" }, t("trainer.nothing_stands_out"))),
      reviewBox, make("h3", {}, t("trainer.score")), scoreFacts(d),
      others.length ? make("button", { type: "button", onclick: (event) => press(event.currentTarget, async () => compare(compared, run, others)) }, t("trainer.compare", { n: others.length })) : null, compared),
    make("div", { class: "lead-map" }, map, key()),
    make("section", { class: "debrief-time", "aria-label": t("trainer.timeline") }, make("div", { class: "player" }, play, clock, slider), list)));
  try {
    opened = await openGround(map, ground);
  } catch (error) {
    map.replaceChildren(make("p", { class: "no-map" }, t("map.no_webgl", { detail: String(error?.message ?? error) })));
  }
  const first = d.moments.find((m) => m.at_s > 0);
  seek(first ? first.at_s : 0, true);
}

async function compare(box, run, others) {
  const d = await askLoggedIn(`/api/desk/runs/${run}/debrief?${others.map((r) => `compare=${encodeURIComponent(r.id)}`).join("&")}`, undefined, AT_WORK_MS);
  const n = (value) => value === null ? "–" : number(value, Number.isInteger(value) ? 0 : 2);
  box.replaceChildren(make("table", { class: "compared" }, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, t("trainer.measure")), make("th", { scope: "col" }, t("trainer.this_run")), d.earlier.map((name) => make("th", { scope: "col" }, name.slice(0, 13))))),
    make("tbody", {}, d.compared.map((c) => make("tr", {}, make("th", { scope: "row" }, t(`measure.${c.measure}`)), make("td", {}, n(c.now)), c.before.map((b) => make("td", {}, n(b))))))));
  if (!d.compared.length) tellPerson(t("trainer.nothing_stands_out"));
}

const placeAt = (track, at) => {
  const points = track.at;
  if (!points.length || at < points[0][0] - 1 || at > points[points.length - 1][0] + 1) return null;
  let low = 0, high = points.length - 1;
  while (low < high) { const middle = (low + high + 1) >> 1; if (points[middle][0] <= at) low = middle; else high = middle - 1; }
  return Math.abs(points[low][0] - at) <= 3 ? points[low] : null;
};

function drawAt(tracks, at) {
  const there = tracks.tracks.map((track) => [track, placeAt(track, at)]).filter(([, p]) => p);
  drawTruth(opened.put, there.map(([track, p]) => ({ name: track.name, role: track.role, lat_deg: p[1], lon_deg: p[2] })));
  opened.put("truth-trails", there.map(([track]) => feature("LineString", track.at.filter((p) => p[0] <= at && p[0] > at - TRAIL_S).map((p) => [p[2], p[1]]), { role: track.role })).filter((f) => f.geometry.coordinates.length > 1));
  let shown = null;
  for (const s of tracks.shown) { if (s.at_s > at) break; shown = s; }
  drawContacts(opened.put, shown && at - shown.at_s < 5 ? shown.contacts : []);
}

/** To whoever crosses then. */
function fitTo(tracks, at) {
  const meant = tracks.tracks.filter((track) => ["crosser", "subject"].includes(track.role)).map((track) => placeAt(track, at)).filter(Boolean);
  if (!meant.length) return;
  const lat = meant.map((p) => p[1]), lon = meant.map((p) => p[2]);
  opened.map.fitBounds([Math.min(...lon), Math.min(...lat), Math.max(...lon), Math.max(...lat)], { padding: 120, maxZoom: 17, duration: 300 });
}
