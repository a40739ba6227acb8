// What the pages of the trainer's desk say alike: times of an exercise, and when an inject comes.

import { language, t } from "./language.js";

export const TRAINER = ["trainer"];
export const HOME = { path: "/#exercises", text: "trainer.desk", says: "trainer.to_desk" };
export const PAGES = [["/#exercises", "trainer.exercises", TRAINER], ["/#lead", "trainer.lead", TRAINER], ["/#runs", "trainer.runs", TRAINER], ["/builder", "trainer.builder", TRAINER]];

/** Seconds of an exercise as a clock has them. */
export function minutes(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  return `${Math.floor(s / 60)}:${String(s % 60).padStart(2, "0")}`;
}

/** "2026-11-24T14:30:00" as days are written everywhere else. */
export function dayAndTime(iso) { return `${iso.slice(8, 10)}/${iso.slice(5, 7)}/${iso.slice(0, 4)} ${iso.slice(11, 16)}`; }

/** What people read of an exercise (title, teaches, brief), in the language of the page where the file has it. */
export function inWords(e, what) { return e.words?.[language()]?.[what] || e[what]; }

export function whenText(inject) {
  const w = inject.when;
  if (inject.at_s !== null && inject.at_s !== undefined) return t("trainer.at", { at: minutes(inject.at_s) });
  if (!w) return t("trainer.by_hand");
  if (w.after) return t("trainer.when_after", { id: w.after, s: Math.round(w.wait_s ?? 0) });
  if (w.alarms) return t("trainer.when_alarms", { n: w.alarms });
  return t("trainer.when_actor", { name: w.actor, on: w.on, m: Math.round(w.beyond_m ?? 0) });
}
