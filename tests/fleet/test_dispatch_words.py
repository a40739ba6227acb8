"""What the dispatcher says has words in every language of the station, with the same parameters; English is said once."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fleet.dispatch_words import WORDS, said

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("language", ["en", "vi"])
def test_the_language_files_hold_every_sentence_with_its_parameters(language: str) -> None:
    texts = json.loads((ROOT / f"station/static/language/{language}.json").read_text(encoding="utf-8"))
    for key, text in WORDS.items():
        assert set(re.findall(r"\{[^}]+\}", texts[key])) == set(re.findall(r"\{[^}]+\}", text)), key
        if language == "en":
            assert texts[key] == text, "the page and the log say the same"


def test_every_sentence_is_said_somewhere_and_with_all_its_parameters() -> None:
    code = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "fleet").glob("*.py") if p.stem != "dispatch_words")
    for key in WORDS:
        assert f'"{key}"' in code, f"nobody says {key}"
    one = said("dispatch.battery", drone="drone-1", percent=31, least_percent=50)
    assert one.sentence == "drone-1 has 31 % in its battery; 50 % are needed" and one.params["percent"] == 31
    assert said("dispatch.late", until_ns=1795950000 * 10**9).sentence.endswith("2026-11-29 11:00 UTC")
