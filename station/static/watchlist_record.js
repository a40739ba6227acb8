// One record, open: what to do first, then why and who; what may be done with it; and who has looked at it.

import { ask } from "./api.js";
import { askPerson, choice, closeDialog, field, lastDay, may, moment, press, tellPerson, traceDetails, WHO_HELPS } from "./desk.js";
import { fact, glyph, make } from "./dom.js";
import { clockText, dateText } from "./format.js";
import { corridorName, corridorNames, hasWords, number, t } from "./language.js";
import { state } from "./state.js";

const LANE_GLYPH = { welfare: "help", enforcement: "shield" };
const REASON_MOST = 500;

export function stateChip(rowState, extension) {
  return make("span", { class: `chip ${extension || rowState === "waiting" ? "warn" : rowState === "in_force" ? "good" : ""}` }, extension ? t("watchlist.extension_waits") : t(`row_state.${rowState}`));
}

/** act: changed(id) after something was done (null: nothing of it to open again), close(). */
export function drawRecord(box, record, act) {
  const s = record.subject;
  box.replaceChildren(
    make("header", { class: "record-head" },
      make("p", { class: `lane-line ${record.lane}` }, glyph(LANE_GLYPH[record.lane]), t(`lane_name.${record.lane}`), make("span", { class: "id" }, s.id)),
      make("h2", { tabindex: -1 }, s.label),
      make("p", { class: "record-kind" }, t(`category.${s.category}`), " ", stateChip(record.state, s.extension !== null && record.state === "in_force")),
      make("button", { type: "button", class: "quiet close", onclick: act.close }, t("action.close_drawer"))),
    make("p", { class: "look-noted" }, glyph("eye"), t("watchlist.look_noted", { at_ns: record.traces[0]?.at_ns ?? Date.now() * 1e6, n: record.traces.filter((trace) => trace.action === "watchlist.looked").length })),
    make("div", { class: "todo" }, make("h3", {}, t("column.what_to_do")), make("p", {}, s.what_to_do)),
    waiting(record),
    buttons(record, act),
    make("dl", { class: "facts" },
      fact(t("column.reason"), s.reason), fact(t("column.lawful_basis"), s.lawful_basis),
      fact(t("watchlist.ends"), lastDay(s.expires_ns), record.soon ? make("b", { class: "soon" }, ` ${t("watchlist.ends_soon")}`) : null),
      fact(t("watchlist.nominated"), s.nominated_by, ", ", moment(s.nominated_ns)),
      fact(t("watchlist.approved"), s.approved_by ? [s.approved_by, ", ", moment(s.approved_ns)] : t("watchlist.nobody_yet")),
      fact(t("column.plates"), s.plates.length ? s.plates.map((p) => make("span", { class: "plate" }, p)) : "–"),
      s.vehicles.length ? fact(t("column.vehicles"), s.vehicles.map((v) => make("span", { class: "vehicle" }, make("span", { class: "plate" }, v.plate), " ",
        [v.object_class ? t(`class.${v.object_class}`) : "", v.colour ? t(`colour.${v.colour.toLowerCase()}`) : ""].filter(Boolean).join(", ")))) : null,
      s.corridors.length ? fact(t("column.corridors"), corridorNames(s.corridors)) : null,
      s.hours ? fact(t("column.hours"), s.hours.map(minuteText).join(" – "), s.days.length ? `, ${s.days.map((d) => t(`weekday.${d}`)).join(", ")}` : null) : null,
      s.party_size ? fact(t("column.party_size"), number(s.party_size)) : null),
    s.plates.length || s.vehicles.length ? "" : make("p", { class: "hint" }, t("watchlist.no_identifier")),
    reports(record),
    traces(record));
}

const minuteText = (minute) => `${String(Math.floor(minute / 60)).padStart(2, "0")}:${String(minute % 60).padStart(2, "0")}`;

function waiting(record) {
  const s = record.subject, lines = [];
  if (record.state === "waiting") lines.push(s.nominated_by === state.me.name ? t("watchlist.yours_waits") : t("watchlist.waits_for_second", { person: s.nominated_by }));
  if (record.state === "in_force" && s.extension) {
    lines.push(t("watchlist.extension_asked", { person: s.extension.asked_by, day: dateText(s.extension.expires_ns / 1e6 - 1000), reason: s.extension.reason }));
    if (s.extension.asked_by === state.me.name) lines.push(t("watchlist.yours_waits"));
  }
  return lines.length ? make("div", { class: "waits" }, lines.map((line) => make("p", {}, line))) : "";
}

function buttons(record, act) {
  if (!may(WHO_HELPS) || record.state === "over") return "";
  const s = record.subject, path = `/api/watchlist/${encodeURIComponent(s.id)}`, found = [];
  const done = (text, again = s.id) => { closeDialog(); tellPerson(text); act.changed(again); };
  if (record.may_approve) {
    found.push(make("button", { type: "button", class: "primary", onclick: (event) => press(event.target, async () => {
      await ask("/api/watchlist/approve", { subjects: [s.id] });
      done(t("watchlist.approved_one", { subject: s.id }));
    }) }, t("watchlist.approve")));
  }
  if (record.may_agree) {
    found.push(make("button", { type: "button", class: "primary", onclick: (event) => press(event.target, async () => {
      await ask(`${path}/agree`, {});
      done(t("watchlist.agreed", { subject: s.id }));
    }) }, t("watchlist.agree")));
  }
  if (record.state === "in_force") {
    found.push(make("button", { type: "button", onclick: () => reportSighting(record, path, done) }, t("watchlist.report")));
    found.push(make("button", { type: "button", onclick: () => askPerson({
      title: t("watchlist.extend_title", { label: s.label }), advice: t("watchlist.extend_advice"), button: t("watchlist.extend"),
      fields: [field("expires", t("column.expires"), make("input", { type: "date", required: true }), "", { needed: true }), reasonField()],
      send: async ({ expires, reason }) => { await ask(`${path}/extend`, { expires, reason }); done(t("watchlist.extend_done", { subject: s.id })); },
    }) }, t("watchlist.extend")));
  }
  found.push(make("button", { type: "button", class: "danger", onclick: () => askPerson({
    title: t("watchlist.end_title", { label: s.label }), advice: t("watchlist.end_advice"), button: t("watchlist.end"), danger: true, fields: [reasonField()],
    send: async ({ reason }) => { await ask(`${path}/end`, { reason }); done(t("watchlist.end_done", { subject: s.id })); },
  }) }, t("watchlist.end")));
  return make("div", { class: "record-buttons" }, found);
}

function reasonField() {
  return field("reason", t("watchlist.why"), make("textarea", { required: true, maxlength: REASON_MOST, rows: 2 }), t("watchlist.why_hint"), { needed: true });
}

function reportSighting(record, path, done) {
  const corridors = state.geography.centre_lines.features.map((f) => [f.properties.id, f.properties.name]);
  const hours = (list, chosen) => choice(list.map((n) => [String(n), n ? t("watchlist.hours", { n }) : t("watchlist.now")]), chosen);
  askPerson({
    title: t("watchlist.report_title", { label: record.subject.label }), advice: t("watchlist.report_advice"), button: t("watchlist.report_send"),
    fields: [
      field("reported_by", t("watchlist.reported_by"), make("input", { type: "text", required: true, maxlength: 100, autocomplete: "off" }), t("watchlist.reported_by_hint"), { needed: true }),
      field("corridor", t("watchlist.where"), choice(corridors), "", { needed: true }),
      make("div", { class: "pair" }, field("hours_ago", t("watchlist.since"), hours([0, 0.5, 1, 2, 4, 8, 24], "0")), field("hours_ahead", t("watchlist.until_hours"), hours([1, 2, 4, 8, 24, 48], "2"))),
      field("says", t("watchlist.says"), make("textarea", { maxlength: REASON_MOST, rows: 2 })),
    ],
    send: async (v) => {
      await ask(`${path}/reports`, { reported_by: v.reported_by, corridor: v.corridor, hours_ago: Number(v.hours_ago), hours_ahead: Number(v.hours_ahead), says: v.says });
      done(t("watchlist.report_done", { person: v.reported_by }));
    },
  });
}

function reports(record) {
  if (!record.reports.length) return "";
  return make("section", { class: "reports" }, make("h3", {}, t("watchlist.reports")), make("ul", {}, record.reports.map((r) => make("li", {},
    make("p", {}, make("b", {}, r.reported_by), r.corridor ? ` · ${corridorName(r.corridor)}` : null,
      ` · ${dateText(r.from_ns / 1e6).slice(0, 5)} ${clockText(r.from_ns / 1e6).slice(0, 5)} – ${clockText(r.until_ns / 1e6).slice(0, 5)}`, make("span", { class: "id" }, r.id)),
    r.says ? make("p", { class: "says" }, r.says) : null))));
}

function traces(record) {
  return make("section", { class: "traces" }, make("h3", {}, glyph("eye"), t("watchlist.traces")), make("p", { class: "hint" }, t("watchlist.traces_hint")),
    make("ol", {}, record.traces.map((trace) => make("li", { class: trace.action === "watchlist.looked" ? "look" : null },
      moment(trace.at_ns), make("b", {}, trace.person === "system" ? t("person.system") : trace.person),
      make("span", {}, hasWords(`trace.${trace.action}`) ? t(`trace.${trace.action}`) : trace.action),
      make("small", {}, traceDetails(trace, ["subject", "ids", "category", "weights", "listed", "sha256"]))))));
}
