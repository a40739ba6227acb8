"""A training station without processes: the real store, admission and mind, on a clock that is handed in.

What a node says is encoded, admitted and stored as the inbox does it (station.inbox_rows), and read by the mind as from an
inbox that a process writes. No socket is opened. Disks are not waited for: what a run says must not depend on them.
"""

from __future__ import annotations

import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

from geofences.sector import Sector, load_sector
from sim.demo_settings import Value, filled
from sim.exercise_scenario import Exercise
from sim.exercise_settings import ReportEntry, ReportInject
from sim.exercise_words import record_for_trainees
from sim.landscape_survey import write_survey
from sim.world_state import Landscape
from station.admission import admit
from station.doubts import Doubts
from station.inbox_rows import Identities, Rows, waiting
from station.mind import Mind
from station.settings import StationSettings, load_station_settings
from station.store import INBOX, Synchronous, open_store, transaction
from station.subjects import KnownVehicle
from station.watchlist import Draft, add_subject, approve_subject, report_subject
from wire.clock import NS_PER_S, Clock
from wire.codec import encode_envelope
from wire.keys import AllowedNode, NodeKind
from wire.messages import Envelope, UpBody
from wire.units import GroundPosition, Realm

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
SURVEY = "terrain.npz"
NOMINATOR, APPROVER = "exercise nominator", "exercise second approver"
WATCHLIST_HOURS = 24.0

_ADD_TOTAL = (
    "INSERT INTO totals(name, value) VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET value = value + excluded.value"
)


def set_the_station(
    folder: Path, exercise: Exercise, landscape: Landscape, inbox: str = "tcp://127.0.0.1:5570", web_port: int = 0
) -> StationSettings:
    """Write a training station's files into a run's folder: its sector with a survey of the terrain, and its settings."""
    shutil.copytree(exercise.sector_file.parent, folder / "sector")
    sigma_m = write_survey(folder / "sector" / SURVEY, landscape, exercise.sector)
    sector_file = folder / "sector" / exercise.sector_file.name
    terrain: dict[tuple[str | int, ...], Value] = {("terrain", "file"): SURVEY, ("terrain", "sigma_m"): sigma_m}
    sector_file.write_text(filled(sector_file, terrain), encoding="utf-8")
    values: dict[tuple[str | int, ...], Value] = {
        ("sector",): f"sector/{sector_file.name}", ("data_dir",): "station", ("inbox", "bind"): inbox,
        ("web", "port"): web_port,
    }
    (folder / "station.toml").write_text(filled(CONFIGS / "demo/station.toml", values), encoding="utf-8")
    settings = load_station_settings(folder / "station.toml")
    settings.make_folders()
    return settings


def write_watchlist(settings: StationSettings, exercise: Exercise, clock: Clock) -> dict[str, str]:
    """Nominate and approve the exercise's records; from their ids in the file to the station's. Empty where it is not to be
    used.
    """
    subjects: dict[str, str] = {}
    if "watchlist" not in exercise.settings.trainees.may_use:
        return subjects
    now_ns = clock.utc_ns()
    for entry in (record_for_trainees(exercise.settings, w) for w in exercise.settings.watchlist):
        vehicles = tuple(KnownVehicle(v.plate, v.object_class, v.colour) for v in entry.vehicles)
        draft = Draft(
            category=entry.category, label=entry.label, reason=entry.reason, lawful_basis="exercise",
            what_to_do=entry.what_to_do, expires_ns=now_ns + round(WATCHLIST_HOURS * 3600) * NS_PER_S, plates=entry.plates,
            vehicles=vehicles, corridors=entry.corridors, party_size=entry.party_size,
        )
        subject = add_subject(settings, NOMINATOR, draft, clock)
        approve_subject(settings, APPROVER, subject.id, clock)
        subjects[entry.id] = subject.id
        for report in entry.reports:
            hear_report(settings, subject.id, report, clock, before_s=600.0)
    return subjects


def hear_report(
    settings: StationSettings, subject: str, r: ReportEntry | ReportInject, clock: Clock, before_s: float = 60.0
) -> None:
    """Note what somebody says of a subject."""
    now_ns = clock.utc_ns()
    report_subject(
        settings, NOMINATOR, subject, now_ns - round(before_s) * NS_PER_S, now_ns + round(r.hours * 3600) * NS_PER_S,
        reported_by=r.by, corridor=r.corridor or None,
        position=GroundPosition(*r.position) if r.position is not None else None, radius_m=r.radius_m, says=r.says,
        clock=clock,
    )


class LockstepStation:
    """One station on one clock. `take` what nodes say, `think`, and ask `mind` as persons do."""

    def __init__(self, settings: StationSettings, clock: Clock) -> None:
        self.settings = settings
        self.clock = clock
        self.sector: Sector = load_sector(settings.sector)
        self._db = open_store(settings.inbox_db, INBOX, Realm.TRAINING, clock, Synchronous.NORMAL)
        self._db.execute("PRAGMA synchronous = OFF")
        self._ids = Identities(self._db)
        self._doubts = Doubts(self._db, self.sector, settings.places_file, settings.retention.unmatched_days, clock)
        self._sequences: dict[str, int] = {}
        self.mind = Mind(settings, self.sector, clock)
        self.stored = 0

    def take(self, said: list[tuple[str, NodeKind, UpBody]]) -> None:
        """Store what nodes say, in this order, as one commit of the inbox."""
        now_ns = self.clock.utc_ns()
        rows = Rows(self._ids.next)
        senders: dict[str, AllowedNode] = {}
        for node, kind, body in said:
            sender = senders.setdefault(node, AllowedNode(node, kind, Realm.TRAINING, node.ljust(40, "0")[:40]))
            sequence = self._sequences[node] = self._sequences.get(node, 0) + 1
            data = encode_envelope(Envelope(node, 1, sequence, body))
            admitted = admit(data, sender, now_ns)
            suspect = admitted.suspect or self._doubts.judge(sender, body, now_ns)
            message = waiting(b"", sender, admitted, suspect, data, now_ns)
            self._ids.is_new(message)
            rows.add(message)
        with transaction(self._db):
            rows.write(self._db)
            self._db.executemany("INSERT OR IGNORE INTO places VALUES (?, ?, ?, ?, ?)", self._doubts.fresh)
            self._db.executemany(_ADD_TOTAL, [(name, n) for name, n in rows.totals() if n])
            self._db.executemany(
                "INSERT INTO nodes(node, kind, public, first_ns, last_ns) VALUES (?, ?, ?, ?, ?) "
                "ON CONFLICT(node) DO UPDATE SET last_ns = excluded.last_ns",
                [(n.node, n.kind.value, n.public, now_ns, now_ns) for n in senders.values()],
            )
        self.stored += rows.stored
        self._ids.next = rows.next_id
        self._ids.settle()
        self._doubts.fresh.clear()

    def think(self) -> None:
        """One round of the mind's loop."""
        while self.mind.read():
            pass
        self.mind.pass_time()
        self.mind.commit()

    def close(self) -> None:
        self.mind.commit(force=True)
        self.mind.close()
        self._db.close()


def surveyed_sector(settings: StationSettings, exercise: Exercise) -> Sector:
    """The sector as station and nodes have it: with the survey of the terrain, and not the ground as it is."""
    return replace(exercise.sector, terrain=load_sector(settings.sector).terrain)


def reading(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10.0)
