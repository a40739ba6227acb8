"""The flight book: what every aircraft flew, when, how far, on whose plan and how it ended, one row a flight.

A flight is from arming to disarming on the drone's own word. Its row is written when it begins, so that a service that dies
leaves a flight without an end and not no flight; and a .tlog lies beside it with everything that was said, a few seconds
from before it on.
"""

from __future__ import annotations

import logging
import math
import sqlite3
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fleet.drone import Drone
from fleet.tlog import TlogWriter
from wire.clock import NS_PER_S, Clock
from wire.private_files import keep_private

BEFORE_S = 15.0                 # kept of what was said before arming
BEFORE_LIMIT = 4000
AFTER_S = 5.0                   # and after disarming
KEPT_BYTES = 4 * 1024**3        # of all logs; the oldest go first, their rows stay
GAP_M = 500.0                   # a leap further than this between two places is none that was flown
METRES_A_DEGREE = 111_195.0

_log = logging.getLogger("trailwatch.fleet")

_TABLE = """
create table if not exists flights (
    id integer primary key, drone text not null, system_id integer, hardware_id text, simulated integer, task_id text,
    plan_id text, armed_ns integer not null, disarmed_ns integer, airborne_s real, distance_m real, highest_m real,
    battery_from real, battery_to real, modes text, warnings text, tlog text, ending text
)
"""


@dataclass(frozen=True, slots=True)
class FlightRow:
    """One flight. disarmed_ns and ending: None and "" while it lasts. battery: percent. modes, warnings: in their order."""

    id: int
    drone: str
    system_id: int
    hardware_id: str
    simulated: bool
    task_id: str
    plan_id: str
    armed_ns: int
    disarmed_ns: int | None
    airborne_s: float
    distance_m: float
    highest_m: float
    battery_from: float | None
    battery_to: float | None
    modes: str
    warnings: str
    tlog: str
    ending: str


class FlightBook:
    """The table, in one file of the fleet service's data folder.

    keep: it is the service that opens it, which ends what an earlier one has left open. Others only read.
    """

    def __init__(self, folder: Path, *, keep: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._db = sqlite3.connect(folder / "flight-book.db")
        self._db.execute("pragma journal_mode = wal")
        keep_private(folder / "flight-book.db")
        self._db.execute("pragma synchronous = full")
        self._db.execute(_TABLE)
        with self._db:
            if keep:
                lost = "not known: the fleet service ended before it"
                self._db.execute("update flights set ending = ? where ending = ''", (lost,))

    def begin(self, drone: Drone, armed_ns: int, task_id: str, plan_id: str, tlog: str, percent: float | None) -> int:
        identity = drone.identity
        with self._db:
            row = self._db.execute(
                "insert into flights (drone, system_id, hardware_id, simulated, task_id, plan_id, armed_ns, airborne_s,"
                " distance_m, highest_m, battery_from, modes, warnings, tlog, ending)"
                " values (?, ?, ?, ?, ?, ?, ?, 0, 0, 0, ?, '', '', ?, '')",
                (
                    drone.name, identity.system_id if identity else 0, identity.hardware_id if identity else "",
                    bool(identity and identity.simulated), task_id, plan_id, armed_ns, percent, tlog,
                ),
            )
        return int(row.lastrowid or 0)

    def end(self, number: int, **values: object) -> None:
        names = ", ".join(f"{name} = ?" for name in values)
        with self._db:
            self._db.execute(f"update flights set {names} where id = ?", (*values.values(), number))

    def flights(self) -> list[FlightRow]:
        """All, the newest first."""
        rows = self._db.execute(f"select {', '.join(FlightRow.__slots__)} from flights order by armed_ns desc, id desc")
        return [FlightRow(*row) for row in rows]

    def close(self) -> None:
        self._db.close()


class FlightRecorder:
    """Watches one drone's messages on its links and writes its flights down. `tap` is for Link.taps."""

    def __init__(self, book: FlightBook, drone: Drone, clock: Clock) -> None:
        self.system_id = 0
        self.task_id = ""
        self.plan_id = ""
        self._book, self._drone, self._clock = book, drone, clock
        self._before: deque[tuple[int, bytes]] = deque(maxlen=BEFORE_LIMIT)
        self._log: TlogWriter | None = None
        self._number = 0
        self._over_ns: int | None = None
        self._complaint = ""
        self._begin_values()

    def tap(self, message: Any, frame: bytes, sent: bool) -> None:
        """Every message of its links; those of other drones are passed over. Raises nothing that a disk can cause."""
        whose = getattr(message, "target_system", 0) if sent else message.get_srcSystem()
        if self.system_id == 0 or whose not in ((0, self.system_id) if sent else (self.system_id,)):
            return
        utc_ns = self._clock.utc_ns()
        self._keep(utc_ns // 1000, frame)
        if sent:
            return
        try:
            self._follow(message, utc_ns)
        except (OSError, sqlite3.Error) as error:   # it is called by the link's owner, which must go on
            if str(error) != self._complaint:
                self._complaint = str(error)
                _log.error("%s: its flight cannot be written down: %s", self._drone.name, error)

    def close(self, ending: str) -> None:
        """The service stops; what flies on is not recorded any more."""
        if self._log is not None:
            self._end(self._clock.utc_ns(), ending)

    # ------------------------------------------------------------------------------------------------------------------

    def _begin_values(self) -> None:
        self._place: tuple[float, float] | None = None
        self._distance_m = self._highest_m = self._airborne_s = 0.0
        self._airborne_ns: int | None = None
        self._modes: list[str] = []
        self._warnings: list[str] = []

    def _keep(self, utc_us: int, frame: bytes) -> None:
        if self._log is None:
            self._before.append((utc_us, frame))
            while self._before and utc_us - self._before[0][0] > BEFORE_S * 1e6:
                self._before.popleft()
            return
        try:
            self._log.write(utc_us, frame)
        except OSError as error:        # a full disk must not end a flight
            self._warn(f"the log could not be written: {error.strerror}")

    def _follow(self, message: Any, utc_ns: int) -> None:
        kind = message.get_type()
        if kind == "HEARTBEAT":
            self._heartbeat(message, utc_ns)
        elif self._log is None:
            return
        elif kind == "GLOBAL_POSITION_INT":
            self._move(message)
        elif kind == "STATUSTEXT" and message.severity <= 4:
            text = message.text
            self._warn((text.decode("utf-8", "replace") if isinstance(text, bytes) else text).rstrip("\0"))

    def _heartbeat(self, message: Any, utc_ns: int) -> None:
        if message.get_srcComponent() != 1:
            return
        armed = bool(message.base_mode & 128)
        if armed and self._log is None:
            self._begin(utc_ns)
        if self._log is None:
            return
        mode = self._drone.quirks.mode_name(message.custom_mode)
        if armed and (not self._modes or self._modes[-1] != mode):
            self._modes.append(mode)
        self._count_airborne(utc_ns, airborne=armed and self._drone.airborne())
        if armed:
            self._over_ns = None
        elif self._over_ns is None:
            self._over_ns = utc_ns
        elif utc_ns - self._over_ns >= AFTER_S * NS_PER_S:
            self._end(self._over_ns, f"disarmed in {self._modes[-1] if self._modes else mode}")

    def _count_airborne(self, utc_ns: int, *, airborne: bool) -> None:
        if self._airborne_ns is not None:
            self._airborne_s += (utc_ns - self._airborne_ns) / NS_PER_S
        self._airborne_ns = utc_ns if airborne else None

    def _move(self, message: Any) -> None:
        if message.lat == 0 and message.lon == 0:
            return
        here = message.lat / 1e7, message.lon / 1e7
        if self._place is not None:
            north = (here[0] - self._place[0]) * METRES_A_DEGREE
            east = (here[1] - self._place[1]) * METRES_A_DEGREE * math.cos(math.radians(here[0]))
            step_m = math.hypot(east, north)
            if step_m <= GAP_M and self._drone.airborne():
                self._distance_m += step_m
        self._place = here
        self._highest_m = max(self._highest_m, message.relative_alt / 1000.0)

    def _warn(self, text: str) -> None:
        if not self._warnings or self._warnings[-1] != text:
            self._warnings.append(text)

    def _percent(self) -> float | None:
        percent = self._drone.battery_percent
        return percent.value if percent is not None else None

    def _begin(self, utc_ns: int) -> None:
        self._begin_values()
        self._over_ns = None
        name = f"{self._drone.name}-{utc_ns // NS_PER_S}.tlog"
        log = TlogWriter(self._book.folder / name)
        self._number = self._book.begin(self._drone, utc_ns, self.task_id, self.plan_id, name, self._percent())
        self._log = log
        for at_us, frame in self._before:
            self._keep(at_us, frame)
        self._before.clear()

    def _end(self, utc_ns: int, ending: str) -> None:
        assert self._log is not None
        try:
            self._log.close()
        except OSError as error:
            self._warn(f"the log could not be closed: {error.strerror}")
        self._log = None
        self._over_ns = None
        self._book.end(
            self._number, disarmed_ns=utc_ns, airborne_s=round(self._airborne_s, 1), distance_m=round(self._distance_m, 1),
            highest_m=round(self._highest_m, 1), battery_to=self._percent(), modes=" ".join(self._modes),
            warnings="; ".join(self._warnings[-20:]), ending=ending,
        )
        drop_oldest(self._book.folder, KEPT_BYTES)


def drop_oldest(folder: Path, kept_bytes: int) -> None:
    """Delete the oldest logs until no more than kept_bytes are left; the newest always stays."""
    logs = sorted(folder.glob("*.tlog"), key=lambda p: p.stat().st_mtime, reverse=True)
    total = 0
    for number, log in enumerate(logs):
        total += log.stat().st_size
        if number and total > kept_bytes:
            log.unlink()
