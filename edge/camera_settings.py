"""A node's camera as its settings have it: lens, place, errors; and of one that turns, its presets, and who turns it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import msgspec
import shapely

from cameras.camera import Camera
from cameras.lens import Lens
from cameras.pose import Pose, PoseEstimate, PoseSigma
from edge.preset_turn import TurnedBy
from geofences.sector import Sector
from geofences.terrain import slope_at
from wire.optics import SensorKind
from wire.settings import refuse
from wire.units import GroundPosition

PRESETS_LIMIT = 32
NAME_LIMIT = 32                 # of a preset: the node's health tells all names each second
TURN_LIMIT_S = 120.0
# Data sheets promise 0.05 to 0.3 degrees of coming back to a preset; cheap heads do worse.
REPEAT_DEG = 0.1


class LensSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From a calibration with pictures of width_px by height_px; the same shape in another size is scaled to."""

    width_px: int
    height_px: int
    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0


class SigmaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One sigma of the survey. position_m: east and north, each. pixel_px: of a foot point."""

    position_m: float
    height_m: float
    yaw_deg: float
    pitch_deg: float
    roll_deg: float
    pixel_px: float


class CameraSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """position: latitude, longitude, WGS 84, degrees. height_agl_m: of the lens above the ground below it.

    yaw_deg clockwise from north; pitch_deg positive looks up; roll_deg positive lowers the picture's right side.
    error_limit_m: a place whose 90 % ellipse is longer (semi-axis) is sent as a bearing. reach_m: nothing is placed beyond.
    Where it stands and looks is given for a fixed camera, and told by the autopilot for one on a drone. A camera with
    presets stands somewhere, and looks where the preset in force says.
    kind, lamp_reach_m: what the station reckons it to see in the dark; "day", "low_light" or "thermal", and how far its own
    infra-red lamp gives all the light that it needs (0 for none).
    """

    id: str
    error_limit_m: float
    reach_m: float
    lens: LensSettings
    sigma: SigmaSettings
    position: tuple[float, float] | None = None
    height_agl_m: float | None = None
    yaw_deg: float | None = None
    pitch_deg: float | None = None
    roll_deg: float = 0.0
    kind: SensorKind = SensorKind.DAY
    lamp_reach_m: float = 0.0


class PtzSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How a camera is told to turn.

    host, port: of its ONVIF service. profile: token of the media profile; left out, the first that can turn. url: for
    "http", where a GET turns it, {token} in it stands for the preset's. user, password: for both, where it wants them.
    turn_s: how long a turn takes at the most; one that does not say when it has arrived is given so long. repeat_deg: one
    sigma of how it comes back to a preset; it goes into the errors of yaw and pitch.
    """

    by: TurnedBy
    host: str = ""
    port: int = 80
    profile: str = ""
    url: str = ""
    user: str = ""
    password: str = ""
    turn_s: float = 15.0
    repeat_deg: float = REPEAT_DEG


class PresetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One preset. token: what the camera calls it. The rest is what `./trailwatch calibrate --preset NAME` finds.

    What is left out is as [camera], [camera.lens] and [camera.sigma] have it; a preset that zooms needs fx_px and fy_px.
    """

    name: str
    token: str
    yaw_deg: float
    pitch_deg: float
    roll_deg: float = 0.0
    position: tuple[float, float] | None = None
    height_agl_m: float | None = None
    fx_px: float | None = None
    fy_px: float | None = None
    k1: float | None = None
    sigma_position_m: float | None = None
    sigma_height_m: float | None = None
    sigma_yaw_deg: float | None = None
    sigma_pitch_deg: float | None = None
    sigma_roll_deg: float | None = None


@dataclass(frozen=True, slots=True)
class Preset:
    """One preset of a camera that turns: where it looks then, and through which lens."""

    name: str
    token: str
    camera: Camera
    survey: PoseEstimate


def camera_of(c: CameraSettings) -> Camera:
    lens = c.lens
    return Camera(
        Lens(lens.width_px, lens.height_px, lens.fx_px, lens.fy_px, lens.cx_px, lens.cy_px,
             lens.k1, lens.k2, lens.p1, lens.p2, lens.k3),
        c.sigma.pixel_px, c.error_limit_m, c.reach_m,
    )


def camera_at(c: CameraSettings, p: PresetSettings) -> CameraSettings:
    """What [camera] would say of a camera that always looked at this preset."""
    places = ("position", "height_agl_m", "yaw_deg", "pitch_deg", "roll_deg")
    own = {f: v for f in places if (v := getattr(p, f)) is not None}
    lens = {f: v for f in ("fx_px", "fy_px", "k1") if (v := getattr(p, f)) is not None}
    names = ("position_m", "height_m", "yaw_deg", "pitch_deg", "roll_deg")
    sigma = {f: v for f in names if (v := getattr(p, f"sigma_{f}")) is not None}
    set_ = msgspec.structs.replace
    return set_(c, **own, lens=set_(c.lens, **lens), sigma=set_(c.sigma, **sigma))


def preset_of(path: Path, camera: CameraSettings, ptz: PtzSettings, p: PresetSettings, sector: Sector) -> Preset:
    """Its errors are those of its calibration and of coming back to it."""
    c = camera_at(camera, p)
    yaw_deg, pitch_deg = (math.hypot(v, ptz.repeat_deg) for v in (c.sigma.yaw_deg, c.sigma.pitch_deg))
    sigma = PoseSigma(c.sigma.position_m, c.sigma.height_m, yaw_deg, pitch_deg, c.sigma.roll_deg)
    return Preset(p.name, p.token, camera_of(c), survey_of(path, c, sector, sigma))


def survey_of(path: Path, c: CameraSettings, sector: Sector, sigma: PoseSigma) -> PoseEstimate:
    assert c.position is not None and c.height_agl_m is not None and c.yaw_deg is not None and c.pitch_deg is not None
    lat, lon = c.position
    east, north = (float(v) for v in sector.frame.point(GroundPosition(lat, lon)))
    if not sector.box.covers(shapely.Point(east, north)):
        raise refuse(path, ["camera", "position"], f'{lat}, {lon} is outside the box of sector "{sector.id}"')
    height_msl_m = float(sector.terrain.height_msl_m([[east, north]])[0]) + c.height_agl_m
    slope = slope_at(sector.terrain, (east, north), sigma.position_m)
    return PoseEstimate(Pose(east, north, height_msl_m, c.yaw_deg, c.pitch_deg, c.roll_deg), sigma, slope=slope)


def check_presets(path: Path, ptz: PtzSettings | None, presets: tuple[PresetSettings, ...], is_drone: bool) -> None:
    """Raises SettingsError."""
    if is_drone and (ptz is not None or presets):
        raise refuse(path, ["ptz" if ptz is not None else "presets"], "a drone's gimbal is commanded by the fleet alone")
    if (ptz is None) == bool(presets):
        said = "presets are missing: name each with [[presets]]" if ptz else "[ptz] is missing: who turns the camera?"
        raise refuse(path, ["ptz" if ptz else "presets"], said)
    if ptz is None:
        return
    _check_ptz(path, ptz)
    if len(presets) > PRESETS_LIMIT:
        raise refuse(path, ["presets"], f"{len(presets)} presets; {PRESETS_LIMIT} are the most")
    names = [p.name for p in presets]
    for i, p in enumerate(presets):
        here: list[str | int] = ["presets", i]
        if not (0 < len(p.name) <= NAME_LIMIT and p.name.isprintable()) or names.index(p.name) != i:
            raise refuse(path, [*here, "name"], f'"{p.name}": give each preset a name of its own, {NAME_LIMIT} characters '
                         "at the most")
        if ptz.by is not TurnedBy.NONE and not p.token:
            raise refuse(path, [*here, "token"], f'what does the camera itself call the preset "{p.name}"?')
        if not -90 <= p.pitch_deg <= 90:
            raise refuse(path, [*here, "pitch_deg"], f"{p.pitch_deg}: give -90 (straight down) to 90 degrees")
        for name in ("yaw_deg", "pitch_deg", "roll_deg"):
            if not math.isfinite(getattr(p, name)):
                raise refuse(path, [*here, name], f"{getattr(p, name)}: give degrees")
        for name in ("height_agl_m", "fx_px", "fy_px"):
            value = getattr(p, name)
            if value is not None and not 0 < value < 1e6:
                raise refuse(path, [*here, name], f"{value}: give a number above 0")
        for name in (n for n in p.__struct_fields__ if n.startswith("sigma_")):
            value = getattr(p, name)
            if value is not None and not 0 <= value < 1e6:
                raise refuse(path, [*here, name], f"{value}: a sigma is 0 or more")
        if (p.fx_px is None) != (p.fy_px is None):
            raise refuse(path, here, f'"{p.name}": give fx_px and fy_px, or neither')


def _check_ptz(path: Path, ptz: PtzSettings) -> None:
    needed, other = {TurnedBy.ONVIF: ("host", "url"), TurnedBy.HTTP: ("url", "host"), TurnedBy.NONE: ("", "")}[ptz.by]
    if needed and not getattr(ptz, needed):
        raise refuse(path, ["ptz", "by"], f'"{ptz.by.value}" needs {needed} beside it: where the camera is told to turn')
    for name in ("host", "url", "profile") if ptz.by is TurnedBy.NONE else (other,):
        if getattr(ptz, name):
            raise refuse(path, ["ptz", name], f'"{ptz.by.value}" has no {name}. Leave this out.')
    if ptz.by is TurnedBy.HTTP and not (ptz.url.startswith(("http://", "https://")) and "{token}" in ptz.url):
        raise refuse(path, ["ptz", "url"], "give http://HOST/PATH with {token} where the preset's token belongs")
    if not 1 <= ptz.port <= 65535:
        raise refuse(path, ["ptz", "port"], f"{ptz.port}: give 1 to 65535; most cameras have 80")
    if not 0 < ptz.turn_s <= TURN_LIMIT_S:
        raise refuse(path, ["ptz", "turn_s"], f"{ptz.turn_s}: give seconds, above 0 and at most {TURN_LIMIT_S:.0f}")
    if not 0 <= ptz.repeat_deg <= 5:
        raise refuse(path, ["ptz", "repeat_deg"], f"{ptz.repeat_deg}: give degrees, 0 to 5")
