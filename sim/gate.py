"""A camera at a gate, and vehicles of known plate and paint that pass it: what reading plates and colours is measured on.

The letters of drawn plates are OpenCV's and not those of real plates, and drawn dirt, rain and lamps are tamer than real
ones. What is measured here says that a way works, and not how well it does at a given gate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from cameras.lens import Lens
from cameras.pose import Pose
from cameras.project import project
from geofences.geodesy import Array
from geofences.terrain import GridTerrain
from sim.raster import turns
from sim.raster_gl import Image
from sim.renderer import Renderer
from sim.renderer_light import Palette
from sim.vehicles import LONG_MM, PAINTS, SHORT_MM, SMALL_MM, vehicle_mesh
from sim.world_state import (
    COVER_CODES,
    Actor,
    ActorState,
    Cover,
    Kind,
    Landscape,
    Looks,
    Moment,
    Plants,
    Posture,
    Role,
    Sky,
)

LENS = Lens(1280, 720, 2200.0, 2200.0, 639.5, 359.5)    # 32 degrees wide
UP_M = 2.5
GROUND_MSL_M = 100.0
UTC_NS = 1_795_564_800_000_000_000
ANGLE_MOST_DEG = 40.0           # between the line of sight and the plate's own axis
SERIES = "ABCDEFGHKLMNPSTUVXYZ"     # letters of series, Circular 79/2024/TT-BCA
SKIES = {
    "day": (Sky(140.0, 50.0, cloud=0.2, wind_mps=0.0), Palette.DAY),
    "overcast": (Sky(140.0, 35.0, cloud=1.0, wind_mps=0.0), Palette.DAY),
    "against the sun": (Sky(20.0, 25.0, cloud=0.1, wind_mps=0.0), Palette.DAY),
    "low sun": (Sky(250.0, 4.0, cloud=0.1, wind_mps=0.0), Palette.DAY),
    "dusk": (Sky(265.0, -3.0, cloud=0.3, wind_mps=0.0), Palette.DAY),
    "infra-red": (Sky(300.0, -14.0, cloud=0.3, wind_mps=0.0), Palette.LOW_LIGHT),
}
PASS_STEP = 0.93                # from picture to picture, of the distance
TILT_STEP_DEG = 3.0
_REAR_Z_M = 0.7


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """A picture of one vehicle. box: (4,) left, top, right, bottom in it. plate_width_px: of its plate, seen straight.

    pose: of the camera, which stands UP_M above GROUND_MSL_M at the origin and looks north at the plate.
    """

    image: Image
    box: Array
    plate_width_px: float
    pose: Pose


class Gate:
    """An open place with a camera. It belongs to the thread that made it."""

    def __init__(self) -> None:
        self._renderer = Renderer(_open_place(), 1)

    def close(self) -> None:
        self._renderer.close()

    def shot(self, kind: Kind, looks: Looks, distance_m: float, heading_deg: float, sky: str, aside_m: float = 0.0) -> Shot:
        """heading_deg: 0 drives away from the camera and shows its rear plate, 180 comes towards it. sky: of SKIES.

        distance_m: of the end that is nearer, which carries the plate.
        """
        light, palette = SKIES[sky]
        ends = vehicle_mesh(kind, looks).vertices[:, 1]
        half_m = float(-ends.min() if np.cos(np.radians(heading_deg)) > 0 else ends.max())
        middle_m = distance_m + half_m * abs(float(np.cos(np.radians(heading_deg))))
        state = ActorState(
            Actor(1, kind, Role.TRAFFIC, looks), aside_m, middle_m, GROUND_MSL_M, heading_deg, (0.0, 0.0), Posture.STAND, 0.0
        )
        # In steps: pictures from one pose share what stands still, which is most of the work.
        tilt_deg = -TILT_STEP_DEG * round(float(np.degrees(np.arctan2(UP_M - _REAR_Z_M, distance_m))) / TILT_STEP_DEG)
        pose = Pose(0.0, 0.0, GROUND_MSL_M + UP_M, 0.0, tilt_deg)
        picture = self._renderer.render(Moment(0.0, UTC_NS, light, (state,)), pose, LENS, palette)
        mesh = vehicle_mesh(kind, looks)
        corners = mesh.vertices[np.unique(mesh.triangles)] @ turns(np.array([heading_deg]))[0].T
        pixels = project(corners + np.array([aside_m, middle_m, GROUND_MSL_M]), pose, LENS)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        box = np.clip(np.concatenate([low, high]), 0.0, np.tile([LENS.width_px, LENS.height_px], 2))
        return Shot(picture.image, box, plate_width_m(kind, heading_deg) * LENS.fx / distance_m, pose)

    def passing(
        self, chance: np.random.Generator, kind: Kind, looks: Looks, plate_px: float, sky: str, pictures: int,
        smeared: float = 0.0,
    ) -> list[Shot]:
        """One vehicle that comes nearer or drives away, from a random side.

        plate_px: width of its plate in the middle picture, seen straight. smeared: by its movement, of that width.
        """
        away = kind is Kind.MOTORCYCLE or chance.random() < 0.5        # motorcycles have no plate in front
        heading = (0.0 if away else 180.0) + float(chance.uniform(-ANGLE_MOST_DEG, ANGLE_MOST_DEG))
        middle_m = plate_width_m(kind, heading) * LENS.fx / plate_px
        aside = float(chance.uniform(-0.08, 0.08)) * middle_m
        shots = []
        for k in range(pictures):
            step = PASS_STEP ** (k - (pictures - 1) / 2)
            distance_m = middle_m * (1.0 / step if away else step)
            shot = self.shot(kind, looks, distance_m, heading + float(chance.uniform(-3, 3)), sky, aside)
            if smeared:
                length = smeared * shot.plate_width_px
                shot = replace(shot, image=_smeared(shot.image, length, float(chance.uniform(-0.3, 0.3))))
            shots.append(shot)
        return shots


def plate_width_m(kind: Kind, heading_deg: float) -> float:
    """Of the plate that is seen: the rear one is short."""
    if kind is Kind.MOTORCYCLE:
        return SMALL_MM[0] / 1000.0
    away = np.cos(np.radians(heading_deg)) > 0
    return (SHORT_MM if away else LONG_MM)[0] / 1000.0


def random_plate(chance: np.random.Generator, kind: Kind) -> str:
    """As it is written on a vehicle of this kind."""
    digits = "".join(str(d) for d in chance.integers(0, 10, 5))
    head = f"{int(chance.integers(11, 100))}"
    letter = SERIES[int(chance.integers(len(SERIES)))]
    if kind is Kind.MOTORCYCLE:
        return f"{head}-{letter}{int(chance.integers(1, 10))} {digits[:3]}.{digits[3:]}"
    return f"{head}{letter}-{digits[:3]}.{digits[3:]}"


def random_vehicle(chance: np.random.Generator, kinds: tuple[Kind, ...]) -> tuple[Kind, Looks]:
    """A vehicle with a plate; its paint is one of sim.vehicles.PAINTS."""
    kind = kinds[int(chance.integers(len(kinds)))]
    red, green, blue = PAINTS[kind][int(chance.integers(len(PAINTS[kind])))]
    light = float(chance.uniform(0.9, 1.1))
    colour = (round(blue * light), round(green * light), round(red * light))
    return kind, Looks(int(chance.integers(2**31)), plate=random_plate(chance, kind), colour=colour)


def _smeared(image: Image, length_px: float, slope: float) -> Image:
    """Smeared by movement along a line."""
    size = 2 * max(1, round(length_px / 2)) + 1
    kernel = np.zeros((size, size), np.float32)
    half = size // 2
    cv2.line(kernel, (0, round(half - half * slope)), (size - 1, round(half + half * slope)), 1.0, 1, cv2.LINE_AA)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def _open_place() -> Landscape:
    """Level grass with a dirt track through its middle, and nothing else."""
    posts = 33
    cover = np.full((81, 81), COVER_CODES.index(Cover.GRASS), np.uint8)
    cover[:, 38:43] = COVER_CODES.index(Cover.DIRT)
    none = np.zeros(0)
    return Landscape(
        seed=3, terrain=GridTerrain(np.full((posts, posts), GROUND_MSL_M), (-80.0, -80.0), 5.0, 0.0, synthetic=True),
        cover=cover, cover_south_west_m=(-80.0, -80.0), cover_step_m=2.0,
        plants=Plants(np.zeros(0, np.uint8), none, none, none, none, np.zeros(0, np.uint32)),
        trails={"track": np.array([[0.0, -80.0], [0.0, 80.0]])}, roads={"far": np.array([[-80.0, 79.0], [80.0, 79.0]])},
        river=np.array([[-80.0, -500.0], [80.0, -500.0]]), river_width_m=1.0,
        water_msl_m=np.array([90.0, 90.0]),
    )
