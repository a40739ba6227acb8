"""Licence plates: how likely a camera reads one plate as another, and how much a reading says about a listed plate.

The reading model is a channel, a character at a time: read right, read as one of its look-alikes, or as anything else, and
these add up to one; at most one character of a plate is lost or put in. A reading weighs log2 of how likely the listed plate
gives it, over how likely the rest of the traffic does: all other plates that may be read so, each by how often it comes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache

import msgspec

EQUIVALENT_CHARACTERS = ("0ODQ", "1I", "2Z", "5S", "8B", "6G")
EQUIVALENTS_LIMIT = 2           # more of them, and it is another plate
# A node that says how sure it is of a character replaces the table by that, within limits: it saw the light of that day.
CONFIDENCE_LIMITS = (0.2, 0.99)
EQUIVALENT_SHARE = 0.8          # of all errors, those that end at a look-alike: 0.12 of 0.15
CHARACTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
DISCOUNT = 0.5                  # absolute discounting (Ney, Essen, Kneser 1994): what seen plates give to the unseen
PREFIX_PSEUDO = 0.5             # contacts that every possible beginning of a plate is given before one was counted
SERIAL_DIGITS_LEAST = 3
ODD, ODD_DIGITS = "?", 8        # what is read where no serial number is: look-alikes of letters among digits, mostly
PREFIXES_POSSIBLE = 2_000       # provinces times series, order of magnitude
TOLD_NO_AMONG = 10_000           # contacts with plates among which a plate that was answered with no is one
MISREADS_ALLOWED_SIGMA = 2.0    # readings of another text beyond this are a plate of its own, not misreadings

_EQUIVALENTS = {c: group for group in EQUIVALENT_CHARACTERS for c in group}
_FOLDED = {c: _EQUIVALENTS.get(c, c)[0] for c in CHARACTERS}
_FOLDED_ALPHABET = tuple(sorted(set(_FOLDED.values())))


class PlateRates(msgspec.Struct, frozen=True):
    """Probabilities of the reading model. plain, confusable: a character without, with look-alikes is read right.

    equivalent: one with look-alikes is read as one of them, each equally likely. missing, extra: one character of the plate
    is lost, or one is put in. vehicle_lent: whoever comes with the listed plate is not the subject.
    """

    plain: float = 0.99
    confusable: float = 0.85
    equivalent: float = 0.12
    missing: float = 0.004
    extra: float = 0.002
    vehicle_lent: float = 0.03


class PlateCounts(msgspec.Struct, frozen=True):
    """What was counted of the plates in the traffic, without a plate: keys are keyed hashes (see plate_key).

    contacts: that had a readable plate. texts: different ones. often: of those read for several contacts, how many contacts.
    prefixes: by all of a plate but its closing digits, contacts.
    """

    contacts: int = 0
    texts: int = 0
    often: dict[int, int] = {}
    prefixes: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Reading:
    """p: of this text, when the listed plate was there. equivalents: look-alikes in it. slip: "", "missing" or "extra"."""

    p: float
    equivalents: int
    slip: str


@dataclass(frozen=True, slots=True)
class Crowd:
    """How often each plate comes in the traffic. space: how many plates there may be, where nothing was counted."""

    space: float
    counts: PlateCounts
    key: Callable[[str], int]

    def chance(self, text: str) -> float:
        """That a contact with a plate, nothing else known, has this one."""
        seen = self.counts.often.get(self.key(text), 0) if self.counts.often else 0
        return self.unseen_chance(text) + max(0.0, seen - DISCOUNT) / max(1, self.counts.contacts)

    def unseen_chance(self, text: str) -> float:
        """What it has as one of all plates that begin like it. Without counts: one of the space."""
        c = self.counts
        if c.contacts == 0:
            return 1.0 / self.space
        prefix, digits = plate_parts(text)
        digits = digits if prefix in c.prefixes else max(5, digits)
        share = (c.prefixes.get(prefix, 0) + PREFIX_PSEUDO) / (c.contacts + PREFIX_PSEUDO * PREFIXES_POSSIBLE)
        left = min(1.0, DISCOUNT * c.texts / c.contacts)
        return left * share / 10.0**digits

    def seen(self, text: str) -> int:
        return self.counts.often.get(self.key(text), 0) if self.counts.often else 0


def clean_plate(text: str) -> str:
    """Letters and digits, upper case: how a plate is compared."""
    return "".join(c for c in text.upper() if c.isascii() and c.isalnum())


def canonical_plate(text: str) -> str:
    """Look-alikes made equal: two plates of one length with different results cannot be readings of each other."""
    return "".join(_FOLDED[c] for c in clean_plate(text))


def plate_parts(text: str) -> tuple[str, int]:
    """All of a clean plate but its closing digits (at most five), and how many those are.

    A text that does not close with a serial number is no plate as plates are made: all of them together are one kind.
    """
    head = text.rstrip("0123456789")
    digits = min(5, len(text) - len(head))
    if digits < SERIAL_DIGITS_LEAST:
        return ODD, ODD_DIGITS
    return text[: len(text) - digits], digits


def canonical_neighbours(text: str) -> Iterator[str]:
    """Canonical plates, one character longer or shorter, whose reading a text may be."""
    folded = canonical_plate(text)
    seen = {folded}
    for i in range(len(folded) + 1):
        left, right = folded[:i], folded[i:]
        for made in (left + right[1:], *(left + c + right for c in _FOLDED_ALPHABET)):
            if made not in seen:
                seen.add(made)
                yield made


def character_chance(read: str, true: str, rates: PlateRates) -> float:
    """P(read | true) of one character; over all that may be read it adds up to one."""
    group = _EQUIVALENTS.get(true, true)
    if len(group) == 1:
        return rates.plain if read == true else (1.0 - rates.plain) / (len(CHARACTERS) - 1)
    if read == true:
        return rates.confusable
    if read in group:
        return rates.equivalent / (len(group) - 1)
    return (1.0 - rates.confusable - rates.equivalent) / (len(CHARACTERS) - len(group))


def plate_reading(
    listed: str, read: str, rates: PlateRates, confidence: tuple[float, ...] = ()
) -> Reading | None:
    """How likely a listed plate is read so; None when it is another plate.

    confidence: how sure the reader is of each letter or digit of `read`; without it, the table. With a character lost or put
    in no more than one other may be a look-alike.
    """
    listed, read = clean_plate(listed), clean_plate(read)
    if not listed or not read or abs(len(listed) - len(read)) > 1:
        return None
    sure = _sure(read, confidence)
    if len(listed) == len(read):
        found = _same_length(listed, read, sure, rates)
        if found is None or found[1] > EQUIVALENTS_LIMIT:
            return None
        return Reading(found[0] * (1.0 - rates.missing - rates.extra), found[1], "")
    missing = len(listed) > len(read)
    longer, places = (listed, len(listed)) if missing else (read, len(read))
    total, least = 0.0, EQUIVALENTS_LIMIT
    for i in range(places):
        shorter = longer[:i] + longer[i + 1 :]
        if missing:
            found = _same_length(shorter, read, sure, rates)
        else:
            found = _same_length(listed, shorter, sure[:i] + sure[i + 1 :], rates)
        if found is not None and found[1] < EQUIVALENTS_LIMIT:
            total, least = total + found[0], min(least, found[1])
    if total == 0.0:
        return None
    each = rates.missing / places if missing else rates.extra / places / len(CHARACTERS)
    return Reading(total * each, least, "missing" if missing else "extra")


def crowd_chance(listed: str, read: str, rates: PlateRates, crowd: Crowd, confidence: tuple[float, ...] = ()) -> float:
    """P(this reading | the plate is any other than the listed one), by how often each other plate comes."""
    listed, read = clean_plate(listed), clean_plate(read)
    sure = _sure(read, confidence)
    whole = 1.0 - rates.missing - rates.extra
    listed_times = crowd.seen(listed)
    p, mass = 0.0, 0.0
    for other, likely in _may_have_been(read, sure, rates):
        mass += likely
        if other == listed:
            continue
        chance = crowd.unseen_chance(other)
        times = crowd.seen(other)
        if times:
            # A listed plate that comes often is misread often, and that makes no plate of its own.
            back = plate_reading(listed, other, rates)
            expected = listed_times * back.p if back else 0.0
            extra = times - expected - MISREADS_ALLOWED_SIGMA * math.sqrt(expected)
            chance += max(0.0, extra - DISCOUNT) / max(1, crowd.counts.contacts)
        p += likely * chance
    # All that may be read so without being alike: plates that begin as this one, each a little likely.
    p += max(0.0, 1.0 - mass) * crowd.unseen_chance(listed)
    return max(p * whole, 1e-18)


def plate_bits(
    listed: str, read: str, rates: PlateRates, crowd: Crowd, prior_odds: float, confidence: tuple[float, ...] = (),
    told_no: int = 0,
) -> tuple[float, Reading] | None:
    """Weight of a reading for a subject with this plate, and the reading; None when it is another plate.

    prior_odds: of a contact to be this subject. What bounds the weight is that somebody else may come with the plate.
    told_no: how often officers said that this very reading was another vehicle: so often has that one come. Of a reading
    without a doubtful character a no says nothing of the next one: somebody else had the vehicle.
    """
    found = plate_reading(listed, read, rates, confidence)
    if found is None:
        return None
    others = crowd_chance(listed, read, rates, crowd, confidence)
    if told_no and (found.equivalents or found.slip):
        others += told_no / max(TOLD_NO_AMONG, crowd.counts.contacts)
    lent = found.p * prior_odds * rates.vehicle_lent / (1.0 - rates.vehicle_lent)
    return math.log2(found.p / (others + lent)), found


def _sure(read: str, confidence: tuple[float, ...]) -> tuple[float, ...]:
    if len(confidence) != len(read):
        return ()
    return tuple(max(CONFIDENCE_LIMITS[0], min(CONFIDENCE_LIMITS[1], c)) for c in confidence)


def _same_length(listed: str, read: str, sure: tuple[float, ...], rates: PlateRates) -> tuple[float, int] | None:
    p, equivalents = 1.0, 0
    for i, (a, b) in enumerate(zip(listed, read, strict=True)):
        if a == b:
            p *= sure[i] if sure else character_chance(b, a, rates)
        elif b in _EQUIVALENTS.get(a, a):
            equivalents += 1
            p *= _as_equivalent(b, sure[i] if sure else None, rates)
        else:
            return None
    return p, equivalents


def _as_equivalent(read: str, sure: float | None, rates: PlateRates) -> float:
    others = len(_EQUIVALENTS[read]) - 1
    return (rates.equivalent if sure is None else EQUIVALENT_SHARE * (1.0 - sure)) / others


def _may_have_been(read: str, sure: tuple[float, ...], rates: PlateRates) -> list[tuple[str, float]]:
    """Every plate of the same length with at most two look-alikes exchanged, and how likely it is read as `read`."""
    if not sure:
        return list(_table(read, rates))
    found = []
    for text in _exchanged(read):
        p = 1.0
        for i, (a, b) in enumerate(zip(text, read, strict=True)):
            p *= sure[i] if a == b else _as_equivalent(b, sure[i], rates)
        found.append((text, p))
    return found


@lru_cache(maxsize=4096)
def _table(read: str, rates: PlateRates) -> tuple[tuple[str, float], ...]:
    found = []
    for text in _exchanged(read):
        p = 1.0
        for a, b in zip(text, read, strict=True):
            p *= character_chance(b, a, rates)
        found.append((text, p))
    return tuple(found)


@lru_cache(maxsize=4096)
def _exchanged(read: str) -> tuple[str, ...]:
    made = {read: None}
    for _ in range(EQUIVALENTS_LIMIT):
        for text in list(made):
            for i, c in enumerate(text):
                for other in _EQUIVALENTS.get(read[i], ""):
                    if other != c and other != read[i] and text[i] == read[i]:
                        made[text[:i] + other + text[i + 1 :]] = None
    return tuple(made)


def no_key(text: str) -> int:
    """For a crowd of which nothing was counted."""
    return 0


def even_crowd(space: float) -> Crowd:
    """All plates equally frequent."""
    return Crowd(space, PlateCounts(), no_key)
