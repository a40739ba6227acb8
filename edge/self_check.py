"""What a node finds out about itself beside its work: whether it stands where it should, knows the time, and sees."""

from __future__ import annotations

import contextlib
import hashlib
from types import TracebackType
from typing import Self

import msgspec

from cameras.pose import PoseEstimate
from edge.blindness import Blindness, Verdict
from edge.gaze import masks_of
from edge.position import TRUSTED, PositionCheck, PositionLimits, PositionVerdict, PositionWatch
from edge.settings import Setup, SourceKind
from edge.sources import Image
from edge.timekeeping import TimeKeeper
from wire.clock import Clock
from wire.node_words import NodeText
from wire.units import GroundPosition, TimeQuality

REFERENCE_FILE = "reference-view.npz"       # in the node's data folder, one a preset; deleted, the view is learnt anew


class SelfCheck:
    """Of one node, for as long as it is entered. Nothing here waits."""

    def __init__(self, setup: Setup, clock: Clock) -> None:
        self._setup = setup
        self._clock = clock
        self._position = _position_watch(setup, clock)
        self._time = TimeKeeper(
            clock, simulated=setup.settings.source.kind is SourceKind.SIMULATOR,
            gnss_offset_s=lambda: self._position.clock_offset_s if self._position else None,
        )
        self._blindness = _blindness(setup)
        self._open = contextlib.ExitStack()

    def __enter__(self) -> Self:
        if self._position:
            self._open.enter_context(self._position)
        self._open.enter_context(self._time)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    def begin_at(self, setup: Setup) -> None:
        """The camera looks elsewhere now, at a preset; that view has a reference of its own."""
        self._setup = setup
        self._blindness = _blindness(setup)

    def look(self, image: Image) -> Verdict:
        """Whether this picture shows what it should."""
        return self._blindness.look(image, self._clock.monotonic_ns())

    @property
    def time_quality(self) -> TimeQuality:
        return self._time.quality

    @property
    def position(self) -> PositionVerdict:
        return self._position.verdict if self._position else TRUSTED

    def widened(self, estimate: PoseEstimate) -> PoseEstimate:
        """The estimate, with a position as unsure as it has become.

        A camera that still shows the view of its survey has not been carried off, whatever a receiver says: then the signal
        is false, and places lose a little and not all of their worth. Else false signals could blind the border.
        """
        verdict = self.position
        if verdict.trusted:
            return estimate
        least_m = self._setup.settings.position.untrusted_sigma_m if self._setup.settings.position else 0.0
        return verdict.widened(estimate, least_m if self._blindness.stands else None)

    @property
    def problems(self) -> list[NodeText]:
        """In words. Call it once a second."""
        said = self._time.problems
        return [self.position.problem, *said] if self.position.problem else said


def _position_watch(setup: Setup, clock: Clock) -> PositionWatch | None:
    s, camera = setup.settings.position, setup.settings.camera
    if s is None or camera.position is None:
        return None
    limits = PositionLimits(s.moved_m, s.jump_m, s.stale_after_s, s.lost_after_s, s.untrusted_sigma_m)
    check = PositionCheck(GroundPosition(*camera.position), setup.sector.frame, limits, clock)
    host, port = s.endpoint
    return PositionWatch(host, port, check, clock)


def _blindness(setup: Setup) -> Blindness:
    """A camera on a drone has no view that stays. What is a recording shows another view than another recording."""
    camera, source = setup.settings.camera, setup.settings.source
    survey = msgspec.structs.replace(camera, error_limit_m=0.0, reach_m=0.0)
    shown = [source.kind.value, source.place if source.kind.shows else ""]
    told: list[object] = [survey, shown]
    file = setup.outbox.parent / REFERENCE_FILE if setup.survey else None
    if file is not None and setup.preset:
        told.append(next(p for p in setup.settings.presets if p.name == setup.preset))
        file = file.with_stem(f"{file.stem}-{hashlib.sha256(setup.preset.encode()).hexdigest()[:8]}")
    of = hashlib.sha256(msgspec.json.encode(told)).hexdigest()
    masks = masks_of(setup.settings.gate.masks, setup)
    return Blindness(file, of, setup.camera.lens.fx / setup.camera.lens.width_px, masks)
