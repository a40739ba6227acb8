"""Where a drone may look at somebody from: the sides of a contact, at a distance and a height that are kept.

A person walks away from a drone that comes near. So it never stands where the way that leads away from it runs onto steep
ground or to the border line; where every side is like that, it keeps so far off that nobody is pressed at all. Of water a
sector knows nothing but its border, where that is a river.

Bearings count from the contact to the drone, degrees clockwise from north. Pure.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry import LineString, Point, Polygon

from fleet import routes
from fleet.checker import CheckLimits
from fleet.planner import STAND_OFF_M
from fleet.wind import demanded_buffer
from geofences.geodesy import Array
from geofences.sector import Sector
from geofences.terrain import FlatTerrain

LEAST_M, HEIGHT_LEAST_M = 40.0, 30.0        # of a drone from a person, level, and above the ground of both
RADIUS_M, HEIGHT_M = 55.0, 45.0             # where nothing else is wanted: 39 degrees down, 71 m away
FAR_M = 110.0                   # from here on it is taken to press nobody; chosen, not measured
WIDER = 1.5                     # radius and height of a look for somebody who was lost
TOP_M = 8.0                     # over the height of the widest look, what uneven ground may add to it
SIDES = 36
FAN_DEG = 50.0                  # to both sides of straight away, somebody may turn
AHEAD_M = (10.0, 20.0, 30.0, 40.0, 50.0, 60.0)     # that far the way is looked at
STEEP = 0.7                     # rise over run, 35 degrees: nobody walks there upright
STEEP_OVER_M = 4.0              # by this step the slope is measured
LINE_M = 15.0                   # so near the border line counts as reached
TURN_DEG = 25.0                 # on the circle with one order: the chord stays within 3 % of the radius
AWAY_M = 30.0                   # from another drone
SEEN_OVER_M = 2.0               # of the line of sight over the ground between

Bools = npt.NDArray[np.bool_]
BEARINGS = np.arange(SIDES) * (360.0 / SIDES)


@dataclass(frozen=True, slots=True)
class Room:
    """Where one drone may be: polygon, around its home. home_msl_m: of the ground there. top_m: above the ground, the most
    for which the polygon's distance from the border is enough, at speed_m_s.
    """

    polygon: Polygon
    sector: Sector
    home_msl_m: float
    limits: CheckLimits
    top_m: float
    speed_m_s: float


@dataclass(frozen=True, slots=True)
class Sides:
    """Of a contact. may: (n,) whether a drone may stand there. pressed, unreachable, hidden: (n,) why not."""

    may: Bools
    pressed: Bools
    unreachable: Bools
    hidden: Bools

    @property
    def free(self) -> bool:
        return bool(self.may.all())


@dataclass(frozen=True, slots=True)
class Place:
    """Where to go: (2,) metres; above home; the bearing from the contact, and the level distance."""

    at: Array
    height_m: float
    bearing_deg: float
    radius_m: float


def room_of(sector: Sector, home: Array, limits: CheckLimits, speed_m_s: float, height_m: float = HEIGHT_M) -> Room:
    """With the buffer that the wind demands at the greatest height of a look from height_m above somebody's ground."""
    top_m = min(WIDER * height_m + TOP_M, limits.ceiling_m - 1.0)
    border_m = demanded_buffer(limits.wind, top_m, speed_m_s, sector.border_buffer_m).total_m + STAND_OFF_M
    polygon = routes.reachable(sector, home, border_m, limits.keep_out_margin_m + STAND_OFF_M)
    return Room(polygon, sector, float(sector.terrain.height_msl_m(home)[0]), limits, top_m, speed_m_s)


def point_at(contact: Array, bearing_deg: float, radius_m: float) -> Array:
    angle = math.radians(bearing_deg)
    return np.asarray(contact + radius_m * np.array([math.sin(angle), math.cos(angle)]))


def bearing_to(contact: Array, drone: Array) -> float:
    east, north = (float(v) for v in drone - contact)
    return math.degrees(math.atan2(east, north)) % 360.0


def turn_deg(from_deg: float, to_deg: float) -> float:
    """The shorter way round, clockwise positive."""
    return (to_deg - from_deg + 180.0) % 360.0 - 180.0


def sides_of(contact: Array, radius_m: float, height_m: float, room: Room, others: tuple[Array, ...] = ()) -> Sides:
    """height_m: above the contact's ground. others: places of other drones, which are kept away from."""
    angles = np.radians(BEARINGS)
    places = contact + radius_m * np.column_stack([np.sin(angles), np.cos(angles)])
    inside = shapely.contains_xy(room.polygon, places[:, 0], places[:, 1])
    level, ground = _levels(contact, places, height_m, room)
    over_m = level - ground
    inside &= np.isfinite(level) & (over_m <= room.limits.ceiling_m - 1.0)
    for i in np.flatnonzero(inside & (over_m > room.top_m)):      # over a valley it may drift farther, and is asked for that
        demanded = demanded_buffer(room.limits.wind, float(over_m[i]), room.speed_m_s, room.sector.border_buffer_m)
        inside[i] = room.sector.border.signed_distance_m(places[i])[0] >= demanded.total_m + STAND_OFF_M
    for other in others:
        inside &= np.hypot(*(places - other).T) >= AWAY_M
    hidden = _hidden(contact, places, level, room.sector)
    pressed = _pressing(contact, room.sector) if radius_m < FAR_M else np.zeros(SIDES, bool)
    return Sides(inside & ~pressed & ~hidden, pressed, ~inside, hidden)


def height_over_home_m(contact: Array, at: Array, height_m: float, room: Room) -> float:
    """Above home, for height_m above the contact's ground and no less than the least above its own."""
    return float(_levels(contact, at[None], height_m, room)[0][0]) - room.home_msl_m


def _levels(contact: Array, places: Array, height_m: float, room: Room) -> tuple[Array, Array]:
    """(n,) heights above mean sea level at which it would stand, and (n,) the ground there."""
    terrain = room.sector.terrain
    ground = np.asarray(terrain.height_msl_m(places), float)
    under = float(terrain.height_msl_m(contact)[0])
    least = max(HEIGHT_LEAST_M, room.limits.clearance_m + 3.0 * terrain.sigma_m + 1.0)
    return np.maximum(under + height_m, ground + least), ground


def _hidden(contact: Array, places: Array, level: Array, sector: Sector) -> Bools:
    """(n,) whether the ground stands between. Looked at every few metres: it is about seeing, not about safety."""
    if isinstance(sector.terrain, FlatTerrain):
        return np.zeros(len(places), bool)
    parts = np.linspace(0.1, 0.95, 12)
    line = contact + parts[:, None, None] * (places - contact)
    feet = float(sector.terrain.height_msl_m(contact)[0]) + 1.0
    sight = feet + parts[:, None] * (level - feet)
    ground = sector.terrain.height_msl_m(line.reshape(-1, 2)).reshape(sight.shape)
    return np.asarray((ground + np.where(parts[:, None] < 0.3, 0.0, SEEN_OVER_M) > sight).any(axis=0))


def _pressing(contact: Array, sector: Sector) -> Bools:
    """(n,) by the side of the drone: whether straight away from it, or within the fan, nobody may be driven."""
    bad = bad_ways(contact, sector)
    spread = round(FAN_DEG / (360.0 / SIDES))
    away = np.roll(bad, SIDES // 2)         # standing at a bearing drives towards the opposite one
    return np.asarray(np.logical_or.reduce([np.roll(away, k) for k in range(-spread, spread + 1)]))


def bad_ways(contact: Array, sector: Sector) -> Bools:
    """(n,) by the way that somebody would go: whether it meets steep ground, the border line or the end of the sector."""
    angles = np.radians(BEARINGS)
    ways = np.column_stack([np.sin(angles), np.cos(angles)])
    at = contact + np.asarray(AHEAD_M)[:, None, None] * ways
    flat = at.reshape(-1, 2)
    bad = np.asarray(sector.border.signed_distance_m(flat) < LINE_M)
    if not isinstance(sector.terrain, FlatTerrain):
        step = np.array([[STEEP_OVER_M, 0.0], [-STEEP_OVER_M, 0.0], [0.0, STEEP_OVER_M], [0.0, -STEEP_OVER_M]]) / 2.0
        east, west, north, south = (sector.terrain.height_msl_m(flat + s) for s in step)
        slope = np.hypot(east - west, north - south) / STEEP_OVER_M
        bad |= ~(slope < STEEP)             # a hole in the terrain is not known to be even
    return np.asarray(bad.reshape(len(AHEAD_M), SIDES).any(axis=0))


def next_place(
    contact: Array, here: Array, ahead_deg: float, radius_m: float, height_m: float, room: Room,
    others: tuple[Array, ...] = (),
) -> tuple[Place | None, Sides]:
    """Where a drone at `here` goes next, ahead_deg further round (negative: against the clock); None: it has no such place.

    Near the circle it goes round it in short chords and never through a side that it may not be at; from afar straight to
    the side that is nearest, and round the contact at FAR_M where that would lead over it.
    """
    sides = sides_of(contact, radius_m, height_m, room, others)
    if not sides.may.any():
        if radius_m < FAR_M:
            return next_place(contact, here, ahead_deg, FAR_M, height_m, room, others)[0], sides
        return None, sides
    now_deg, away_m = bearing_to(contact, here), float(np.linalg.norm(here - contact))
    steps = sorted(BEARINGS[sides.may].tolist(), key=lambda b: abs(turn_deg(now_deg + ahead_deg, b)))
    if _may_at(sides, now_deg + ahead_deg):
        steps.insert(0, (now_deg + ahead_deg) % 360.0)
    near = away_m < WIDER * radius_m
    for bearing in steps:
        place = _place(contact, bearing, radius_m, height_m, room)
        if near and (abs(turn_deg(now_deg, bearing)) > TURN_DEG or not _between(sides, now_deg, bearing)):
            continue
        if _may_go(contact, here, place.at, radius_m, room):
            return place, sides
    turn = turn_deg(now_deg, steps[0])
    round_it = _place(contact, now_deg + max(-40.0, min(40.0, turn)), max(FAR_M, radius_m), height_m, room)
    if _may_go(contact, here, round_it.at, min(away_m, radius_m), room):
        return round_it, sides
    return None, sides


def _place(contact: Array, bearing_deg: float, radius_m: float, height_m: float, room: Room) -> Place:
    at = point_at(contact, bearing_deg, radius_m)
    return Place(at, height_over_home_m(contact, at, height_m, room), bearing_deg % 360.0, radius_m)


def _may_at(sides: Sides, bearing_deg: float) -> bool:
    """Both sides that were looked at beside it."""
    i = math.floor((bearing_deg % 360.0) / (360.0 / SIDES))
    return bool(sides.may[i % SIDES] and sides.may[(i + 1) % SIDES])


def _between(sides: Sides, from_deg: float, to_deg: float) -> bool:
    """Whether the way round from one to the other leads through no side that is not allowed, but for where it begins."""
    turn = turn_deg(from_deg, to_deg)
    if not _may_at(sides, from_deg):
        return True             # it is where it may not be: any short way out
    count = max(1, math.ceil(abs(turn) / 5.0))
    return all(_may_at(sides, from_deg + turn * k / count) for k in range(count))


def _may_go(contact: Array, here: Array, to: Array, radius_m: float, room: Room) -> bool:
    """Straight: within the room, and never nearer to the contact than the circle's chords, or than it is already."""
    if np.allclose(here, to):
        return bool(room.polygon.covers(Point(to)))
    way = LineString([here, to])
    nearest = min(0.97 * radius_m, float(np.linalg.norm(here - contact)) - 0.1)
    return bool(room.polygon.covers(way)) and way.distance(Point(contact)) >= min(nearest, 0.97 * radius_m)
