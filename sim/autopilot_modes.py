"""Where each flight mode wants to go: from the aircraft's state to a wished velocity.

The modes are ArduCopter's. Guidance is a velocity towards a target that slows down in time, as its position controller
does; legs are flown straight, and a corner is taken at the speed that its angle allows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

from sim.autopilot_mission import Item
from sim.autopilot_parameters import Parameters
from sim.multirotor import VELOCITY_LOOP_1_S, FlatEarth, Multirotor

PATH_M_S2 = 1.3                 # along a leg, up to speed and down from it: what ArduCopter's 2.5 m/s2 with a jerk of 1 m/s3
                                # come to, measured over legs of 19 to 267 m in SITL
SETTLED_M = 0.5
TAKEN_OFF_M = 0.1               # of a take-off item's height
STOPPED_M = 0.5                 # where it is to stop, being within WPNAV_RADIUS is not yet being there
TAKEOFF_SPEED_M_S = 2.5
CORNER_LEAST_M_S = 1.0
CIRCLE_RADIUS_M = 10.0          # CIRCLE_RADIUS, where an item gives none
CIRCLE_RATE_DEG_S = 20.0        # CIRCLE_RATE
CIRCLE_M_S2 = 1.25              # half of WPNAV_ACCEL bounds the speed on a small circle (AC_Circle)
CLIMB_M_S2 = 1.0                # into a climb or a descent (WPNAV_ACCEL_Z)
ON_CIRCLE_M = 2.0


class Mode(IntEnum):
    """ArduCopter's numbers."""

    STABILIZE = 0
    ALT_HOLD = 2
    AUTO = 3
    GUIDED = 4
    LOITER = 5
    RTL = 6
    LAND = 9
    BRAKE = 17
    POSHOLD = 16


NEEDS_POSITION = frozenset({Mode.AUTO, Mode.GUIDED, Mode.LOITER, Mode.RTL, Mode.BRAKE, Mode.POSHOLD})
ARMABLE = frozenset({Mode.STABILIZE, Mode.ALT_HOLD, Mode.GUIDED, Mode.LOITER, Mode.POSHOLD})


@dataclass(frozen=True, slots=True)
class Wish:
    """east, north, up in m/s; yaw None keeps it."""

    east: float = 0.0
    north: float = 0.0
    up: float = 0.0
    yaw_deg: float | None = None


HOLD = Wish()


@dataclass(frozen=True, slots=True)
class Target:
    """Metres east, north, up."""

    east: float
    north: float
    up: float


def towards(
    body: Multirotor, target: Target, speed_m_s: float, p: Parameters, *, end_speed_m_s: float = 0.0, yaw: bool = True
) -> Wish:
    """Fly straight to a target, climbing or sinking on the way so that both are done together."""
    east, north = body.reported()
    de, dn, du = target.east - east, target.north - north, target.up - body.up_m
    distance = math.hypot(de, dn)
    along = (body.velocity_east_m_s * de + body.velocity_north_m_s * dn) / distance if distance > 1e-6 else 0.0
    speed = min(speed_m_s, _approach(distance, end_speed_m_s), max(0.0, along) + PATH_M_S2 / VELOCITY_LOOP_1_S)
    up = _vertical(du, p, body)
    if distance > SETTLED_M and abs(du) > 0.5 and speed > 0.1:
        # Not faster than the vertical limit lets both arrive together.
        needed_s = abs(du) / _vertical_limit(du, p)
        speed = min(speed, max(1.0, distance / needed_s))
        up = math.copysign(min(abs(up), abs(du) * speed / distance + 0.3), du)
    heading = math.degrees(math.atan2(de, dn)) % 360.0 if yaw and distance > 3.0 else None
    scale = speed / distance if distance > 1e-6 else 0.0
    return Wish(de * scale, dn * scale, up, heading)


def _at(middle: Target, radius_m: float, bearing_deg: float) -> Target:
    angle = math.radians(bearing_deg)
    return Target(middle.east + radius_m * math.sin(angle), middle.north + radius_m * math.cos(angle), middle.up)


def _approach(distance_m: float, end_speed_m_s: float) -> float:
    return max(math.sqrt(end_speed_m_s**2 + 2.0 * PATH_M_S2 * max(0.0, distance_m - 1.0)), min(distance_m, 1.4))


def _vertical_limit(du: float, p: Parameters) -> float:
    return (p["WPNAV_SPEED_UP"] if du > 0 else p["WPNAV_SPEED_DN"]) / 100.0


def _vertical(du: float, p: Parameters, body: Multirotor) -> float:
    """Into the climb and out of it as gently as ArduCopter's: it takes 2.5 s to 2.5 m/s."""
    limit, now, most = _vertical_limit(du, p), body.velocity_up_m_s, CLIMB_M_S2 / VELOCITY_LOOP_1_S
    wished = max(-limit, min(limit, du * 1.0))
    return min(wished, max(0.0, now) + most) if du > 0 else max(wished, min(0.0, now) - most)


def sink(body: Multirotor, p: Parameters, hold: Target | None) -> Wish:
    """Straight down: at WPNAV_SPEED_DN above LAND_ALT_LOW, at LAND_SPEED below it."""
    low = p["LAND_ALT_LOW"] / 100.0
    speed = p["LAND_SPEED"] / 100.0 if body.up_m < low else p["WPNAV_SPEED_DN"] / 100.0
    if hold is None:
        wind = body.wind.velocity()     # without a position nothing holds against the wind
        return Wish(wind[0] * 0.5, wind[1] * 0.5, -speed)
    level = towards(body, Target(hold.east, hold.north, body.up_m), 2.0, p, yaw=False)
    return Wish(level.east, level.north, -speed)


class ReturnHome:
    """RTL: climb if low, fly home, wait, land. One instance a return."""

    def __init__(self, body: Multirotor, home: Target, p: Parameters) -> None:
        self._home = home
        self._start = Target(*body.reported(), max(body.up_m, home.up + p["RTL_ALT"] / 100.0))
        self._stage = "climb"
        self._waiting_s = 0.0

    def landing(self) -> bool:
        return self._stage == "land"

    def step(self, body: Multirotor, p: Parameters, dt_s: float) -> Wish:
        level = self._start.up
        if self._stage == "climb":
            if body.up_m >= level - SETTLED_M:
                self._stage = "home"
            return towards(body, self._start, 2.0, p, yaw=False)
        if self._stage == "home":
            target = Target(self._home.east, self._home.north, level)
            east, north = body.reported()
            if math.hypot(target.east - east, target.north - north) < 1.0 and body.ground_speed_m_s() < 1.0:
                self._stage = "wait"
            return towards(body, target, p["WPNAV_SPEED"] / 100.0, p)
        if self._stage == "wait":
            self._waiting_s += dt_s
            if self._waiting_s >= p["RTL_LOIT_TIME"] / 1000.0:
                self._stage = "land"
            return towards(body, Target(self._home.east, self._home.north, level), 2.0, p, yaw=False)
        return sink(body, p, self._home)


class MissionFlight:
    """AUTO: works through the items. `current` is what MISSION_CURRENT says; done items are handed to `reached`."""

    def __init__(self, items: list[Item], earth: FlatEarth, home: Target, home_msl_m: float, start: int) -> None:
        self._items = items
        self._earth = earth
        self._home = home
        self._home_msl_m = home_msl_m
        self.current = max(1, start)
        self.finished = False
        self.speed_m_s: float | None = None
        self.rate_of_jump: dict[int, int] = {}
        self._entered = -1
        self._waiting_s = 0.0
        self._return: ReturnHome | None = None
        self._land_at: Target | None = None
        self._hold: Target | None = None
        self._bearing_deg: float | None = None      # from the middle of a circle, once it is flown
        self._turned_deg = 0.0

    def landing(self) -> bool:
        return self._land_at is not None or (self._return is not None and self._return.landing())

    def jump_to(self, seq: int) -> None:
        self.current = seq
        self.finished = False
        self._entered = -1

    def target_of(self, item: Item, body: Multirotor) -> Target:
        """Where an item lies; zero latitude and longitude mean here, as in ArduPilot."""
        if item.x == 0 and item.y == 0:
            east, north = self._hold_point(body)
        else:
            east, north = self._earth.to_local(item.lat_deg(), item.lon_deg())
        up = item.z - self._home_msl_m if item.frame in (0, 5) else item.z
        return Target(east, north, self._home.up + up if item.frame not in (0, 5) else up + self._home.up)

    def step(self, body: Multirotor, p: Parameters, dt_s: float, reached: list[int]) -> Wish:
        """One step. What was completed in it is appended to `reached`: one navigation item at most, and DO items."""
        arrived = False
        for _ in range(16):      # DO items take no time; the bound stops a jump that runs in a circle
            if self.finished or self.current >= len(self._items):
                self.finished = True
                self._hold = self._hold or Target(*body.reported(), body.up_m)
                return towards(body, self._hold, 2.0, p, yaw=False)
            item = self._items[self.current]
            if self._entered != self.current:
                self._enter(item, body, p)
            if self._do(item):
                reached.append(item.seq)
                continue
            wish, done = self._navigate(item, body, p, dt_s)
            if not done or arrived:
                return wish
            arrived = True
            reached.append(self.current)
            if self.current + 1 >= len(self._items):
                self.finished = True
            else:
                self.current += 1
        return HOLD

    def _enter(self, item: Item, body: Multirotor, p: Parameters) -> None:
        self._entered = self.current
        self._waiting_s = 0.0
        self._hold = Target(*body.reported(), body.up_m)
        self._return = ReturnHome(body, self._home, p) if item.command == 20 else None
        self._bearing_deg, self._turned_deg = None, 0.0
        self._land_at = None

    def _do(self, item: Item) -> bool:
        """Carry out an item that is no navigation; True when it was one."""
        if item.command == 177:
            done = self.rate_of_jump.get(item.seq, 0)
            if item.p2 < 0 or done < item.p2:
                self.rate_of_jump[item.seq] = done + 1
                self.current = int(item.p1)
            else:
                self.current += 1
            return True
        if item.command >= 100 or item.command in (95,):
            if item.command == 178 and item.p2 > 0:
                self.speed_m_s = item.p2
            self.current += 1
            return True
        return False

    def _navigate(self, item: Item, body: Multirotor, p: Parameters, dt_s: float) -> tuple[Wish, bool]:
        speed = self.speed_m_s or p["WPNAV_SPEED"] / 100.0
        if item.command == 20 and self._return is not None:
            return self._return.step(body, p, dt_s), False
        target = self.target_of(item, body)
        if item.command == 22:
            hold = self._hold or target
            up = max(target.up, hold.up)
            return towards(body, Target(hold.east, hold.north, up), 2.0, p, yaw=False), body.up_m >= up - TAKEN_OFF_M
        if item.command == 21:
            return self._land(target, body, p, speed), False
        if item.command == 18:
            return self._circle(item, target, body, p)
        waits_s = item.p1 if item.command in (16, 19, 93) else 0.0
        radius = STOPPED_M if waits_s > 0 else p["WPNAV_RADIUS"] / 100.0
        east, north = body.reported()
        distance = math.hypot(target.east - east, target.north - north)
        here = distance < radius and abs(target.up - body.up_m) < 1.0
        if here:
            self._waiting_s += dt_s
        if item.command == 17:
            return towards(body, target, speed, p), False
        end = 0.0 if waits_s > 0 else self._corner_speed(item, target, body, speed)
        return towards(body, target, speed, p, end_speed_m_s=end), here and self._waiting_s >= waits_s

    def _circle(
        self, item: Item, middle: Target, body: Multirotor, p: Parameters
    ) -> tuple[Wish, bool]:
        """LOITER_TURNS: to the nearest place on the circle, then round it, facing its middle."""
        radius = abs(item.p3) or CIRCLE_RADIUS_M
        east, north = body.reported()
        de, dn = east - middle.east, north - middle.north
        bearing = math.degrees(math.atan2(de, dn)) % 360.0
        if self._bearing_deg is None:
            edge = _at(middle, radius, bearing)
            if math.hypot(edge.east - east, edge.north - north) > ON_CIRCLE_M or abs(middle.up - body.up_m) > 1.0:
                return towards(body, edge, self.speed_m_s or p["WPNAV_SPEED"] / 100.0, p), False
            self._bearing_deg = bearing
        speed = min(math.radians(CIRCLE_RATE_DEG_S) * radius, math.sqrt(CIRCLE_M_S2 * radius))
        way = -1.0 if item.p3 < 0 else 1.0
        moved_deg = (bearing - self._bearing_deg + 180.0) % 360.0 - 180.0
        self._turned_deg += way * moved_deg
        self._bearing_deg = bearing
        # Ahead by what the velocity loop lags, or the circle would be a spiral outwards.
        ahead = math.radians(bearing) + way * (math.pi / 2.0 + speed / radius / VELOCITY_LOOP_1_S)
        out = math.radians(bearing)
        mend = radius - math.hypot(de, dn)
        wish = Wish(
            speed * math.sin(ahead) + mend * math.sin(out), speed * math.cos(ahead) + mend * math.cos(out),
            _vertical(middle.up - body.up_m, p, body), (bearing + 180.0) % 360.0,
        )
        return wish, self._turned_deg >= 360.0 * item.p1

    def _land(self, target: Target, body: Multirotor, p: Parameters, speed: float) -> Wish:
        east, north = body.reported()
        level = Target(target.east, target.north, max(body.up_m, 5.0))
        if self._land_at is None and math.hypot(target.east - east, target.north - north) < 1.0:
            self._land_at = target
        return sink(body, p, self._land_at) if self._land_at else towards(body, level, speed, p)

    def _corner_speed(self, item: Item, target: Target, body: Multirotor, speed: float) -> float:
        """How fast the next leg lets this corner be taken: all of the speed straight on, almost none turning back."""
        following = next((i for i in self._items[item.seq + 1 :] if i.command < 100), None)
        if following is None or following.command not in (16, 19):
            return 0.0
        after = self.target_of(following, body)
        here = self._hold or target
        before = math.atan2(target.east - here.east, target.north - here.north)
        then = math.atan2(after.east - target.east, after.north - target.north)
        cosine = math.cos(then - before)
        return max(CORNER_LEAST_M_S, speed * max(0.0, cosine) ** 2)

    def _hold_point(self, body: Multirotor) -> tuple[float, float]:
        return (self._hold.east, self._hold.north) if self._hold else body.reported()
