"""A node's settings file, and what it may not say."""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

import msgspec

from cameras.camera import Camera
from cameras.lens import Lens
from cameras.pose import PoseEstimate, PoseSigma
from edge.camera_settings import (
    CameraSettings,
    LensSettings,
    Preset,
    PresetSettings,
    PtzSettings,
    camera_of,
    check_presets,
    preset_of,
    survey_of,
)
from geofences.sector import Sector, load_sector
from wire.keys import NodeKey, NodeKind, load_node_key
from wire.node_words import NodeText, node_text
from wire.outbox import LIMIT_BYTES
from wire.settings import SettingsError, load_settings, refuse
from wire.units import Realm


class StationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """endpoint: "tcp://HOST:PORT" of the station's inbox. public_key: the 40 characters that the station printed.

    picture_kbit_per_s: what pictures may use of the line, on average; 0: all that detections leave.
    """

    endpoint: str
    public_key: str
    picture_kbit_per_s: float = 0.0


class DroneSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """connection: "tcp:HOST:PORT", "udpin:HOST:PORT" or "udpout:HOST:PORT" of the autopilot. system_id: whom to listen to.

    mount_deg: roll, pitch, yaw of a camera fixed to the airframe, against its nose; left out where a gimbal tells its own
    attitude. time_sigma_s: how far frame times and telemetry times may disagree.
    """

    connection: str
    system_id: int = 1
    mount_deg: tuple[float, float, float] | None = None
    time_sigma_s: float = 0.02


class SourceKind(StrEnum):
    FILE = "file"
    FOLDER = "folder"
    RTSP = "rtsp"
    USB = "usb"
    SIMULATOR = "simulator"

    @property
    def place_key(self) -> str:
        """The key in [source] that says where its pictures are."""
        return {"rtsp": "url", "usb": "device", "simulator": "endpoint"}.get(self.value, "path")

    @property
    def shows(self) -> str:
        """What a source of this kind always shows, where that is never the present; empty for a camera."""
        return {"rtsp": "", "usb": "", "simulator": "rendered pictures"}.get(self.value, "a recording")


class SourceSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where pictures come from: path of a file or folder, url of an RTSP stream, device of a USB camera, or endpoint of a
    simulated one.

    max_fps: 0 takes the source's own rate. loop: a recording begins again at its end. delay_s: of RTSP and USB, from lens to
    here.
    """

    kind: SourceKind
    path: str = ""
    url: str = ""
    endpoint: str = ""
    device: str = ""
    loop: bool = False
    max_fps: float = 0.0
    delay_s: float = 0.0

    @property
    def place(self) -> str:
        """Where its pictures are, as the file says it."""
        return str(getattr(self, self.kind.place_key))


class Road(StrEnum):
    """By what the network is run. auto: OpenVINO, and ultralytics where that cannot be."""

    AUTO = "auto"
    OPENVINO = "openvino"
    ULTRALYTICS = "ultralytics"


class PrecisionChoice(StrEnum):
    """auto: the fastest whose check on labelled pictures allows it. One that is named needs its check as well."""

    AUTO = "auto"
    FP32 = "fp32"
    BF16 = "bf16"
    INT8 = "int8"


class PositionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of a fixed camera with a GNSS receiver: gpsd, "HOST:PORT", checks that it stands where its survey says.

    moved_m: a place farther from the survey than this, beyond the receiver's own error, contradicts it. jump_m: from one fix
    to the next. stale_after_s: a fix that gpsd repeats for so long is none. lost_after_s: without a fix, until the position
    is not trusted any more. untrusted_sigma_m: one sigma of the position from then on, at the least.
    """

    gpsd: str = "127.0.0.1:2947"
    moved_m: float = 30.0
    jump_m: float = 50.0
    stale_after_s: float = 10.0
    lost_after_s: float = 60.0
    untrusted_sigma_m: float = 5.0

    @property
    def endpoint(self) -> tuple[str, int]:
        """Host and port. Raises ValueError."""
        host, _, port = self.gpsd.rpartition(":")
        if not host or not 1 <= int(port) <= 65535:
            raise ValueError(self.gpsd)
        return host.strip("[]"), int(port)


class DetectorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """weights: path of a file, or empty to look for `model` (see models/manifest.toml).

    score_threshold: what the median score of a track must reach. threads: of the processor, for the network.
    """

    model: str = "yolo11n"
    weights: str = ""
    input_size_px: int = 640
    score_threshold: float = 0.4
    threads: int = 1
    road: Road = Road.AUTO
    precision: PrecisionChoice = PrecisionChoice.AUTO


class Look(StrEnum):
    """Where the detector looks: at what moves, at every picture as a whole, or at every picture in tiles as well."""

    MOTION = "motion"
    WHOLE = "whole"
    TILES = "tiles"


class MaskSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Movement inside does not count; what a look at the whole picture finds there does.

    polygon: [x, y] of each corner, in pixels of the pictures that [camera.lens] speaks of.
    """

    name: str
    polygon: tuple[tuple[float, float], ...]


class ProfileSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """threshold: grey levels, of 255, by which a cell (a hundredth of the picture's height) differs from what it usually is.

    least_cells: that touch, before it counts.
    """

    name: str
    threshold: float = 5.0
    least_cells: int = 1
    masks: tuple[MaskSettings, ...] = ()


# At night a person differs less from the ground; rain falls through single cells.
PROFILES = (ProfileSettings("day"), ProfileSettings("night", threshold=4.0), ProfileSettings("rain", 8.0, least_cells=2))


class GateSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """look: left out, "motion" for a fixed camera and "whole" for one on a drone, where everything moves.

    full_look_s: the whole picture is looked at at least this often. crops_most: in one picture; where more would be needed,
    the whole is looked at. profile: the one that it begins with, of `profiles`; the station may order another. masks: of
    all profiles, beside their own.
    """

    look: Look | None = None
    full_look_s: float = 2.5
    crops_most: int = 4
    profile: str = "day"
    masks: tuple[MaskSettings, ...] = ()
    profiles: tuple[ProfileSettings, ...] = PROFILES


class PictureSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Of snapshots and clips that wait for the station, the oldest go first: what exceeds limit_mb, and after keep_days.

    0: no bound of their own. The last seconds of which a clip is cut are in memory, and never on the disk.
    """

    limit_mb: int = 1000
    keep_days: float = 3.0      # as long as the outbox keeps a busy camera's sightings; a station keeps the unmatched for 7


class NodeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """key: the node's key file, of kind "camera" or "drone"; it decides node and realm. drone: for the latter alone.

    Relative paths count from the file's folder. read_plates: of vehicles, when one is near; the
    process that does it takes some 300 MB. ptz, presets: of a camera that turns, both or neither.
    """

    key: str
    sector: str
    data_dir: str
    station: StationSettings
    camera: CameraSettings
    source: SourceSettings
    detector: DetectorSettings = DetectorSettings()
    gate: GateSettings = GateSettings()
    drone: DroneSettings | None = None
    position: PositionSettings | None = None
    ptz: PtzSettings | None = None
    presets: tuple[PresetSettings, ...] = ()
    read_plates: bool = True
    outbox_limit_mb: int = LIMIT_BYTES // 1_000_000
    pictures: PictureSettings = PictureSettings()


@dataclass(frozen=True, slots=True)
class Setup:
    """Settings with what they point to loaded, and everything in metres of the sector's frame.

    survey: where a fixed camera stands and looks; None for one on a drone. sigma: of that, or of the drone's telemetry.
    presets: of a camera that turns. Its camera and survey are those of preset, at first the first.
    """

    file: Path
    settings: NodeSettings
    key: NodeKey
    sector: Sector
    camera: Camera
    sigma: PoseSigma
    survey: PoseEstimate | None
    presets: tuple[Preset, ...] = ()
    preset: str = ""

    def at(self, preset: Preset) -> Setup:
        """The same, as it stands at that preset."""
        return replace(self, camera=preset.camera, survey=preset.survey, preset=preset.name)

    @property
    def outbox(self) -> Path:
        return self.file.parent / self.settings.data_dir / "outbox.db"

    @property
    def source(self) -> Path:
        return self.file.parent / self.settings.source.path

    @property
    def weights(self) -> Path | None:
        return self.file.parent / self.settings.detector.weights if self.settings.detector.weights else None

    def marking(self, simulated: bool) -> str:
        """What is burnt into every picture that leaves this node. simulated: its pixels are rendered or replayed."""
        words = (["TRAINING"] if self.key.realm is Realm.TRAINING else []) + (["SIM"] if simulated else [])
        return " / ".join(words)


def load_setup(path: Path) -> Setup:
    """Read and check a node's settings. Raises wire.settings.SettingsError with file, line and key."""
    s = load_settings(path, NodeSettings)
    _check_numbers(path, s)
    _check_gate(path, s)
    key = load_node_key(path.parent / s.key)
    if key.kind is NodeKind.FLEET:
        raise refuse(path, ["key"], f'"{key.node}" is a key of the fleet; a camera needs one of its own (kind "camera")')
    check_presets(path, s.ptz, s.presets, key.kind is NodeKind.DRONE)
    _check_kind(path, s, key)
    _check_source(path, s.source, key)
    _check_position(path, s)
    sector = load_sector(path.parent / s.sector)
    sigma = s.camera.sigma
    spread = PoseSigma(sigma.position_m, sigma.height_m, sigma.yaw_deg, sigma.pitch_deg, sigma.roll_deg)
    setup = Setup(
        file=path,
        settings=s,
        key=key,
        sector=sector,
        camera=camera_of(s.camera),
        sigma=spread,
        survey=survey_of(path, s.camera, sector, spread) if s.drone is None and not s.presets else None,
        presets=tuple(preset_of(path, s.camera, s.ptz, p, sector) for p in s.presets) if s.ptz else (),
    )
    return setup.at(setup.presets[0]) if setup.presets else setup


def _check_source(path: Path, source: SourceSettings, key: NodeKey) -> None:
    """A live node looks through a camera; and a source says where it is in the words of its own kind, and in no other's."""
    kind = source.kind
    if kind.shows and key.realm is Realm.LIVE:
        raise refuse(
            path, ["source", "kind"],
            f'"{kind.value}" shows {kind.shows}, and the key of "{key.node}" is live. Recordings and simulations are '
            "training: make this node a key of the training realm, or give it a real camera.",
        )
    if not source.place:
        raise refuse(path, ["source", "kind"], f'"{kind.value}" needs {kind.place_key} beside it: where its pictures are')
    for name in ("path", "url", "endpoint", "device"):
        if name != kind.place_key and getattr(source, name):
            raise refuse(path, ["source", name], f'"{kind.value}" has no {name}; it has {kind.place_key}. Leave this out.')
    if kind is SourceKind.RTSP and not source.url.startswith(("rtsp://", "rtsps://")):
        raise refuse(path, ["source", "url"], "give rtsp://HOST/PATH, with user and password where the camera wants them")
    if kind is SourceKind.USB and not (source.device.isdigit() or source.device.startswith("/dev/")):
        raise refuse(path, ["source", "device"], f'"{source.device}": give /dev/video0, or the number of the device')
    if kind is SourceKind.SIMULATOR and not source.endpoint.startswith(("tcp://127.0.0.1:", "tcp://localhost:", "ipc://")):
        raise refuse(path, ["source", "endpoint"], f'"{source.endpoint}": a simulated camera is on this machine; '
                     "give tcp://127.0.0.1:PORT or ipc://PATH")
    if not 0 <= source.delay_s <= 10:
        raise refuse(path, ["source", "delay_s"], f"{source.delay_s}: give seconds, 0 to 10")


def _check_position(path: Path, s: NodeSettings) -> None:
    p = s.position
    if p is None:
        return
    if s.drone is not None:
        raise refuse(path, ["position"], "the autopilot says where a drone is; leave this out")
    try:
        _ = p.endpoint
    except ValueError:
        raise refuse(path, ["position", "gpsd"], f'"{p.gpsd}": give HOST:PORT, for example 127.0.0.1:2947') from None
    for name in ("moved_m", "jump_m", "stale_after_s", "lost_after_s", "untrusted_sigma_m"):
        value = getattr(p, name)
        if not 0 < value < 1e5:
            raise refuse(path, ["position", name], f"{value}: give a number above 0")


def _check_gate(path: Path, s: NodeSettings) -> None:
    gate = s.gate
    if not 0.2 <= gate.full_look_s <= 60:
        raise refuse(path, ["gate", "full_look_s"], f"{gate.full_look_s}: give seconds, 0.2 to 60, for example 2.5")
    if not 1 <= gate.crops_most <= 16:
        raise refuse(path, ["gate", "crops_most"], f"{gate.crops_most}: give 1 to 16")
    names = [p.name for p in gate.profiles]
    if gate.profile not in names:
        there = ", ".join(f'"{n}"' for n in names) or "none"
        raise refuse(path, ["gate", "profile"], f'there is no profile "{gate.profile}"; there are {there}')
    for i, p in enumerate(gate.profiles):
        here: list[str | int] = ["gate", "profiles", i]
        if not p.name or names.index(p.name) != i:
            raise refuse(path, [*here, "name"], f'"{p.name}": give each profile a name of its own')
        if not 1 <= p.threshold <= 100:
            raise refuse(path, [*here, "threshold"], f"{p.threshold}: give grey levels, 1 to 100, for example 5.0")
        if not 1 <= p.least_cells <= 1000:
            raise refuse(path, [*here, "least_cells"], f"{p.least_cells}: give 1 to 1000 cells")
        _check_masks(path, [*here, "masks"], p.masks, s.camera.lens)
    _check_masks(path, ["gate", "masks"], gate.masks, s.camera.lens)


def _check_masks(path: Path, here: list[str | int], masks: tuple[MaskSettings, ...], lens: LensSettings) -> None:
    for mask in masks:
        if len(mask.polygon) < 3:
            raise refuse(path, here, f'"{mask.name}" has {len(mask.polygon)} corners; give three at least')
        for x, y in mask.polygon:
            if not (0 <= x <= lens.width_px and 0 <= y <= lens.height_px):
                raise refuse(path, here, f'"{mask.name}": the corner [{x}, {y}] is outside the '
                             f"{lens.width_px} x {lens.height_px} pixels of [camera.lens]")


def _check_kind(path: Path, s: NodeSettings, key: NodeKey) -> None:
    """A drone's key goes with [drone], a camera's with a survey."""
    surveyed = ("position", "height_agl_m", "yaw_deg", "pitch_deg")
    if key.kind is NodeKind.DRONE:
        # Here, because a camera on a mast needs neither MAVLink nor its 9 MB of memory.
        from mavlink.link import ConnectionTextError, parse_connection

        if s.drone is None:
            raise refuse(path, ["key"], f'"{key.node}" is a key of a drone: say in [drone] how its autopilot is reached')
        given = [name for name in surveyed if getattr(s.camera, name) is not None]
        if given:
            raise refuse(path, ["camera", given[0]], "the autopilot says where a drone's camera is; leave this out")
        try:
            parse_connection(s.drone.connection)
        except ConnectionTextError as error:
            raise refuse(path, ["drone", "connection"], str(error)) from None
        if not 1 <= s.drone.system_id <= 250:
            raise refuse(path, ["drone", "system_id"], f"{s.drone.system_id}: give 1 to 250")
        if not 0 <= s.drone.time_sigma_s <= 1:
            raise refuse(path, ["drone", "time_sigma_s"], f"{s.drone.time_sigma_s}: give seconds, for example 0.02")
        return
    if s.drone is not None:
        raise refuse(path, ["drone"], f'the key of "{key.node}" is of a fixed camera; this needs one of kind "drone"')
    if s.presets:
        given = [name for name in ("yaw_deg", "pitch_deg") if getattr(s.camera, name) is not None]
        if given:
            raise refuse(path, ["camera", given[0]], "each preset has its own, in [[presets]]; leave this out")
    for name in surveyed[:2] if s.presets else surveyed:
        if getattr(s.camera, name) is None:
            raise refuse(path, ["camera"], f"{name} is missing: where a fixed camera stands and looks has to be given")


def _check_numbers(path: Path, s: NodeSettings) -> None:
    c = s.camera
    rules: list[tuple[bool, list[str | int], str]] = [
        (bool(c.id) and len(c.id) <= 64, ["camera", "id"], "give a name of 1 to 64 characters, for example \"gate-2\""),
        (c.height_agl_m is None or c.height_agl_m > 0, ["camera", "height_agl_m"],
         f"{c.height_agl_m}; a camera stands above the ground. Give metres above ground, for example 6.0."),
        (c.pitch_deg is None or -90 <= c.pitch_deg <= 90, ["camera", "pitch_deg"],
         f"{c.pitch_deg}: give -90 (straight down) to 90 degrees"),
        (c.reach_m > 0, ["camera", "reach_m"], f"{c.reach_m}: give metres, above 0"),
        (c.lamp_reach_m >= 0, ["camera", "lamp_reach_m"], f"{c.lamp_reach_m}: give metres, or 0 for no lamp"),
        (c.error_limit_m > 0, ["camera", "error_limit_m"], f"{c.error_limit_m}: give metres, above 0"),
        (min(c.lens.width_px, c.lens.height_px) > 0, ["camera", "lens", "width_px"], "a picture has pixels both ways"),
        (c.lens.fx_px > 0, ["camera", "lens", "fx_px"], f"{c.lens.fx_px}: a focal length is above 0 pixels"),
        (c.lens.fy_px > 0, ["camera", "lens", "fy_px"], f"{c.lens.fy_px}: a focal length is above 0 pixels"),
        (s.source.max_fps >= 0, ["source", "max_fps"],
         f"{s.source.max_fps}: give frames a second, or 0 for the source's own rate"),
        (0 < s.detector.score_threshold < 1, ["detector", "score_threshold"],
         f"{s.detector.score_threshold}: give a score between 0 and 1, for example 0.4"),
        (32 <= s.detector.input_size_px <= 2048 and s.detector.input_size_px % 32 == 0, ["detector", "input_size_px"],
         f"{s.detector.input_size_px}: give a multiple of 32, for example 640"),
        (s.detector.threads >= 1, ["detector", "threads"], f"{s.detector.threads}: give 1 or more"),
        (s.detector.road is not Road.ULTRALYTICS or s.detector.precision in (PrecisionChoice.AUTO, PrecisionChoice.FP32),
         ["detector", "precision"], f'{s.detector.precision.value} is run by OpenVINO; road = "ultralytics" runs fp32'),
        (0 <= s.station.picture_kbit_per_s <= 1e6, ["station", "picture_kbit_per_s"],
         f"{s.station.picture_kbit_per_s}: give kbit/s, for example 256, or 0 for no limit"),
        (0 <= s.pictures.limit_mb <= 1e6, ["pictures", "limit_mb"],
         f"{s.pictures.limit_mb}: give megabytes, or 0 for no bound"),
        (0 <= s.pictures.keep_days <= 3650, ["pictures", "keep_days"],
         f"{s.pictures.keep_days}: give days, or 0 for no bound"),
        (s.outbox_limit_mb >= 1, ["outbox_limit_mb"], f"{s.outbox_limit_mb}: give megabytes, 1 or more"),
    ]
    for name in c.sigma.__struct_fields__:
        value = getattr(c.sigma, name)
        rules.append((value >= 0, ["camera", "sigma", name], f"{value}: a sigma is 0 or more"))
    for holds, keys, sentence in rules:
        if not holds:
            raise refuse(path, keys, sentence)


class OtherShapeError(SettingsError):
    """The pictures have another shape than those that the lens was calibrated for."""

    def __init__(self, text: NodeText) -> None:
        super().__init__(str(text))
        self.text = text


def lens_for(setup: Setup, width_px: int, height_px: int) -> Lens:
    """The calibrated lens for pictures as they really come. Raises OtherShapeError when their shape is another."""
    lens = setup.camera.lens
    if abs(width_px / height_px - lens.width_px / lens.height_px) > 0.01:
        raise OtherShapeError(node_text(
            "other_shape", file=str(setup.file), lens_width=lens.width_px, lens_height=lens.height_px, width=width_px,
            height=height_px,
        ))
    return lens if (width_px, height_px) == (lens.width_px, lens.height_px) else lens.scaled(width_px, height_px)
