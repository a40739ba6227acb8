// Before anything is drawn: whether this browser was left in night mode. No module, so that nobody is dazzled by a first white moment.
try { document.documentElement.toggleAttribute("data-night", localStorage.getItem("trailwatch.night") === "on"); } catch { /* no storage: day */ }
