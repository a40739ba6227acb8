// What came of a plan: drawn on the map, and here checked leg by leg, with the reason of every refusal.

import { fact, make } from "./dom.js";
import { metres } from "./format.js";
import { durationText, findingText, isTooLong, kindText, percent, refusedText, spreadText, words } from "./fleet.js";
import { number, t } from "./language.js";
import { badLegs, pointAt } from "./pilot_map.js";
import { pilot } from "./pilot_draft.js";

const BUFFER_PARTS = ["drift_m", "reaction_m", "margin_m"];
const HELPED = ["energy", "permit"];     // rules that a shorter plan may keep
const WISHED = { rounds: 1, turns: 1, reach_m: 0, hold_s: 20 };      // what a wish leaves out (wire.tasking.FlightWish)

/** onShorten: of a plan that is refused for its length, to ask for a shorter one. */
export function offerParts(offer, onShorten) {
  const check = offer.check, found = check?.findings?.length ? check.findings : offer.findings ?? [], isRefused = check?.passed !== true;
  return [
    make("h3", {}, t(isRefused ? "offer.title_refused" : "offer.title"), make("small", {}, kindText(offer.wish))),
    verdict(offer, found),
    offer.asked ? make("p", { class: "advice shortened" }, t("offer.shortened", { what: shortenedText(offer.asked, offer.wish) })) : null,
    offer.wish.kind === "share" ? make("p", { class: "advice" }, t("offer.share", { drones: (offer.wish.drones ?? []).filter((d) => d !== offer.drone).join(", ") })) : null,
    found.length ? make("ul", { class: "fleet-reasons" }, found.map(findingItem)) : null,
    isRefused && offer.plan && found.length && found.every((finding) => HELPED.includes(finding.rule))
      ? make("button", { type: "button", class: "primary shorten", "data-focus": "shorten", onclick: onShorten }, t("offer.shorten")) : null,
    offer.plan ? legs(offer) : null,
    check ? make("dl", { class: "facts offer-facts" },
      fact(t("offer.length"), metres(check.length_m), make("span", { class: "aside" }, durationText(offer.duration_s ?? check.duration_s), " ", spreadText(offer.duration_spread_s, "s"))),
      offer.arrives_s === null || offer.arrives_s === undefined ? null : fact(t("offer.arrives"), durationText(offer.arrives_s), make("span", { class: "aside" }, spreadText(offer.arrives_spread_s, "s"))),
      isTooLong(offer) ? null : fact(t("offer.energy"), percent(offer.energy_percent ?? check.energy_percent),
        make("span", { class: "aside" }, spreadText(offer.energy_spread_percent, "%")),
        offer.left_percent === null || offer.left_percent === undefined ? null : make("span", { class: "second" }, t("offer.lands_with", { percent: percent(offer.left_percent) }))),
      fact(t("offer.border"), metres(check.smallest_border_distance_m), check.buffer ? make("span", { class: "aside" }, t("offer.needed", { metres: metres(check.buffer.total_m) })) : null),
      offer.resumes ? fact(t("offer.afterwards"), t("offer.resumes")) : null) : null,
    check?.buffer ? bufferBar(check.buffer) : null,
  ];
}

function verdict(offer, found) {
  const passed = offer.check?.passed === true;
  const text = passed ? t("offer.passed") : offer.plan ? refusedText(found.length) : words(offer.key, offer.params, offer.sentence);
  return make("p", { class: `verdict ${passed ? "passed" : "refused"}`, role: "status" }, make("span", { "aria-hidden": "true" }, passed ? "✓" : "✕"), text);
}

/** What was left out of what was asked for. */
function shortenedText(asked, wish) {
  const [was, is] = [{ ...WISHED, ...asked }, { ...WISHED, ...wish }];
  return [
    is.rounds === was.rounds ? null : t("offer.short_rounds", { n: is.rounds, of: was.rounds }),
    is.reach_m === was.reach_m ? null : t("offer.short_reach", { metres: metres(is.reach_m) }),
    is.turns === was.turns ? null : t("offer.short_turns", { n: is.turns, of: was.turns }),
    is.hold_s === was.hold_s ? null : t("offer.short_hold", { n: is.hold_s, of: was.hold_s }),
    JSON.stringify(is.places) === JSON.stringify(was.places) ? null : t("offer.short_area"),
  ].filter(Boolean).join(", ");
}

function findingItem(finding) {
  const about = finding.leg === null || finding.leg === undefined ? {} : {
    tabindex: 0, "data-leg": finding.leg, onmouseenter: () => pointAt(finding.leg), onmouseleave: () => pointAt(null), onfocus: () => pointAt(finding.leg), onblur: () => pointAt(null) };
  return make("li", about, findingText(finding));
}

/** Every leg with its mark; whoever points at one sees it on the map. */
function legs(offer) {
  const bad = badLegs(offer);
  return make("div", { class: "legs" }, make("h4", { id: "legs-title" }, t("offer.legs")),
    make("ul", { "aria-labelledby": "legs-title" }, offer.plan.waypoints.map((w, leg) => {
      const how = bad.has(leg) ? "bad" : offer.check ? "good" : "";
      return make("li", {}, make("button", { type: "button", class: `leg ${how}`, "data-leg": leg, "data-focus": `leg-${leg}`,
        title: t("offer.leg", { n: leg + 1, kind: t(`waypoint.${w.kind}`), height: number(w.height_above_home_m, 0), speed: number(w.speed_m_s, 1) }),
        onmouseenter: () => pointAt(leg), onmouseleave: () => pointAt(null), onfocus: () => pointAt(leg), onblur: () => pointAt(null), onclick: () => pointAt(leg) },
      String(leg + 1), make("span", { "aria-hidden": "true" }, how === "bad" ? "✕" : how === "good" ? "✓" : ""), make("span", { class: "unseen" }, how ? ` ${t(`leg.${how}`)}` : "")));
    })));
}

/** The buffer to the border line, and what it is made of. */
function bufferBar(buffer) {
  const sum = BUFFER_PARTS.reduce((all, name) => all + buffer[name], 0), scale = Math.max(sum, buffer.total_m) || 1;
  const bar = make("div", { class: "buffer-bar", "aria-hidden": "true" });
  for (const name of BUFFER_PARTS) {
    const piece = make("span", { class: name });
    piece.style.width = `${100 * buffer[name] / scale}%`;
    bar.append(piece);
  }
  return make("div", { class: "buffer" }, make("h4", {}, t("buffer.title", { metres: metres(buffer.total_m) })), bar,
    make("dl", {}, BUFFER_PARTS.map((name) => make("div", {}, make("dt", {}, make("i", { class: name, "aria-hidden": "true" }), t(`buffer.${name}`)), make("dd", {}, metres(buffer[name]), name === "drift_m"
      ? make("small", {}, t("buffer.drift_how", { wind: number(buffer.wind_m_s, 1), seconds: number(buffer.detection_s + buffer.descent_s, 0) })) : null)))),
    buffer.total_m > sum + 0.5 ? make("p", {}, t("buffer.configured", { metres: metres(buffer.configured_m) })) : null);
}

/** Mark what is pointed at, without building anything anew. */
export function markLeg(root) {
  for (const element of root.querySelectorAll("[data-leg]")) element.classList.toggle("meant", Number(element.dataset.leg) === pilot.leg);
}
