// The map's own buttons come with English names; here they get those of the person's language.

import { onLanguage, t } from "./language.js";

const NAMED = {
  ".maplibregl-ctrl-zoom-in": "map.zoom_in", ".maplibregl-ctrl-zoom-out": "map.zoom_out", ".maplibregl-ctrl-attrib-button": "map.attribution",
  ".maplibregl-canvas": "map.title",
};

export function nameControls(map) {
  const name = () => {
    for (const [selector, key] of Object.entries(NAMED)) {
      for (const element of map.getContainer().querySelectorAll(selector)) {
        if (element.title) element.title = t(key);
        element.setAttribute("aria-label", t(key));
      }
    }
  };
  name();
  onLanguage(name);
}
