"""What a score reads of a station's databases."""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from pathlib import Path

import msgspec

from station.alarms import Alarm
from station.matching import Match
from station.picture import AlarmEventView, AlarmState


def all_alarms(mind: sqlite3.Connection) -> list[Alarm]:
    """Every alarm of which anything is known, with its events."""
    found = []
    for alarm_id, state in mind.execute("SELECT id, state FROM alarms ORDER BY id"):
        alarm = msgspec.msgpack.decode(state, type=Alarm)
        alarm.events = [
            AlarmEventView(AlarmState(s), int(at), person, reason) for s, at, person, reason in mind.execute(
                "SELECT state, at_ns, person, reason FROM alarm_events WHERE alarm = ? ORDER BY number", (alarm_id,)
            )
        ]
        if alarm.events:
            found.append(alarm)
    return found


def trails(mind: sqlite3.Connection) -> dict[str, list[tuple[int, float, float]]]:
    """Of each contact: time, latitude and longitude of its points."""
    found: dict[str, list[tuple[int, float, float]]] = defaultdict(list)
    for contact, at_ns, lat, lon in mind.execute("SELECT contact, at_ns, lat_deg, lon_deg FROM trail ORDER BY at_ns"):
        found[contact].append((int(at_ns), float(lat), float(lon)))
    return dict(found)


def all_matches(mind: sqlite3.Connection) -> list[Match]:
    return [msgspec.msgpack.decode(row[0], type=Match) for row in mind.execute("SELECT state FROM matches ORDER BY id")]


def reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10.0)
