"""`trailwatch coverage`: now's table of a station, asked of its mind, or read from its disk where the mind does not run."""

from __future__ import annotations

import msgspec
import numpy as np
import zmq

from geofences.sector import load_sector
from station.coverage_ledger import COVERAGE, Ledger
from station.coverage_picture import CoverageView, CoverageWhole, Grade, SensorCoverage
from station.coverage_runs import Now, ages, corridor_view, debt_of
from station.coverage_trail import Trail
from station.picture import Answer, GetPicture, Picture
from station.settings import StationSettings
from station.store import open_reader
from wire.clock import NS_PER_S, Clock, WallClock
from wire.coverage import CoverageDebt
from wire.settings import SettingsError

ASK_TIMEOUT_S = 5.0


class CoverageTable(msgspec.Struct, frozen=True):
    """running: whether the mind answered; where it did not, nothing is watched and the ages are as they were written."""

    running: bool
    at_ns: int
    whole: CoverageWhole | None
    corridors: tuple[CoverageView, ...]


def read_table(settings: StationSettings, clock: Clock | None = None) -> CoverageTable:
    """Raises wire.settings.SettingsError where there is neither a mind nor a file."""
    now_ns = (clock or WallClock()).utc_ns()
    picture = _ask(settings)
    if picture is not None:
        return CoverageTable(True, now_ns, picture.coverage_whole, picture.coverage)
    return CoverageTable(False, now_ns, None, _from_disk(settings, now_ns))


def run(settings: StationSettings, *, as_json: bool, debt: bool) -> str:
    """What is printed: the table, or with `debt` what a planner of patrols reads."""
    table = read_table(settings)
    if debt:
        owed = debt_of(table.corridors, load_sector(settings.sector), table.at_ns)
        return msgspec.json.encode(owed).decode() if as_json else _debt_lines(owed)
    return msgspec.json.encode(table).decode() if as_json else _table_lines(table)


def _ask(settings: StationSettings) -> Picture | None:
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    try:
        socket = context.socket(zmq.REQ)
        socket.linger = 0
        socket.connect(settings.mind_ask)
        socket.send(msgspec.msgpack.encode(GetPicture()))
        if not (settings.run_dir / "mind.ask").exists() or not socket.poll(int(ASK_TIMEOUT_S * 1000)):
            return None
        answer = msgspec.msgpack.decode(socket.recv(), type=Answer)
        return answer if isinstance(answer, Picture) else None
    except (zmq.ZMQError, msgspec.DecodeError):
        return None
    finally:
        context.destroy(linger=0)


def _from_disk(settings: StationSettings, now_ns: int) -> tuple[CoverageView, ...]:
    try:
        db = open_reader(settings.coverage_db, COVERAGE, settings.realm)
    except FileNotFoundError:
        raise SettingsError(f"{settings.coverage_db}: not there. This station's mind has not run yet.") from None
    sector = load_sector(settings.sector)
    trail = Trail(sector.corridors, sector.terrain)
    ledger = Ledger(trail, now_ns // NS_PER_S)
    try:
        ledger.load(db, sector.frame, now_ns // NS_PER_S)
    finally:
        db.close()
    n = trail.size
    now = Now(np.zeros(n, np.uint8), np.zeros(n, np.uint16), np.zeros(n, np.float32), [""])
    least = int(settings.coverage.least_grade)
    age = ages(ledger, now, least, now_ns // NS_PER_S)
    weights = settings.coverage.weights
    return tuple(
        corridor_view(part, i, ledger, now, age, now_ns, weights[min(max(part.priority, 1), 3) - 1])
        for i, part in enumerate(trail.parts)
    )


def _table_lines(table: CoverageTable) -> str:
    lines = []
    if not table.running:
        lines.append("The mind does not run: nothing is watched now, and ages are as they were last written.")
    if table.whole is not None:
        w = table.whole
        lines.append(
            f"sun {w.sun_deg:+.0f} degrees, {w.lux:g} lux; visibility {w.visibility_m:g} m, rain {w.rain_mm_h:g} mm/h, "
            f"cloud {w.cloud:g} ({w.weather_by or 'settings'})"
        )
        lines.append(f"growth is counted in for: {', '.join(w.growth) or 'no corridor'}; for the others it is not known")
    heads = [g.name.lower() for g in Grade if g is not Grade.NONE]
    lines.append(
        f"{'corridor':20}{'metres':>8}{'watched':>9}" + "".join(f"{h:>11}" for h in heads)
        + f"{'never':>8}{'oldest':>10}{'debt, m h':>12}{'weighted':>10}"
    )
    lines += [_corridor_line(v, table.at_ns) for v in table.corridors]
    if table.whole is not None:
        lines += [_sensor_line(s) for s in table.whole.sensors]
    return "\n".join(lines)


def _corridor_line(v: CoverageView, now_ns: int) -> str:
    if v.oldest_ns >= v.at_ns:
        oldest = "now"
    else:
        oldest = _span((now_ns - v.oldest_ns) / NS_PER_S) if v.oldest_ns else "never"
    grades = "".join(f"{m:11}" for m in v.grades_m[1:])
    return (f"{v.corridor:20}{v.length_m:8}{v.watched_m:9}{grades}{v.never_m:8}{oldest:>10}{v.debt_mh:12.1f}"
            f"{v.debt_mh * v.weight:10.1f}")


def _sensor_line(s: SensorCoverage) -> str:
    doubt = "; its outline is not its lens's" if s.doubtful else ""
    if s.why:
        sees = f"nothing ({s.why.replace('_', ' ')})"
    else:
        sees = f"{s.watched_m} m, at best {Grade(s.grade).name.lower()}"
    return f"{s.sensor:20}{(s.kind.value if s.kind else '-'):12}{sees}{doubt}"


def _debt_lines(owed: CoverageDebt) -> str:
    return "\n".join(
        f"{s.corridor:20}{s.from_m:7} to {s.to_m:5} m  {'never seen, counted for ' if not s.last_seen_ns else 'unseen for '}"
        f"{_span(s.unseen_s):>9}  {s.debt_mh:10.1f} m h, weight {s.weight:g}"
        for s in owed.segments
    ) or "Nothing is owed: all trail is watched."


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
