// A file of records: looked at line by line first; nothing is taken until a person has seen that and says so.

import { sendFile } from "./api.js";
import { closeDialog, openDialog, press, table, tellPerson } from "./desk.js";
import { make } from "./dom.js";
import { number, say, t } from "./language.js";

const MOST_BYTES = 20_000_000;      // station.web_watchlist.FILE_LIMIT_BYTES
const NEEDED = ["category", "label", "reason", "lawful_basis", "what_to_do", "expires"];
const OPTIONAL = ["plates", "vehicles", "corridors", "hours", "days", "party_size"];

export function openImport(done) {
  const file = make("input", { type: "file", id: "import-file", accept: ".csv,.json,.jsonl" });
  file.addEventListener("change", () => { if (file.files[0]) look(file.files[0], done); });
  const columns = (names) => names.flatMap((name, i) => [i ? ", " : "", make("code", {}, name)]);
  openDialog(t("import.title"), make("div", { class: "import" },
    make("p", { class: "advice" }, t("import.advice")),
    make("div", { class: "field" }, make("label", { for: "import-file" }, t("import.file")), file, make("p", { class: "problem", id: "import-problem", role: "alert" })),
    make("dl", { class: "facts" },
      make("div", { class: "fact" }, make("dt", {}, t("import.needed")), make("dd", {}, columns(NEEDED))),
      make("div", { class: "fact" }, make("dt", {}, t("import.optional")), make("dd", {}, columns(OPTIONAL))),
      make("div", { class: "fact" }, make("dt", {}, t("import.limits")), make("dd", {}, t("import.limits_text", { mb: MOST_BYTES / 1e6 })))),
    make("div", { class: "dialog-buttons" }, make("button", { type: "button", onclick: template }, t("import.template")), make("button", { type: "button", onclick: closeDialog }, t("desk.cancel")))), "large");
}

function template() {
  const link = make("a", { download: "watchlist.csv", href: URL.createObjectURL(new Blob([`${[...NEEDED, ...OPTIONAL].join(",")}\r\n`], { type: "text/csv" })) });
  link.click();
  URL.revokeObjectURL(link.href);
}

const pathOf = (what, file, more = {}) => `/api/watchlist/${what}?${new URLSearchParams({ name: file.name, ...more })}`;

async function look(file, done) {
  const problem = document.getElementById("import-problem");
  problem.textContent = "";
  if (file.size > MOST_BYTES) { problem.textContent = t("import.too_large", { mb: Math.ceil(file.size / 1e6), most: MOST_BYTES / 1e6 }); return; }
  tellPerson(t("import.looking", { name: file.name }));
  try {
    preview(file, await sendFile(pathOf("preview", file), file), done);
  } catch (error) {
    if (!error.says) throw error;
    problem.textContent = say(error.says);
  }
}

function preview(file, report, done) {
  const good = Object.values(report.good).reduce((sum, n) => sum + n, 0);
  const whole = make("input", { type: "checkbox", id: "import-whole" });
  const take = make("button", { type: "button", class: "primary", onclick: (event) => press(event.target, async () => {
    const made = await sendFile(pathOf("import", file, { sha256: report.sha256, whole: whole.checked ? "yes" : "" }), file);
    if (!made.added) { tellPerson(t("import.nothing", { n: made.bad }), "warning"); return; }
    closeDialog();
    tellPerson(t("import.done", { n: made.added, first: made.first, last: made.last }));
    done();
  }) }, t("import.take", { n: good }));
  openDialog(t("import.preview_title", { name: file.name }), make("div", { class: "import" },
    make("p", { class: "import-sum" }, make("b", {}, t("import.good", { n: good })), " ",
      report.bad ? make("b", { class: "bad" }, t("import.bad", { n: report.bad })) : t("import.no_bad"), " ", t("import.lines", { n: report.lines })),
    good ? make("p", { class: "chips" }, Object.entries(report.good).map(([category, n]) => make("span", { class: "chip" }, t(`category.${category}`), " ", number(n)))) : null,
    make("p", { class: "advice" }, t("import.nothing_yet")),
    report.problems.length ? make("section", {}, make("h3", {}, t("import.problems")), lines(t("import.problems"), report.problems), more(report.problems_more)) : null,
    report.notes.length ? make("section", {}, make("h3", {}, t("import.notes")), lines(t("import.notes"), report.notes), more(report.notes_more)) : null,
    report.bad && good ? make("label", { class: "tick" }, whole, t("import.whole")) : null,
    make("div", { class: "dialog-buttons" }, good ? take : null, make("button", { type: "button", onclick: () => openImport(done) }, t("import.another")), make("button", { type: "button", onclick: closeDialog }, t("desk.cancel")))), "large");
}

function lines(caption, problems) {
  return table(caption, [[t("import.line"), "number"], [t("import.column"), "narrow"], [t("import.what")]],
    problems.map((p) => [number(p.line), p.column ? t(`column.${p.column}`) : "–", say(p.says)]));
}

function more(n) { return n ? make("p", { class: "hint" }, t("import.more", { n })) : null; }
