"""Where the camera of a training frame stands, what the sky does, and how the camera shows it: drawn by chance, all of it.

A frame is a crop of a larger picture at the picture's own scale. Its camera looks north at the origin; everything else is
turned instead. Depression is the angle below the horizon at which the middle of the frame is seen: 90 is straight down.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cameras.lens import Lens
from cameras.pose import Pose
from geofences.geodesy import Array
from sim.frames_arguments import CONDITIONS
from sim.renderer_light import Palette
from sim.world_state import Sky

HEIGHTS_M = (3.0, 120.0)            # of the lens above ground
FOCALS_PX = (600.0, 2600.0)         # from a wide mast camera at 720 lines to a long lens at 2160
BODY_M, SHOULDERS_M = 1.6, 0.5      # what somebody shows from the side, and from above
PERSON_PX = (9.0, 300.0)            # longest extent in the picture

# share of the frames, degrees of depression; straight down is where a network from elsewhere fails
DEPRESSIONS = ((0.24, 0.5, 12.0), (0.36, 12.0, 45.0), (0.24, 45.0, 80.0), (0.16, 80.0, 90.0))
# share of the frames, pixels of a person
SIZES = ((0.38, 10.0, 36.0), (0.40, 28.0, 110.0), (0.22, 90.0, 300.0))
CONDITION_SHARES = (0.64, 0.09, 0.07, 0.12, 0.08)
RAIN_SHARE, FOG_SHARE = 0.16, 0.12


@dataclass(frozen=True, slots=True)
class View:
    """One frame's camera. person_px: how long somebody in the middle is, roughly. distance_m: of the middle's ground."""

    pose: Pose
    lens: Lens
    depression_deg: float
    distance_m: float
    person_px: float


def draw_view(chance: np.random.Generator, side_px: int) -> View:
    """A camera for a frame of side_px by side_px."""
    depression = _from_bands(chance, DEPRESSIONS)
    person_px = float(np.exp(_from_bands(chance, tuple((w, np.log(a), np.log(b)) for w, a, b in SIZES))))
    focal = float(np.exp(chance.uniform(*np.log(FOCALS_PX))))
    d = np.radians(depression)
    metres_shown = max(BODY_M * np.cos(d), SHOULDERS_M * np.sin(d))
    distance = focal * metres_shown / person_px
    height = distance * np.sin(d)
    low, high = HEIGHTS_M
    if height > high:
        distance, focal = distance * high / height, focal * high / height
    elif height < low and depression > 8.0:
        distance, focal = distance * low / height, focal * low / height
    elif height < low:
        d = np.arcsin(np.clip(low / distance, 0.0, 0.95))
        depression = float(np.degrees(d))
    pose = Pose(0.0, -distance * np.cos(d), distance * np.sin(d), 0.0, -depression, float(chance.normal(0.0, 2.0)))
    half = side_px / 2 - 0.5
    return View(pose, Lens(side_px, side_px, focal, focal, half, half), depression, float(distance), person_px)


def ground_at(view: View, pixel: Array, ground_msl_m: float = 0.0) -> Array:
    """(n, 2) east, north of the level ground at ground_msl_m under (n, 2) pixels; NaN above the horizon."""
    lens, pose = view.lens, view.pose
    rays = np.column_stack([(pixel - [lens.cx, lens.cy]) / [lens.fx, lens.fy], np.ones(len(pixel))]) @ pose.rotation().T
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = np.where(rays[:, 2] < -1e-4, (ground_msl_m - pose.height_msl_m) / rays[:, 2], np.nan)
    return np.asarray(pose.position[:2] + rays[:, :2] * scale[:, None])


def pixels_of(view: View, points: Array) -> Array:
    """(n, 2) pixels of (n, 3) points; far outside for what lies behind the lens."""
    seen = (points - view.pose.position) @ view.pose.rotation()
    depth = np.maximum(seen[:, 2], 1e-3)
    return np.clip(seen[:, :2] / depth[:, None] * view.lens.fx + [view.lens.cx, view.lens.cy], -1e6, 1e6)


def depression_at(view: View, point: Array) -> float:
    """Degrees below the horizon at which the lens sees a (3,) point."""
    away = point - view.pose.position
    return float(np.degrees(np.arctan2(-away[2], np.hypot(away[0], away[1]))))


def draw_sky(chance: np.random.Generator, condition: str | None = None) -> tuple[Sky, Palette, str]:
    """Sky, palette and the name of the condition, from CONDITIONS; `condition` fixes which."""
    name = condition or str(chance.choice(CONDITIONS, p=CONDITION_SHARES))
    rain = float(chance.uniform(2.0, 35.0)) if chance.random() < RAIN_SHARE else 0.0
    fog = chance.random() < FOG_SHARE
    elevation = {
        "day": chance.uniform(12.0, 80.0), "dusk": chance.uniform(-5.0, 8.0), "night": chance.uniform(-7.5, -4.5),
        "low_light": chance.uniform(-30.0, -5.0), "thermal": chance.uniform(-30.0, 60.0),
    }[name]
    palette = {"low_light": Palette.LOW_LIGHT, "thermal": Palette.THERMAL}.get(name, Palette.DAY)
    sky = Sky(
        sun_azimuth_deg=float(chance.uniform(0.0, 360.0)), sun_elevation_deg=float(elevation),
        moonlight=float(chance.uniform(0.0, 1.0)), cloud=float(chance.beta(0.7, 0.7)) if rain == 0 else 1.0, rain_mm_h=rain,
        visibility_m=float(np.exp(chance.uniform(np.log(60.0), np.log(700.0)))) if fog else 15_000.0,
        wind_mps=float(chance.uniform(0.0, 9.0)), wind_from_deg=float(chance.uniform(0.0, 360.0)),
    )
    return sky, palette, name


def _from_bands(chance: np.random.Generator, bands: tuple[tuple[float, float, float], ...]) -> float:
    shares = np.array([b[0] for b in bands])
    _, low, high = bands[int(chance.choice(len(bands), p=shares / shares.sum()))]
    return float(chance.uniform(low, high))
