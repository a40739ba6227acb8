"""The language files, for what the station itself writes for people: the hand-over sheet, and what notifiers tell.

The same files and the same {braces} as the page's language.js, so that paper and screen use the same words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from functools import cache
from pathlib import Path

from station.sentences import Sentence

FOLDER = Path(__file__).parent / "static" / "language"
LANGUAGES = ("vi", "en")
_BRACES = re.compile(r"\{(\w+)(?:\|(\w+))?\}")
_ID = re.compile(r"\b([ACMTIH])-0+(?=\d)")


@dataclass(frozen=True, slots=True)
class Words:
    """One language. names: corridors by their id. utc_offset_min: of the sector's local time."""

    language: str
    texts: Mapping[str, str]
    names: Mapping[str, str]
    utc_offset_min: int

    def t(self, key: str, /, **params: str | float | int) -> str:
        """The text of a key, its braces filled; the key itself where there is none, so that nothing is left unsaid."""
        return _BRACES.sub(lambda found: self._fill(found, params), self.texts.get(key, key))

    def say(self, sentence: Sentence) -> str:
        return self.t(sentence.key, **sentence.params)

    def time(self, at_ns: int, with_date: bool = False) -> str:
        """Local time, HH:MM:SS."""
        local = datetime.fromtimestamp(at_ns / 1e9, UTC) + timedelta(minutes=self.utc_offset_min)
        return local.strftime("%d/%m/%Y %H:%M" if with_date else "%H:%M:%S")

    def zone(self) -> str:
        sign, minutes = ("+" if self.utc_offset_min >= 0 else "−"), abs(self.utc_offset_min)
        return f"UTC{sign}{minutes // 60}" + (f":{minutes % 60:02d}" if minutes % 60 else "")

    def short(self, text: str) -> str:
        """Ids as people say them: "C-000017" is "C-17"."""
        return _ID.sub(r"\1-", text)

    def _fill(self, found: re.Match[str], params: Mapping[str, str | float | int]) -> str:
        name, how = found.group(1), found.group(2)
        value = params.get(name)
        if value is None:
            return "?"
        key = params.get(f"{name}|key")
        if isinstance(key, str) and key in self.texts:      # a sentence within this one (wire.node_words)
            return self.t(key, **{n.removeprefix(f"{name}|"): v for n, v in params.items() if n.startswith(f"{name}|")})
        if how == "corridor":
            return ", ".join(self.names.get(i, i) for i in str(value).split(", "))
        if how == "short":
            return self.short(str(value))
        if how == "time":
            return self.time(int(value))
        if how is not None and f"{how}.{value}" in self.texts:
            return self.texts[f"{how}.{value}"]
        return value if isinstance(value, str) else self.number(value)

    def number(self, value: float, digits: int | None = None) -> str:
        """As the page writes it: one decimal, none for whole numbers; digits in groups of three."""
        if digits is None:
            digits = 0 if float(value).is_integer() else 1
        # As a browser rounds: the number as it is written, halves away from zero.
        rounded = Decimal(repr(float(value))).quantize(Decimal(1).scaleb(-digits), ROUND_HALF_UP)
        english = f"{rounded:,.{digits}f}"
        return english if self.language == "en" else english.translate({ord(","): ".", ord("."): ","})


@cache
def _texts(language: str) -> Mapping[str, str]:
    loaded: dict[str, str] = json.loads((FOLDER / f"{language}.json").read_text(encoding="utf-8"))
    return loaded


def words(language: str, names: Mapping[str, str], utc_offset_min: int) -> Words:
    """language: one of LANGUAGES; anything else is Vietnamese, which is the station's own."""
    known = language if language in LANGUAGES else LANGUAGES[0]
    return Words(known, _texts(known), names, utc_offset_min)
