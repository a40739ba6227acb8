"""How many plates are read right, by size, light and blur, and by how many readings vote; colours; what the process takes.

Vehicles of known plates and paints are drawn by the simulation (sim.gate says what that is worth), five pictures each as
they pass a camera at a gate, at up to 40 degrees, and go the way of the node: crop, networks, vote.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import psutil

from benchmarks.form import Figure, Peer, figure
from edge.plate_ocr import PlateOcr
from edge.plate_reader import PlateReader, VehicleCrop
from edge.plate_votes import Plate, Reading, vote
from edge.vehicle_colour import colour_of, light_of
from edge.vehicle_looks import plate_crop
from sim.gate import Gate, Shot, random_vehicle
from sim.vehicles import PAINTS
from sim.world_state import DETECTED_AS, Kind, Looks
from wire.clock import NS_PER_S, WallClock
from wire.units import Colour, ObjectClass, VehicleKind, is_vehicle

RUNS = 3
VEHICLES = 2                    # of each size and condition, a run
PICTURES = 5
VOTES = (1, 3, 5)
KINDS = (Kind.CAR, Kind.PICKUP, Kind.TRUCK, Kind.BUS, Kind.MOTORCYCLE)
SIZES_PX = {"small": (45.0, 70.0), "large": (90.0, 160.0)}      # width of the plate, seen straight
# Sky, and smear by movement as a share of the plate's width.
CONDITIONS = {"day": ("day", 0.0), "dusk": ("dusk", 0.0), "infrared": ("infra-red", 0.0), "smeared": ("day", 0.06)}
SURE = 0.9                      # geometric mean of a plate's confidences: told surely
# What a person calls the paints of sim.vehicles; two names where people would differ.
NAMES: dict[tuple[float, float, float], tuple[Colour, ...]] = {
    (214, 214, 212): (Colour.WHITE,), (160, 164, 168): (Colour.GREY,), (34, 36, 40): (Colour.BLACK,),
    (122, 26, 26): (Colour.RED,), (40, 62, 104): (Colour.BLUE,), (96, 100, 104): (Colour.GREY,),
    (150, 132, 104): (Colour.BROWN,), (206, 206, 202): (Colour.WHITE,), (60, 64, 68): (Colour.BLACK, Colour.GREY),
    (32, 34, 36): (Colour.BLACK,), (44, 66, 104): (Colour.BLUE,), (122, 34, 26): (Colour.RED,),
    (92, 98, 84): (Colour.GREY, Colour.GREEN), (168, 96, 40): (Colour.ORANGE, Colour.BROWN),
    (216, 216, 212): (Colour.WHITE,),
    (206, 196, 168): (Colour.WHITE, Colour.BROWN), (150, 176, 196): (Colour.BLUE, Colour.GREY), (190, 60, 44): (Colour.RED,),
}
COLOUR_KINDS = {Kind.CAR: VehicleKind.CAR, Kind.PICKUP: VehicleKind.PICKUP, Kind.BUS: VehicleKind.BUS}
COLOUR_SKIES = ("day", "overcast", "against the sun", "low sun", "dusk", "infra-red")
NOBODY = np.zeros((0, 4))

_clock = WallClock()


@dataclass(frozen=True, slots=True)
class _Told:
    """Of one vehicle: what its plate says, and what was told after 1, 3 and 5 pictures."""

    says: str
    plates: tuple[Plate | None, ...]


def measure() -> dict[str, Figure]:
    cv2.setNumThreads(1)
    gate, ocr = Gate(), PlateOcr(threads=1)
    figures: dict[str, Figure] = {}
    by_votes: dict[int, list[list[_Told]]] = {}
    seconds: list[float] = []
    for condition, (sky, smear) in CONDITIONS.items():
        for size, between in SIZES_PX.items():
            runs = [_pass(gate, ocr, run, sky, smear, between, seconds) for run in range(RUNS)]
            name = f"{condition}_{size}"
            figures[f"{name}_right"] = figure(
                [_share(run, -1, right=True) for run in runs], "share",
                f"of {VEHICLES} vehicles a run: every character right, {PICTURES} pictures voted; no reading is not right",
                peer=Peer("one picture", round(float(np.mean([_share(run, 0, right=True) for run in runs])), 3)),
            )
            figures[f"{name}_false"] = figure(
                [_share(run, -1, right=False) for run in runs], "share", "the same: told, and at least one character wrong",
            )
            for k, run in enumerate(runs):
                by_votes.setdefault(k, []).append(run)
    all_runs = [[t for part in by_votes[k] for t in part] for k in range(RUNS)]
    for v, count in enumerate(VOTES):
        figures[f"all_right_{count}"] = figure(
            [_share(run, v, right=True) for run in all_runs], "share", f"all conditions: right with {count} pictures voted",
        )
        figures[f"all_false_{count}"] = figure(
            [_share(run, v, right=False) for run in all_runs], "share", f"all conditions: false with {count} pictures voted",
        )
    figures["characters_right"] = figure(
        [_characters(run) for run in all_runs], "share", "characters right, of plates told with the right length, 5 voted",
    )
    figures["sure_false"] = figure(
        [_sure_false(run) for run in all_runs], "share", f"false, of plates told with a mean confidence above {SURE}",
    )
    figures["claimed_less_right"] = figure(
        [_calibration(run) for run in all_runs], "share",
        "mean confidence of characters less the share of them that is right; above 0 claims too much",
    )
    figures["read_core_ms"] = figure([1e3 * s for s in seconds], "ms", "one core's time for a crop, found and read")
    figures |= _colours(gate)
    gate.close()
    figures |= _process()
    return figures


def _pass(
    gate: Gate, ocr: PlateOcr, run: int, sky: str, smear: float, between: tuple[float, float], seconds: list[float]
) -> list[_Told]:
    """One run of one condition and size."""
    chance = np.random.default_rng([run, round(between[0]), len(sky), round(100 * smear)])
    told = []
    for _ in range(VEHICLES):
        kind, looks = random_vehicle(chance, KINDS)
        shots = gate.passing(chance, kind, looks, float(chance.uniform(*between)), sky, PICTURES, smear)
        readings = []
        for shot in shots:
            began = time.process_time()
            readings.append(ocr.read(_crop(shot, kind)))
            seconds.append(time.process_time() - began)
        plates = tuple(vote([r for r in readings[:count] if r is not None]) for count in VOTES)
        told.append(_Told(_bare(looks.plate), plates))
    return told


def _crop(shot: Shot, kind: Kind) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    vehicle = DETECTED_AS[kind]
    assert vehicle is not None and is_vehicle(vehicle)
    return plate_crop(shot.image, shot.box, vehicle, NOBODY)


def _bare(text: str) -> str:
    return "".join(c for c in text if c.isalnum())


def _share(told: Sequence[_Told], which: int, *, right: bool) -> float:
    plates = [(t.says, t.plates[which]) for t in told]
    return sum(p is not None and (_bare(p.text) == says) is right for says, p in plates) / len(told)


def _letters(told: Sequence[_Told]) -> list[tuple[float, bool]]:
    """Confidence, and whether it is right, of every character of plates with the right length."""
    return [
        (c, a == b) for t in told if (p := t.plates[-1]) is not None and len(_bare(p.text)) == len(t.says)
        for c, a, b in zip(p.confidence, _bare(p.text), t.says, strict=True)
    ]


def _characters(told: Sequence[_Told]) -> float:
    return float(np.mean([right for _, right in _letters(told)]))


def _calibration(told: Sequence[_Told]) -> float:
    letters = np.array(_letters(told), float)
    return float(letters[:, 0].mean() - letters[:, 1].mean())


def _sure_false(told: Sequence[_Told]) -> float:
    sure = [(t.says, p) for t in told if (p := t.plates[-1]) is not None and np.log(p.confidence).mean() > np.log(SURE)]
    return sum(_bare(p.text) != says for says, p in sure) / max(1, len(sure))


def _colours(gate: Gate) -> dict[str, Figure]:
    """Right, wrong and untold by sky; the confusions of all skies with colours are in the text."""
    figures: dict[str, Figure] = {}
    confusions: Counter[tuple[str, str]] = Counter()
    vehicles = [(kind, paint) for kind in COLOUR_KINDS for paint in PAINTS[kind]]
    for sky in COLOUR_SKIES:
        right, wrong = [], []
        for run in range(RUNS):
            chance = np.random.default_rng(run)
            told = []
            for kind, paint in vehicles[run::RUNS]:
                looks = Looks(int(chance.integers(1 << 31)), colour=(int(paint[2]), int(paint[1]), int(paint[0])))
                shot = gate.shot(kind, looks, float(chance.uniform(13.0, 16.0)), float(chance.uniform(0, 360)), sky)
                seen = colour_of(shot.image, shot.box, COLOUR_KINDS[kind], NOBODY, light_of(shot.image))
                names = NAMES[paint]
                told.append(None if seen is None else seen in names)
                if seen is not None:
                    confusions[(seen if seen in names else names[0]).value, seen.value] += 1
            right.append(told.count(True) / len(told))
            wrong.append(told.count(False) / len(told))
        name = sky.replace(" ", "_").replace("-", "")
        how = f"of {len(vehicles)} paints of cars, pickups and buses, a third a run, from any side, one picture each"
        figures[f"colour_{name}_right"] = figure(right, "share", how)
        figures[f"colour_{name}_wrong"] = figure(wrong, "share", how + "; the rest is not told")
    wrongs = ", ".join(f"{a} as {b} {n}" for (a, b), n in confusions.most_common() if a != b)
    rights = ", ".join(f"{a} {n}" for (a, b), n in sorted(confusions.items()) if a == b)
    total = sum(confusions.values())
    figures["colour_told_right"] = figure(
        [sum(n for (a, b), n in confusions.items() if a == b) / max(1, total)], "share",
        f"of all colours told; right: {rights}; wrong: {wrongs or 'none'}",
    )
    return figures


def _process() -> dict[str, Figure]:
    """The real process: from nothing to a first reading, and what it and the node's part take."""
    image = np.full((240, 400, 3), 110, np.uint8)
    cv2.rectangle(image, (105, 120), (275, 158), (235, 235, 235), -1)
    cv2.putText(image, "74C-123.45", (112, 149), cv2.FONT_HERSHEY_DUPLEX, 0.85, (15, 15, 15), 2, cv2.LINE_AA)
    up_s, memory_mb, offer_us = [], [], []
    for _ in range(RUNS):
        with PlateReader(_clock) as reader:
            began_ns = _clock.monotonic_ns()
            reader.offer(VehicleCrop(1, ObjectClass.CAR, image, 1.0))
            _wait(reader)
            up_s.append((_clock.monotonic_ns() - began_ns) / NS_PER_S)
            for k in range(5):
                began_ns = _clock.monotonic_ns()
                reader.offer(VehicleCrop(k, ObjectClass.CAR, image, 1.0))
                offer_us.append((_clock.monotonic_ns() - began_ns) / 1e3)
                _wait(reader)
            pid = reader.pid
            if pid is not None:
                memory_mb.append(psutil.Process(pid).memory_info().rss / 1e6)
    return {
        "process_first_s": figure(up_s, "s", "from the first crop to its reading: start, networks, reading"),
        "process_memory_mb": figure(memory_mb, "MB", "resident memory of the process that reads, after six crops"),
        "offer_us": figure(offer_us, "us", "what handing over a crop takes of the node's time"),
    }


def _wait(reader: PlateReader) -> list[tuple[int, Reading]]:
    while True:
        read = reader.take()
        if read or reader.problem:
            return read
        _clock.sleep(0.01)
