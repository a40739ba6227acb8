"""axe-core on a page as it stands: what a person who cannot see it well, or uses no mouse, would run into."""

from __future__ import annotations

import io
import os
from pathlib import Path

import axe_playwright_python
from PIL import Image

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text(encoding="utf-8")
SERIOUS = ("serious", "critical")
LIGHT = "night => document.documentElement.toggleAttribute('data-night', night)"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def faults(page) -> list[str]:
    """Serious and critical ones, each with the elements that have it. Put in by the driver, past the page's own CSP.

    The watermark is left out: it is meant to be faint, and says what the badge in the head says in full contrast.
    """
    page.evaluate(AXE)
    # Colours fade in when something is hovered or opened: what is measured is what stays.
    page.evaluate("""Promise.allSettled(document.getAnimations().filter(
        a => Number.isFinite(a.effect.getComputedTiming().endTime)).map(a => a.finished))""")
    options = {"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]}
    found = page.evaluate("options => axe.run({exclude: ['.watermark']}, options)", options)
    return [
        f"{v['id']} ({v['impact']}): {'; '.join(n['target'][0] + ' ' + n['failureSummary'] for n in v['nodes'][:3])}"
        for v in found["violations"] if v["impact"] in SERIOUS
    ]


def faults_in_both_lights(page, view: str) -> list[str]:
    """By day and by night. Where TRAILWATCH_SCREENSHOTS names a folder, pictures of both are left there for the docs."""
    was = page.evaluate("document.documentElement.hasAttribute('data-night')")
    found = []
    for light in ("day", "night"):
        page.evaluate(LIGHT, light == "night")
        found += [f"{light}: {fault}" for fault in faults(page)]
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            found.append(f"{light}: wider than its window")
        if folder := os.environ.get("TRAILWATCH_SCREENSHOTS"):
            picture = Image.open(io.BytesIO(page.screenshot()))
            picture.save(Path(folder) / f"{view}-{light}.webp", quality=82, method=6)
    page.evaluate(LIGHT, was)
    return found
