"""The simulated world as a process: it steps against a clock, publishes Moments, hears of drones, and writes the truth.

Only ever training: its messages carry that in their topic, and it publishes on this machine alone. It runs LEAD_S ahead of
the clock, so that whoever takes a picture now finds the Moments on both sides of it.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from pathlib import Path

import msgspec
import zmq

from geofences.sector import load_sector
from sim.landscape_cache import cached_landscape
from sim.moments import encode_moment
from sim.sky import Weather
from sim.truth_log import TruthLog
from sim.world import World
from sim.world_feed import TOPIC, DronePlaceMessage, loopback
from sim.world_orders import Pace, Split, TurnWeather, decode_order, weather_of
from sim.world_scenario import Scenario, load_scenario
from sim.world_state import Landscape, Moment
from wire.clock import NS_PER_S, Clock, WallClock
from wire.process import log_to_stderr, stop_on_signals
from wire.settings import SettingsError, load_settings, refuse

PUBLISH_EVERY_S = 0.1
LEAD_S = 0.3
SPEED_MOST = 50.0
BEHIND_LIMIT_S = 2.0            # a machine that was asleep for longer does not live through the time it missed

_log = logging.getLogger("trailwatch.world")


class WorldProcessSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """sector, scenario: files. endpoint: where Moments are published; drones: where drones tell their place.

    truth: the database of what really was, empty for none. speed: simulated seconds a second. orders: where the direction
    of an exercise tells it something (sim.world_orders), empty for nowhere.
    """

    sector: str
    scenario: str
    endpoint: str
    drones: str
    truth: str = ""
    speed: float = 1.0
    orders: str = ""


class WorldServer:
    """A world at its sockets. began: on the clock's monotonic count, when its time was zero."""

    def __init__(
        self, scenario: Scenario, landscape: Landscape, settings: WorldProcessSettings, truth: TruthLog | None, clock: Clock
    ) -> None:
        self._clock = clock
        self._speed = settings.speed
        self._truth = truth
        self.world = World(scenario, landscape, clock.utc_ns())
        self._context = zmq.Context()
        self._pub = self._context.socket(zmq.PUB)
        self._pull = self._context.socket(zmq.PULL)
        self._pub.setsockopt(zmq.SNDHWM, 200)
        self._pull.setsockopt(zmq.RCVHWM, 200)
        self.refused = 0
        self._orders: zmq.Socket[bytes] | None = None
        self._anchor_s = 0.0        # of the world's time, when its pace was last changed
        try:
            bound = [(self._pub, settings.endpoint), (self._pull, settings.drones)]
            if settings.orders:
                self._orders = self._context.socket(zmq.PULL)
                bound.append((self._orders, settings.orders))
            for socket, endpoint in bound:
                try:
                    socket.bind(loopback(endpoint))
                except zmq.ZMQError as error:
                    raise SettingsError(f'"{endpoint}" cannot be had: {error}. Stop what uses it.') from None
        except BaseException:
            self.close()
            raise
        self._began_ns = clock.monotonic_ns()

    def serve(self, stop: threading.Event) -> None:
        """Until told to stop."""
        due_ns = self._clock.monotonic_ns()
        while not stop.is_set():
            self.turn()
            due_ns += round(PUBLISH_EVERY_S * NS_PER_S)
            now_ns = self._clock.monotonic_ns()
            if now_ns - due_ns > BEHIND_LIMIT_S * NS_PER_S:
                _log.warning("behind by %.1f s; the world goes on from here", (now_ns - due_ns) / NS_PER_S)
                self._began_ns += now_ns - due_ns
                due_ns = now_ns
            self._clock.sleep((due_ns - now_ns) / NS_PER_S)

    def turn(self) -> Moment:
        """Hear of the drones, run up to the present and LEAD_S past it, publish, and write down what was."""
        self._hear_of_drones()
        self._hear_orders()
        t_s = self._world_s()
        # The date is the clock's own, so that pictures and truth agree even when somebody sets it.
        utc_ns = self._clock.utc_ns() + round(LEAD_S * NS_PER_S)
        moment = replace(self.world.moment_at(t_s), utc_ns=utc_ns)
        self._pub.send_multipart([TOPIC, encode_moment(moment)])
        if self._truth is not None:
            self._truth.note(moment)
        return moment

    def _world_s(self) -> float:
        elapsed_s = (self._clock.monotonic_ns() - self._began_ns) / NS_PER_S
        return self._anchor_s + (elapsed_s + LEAD_S) * self._speed

    def _hear_orders(self) -> None:
        while self._orders is not None:
            try:
                order = decode_order(self._orders.recv(zmq.NOBLOCK))
            except zmq.Again:
                return
            except msgspec.DecodeError:
                self.refused += 1
                continue
            match order:
                case Pace():
                    # The lead goes on as it is, so that nobody steps back.
                    now_s = self._world_s()
                    self._speed = min(max(order.speed, 0.0), SPEED_MOST)
                    self._began_ns = self._clock.monotonic_ns()
                    self._anchor_s = max(now_s - LEAD_S * self._speed, self.world.t_s - LEAD_S * self._speed)
                case TurnWeather():
                    sky = self.world.sky()
                    now = Weather(0.0, sky.cloud, sky.rain_mm_h, sky.visibility_m, sky.wind_mps, sky.wind_from_deg)
                    self.world.change_weather(weather_of(order, now), order.over_s)
                case Split():
                    self.world.split(order.actor, order.count, order.script)

    def close(self) -> None:
        self._context.destroy(linger=0)
        if self._truth is not None:
            self._truth.close()
            self._truth = None

    def _hear_of_drones(self) -> None:
        while True:
            try:
                data = self._pull.recv(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                place = msgspec.msgpack.decode(data, type=DronePlaceMessage)
            except msgspec.DecodeError:
                self.refused += 1
                continue
            self.world.tell_drone(place.drone, place.east_m, place.north_m, place.height_msl_m)


def load(config: Path) -> tuple[WorldProcessSettings, Scenario]:
    """Read and check a settings file, its sector and its scenario. Raises SettingsError."""
    s = load_settings(config, WorldProcessSettings)
    if not 0.05 <= s.speed <= SPEED_MOST:
        raise refuse(config, ["speed"], f"{s.speed}: simulated seconds a second, 0.05 to 50")
    for key in ("endpoint", "drones", *(("orders",) if s.orders else ())):
        try:
            loopback(getattr(s, key))
        except SettingsError as error:
            raise refuse(config, [key], str(error)) from None
    sector = load_sector(config.parent / s.sector)
    return s, load_scenario(config.parent / s.scenario, sector)


def run(config: Path) -> int:
    """Run one world until SIGTERM or SIGINT."""
    log_to_stderr()
    settings, scenario = load(config)
    stop = stop_on_signals()
    clock = WallClock()
    landscape = cached_landscape(scenario)
    truth = TruthLog(config.parent / settings.truth, scenario, clock) if settings.truth else None
    server = WorldServer(scenario, landscape, settings, truth, clock)
    _log.info('the world "%s" (simulated) is published at %s', scenario.settings.name, settings.endpoint)
    try:
        server.serve(stop)
    finally:
        server.close()
    return 0
