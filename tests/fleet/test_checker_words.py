"""Every refusal has words in every language of the station, with the same parameters, and English is said once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fleet.checker_words import PARTS, WORDS, finding, in_english

LANGUAGE = Path(__file__).resolve().parents[2] / "station/static/language"


@pytest.mark.parametrize("language", ["en", "vi"])
def test_the_language_files_hold_every_refusal_with_its_parameters(language: str) -> None:
    texts = json.loads((LANGUAGE / f"{language}.json").read_text(encoding="utf-8"))
    for key, text in WORDS.items():
        assert set(re.findall(r"\{[^}]+\}", texts[key])) == set(re.findall(r"\{[^}]+\}", text)), key
        if language == "en":
            assert texts[key] == text, "the page and the log say the same"
    assert all(texts[f"part.{part}"] for part in PARTS)
    assert language == "vi" or {p: texts[f"part.{p}"] for p in PARTS} == PARTS


def test_a_finding_s_sentence_is_its_words_with_its_numbers() -> None:
    f = finding("border", "check.border.near", 3, None, part="way_home", distance_m=88, needed_m=150)
    assert f.sentence == "the straight way home from leg 3 comes within 88 m of the border line; 150 m are kept"
    assert f.params == {"leg": 3, "part": "way_home", "distance_m": 88, "needed_m": 150} and f.key in WORDS
    assert in_english("check.border.crosses", {"part": "home"}) == "home crosses the border line"
    assert "2026-11-29 11:00 UTC" in in_english("check.permit.ends", {"until_ns": 1795950000 * 10**9})
