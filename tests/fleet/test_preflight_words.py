"""What the pre-flight list and the planner say has words in every language of the station, with the same parameters."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fleet.planner_words import WORDS as REFUSALS
from fleet.planner_words import refused
from fleet.preflight_words import WORDS, item
from wire.flying import PreflightState

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("language", ["en", "vi"])
def test_the_language_files_hold_every_sentence_with_its_parameters(language: str) -> None:
    texts = json.loads((ROOT / f"station/static/language/{language}.json").read_text(encoding="utf-8"))
    for key, text in (WORDS | REFUSALS).items():
        assert set(re.findall(r"\{[^}]+\}", texts[key])) == set(re.findall(r"\{[^}]+\}", text)), key
        if language == "en":
            assert texts[key] == text, "the page and the log say the same"


def test_every_sentence_is_said_in_the_list_and_comes_with_its_key() -> None:
    code = (ROOT / "fleet/preflight.py").read_text(encoding="utf-8")
    for key in WORDS:
        assert f'"{key.removeprefix("preflight_says.")}"' in code, f"nobody says {key}"
    one = item("battery", PreflightState.FAILURE, "charge_low", percent=44, least_percent=50)
    assert one.sentence == "44 %; 50 % are needed" and one.key == "preflight_says.charge_low" and one.params["percent"] == 44


def test_every_refusal_of_the_planner_is_said_and_comes_with_its_key() -> None:
    code = "".join((ROOT / "fleet" / name).read_text(encoding="utf-8") for name in ("planner.py", "planner_debt.py"))
    for key in REFUSALS:
        assert f'refused("{key.removeprefix("plan_refused.")}"' in code, f"nobody says {key}"
    error = refused("home", corridor="khe-da", border_m=160)
    assert str(error).startswith("khe-da: home lies within 160 m") and error.key == "plan_refused.home"
