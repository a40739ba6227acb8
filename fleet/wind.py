"""The wind that a plan is made for, and how far from the border line it makes a drone stay.

A multirotor that has lost its position levels out and lands where the air takes it: at the speed of the wind, for as long as
it takes to notice and to come down. That way is the buffer; what the drone's own speed adds to it stands beside it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from wire.flying import Buffer

DETECTION_S = 8.0               # ArduCopter's EKF failsafe lands 8 s after the last fix (observed)
FAST_DOWN_M_S = 1.5             # WPNAV_SPEED_DN, in LAND above LAND_ALT_LOW
SLOW_DOWN_M_S = 0.5             # LAND_SPEED, below it
SLOW_BELOW_M = 10.0             # LAND_ALT_LOW
SETTLE_S = 2.0                  # from level flight into the descent, and on the ground until the motors stop
GUST_TIME_S = 4.0               # correlation time of gusts; Dryden's (MIL-F-8785C) at 30 m and 8 m/s is of this order
GUST_SIGMAS = 3.0
PROGRESS_SIGMAS = 2.0           # for coming home a strong gust costs time, and not the border
PROGRESS_OVER_S = 60.0
PROGRESS_M_S = 1.5              # against the wind, the least that still comes home
DRAG_1_M = 0.054                # of ArduPilot's default copter: g tan 30 degrees at 10.2 m/s
BRAKING_M_S2 = 1.3              # as measured on an ArduCopter in AUTO
CORNER_M_S = 1.0                # the least speed at which it rounds a corner
REACTION_S = 1.5                # one second between two looks of the watch in the air, and half for the command
POSITION_MARGIN_M = 5.0         # three sigma of a GNSS position without corrections, along one direction
GRAVITY_M_S2 = 9.80665


@dataclass(frozen=True, slots=True)
class Wind:
    """At the height of the patrol. speed_m_s: mean. gust_m_s: one sigma on top. from_deg: None where that is not known.

    assumed: nobody has measured or forecast it. A live launch is refused on an assumed wind.
    """

    speed_m_s: float = 2.5
    gust_m_s: float = 0.8
    from_deg: float | None = None
    assumed: bool = True

    def over_m_s(self, seconds: float, sigmas: float = GUST_SIGMAS) -> float:
        """The mean over a stretch of time that the wind's own mean over that stretch exceeds only by `sigmas`."""
        return self.speed_m_s + sigmas * self.gust_m_s * _averaged(seconds)

    def velocity(self) -> tuple[float, float] | None:
        """Of the air, east and north; None where the direction is not known."""
        if self.from_deg is None:
            return None
        toward = math.radians(self.from_deg + 180.0)
        return self.speed_m_s * math.sin(toward), self.speed_m_s * math.cos(toward)


# Where nobody says anything: a light breeze by day.
ASSUMED = Wind()


def _averaged(seconds: float) -> float:
    """Sigma of the mean of a first-order Gauss-Markov process over a stretch of time, as a share of its own sigma."""
    x = max(seconds, 1e-6) / GUST_TIME_S
    # The series where the difference below has lost its digits.
    return math.sqrt(2.0 / x**2 * (x - 1.0 + math.exp(-x))) if x > 1e-3 else 1.0


def descent_s(height_agl_m: float) -> float:
    """From level flight to the ground in LAND."""
    fast_m = max(0.0, height_agl_m - SLOW_BELOW_M)
    return SETTLE_S + fast_m / FAST_DOWN_M_S + min(max(0.0, height_agl_m), SLOW_BELOW_M) / SLOW_DOWN_M_S


def coast_m(speed_m_s: float, seconds: float) -> float:
    """How far a level copter still comes through the air against its own drag."""
    return math.log1p(DRAG_1_M * max(0.0, speed_m_s) * seconds) / DRAG_1_M


@lru_cache(maxsize=1024)
def overshoot_m(speed_m_s: float, seconds: float) -> float:
    """How far beyond the end of a leg it can coast when its position is lost at the worst place before that end."""
    longest_m = speed_m_s**2 / (2.0 * BRAKING_M_S2)
    steps = [longest_m * i / 40.0 for i in range(41)]
    speeds = [min(speed_m_s, math.sqrt(CORNER_M_S**2 + 2.0 * BRAKING_M_S2 * d)) for d in steps]
    return max(coast_m(v, seconds) - d for v, d in zip(speeds, steps, strict=True))


def drift_m(wind: Wind, height_agl_m: float, speed_m_s: float) -> float:
    """Where wind carries it until it is down, or where it falls with its motors stopped, whichever is farther."""
    lost_s = DETECTION_S + descent_s(height_agl_m)
    fall_s = math.sqrt(2.0 * max(0.0, height_agl_m) / GRAVITY_M_S2)
    return max(wind.over_m_s(lost_s) * lost_s, (wind.over_m_s(fall_s) + speed_m_s) * fall_s)


def demanded_buffer(wind: Wind, height_agl_m: float, speed_m_s: float, configured_m: float) -> Buffer:
    """The least distance from the border line at this height above the ground and this speed."""
    down_s = descent_s(height_agl_m)
    lost_s = DETECTION_S + down_s
    drift = drift_m(wind, height_agl_m, speed_m_s)
    reaction = speed_m_s * REACTION_S + overshoot_m(speed_m_s, lost_s)
    return Buffer(
        total_m=max(configured_m, drift + reaction + POSITION_MARGIN_M),
        wind_m_s=wind.over_m_s(lost_s),
        detection_s=DETECTION_S,
        descent_s=down_s,
        drift_m=drift,
        reaction_m=reaction,
        margin_m=POSITION_MARGIN_M,
        configured_m=configured_m,
    )


def needed_now_m(wind: Wind, height_agl_m: float, toward_line_m_s: float) -> float:
    """What a drone in the air must still have before it: less than a plan has to keep, by what its speed no longer asks.

    A plan that keeps demanded_buffer() and is flown as planned never comes to this, less the reaction time at its speed.
    """
    lost_s = DETECTION_S + descent_s(height_agl_m)
    speed = max(0.0, toward_line_m_s)
    return drift_m(wind, height_agl_m, speed) + coast_m(speed, lost_s) + POSITION_MARGIN_M


def too_strong(wind: Wind, airspeed_m_s: float) -> bool:
    """Whether a drone of this greatest airspeed cannot be relied on to come home against it."""
    return wind.over_m_s(PROGRESS_OVER_S, PROGRESS_SIGMAS) + PROGRESS_M_S > airspeed_m_s


def ground_speed_m_s(
    wish_m_s: float, direction: tuple[float, float], wind: Wind, airspeed_m_s: float, *, sigmas: float = 0.0
) -> float:
    """Along a track (unit vector), with the nose into what wind there is; against all of it where its direction is unknown.

    0 where the wind is stronger than the drone.
    """
    strength = wind.over_m_s(PROGRESS_OVER_S, sigmas)
    if wind.from_deg is None:
        return max(0.0, min(wish_m_s, airspeed_m_s - strength))
    toward = math.radians(wind.from_deg + 180.0)
    east, north = strength * math.sin(toward), strength * math.cos(toward)
    along = east * direction[0] + north * direction[1]
    root = airspeed_m_s**2 - (east * east + north * north - along * along)
    return max(0.0, min(wish_m_s, along + math.sqrt(root))) if root >= 0.0 else 0.0
