"""Somebody was looked at and is not flown over afterwards: on with the patrol beyond him, or home past him.

For as long as the station says where he is. Ways are polylines on the ground, in metres; what lies nearer to him than
CLEAR_M is left out. A patrol is taken up again where it is clear, and home is flown to from where the straight way there is.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from shapely.geometry import LineString, Point

from fleet.commands import command, set_mode
from fleet.dispatch_words import Params, Said, said
from fleet.drone import Drone
from fleet.look_terms import LookTerms, check_place, estimate_of, go_to, place_now
from fleet.mission import PLACELESS, RETURN_COMMAND, MissionItem
from fleet.stand_off import AWAY_M, LEAST_M, RADIUS_M, Room, bearing_to, point_at
from geofences.geodesy import Array, LocalFrame
from mavlink.link import MessageLink
from wire.clock import NS_PER_S
from wire.flying import Plan, TaskPhase
from wire.units import GroundPosition

CLEAR_M = LEAST_M + 10.0        # of a way from him: the least, and what his place may be off by
ROUND_M = RADIUS_M + 5.0        # the circle on which it goes round
WIDE_M = RADIUS_M + AWAY_M + 5.0    # and the one outside of another drone that looks at him
STEP_DEG = 20.0                 # of that circle with one order: the chord comes to 0.985 of its radius
SAMPLE_M = 5.0
UNSEEN_S = 60.0                 # not detected for so long: nobody knows where he is, and so of no way that avoids him
AHEAD_M = 120.0                 # of a patrol's way that is looked at: to stop takes 31 m at 9 m/s
STEP_S = 0.5                    # between two orders
THERE_M = 6.0                   # of the place where a patrol is taken up again
NO_WAY_S = 15.0                 # without a way round: it does not wait longer for him to walk off
OTHER_S = 90.0                  # but for another drone to get out of it, which circles him at 1 to 2 m/s

_log = logging.getLogger("trailwatch.fleet")


@dataclass(frozen=True, slots=True)
class Stop:
    """An item of a mission: its number, (2,) where, and its height above home."""

    seq: int
    at: Array
    height_m: float


def stops_of(items: Sequence[MissionItem], seq: int, first: Stop, frame: LocalFrame, home: GroundPosition) -> list[Stop]:
    """From `first` on: all items from this one on that have a place, the return to home with them."""
    stops = [first]
    for i in items:
        if i.seq >= max(1, seq) and i.command == RETURN_COMMAND:
            stops.append(Stop(i.seq, frame.point(home), stops[-1].height_m))
        elif i.seq >= max(1, seq) and i.command < PLACELESS and (i.lat_e7, i.lon_e7) != (0, 0):
            stops.append(Stop(i.seq, frame.point(GroundPosition(i.lat_e7 / 1e7, i.lon_e7 / 1e7)), i.height_m))
    return stops


@dataclass(frozen=True, slots=True)
class Rejoined:
    """Where a patrol is taken up again. seq: the item to which it then flies. left_out_m: of its way."""

    at: Array
    seq: int
    height_m: float
    left_out_m: float


def is_clear(a: Array, b: Array, contact: Array) -> bool:
    """Whether the straight way keeps CLEAR_M; or, where it begins nearer than that, leads away."""
    nearest = min(CLEAR_M, float(np.linalg.norm(a - contact)) - 0.5)
    way = LineString([a, b]) if not np.allclose(a, b) else Point(a)
    return bool(way.distance(Point(contact)) >= nearest)


def beyond(route: Sequence[Stop], contact: Array) -> Rejoined | None:
    """The first place of a route after its first stretch beside him; None where no such place is left.

    route: from where the patrol was left on. A turn beside him is one stretch with the way up to it and back.
    """
    done_m, was_beside, first_m = 0.0, False, 0.0
    for a, b in pairwise(route):
        length = float(np.linalg.norm(b.at - a.at))
        count = max(1, math.ceil(length / SAMPLE_M))
        for k in range(count + 1):
            at = a.at + (b.at - a.at) * k / count
            beside = bool(np.linalg.norm(at - contact) < CLEAR_M)
            if was_beside and not beside:
                left_out_m = done_m + length * k / count - first_m
                return Rejoined(at, b.seq, a.height_m + (b.height_m - a.height_m) * k / count, left_out_m)
            if beside and not was_beside:
                was_beside, first_m = True, done_m + length * k / count
        done_m += length
    if was_beside or not route:
        return None
    return Rejoined(route[-1].at, route[-1].seq, route[-1].height_m, 0.0)


def way_round(here: Array, to: Array, contact: Array, room: Room, others: Sequence[Array] = ()) -> list[Array] | None:
    """Places from here to there that keep CLEAR_M and the room, the last one `to`; None where there are none.

    others: where other drones are, of which no place is nearer than AWAY_M. One that circles him where this one comes from
    shuts the nearer circle on both sides, and is gone round on the wider one.
    """
    def may(a: Array, b: Array) -> bool:
        near = any(float(np.linalg.norm(b - o)) < AWAY_M for o in others)
        way = LineString([a, b]) if not np.allclose(a, b) else Point(a)
        return not near and bool(room.polygon.covers(way)) and is_clear(a, b, contact)

    def along(radius_m: float, step_deg: float) -> list[Array] | None:
        """On this circle to where the rest of the way is clear."""
        places, at = [], here
        for k in range(1, math.ceil(360.0 / STEP_DEG)):
            place = point_at(contact, bearing_to(contact, here) + k * step_deg, radius_m)
            if not may(at, place):
                return None
            places.append(place)
            at = place
            if may(at, to):
                return [*places, to]
        return None

    if may(here, to):
        return [to]
    for radius_m in (ROUND_M, WIDE_M):
        found = [way for step in (STEP_DEG, -STEP_DEG) if (way := along(radius_m, step)) is not None]
        if found:
            return min(found, key=lambda way: LineString([here, *way]).length)
    return None


def patience_s(here: Array, to: Array, contact: Array, room: Room) -> float:
    """How long it waits where there is no way round: longer when there is one but for other drones."""
    return NO_WAY_S if way_round(here, to, contact, room) is None else OTHER_S


@dataclass(slots=True)
class Passing:
    """One contact, for one drone, after its look. plan: of the look, by whose speed and checks it flies."""

    contact: str
    plan: Plan
    drone: Drone
    link: MessageLink
    room: Room
    terms: LookTerms

    def at(self) -> Array | None:
        """Where he is taken to be; None where nobody knows any more."""
        target = self.terms.targets.get(self.contact)
        if target is None or target.gone:
            return None
        now = estimate_of(target, self.terms.clock.utc_ns(), self.room.sector.frame.point)
        return None if now.seen_s >= UNSEEN_S else now.at

    def here(self) -> Array | None:
        return place_now(self.drone, self.room.sector.frame)

    def blocks(self, path: Sequence[Array], ahead_m: float = math.inf) -> bool:
        """Whether somewhere on the first ahead_m of this way it would come too near to him."""
        contact, left_m = self.at(), ahead_m
        if contact is None:
            return False
        for a, b in pairwise(path):
            length = float(np.linalg.norm(b - a))
            if left_m <= 0.0:
                return False
            end = b if length <= left_m else a + (b - a) * left_m / length
            if not is_clear(a, end, contact):
                return True
            left_m -= length
        return False


@dataclass(slots=True)
class Bypass:
    """An errand: round him, and back to the patrol or home. route: what is left of the patrol; None to go home.

    rejoined: where the patrol is to be taken up, once it is there; None at its end: home.
    """

    passing: Passing
    home: Array
    corridor: str
    route: Sequence[Stop] | None
    over: Said | None = None
    rejoined: Rejoined | None = None
    _begun: bool = field(default=False, init=False)
    _slowed: bool = field(default=False, init=False)
    _next_ns: int = field(default=0, init=False)
    _stuck_ns: int | None = field(default=None, init=False)

    def pause(self) -> None:
        self._begun = self._slowed = False

    def end(self, why: Said) -> None:
        self.over = self.over or why
        self.rejoined = None

    def finish(self, phase: TaskPhase, why: Said) -> None:
        del phase
        self.over = self.over or why

    def leaves(self) -> Passing | None:
        return self.passing

    def begins(self, why: Said | None) -> Said:
        """why: it has left him; None where it comes by him again."""
        told: Params = {"drone": self.passing.drone.name, "contact": self.passing.contact, "metres": round(CLEAR_M)}
        if why is None:
            return said("passing.round", **told)
        return said("passing.leaves" if self.route is not None else "passing.leaves_home", why=why, **told)

    async def step(self) -> None:
        p = self.passing
        now_ns = p.terms.clock.monotonic_ns()
        if now_ns < self._next_ns or self.over:
            return
        self._next_ns = now_ns + round(STEP_S * NS_PER_S)
        if not self._begun and not await self._begin():
            return
        here, contact = p.here(), p.at()
        if here is None:
            return
        to, height_m = self._goal(contact)
        if self._is_there(here, to, contact):
            return
        places = [to] if contact is None else way_round(here, to, contact, p.room, p.terms.others())
        now_m = p.drone.height_m.value if p.drone.height_m is not None else height_m
        if places is None and contact is not None:
            self._wait(now_ns, patience_s(here, to, contact, p.room))
            return
        if places is None or not check_place(p.plan, p.drone, p.room, p.terms, here, places[0], max(height_m, now_m)).passed:
            self._wait(now_ns, NO_WAY_S)
            return
        self._stuck_ns = None
        frame = p.room.sector.frame
        p.link.send(go_to(p.plan.system_id, frame.position(*(float(v) for v in places[0])), max(height_m, now_m)))
        if not self._slowed:
            speed = p.plan.waypoints[1].speed_m_s
            what = said("command.what.speed", speed_m_s=f"{speed:g}")
            self._slowed = (await command(p.link, p.drone, p.plan.system_id, 178, (1.0, speed, -1.0), what)).done

    async def _begin(self) -> bool:
        p = self.passing
        if p.drone.mode() != "GUIDED":
            outcome = await set_mode(p.link, p.drone, p.plan.system_id, "GUIDED")
            if not outcome.done:
                self.end(outcome.said)
                return False
        self._begun = True
        return True

    def _goal(self, contact: Array | None) -> tuple[Array, float]:
        """Where to: beyond him on the patrol, as he walks; or home."""
        if self.route is not None:
            self.rejoined = beyond(self.route, contact) if contact is not None else self.rejoined or _next(self.route)
            if self.rejoined is not None:
                return self.rejoined.at, self.rejoined.height_m
        return self.home, 0.0

    def _is_there(self, here: Array, to: Array, contact: Array | None) -> bool:
        p, names = self.passing, {"drone": self.passing.drone.name, "contact": self.passing.contact}
        if self.rejoined is not None:
            if float(np.linalg.norm(here - to)) < THERE_M:
                left_out_m = round(self.rejoined.left_out_m)
                self.over = said("passing.rejoined", corridor=self.corridor, metres=left_out_m, **names)
        elif contact is None or is_clear(here, self.home, contact):
            key = "passing.home" if self.route is None else "passing.nothing_beyond"
            self.over = said(key, **names, **({} if self.route is None else {"corridor": self.corridor}))
        if self.over is not None:
            _log.info("%s: %s", p.drone.name, self.over.sentence)
        return self.over is not None

    def _wait(self, now_ns: int, longest_s: float) -> None:
        self._stuck_ns = now_ns if self._stuck_ns is None else self._stuck_ns
        if now_ns - self._stuck_ns >= longest_s * NS_PER_S:
            self.end(said("passing.no_way", drone=self.passing.drone.name, contact=self.passing.contact))


def _next(route: Sequence[Stop]) -> Rejoined | None:
    """The patrol's next item, where nobody is known of any more."""
    return Rejoined(route[1].at, route[1].seq, route[1].height_m, 0.0) if len(route) > 1 else None
