"""The screen and `watchlist explain` say the same of a match: every sentence, every sign, in both languages."""

from __future__ import annotations

import json
import re
import time

import msgspec
import pytest
from playwright.sync_api import expect

from geofences.sector import load_sector
from station.language import FOLDER, words
from station.matching import Match, MatchDecision
from station.picture import AlarmState, Evidence, MatchState, Sentence
from station.watchlist_explain import shown
from tests.scene import KHE_DA, alarm, contact
from tests.web_stage import SECTOR

# Halves and signs, which Python and a browser do not round alike by themselves.
BITS = (14.25, -0.25, 0.05, -0.04, 0.0, 7.35, 2.675, 1234.55, -3.0, 0.95, 0.15, 12.345)
WORDS = {
    "listed": "74C-123.45", "read": "74CI2345", "times": 9, "equivalents": 1, "percent": 70, "others": 12, "day": "4",
    "time": "04:08", "seen": 3, "person": "cô giáo Mai", "report": "R-000003", "where": "khe-da", "hours": 2.5, "fits": 4.25,
    "vehicle": "C-000017", "people": 3, "cap_bits": 3.0, "total_bits": -4.65, "corridor": "khe-da, ben-song",
}
KINDS = {"class": {"seen": "truck", "listed": "car"}, "colour": {"seen": "blue", "listed": "white"},
         "hour": {"times": 0.35}, "told": {"times": 2}}


def every_sentence() -> list[Evidence]:
    """One piece of evidence for each sentence that the language file has."""
    keys = [k for k in json.loads((FOLDER / "en.json").read_text(encoding="utf-8")) if k.startswith("match.evidence.")]
    assert len(keys) >= 17
    return [
        Evidence(key, BITS[i % len(BITS)], Sentence(key, WORDS | KINDS.get(key.split(".")[2].split("_")[0], {})))
        for i, key in enumerate(keys)
    ]


def matches() -> list[Match]:
    now = time.time_ns()
    all_of_them = tuple(every_sentence())
    yes, no = (MatchDecision(s, now, "minh", "asked") for s in (MatchState.CONFIRMED, MatchState.REJECTED))

    def match(number: int, **changes: object) -> Match:
        ids = (f"C-00000{number}", f"S-00001{number}")
        return msgspec.structs.replace(
            Match(number, *ids, "enforcement", 1, now, BITS[number], "plate", all_of_them), **changes
        )

    return [
        match(1, probability=0.565, calibrated=True), match(2, probability=0.04),
        match(3, probability=0.995, calibrated=True), match(4, lane="welfare", needed=2, decisions=[yes]),
        match(5, decisions=[yes], probability=0.3),
        match(6, decisions=[no]), match(7, merged_into=3),
    ]


@pytest.mark.parametrize("language", ["vi", "en"])
def test_the_screen_shows_what_explain_prints(logged_in, watched, language) -> None:
    now = time.time_ns()
    made = matches()
    contacts = [contact(m.contact, KHE_DA, 0.1 * m.number, now) for m in made]
    alarms = [
        alarm(f"A-00000{m.number}", now, rule="watchlist_match", contact_view=c, match=m.id, state=AlarmState.ACTIVE,
              says=Sentence("alarm.watchlist_match", {"match": m.id, "contact": m.contact, "lane": m.lane}))
        for m, c in zip(made, contacts, strict=True)
    ]
    logged_in().say(contacts=tuple(contacts), matches=tuple(m.view() for m in made), alarms=tuple(alarms))
    if language == "en":
        watched.keyboard.press("l")
        expect(watched.locator("html")).to_have_attribute("lang", "en")
    sector = load_sector(SECTOR)
    said = words(language, {c.id: c.name for c in sector.corridor_set.corridors}, sector.utc_offset_min)
    for match in made:
        watched.click(f'.card[data-id="A-00000{match.number}"]')
        expect(watched.locator("#drawer .match-subject")).to_contain_text(match.subject)
        on_paper = [re.sub(r"\s+", " ", line).strip() for line in shown(match, said)]
        on_screen = watched.locator("#drawer .match").evaluate(SCREEN_LINES)
        contact_of = said.short(match.contact)
        assert on_screen == [line.removeprefix(contact_of).strip() for line in on_paper if line != said.t("match.waiting")]


# The match's lines as a reader takes them in; of a piece of evidence its weight first, as on paper.
SCREEN_LINES = """match => {
  const lines = [], flat = node => node.textContent.replace(/\\s+/g, " ").trim();
  const spaced = node => [...node.childNodes].map(flat).filter(Boolean).join(" ");
  lines.push(flat(match.querySelector("h3")), spaced(match.querySelector(".match-subject")));
  const strength = match.querySelector(".match-strength");
  if (strength) lines.push(flat(strength));
  for (const item of match.querySelectorAll(".evidence li"))
    lines.push(`${flat(item.querySelector(".bits"))} ${flat(item.querySelector(".evidence-text"))}`);
  for (const answer of match.querySelectorAll(".match-answer")) lines.push(flat(answer));
  return lines;
}"""
