"""What the motion gate saves, and what it loses.

Saves: a whole node on a quiet 1080p scene (a rendered forest edge in the wind, with sensor noise, encoded as H.264 where
GStreamer is at hand), against decoding the same pictures and doing nothing with them, and against ultralytics on each.
Loses: tracks that the same node confirms without its gate and not with it, on rendered scenes and on a recorded street.
"""

from __future__ import annotations

import contextlib
import logging
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import msgspec
import numpy as np

from benchmarks.form import Figure, Peer, figure
from cameras.pose import FixedPose
from edge.detector import Detector, Found, UltralyticsDetector
from edge.detector_road import open_detector
from edge.gaze import Gaze, Where
from edge.motion import MotionGate, Profile
from edge.node import Node
from edge.settings import PROFILES, DetectorSettings, GateSettings, Look, load_setup
from edge.sources import Frame, Image
from edge.tracker import Tracker
from geofences.geodesy import Array
from models.boxes import overlaps
from models.registry import resolve_weights
from sim.camera_settings import load_camera_plan, standing_pose
from sim.demo_settings import filled
from sim.landscape_cache import cached_landscape
from sim.renderer import Renderer
from sim.renderer_light import GREYEST_LUX, Palette, lux
from sim.world import World
from sim.world_scenario import load_scenario
from wire.clock import NS_PER_S, SteppedClock, WallClock
from wire.keys import NodeKind, make_node_key, make_station_key, write_private
from wire.outbox import Outbox
from wire.units import Realm
from wire.uplink import Uplink

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
CACHE = Path(tempfile.gettempdir()) / "trailwatch-bench-gate"
SYSTEM_PYTHON = Path("/usr/bin/python3")        # has GStreamer's bindings, which PyPI has not

QUIET_SIZE, QUIET_FPS, QUIET_S = (1920, 1080), 10, 30
WARM_S = 25                     # uncounted: until the gate has learnt how the plants sway
PASS_FRAMES = 250
PASSES = 5
PEER_FRAMES = 30
SCENE_SIZE, SCENE_FPS, SCENE_S = (1280, 720), 5, 25
SCENES = (                      # world, camera of the demo, seconds after the world's start: somebody is there or comes
    ("dusk", "camera-1", 40), ("dusk", "camera-1", 225), ("dusk", "camera-1", 440), ("dawn", "camera-1", 40),
    ("dawn", "camera-1", 65), ("dawn", "camera-2", 245), ("rain", "camera-1", 40), ("rain", "camera-1", 425),
    ("innocent", "camera-1", 10), ("innocent", "camera-1", 300),
    # Ten, and two in which YOLO11n confirms nobody in the whole picture.
    ("fog", "camera-1", 30), ("night", "camera-1", 90),
)
INPUT_PX = 640
SCORE = 0.4
SAME_TRACK = 0.5                # IoU in one picture of two tracks that are of one object
BEGIN_NS = 1_800_000_000 * NS_PER_S

# x264 as cameras use it: no frames that look ahead, a key frame every few seconds.
ENCODE = """
import sys, gi
gi.require_version("Gst", "1.0")
from gi.repository import Gst
Gst.init(None)
folder, fps, target = sys.argv[1:4]
pipeline = Gst.parse_launch(
    f"multifilesrc location={folder}/%05d.jpg caps=image/jpeg,framerate={fps}/1 ! jpegdec ! videoconvert "
    "! video/x-raw,format=I420 ! x264enc tune=zerolatency speed-preset=veryfast bitrate=4000 key-int-max=50 "
    f"! matroskamux ! filesink location={target}")
pipeline.set_state(Gst.State.PLAYING)
message = pipeline.get_bus().timed_pop_filtered(Gst.CLOCK_TIME_NONE, Gst.MessageType.EOS | Gst.MessageType.ERROR)
pipeline.set_state(Gst.State.NULL)
sys.exit(message.type != Gst.MessageType.EOS)
"""


def measure() -> dict[str, Figure]:
    cv2.setNumThreads(1)        # as in a node
    logging.getLogger("trailwatch").setLevel(logging.ERROR)     # that there is no station here is no news
    weights = _weights()
    return _saved(weights) | _lost(weights)


def _weights() -> Path:
    given = SHARED / "models/yolo11n.pt"
    return resolve_weights("yolo11n", given if given.is_file() else None, download=False, training=True)


def _detector(weights: Path) -> Detector:
    """As a node makes it."""
    return open_detector(ROOT / "benchmarks/gate.py", DetectorSettings(input_size_px=INPUT_PX), weights, CACHE)[0]


# ------------------------------------------------------------------------------------------------------- what it saves


class _Film:
    """The quiet scene, for ever, on a time of its own; every PASS_FRAMES it reckons what the node took, and plays the next
    pass to nobody.
    """

    simulated = True
    dropped = 0

    def __init__(self, video: Path, clock: SteppedClock) -> None:
        self._pictures = _looped(video)
        self._alone = _looped(video)
        self._clock = clock
        self._left = WARM_S * QUIET_FPS
        self._began_cpu_s: float | None = None
        self.ended = False
        self.node_ms: list[float] = []
        self.decode_ms: list[float] = []

    def grab(self, timeout_s: float) -> Frame | None:
        if self._left == 0:
            self._reckon()
        self._left -= 1
        self._clock.advance(1.0 / QUIET_FPS)
        return None if self.ended else Frame(next(self._pictures), self._clock.utc_ns())

    def close(self) -> None: ...

    def _reckon(self) -> None:
        if self._began_cpu_s is not None:
            self.node_ms.append((time.process_time() - self._began_cpu_s) / PASS_FRAMES * 1e3)
            self.decode_ms.append(_cpu_ms(self._alone, PASS_FRAMES))
        self.ended = len(self.node_ms) == PASSES
        self._left = PASS_FRAMES
        self._began_cpu_s = time.process_time()


def _saved(weights: Path) -> dict[str, Figure]:
    video, how = _quiet_video()
    with tempfile.TemporaryDirectory() as folder:
        film, looks = _node_on(video, Path(folder), weights)
    reference = UltralyticsDetector(weights, INPUT_PX, 1)
    pictures = _looped(video)
    reference.find(next(pictures))
    peer = [_cpu_ms(map(reference.find, pictures), PEER_FRAMES) / d for d in film.decode_ms]
    ratios = [n / d for n, d in zip(film.node_ms, film.decode_ms, strict=True)]
    scene = f"quiet scene, {QUIET_SIZE[0]} x {QUIET_SIZE[1]}, {how}, {QUIET_FPS} pictures a second"
    return {
        "node_times_decoding": figure(
            ratios, "ratio", f"processor time of a whole node to that of decoding alone; {scene}", "<= 1.7",
            Peer("ultralytics .pt on every picture", float(np.median(peer))),
        ),
        "decode_ms": figure(film.decode_ms, "ms", f"decoding a picture to blue, green, red, no more; {PASS_FRAMES} a run"),
        "node_ms": figure(film.node_ms, "ms", "a whole node, a picture: gate, looks, tracker, outbox, health"),
        "looks_percent": figure(
            [100.0 * (1.0 - looks["none"] / looks.total())], "%", "pictures of which anything was looked at: "
            f"{looks['full']} whole, {looks['crops']} in crops, {looks['none']} not",
        ),
    }


def _node_on(video: Path, folder: Path, weights: Path) -> tuple[_Film, Counter[str]]:
    """A node, with its outbox and its uplink to a station that is not there."""
    key = make_node_key("camera-1", NodeKind.CAMERA, Realm.TRAINING)
    write_private(folder / "camera-1.key", key)
    config = folder / "camera-1.toml"
    config.write_text(filled(ROOT / "configs/demo/world/camera-1.toml", {
        ("key",): "camera-1.key", ("data_dir",): "node", ("sector",): str(ROOT / "configs/sectors/laobao/sector.toml"),
        ("station", "endpoint"): "tcp://127.0.0.1:9", ("station", "public_key"): make_station_key(Realm.TRAINING).public,
        ("detector", "input_size_px"): INPUT_PX,
    }), encoding="utf-8")
    setup = load_setup(config)
    clock = SteppedClock(BEGIN_NS)
    film = _Film(video, clock)
    assert setup.survey is not None
    detector = _Counting(_detector(weights))
    with contextlib.closing(Outbox(setup.outbox, key.node, key.realm, clock, 10_000_000)) as outbox:
        node = Node(setup, film, detector, FixedPose(setup.survey), outbox, clock)
        s = setup.settings.station
        with Uplink(s.endpoint, s.public_key, key, outbox, WallClock(), node.hear) as uplink:
            node.run(uplink, threading.Event())
    frames = PASSES * PASS_FRAMES + WARM_S * QUIET_FPS
    detector.looks["none"] = frames - detector.looks.total()
    return film, detector.looks


class _Counting(Detector):
    """Counts how often something is looked at."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self.looks: Counter[str] = Counter()

    @property
    def shape(self) -> tuple[int, int]:
        return self._detector.shape

    def find(self, image: Image) -> Found:
        self.looks["full"] += 1
        return self._detector.find(image)

    def find_many(self, images: Sequence[Image]) -> list[Found]:
        self.looks["crops"] += 1
        return self._detector.find_many(images)


def _cpu_ms(work: Iterator[object], count: int) -> float:
    began_s = time.process_time()
    for _ in range(count):
        next(work)
    return (time.process_time() - began_s) / count * 1e3


def _looped(video: Path) -> Iterator[Image]:
    while True:
        capture = cv2.VideoCapture(str(video))
        while True:
            read, image = capture.read()
            if not read:
                break
            yield np.asarray(image, np.uint8)
        capture.release()


def _quiet_video() -> tuple[Path, str]:
    """The demo's first mast at dusk, with nobody there. Drawn once, kept in the machine's temporary folder."""
    folder = _drawn("dusk", "camera-1", 100, QUIET_SIZE, QUIET_FPS, QUIET_S, peopled=False)
    target = CACHE / "quiet.mkv"
    if target.is_file():
        return target, "H.264 4 Mbit/s"
    if SYSTEM_PYTHON.is_file():
        done = subprocess.run(
            [str(SYSTEM_PYTHON), "-c", ENCODE, str(folder), str(QUIET_FPS), str(target)], capture_output=True, check=False,
        )
        if done.returncode == 0:
            return target, "H.264 4 Mbit/s"
        target.unlink(missing_ok=True)
    target = CACHE / "quiet.mp4"
    writer = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*"mp4v"), QUIET_FPS, QUIET_SIZE)
    for picture in _pictures(folder):
        writer.write(picture)
    writer.release()
    return target, "MPEG-4 (no H.264 encoder here)"


# -------------------------------------------------------------------------------------------------------- what it loses


@dataclass(frozen=True, slots=True)
class _Watched:
    """Confirmed tracks: id -> picture -> box (4,)."""

    tracks: dict[int, dict[int, Array]]

    def has(self, picture: int, box: Array) -> bool:
        """Whether one of these tracks is on that box."""
        boxes = [places[picture] for places in self.tracks.values() if picture in places]
        return bool(boxes) and bool((overlaps(box[None], np.array(boxes)) >= SAME_TRACK).any())


def _lost(weights: Path) -> dict[str, Figure]:
    detector = _detector(weights)
    scenes = [
        _compared(detector, _pictures(_drawn(*scene, SCENE_SIZE, SCENE_FPS, SCENE_S)), SCENE_FPS) for scene in SCENES
    ]
    size = f"{SCENE_SIZE[0]} x {SCENE_SIZE[1]}"
    how = f"{len(SCENES)} rendered scenes, {size}, {SCENE_S} s each, {SCENE_FPS} pictures a second"
    figures = _recall("world", scenes, how)
    street = SHARED / "media/vtest.avi"
    if street.is_file():
        figures |= _recall("street", [_compared(detector, _played(street), 10)], "vtest.avi, 768 x 576, 795 pictures")
    return figures


@dataclass(frozen=True, slots=True)
class _Compared:
    """tracks, kept: confirmed without the gate, and of these with it. seen: the share of the former's pictures in which the
    latter had the object too, as confirmed. looks: of the gated run, by how much was looked at.
    """

    tracks: int
    kept: int
    frames: int
    frames_kept: int
    looks: Counter[str]


def _recall(name: str, parts: Sequence[_Compared], how: str) -> dict[str, Figure]:
    def share(kept: Sequence[int], of: Sequence[int], text: str, goal: str | None) -> Figure:
        each = [100.0 * k / n for k, n in zip(kept, of, strict=True) if n]
        pooled = figure([100.0 * sum(kept) / max(1, sum(of))], "%", text, goal)
        return msgspec.structs.replace(pooled, spread=(round(min(each), 2), round(max(each), 2)))

    tracks = sum(p.tracks for p in parts)
    looks: Counter[str] = sum((p.looks for p in parts), Counter())
    return {
        f"recall_{name}_percent": share(
            [p.kept for p in parts], [p.tracks for p in parts],
            f"of {tracks} tracks confirmed without the gate, confirmed with it; {how}; spread over the scenes", ">= 99",
        ),
        f"held_{name}_percent": share(
            [p.frames_kept for p in parts], [p.frames for p in parts],
            "of the pictures in which such a track had its object, with the gate a confirmed one had it; "
            f"looked at whole {looks['full']}, in crops {looks['crops']}, not {looks['none']}", None,
        ),
    }


def _compared(detector: Detector, pictures: Sequence[Image], fps: int) -> _Compared:
    without, _ = _watched(detector, Look.WHOLE, pictures, fps)
    gated, looks = _watched(detector, Look.MOTION, pictures, fps)
    had = {t: [gated.has(k, box) for k, box in places.items()] for t, places in without.tracks.items()}
    return _Compared(
        len(had), sum(any(h) for h in had.values()), sum(map(len, had.values())), sum(map(sum, had.values())), looks,
    )


def _watched(detector: Detector, look: Look, pictures: Sequence[Image], fps: int) -> tuple[_Watched, Counter[str]]:
    s = GateSettings()
    gate = MotionGate([Profile(p.name, p.threshold, p.least_cells) for p in PROFILES], s.profile)
    gaze, tracker = Gaze(look, gate, detector, s.full_look_s, s.crops_most), Tracker("bench", SCORE)
    tracks: dict[int, dict[int, Array]] = {}
    looks: Counter[str] = Counter()
    for k, picture in enumerate(pictures):
        frame = Frame(picture, BEGIN_NS + k * NS_PER_S // fps)
        where: Where = gaze.where(frame)
        looks[where.seen.value] += 1
        found = gaze.find(picture, where)
        tracked = tracker.update(found, frame.captured_ns, where.looked)
        gaze.hold(found, tracked, frame.captured_ns)
        for i in np.flatnonzero(tracked.confirmed):
            tracks.setdefault(int(tracked.ids[i]), {})[k] = tracked.boxes[i]
    return _Watched(tracks), looks


# ----------------------------------------------------------------------------------------------------- where they come from


def _played(video: Path) -> list[Image]:
    capture = cv2.VideoCapture(str(video))
    pictures: list[Image] = []
    while True:
        read, image = capture.read()
        if not read:
            return pictures
        pictures.append(np.asarray(image, np.uint8))


def _pictures(folder: Path) -> list[Image]:
    return [np.asarray(cv2.imread(str(f)), np.uint8) for f in sorted(folder.glob("*.jpg"))]


def _drawn(
    world: str, camera: str, begin_s: int, size: tuple[int, int], fps: int, seconds: int, *, peopled: bool = True
) -> Path:
    """A folder with the pictures 00000.jpg and so on, drawn now unless they were before."""
    folder = CACHE / f"{world}-{camera}-{begin_s}-{size[1]}p-{fps}fps-{seconds}s{'' if peopled else '-empty'}"
    count = fps * seconds
    if len(list(folder.glob("*.jpg"))) == count:
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    plan = load_camera_plan(ROOT / f"configs/demo/world/{camera}-view.toml")
    scenario = load_scenario(ROOT / f"configs/worlds/{world}.toml", plan.sector)
    landscape = cached_landscape(scenario)
    pose, lens = standing_pose(plan, landscape.terrain), plan.lens.scaled(*size)
    course = World(scenario, landscape, BEGIN_NS)
    renderer = Renderer(landscape, plan.settings.seed)
    for k in range(count):
        moment = course.moment_at(begin_s + k / fps)
        if not peopled:
            moment = replace(moment, actors=())
        palette = Palette.LOW_LIGHT if lux(moment.sky) < GREYEST_LUX else Palette.DAY
        (folder / f"{k:05d}.jpg").write_bytes(renderer.render(moment, pose, lens, palette).jpeg)
    renderer.close()
    return folder
