"""The mind of the screen's benchmark: its sockets and its pace, contacts that walk, alarms that are in a database."""

from __future__ import annotations

import contextlib
import multiprocessing
import sqlite3
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import msgspec
import zmq

from benchmarks.ingest_stage import METRES_A_DEGREE, clock
from station.picture import (
    AlarmEventView,
    AlarmState,
    AlarmView,
    ChangeAlarm,
    ContactState,
    ContactView,
    Counts,
    Delta,
    Done,
    GetPicture,
    Picture,
    Request,
    SensorView,
    Sentence,
    TrailPoint,
)
from station.settings import StationSettings
from station.trails import TrailTeller
from wire.clock import NS_PER_S
from wire.messages import SensorState
from wire.units import Covariance2, GroundPosition, HeightAgl, ObjectClass, Position

DELTAS_PER_S = 10
TRAIL = 10                          # points of a contact, on average: a trail grows to twice as many, and begins anew
OPEN_ALARMS = 20
WEST, SOUTH, WIDE_M, HIGH_M = 106.5800, 16.6000, 4_600.0, 4_400.0      # where they walk: 20 km2 of the demo sector
BEGIN = 1000                        # number of the first alarm that is waited for


class Say(msgspec.Struct):
    """From the benchmark to the mind. contacts: so many from now on. alarm: commit one. night: so many seconds at once."""

    contacts: int | None = None
    alarm: bool = False
    night_s: int | None = None
    per_s: int = 0


@contextlib.contextmanager
def telling(settings: StationSettings, contacts: int) -> Iterator[Connection]:
    """A mind in a process of its own; what it is sent is Say, what it answers is the time of a commit, or "done"."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    mind = context.Process(target=_tell, args=(there, settings.file, contacts), daemon=True)
    mind.start()
    here.recv()
    try:
        yield here
    finally:
        mind.terminate()
        mind.join(10)


class _Mind:
    def __init__(self, file: Path) -> None:
        from station.settings import load_station_settings

        self.settings = load_station_settings(file)
        self.settings.make_folders()
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.feed, self.ask = context.socket(zmq.PUB), context.socket(zmq.ROUTER)
        self.feed.bind(self.settings.mind_feed)
        self.ask.bind(self.settings.mind_ask)
        self.decoder: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
        self.contacts: dict[int, ContactView] = {}
        self.alarms: dict[str, AlarmView] = {}
        self.turn, self.number = 0, BEGIN
        self.trails = TrailTeller()
        self.changed: dict[str, AlarmView] = {}
        self.gone: list[str] = []
        self.store = sqlite3.connect(self.settings.data_dir / "bench.db", isolation_level=None)
        self.store.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; CREATE TABLE alarm (id TEXT, told BLOB)")

    def has(self, count: int) -> None:
        """From now on so many contacts, a hundredth of them vehicles, and some open alarms about the first."""
        now_ns = clock.utc_ns()
        self.gone += [self.contacts.pop(n).id for n in [n for n in self.contacts if n >= count]]
        for n in range(count):
            if n not in self.contacts:
                old = n % (2 * TRAIL)
                trail = tuple(point(n, now_ns - (old - i) * NS_PER_S) for i in range(old))
                self.contacts[n] = contact(n, now_ns, trail)
        for n in range(min(OPEN_ALARMS, count)):
            one = alarm(n, self.contacts[n], now_ns)
            self.alarms.setdefault(one.id, one)

    def raise_one(self) -> tuple[str, int]:
        """A new alarm, on the disk; the one before it is closed. Its id, and when the commit was done."""
        self.number += 1
        if (old := self.alarms.pop(f"A-{self.number - 1:06d}", None)) is not None:
            self.changed[old.id] = msgspec.structs.replace(old, state=AlarmState.CLOSED)
        one = alarm(self.number, self.contacts[self.number % len(self.contacts)], clock.utc_ns())
        self.store.execute("INSERT INTO alarm VALUES (?, ?)", (one.id, msgspec.msgpack.encode(one)))
        committed_ns = clock.utc_ns()
        self.alarms[one.id] = self.changed[one.id] = one
        return one.id, committed_ns

    def walk(self, numbers: list[int]) -> None:
        now_ns = clock.utc_ns()
        told = []
        for n in numbers:
            trail = self.contacts[n].trail
            trail = (*trail, point(n, now_ns)) if len(trail) < 2 * TRAIL else ()
            self.contacts[n] = contact(n, now_ns, trail)
            told.append(self.contacts[n])
        self.say(tuple(told))

    def say(self, contacts: tuple[ContactView, ...]) -> None:
        self.turn += 1
        alarms, self.changed = tuple(self.changed.values()), {}
        gone, self.gone = tuple(self.gone), []
        delta = Delta(self.turn, clock.utc_ns(), contacts, gone, alarms)
        self.feed.send(msgspec.msgpack.encode(self.trails.told(delta)))

    def answer(self, wait_ms: int) -> bool:
        if not self.ask.poll(wait_ms):
            return False
        *road, question = self.ask.recv_multipart()
        request = self.decoder.decode(question)
        answer: Picture | Done = Done()
        if isinstance(request, GetPicture):
            answer = Picture(self.settings.realm, self.turn, clock.utc_ns(), tuple(self.contacts.values()),
                             tuple(self.alarms.values()), (), sensors(clock.utc_ns()), (), (), Counts(0, 0, {}))
        elif isinstance(request, ChangeAlarm) and request.alarm in self.alarms:
            event = AlarmEventView(request.to, clock.utc_ns(), request.person, request.reason)
            old = self.alarms[request.alarm]
            new = msgspec.structs.replace(old, state=request.to, events=(*old.events, event))
            self.alarms[old.id] = self.changed[old.id] = new
        self.ask.send_multipart([*road, msgspec.msgpack.encode(answer)])
        return True

    def night(self, seconds: int, per_s: int) -> None:
        """So many seconds of a shift, `per_s` of them in one of the clock's: forty contacts at a time, each there for some
        minutes; each hundredth second an alarm, acknowledged a minute after and closed three after that."""
        begun_ns = clock.monotonic_ns()
        for second in range(seconds):
            first = second // 5
            for n in range(first, first + 40):
                if n not in self.contacts:
                    self.contacts[n] = contact(n, clock.utc_ns(), ())
            for n in [n for n in self.contacts if n < first]:
                self.gone.append(self.contacts.pop(n).id)
            if second % 100 == 0:
                one = alarm(BEGIN + second, self.contacts[first + 20], clock.utc_ns())
                self.alarms[one.id] = self.changed[one.id] = one
            for ago, state in ((60, AlarmState.ACKNOWLEDGED), (240, AlarmState.CLOSED)):
                one_then = self.alarms.get(f"A-{BEGIN + second - ago:06d}")
                if one_then is not None:
                    event = AlarmEventView(state, clock.utc_ns(), "lan", "")
                    new = msgspec.structs.replace(one_then, state=state, events=(*one_then.events, event))
                    self.alarms[new.id] = self.changed[new.id] = new
                    if state is AlarmState.CLOSED:
                        del self.alarms[new.id]
            self.walk(list(range(first, first + 40)))
            while self.answer(max(0, (begun_ns + second * NS_PER_S // per_s - clock.monotonic_ns()) // 1_000_000)):
                pass


def _tell(pipe: Connection, file: Path, count: int) -> None:
    from wire.process import die_with_parent

    die_with_parent()
    mind = _Mind(file)
    mind.has(count)
    due_ns, tick = clock.monotonic_ns(), 0
    pipe.send("ready")
    while True:
        if pipe.poll():
            word: Say = pipe.recv()
            if word.contacts is not None:
                mind.has(word.contacts)
            if word.alarm:
                pipe.send(mind.raise_one())
            if word.night_s:
                mind.night(word.night_s, word.per_s)
                pipe.send("done")
                due_ns = clock.monotonic_ns()
        mind.answer(min(5, max(0, (due_ns - clock.monotonic_ns()) // 1_000_000)))
        if clock.monotonic_ns() >= due_ns:
            due_ns += NS_PER_S // DELTAS_PER_S
            tick += 1
            mind.walk([n for n in mind.contacts if n % DELTAS_PER_S == tick % DELTAS_PER_S])


# --------------------------------------------------------------------------------------------------------- what there is


def point(number: int, at_ns: int) -> TrailPoint:
    """Each walks to and fro over 600 m at 1.4 m/s, from a place of its own."""
    east_m, north_m = (number * 137.5) % WIDE_M, (number * 61.8) % HIGH_M
    way_m = abs((1.4 * at_ns / NS_PER_S + number * 37) % 600.0 - 300.0)
    return TrailPoint(SOUTH + north_m / METRES_A_DEGREE, WEST + (east_m + way_m) / METRES_A_DEGREE, at_ns)


def contact(number: int, now_ns: int, trail: tuple[TrailPoint, ...]) -> ContactView:
    p = point(number, now_ns)
    kind = ObjectClass.CAR if number % 100 == 50 else ObjectClass.PERSON
    return ContactView(
        f"C-{number:06d}", kind, ContactState.LIVE, GroundPosition(p.lat_deg, p.lon_deg),
        Covariance2(13.217 + number % 7, 1.034, 16.421), (1.3811, -0.2213), now_ns - 200 * NS_PER_S, now_ns, 812 + number,
        0.8712, (f"node-{number % 10}/mast",), ("khe-da",), 412.7, True, None, (), trail, None,
    )


def alarm(number: int, about: ContactView, now_ns: int) -> AlarmView:
    says = Sentence("alarm.corridor_entry", {
        "object_class": "person", "corridor": "Khe Da", "corridor_id": "khe-da", "contact": about.id, "contacts": 1,
    })
    return AlarmView(
        f"A-{number:06d}", "corridor_entry", 1 + number % 3, AlarmState.ACTIVE, now_ns, says, about.id, "khe-da", None, None,
        about.position, None, True, (AlarmEventView(AlarmState.ACTIVE, now_ns, "system", ""),), (about.id,),
    )


def sensors(now_ns: int) -> tuple[SensorView, ...]:
    def one(n: int) -> SensorView:
        lat, lon = SOUTH + n * 400 / METRES_A_DEGREE, WEST + n * 420 / METRES_A_DEGREE
        far = 140 / METRES_A_DEGREE
        view = tuple(GroundPosition(lat + a * far, lon + b * far) for a, b in ((0.0, 0.0), (0.4, 1.0), (-0.4, 1.0)))
        return SensorView(f"gate-{n}", f"node-{n}", Position(lat, lon, HeightAgl(6.0)), view, SensorState.SEEING, now_ns,
                          now_ns, True, "")

    return tuple(one(n) for n in range(10))
