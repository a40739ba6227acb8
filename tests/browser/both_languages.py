"""What a page shows in Vietnamese and in English alike: a text that is the same in both was written in one of them only."""

from __future__ import annotations

import re
from collections.abc import Callable

SWITCH = """() => [...document.querySelectorAll("button")]
  .find((button) => ["English", "Tiếng Việt"].includes(button.textContent.trim())).click()"""
SHOWN = r"""() => {
  const found = [document.title], tidy = (text) => text.replace(/\s+/g, " ").trim();
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const { parentElement: element, textContent } = walk.currentNode;
    if (["SCRIPT", "STYLE"].includes(element.tagName) || !element.checkVisibility()) continue;
    if (tidy(textContent)) found.push(tidy(textContent));
  }
  for (const name of ["title", "aria-label", "aria-description", "placeholder", "alt"])
    for (const element of document.querySelectorAll(`[${name}]`))
      if (element.checkVisibility()) found.push(tidy(element.getAttribute(name)));
  return found;
}"""
# What may be the same in both, and why. Everything else that has a word of three letters or more is written in one language.
SAME = re.compile("|".join((
    r"\bTrailwatch\b",                                              # a name
    r"TRAINING / HUẤN LUYỆN|\bSIM\b",                               # markings: in both languages at once
    r"\b(?:cam|camera|gate|drone|river)-[\w-]+",       # nodes and sensors, by their names
    r"Lao Bảo|Đường mòn Khe Đá|Lối mòn Bến Sông|\b(?:khe-da|ben-song)(?:-inland)?\b|\blaobao\b",     # places
    r"\b[A-Z]{1,2}-[\w-]+",                                         # ids of what the station keeps
    r"\b\d\d[A-Z]-?[\dI.]+",                                        # plates
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC|UTC[+−]\d+",               # times, the zone
    r"MGRS|\b\d\d[A-Z] [A-Z]{2}\b",                                 # grid references
    r"\b(?:GPS|MAVLink|HDOP|GNSS|SHA-256|PDF|CSV|TOML|ONVIF|GeoJSON|GeoPackage|GeoTIFF)\b",   # one word everywhere
    r"\b(?:Enter|Esc|Shift|Ctrl)\b",                                # keys
    r"\b[Cc]amera\b",                           # one word in both languages
    r"OpenStreetMap contributors, ODbL[\w.,() -]*",                 # how the border line's source asks to be named
    r"\b[0-9a-f]{12,64}\b",                                         # fingerprints of files
    r"[\w-]+\.(?:db|toml|json|csv)\b|(?:/[\w.-]+)+",                # files
    r"tcp://\S+|[\w-]+@[\w.-]+",
)))
ANSWERS_WITHIN_S = 20       # what a page asks of its server anew, once the language has changed
WORD = re.compile(r"[^\W\d_]{3,}")


def in_one_language(page, *quoted: str, draw: Callable[[], object] = lambda: None) -> list[str]:
    """The texts of a page as it stands that are the same in both languages. quoted: names of people, and what they wrote.

    The page is switched by its own button, and switched back. draw: opens anew what stands over the switch.
    """
    known = re.compile("|".join(re.escape(q) for q in sorted(quoted, key=len, reverse=True)) or r"(?!)")
    first = _shown(page)
    page.evaluate(SWITCH)
    draw()
    left: list[str] = []
    for _ in range(ANSWERS_WITHIN_S):
        second = _shown(page)
        left = sorted(text for text in first & second if WORD.search(SAME.sub(" ", known.sub(" ", text))))
        if not left:
            break
        page.wait_for_timeout(1000)
    assert len(first & second) < len(first), "nothing on this page changes with the language"
    page.evaluate(SWITCH)
    draw()
    _shown(page)
    return left


def _shown(page) -> set[str]:
    """All texts, once the page has stood still for a moment."""
    before, now = None, set(page.evaluate(SHOWN))
    for _ in range(10):
        if now == before:
            break
        page.wait_for_timeout(300)
        before, now = now, set(page.evaluate(SHOWN))
    return now
