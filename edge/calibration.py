"""What `./trailwatch calibrate` does: a node's settings and a file of clicked points in, lines for the settings out.

The points file is TOML. Positions are WGS 84, degrees; a point's height is the map's ground there plus height_agl_m, unless
height_msl_m says it.

    picture_px = [1920, 1080]           # of the picture that was clicked on; left out, that of the node's lens

    [[points]]
    name = "gate post, foot"
    pixel = [412.0, 318.5]              # x, y from the upper left corner
    position = [16.620915, 106.593924]
"""

from __future__ import annotations

import json
import math
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np

from cameras.calibrate import CLICK_SIGMA_PX, Calibration, CalibrationRefused, MarkedPoint, Survey, calibrate
from cameras.lens import Lens
from cameras.project import project
from edge.calibration_words import result
from edge.camera_settings import CameraSettings, camera_at
from edge.settings import NodeSettings
from geofences.geodesy import Array
from geofences.sector import Sector, load_sector
from wire.settings import SettingsError, find_line, load_settings, refuse
from wire.units import GroundPosition

POINT_SIGMA_M = 0.5             # of a place read off a map or a phone's averaged position; our own assumption
ANGLE_FLOOR_DEG = 0.03          # no sigma is written below this: a mast sways. Our own assumption
LENGTH_FLOOR_M = 0.02
PICTURE_TRIES = 300             # of a tenth of a second, for the first picture of a source: a live one withholds some
BACKUP = ".before-calibration"
_VALUE = re.compile(r"^(\s*[A-Za-z0-9_]+\s*=\s*)(\[[^\]]*\]|[^#]*?)(\s*(?:#.*)?)$")


class PointSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """pixel: x, y. position: latitude, longitude. sigma_m: one sigma of the position, each axis (and of a height_msl_m)."""

    pixel: tuple[float, float]
    position: tuple[float, float]
    name: str = ""
    height_msl_m: float | None = None
    height_agl_m: float = 0.0
    sigma_m: float = POINT_SIGMA_M


class PointsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """picture_px: width and height of the picture that was clicked on."""

    points: tuple[PointSettings, ...] = ()
    picture_px: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """node: a settings file. focal, k1: solve for these too. write: put the result into the settings file.

    preset: of a camera that turns, the name of the one at which the picture was taken.
    """

    node: Path
    points: Path
    focal: bool = False
    k1: bool = False
    click_sigma_px: float = CLICK_SIGMA_PX
    write: bool = False
    draw: Path | None = None
    picture: Path | None = None
    preset: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """A request with what it names loaded. camera: as at the preset. preset: its place in the file; None for no preset."""

    camera: CameraSettings
    preset: int | None
    sector: Sector
    lens: Lens
    survey: Survey
    points: tuple[MarkedPoint, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """text: what came out, in words. seen: (n, 2) pixels of the lens at which the camera then has each point, NaN for one
    behind it; (0, 2) where nothing was fitted.
    """

    text: str
    refused: bool
    seen: Array


def run(request: Request) -> str:
    """Solve, and say it in words. Raises SettingsError, for a bad fit too, with the residuals of every point in its text."""
    outcome = solve(request)
    if outcome.refused:
        raise SettingsError(f"{request.points}: {outcome.text}")
    return outcome.text


def solve(request: Request, language: str = "en") -> Outcome:
    """Solve, and do with a good fit what is asked. language: of its words. Raises SettingsError for what cannot be read."""
    task = load_task(request, language)
    try:
        found = calibrate(task.points, task.survey)
    except CalibrationRefused as refused:
        table = "" if refused.found is None else "\n" + residuals(task, refused.found, language)
        text = result("refused", language, why=refused.text(language)) + table
        return Outcome(text, True, np.empty((0, 2)) if refused.found is None else _seen(task, refused.found))
    values, seen = settings_of(task, found), _seen(task, found)
    said = [residuals(task, found, language), ""]
    said += [*([] if request.write else [result("to_write", language)]), *lines_of(values), ""]
    if request.draw is not None:
        draw(request, task, seen)
        said.append(result("drawn", language, file=request.draw))
    if request.write:
        write(request.node, values)
        said.append(result("written", language, file=request.node, backup=f"{request.node}{BACKUP}"))
    return Outcome("\n".join(said), False, seen)


def _seen(task: Task, found: Calibration) -> Array:
    return project([p.place for p in task.points], found.pose, found.lens)


def load_task(request: Request, language: str = "en") -> Task:
    """Read settings and points. language: for what is called by its number. Raises SettingsError with file, line and key."""
    node = load_settings(request.node, NodeSettings)
    camera, preset = _camera(request, node)
    if node.drone is not None:
        raise refuse(request.node, ["drone"], "a drone's autopilot says where its camera is; there is nothing to calibrate")
    if camera.position is None or camera.height_agl_m is None:
        raise refuse(
            request.node, ["camera"], "give position and height_agl_m, as well as you know them; the points do the rest"
        )
    sector = load_sector(request.node.parent / node.sector)
    given = camera.lens
    lens = Lens(given.width_px, given.height_px, given.fx_px, given.fy_px, given.cx_px, given.cy_px,
                given.k1, given.k2, given.p1, given.p2, given.k3)
    east, north = (float(v) for v in sector.frame.point(GroundPosition(*camera.position)))
    ground_m = float(sector.terrain.height_msl_m([[east, north]])[0])
    if not math.isfinite(ground_m):
        raise refuse(request.node, ["camera", "position"], f"{list(camera.position)} is not on the sector's terrain")
    survey = Survey(
        (east, north, ground_m + camera.height_agl_m), camera.sigma.position_m, camera.sigma.height_m, lens,
        request.focal, request.k1, request.click_sigma_px, sector.terrain,
    )
    return Task(camera, preset, sector, lens, survey, _marked(request.points, lens, sector, language))


def _camera(request: Request, node: NodeSettings) -> tuple[CameraSettings, int | None]:
    """What is to be calibrated. Raises SettingsError."""
    names = [p.name for p in node.presets]
    there = ", ".join(f'"{n}"' for n in names)
    if request.preset in names:
        number = names.index(request.preset)
        return camera_at(node.camera, node.presets[number]), number
    if request.preset:
        said = f"there are {there}" if names else "this camera has none; name them with [[presets]], angles guessed at first"
        raise refuse(request.node, ["presets"], f'there is no preset "{request.preset}"; {said}')
    if names:
        raise refuse(request.node, ["presets"], f"this camera turns; say with --preset at which it was: {there}")
    return node.camera, None


def _marked(path: Path, lens: Lens, sector: Sector, language: str) -> tuple[MarkedPoint, ...]:
    """The points in pixels of the lens and metres of the sector."""
    if not path.exists():
        raise SettingsError(f"{path}: there is no such file of points. Click some with --page, or write it by hand, as "
                            "docs/edge.md shows it.")
    file = load_points(path, (lens.width_px, lens.height_px))
    marked = []
    for i, p in enumerate(file.points):
        if p.sigma_m <= 0:
            raise refuse(path, ["points", i, "sigma_m"], f"{p.sigma_m}: give metres, above 0")
        if not (-90 <= p.position[0] <= 90 and -180 <= p.position[1] <= 180):
            raise refuse(path, ["points", i, "position"], f"{list(p.position)}: give latitude, then longitude, in degrees")
        east, north = (float(v) for v in sector.frame.point(GroundPosition(*p.position)))
        if p.height_msl_m is None:
            up = float(sector.terrain.height_msl_m([[east, north]])[0]) + p.height_agl_m
            up_sigma = max(sector.terrain.sigma_m, LENGTH_FLOOR_M)
        else:
            up, up_sigma = p.height_msl_m, p.sigma_m
        x, y = p.pixel
        name = p.name or result("point", language, number=i + 1)
        marked.append(MarkedPoint(name, (x, y), (east, north, up), p.sigma_m, up_sigma))
    return tuple(marked)


def load_points(path: Path, lens_px: tuple[int, int], size_px: tuple[int, int] | None = None) -> PointsFile:
    """With pixels of a picture of size_px; None: of the lens. Raises SettingsError."""
    file = load_settings(path, PointsFile)
    clicked_px, wanted_px = file.picture_px or lens_px, size_px or lens_px
    if min(clicked_px) < 1 or abs(clicked_px[0] / clicked_px[1] - lens_px[0] / lens_px[1]) > 0.01:
        (width, height), (lens_width, lens_height) = clicked_px, lens_px
        raise refuse(path, ["picture_px"], f"{width} x {height} has another shape than the lens of the node's settings, "
                     f"{lens_width} x {lens_height}")
    return PointsFile(tuple(msgspec.structs.replace(p, pixel=_scaled(p.pixel, clicked_px, wanted_px)) for p in file.points),
                      wanted_px)


def in_picture(seen: Array, lens_px: tuple[int, int], size_px: tuple[int, int]) -> tuple[tuple[float, float] | None, ...]:
    """(n, 2) pixels of the lens in those of a picture of size_px; None for one behind the camera (NaN)."""
    return tuple(
        _scaled((float(x), float(y)), lens_px, size_px) if math.isfinite(x) and math.isfinite(y) else None for x, y in seen
    )


def _scaled(pixel: tuple[float, float], from_px: tuple[int, int], to_px: tuple[int, int]) -> tuple[float, float]:
    if from_px == to_px:
        return pixel
    x, y = ((v + 0.5) * to / of - 0.5 for v, of, to in zip(pixel, from_px, to_px, strict=True))
    return x, y


# ------------------------------------------------------------------------------------------------------- in words


def residuals(task: Task, found: Calibration, language: str = "en") -> str:
    """How far each point is off, as a table."""
    point_, px_, m_, sigmas_ = (result(f"column.{c}", language) for c in ("point", "px", "m", "sigmas"))
    lines = [f"{point_:28} {px_:>8} {m_:>8} {sigmas_:>8}"]
    for point, px, m, sigmas in zip(task.points, found.off_px, found.off_m, found.deviations, strict=True):
        lines.append(f"{point.name[:28]:28} {px:8.1f} {m:8.2f} {sigmas:8.1f}")
    percent = found.chance * 100.0
    told = f"{percent:.0f}" if percent >= 1.0 else f"{percent:.1f}" if percent >= 0.1 else "< 0.1"
    lines.append(result("chance", language, percent=told))
    return "\n".join(lines)


Table = tuple[str | int, ...]
Values = dict[tuple[Table, str], float | list[float]]
# What a preset calls that in its own table.
OF_A_PRESET: dict[Table, str] = {("camera",): "", ("camera", "lens"): "", ("camera", "sigma"): "sigma_"}


def settings_of(task: Task, found: Calibration) -> Values:
    """What to put into the settings file: (table, key) to value."""
    values = _of_camera(task, found)
    if task.preset is None:
        return values
    return {(("presets", task.preset), OF_A_PRESET[table] + key): value for (table, key), value in values.items()}


def _of_camera(task: Task, found: Calibration) -> Values:
    pose, sigma = found.pose, found.sigma
    lat, lon = (float(v) for v in task.sector.frame.from_enu([[pose.east_m, pose.north_m]])[0])
    ground_m = float(task.sector.terrain.height_msl_m([[pose.east_m, pose.north_m]])[0])
    given = task.camera.sigma
    values: Values = {
        (("camera",), "position"): [round(lat, 7), round(lon, 7)],
        (("camera",), "height_agl_m"): round(pose.height_msl_m - ground_m, 2),
        (("camera",), "yaw_deg"): round(pose.yaw_deg, 3) % 360.0,
        (("camera",), "pitch_deg"): round(pose.pitch_deg, 3),
        (("camera",), "roll_deg"): round(pose.roll_deg, 3),
        (("camera", "sigma"), "position_m"): _up(min(sigma.position_m, given.position_m), LENGTH_FLOOR_M),
        (("camera", "sigma"), "height_m"): _up(min(sigma.height_m, given.height_m), LENGTH_FLOOR_M),
        (("camera", "sigma"), "yaw_deg"): _up(sigma.yaw_deg, ANGLE_FLOOR_DEG),
        (("camera", "sigma"), "pitch_deg"): _up(sigma.pitch_deg, ANGLE_FLOOR_DEG),
        (("camera", "sigma"), "roll_deg"): _up(sigma.roll_deg, ANGLE_FLOOR_DEG),
    }
    if task.survey.free_focal:
        values[("camera", "lens"), "fx_px"] = round(found.lens.fx, 2)
        values[("camera", "lens"), "fy_px"] = round(found.lens.fy, 2)
    if task.survey.free_k1:
        values[("camera", "lens"), "k1"] = round(found.lens.k1, 5)
    return values


def _up(value: float, floor: float) -> float:
    return max(floor, math.ceil(value * 1000.0) / 1000.0)


def lines_of(values: Values) -> list[str]:
    """The same as lines of TOML, to paste."""
    lines: list[str] = []
    table: Table = ()
    for (of, key), value in values.items():
        if of != table:
            table = of
            lines.append(f"[[{of[0]}]]" if isinstance(of[-1], int) else f"[{'.'.join(map(str, of))}]")
        lines.append(f"{key} = {value}")
    return lines


# ------------------------------------------------------------------------------------------------------- to the disk


def write(path: Path, values: Values) -> None:
    """Put values into a settings file; comments and all else stay. Raises SettingsError, and then nothing was changed."""
    lines = path.read_text(encoding="utf-8").splitlines()
    for (table, key), value in values.items():
        keys: list[str | int] = [*table, key]
        number = find_line("\n".join(lines), keys)
        line = lines[number - 1]
        found = _VALUE.match(line)
        if found and line.split("=")[0].strip() == key:
            text = f"{found.group(1)}{value}"
            lines[number - 1] = text + found.group(3).rjust(len(line) - len(text)) if found.group(3) else text
        else:
            lines.insert(number, f"{key} = {value}")        # after the table's header
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
    try:
        table_ = msgspec.to_builtins(load_settings(fresh, NodeSettings))
        for (table, key), value in values.items():
            here = table_
            for name in table:
                here = here[name]
            if not np.allclose(here[key], value):
                raise SettingsError(key)
    except SettingsError:
        fresh.unlink()
        raise SettingsError(
            f"{path}: its tables are not written one key a line, so that it cannot be edited safely; nothing was changed. "
            "Put these in by hand:\n" + "\n".join(lines_of(values))
        ) from None
    shutil.copy2(path, f"{path}{BACKUP}")
    shutil.copymode(path, fresh)
    fresh.replace(path)


def write_points(path: Path, file: PointsFile) -> None:
    """Write a points file anew, as the page has it."""
    lines = ["# Points of a camera's picture and of the map, for ./trailwatch calibrate."]
    if file.picture_px is not None:
        lines.append(f"picture_px = {list(file.picture_px)}")
    for p in file.points:
        lines += ["", "[[points]]"]
        for key, value in msgspec.to_builtins(p).items():
            if value is not None:
                lines.append(f"{key} = {json.dumps(value, ensure_ascii=False)}")
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
    fresh.replace(path)


def draw(request: Request, task: Task, seen: Array) -> None:
    """The picture with crosses and circles. seen: (n, 2), pixels of the lens. Raises SettingsError."""
    picture = read_picture(request)
    assert request.draw is not None
    lens_px, size_px = (task.lens.width_px, task.lens.height_px), (picture.shape[1], picture.shape[0])
    for point, at in zip(task.points, in_picture(seen, lens_px, size_px), strict=True):
        clicked = _scaled(point.pixel, lens_px, size_px)
        cv2.drawMarker(picture, [round(v) for v in clicked], (0, 0, 255), cv2.MARKER_CROSS, 17, 2)
        if at is not None:
            cv2.circle(picture, [round(v) for v in at], 9, (0, 255, 255), 2)
    if not cv2.imwrite(str(request.draw), picture):
        raise SettingsError(f"{request.draw}: cannot be written; give a path that ends in .png or .jpg")


def read_picture(request: Request) -> cv2.typing.MatLike:
    """The picture that was clicked on. Raises SettingsError."""
    if request.picture is None:
        raise SettingsError("give the picture with --picture PATH, or --picture source for one of the node's own source")
    picture = _from_source(request.node) if str(request.picture) == "source" else cv2.imread(str(request.picture))
    if picture is None:
        raise SettingsError(f"{request.picture}: is no picture that can be read; give a PNG or a JPEG")
    return picture


def _from_source(node: Path) -> cv2.typing.MatLike:
    """The first picture of a node's own source."""
    from edge.node import open_source
    from edge.settings import load_setup
    from edge.sources import SourceError
    from wire.clock import WallClock

    try:
        source = open_source(load_setup(node), WallClock())
    except SourceError as error:
        raise SettingsError(f"{node}: source: {error}") from None
    try:
        for _ in range(PICTURE_TRIES):
            frame = source.grab(0.1)
            if frame is not None:
                return frame.image.copy()
    except SourceError as error:
        raise SettingsError(f"{node}: source: {error}") from None
    finally:
        source.close()
    raise SettingsError(f"{node}: source: no picture came within {PICTURE_TRIES / 10:.0f} s; is the camera on?")
