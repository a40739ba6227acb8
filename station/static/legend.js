// What the map's signs mean, and what of the base map is drawn. Folded away unless asked for.

import { has, isOn, ownLayers, PARTS, toggle } from "./basemap.js";
import { classGlyph, make, priorityShape } from "./dom.js";
import { onLanguage, t } from "./language.js";
import { on } from "./state.js";

export function startLegend(element) {
  let open = false;
  const build = () => {
    const row = (mark, text) => make("li", {}, mark, make("span", {}, text));
    const sign = (name) => make("i", { class: `sign ${name}`, "aria-hidden": "true" });
    element.replaceChildren(make("details", { open, ontoggle: (event) => { open = event.target.open; } },
      make("summary", {}, t("legend.title")),
      make("ul", {},
        [1, 2, 3].map((p) => row(priorityShape(p), t("priority.name", { n: p }))),
        row(sign("contact"), t("legend.contact")), row(classGlyph("car"), t("legend.vehicle")), row(sign("ellipse"), t("legend.ellipse")), row(sign("hatched"), t("legend.stale")),
        row(sign("line"), t("legend.border")), row(sign("band"), t("legend.corridor")), row(sign("keep-out"), t("legend.keep_out")),
        row(sign("view"), t("legend.footprint")), row(sign("no-view"), t("legend.blind")), row(sign("plan"), t("legend.plan"))),
      layers()));
  };
  onLanguage(build);
  on("basemap", build);
  build();
}

/** A switch for each part of the base map that there is. */
function layers() {
  const parts = [...PARTS.filter(has).map((part) => [part, t(`layers.${part}`)]), ...ownLayers().map((it) => [`own-${it.id}`, it.name])];
  if (!parts.length) return "";
  return make("fieldset", { class: "layers" }, make("legend", {}, t("layers.title")),
    parts.map(([part, words]) => make("label", {}, make("input", { type: "checkbox", checked: isOn(part), onchange: () => toggle(part) }), words)));
}
