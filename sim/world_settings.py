"""A scenario as it stands in configs/worlds/*.toml: landscape, date, weather, and who does what.

Checked on load; an error names file, line and key. Places along a trail or road count in metres from its first point, which
is the one nearest to the border.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec

from sim.sky import Weather
from sim.world_state import Kind, Role

GaitName = Literal["walk", "stroll", "hurry", "run", "crouch_walk"]
Still = Literal["stand", "crouch", "rest", "lie"]
LatLon = tuple[float, float]


class Spot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place: `position` (WGS 84, degrees), or `at_m` along the trail or road `on`, `aside_m` to its right."""

    position: LatLon | None = None
    on: str = ""
    at_m: float = 0.0
    aside_m: float = 0.0


class Act(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="do"):
    """One piece of a script; `do` says which."""


class FollowTrail(Act, frozen=True, tag="follow_trail"):
    """Walk along a trail to `to_m`. In a party each stops behind the one ahead."""

    trail: str
    to_m: float
    gait: GaitName = "walk"
    aside_m: float = 0.0


class GoTo(Act, frozen=True, tag="go_to"):
    """Walk (or, for animals and boats, move) straight to a place, off the trails."""

    to: Spot
    gait: GaitName = "walk"


class Wait(Act, frozen=True, tag="wait"):
    """Stay for some seconds; spread_s: up to so many more, by chance."""

    seconds: float
    posture: Still = "stand"
    spread_s: float = 0.0


class WaitUntilDark(Act, frozen=True, tag="wait_until_dark"):
    """Stay until the sun is this far below the horizon; -6 is the end of civil twilight."""

    sun_below_deg: float = -6.0
    posture: Still = "rest"


class DropPack(Act, frozen=True, tag="drop_pack"):
    """Crouch for a moment and go on without the load."""


class TurnBack(Act, frozen=True, tag="turn_back"):
    """Go back the way one came, so many metres."""

    metres: float
    gait: GaitName = "hurry"


class Scatter(Act, frozen=True, tag="scatter"):
    """Run apart, off the trail, and lie low."""

    metres: float = 25.0
    seconds: float = 20.0


class Regroup(Act, frozen=True, tag="regroup"):
    """Go back to where one left the trail, and wait until the party is together, at most so many seconds."""

    seconds: float = 60.0
    gait: GaitName = "walk"


class AvoidDrone(Act, frozen=True, tag="avoid_drone"):
    """Perform `script`, and hide beside the way whenever a drone comes nearer than within_m, until it has left."""

    script: list[AnyAct]
    within_m: float = 90.0


class Repeat(Act, frozen=True, tag="repeat"):
    script: list[AnyAct]
    times: int = 1000


class Drive(Act, frozen=True, tag="drive"):
    """Along a road (or, on two wheels, a trail), keeping to the right and behind the vehicle ahead."""

    road: str
    to_m: float
    speed_kmh: float
    aside_m: float | None = None


class Board(Act, frozen=True, tag="board"):
    """Wait for a boat, step in, and step out where it lands."""

    boat: str


class WaitFor(Act, frozen=True, tag="wait_for"):
    """A boat waits until everybody of this name is aboard, at most so many seconds."""

    party: str
    seconds: float = 120.0


class Land(Act, frozen=True, tag="land"):
    """A boat lets everybody step out."""


class Herd(Act, frozen=True, tag="herd"):
    """Walk behind the animals of this name."""

    animals: str
    seconds: float


class Graze(Act, frozen=True, tag="graze"):
    """An animal goes here and there around where it began."""

    seconds: float
    radius_m: float = 12.0


class Work(Act, frozen=True, tag="work"):
    """Bent over a field, a step now and then."""

    seconds: float
    radius_m: float = 6.0


class Patrol(Act, frozen=True, tag="patrol"):
    """Up and down a trail, with a look round at each end."""

    trail: str
    from_m: float
    to_m: float
    rounds: int = 1
    pause_s: float = 20.0


class Fly(Act, frozen=True, tag="fly"):
    """A bird circles."""

    seconds: float
    radius_m: float = 60.0
    height_m: float = 25.0
    speed_mps: float = 9.0


AnyAct = (
    FollowTrail | GoTo | Wait | WaitUntilDark | DropPack | TurnBack | Scatter | Regroup | AvoidDrone | Repeat | Drive | Board
    | WaitFor | Land | Herd | Graze | Work | Patrol | Fly
)


class LooksSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As in world_state.Looks. sex "any" and colour empty are drawn from the seed."""

    sex: Literal["any", "female", "male"] = "any"
    age: Literal["child", "young", "old"] = "young"
    pack: bool = False
    uniform: bool = False
    hat: bool = False
    plate: str = ""
    colour: tuple[int, int, int] | None = None


class ActorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One actor, or `count` of a kind that travel together `spacing_m` apart.

    enters_s: after the start; every_s: again and again after so long, until the world's `lasts_s`, 0 for once.
    at: where. heading_deg: until it moves. A motorcycle or bicycle brings its rider along. Who has come to the end of the
    script leaves the world, so let that be where nobody looks.
    """

    name: str
    kind: Kind
    role: Role
    at: Spot
    script: list[AnyAct]
    count: int = 1
    spacing_m: float = 2.5
    enters_s: float = 0.0
    every_s: float = 0.0
    heading_deg: float = 0.0
    looks: LooksSettings = LooksSettings()


class ClearingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    position: LatLon
    radius_m: float


class WaySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A road or the outline of a field: name and [latitude, longitude] points."""

    name: str
    line: list[LatLon]


class LandscapeSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What sim.landscape makes: its seed, and what is to be there beside what follows from the sector."""

    seed: int
    clearings: list[ClearingSettings] = []
    roads: list[WaySettings] = []
    fields: list[WaySettings] = []


class WorldSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """landscape: a file beside this one. starts: local date and time of the simulated sky, with its offset from UTC.
    lasts_s: until when actors that come again and again do so.
    """

    name: str
    seed: int
    landscape: str
    starts: datetime
    actors: list[ActorSettings]
    weather: list[Weather] = msgspec.field(default_factory=lambda: [Weather()])
    lasts_s: float = 3600.0
