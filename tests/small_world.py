"""A small landscape and people on it, quick to make: what several rooms draw in their tests."""

import numpy as np

from cameras.lens import Lens
from cameras.pose import Pose
from geofences.terrain import GridTerrain
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
    Species,
)

SPECIES = tuple(Species)
DAY = Sky(sun_azimuth_deg=140.0, sun_elevation_deg=50.0, cloud=0.2, wind_mps=0.0)
UTC_NS = 1_795_564_800_000_000_000
MAST = Pose(0.0, 0.0, 106.5, 8.0, -13.0, 1.5)
LENS = Lens(1280, 720, 1000.0, 1000.0, 639.5, 359.5)
BENT = Lens(1280, 720, 900.0, 905.0, 630.0, 366.0, -0.22, 0.05, 0.001, -0.0015)


def plants_at(*rows):
    """Plants from (species, east, north, height, crown)."""
    columns = list(zip(*rows, strict=True)) if rows else [[]] * 5
    return Plants(
        np.array([SPECIES.index(s) for s in columns[0]], np.uint8), *(np.array(c, float) for c in columns[1:]),
        np.arange(len(rows), dtype=np.uint32),
    )


def small_landscape(plants=None, slope=0.02):
    """400 m of gently sloping grass with a trail from south to north, a forest's edge 70 m away, a road and a river."""
    posts = np.arange(-200.0, 205.0, 5.0)
    east, north = np.meshgrid(posts, posts)
    heights = 100.0 + slope * north + 0.3 * np.sin(east / 23.0) * np.sin(north / 31.0)
    cover = np.full((161, 161), COVER_CODES.index(Cover.GRASS), np.uint8)
    cover[:, 79:82] = COVER_CODES.index(Cover.DIRT)
    cover[120:] = COVER_CODES.index(Cover.FOREST_FLOOR)
    if plants is None:
        chance = np.random.default_rng(5)
        rows = [(Species.BROADLEAF, e, n, chance.uniform(8, 14), 2.5)
                for e, n in zip(chance.uniform(-90, 90, 120), chance.uniform(75, 150, 120), strict=True)]
        rows += [(s, e, n, 0.7, 0.5) for s, e, n in zip(
            chance.choice([Species.BUSH, Species.FERN, Species.GRASS_TUFT, Species.BOULDER], 60),
            chance.uniform(3, 40, 60) * chance.choice([-1, 1], 60), chance.uniform(10, 70, 60), strict=True)]
        plants = plants_at(*rows)
    return Landscape(
        seed=3, terrain=GridTerrain(heights, (-200.0, -200.0), 5.0, 0.0, synthetic=True), cover=cover,
        cover_south_west_m=(-200.0, -200.0), cover_step_m=2.5, plants=plants,
        trails={"north": np.array([[0.0, -200.0], [0.0, 200.0]])},
        roads={"across": np.array([[-200.0, 180.0], [200.0, 180.0]])},
        river=np.array([[-200.0, -190.0], [200.0, -190.0]]), river_width_m=12.0, water_msl_m=np.array([95.0, 95.0]),
    )


def person(landscape, number, east, north, heading_deg=0.0, posture=Posture.WALK, phase=0.3, kind=Kind.PERSON, **looks):
    height = float(landscape.terrain.height_msl_m([[east, north]])[0])
    return ActorState(
        Actor(number, kind, Role.CROSSER, Looks(number, **looks)), east, north, height, heading_deg, (0.0, 0.0), posture,
        phase,
    )


def moment(*actors, sky=DAY, t_s=0.0):
    return Moment(t_s, UTC_NS + round(t_s * 1e9), sky, tuple(actors))
