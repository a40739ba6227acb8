"""A past incident becomes an exercise: who was there goes the same way at the same time, and is nobody any more.

Of a contact only its class, its party and its way are taken, and from its alarm only whether it was a crossing, lawful, or
our own patrol. No name, no subject, no snapshot, no title, no plate: where a vehicle had one, an invented one may stand in
its place that no contact of the station has ever had. Cameras stand where the station's stood.
"""

from __future__ import annotations

import contextlib
import math
import random
import sqlite3
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import shapely
import tomlkit

from geofences.geodesy import Array
from geofences.sector import Sector, load_sector
from sim.desk_words import refused
from sim.exercise_build import Data, merge, without_gaps
from sim.exercise_scenario import LIBRARY, LONGEST_S, MAST_M
from sim.exercise_ways import go_on_unseen, place_on, script_of, simplified, spot_of
from sim.landscape import LandscapePlan
from sim.landscape_lines import make_lines
from sim.world_scenario import landscape_plan
from sim.world_settings import LandscapeSettings
from station.alarms import Alarm
from station.contacts import ContactState, contact_from, contact_id
from station.incidents import Incidents
from station.picture import NodeView, SensorView
from station.record import Record
from station.settings import StationSettings
from station.shift_log import number_of, read_entries
from station.store import MIND, StoreError, open_reader
from wire.clock import NS_PER_S, Clock
from wire.keys import NodeKind
from wire.settings import SettingsError, load_settings
from wire.units import HeightMsl, ObjectClass, VehicleKind

BEFORE_S, AFTER_S = 20.0, 60.0      # of quiet, at both ends
USUAL_M = 8.0                       # height of a mast that does not say it above sea level
NOBODY = ("false_detection", "animal", "duplicate", "technical", "exercise")
LAWFUL = ("lawful", "known_person")
SECTOR = LIBRARY.parent / "sectors" / "laobao" / "sector.toml"
LANDSCAPE = LIBRARY.parent / "worlds" / "landscapes" / "laobao.toml"
CAMERA = LIBRARY.parent / "demo" / "world" / "camera-1.toml"
KINDS = {
    ObjectClass.PERSON: "person", ObjectClass.BICYCLE: "bicycle", ObjectClass.MOTORCYCLE: "motorcycle",
    ObjectClass.CAR: "car", ObjectClass.BUS: "bus", ObjectClass.TRUCK: "truck", ObjectClass.BOAT: "boat",
}


class PastIncident(msgspec.Struct, frozen=True):
    """Without its title: persons write names into titles."""

    id: str
    opened_ns: int
    alarms: int
    contacts: int


class Past(msgspec.Struct, frozen=True):
    """What a station's store holds. first_ns, last_ns: of its contacts; None where there are none."""

    incidents: tuple[PastIncident, ...]
    first_ns: int | None
    last_ns: int | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Either an incident, or everything from one time to another (UTC nanoseconds)."""

    incident: str = ""
    from_ns: int = 0
    to_ns: int = 0
    invent_plates: bool = False


@dataclass(slots=True)
class _Gone:
    """One contact's way: times in nanoseconds, (n, 2) metres."""

    number: int
    kind: str
    at_ns: list[int]
    way: Array
    party: list[int]
    had_plate: bool
    role: str = ""
    members: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Made:
    """data: the exercise. left_out: who is not in it, and why, for a person to read."""

    data: Data
    left_out: tuple[str, ...]


def read_past(settings: StationSettings) -> Past:
    """Raises SettingsError for a station without a store."""
    with _mind(settings) as mind:
        first, last = mind.execute("SELECT min(first_seen_ns), max(last_seen_ns) FROM contacts").fetchone()
        alarms = _alarms(mind)
        found = [
            PastIncident(i.id, i.opened_ns, len(i.alarms), len(_contacts_of(i.alarms, alarms)))
            for i in _incidents(mind).newest(100)
        ]
    return Past(tuple(found), first, last)


def from_past(settings: StationSettings, wanted: Wanted, name: str) -> Made:
    """Raises SettingsError for an incident that is none, and where nobody is left who could walk."""
    sector = load_sector(settings.sector)
    with _mind(settings) as mind:
        alarms = _alarms(mind)
        ids = _wanted_contacts(mind, alarms, wanted)
        gone = [g for i in ids if (g := _way_of(mind, i, sector, wanted)) is not None]
        reasons = _reasons(mind, alarms)
        own = _own_patrols(mind)
        plates = {str(p) for (p,) in mind.execute("SELECT plate FROM contacts WHERE plate IS NOT NULL")}
        cameras = _cameras(mind, sector)
    left_out: list[str] = []
    kept: list[_Gone] = []
    for g in gone:
        reason = reasons.get(contact_id(g.number), "")
        if reason in NOBODY:
            left_out.append(f"{contact_id(g.number)}: closed as {reason}")
            continue
        g.role = _role(g, reason, contact_id(g.number) in reasons, g.number in own)
        kept.append(g)
    crossing = {n for g in kept if g.role == "crosser" for n in g.party}
    for g in kept:
        if g.number in crossing and contact_id(g.number) not in reasons:
            g.role = "crosser"          # one alarm may stand for a whole party
    if not kept:
        raise refused("nobody_went", before="exercise: ")
    begins_ns = min(g.at_ns[0] for g in kept) - round(BEFORE_S * NS_PER_S)
    lines = _lines(sector)
    chance = random.Random(f"{name}/{begins_ns}")
    actors: list[Data] = []
    for party in _parties(kept):
        actor = _actor(party, begins_ns, lines, sector, len(actors) + 1)
        if actor is None:
            left_out.append(f"{contact_id(party.number)}: no road lies along the way of this {party.kind}")
            continue
        if wanted.invent_plates and party.had_plate:
            actor["looks"] = {"plate": _invented(plates, chance)}
        actors.append(actor)
    if not actors:
        raise refused("nobody_left", before="exercise: ")
    seconds = min(max((max(g.at_ns[-1] for g in kept) - begins_ns) / NS_PER_S + AFTER_S, 120.0), LONGEST_S)
    return Made(_data(name, sector, settings, begins_ns, math.ceil(seconds), actors, cameras), tuple(left_out))


def record_taking(settings: StationSettings, person: str, wanted: Wanted, made: Made, clock: Clock) -> None:
    """That somebody took ways of people out of the store stands in the station's own record. Raises SettingsError."""
    details: dict[str, str | int | float] = {"actors": len(made.data["actors"])}
    details |= {"incident": wanted.incident} if wanted.incident else {"from_ns": wanted.from_ns, "to_ns": wanted.to_ns}
    try:
        with contextlib.closing(Record(settings, clock)) as record:
            record.append(person, "exercise.taken", details)
    except (StoreError, sqlite3.Error, OSError) as error:
        raise SettingsError(f"exercise: nothing is taken that the station's record does not hold: {error}") from None


def write_exercise(made: Made, file: Path) -> str:
    """The text of the exercise; where the sector is not the library's, with a landscape file beside `file`."""
    document = tomlkit.document()
    document.add(tomlkit.comment("Made from what a station recorded: classes, parties and ways. It names nobody."))
    plain = {k: v for k, v in made.data.items() if not isinstance(v, dict | list)}
    for key, value in plain.items():
        document[key] = datetime.fromisoformat(value) if key == "starts" else value
    merge(document, made.data)
    if made.data["landscape"] != str(LANDSCAPE):
        (file.parent / made.data["landscape"]).write_text("seed = 1\n", encoding="utf-8")
    return without_gaps(tomlkit.dumps(document))


# --------------------------------------------------------------------------------------------------------- from the store


def _mind(settings: StationSettings) -> Any:
    try:
        return contextlib.closing(open_reader(settings.mind_db, MIND, settings.realm))
    except (FileNotFoundError, sqlite3.Error, ValueError) as error:
        raise SettingsError(f"{settings.mind_db}: no store of a station: {error}") from None


def _alarms(mind: sqlite3.Connection) -> dict[str, Alarm]:
    return {i: msgspec.msgpack.decode(state, type=Alarm) for i, state in mind.execute("SELECT id, state FROM alarms")}


def _incidents(mind: sqlite3.Connection) -> Incidents:
    incidents = Incidents()
    for entry in read_entries(mind):
        incidents.take(entry)
    return incidents


def _wanted_contacts(mind: sqlite3.Connection, alarms: dict[str, Alarm], wanted: Wanted) -> list[str]:
    if not wanted.incident:
        if wanted.from_ns >= wanted.to_ns:
            raise refused("times", before="exercise: ")
        return [i for (i,) in mind.execute(
            "SELECT id FROM contacts WHERE first_seen_ns <= ? AND last_seen_ns >= ? AND merged_into IS NULL ORDER BY id",
            (wanted.to_ns, wanted.from_ns),
        )]
    incident = _incidents(mind).all.get(number_of(wanted.incident, "I") or 0)
    if incident is None:
        raise refused("no_incident", before="exercise: ", incident=wanted.incident)
    # Whoever went with somebody of the incident belongs to it, with an alarm of his own or without.
    ids = dict.fromkeys(_contacts_of(incident.alarms, alarms))
    for contact in list(ids):
        state = _state(mind, contact)
        ids |= dict.fromkeys(contact_id(n) for n in (state.party if state is not None else ()))
    return list(ids)


def _contacts_of(of: list[str], alarms: dict[str, Alarm]) -> list[str]:
    return list(dict.fromkeys(c for a in of if a in alarms for c in alarms[a].contact_ids))


def _state(mind: sqlite3.Connection, contact: str) -> ContactState | None:
    row = mind.execute("SELECT state FROM contacts WHERE id = ?", (contact,)).fetchone()
    return msgspec.msgpack.decode(row[0], type=ContactState) if row is not None else None


def _way_of(mind: sqlite3.Connection, contact: str, sector: Sector, wanted: Wanted) -> _Gone | None:
    state = _state(mind, contact)
    if state is None or state.merged_into is not None:
        return None
    rows = mind.execute(
        "SELECT at_ns, lat_deg, lon_deg FROM trail WHERE contact = ? ORDER BY at_ns", (contact,)
    ).fetchall()
    if not wanted.incident:
        rows = [r for r in rows if wanted.from_ns <= r[0] <= wanted.to_ns]
    places = sector.frame.to_enu([r[1] for r in rows], [r[2] for r in rows]) if rows else np.empty((0, 2))
    inside = shapely.contains_xy(sector.box, places) if len(rows) else np.empty(0, bool)
    rows, places = [r for r, ok in zip(rows, inside, strict=True) if ok], places[inside]
    if len(rows) < 2:
        return None
    seen = contact_from(state, [])
    what = seen.object_class
    kind = "pickup" if what is ObjectClass.TRUCK and seen.kind is VehicleKind.PICKUP else KINDS[what]
    return _Gone(state.number, kind, [int(r[0]) for r in rows], places, list(state.party), bool(state.plates))


def _reasons(mind: sqlite3.Connection, alarms: dict[str, Alarm]) -> dict[str, str]:
    """Why the alarm of a contact was closed, by contact; "" where it is open."""
    closed = {
        alarm: str(reason).split(maxsplit=1)[0] if reason else "" for alarm, reason in mind.execute(
            "SELECT alarm, reason FROM alarm_events WHERE state = 'closed' ORDER BY number")
    }
    return {c: closed.get(i, "") for i, alarm in alarms.items() for c in alarm.contact_ids}


def _own_patrols(mind: sqlite3.Connection) -> set[int]:
    states = (msgspec.msgpack.decode(s, type=ContactState) for (s,) in mind.execute("SELECT state FROM contacts"))
    return {s.number for s in states if s.own_patrol}


def _role(g: _Gone, reason: str, had_alarm: bool, is_own: bool) -> str:
    if g.kind not in ("person", "motorcycle", "bicycle"):
        return "traffic"
    if is_own or reason == "own_patrol":
        return "patrol"
    if not had_alarm or reason in LAWFUL:
        return "farmer" if g.kind == "person" else "traffic"
    return "crosser"


def _cameras(mind: sqlite3.Connection, sector: Sector) -> list[Data]:
    """Those on masts, where they stood and looked; lens and errors are those of the demo's."""
    rows = {kind: mind.execute("SELECT id, state FROM latest WHERE kind = ? ORDER BY id", (kind,)).fetchall()
            for kind in ("node", "sensor")}
    nodes = [msgspec.msgpack.decode(s, type=NodeView) for _, s in rows["node"]]
    fixed = {n.node for n in nodes if n.kind == NodeKind.CAMERA.value}
    cameras: list[Data] = []
    for _, row in rows["sensor"]:
        s = msgspec.msgpack.decode(row, type=SensorView)
        place = sector.frame.to_enu([s.position.lat_deg], [s.position.lon_deg])
        if s.node not in fixed or not s.footprint or not shapely.contains_xy(sector.box, *place[0]):
            continue
        ring = sector.frame.to_enu([p.lat_deg for p in s.footprint], [p.lon_deg for p in s.footprint])
        middle = ring.mean(axis=0) - place[0]
        above = s.position.height
        height = above.m - float(sector.terrain.height_msl_m(place)[0]) if isinstance(above, HeightMsl) else math.nan
        height = min(max(height, MAST_M[0] + 1.0), MAST_M[1]) if math.isfinite(height) else USUAL_M
        away = max(float(np.hypot(*middle)), 1.0)
        cameras.append({
            "id": f"camera-{len(cameras) + 1}", "like": str(CAMERA),
            "position": [round(s.position.lat_deg, 6), round(s.position.lon_deg, 6)], "height_agl_m": round(height, 1),
            "yaw_deg": round(math.degrees(math.atan2(middle[0], middle[1])) % 360.0, 1),
            "pitch_deg": round(-math.degrees(math.atan2(height, away)), 1),
        })
    return cameras


# -------------------------------------------------------------------------------------------------------- to an exercise


def _parties(kept: list[_Gone]) -> list[_Gone]:
    """People who went together are one party, on the way of whoever was seen longest; everybody else is alone."""
    by_number = {g.number: g for g in kept}
    found: list[_Gone] = []
    seen: set[int] = set()
    for g in kept:
        if g.number in seen:
            continue
        together, ahead = [], [g.number]
        while ahead:
            n = ahead.pop()
            member = by_number.get(n)
            if member is None or n in seen or member.kind != g.kind or member.role != g.role:
                continue
            seen.add(n)
            together.append(member)
            ahead += member.party if g.kind == "person" else []
        leader = max(together, key=lambda m: (m.at_ns[-1] - m.at_ns[0], -m.number))
        leader.members = [m.number for m in together]
        leader.had_plate = any(m.had_plate for m in together)
        found.append(leader)
    return sorted(found, key=lambda g: (g.at_ns[0], g.number))


def _lines(sector: Sector) -> dict[str, tuple[Array, bool]]:
    """Trails and roads of the landscape that the exercise will have: (n, 2) and whether it is a road."""
    is_library = sector.id == load_sector(SECTOR).id
    ground = load_settings(LANDSCAPE, LandscapeSettings) if is_library else LandscapeSettings(seed=1)
    plan = landscape_plan(LANDSCAPE, ground, sector) if is_library else LandscapePlan((), {}, {})
    made = make_lines(sector, plan.roads, np.random.default_rng(ground.seed).spawn(4)[0])
    return {n: (line, False) for n, line in made.trails.items()} | {n: (line, True) for n, line in made.roads.items()}


def _actor(
    g: _Gone, begins_ns: int, lines: dict[str, tuple[Array, bool]], sector: Sector, number: int
) -> Data | None:
    at_s = (np.array(g.at_ns) - begins_ns) / NS_PER_S
    on_wheels = g.kind not in ("person", "boat")
    simple = simplified(g.way)
    stops = [(float(at_s[i]), *place_on(g.way[i], lines, on_wheels, sector)) for i in simple]
    if on_wheels:
        named = [s for s in stops if s[1]]
        line = max({s[1] for s in named}, key=lambda n: sum(s[1] == n for s in named), default="")
        stops = [s for s in stops if s[1] == line] if line else []
        if len(stops) < 2:
            return None
    script = script_of(stops, g.kind, g.way[simple])
    actor: Data = {
        "name": f"{'people' if g.kind == 'person' else g.kind}-{number}", "kind": g.kind, "role": g.role,
    }
    if len(g.members) > 1:
        actor |= {"count": min(len(g.members), 40), "spacing_m": 2.5}
    actor |= {"enters_s": round(stops[0][0], 1), "at": spot_of(stops[0]), "script": script}
    go_on_unseen(actor, lines)
    return actor


def _invented(taken: set[str], chance: random.Random) -> str:
    while True:
        plate = f"{chance.randint(11, 99)}{chance.choice('ABCDEFGH')}-{chance.randint(100, 999)}.{chance.randint(10, 99)}"
        if plate not in taken:
            return plate


def _data(
    name: str, sector: Sector, settings: StationSettings, begins_ns: int, seconds: float, actors: list[Data],
    cameras: list[Data],
) -> Data:
    is_library = sector.id == load_sector(SECTOR).id
    zone = timezone(timedelta(minutes=sector.utc_offset_min))
    starts = datetime.fromtimestamp(begins_ns // NS_PER_S, UTC).astimezone(zone)
    crosses = any(a["role"] == "crosser" for a in actors)
    demo = [{"id": f"camera-{n}", "like": str(CAMERA.with_name(f"camera-{n}.toml"))} for n in (1, 2)]
    return {
        "name": name, "seed": begins_ns // NS_PER_S % 100_000, "sector": str(SECTOR if is_library else settings.sector),
        "landscape": str(LANDSCAPE) if is_library else f"{name}-landscape.toml", "starts": starts.isoformat(),
        "lasts_s": float(seconds),
        "exercise": {
            "title": f"From what was recorded: {len(actors)} actors", "teaches": "How would we meet this today?",
            "seconds": float(seconds), "nothing_to_find": not crosses,
        },
        "trainees": {"may_use": ["orders", "teams"], "brief": ""}, "actors": actors, "cameras": cameras or demo,
        "goals": [{"measure": "pd", "at_least": 1.0}] if crosses else [{"measure": "false_alarms", "at_most": 0.0}],
    }


