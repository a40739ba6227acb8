"""What the dispatcher says has words in every language of the station, with the same parameters; English is said once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fleet.dispatch_words import WORDS, Said, plain, said

ROOT = Path(__file__).resolve().parents[2]
FLEET = sorted((ROOT / "fleet").glob("*.py"))
# Where sentences without a key are made: an autopilot's own words, and commands that a test names.
WITHOUT_A_KEY = {"commands", "sortie"}


@pytest.mark.parametrize("language", ["en", "vi"])
def test_the_language_files_hold_every_sentence_with_its_parameters(language: str) -> None:
    texts = json.loads((ROOT / f"station/static/language/{language}.json").read_text(encoding="utf-8"))
    for key, text in WORDS.items():
        # Of {mode|flight_mode} the page says the value in words; the log has the autopilot's own name of it.
        assert set(re.findall(r"\{([^}|]+)[^}]*\}", texts[key])) == set(re.findall(r"\{([^}|]+)[^}]*\}", text)), key
        if language == "en" and "|" not in texts[key]:
            assert texts[key] == text, "the page and the log say the same"


def test_every_sentence_is_said_somewhere_and_with_all_its_parameters() -> None:
    code = "\n".join(p.read_text(encoding="utf-8") for p in FLEET if p.stem not in ("dispatch_words", "flight_words"))
    for key in WORDS:
        assert f'"{key}"' in code, f"nobody says {key}"
    one = said("dispatch.battery", drone="drone-1", percent=31, least_percent=50)
    assert one.sentence == "drone-1 has 31 % in its battery; 50 % are needed" and one.params["percent"] == 31
    assert said("dispatch.late", until_ns=1795950000 * 10**9).sentence.endswith("2026-11-29 11:00 UTC")


def test_nothing_that_a_person_reads_is_said_in_english_alone() -> None:
    """What a task or an answer says is a Said (mypy holds it to that), and only an autopilot's own words have no key."""
    made = {p.stem for p in FLEET if re.search(r"\bplain\(", p.read_text(encoding="utf-8"))} - {"dispatch_words"}
    assert made == WITHOUT_A_KEY
    for path in FLEET:
        assert not re.search(r"""\.say\([^)]*,\s*f?["']""", path.read_text(encoding="utf-8")), path


def test_a_sentence_within_a_sentence_keeps_its_key_and_its_parameters() -> None:
    why = said("look.given_up", contact="c1", seconds=60)
    whole = said("task.home", why=why, drone="drone-1")
    assert whole.sentence == "contact c1 has not been seen for 60 s; drone-1 comes home"
    assert whole.params == {
        "why": why.sentence, "why|key": "look.given_up", "why|contact": "c1", "why|seconds": 60, "drone": "drone-1",
    }
    again = said("sortie.errand_early_after", drone="drone-1", why=(said("before.link", item=4), plain("EKF Failsafe")))
    assert again.sentence == "drone-1 landed before its errand was over, after its link was lost at item 4; EKF Failsafe"
    assert (again.params["why|n"], again.params["why|0|key"], again.params["why|0|item"]) == (2, "before.link", 4)
    assert "why|1|key" not in again.params and again.params["why|1"] == "EKF Failsafe"
    outer = said("sortie.called_back", why=again, outcome=Said("mode RTL: accepted", ""))
    assert outer.params["why|why|0|key"] == "before.link"
