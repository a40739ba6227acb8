"""What the simulated world is made of, and how it stands at one moment.

World, renderer, scoring and frame generator meet in these values. Places are east and north in metres in the sector's
LocalFrame, heights are metres above mean sea level, headings are degrees clockwise from north, as everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array
from geofences.terrain import GridTerrain
from wire.units import ObjectClass


class Kind(StrEnum):
    """What an actor is. DETECTED_AS says what a perfect detector would call it."""

    PERSON = "person"
    BICYCLE = "bicycle"
    MOTORCYCLE = "motorcycle"
    CAR = "car"
    PICKUP = "pickup"
    TRUCK = "truck"
    BUS = "bus"
    BOAT = "boat"
    DOG = "dog"
    BUFFALO = "buffalo"
    BIRD = "bird"


DETECTED_AS: dict[Kind, ObjectClass | None] = {
    Kind.PERSON: ObjectClass.PERSON,
    Kind.BICYCLE: ObjectClass.BICYCLE,
    Kind.MOTORCYCLE: ObjectClass.MOTORCYCLE,
    Kind.CAR: ObjectClass.CAR,
    Kind.PICKUP: ObjectClass.TRUCK,     # as COCO's annotators mostly do; a scorer takes car as well
    Kind.TRUCK: ObjectClass.TRUCK,
    Kind.BUS: ObjectClass.BUS,
    Kind.BOAT: ObjectClass.BOAT,
    Kind.DOG: None,
    Kind.BUFFALO: None,
    Kind.BIRD: None,
}


class Role(StrEnum):
    """Why an actor is there. Only CROSSER counts as a crossing in the truth."""

    CROSSER = "crosser"
    SUBJECT = "subject"             # on the exercise's watchlist
    FARMER = "farmer"
    CHILD = "child"
    PATROL = "patrol"               # soldiers of our own
    TRAFFIC = "traffic"
    ANIMAL = "animal"


class Posture(StrEnum):
    """How a body is held. Vehicles and boats are always at STAND."""

    STAND = "stand"
    WALK = "walk"
    RUN = "run"
    CROUCH = "crouch"
    CROUCH_WALK = "crouch_walk"
    REST = "rest"                   # sitting on the ground
    LIE = "lie"
    RIDE = "ride"                   # astride a motorcycle or bicycle
    WORK = "work"                   # bent over a field


@dataclass(frozen=True, slots=True)
class Looks:
    """What tells one body of a kind from another; everything not named follows from seed.

    sex: "female" or "male". age: "child", "young" or "old". pack: a load on the back. uniform: our own soldiers'.
    hat: a conical hat. plate: the licence plate as written on the vehicle, empty where there is none. colour: blue, green,
    red of the paint or of the upper clothes, 0 to 255; None follows from seed.
    """

    seed: int
    sex: str = "male"
    age: str = "young"
    pack: bool = False
    uniform: bool = False
    hat: bool = False
    plate: str = ""
    colour: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody or something that moves. id: unique in a world. party: those who travel together share one; 0 is alone."""

    id: int
    kind: Kind
    role: Role
    looks: Looks
    party: int = 0


@dataclass(frozen=True, slots=True)
class ActorState:
    """One actor at one moment.

    east_m, north_m, height_msl_m: of the point on the ground (on the water, for boats; in the air, for birds) below its
    middle. velocity: east, north, metres a second. phase: of the stride, 0 to 1. carries_pack: it may have dropped it.
    aboard: id of the vehicle or boat that carries it, 0 for none; riders of motorcycles are drawn, passengers are not.
    """

    actor: Actor
    east_m: float
    north_m: float
    height_msl_m: float
    heading_deg: float
    velocity_mps: tuple[float, float]
    posture: Posture
    phase: float
    carries_pack: bool = False
    aboard: int = 0


@dataclass(frozen=True, slots=True)
class Sky:
    """Light and weather at one moment.

    sun_azimuth_deg clockwise from north, sun_elevation_deg above the horizon (negative: below it); moonlight 0 to 1;
    cloud 0 to 1; rain_mm_h; visibility_m: meteorological, 20 000 is clear; wind_mps and the direction it blows *from*.
    """

    sun_azimuth_deg: float
    sun_elevation_deg: float
    moonlight: float = 0.0
    cloud: float = 0.3
    rain_mm_h: float = 0.0
    visibility_m: float = 20_000.0
    wind_mps: float = 2.0
    wind_from_deg: float = 90.0


class Cover(StrEnum):
    """What grows or lies on the ground. The order is that of the codes in Landscape.cover."""

    FOREST_FLOOR = "forest_floor"
    GRASS = "grass"
    FIELD = "field"
    DIRT = "dirt"
    ROCK = "rock"
    ROAD = "road"
    WATER = "water"
    SAND = "sand"


COVER_CODES: tuple[Cover, ...] = tuple(Cover)


class Species(StrEnum):
    """Plants, and still things that can be taken for somebody."""

    BROADLEAF = "broadleaf"
    BAMBOO = "bamboo"
    PALM = "palm"
    BANANA = "banana"
    BUSH = "bush"
    FERN = "fern"
    GRASS_TUFT = "grass_tuft"
    DEAD_TREE = "dead_tree"
    STUMP = "stump"
    BOULDER = "boulder"
    POST = "post"


@dataclass(frozen=True, slots=True)
class Plants:
    """n plants and still things, as columns.

    species: (n,) index into tuple(Species). east_m, north_m: (n,). height_m, crown_m (radius): (n,). seed: (n,) uint32.
    """

    species: npt.NDArray[np.uint8]
    east_m: Array
    north_m: Array
    height_m: Array
    crown_m: Array
    seed: npt.NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.species)


@dataclass(frozen=True, slots=True)
class Landscape:
    """Everything that does not move.

    terrain: synthetic, and says so. cover: (rows, columns) of codes, indices into COVER_CODES, on the grid that begins at
    cover_south_west_m with cover_step_m between posts, row 0 southernmost. trails, roads: (n, 2) polylines by name. river:
    (n, 2) centre line; river_width_m. water_msl_m: height of its surface along the centre line (n,).
    """

    seed: int
    terrain: GridTerrain
    cover: npt.NDArray[np.uint8]
    cover_south_west_m: tuple[float, float]
    cover_step_m: float
    plants: Plants
    trails: dict[str, Array]
    roads: dict[str, Array]
    river: Array
    river_width_m: float
    water_msl_m: Array


@dataclass(frozen=True, slots=True)
class Moment:
    """The world at one time. t_s: seconds since its start; utc_ns: what its clock says."""

    t_s: float
    utc_ns: int
    sky: Sky
    actors: tuple[ActorState, ...] = field(default_factory=tuple)


@dataclass(frozen=True, slots=True)
class TruthBox:
    """One actor in one picture.

    box_px: left, top, right, bottom of what it would cover if nothing stood before it, clipped to the picture. visible: the
    share of its pixels that is really seen, 0 to 1. foot_px: where its ground point falls. distance_m: from the lens.
    """

    actor: int
    kind: Kind
    box_px: tuple[float, float, float, float]
    visible: float
    foot_px: tuple[float, float]
    distance_m: float
    east_m: float
    north_m: float
    height_msl_m: float
