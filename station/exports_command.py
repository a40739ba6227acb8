"""`./trailwatch export`: a file of contacts, detections or alarms, by a person who may, and on the record."""

from __future__ import annotations

import argparse
import re
from datetime import UTC, datetime

import msgspec

from geofences.sector import load_sector
from station.access import AccessError, open_people
from station.archive import QUERY_OF, Archive
from station.export_kinds import ExportFormat, ExportKind
from station.queries import EVER_NS
from station.queries_area import QueryError
from station.settings import StationSettings
from station.store_arguments import FILTERS
from station.web_history import WHO_EXPORTS
from wire.clock import Clock, WallClock
from wire.settings import SettingsError

_AGO = re.compile(r"(\d+(?:\.\d+)?)([mhd])")
_SECONDS = {"m": 60, "h": 3600, "d": 86400}


def export(settings: StationSettings, person: str, a: argparse.Namespace, clock: Clock | None = None) -> str:
    """Write the file. Returns what to print. Raises SettingsError in words."""
    clock = clock or WallClock()
    _check_role(settings, person, clock)
    kind, form = ExportKind(a.what), ExportFormat(a.format)
    given: dict[str, object] = {name: getattr(a, name) for name in FILTERS if getattr(a, name)}
    given["since_ns"] = read_time("--since", a.since, clock) if a.since else 0
    given["until_ns"] = read_time("--until", a.until, clock) if a.until else EVER_NS
    try:
        query = msgspec.convert(given, QUERY_OF[kind])
        archive = Archive(settings, load_sector(settings.sector), clock)
        with a.out.open("xb") as file:
            try:
                made = archive.export(person, kind, form, query)
            except BaseException:
                a.out.unlink()
                raise
            file.write(made.content)
    except (msgspec.ValidationError, QueryError) as error:
        raise SettingsError(f"export {kind.value}: {error}") from None
    except OSError as error:
        raise SettingsError(f"--out {a.out}: {error.strerror}. An export overwrites nothing; name another file.") from None
    cut = "" if made.is_whole else " There is more than fits in one file: ask for a shorter time."
    return f"{a.out}: {made.rows} {kind.value}; it is on the record.{cut}"


def read_time(option: str, text: str, clock: Clock) -> int:
    """An ISO 8601 time, UTC where it names no zone, or so long ago. Raises SettingsError."""
    ago = _AGO.fullmatch(text)
    if ago:
        return clock.utc_ns() - round(float(ago.group(1)) * _SECONDS[ago.group(2)] * 1e9)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        hint = "give a time like 2026-11-25T04:00Z, or 90m, 12h, 3d for so long ago"
        raise SettingsError(f'{option} "{text}": {hint}') from None
    return round((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp() * 1e9)


def _check_role(settings: StationSettings, person: str, clock: Clock) -> None:
    people = open_people(settings, clock)
    try:
        found = next((p for p in people.everyone() if p.name == person), None)
    finally:
        people.close()
    if found is not None and found.role not in WHO_EXPORTS:
        roles = ", ".join(sorted(WHO_EXPORTS))
        raise SettingsError(f"{person} is {found.role.value}; only {roles} may take data out of the station")


__all__ = ["AccessError", "export", "read_time"]
