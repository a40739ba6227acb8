// The trainer's desk: choosing an exercise, and the way to leading it, to what was run, and to building.

import { askLoggedIn } from "./api.js";
import { empty, may, openDesk, press } from "./desk.js";
import { make } from "./dom.js";
import { say, t } from "./language.js";
import { openPastDialog } from "./trainer_past.js";
import { showDebrief, showRuns } from "./trainer_debrief.js";
import { leaveLead, showLead } from "./trainer_lead.js";
import { dayAndTime, inWords, minutes, PAGES, HOME, TRAINER, whenText } from "./trainer_words.js";

let chosen = null, main = null;

const VIEWS = { exercises: showExercises, lead: showLead, runs: showRuns, debrief: showDebrief };

function draw(element) {
  main = element;
  if (!may(TRAINER)) {
    main.replaceChildren(empty(t("trainer.not_yours"), t("trainer.not_yours_advice")));
    return;
  }
  show();
}

async function show() {
  const [name, argument] = location.hash.slice(1).split("/");
  leaveLead();
  document.body.dataset.view = VIEWS[name] ? name : "exercises";
  try {
    if (!location.hash && await askLoggedIn("/api/desk/running")) { location.replace("#lead"); return; }
    await (VIEWS[name] ?? showExercises)(main, argument);
  } catch (error) {
    if (!error.says) throw error;
    main.replaceChildren(make("div", { class: "page-empty" }, empty(t("trainer.cannot"), say(error.says))));
  }
}

async function showExercises(element) {
  const all = await askLoggedIn("/api/desk/exercises");
  const list = make("nav", { class: "exercise-list", "aria-label": t("trainer.exercises") });
  const detail = make("section", { class: "exercise-detail", "aria-live": "polite" });
  const pick = (name) => { chosen = name; drawList(); drawDetail(detail, all.find((e) => e.name === name)); };
  const drawList = () => list.replaceChildren(
    make("div", { class: "list-head" }, make("a", { class: "button", href: "/builder" }, t("trainer.new")), make("button", { type: "button", onclick: (event) => press(event.currentTarget, openPastDialog) }, t("trainer.from_past"))),
    ...[true, false].flatMap((own) => {
      const some = all.filter((e) => e.is_own === own);
      return some.length ? [make("h2", {}, t(own ? "trainer.own" : "trainer.library")), make("ul", {}, some.map((e) => make("li", {},
        make("button", { type: "button", class: "quiet exercise", "aria-current": e.name === chosen ? "true" : null, onclick: () => pick(e.name) },
          make("b", {}, inWords(e, "title")), make("span", {}, e.refused ? t("trainer.cannot_run") : minutes(e.seconds))))))] : [];
    }));
  element.replaceChildren(make("div", { class: "choose" }, list, detail));
  pick(all.some((e) => e.name === chosen) ? chosen : "single-walker");
}

async function drawDetail(element, line) {
  if (!line) { element.replaceChildren(); return; }
  if (line.refused) {
    element.replaceChildren(make("h2", {}, line.title), make("p", { class: "problem", role: "alert" }, line.refused),
      make("div", { class: "dialog-buttons" }, make("a", { class: "button", href: `/builder#${line.name}` }, t("trainer.mend"))));
    return;
  }
  // What stood there is another exercise's, and its button would prepare that one.
  if (element.dataset.exercise !== line.name) element.replaceChildren(make("h2", {}, inWords(line, "title")));
  element.dataset.exercise = line.name;
  const [e, running] = await Promise.all([askLoggedIn(`/api/desk/exercises/${line.name}`), askLoggedIn("/api/desk/running")]);
  if (chosen !== line.name) return;
  const start = make("button", { type: "button", class: "primary", disabled: Boolean(running), onclick: () => press(start, async () => {
    await askLoggedIn("/api/desk/start", { exercise: e.name });
    location.hash = "#lead";
  }) }, t("trainer.prepare"));
  element.replaceChildren(...[
    make("h2", {}, inWords(e, "title")), make("p", { class: "teaches" }, inWords(e, "teaches")),
    make("div", { class: "dialog-buttons" }, start, make("a", { class: "button", href: `/builder#${e.name}` }, t(e.is_own ? "trainer.change" : "trainer.change_copy")),
      running ? make("a", { class: "button", href: "#lead" }, t("trainer.goes_on")) : null),
    running ? null : make("p", { class: "hint" }, t("trainer.prepare_hint")),
    make("h3", {}, t("trainer.brief")), make("blockquote", {}, inWords(e, "brief") || "–"),
    make("dl", { class: "facts" },
      row(t("trainer.length"), minutes(e.seconds)), row(t("trainer.sky"), dayAndTime(e.starts)),
      row(t("trainer.may_use"), [t("trainer.map_and_alarms"), ...e.may_use.map((x) => t(`tool.${x}`))].join(", ")),
      row(t("trainer.eyes"), [...e.cameras, ...e.drones].join(", ")),
      e.subjects.length ? row(t("trainer.watchlist"), e.subjects.join(", ")) : null),
    make("h3", {}, t("trainer.who")),
    make("ul", { class: "lines" }, e.actors.map(([name, kind, role, count, enters]) => make("li", {}, make("b", {}, name),
      ` ${count > 1 ? `${count} × ` : ""}${t(`actor_kind.${kind}`)}, ${t(`actor_role.${role}`)}, ${t("trainer.enters", { at: minutes(enters) })}`))),
    make("h3", {}, t("trainer.prepared")),
    e.injects.length ? make("ul", { class: "lines" }, e.injects.map((i) => make("li", {}, make("b", {}, i.id), ` ${t(`inject_do.${i.do}`)}, ${whenText(i)}`))) : make("p", {}, "–"),
    make("h3", {}, t("trainer.goals")),
    e.goals.length ? make("ul", { class: "lines" }, e.goals.map((g) => make("li", {}, `${t(`measure.${g.measure}`)} ${g.at_least === null ? `≤ ${g.at_most}` : `≥ ${g.at_least}`}`))) : make("p", {}, "–"),
  ].filter(Boolean));
}

const row = (name, value) => make("div", { class: "fact" }, make("dt", {}, name), make("dd", {}, value));

addEventListener("hashchange", () => { if (main && may(TRAINER)) show(); });
openDesk("trainer.title", draw, PAGES, HOME);
