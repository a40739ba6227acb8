// The station itself: its health, its backups, what is kept how long, and the record.

import { ask, askLoggedIn, AT_WORK_MS } from "./api.js";
import { empty, megabytes, moment, press, table, tellPerson, traceDetails } from "./desk.js";
import { make } from "./dom.js";
import { ageText } from "./format.js";
import { hasWords, number, say, t } from "./language.js";

function fact(label, ...value) { return make("div", { class: "fact" }, make("dt", {}, label), make("dd", {}, ...value)); }

// -------------------------------------------------------------------------------------------------------------- health

export function drawHealth({ store, figures, troubles }) {
  const { disk } = store, silent = figures.mind_silent_since_ns;
  const used = disk.total_bytes - disk.free_bytes;
  const ms = (value) => value === null ? "–" : t("admin.milliseconds", { n: Math.round(value) });
  return [
    troubles.length || silent !== null || disk.low || store.files.some((f) => f.trouble) ? make("div", { class: "troubles", role: "status" }, make("h3", {}, t("admin.troubles")), make("ul", {},
      silent !== null ? make("li", {}, t("admin.mind_silent", { age: ageText((Date.now() - silent / 1e6) / 1000) })) : null,
      disk.low ? make("li", {}, t("admin.disk_low", { free: megabytes(disk.free_bytes) })) : null,
      store.files.filter((f) => f.trouble).map((f) => make("li", {}, make("b", {}, f.name), ": ", f.trouble)),
      troubles.map((a) => make("li", {}, say(a.says), " ", moment(a.raised_ns))))) : make("p", { class: "all-well" }, t("admin.all_well")),
    make("dl", { class: "facts" },
      fact(t("admin.disk"), make("meter", { min: 0, max: disk.total_bytes, value: used, high: disk.total_bytes * 0.9, "aria-label": t("admin.disk") }), " ", t("admin.disk_free", { free: megabytes(disk.free_bytes), total: megabytes(disk.total_bytes) }), " ", make("code", {}, disk.folder)),
      fact(t("admin.delays"), figures.latency_p50_ms === null ? t("admin.delays_none") : t("admin.delays_text", { p50: ms(figures.latency_p50_ms), p99: ms(figures.latency_p99_ms), most: ms(figures.latency_max_ms) })),
      fact(t("admin.stored"), t("admin.stored_text", { messages: figures.counts.messages_stored, detections: figures.counts.detections_stored })),
      fact(t("admin.refused"), Object.keys(figures.counts.refused).length ? Object.entries(figures.counts.refused).map(([reason, n]) => make("span", { class: "chip" }, hasWords(`turned_away.${reason}`) ? t(`turned_away.${reason}`) : reason, " ", number(n))) : t("admin.refused_none")),
      fact(t("admin.pages"), number(figures.pages)),
      store.processes.length ? fact(t("admin.processes"), store.processes.map((p) => make("span", { class: p.restarts ? "chip warn" : "chip good" }, p.name, p.restarts ? `: ${t("admin.restarts", { n: p.restarts })}` : ""))) : null),
    make("h3", {}, t("admin.files")),
    table(t("admin.files"), [[t("admin.file")], [t("admin.what_in_it")], [t("admin.size"), "number"], [t("admin.state")]], store.files.map((f) => [make("code", {}, f.name), t(`file.${f.name.replace(".db", "")}`), f.there ? megabytes(f.bytes) : "–",
      f.trouble ? make("span", { class: "chip bad" }, t("admin.file_trouble")) : f.there ? make("span", { class: "chip good" }, t("admin.file_good")) : make("span", { class: "chip" }, t("admin.file_not_yet"))])),
  ];
}

// ------------------------------------------------------------------------------------------------------------- backups

let ran = false;

export function drawBackups(found, again) {
  const running = found.running_since_ns !== null;
  if (ran && !running) tellPerson(found.failed ? t("admin.backup_failed", { detail: found.failed }) : t("admin.backup_done"), found.failed ? "warning" : "done");
  ran = running;
  const make_ = running ? make("p", { class: "running", role: "status" }, t("admin.backup_running"), " ", moment(found.running_since_ns))
    : make("button", { type: "button", class: "primary", onclick: (event) => press(event.target, async () => { await ask("/api/admin/backups", {}); ran = true; event.target.blur(); again(); }) }, t("admin.backup_now"));
  const parts = [found.failed && !running ? make("p", { class: "problem", role: "alert" }, t("admin.backup_failed", { detail: found.failed })) : null];
  if (found.backups.length || running) parts.push(make("div", { class: "section-tools" }, make_));
  if (found.backups.length) {
    parts.push(table(t("admin_tab.backups"), [[t("admin.made"), "narrow"], [t("admin.folder")], [t("admin.size"), "number"], [t("admin.record_entries"), "number"], [t("admin.record_head")]], found.backups.map((b) => [
      b.made_ns ? moment(b.made_ns) : make("span", { class: "chip bad" }, t("admin.backup_half")), make("code", {}, b.name), megabytes(b.bytes), b.entries === null ? "–" : number(b.entries), b.head ? make("code", { title: b.head }, `${b.head.slice(0, 16)}…`) : "–"])));
  } else if (!running) parts.push(empty(t("admin.no_backups"), t("admin.no_backups_advice"), make_));
  parts.push(make("dl", { class: "facts" },
    fact(t("admin.backup_folder"), make("code", {}, found.folder), make("p", { class: "hint" }, t("admin.backup_folder_hint"))),
    fact(t("admin.backup_free"), megabytes(found.free_bytes)),
    fact(t("admin.backup_disk"), found.same_disk ? make("b", { class: "soon" }, t("admin.backup_same_disk")) : t("admin.backup_other_disk")),
    fact(t("admin.backup_keys"), t("admin.backup_keys_text"), " ", make("code", {}, "./trailwatch backup --keys-to FOLDER"))));
  return parts;
}

// ----------------------------------------------------------------------------------------------------------- retention

export function drawRetention(kinds) {
  const off = kinds.find((k) => k.date_off_days)?.date_off_days ?? 0;
  return [off ? make("p", { class: "problem", role: "alert" }, t(off < 0 ? "alarm.date_behind" : "alarm.date_ahead", { days: Math.abs(off) })) : null,
    table(t("admin_tab.retention"), [[t("admin.kept_kind")], [t("admin.kept_days"), "number"], [t("admin.kept_oldest"), "narrow"], [t("admin.kept_goes"), "narrow"], [t("admin.kept_erased"), "number"], [t("admin.kept_last"), "narrow"]],
    kinds.map((k) => [t(`kept.${k.kind.replaceAll(" ", "_")}`), k.days === null ? t("admin.for_ever") : number(k.days), moment(k.oldest_ns),
      k.days !== null && k.oldest_ns ? moment(k.oldest_ns + k.days * 86_400e9) : "–", number(k.erased), moment(k.last_ns)]))];
}

// -------------------------------------------------------------------------------------------------------------- record

export function drawRecord(page) {
  const verdict = make("div", { class: "verdict", role: "status" });
  const check = make("button", { type: "button", class: "primary", onclick: (event) => {
    verdict.replaceChildren(make("p", {}, t("admin.verifying")));
    press(event.target, async () => {
      const v = await ask("/api/admin/record/verify", {}, AT_WORK_MS).catch((error) => { verdict.replaceChildren(); throw error; });
      verdict.replaceChildren(v.broken === null ? make("p", { class: "all-well" }, t("admin.unbroken", { n: v.entries })) : make("p", { class: "problem" }, t("admin.broken", { n: v.entries, detail: v.broken })),
        v.broken === null ? make("p", {}, t("admin.head_note"), make("br"), make("code", {}, v.head)) : "");
    });
  } }, t("admin.verify"));
  const list = make("div", {}), rows = [];
  const show = (more) => {
    rows.push(...more.rows);
    list.replaceChildren(rows.length ? table(t("admin_tab.record"), [[t("admin.number"), "number"], [t("admin.when"), "narrow"], [t("admin.who")], [t("admin.what")], [t("admin.details")]], rows.map((e) => [
      number(e.number), moment(e.at_ns), e.person === "system" ? t("person.system") : e.person, hasWords(`trace.${e.action}`) ? t(`trace.${e.action}`) : make("code", {}, e.action), make("span", { class: "trace-details" }, traceDetails(e))]))
      : empty(t("admin.record_empty"), t("admin.record_empty_advice")),
    more.next === null ? "" : make("button", { type: "button", onclick: (event) => press(event.target, async () => show(await askLoggedIn(`/api/admin/record?before=${more.next}`))) }, t("watchlist.more")));
  };
  show(page);
  return [make("div", { class: "section-tools" }, check), verdict, list];
}
