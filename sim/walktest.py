"""A walk test of the live system: a person walks through a corridor with a receiver, and the station's alarms are looked up.

A *pass* is one stretch of the track inside a corridor; it is *detected* when an alarm of that corridor stood, from the
entry until within_s after the exit, for a contact that went where the walker went (NEAR_M at the same time, for most of its
trail).
The probability of detection is given with Clopper & Pearson's 95 % interval. The station is read over its API, with the
account of whoever asks, and that the past was searched is in its record. It is told nothing unless `keep` says so: then it
keeps each pass with who told it and when, and its layer of coverage shows what the corridor is worth.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx
import msgspec
import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array
from geofences.sector import Sector, load_sector
from sim.score_events import Proportion, proportion
from station.alarms import CONTACT_RULES, JOINED
from station.coverage_picture import WalkedPass
from station.coverage_walks import PASSES_LIMIT
from station.picture import AlarmView
from station.queries import ContactHistory, Page
from wire.clock import NS_PER_S
from wire.settings import SettingsError

NEAR_M = 25.0                   # a consumer receiver under trees is ten metres off, and the station a few
MOSTLY = 0.5                    # of the contact's trail during the pass
OUTSIDE_S = 60.0                # outside for longer, and it is another pass
LEAST_POINTS = 3                # inside, or it was a corner that was cut
SIZE_LIMIT_BYTES = 50_000_000
PAGES_LIMIT = 50
ENOUGH = 36                     # passes without a miss: the lower end is then 0.903


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """at_ns: (n,) rising, UTC. place_m: (n, 2) metres in the sector's frame."""

    at_ns: npt.NDArray[np.int64]
    place_m: Array

    def at(self, ns: int) -> Array | None:
        if not len(self.at_ns) or not self.at_ns[0] <= ns <= self.at_ns[-1]:
            return None
        east, north = (float(np.interp(ns, self.at_ns, self.place_m[:, k])) for k in (0, 1))
        return np.array([east, north])


@dataclass(frozen=True, slots=True)
class Pass:
    corridor: str
    first_ns: int
    last_ns: int


class PassResult(msgspec.Struct, frozen=True):
    """alarm: empty where there was none. wait_s: from the entry. error_m: of the contact's trail, in the middle."""

    corridor: str
    entered: datetime
    seconds: float
    alarm: str
    wait_s: float | None
    error_m: float | None


class CorridorResult(msgspec.Struct, frozen=True):
    """pd: passes that were detected, with the interval. wait_p50_s, error_p50_m: of these."""

    corridor: str
    pd: Proportion
    wait_p50_s: float | None
    error_p50_m: float | None


class WalkTest(msgspec.Struct, frozen=True):
    station: str
    corridors: tuple[CorridorResult, ...]
    passes: tuple[PassResult, ...]


def walktest(
    gpx: Path, station: str, name: str, password: str, sector_file: Path, corridor: str | None, within_s: float,
    keep: bool = False,
) -> WalkTest:
    """Read a track, ask the station, and work it out; keep: and tell it. Raises SettingsError for what cannot be read, and
    for who may not ask or tell.
    """
    sector = load_sector(sector_file)
    known = [c.id for c in sector.corridor_set.corridors]
    if corridor is not None and corridor not in known:
        raise SettingsError(f'--corridor {corridor}: there is none; there are {", ".join(known)}')
    track = read_gpx(gpx, sector)
    passes = [p for p in find_passes(track, sector) if corridor in (None, p.corridor)]
    if not passes:
        raise SettingsError(f"{gpx}: the track never goes through {corridor or 'a corridor'} of sector {sector.id}")
    with httpx.Client(base_url=station, timeout=15.0) as client:
        _log_in(client, name, password)
        results = [_judge(p, track, client, sector, within_s) for p in passes]
        if keep:
            _tell(client, name, passes, results)
    return WalkTest(station, tuple(_sum_up(c, results) for c in dict.fromkeys(p.corridor for p in passes)), tuple(results))


def read_gpx(path: Path, sector: Sector) -> Track:
    """All points of all tracks of a GPX file (topografix 1.0 and 1.1), in order of time. Raises SettingsError."""
    try:
        if path.stat().st_size > SIZE_LIMIT_BYTES:
            raise SettingsError(f"{path}: {path.stat().st_size} bytes; a walk has {SIZE_LIMIT_BYTES} at the most")
        text = path.read_bytes()
    except OSError as error:
        raise SettingsError(f"{path}: cannot be read: {error.strerror}") from None
    if b"<!DOCTYPE" in text or b"<!ENTITY" in text:
        raise SettingsError(f"{path}: has a document type; a GPX file needs none, and this one is not read")
    try:
        root = ElementTree.fromstring(text)
    except ElementTree.ParseError as error:
        line = error.position[0]
        raise SettingsError(f"{path}:{line}: not valid XML: {error}") from None
    points: list[tuple[int, float, float]] = []
    for n, element in enumerate((e for e in root.iter() if e.tag.rpartition("}")[2] == "trkpt"), start=1):
        when = next((c.text for c in element if c.tag.rpartition("}")[2] == "time"), None)
        if when is None:
            raise SettingsError(f"{path}: point {n} has no <time>; without the time nobody knows which alarm is its own")
        try:
            at = datetime.fromisoformat(when.strip())
            lat, lon = float(element.attrib["lat"]), float(element.attrib["lon"])
        except (KeyError, ValueError):
            raise SettingsError(f"{path}: point {n}: not a place and a time: {element.attrib} {when!r}") from None
        if at.tzinfo is None or not (-90 <= lat <= 90 and -180 <= lon <= 180):
            raise SettingsError(f"{path}: point {n}: {when} at {lat}, {lon}: give UTC, and a place on the Earth")
        points.append((round(at.timestamp() * NS_PER_S), lat, lon))
    if len(points) < LEAST_POINTS:
        raise SettingsError(f"{path}: {len(points)} track points; a walk has more. Routes and waypoints do not count.")
    points.sort()
    times = np.array([p[0] for p in points], np.int64)
    keep = np.concatenate([[True], np.diff(times) > 0])
    return Track(times[keep], sector.frame.to_enu([p[1] for p in points], [p[2] for p in points])[keep])


def find_passes(track: Track, sector: Sector) -> list[Pass]:
    """Every stretch of the track inside a corridor, in order of time."""
    inside: dict[str, list[list[int]]] = {}
    for at_ns, place in zip(track.at_ns.tolist(), track.place_m, strict=True):
        for corridor in sector.corridors.containing(place):
            stretches = inside.setdefault(corridor, [])
            if not stretches or at_ns - stretches[-1][-1] > OUTSIDE_S * NS_PER_S:
                stretches.append([])
            stretches[-1].append(at_ns)
    found = [Pass(c, s[0], s[-1]) for c, stretches in inside.items() for s in stretches if len(s) >= LEAST_POINTS]
    return sorted(found, key=lambda p: (p.first_ns, p.corridor))


def _tell(client: httpx.Client, name: str, passes: list[Pass], results: list[PassResult]) -> None:
    told = [
        WalkedPass(p.corridor, p.first_ns, r.seconds, r.alarm, r.wait_s, r.error_m)
        for p, r in zip(passes, results, strict=True)
    ]
    for begin in range(0, len(told), PASSES_LIMIT):
        body = msgspec.json.encode({"passes": told[begin:begin + PASSES_LIMIT]})
        try:
            answer = client.post("/api/coverage/walks", content=body, headers={"Content-Type": "application/json"})
        except httpx.HTTPError as error:
            raise SettingsError(f"--keep: {client.base_url} does not answer: {error}") from None
        if answer.status_code != 200:
            raise SettingsError(f"--keep: {client.base_url} does not take the walk of {name}: {answer.status_code}. Whoever "
                                "tells it has an account that may decide; an auditor's may not.")


def _log_in(client: httpx.Client, name: str, password: str) -> None:
    try:
        answer = client.post("/api/login", json={"name": name, "password": password})
    except httpx.HTTPError as error:
        raise SettingsError(f"--station {client.base_url}: does not answer: {error}") from None
    if answer.status_code != 200:
        raise SettingsError(f"--name {name}: may not log in at {client.base_url}: {answer.status_code}")
    client.headers["Origin"] = str(client.base_url).rstrip("/")
    client.headers["X-CSRF-Token"] = str(answer.json()["csrf"])


def _ask(client: httpx.Client, path: str, query: dict[str, str | int]) -> bytes:
    try:
        answer = client.get(path, params=query)
        answer.raise_for_status()
    except httpx.HTTPError as error:
        raise SettingsError(f"{client.base_url}{path}: {error}") from None
    return answer.content


def _alarms(client: httpx.Client, p: Pass, until_ns: int) -> list[AlarmView]:
    """Alarms that may stand for a pass: raised before its end, whatever joined them later."""
    found: list[AlarmView] = []
    query: dict[str, str | int] = {"since_ns": p.first_ns - 3600 * NS_PER_S, "until_ns": until_ns, "limit": 100}
    for _ in range(PAGES_LIMIT):
        page = msgspec.json.decode(_ask(client, "/api/history/alarms", query), type=Page[AlarmView])
        found += [a for a in page.rows if a.rule in CONTACT_RULES and a.corridor in (p.corridor, "", None)]
        if page.next is None:
            break
        query["after"] = page.next
    return found


def _judge(p: Pass, track: Track, client: httpx.Client, sector: Sector, within_s: float) -> PassResult:
    until_ns = p.last_ns + round(within_s * NS_PER_S)
    best: tuple[int, str, float] | None = None
    for alarm in _alarms(client, p, until_ns):
        joined = {e.reason.removeprefix(f"{JOINED} "): e.at_ns for e in alarm.events if e.reason.startswith(f"{JOINED} ")}
        for contact in alarm.contacts:
            stood_ns = joined.get(contact, alarm.events[0].at_ns if alarm.events else alarm.raised_ns)
            if not p.first_ns - 5 * NS_PER_S <= stood_ns <= until_ns:
                continue
            error = _went_along(contact, p, track, client, sector)
            if error is not None and (best is None or stood_ns < best[0]):
                best = (stood_ns, alarm.id, error)
    entered = datetime.fromtimestamp(p.first_ns / NS_PER_S).astimezone()
    seconds = round((p.last_ns - p.first_ns) / NS_PER_S, 1)
    if best is None:
        return PassResult(p.corridor, entered, seconds, "", None, None)
    wait = max(0.0, round((best[0] - p.first_ns) / NS_PER_S, 2))
    return PassResult(p.corridor, entered, seconds, best[1], wait, round(best[2], 2))


def _went_along(contact: str, p: Pass, track: Track, client: httpx.Client, sector: Sector) -> float | None:
    """Median distance between a contact's trail and the walker during a pass; None where they were not together."""
    history = msgspec.json.decode(_ask(client, f"/api/history/contacts/{contact}", {}), type=ContactHistory)
    apart = []
    for point in history.trail:
        walker = track.at(point.at_ns)
        if walker is not None and p.first_ns - 5 * NS_PER_S <= point.at_ns <= p.last_ns + 5 * NS_PER_S:
            place = sector.frame.to_enu(point.lat_deg, point.lon_deg)[0]
            apart.append(math.dist(place, walker))
    if not apart or sum(d <= NEAR_M for d in apart) < MOSTLY * len(apart):
        return None
    return float(np.median(apart))


def _sum_up(corridor: str, results: list[PassResult]) -> CorridorResult:
    mine = [r for r in results if r.corridor == corridor]
    caught = [r for r in mine if r.alarm]
    waits = [r.wait_s for r in caught if r.wait_s is not None]
    errors = [r.error_m for r in caught if r.error_m is not None]
    return CorridorResult(
        corridor, proportion(len(caught), len(mine)), round(float(np.median(waits)), 2) if waits else None,
        round(float(np.median(errors)), 2) if errors else None,
    )


def as_words(test: WalkTest) -> str:
    lines = []
    for r in test.passes:
        end = f"{r.alarm} after {r.wait_s:.1f} s, {r.error_m:.1f} m off" if r.alarm else "NO ALARM"
        lines.append(f"  {r.entered:%Y-%m-%d %H:%M:%S}  {r.corridor:14} {r.seconds:6.0f} s inside  {end}")
    for c in test.corridors:
        pd = c.pd
        lines.append(
            f"{c.corridor}: {pd.hits} of {pd.of} passes detected; probability of detection {pd.share:.2f}, 95 % interval "
            f"{pd.low:.3f} to {pd.high:.3f} (Clopper-Pearson)"
        )
        if pd.of < ENOUGH:
            lines.append(f"  {pd.of} passes say little: {ENOUGH} without a miss show 0.90 at the least, 49 of 50 show 0.89")
    return "\n".join(lines)
