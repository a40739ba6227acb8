"""From what a person typed, or a line of a file, to a checked nomination, with every problem named and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from geofences.sector import Sector
from station.matching_plates import clean_plate
from station.sentences import Sentence
from station.subjects import Category, KnownVehicle, Subject
from station.watchlist_file import Draft
from wire.clock import NS_PER_S
from wire.codec import TEXT_LIMIT
from wire.units import Colour, ObjectClass

REQUIRED = ("category", "label", "reason", "lawful_basis", "what_to_do", "expires")
OPTIONAL = ("plates", "vehicles", "corridors", "hours", "days", "party_size")
COLUMNS = REQUIRED + OPTIONAL
PLATE_CHARACTERS = (4, 12)
PLATES_LIMIT = 20
PARTY_LIMIT = 200
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Wrong = Callable[[str, str, Sentence], None]     # column, and what is wrong: for the command line, and for the screen
VEHICLE_CLASSES = tuple(c for c in ObjectClass if c is not ObjectClass.PERSON)


@dataclass(frozen=True, slots=True)
class Problem:
    """line: in the file, from 1; 0 for what was typed. column: "" when it is the line as a whole. says: the same in the
    language of whoever looks; None where there are no words of its own.
    """

    line: int
    column: str
    sentence: str
    says: Sentence | None = None

    def __post_init__(self) -> None:
        """What stood in a file is quoted to a terminal or a page: nothing in it may steer either."""
        object.__setattr__(self, "sentence", visible(self.sentence))
        if self.says is not None:
            params = {name: visible(v) if isinstance(v, str) else v for name, v in self.says.params.items()}
            object.__setattr__(self, "says", Sentence(self.says.key, params))

    def __str__(self) -> str:
        where = f"line {self.line}: " if self.line else ""
        return f"{where}{self.column + ': ' if self.column else ''}{self.sentence}"


def visible(text: str) -> str:
    """With a mark in place of what cannot be shown."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def make_draft(
    fields: Mapping[str, str], sector: Sector, now_ns: int, line: int = 0
) -> tuple[Draft | None, list[Problem]]:
    """Check the fields of one nomination, by column name. Returns the draft, or None and every problem.

    Several values in one field are parted by ";"; a vehicle is PLATE or PLATE/class or PLATE/class/colour; hours are
    HH:MM-HH:MM, days are mon to sun; expires is YYYY-MM-DD, to the end of that day.
    """
    problems: list[Problem] = []

    def wrong(column: str, sentence: str, says: Sentence) -> None:
        problems.append(Problem(line, column, sentence, says))

    text = {c: (fields.get(c) or "").strip() for c in COLUMNS}
    for column in REQUIRED:
        if not text[column]:
            wrong(column, "is empty; every record needs one", Sentence("nominate.empty"))
    for column in COLUMNS:
        _check_text(column, text[column], wrong)
    category = next((c for c in Category if c.value == text["category"]), None)
    if category is None and text["category"]:
        known = ", ".join(c.value for c in Category)
        wrong("category", f'"{text["category"][:40]}" is none of {known}',
              Sentence("nominate.none_of", {"given": text["category"][:40], "known": known}))
    expires_ns = _expires(text["expires"], sector.utc_offset_min, now_ns, wrong) if text["expires"] else None
    plates = tuple(dict.fromkeys(p for p in _split(text["plates"]) if _is_plate(p, "plates", wrong)))
    vehicles = tuple(v for p in _split(text["vehicles"]) if (v := _vehicle(p, wrong)) is not None)
    if len(plates) + len(vehicles) > PLATES_LIMIT:
        count = len(plates) + len(vehicles)
        wrong("plates", f"{count} plates and vehicles; the limit is {PLATES_LIMIT}. Make two records.",
              Sentence("nominate.too_many_plates", {"count": count, "most": PLATES_LIMIT}))
    corridors_known = {c.id for c in sector.corridor_set.corridors}
    corridors = tuple(dict.fromkeys(_split(text["corridors"])))
    for corridor in corridors:
        if corridor not in corridors_known:
            there = ", ".join(sorted(corridors_known))
            wrong("corridors", f'"{corridor[:40]}" is no corridor of this sector; there are {there}',
                  Sentence("nominate.no_corridor", {"given": corridor[:40], "known": there}))
    hours = _hours(text["hours"], wrong) if text["hours"] else None
    days = _days(text["days"], wrong)
    party_size = _party(text["party_size"], wrong) if text["party_size"] else None
    if problems or category is None or expires_ns is None:
        return None, problems
    return Draft(
        category, text["label"], text["reason"], text["lawful_basis"], text["what_to_do"], expires_ns, plates, vehicles,
        corridors, hours, party_size, days,
    ), []


def read_expiry(text: str, utc_offset_min: int, now_ns: int) -> tuple[int | None, list[Problem]]:
    """The end of a day that a person names, as make_draft takes it; or why not."""
    problems: list[Problem] = []

    def wrong(column: str, sentence: str, says: Sentence) -> None:
        problems.append(Problem(0, column, sentence, says))

    return _expires(text.strip(), utc_offset_min, now_ns, wrong), problems


def fields_of(subject: Subject, utc_offset_min: int) -> dict[str, str]:
    """A subject as `make_draft` takes it again."""
    last_day = datetime.fromtimestamp(subject.expires_ns / 1e9, UTC) + timedelta(minutes=utc_offset_min, seconds=-1)
    hours = "" if subject.hours is None else "-".join(f"{m // 60:02d}:{m % 60:02d}" for m in subject.hours)
    vehicles = ["/".join([v.plate, v.object_class.value if v.object_class else "", v.colour]) for v in subject.vehicles]
    return {
        "category": subject.category.value, "label": subject.label, "reason": subject.reason,
        "lawful_basis": subject.lawful_basis, "what_to_do": subject.what_to_do, "expires": last_day.strftime("%Y-%m-%d"),
        "plates": "; ".join(subject.plates), "vehicles": "; ".join(v.rstrip("/") for v in vehicles),
        "corridors": "; ".join(subject.corridors), "hours": hours, "days": "; ".join(DAYS[d] for d in subject.days),
        "party_size": "" if subject.party_size is None else str(subject.party_size),
    }


def describe(subjects: list[Subject], now_ns: int) -> str:
    """A table of subjects for a terminal: id, lane, category, state, expiry and what is left of it, identifiers, label."""
    rows = [("id", "lane", "category", "state", "expires", "in days", "identifiers", "label")]
    for s in subjects:
        expires = datetime.fromtimestamp(s.expires_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%MZ")
        left = max(0, s.expires_ns - now_ns) // (86400 * NS_PER_S)
        identifiers = ", ".join(s.all_plates) or "-"
        label = "".join(c if c.isprintable() else "?" for c in s.label)
        rows.append((s.id, s.lane.value, s.category.value, state_of(s, now_ns), expires, str(left), identifiers, label))
    widths = [max(len(r[i]) for r in rows) for i in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def state_of(subject: Subject, now_ns: int) -> str:
    if now_ns >= subject.expires_ns:
        return "expired"
    return "approved" if subject.approved_by else "waits for approval"


def _check_text(column: str, text: str, wrong: Wrong) -> None:
    if len(text) > TEXT_LIMIT:
        wrong(column, f"{len(text)} characters; the limit is {TEXT_LIMIT}",
              Sentence("nominate.too_long", {"count": len(text), "most": TEXT_LIMIT}))
    # Line breaks and characters that turn the writing round would make one record look like another on a screen.
    if not text.isprintable():
        bad = next(c for c in text if not c.isprintable())
        wrong(column, f"has a character that cannot be shown (U+{ord(bad):04X}); take it out",
              Sentence("nominate.hidden_character", {"code": f"U+{ord(bad):04X}"}))
    if text.startswith("="):
        wrong(column, 'begins with "=", as a formula does; write the text itself', Sentence("nominate.formula"))


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(";") if part.strip()]


def _is_plate(text: str, column: str, wrong: Wrong) -> bool:
    least, most = PLATE_CHARACTERS
    if least <= len(clean_plate(text)) <= most:
        return True
    wrong(column, f'"{text[:40]}": a plate has {least} to {most} letters and digits, for example 74C-123.45',
          Sentence("nominate.no_plate", {"given": text[:40], "least": least, "most": most}))
    return False


def _vehicle(text: str, wrong: Wrong) -> KnownVehicle | None:
    plate, _, rest = text.partition("/")
    kind, _, colour = (part.strip() for part in rest.partition("/"))
    if not _is_plate(plate, "vehicles", wrong):
        return None
    if kind and kind not in [c.value for c in VEHICLE_CLASSES]:
        known = ", ".join(c.value for c in VEHICLE_CLASSES)
        wrong("vehicles", f'"{kind[:40]}" is none of {known}',
              Sentence("nominate.none_of", {"given": kind[:40], "known": known}))
        return None
    if colour and colour.lower() not in tuple(Colour):
        known = ", ".join(Colour)
        wrong("vehicles", f'the colour "{colour[:40]}" is none of {known}; leave it out if none fits',
              Sentence("nominate.none_of", {"given": colour[:40], "known": known}))
        return None
    return KnownVehicle(plate.strip(), ObjectClass(kind) if kind else None, colour)


def _expires(text: str, utc_offset_min: int, now_ns: int, wrong: Wrong) -> int | None:
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
        end = day + timedelta(days=1) - timedelta(minutes=utc_offset_min)
    except (ValueError, OverflowError):
        wrong("expires", f'"{text[:40]}" is no date; write it as YYYY-MM-DD',
              Sentence("nominate.no_date", {"given": text[:40]}))
        return None
    expires_ns = round(end.timestamp()) * NS_PER_S
    if expires_ns <= now_ns:
        wrong("expires", f"{text} is over; a record that has expired matches nothing",
              Sentence("nominate.over", {"given": text}))
        return None
    if expires_ns >= 2**63:
        wrong("expires", f"{text} is too far away; give a day on which somebody looks at this record again",
              Sentence("nominate.too_far", {"given": text}))
        return None
    return expires_ns


def _hours(text: str, wrong: Wrong) -> tuple[int, int] | None:
    start, _, end = text.partition("-")
    minutes = (_minute(start), _minute(end))
    if minutes[0] is None or minutes[1] is None:
        wrong("hours", f'"{text[:40]}": write local hours as HH:MM-HH:MM, for example 22:00-04:30',
              Sentence("nominate.no_hours", {"given": text[:40]}))
        return None
    return minutes[0], minutes[1]


def _minute(text: str) -> int | None:
    hours, _, minutes = text.strip().partition(":")
    if not (hours.isascii() and minutes.isascii() and hours.isdigit() and minutes.isdigit()):
        return None
    if len(hours) > 2 or len(minutes) != 2 or int(minutes) > 59:
        return None
    total = int(hours) * 60 + int(minutes)
    return total if total <= 1440 else None


def _days(text: str, wrong: Wrong) -> tuple[int, ...]:
    found = []
    for part in _split(text):
        if part.lower() not in DAYS:
            wrong("days", f'"{part[:40]}" is none of {", ".join(DAYS)}',
                  Sentence("nominate.none_of", {"given": part[:40], "known": ", ".join(DAYS)}))
        else:
            found.append(DAYS.index(part.lower()))
    return tuple(sorted(set(found)))


def _party(text: str, wrong: Wrong) -> int | None:
    if text.isascii() and text.isdigit() and len(text) < 9 and 1 <= int(text) <= PARTY_LIMIT:
        return int(text)
    wrong("party_size", f'"{text[:40]}": give a whole number from 1 to {PARTY_LIMIT}',
          Sentence("nominate.no_party", {"given": text[:40], "most": PARTY_LIMIT}))
    return None
