"""The physics of a small multirotor: a point mass that is asked for a velocity and gives what wind and limits allow.

Everything is in metres east, north, up from where it was put down, and seconds. Same seed and same steps, same flight.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field

GRAVITY_M_S2 = 9.80665
GUST_TIME_S = 4.0               # correlation time of gusts; Dryden's at 30 m height and 8 m/s is of this order
NOISE_TIME_S = 20.0             # of what a position estimate wanders in: a GNSS receiver's, and so an attitude's too
VELOCITY_LOOP_1_S = 2.5         # 1/s: the velocity loop closes in about 0.4 s
CELL_FULL_V, CELL_EMPTY_V = 4.2, 3.3
RADIUS_EQUATOR_M, ECCENTRICITY_SQUARED = 6_378_137.0, 6.69437999014e-3


@dataclass(frozen=True, slots=True)
class MultirotorLimits:
    """What the airframe can do. max_airspeed_m_s bounds the ground speed against the wind, as the lean angle does."""

    acceleration_m_s2: float = 3.5
    vertical_acceleration_m_s2: float = 2.5
    max_airspeed_m_s: float = 10.2      # of ArduPilot's default quadrotor in SITL at 30 degrees of lean (observed)
    yaw_rate_deg_s: float = 60.0
    mass_kg: float = 2.5
    hover_power_w: float = 320.0
    drag_w_per_m3_s3: float = 0.045
    idle_power_w: float = 8.0


@dataclass(slots=True)
class Wind:
    """Mean wind and a first-order Gauss-Markov gust on top. from_deg is where it comes from, as on a weather report."""

    speed_m_s: float
    from_deg: float
    gust_m_s: float
    gust_east_m_s: float = 0.0
    gust_north_m_s: float = 0.0

    def step(self, dt_s: float, chance: random.Random) -> None:
        keep = math.exp(-dt_s / GUST_TIME_S)
        spread = self.gust_m_s * math.sqrt(1.0 - keep * keep)
        self.gust_east_m_s = self.gust_east_m_s * keep + spread * chance.gauss(0.0, 1.0)
        self.gust_north_m_s = self.gust_north_m_s * keep + spread * chance.gauss(0.0, 1.0)

    def velocity(self) -> tuple[float, float]:
        """Velocity of the air, east and north."""
        toward = math.radians(self.from_deg + 180.0)
        return (
            self.speed_m_s * math.sin(toward) + self.gust_east_m_s,
            self.speed_m_s * math.cos(toward) + self.gust_north_m_s,
        )


@dataclass(slots=True)
class Battery:
    """Charge, and a voltage that sags with it and with the current."""

    capacity_mah: float
    cells: int
    used_mah: float = 0.0
    current_a: float = 0.0
    resistance_ohm: float = 0.02

    def step(self, power_w: float, dt_s: float) -> None:
        self.current_a = power_w / max(self.open_voltage_v(), 1.0)
        self.used_mah = min(self.capacity_mah, self.used_mah + self.current_a * dt_s / 3.6)

    def remaining(self) -> float:
        return 1.0 - self.used_mah / self.capacity_mah

    def open_voltage_v(self) -> float:
        return self.cells * (CELL_EMPTY_V + (CELL_FULL_V - CELL_EMPTY_V) * self.remaining())

    def voltage_v(self) -> float:
        return self.open_voltage_v() - self.current_a * self.resistance_ohm


@dataclass(slots=True)
class Multirotor:
    """State of the aircraft; step() moves it.

    noise_m: one sigma of the wander of the reported position, on each horizontal axis. height_noise_m, lean_noise_deg (of
    roll and of pitch), yaw_noise_deg: likewise of what else it reports of itself; it flies by the true ones.
    """

    limits: MultirotorLimits
    wind: Wind
    battery: Battery
    noise_m: float
    chance: random.Random
    east_m: float = 0.0
    north_m: float = 0.0
    up_m: float = 0.0
    velocity_east_m_s: float = 0.0
    velocity_north_m_s: float = 0.0
    velocity_up_m_s: float = 0.0
    yaw_deg: float = 0.0
    roll_deg: float = 0.0
    pitch_deg: float = 0.0
    yaw_rate_deg_s: float = 0.0
    on_ground: bool = True
    height_noise_m: float = 0.0
    lean_noise_deg: float = 0.0
    yaw_noise_deg: float = 0.0
    _wander: list[float] = field(default_factory=lambda: [0.0] * 6)     # east, north, up; roll, pitch, yaw

    def step(
        self, dt_s: float, wish: tuple[float, float, float], yaw_wish_deg: float | None, *, motors: bool
    ) -> None:
        """Advance by dt_s towards the wished velocity (east, north, up) and yaw. With the motors off it falls."""
        self.wind.step(dt_s, self.chance)
        self._step_noise(dt_s)
        if not motors and self.on_ground:
            self.battery.step(self.limits.idle_power_w, dt_s)
            return
        wind_east, wind_north = self.wind.velocity()
        if motors:
            acceleration = self._accelerate(dt_s, wish, wind_east, wind_north)
            self._turn(dt_s, yaw_wish_deg)
        else:
            self.velocity_up_m_s = max(-25.0, self.velocity_up_m_s - GRAVITY_M_S2 * dt_s)
            acceleration = (0.0, 0.0)
        self.east_m += self.velocity_east_m_s * dt_s
        self.north_m += self.velocity_north_m_s * dt_s
        self.up_m += self.velocity_up_m_s * dt_s
        self._touch_ground(wish, motors=motors)
        self._lean(acceleration, wind_east, wind_north)
        self.battery.step(self._power_w(wind_east, wind_north) if motors else self.limits.idle_power_w, dt_s)

    def reported(self) -> tuple[float, float]:
        """East, north as the position estimate has it."""
        return self.east_m + self._wander[0], self.north_m + self._wander[1]

    def reported_up_m(self) -> float:
        return self.up_m + self._wander[2]

    def reported_attitude_deg(self) -> tuple[float, float, float]:
        """Roll, pitch, yaw as the attitude estimate has them."""
        roll, pitch, yaw = self._wander[3:]
        return self.roll_deg + roll, self.pitch_deg + pitch, self.yaw_deg + yaw

    def ground_speed_m_s(self) -> float:
        return math.hypot(self.velocity_east_m_s, self.velocity_north_m_s)

    def _accelerate(
        self, dt_s: float, wish: tuple[float, float, float], wind_east: float, wind_north: float
    ) -> tuple[float, float]:
        east, north, up = wish
        air_east, air_north = east - wind_east, north - wind_north
        airspeed = math.hypot(air_east, air_north)
        if airspeed > self.limits.max_airspeed_m_s:
            east, north = _within_airspeed(east, north, wind_east, wind_north, self.limits.max_airspeed_m_s)
        ae = (east - self.velocity_east_m_s) * VELOCITY_LOOP_1_S
        an = (north - self.velocity_north_m_s) * VELOCITY_LOOP_1_S
        size = math.hypot(ae, an)
        if size > self.limits.acceleration_m_s2:
            ae, an = ae * self.limits.acceleration_m_s2 / size, an * self.limits.acceleration_m_s2 / size
        most = self.limits.vertical_acceleration_m_s2
        au = max(-most, min(most, (up - self.velocity_up_m_s) * VELOCITY_LOOP_1_S))
        self.velocity_east_m_s += ae * dt_s
        self.velocity_north_m_s += an * dt_s
        self.velocity_up_m_s += au * dt_s
        return ae, an

    def _turn(self, dt_s: float, yaw_wish_deg: float | None) -> None:
        if yaw_wish_deg is None or self.on_ground:
            self.yaw_rate_deg_s = 0.0
            return
        error = (yaw_wish_deg - self.yaw_deg + 180.0) % 360.0 - 180.0
        most = self.limits.yaw_rate_deg_s
        self.yaw_rate_deg_s = max(-most, min(most, error * 2.0))
        self.yaw_deg = (self.yaw_deg + self.yaw_rate_deg_s * dt_s) % 360.0

    def _touch_ground(self, wish: tuple[float, float, float], *, motors: bool) -> None:
        if self.up_m <= 0.0:
            self.up_m = 0.0
            self.on_ground = not (motors and wish[2] > 0.0)
            self.velocity_up_m_s = max(0.0, self.velocity_up_m_s)
            if self.on_ground:
                self.velocity_east_m_s = self.velocity_north_m_s = 0.0
        else:
            self.on_ground = False

    def _lean(self, acceleration: tuple[float, float], wind_east: float, wind_north: float) -> None:
        """Roll and pitch that the horizontal acceleration and the drag ask for (small-angle split in body axes)."""
        if self.on_ground:
            self.roll_deg = self.pitch_deg = 0.0
            return
        drag = 0.054    # 1/m: g tan 30 deg at the greatest airspeed
        air_east, air_north = self.velocity_east_m_s - wind_east, self.velocity_north_m_s - wind_north
        airspeed = math.hypot(air_east, air_north)
        push_east = acceleration[0] + drag * airspeed * air_east
        push_north = acceleration[1] + drag * airspeed * air_north
        yaw = math.radians(self.yaw_deg)
        forward = push_north * math.cos(yaw) + push_east * math.sin(yaw)
        right = push_east * math.cos(yaw) - push_north * math.sin(yaw)
        self.pitch_deg = -math.degrees(math.atan2(forward, GRAVITY_M_S2))
        self.roll_deg = math.degrees(math.atan2(right, GRAVITY_M_S2))

    def _power_w(self, wind_east: float, wind_north: float) -> float:
        airspeed = math.hypot(self.velocity_east_m_s - wind_east, self.velocity_north_m_s - wind_north)
        climb = max(0.0, self.velocity_up_m_s) * self.limits.mass_kg * GRAVITY_M_S2
        return self.limits.hover_power_w + self.limits.drag_w_per_m3_s3 * airspeed**3 + climb

    def _step_noise(self, dt_s: float) -> None:
        keep = math.exp(-dt_s / NOISE_TIME_S)
        spread = math.sqrt(1.0 - keep * keep)
        lean = self.lean_noise_deg
        for i, sigma in enumerate((self.noise_m, self.noise_m, self.height_noise_m, lean, lean, self.yaw_noise_deg)):
            # What does not wander draws nothing: a flight without these errors stays the one that it was.
            if i < 2 or sigma > 0.0:
                self._wander[i] = self._wander[i] * keep + sigma * spread * self.chance.gauss(0.0, 1.0)


def _within_airspeed(
    east: float, north: float, wind_east: float, wind_north: float, most: float
) -> tuple[float, float]:
    """The fastest ground velocity along the wished track that `most` airspeed can hold against the wind.

    Solves |s u - w| = most for the speed s along the unit track u; where the wind is too strong across the track, the air
    velocity is cut to `most` and the aircraft drifts.
    """
    size = math.hypot(east, north)
    if size > 1e-6:
        ue, un = east / size, north / size
        along = wind_east * ue + wind_north * un
        across_squared = wind_east**2 + wind_north**2 - along**2
        root = most**2 - across_squared
        if root >= 0.0 and along + math.sqrt(root) > 0.0:
            speed = min(size, along + math.sqrt(root))
            return ue * speed, un * speed
    air_east, air_north = east - wind_east, north - wind_north
    airspeed = math.hypot(air_east, air_north)
    return wind_east + air_east * most / airspeed, wind_north + air_north * most / airspeed


@dataclass(frozen=True, slots=True)
class FlatEarth:
    """Degrees to metres round one point with its two radii of curvature, as a flight controller does it.

    Scalar and cheap; 2 km away the error is about 0.1 m (geofences.geodesy is exact).
    """

    lat_deg: float
    lon_deg: float

    def _metres_per_degree(self) -> tuple[float, float]:
        sine = math.sin(math.radians(self.lat_deg))
        w2 = 1.0 - ECCENTRICITY_SQUARED * sine * sine
        meridian = RADIUS_EQUATOR_M * (1.0 - ECCENTRICITY_SQUARED) / w2**1.5
        parallel = RADIUS_EQUATOR_M / math.sqrt(w2) * math.cos(math.radians(self.lat_deg))
        return math.radians(1.0) * meridian, math.radians(1.0) * parallel

    def to_local(self, lat_deg: float, lon_deg: float) -> tuple[float, float]:
        north, east = self._metres_per_degree()
        return (lon_deg - self.lon_deg) * east, (lat_deg - self.lat_deg) * north

    def to_degrees(self, east_m: float, north_m: float) -> tuple[float, float]:
        north, east = self._metres_per_degree()
        return self.lat_deg + north_m / north, self.lon_deg + east_m / east
