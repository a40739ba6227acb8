"""Who keeps watch over one sortie: reads the drone's state, asks the watch each second, and teaches the energy model."""

from __future__ import annotations

import asyncio
import math

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.airspace_traffic import Aircraft, aircraft_of
from fleet.airspace_watch import Seen, Verdict, Watch
from fleet.checker import CheckLimits
from fleet.drone import Drone
from fleet.energy import EnergyLearner
from fleet.wind import Wind
from geofences.geodesy import LocalFrame
from geofences.sector import Sector
from mavlink.ardupilot import set_interval
from mavlink.link import MessageLink
from wire.clock import NS_PER_S, Clock
from wire.flying import Plan

EVERY_S = 1.0
WIND_OVER_S = 10.0              # over which what a drone measures of the wind is averaged: gusts are in the plan already
FORGET_S = 60.0                 # an aircraft that was not heard for so long
ASK_AGAIN_S = 30.0              # for the transponders that it hears; a reboot forgets it
AUTOPILOT = int(mavlink.MAV_COMP_ID_AUTOPILOT1)


class TrafficPicture:
    """The aircraft that a drone's receiver hears. listen() runs until it is cancelled."""

    def __init__(self, frame: LocalFrame, clock: Clock) -> None:
        self._frame, self._clock = frame, clock
        self._heard: dict[str, Aircraft] = {}

    def now(self) -> tuple[Aircraft, ...]:
        since_ns = self._clock.monotonic_ns() - round(FORGET_S * NS_PER_S)
        self._heard = {k: a for k, a in self._heard.items() if a.heard_ns >= since_ns}
        return tuple(self._heard.values())

    async def listen(self, link: MessageLink, drone: Drone) -> None:
        asked_ns = 0
        with link.subscribe(("ADSB_VEHICLE",)) as heard:
            while True:
                now_ns = self._clock.monotonic_ns()
                if drone.identity is not None and now_ns - asked_ns >= ASK_AGAIN_S * NS_PER_S:
                    # Not waited for: a drone without a receiver denies it, and needs no other treatment.
                    link.send(set_interval(drone.identity.system_id, AUTOPILOT, mavlink.MAVLINK_MSG_ID_ADSB_VEHICLE, 1.0))
                    asked_ns = now_ns
                message = await heard.get(1.0)
                if message is None:
                    continue
                aircraft = aircraft_of(message, self._frame, self._clock.monotonic_ns())
                if aircraft is not None:
                    self._heard[aircraft.name] = aircraft
                await asyncio.sleep(0)


class Lookout:
    """Of one sortie. look() as often as it likes: it answers once a second, in the air, where the position is fresh."""

    def __init__(
        self, plan: Plan, sector: Sector, limits: CheckLimits, drone: Drone, clock: Clock, learner: EnergyLearner | None,
        traffic: TrafficPicture | None,
    ) -> None:
        self._watch = Watch(plan, sector, limits)
        self._planned = limits.wind
        self._drone, self._clock, self._learner, self._traffic = drone, clock, learner, traffic
        self._next_ns = 0
        self._wind_m_s: float | None = None
        self._wind_at_ns = 0

    def look(self) -> Verdict | None:
        drone, now_ns = self._drone, self._clock.monotonic_ns()
        position, height = drone.fresh(drone.position), drone.fresh(drone.height_m)
        if not drone.airborne() or position is None or height is None:
            return None
        percent = drone.fresh(drone.battery_percent)
        speed = drone.fresh(drone.ground_speed_m_s) or 0.0
        self._learn(percent, height, speed)
        if now_ns < self._next_ns:
            return None
        self._next_ns = now_ns + round(EVERY_S * NS_PER_S)
        self._watch.wind = self._wind()
        seen = Seen(position, speed, height, percent, self._clock.utc_ns(), now_ns)
        return self._watch.look(seen, self._traffic.now() if self._traffic is not None else ())

    def home_percent(self, percent: float) -> float | None:
        """What the way home from where it is takes of its battery, to be sure; None where it does not say where that is."""
        drone = self._drone
        position, height = drone.fresh(drone.position), drone.fresh(drone.height_m)
        return self._watch.home_percent(position, height, percent) if position is not None and height is not None else None

    def _learn(self, percent: float | None, height_m: float, speed_m_s: float) -> None:
        """By the drone's own time: a simulated one may run faster than ours."""
        boot_ms = self._drone.boot_ms
        if self._learner is None or percent is None or boot_ms is None:
            return
        # The direction of the wind against the drone's is not known well enough; over a flight out and back it evens out.
        airspeed = math.hypot(speed_m_s, self._watch.wind.speed_m_s)
        self._learner.see(boot_ms.value / 1e3, percent, height_m, airspeed)
        self._watch.energy = self._learner.model

    def _wind(self) -> Wind:
        """As planned for; where the drone measures more, that."""
        heard = self._drone.wind
        if heard is not None and heard.at_ns != self._wind_at_ns and self._drone.fresh(heard) is not None:
            speed = heard.value[0]
            gap_s = (heard.at_ns - self._wind_at_ns) / NS_PER_S
            keep = math.exp(-gap_s / WIND_OVER_S) if self._wind_m_s is not None else 0.0
            self._wind_m_s = keep * (self._wind_m_s or 0.0) + (1.0 - keep) * speed
            self._wind_at_ns = heard.at_ns
        if self._wind_m_s is None or self._wind_m_s <= self._planned.speed_m_s:
            return self._planned
        return Wind(self._wind_m_s, self._planned.gust_m_s, None, assumed=False)
