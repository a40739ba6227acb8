"""What a node's own eyes find of people whose place is known: food for the detector model, from rendered pictures.

    python -m sim.detector_model_measure --weights yolo11n.pt --out FOLDER [--thermal]

The demo's cameras, and the same ones with a shorter lens, watch some minutes of each world. Pictures go through the node's
motion gate, detector and tracker; every actor in every picture becomes a row that says how it was to be seen and whether it
was found (IoU of FOUND_IOU at the least, any class of its group). What was found where nobody is, is counted.
"""

from __future__ import annotations

import argparse
import csv
import logging
import math
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import msgspec
import numpy as np

from cameras.lens import Lens
from cameras.pose import Pose
from cameras.project import project
from edge.camera_settings import CameraSettings, camera_of
from edge.detector import CLASSES, Detector, Found
from edge.detector_road import open_detector
from edge.gaze import Gaze, Where, gate_of
from edge.settings import Look, NodeSettings, Setup
from edge.sources import Frame
from edge.tracker import Tracker
from geofences.geodesy import Array
from geofences.sector import load_sector
from models.boxes import overlaps
from sim.exercise_scenario import load_exercise
from sim.landscape_cache import cached_landscape
from sim.renderer import Renderer
from sim.renderer_light import GREYEST_LUX, Palette, lux
from sim.world import World
from sim.world_scenario import Scenario, load_scenario
from sim.world_state import DETECTED_AS, ActorState, Kind, Landscape, TruthBox
from station.contacts import group_of
from wire.clock import NS_PER_S
from wire.settings import SettingsError, load_settings

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
WORLDS = ("innocent", "dusk", "night", "rain", "fog", "dawn")
VEHICLE_WORLDS = ("innocent", "dusk")
CAMERAS = ("camera-1", "camera-2")
LENSES = (1.0, 0.5)            # of the camera's focal length
SUITE = "suite_"                # before the name of a condition of the suite
THERMAL_WORLDS = ("night", "fog", "rain", "dusk", "innocent")
FPS = 3.0
FOUND_IOU = 0.3                 # what the tracker and the geolocation can still use; models.evaluate asks 0.5
LEAST_HIGH_PX = 6.0
WARM_UP_S = 3.0                 # of the motion gate
SEARCHED_S, SEARCHED_M = 420.0, 110.0
WATCHED = {
    "people": (Kind.PERSON,), "vehicles": (Kind.PICKUP, Kind.CAR, Kind.MOTORCYCLE, Kind.TRUCK, Kind.BOAT),
}
BEGIN_NS = 1_800_000_000 * NS_PER_S
COLUMNS = (
    "world", "camera", "lens", "t_s", "actor", "kind", "role", "high_px", "wide_px", "visible", "depression_deg",
    "distance_m", "lux", "grey", "rain_mm_h", "visibility_m", "speed_mps", "posture", "looked", "found", "score", "iou",
    "foot_dx", "foot_dy", "high_off", "top_off", "found_class", "palette",
)


@dataclass(frozen=True, slots=True)
class Stand:
    """One camera in one world."""

    world: str
    camera: str
    lens_share: float
    watched: str = "people"
    palette: Palette | None = None      # None: as a low-light camera has it, colour by day and grey in the dark

    @property
    def name(self) -> str:
        more = ("" if self.watched == "people" else "+") + ("" if self.palette is None else f"~{self.palette.value}")
        return f"{self.world}{more}-{self.camera}-{self.lens_share:g}"


class Watching:
    """What all stands share: one landscape, drawn by one renderer, and one detector."""

    def __init__(self, weights: Path, folder: Path) -> None:
        self.sector = load_sector(CONFIGS / "sectors/laobao/sector.toml")
        self.landscape = cached_landscape(self.scenario(WORLDS[0]))
        self.renderer = Renderer(self.landscape, 1)
        node = load_settings(self.node_file(CAMERAS[0]), NodeSettings)
        lens = camera_of(node.camera).lens
        self.detector, _ = open_detector(
            self.node_file(CAMERAS[0]), node.detector, weights, folder, (lens.height_px, lens.width_px)
        )

    def scenario(self, world: str) -> Scenario:
        if world.startswith(SUITE):
            return load_exercise(CONFIGS / f"exercises/suite/{world.removeprefix(SUITE)}.toml").scenario
        return load_scenario(CONFIGS / f"worlds/{world}.toml", self.sector)

    def node_file(self, camera: str) -> Path:
        return CONFIGS / f"demo/world/{camera}.toml"


def busiest_s(
    scenario: Scenario, landscape: Landscape, pose: Pose, lens: Lens, seconds: float, kinds: tuple[Kind, ...]
) -> float:
    """When, within SEARCHED_S, the most seconds of these kinds are in the picture for so long."""
    world = World(scenario, landscape, BEGIN_NS)
    counts = []
    for t in range(int(SEARCHED_S)):
        people = [s for s in world.moment_at(float(t)).actors if s.actor.kind in kinds]
        places = np.array([(s.east_m, s.north_m, s.height_msl_m + 0.9) for s in people]).reshape(-1, 3)
        px = project(places, pose, lens) if len(places) else np.empty((0, 2))
        near = np.linalg.norm(places - pose.position, axis=1) < SEARCHED_M
        inside = (px > 0).all(axis=1) & (px[:, 0] < lens.width_px) & (px[:, 1] < lens.height_px) & near
        moving = np.array([math.hypot(*s.velocity_mps) > 0.3 for s in people], bool)
        counts.append(float(inside.sum()) * 0.3 + float((inside & moving).sum()))
    sums = np.convolve(counts, np.ones(int(seconds)), "valid")
    return float(np.argmax(sums))


def watch(stand: Stand, all_: Watching, seconds: float, out: Path) -> None:
    """The busiest stretch of one camera, into OUT/NAME.csv and OUT/NAME.false.csv."""
    scenario = all_.scenario(stand.world)
    node = load_settings(all_.node_file(stand.camera), NodeSettings)
    lens = _shorter(camera_of(node.camera).lens, stand.lens_share)
    place = all_.sector.frame.to_enu(*node.camera.position or (0.0, 0.0))[0]
    pose = _pose(node.camera, place, all_.landscape.terrain)
    gaze = _gaze(node, all_.detector)
    tracker = Tracker(stand.camera, node.detector.score_threshold)
    begins = busiest_s(scenario, all_.landscape, pose, lens, seconds, WATCHED[stand.watched])
    world = World(scenario, all_.landscape, BEGIN_NS)
    rows: list[list[object]] = []
    nobody: list[list[object]] = []
    for k in range(int((seconds + WARM_UP_S) * FPS)):
        t = max(begins - WARM_UP_S, 0.0) + k / FPS
        moment = world.moment_at(t)
        grey = stand.palette is None and lux(moment.sky) < GREYEST_LUX
        palette = stand.palette or (Palette.LOW_LIGHT if grey else Palette.DAY)
        picture = all_.renderer.render(moment, pose, lens, palette)
        captured_ns = BEGIN_NS + round(t * NS_PER_S)
        where = gaze.where(Frame(picture.image, captured_ns))
        found = gaze.find(picture.image, where)
        tracked = tracker.update(found, captured_ns, where.looked)
        gaze.hold(found, tracked, captured_ns)
        head = [stand.world, stand.camera, stand.lens_share, round(t, 3)]
        states = {s.actor.id: s for s in moment.actors}
        taken = _matched(picture.truth, found)
        for n, box in enumerate(picture.truth):
            state = states.get(box.actor)
            if state is not None and box.box_px[3] - box.box_px[1] >= LEAST_HIGH_PX:
                row = _row(box, state, pose, grey, lux(moment.sky), moment.sky.rain_mm_h, moment.sky.visibility_m, where,
                           found, taken.get(n))
                rows.append([*head, *row, palette.value])
        ours = set(taken.values())
        nobody += [
            [*head, int(grey), *found.boxes[i].round(1).tolist(), round(float(found.scores[i]), 3), int(found.classes[i]),
             _near(picture.truth, found.boxes[i])]
            for i in range(len(found)) if i not in ours
        ]
    _write(out / f"{stand.name}.csv", COLUMNS, rows)
    _write(out / f"{stand.name}.false.csv", ("world", "camera", "lens", "t_s", "grey", "x1", "y1", "x2", "y2", "score",
                                             "class", "over"), nobody)
    (out / f"{stand.name}.pictures").write_text(str(k + 1), encoding="utf-8")


def _gaze(node: NodeSettings, detector: Detector) -> Gaze:
    """As edge.gaze.gaze_of makes it, from settings without keys and folders."""
    setup = Setup.__new__(Setup)        # gate_of reads the settings alone
    object.__setattr__(setup, "settings", node)
    return Gaze(node.gate.look or Look.MOTION, gate_of(node.gate, setup), detector, node.gate.full_look_s,
                node.gate.crops_most)


def _shorter(lens: Lens, share: float) -> Lens:
    return replace(lens, fx=lens.fx * share, fy=lens.fy * share)


def _pose(c: CameraSettings, place: Array, terrain: object) -> Pose:
    east, north = float(place[0]), float(place[1])
    ground = float(terrain.height_msl_m([[east, north]])[0])      # type: ignore[attr-defined]
    assert c.height_agl_m is not None and c.yaw_deg is not None and c.pitch_deg is not None
    return Pose(east, north, ground + c.height_agl_m, c.yaw_deg, c.pitch_deg, c.roll_deg)


def _matched(truth: tuple[TruthBox, ...], found: Found) -> dict[int, int]:
    """Truth index to index of what was found: the pairs of one group that overlap most, each once."""
    pairs = []
    if len(truth) and len(found):
        shared = overlaps(np.array([b.box_px for b in truth]), found.boxes)
        for n, box in enumerate(truth):
            what = DETECTED_AS[box.kind]
            for i in range(len(found)):
                good = what is not None and group_of(what) == group_of(CLASSES[int(found.classes[i])])
                if good and shared[n, i] >= FOUND_IOU:
                    pairs.append((float(shared[n, i]), n, i))
    pairs.sort(reverse=True)
    taken: dict[int, int] = {}
    for _, n, i in pairs:
        if n not in taken and i not in taken.values():
            taken[n] = i
    return taken


def _row(
    box: TruthBox, state: ActorState, pose: Pose, grey: bool, light: float, rain: float, visibility: float, where: Where,
    found: Found, hit: int | None,
) -> list[object]:
    left, top, right, bottom = box.box_px
    away = math.hypot(box.east_m - pose.east_m, box.north_m - pose.north_m)
    depression = math.degrees(math.atan2(pose.height_msl_m - box.height_msl_m - 0.8, away))
    seen = [0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, -1]
    if hit is not None:
        b = found.boxes[hit]
        iou = float(overlaps(np.array([box.box_px]), b[None])[0, 0])
        seen = [1, round(float(found.scores[hit]), 3), round(iou, 3),
                round((b[0] + b[2]) / 2 - box.foot_px[0], 2), round(b[3] - bottom, 2),
                round((b[3] - b[1]) - (bottom - top), 2), round(b[1] - top, 2), int(found.classes[hit])]
    return [
        box.actor, box.kind.value, state.actor.role.value, round(bottom - top, 1), round(right - left, 1),
        round(box.visible, 3), round(depression, 2), round(box.distance_m, 1), round(light, 2), int(grey), round(rain, 2),
        round(visibility), round(math.hypot(*state.velocity_mps), 2), state.posture.value,
        int(_looked(where, np.array(box.box_px))), *seen,
    ]


def _looked(where: Where, box: Array) -> bool:
    looked = where.looked
    if looked is None:
        return True
    area = max((box[2] - box[0]) * (box[3] - box[1]), 1e-9)
    for l, t, r, b in looked:       # noqa: E741
        w, h = min(box[2], r) - max(box[0], l), min(box[3], b) - max(box[1], t)
        if w > 0 and h > 0 and w * h / area >= 0.5:
            return True
    return False


def _near(truth: tuple[TruthBox, ...], box: Array) -> str:
    """What of the truth a find that matched nobody lies over most; empty for nothing."""
    best, name = 0.05, ""
    for t in truth:
        iou = float(overlaps(np.array([t.box_px]), box[None])[0, 0])
        if iou > best:
            best, name = iou, t.kind.value if t.kind is not Kind.PERSON else "person"
    return name


def _write(path: Path, columns: tuple[str, ...], rows: list[list[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=27.0, help="of each camera in each world")
    parser.add_argument("--thermal", action="store_true", help="through thermal cameras in the same places, and no others")
    parser.add_argument("--condition", action="append", default=[], metavar="NAME", help="these of the suite, and no others")
    parser.add_argument("--camera", choices=CAMERAS, default=CAMERAS[1], help="with --condition: through which")
    a = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    cv2.setNumThreads(1)
    os.environ.setdefault("LP_NUM_THREADS", "0")
    a.out.mkdir(parents=True, exist_ok=True)
    everything = Watching(a.weights, a.out)
    stands = [Stand(w, c, 1.0) for w in WORLDS for c in CAMERAS]
    stands += [Stand(w, "camera-2", 1.0, "vehicles") for w in VEHICLE_WORLDS]
    stands += [Stand(w, c, share) for share in LENSES for w in WORLDS for c in CAMERAS if share < 1.0]
    if a.condition:
        stands = [Stand(f"{SUITE}{name}", a.camera, 1.0) for name in a.condition]
    if a.thermal:
        stands = [Stand(w, c, 1.0, palette=Palette.THERMAL) for w in THERMAL_WORLDS for c in CAMERAS]
    for stand in stands:
        if not (a.out / f"{stand.name}.pictures").exists():
            watch(stand, everything, a.seconds, a.out)
            logging.getLogger("trailwatch.measure").warning("%s done", stand.name)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except SettingsError as error:
        print(error, file=sys.stderr)       # noqa: T201
        sys.exit(2)
    except msgspec.MsgspecError as error:   # pragma: no cover
        raise SystemExit(str(error)) from error
