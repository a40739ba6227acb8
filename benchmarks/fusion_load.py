"""Three thousand detections a second for the fusion alone: 300 walkers, 60 sensors, each walker in two of them, 5 Hz."""

from __future__ import annotations

import time

import numpy as np

from geofences.corridors import CorridorMap
from station.fusion import Fusion
from station.fusion_frames import Seen, SensorFrame
from wire.clock import NS_PER_S
from wire.units import ObjectClass

CONTACTS, SENSORS, FPS = 300, 60, 5
SECONDS, WARM_UP_S = 12, 4
GROUP = CONTACTS * 2 // SENSORS         # walkers in one sensor's picture
SIGMA_M, NOISE_M = 1.5, 0.4
BEGIN_NS = 1_800_000_000 * NS_PER_S


def load(corridors: CorridorMap, seed: int) -> tuple[float, int]:
    """Seconds of processor time for each second of input, after the warm-up; and how many contacts there were at the end."""
    fusion = Fusion(corridors)
    spent = 0
    for second, frames in enumerate(_seconds(seed)):
        began = time.process_time_ns()
        for frame in frames:
            fusion.observe(frame)
        if second >= WARM_UP_S:
            spent += time.process_time_ns() - began
    return spent / 1e9 / (SECONDS - WARM_UP_S), len(fusion.contacts)


def _seconds(seed: int) -> list[list[SensorFrame]]:
    """The frames of each second in the order of capture. Pairs of sensors share a place; places are 80 m apart."""
    chance = np.random.default_rng(seed)
    places = SENSORS // 2
    centre = np.column_stack([np.arange(places) % 6 * 80.0, np.arange(places) // 6 * 80.0])
    at = np.repeat(centre, GROUP, axis=0) + chance.uniform(-20, 20, (CONTACTS, 2))
    way = chance.normal(0, 0.8, (CONTACTS, 2))
    offsets = chance.normal(0, 0.8 * SIGMA_M, (SENSORS, 2))
    stands = np.repeat(centre, 2, axis=0) + chance.uniform(-30, 30, (SENSORS, 2))
    covariance = np.eye(2) * SIGMA_M**2
    seconds = []
    for second in range(SECONDS):
        frames = []
        for k in range(FPS):
            at = at + way / FPS
            away = at - np.repeat(centre, GROUP, axis=0)
            way = np.where(np.abs(away) > 22, -np.sign(away) * np.abs(way), way) + chance.normal(0, 0.05, (CONTACTS, 2))
            for sensor in range(SENSORS):
                first = sensor // 2 * GROUP
                ns = BEGIN_NS + round((second + (k + sensor / SENSORS) / FPS) * NS_PER_S)
                seen = tuple(
                    Seen(
                        f"n{sensor}/1/s{sensor}/{i}", ObjectClass.PERSON, 0.7,
                        at[i] + offsets[sensor] + chance.normal(0, NOISE_M, 2), covariance, None,
                    )
                    for i in range(first, first + GROUP)
                )
                frames.append(
                    SensorFrame(f"s{sensor}", ns, ns + 150_000_000, True, seen, (stands[sensor, 0], stands[sensor, 1]))
                )
        seconds.append(frames)
    return seconds
