// The agency's own layers: a file is looked at, with a small picture of where it lies, and only then taken onto the map.

import { ask, AT_WORK_MS, sendFile } from "./api.js";
import { askPerson, closeDialog, empty, field, moment, openDialog, press, table, tellPerson } from "./desk.js";
import { make } from "./dom.js";
import { number, say, t } from "./language.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDE = 460, HIGH = 260, EDGE = 14;

export function drawLayers(found, again) {
  const file = make("input", { type: "file", accept: ".geojson,.json,.gpkg,.tif,.tiff", class: "unseen", "aria-label": t("layer.choose"), tabindex: "-1", onchange: () => { if (file.files[0]) lookAt(file.files[0], again); file.value = ""; } });
  const choose = make("button", { type: "button", class: "primary", onclick: () => file.click() }, t("layer.choose"));
  if (!found.length) return [empty(t("layer.none"), t("layer.none_advice"), choose), file];
  return [make("div", { class: "section-tools" }, choose), file, table(t("admin_tab.layers"), [[t("layer.name")], [t("layer.form")], [t("layer.features"), "number"], [t("layer.source")], [t("layer.added"), "narrow"], [t("admin.acts"), "acts"]],
    found.map((it) => [make("b", {}, it.name), t(`layer_form.${it.form}`), number(it.features), [it.attribution, it.as_of].filter(Boolean).join(", "), [moment(it.added_ns), " · ", it.added_by],
      make("button", { type: "button", class: "danger", onclick: () => remove(it, again) }, t("layer.remove"))]))];
}

async function lookAt(file, again) {
  openDialog(t("layer.looking"), make("p", { class: "running", role: "status" }, t("layer.looking_advice", { name: file.name })));
  const told = await press(null, () => sendFile(`/api/layers/preview?name=${encodeURIComponent(file.name.slice(0, 100))}`, file));
  if (!told) { closeDialog(); return; }
  const { found, sha256 } = told;
  if (found.refused) {
    openDialog(t("layer.cannot"), [make("p", { class: "problem", role: "alert" }, say(found.refused)), found.form ? make("p", { class: "advice" }, t(`layer_form.${found.form}`)) : ""]);
    return;
  }
  const facts = [[t("layer.form"), t(`layer_form.${found.form}`)], [t("layer.datum"), found.datum],
    found.form === "geotiff" ? [t("layer.pixels"), number(found.corners)] : [t("layer.features"), t("layer.features_text", { n: found.features, points: found.points, lines: found.lines, areas: found.areas })],
    [t("layer.box"), found.box.map((v) => v.toFixed(4)).join(" · ")]];
  askPerson({ title: t("layer.preview"), button: t("layer.take"),
    fields: [picture(found), make("dl", { class: "facts" }, facts.map(([name, value]) => make("div", { class: "fact" }, make("dt", {}, name), make("dd", {}, value)))),
      found.notes.length ? make("ul", { class: "layer-notes" }, found.notes.map((note) => make("li", {}, say(note)))) : null,
      field("name", t("layer.name"), make("input", { required: true, maxlength: 120, value: file.name.replace(/\.\w+$/, "") })),
      field("attribution", t("layer.source"), make("input", { required: true, maxlength: 120 }), t("layer.source_hint")),
      field("as_of", t("layer.as_of"), make("input", { maxlength: 60 }))],
    send: async ({ name, attribution, as_of }) => {
      const layer = await ask("/api/layers/add", { sha256, name, attribution, as_of }, AT_WORK_MS);
      closeDialog();
      tellPerson(t("layer.taken", { name: layer.name }));
      again();
    } });
}

/** Where it lies: the sector as a frame, and some of the file's shapes. */
function picture({ box, sector, sample }) {
  const west = Math.min(box[0], sector[0]), south = Math.min(box[1], sector[1]), east = Math.max(box[2], sector[2]), north = Math.max(box[3], sector[3]);
  const near = [Math.max(west, sector[0] - (sector[2] - sector[0])), Math.max(south, sector[1] - (sector[3] - sector[1])), Math.min(east, 2 * sector[2] - sector[0]), Math.min(north, 2 * sector[3] - sector[1])];
  const scale = Math.min((WIDE - 2 * EDGE) / (near[2] - near[0]), (HIGH - 2 * EDGE) / (near[3] - near[1]));
  const at = ([lon, lat]) => `${(EDGE + (lon - near[0]) * scale).toFixed(1)},${(HIGH - EDGE - (lat - near[1]) * scale).toFixed(1)}`;
  const draw = (tag, attributes) => { const it = document.createElementNS(SVG, tag); for (const [k, v] of Object.entries(attributes)) it.setAttribute(k, v); return it; };
  const svg = draw("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "layer-picture", role: "img", "aria-label": t("layer.picture") });
  const [a, b] = [at([sector[0], sector[3]]).split(","), at([sector[2], sector[1]]).split(",")];
  svg.append(draw("rect", { x: a[0], y: a[1], width: b[0] - a[0], height: b[1] - a[1], class: "sector" }));
  for (const line of sample) {
    if (line.length === 1) { const [x, y] = at(line[0]).split(","); svg.append(draw("circle", { cx: x, cy: y, r: 2.5, class: "shape" })); } else svg.append(draw("polyline", { points: line.map(at).join(" "), class: "shape" }));
  }
  return svg;
}

function remove(layer, again) {
  askPerson({ title: t("layer.remove"), advice: t("layer.remove_advice", { name: layer.name }), button: t("layer.remove"), danger: true, send: async () => {
    await ask("/api/layers/remove", { id: layer.id });
    closeDialog();
    again();
  } });
}
