"""A calibration speaks Vietnamese and English: nothing is missing, and nothing is said that has no words."""

import re
from pathlib import Path
from string import Formatter

import pytest

from cameras.calibrate_words import REFUSALS
from edge.calibration_words import LANGUAGES, PAGE, RESULT

ROOT = Path(__file__).resolve().parents[2]
ALIKE = {"name", "is_at", "column.sigmas"}          # short, or nothing but what is put in


def gaps(text):
    return sorted(name for _, name, _, _ in Formatter().parse(text) if name)


@pytest.mark.parametrize("table", [REFUSALS, PAGE, RESULT], ids=["refusals", "page", "result"])
def test_everything_is_said_in_both_languages_with_the_same_gaps(table):
    for key, texts in table.items():
        assert set(texts) == set(LANGUAGES) and all(texts.values()), key
        assert gaps(texts["vi"]) == gaps(texts["en"]), key
        assert texts["vi"] != texts["en"] or key in ALIKE, key
        assert re.search(r"[^\x00-\x7f]", texts["vi"]) or key in ALIKE, f"{key}: Vietnamese without a mark"


def test_the_page_says_what_there_are_words_for_and_nothing_else():
    sheet = (ROOT / "edge/calibration.html").read_text(encoding="utf-8")
    asked = set(re.findall(r'data-(?:say|hint)="(\w+)"', sheet)) | set(re.findall(r"\bt\('(\w+)'", sheet))
    asked |= set(re.findall(r"^\s*(?:\?|:.*\?) '(\w+)'$", sheet, re.MULTILINE))
    asked |= set(re.findall(r"\? '(\w+)' : ''", sheet))
    assert asked == set(PAGE)
    shown = re.sub(r"<script.*|<style>.*?</style>|<[^>]*>", "", sheet, flags=re.DOTALL)
    assert shown.replace("Trailwatch", "").strip() == "", "words that stand in the page itself are in one language"


def test_every_refusal_has_words_and_every_word_is_said():
    source = (ROOT / "cameras/calibrate.py").read_text(encoding="utf-8")
    assert set(re.findall(r'CalibrationRefused\(\s*"(\w+)"', source)) == set(REFUSALS)
