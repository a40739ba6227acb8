"""How a node is: what it measures of itself, and whether its sensor sees."""

from __future__ import annotations

from pathlib import Path

import psutil

from edge.blindness import SEES, Verdict
from edge.position import TRUSTED, PositionVerdict
from wire.clock import NS_PER_S, Clock
from wire.messages import NodeHealth, SensorState
from wire.node_words import NodeText, node_text
from wire.outbox import Outbox
from wire.units import TimeQuality

BLIND_AFTER_S = 1.0             # "blind from the first second" (DESIGN.md)
HOT_C = 90.0                    # where small computers of this kind slow down by themselves (Raspberry Pi 85, Intel 100)
DISK_LOW_MB = 500.0             # below it, a problem is reported; about half a day of one busy camera
MEGABYTE = 1_000_000


class Sight:
    """Whether a sensor sees: blind from the first second without a frame."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_frame_ns: int | None = None
        self.state = SensorState.BLIND
        self.since_ns = clock.utc_ns()
        self.detail = node_text("no_picture_yet")

    def frame(self, verdict: Verdict = SEES) -> None:
        """A frame has come. verdict: whether it shows anything that can be believed."""
        self._last_frame_ns = self._clock.monotonic_ns()
        self._enter(verdict.state, verdict.reason)

    def unusable(self, why: NodeText) -> None:
        """A frame has come that cannot be used at all."""
        self._enter(SensorState.BLIND, why)

    def turned_away(self, turning: bool, detail: NodeText) -> None:
        """A frame has come of a camera that turns; or of which nobody knows where it looks, and nobody may rely on it."""
        self._last_frame_ns = self._clock.monotonic_ns()
        self._enter(SensorState.CALIBRATING if turning else SensorState.MOVED, detail)

    def nothing(self, complaint: NodeText) -> None:
        """No frame has come; complaint says why, where the source knows."""
        last_ns = self._last_frame_ns
        if last_ns is not None and self._clock.monotonic_ns() - last_ns <= BLIND_AFTER_S * NS_PER_S:
            return
        self._enter(SensorState.BLIND, complaint or node_text("no_picture_yet" if last_ns is None else "no_picture"))

    def _enter(self, state: SensorState, detail: NodeText) -> None:
        if state is not self.state:
            self.since_ns = self._clock.utc_ns()
        self.state, self.detail = state, detail


def temperature_c() -> float | None:
    """The hottest sensor of this machine, degrees Celsius; None where it has none that can be read."""
    try:
        sensors = psutil.sensors_temperatures()
    except (AttributeError, OSError, ValueError):     # another system, or a driver that answers nonsense
        return None
    told = [reading.current for readings in sensors.values() for reading in readings]
    believable = [float(t) for t in told if t is not None and -60.0 < t < 150.0 and t != 0.0]
    return max(believable, default=None)


class _Stage:
    """Times what is done while it is entered. No generator: seven of these a picture cost a tenth of a millisecond."""

    __slots__ = ("_began_ns", "_meter", "_name")

    def __init__(self, meter: Meter, name: str) -> None:
        self._meter, self._name = meter, name

    def __enter__(self) -> None:
        self._began_ns = self._meter.now_ns()

    def __exit__(self, *_: object) -> None:
        self._meter.spent(self._name, self._meter.now_ns() - self._began_ns)


class Meter:
    """Counts frames and the time of each stage between two reports."""

    def __init__(self, clock: Clock, data_dir: Path) -> None:
        self._clock = clock
        self._data_dir = data_dir
        self._process = psutil.Process()
        self._began_ns = self._reported_ns = clock.monotonic_ns()
        self._stage_ns: dict[str, int] = {}
        self._stage_runs: dict[str, int] = {}
        self._frames_reported = 0
        self._looks: dict[str, int] = {}
        self.frames_in = 0

    def stage(self, name: str) -> _Stage:
        """Time one stage of the frame in hand, as `with meter.stage("gate"):`."""
        return _Stage(self, name)

    def spent(self, name: str, ns: int) -> None:
        """So long a stage took."""
        self._stage_ns[name] = self._stage_ns.get(name, 0) + ns
        self._stage_runs[name] = self._stage_runs.get(name, 0) + 1

    def now_ns(self) -> int:
        return self._clock.monotonic_ns()

    def look(self, seen: str) -> None:
        """How much of the frame in hand the detector is shown: "full", "crops" or "none"."""
        self._looks[seen] = self._looks.get(seen, 0) + 1

    def report(
        self, outbox: Outbox, frames_dropped: int, problems: list[NodeText], time_quality: TimeQuality = TimeQuality.FREE,
        position: PositionVerdict = TRUSTED,
    ) -> NodeHealth:
        """What happened since the last report; starts counting anew."""
        now_ns = self._clock.monotonic_ns()
        seconds = max(1e-3, (now_ns - self._reported_ns) / NS_PER_S)
        frames = self.frames_in - self._frames_reported
        stage_ms = {name: round(ns / 1e6 / max(1, frames), 2) for name, ns in self._stage_ns.items()} if frames else {}
        self._reported_ns, self._frames_reported, self._stage_ns = now_ns, self.frames_in, {}
        looks, self._looks = self._looks, {}
        runs, self._stage_runs = self._stage_runs, {}
        try:
            disk_free_mb = psutil.disk_usage(str(self._data_dir)).free / MEGABYTE
        except OSError as error:        # it has gone, card and all; the outbox says what that costs
            disk_free_mb = 0.0
            problems = [*problems, node_text("disk_unknown", folder=str(self._data_dir), error=error.strerror or str(error))]
        hottest_c = temperature_c()
        if hottest_c is not None and hottest_c >= HOT_C:
            problems = [*problems, node_text("hot", celsius=round(hottest_c))]
        if disk_free_mb < DISK_LOW_MB:
            problems = [*problems, node_text("disk_full", mb=round(disk_free_mb), folder=str(self._data_dir))]
        ledger = outbox.ledger
        return NodeHealth(
            at_ns=self._clock.utc_ns(),
            uptime_s=round((now_ns - self._began_ns) / NS_PER_S, 1),
            frames_in=self.frames_in,
            frames_dropped=frames_dropped,
            frames_per_s=round(frames / seconds, 2),
            stage_ms=stage_ms,
            outbox_depth=outbox.depth,
            outbox_dropped=ledger.messages_dropped,
            detections_sent=ledger.detections_put,
            disk_free_mb=round(disk_free_mb, 1),
            memory_mb=round(self._process.memory_info().rss / MEGABYTE, 1),
            time_quality=time_quality,
            position_trusted=position.trusted,
            problems=tuple(str(p) for p in problems),
            looks=looks,
            stage_per_s={name: round(n / seconds, 2) for name, n in runs.items()},
            temperature_c=None if hottest_c is None else round(hottest_c, 1),
            position_problem="" if position.trusted else str(position.problem),
            problem_words=tuple(p.worded for p in problems),
            position_words=None if position.trusted else position.problem.worded,
        )
