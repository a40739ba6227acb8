"""Several readings of one licence plate become one, with how likely each of its characters is right.

Readings are aligned and vote column by column (Fiscus 1997, "A post-processing system to yield reduced word error rates:
Recognizer Output Voting Error Reduction"), here with the probabilities of all characters instead of the best one alone.
The form of Vietnamese plates is a prior of bounded odds: it decides between characters that look alike, and cannot make a
plate of what was plainly read as something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geofences.geodesy import Array

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
LENGTHS = range(6, 10)          # letters and digits of a plate
DIGITS_LEAST = 4
# D a digit, S a letter of a series, X either, M a letter. Circular 79/2024/TT-BCA: two digits of the province, one or two
# letters (motorcycles: a letter and a digit), four or five digits; the army: two letters, four digits.
FORMS = ("DDSDDDD", "DDSDDDDD", "DDSXDDDD", "DDSXDDDDD", "MMDDDD")
_CLASSES = {
    "D": "0123456789", "S": "ABCDEFGHKLMNPSTUVXYZ", "X": "0123456789ABCDEFGHKLMNPSTUVXYZ", "M": "ABCDEFGHKLMNPQRSTUVXYZ",
}
MISFITS_LIMIT = 2               # characters outside of a plate's form that may be misread ones; more, and it is no plate
FORM_ODDS = 20.0                # how much likelier a character that fits the form is; foreign plates pass here, too
LOOK_ALIKES = ("0ODQ", "1I", "2Z", "5S", "8B", "6G")      # the groups of station.matching (DESIGN.md)
CONFUSED = 0.02                 # chance that a character is one that looks like it, however sure the readings are
SURE_LEAST = 0.8                # geometric mean of the confidences; below it, nothing is told
INDEPENDENCE = 0.5              # n readings of one plate in one light weigh as n to this power: their errors are alike
FLOOR = 1e-4                    # no reading is surer than this that a character is *not* there
GAP_COST = 0.4                  # against 0 to 1 for two characters laid upon each other
READINGS_LIMIT = 12             # of one track that are kept: the best ones

_FITS = {kind: np.array([c in letters for c in ALPHABET]) for kind, letters in _CLASSES.items()}


def _confusions() -> Array:
    """(36, 36): from what was read to what it may be."""
    out = np.eye(len(ALPHABET))
    for group in LOOK_ALIKES:
        at = [ALPHABET.index(c) for c in group]
        for i in at:
            out[i, at] = CONFUSED / (len(at) - 1)
            out[i, i] = 1.0 - CONFUSED
    return out


_CONFUSIONS = _confusions()


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """One reading of a plate.

    chances: (n, 36) probability of each character of ALPHABET at n places; what a row lacks to 1 is none of them.
    area_px: of the plate in the picture. sharpness: see edge.plate_ocr.
    """

    chances: Array
    area_px: float
    sharpness: float

    @property
    def text(self) -> str:
        """The likeliest character of each place."""
        return "".join(ALPHABET[i] for i in self.chances.argmax(axis=1))

    @property
    def worth(self) -> float:
        """Which of two readings to keep: how sure it is of itself."""
        return float(np.prod(self.chances.max(axis=1))) if len(self.chances) else 0.0


@dataclass(frozen=True, slots=True)
class Plate:
    """text: with the signs between, where its form is known. confidence: of each letter or digit, 0 to 1."""

    text: str
    confidence: tuple[float, ...]
    readings: int


def vote(readings: Sequence[Reading]) -> Plate | None:
    """One plate from readings of one vehicle, or None where what was read is no plate."""
    readings = [r for r in readings if len(r.chances)]
    if not readings:
        return None
    chances = _pooled(_aligned(readings), len(readings))
    chances[:, :-1] = chances[:, :-1] @ _CONFUSIONS
    form = form_of("".join(ALPHABET[i] for i in chances[:, :-1].argmax(axis=1)))
    if form is not None:
        fits = np.array([_FITS[kind] for kind in form])
        chances[:, :-1] *= np.where(fits, 1.0, 1.0 / FORM_ODDS)
        chances[:, -1] /= FORM_ODDS
        chances /= chances.sum(axis=1, keepdims=True)
    best = chances[:, :-1].argmax(axis=1)
    text = "".join(ALPHABET[i] for i in best)
    if form_of(text) is None:
        return None
    sure = chances[np.arange(len(best)), best]
    if np.log(sure).mean() < np.log(SURE_LEAST):
        return None
    return Plate(spelled(text), tuple(round(float(c), 3) for c in sure), len(readings))


def form_of(text: str) -> str | None:
    """The form of plates that letters and digits come nearest to, or None where they are no plate."""
    if len(text) not in LENGTHS or sum(c.isdigit() for c in text) < DIGITS_LEAST - MISFITS_LIMIT:
        return None
    forms = [f for f in FORMS if len(f) == len(text)]
    if not forms:
        return None
    best = min(forms, key=lambda f: _misfits(text, f))
    allowed = 0 if best.startswith("M") else MISFITS_LIMIT
    return best if _misfits(text, best) <= allowed else None


def spelled(text: str) -> str:
    """Letters and digits with the signs between them as they stand on a plate, where the text fits a form exactly."""
    form = form_of(text)
    if form is None or _misfits(text, form):
        return text
    if form.startswith("M"):
        return f"{text[:2]}-{text[2:]}"
    series = 4 if "X" in form else 3
    number = text[series:]
    return f"{text[:series]}-{number[:3]}.{number[3:]}" if len(number) == 5 else f"{text[:series]}-{number}"


def _misfits(text: str, form: str) -> int:
    return sum(c not in _CLASSES[kind] for c, kind in zip(text, form, strict=True))


# ------------------------------------------------------------------------------------------------------- the columns


@dataclass(slots=True)
class _Column:
    """log_sum: (37,) sum of the logarithms of what its readings say; the last is "none of them". count: how many say it."""

    log_sum: Array
    count: int

    @property
    def chances(self) -> Array:
        level = self.log_sum / self.count
        spread: Array = np.exp(level - level.max())
        return np.asarray(spread / spread.sum())


def _aligned(readings: Sequence[Reading]) -> list[_Column]:
    """Columns that most readings share. The surest reading comes first, the others are laid upon it one after the other."""
    ordered = sorted(readings, key=lambda r: -r.worth)
    columns = [_Column(np.log(row), 1) for row in _whole(ordered[0])]
    for reading in ordered[1:]:
        columns = _laid_upon(columns, _whole(reading))
    return [c for c in columns if c.count * 2 > len(ordered)] or columns


def _whole(reading: Reading) -> Array:
    """(n, 37), each row sums to 1 and nothing in it is impossible."""
    none = np.clip(1.0 - reading.chances.sum(axis=1, keepdims=True), 0.0, 1.0)
    rows: Array = np.maximum(np.hstack([np.clip(reading.chances, 0.0, 1.0), none]), FLOOR)
    return np.asarray(rows / rows.sum(axis=1, keepdims=True))


def _laid_upon(columns: list[_Column], rows: Array) -> list[_Column]:
    """Needleman and Wunsch (1970): the cheapest way to lay rows upon columns, with gaps in either."""
    m, n = len(columns), len(rows)
    alike = np.array([c.chances for c in columns]) @ rows.T
    value = np.zeros((m + 1, n + 1))
    value[:, 0], value[0, :] = -GAP_COST * np.arange(m + 1), -GAP_COST * np.arange(n + 1)
    for i in range(1, m + 1):
        for j in range(1, n + 1):
            value[i, j] = max(
                value[i - 1, j - 1] + alike[i - 1, j - 1], value[i - 1, j] - GAP_COST, value[i, j - 1] - GAP_COST
            )
    out: list[_Column] = []
    i, j = m, n
    while i or j:
        if i and j and np.isclose(value[i, j], value[i - 1, j - 1] + alike[i - 1, j - 1]):
            i, j = i - 1, j - 1
            out.append(_Column(columns[i].log_sum + np.log(rows[j]), columns[i].count + 1))
        elif i and np.isclose(value[i, j], value[i - 1, j] - GAP_COST):
            i -= 1
            out.append(columns[i])
        else:
            j -= 1
            out.append(_Column(np.log(rows[j]), 1))
    return out[::-1]


def _pooled(columns: list[_Column], readings: int) -> Array:
    """(n, 37) probabilities: mean logarithms, sharpened by their number, less the share that saw nothing there."""
    rows = []
    for column in columns:
        level = column.log_sum / column.count * column.count**INDEPENDENCE
        spread = np.exp(level - level.max())
        row = spread / spread.sum() * (column.count / readings)
        row[-1] += 1.0 - row.sum()
        rows.append(row)
    return np.array(rows)
