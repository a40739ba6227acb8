"""From what is tracked in pictures to what is told of them: places, corridors, messages.

Several pictures of a camera that stands are placed at once. That costs hardly more than one of them: a handful of objects
are few numbers, and nearly all the time goes into the steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise

import numpy as np

from cameras.camera import Camera
from cameras.pose import PoseEstimate
from edge.bodies import depth_of
from edge.geolocate import GroundEstimate, geolocate
from edge.judge import judge
from edge.tracker import Tracked, joined
from geofences.corridors import CorridorMap
from geofences.terrain import Terrain
from wire.messages import DetectionBatch
from wire.units import TimeQuality


@dataclass(frozen=True, slots=True)
class Sighting:
    """What is tracked in one picture, and how that was taken. camera: with the lens for a picture of that size."""

    captured_ns: int
    time_quality: TimeQuality
    tracked: Tracked
    camera: Camera
    estimate: PoseEstimate


@dataclass(frozen=True, slots=True)
class Placed:
    """Of one sighting: where its objects are, row by row as they are tracked, and the message that says so."""

    ground: GroundEstimate
    batch: DetectionBatch


def place(sensor: str, sightings: Sequence[Sighting], terrain: Terrain, corridors: CorridorMap) -> list[Placed]:
    """Of each of them, in their order."""
    placed: list[Placed] = []
    for _, alike in groupby(sightings, key=lambda s: (s.camera, s.estimate)):
        placed += _place(sensor, list(alike), terrain, corridors)
    return placed


def _place(sensor: str, alike: Sequence[Sighting], terrain: Terrain, corridors: CorridorMap) -> list[Placed]:
    """Of sightings by one camera from one place."""
    camera, estimate = alike[0].camera, alike[0].estimate
    tracked = joined([s.tracked for s in alike])
    ground = geolocate(tracked.foot_px, camera, estimate, terrain, depth_of(tracked.classes))
    detections = judge(tracked, ground, estimate.pose, corridors, camera.lens.height_px)
    ends = np.cumsum([0, *(len(s.tracked.ids) for s in alike)]).tolist()
    return [
        Placed(
            ground if len(alike) == 1 else ground.rows(low, high),
            DetectionBatch(sensor, s.captured_ns, s.time_quality, corridors.version, detections[low:high]),
        )
        for s, (low, high) in zip(alike, pairwise(ends), strict=True)
    ]
