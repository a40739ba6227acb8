"""What is broken, found out as time passes: silent nodes, blind sensors, corridors that nobody sees, drones that are not
heard or do not know where they are, notifiers that can tell nobody, a station that nobody watches. Each becomes a technical
alarm, and is over when it is over.
"""

from __future__ import annotations

import math
from typing import Protocol

from geofences.corridors import alarms_now
from geofences.sector import Sector
from station.alarm_settings import AlarmSettings
from station.alarm_watch import Watch
from station.picture import SensorView
from station.rules import AlarmDesk
from station.situation import Situation
from wire.clock import NS_PER_S
from wire.flying import LinkState
from wire.keys import NodeKind
from wire.messages import SensorState

STARTING_NS = 120 * NS_PER_S
FIRST_PICTURE_S = 60.0          # a camera that is new here opens its stream, and loads its weights
TOLD_LATELY_NS = 10 * NS_PER_S
FIX_3D = 3                      # MAVLink's GPS_FIX_TYPE
PARKED_WITHIN_M = 30.0          # of a drone that is not armed: both places are of cheap receivers
TAKE_OFF_S = 30.0               # from arming until it is so high that its camera sees more than grass


class Coverage(Protocol):
    """Who knows which ground the sensors see (station.coverage)."""

    def unseen_s(self, corridor: str) -> float:
        """How long no sensor has seen it, seconds."""


class FaultWatch:
    """Looks once a second. began_ns: since when a fault is there, by its name; station time."""

    def __init__(
        self, desk: AlarmDesk, situation: Situation, sector: Sector, settings: AlarmSettings, is_training: bool,
        started_ns: int,
    ) -> None:
        self._desk = desk
        self._situation = situation
        self._sector = sector
        self._technical = settings.technical
        self._is_training = is_training
        self._started_ns = started_ns
        self._began_ns: dict[str, int] = {}
        self._parked_ns: dict[str, int] = {}    # when a drone's camera last stood on the ground
        self._looked_ns = started_ns

    def look(
        self, now_ns: int, heard_to_ns: int, coverage: Coverage, watch: Watch, notifiers: dict[str, tuple[bool, str]]
    ) -> None:
        """Raise and end the technical alarms of nodes, sensors, corridors, notifiers, and of a station nobody watches.

        heard_to_ns: what came until then has been read; nobody is silent for what still waits to be read. notifiers: by
        name, whether its process lives and why it can tell nobody.
        """
        if now_ns < self._looked_ns:
            self._started_ns = min(self._started_ns, now_ns)
            self._situation.count_from(now_ns)
            self._parked_ns = {name: min(at_ns, now_ns) for name, at_ns in self._parked_ns.items()}
        self._looked_ns = now_ns
        self._nodes(now_ns, heard_to_ns)
        self._sensors(now_ns)
        self._corridors(coverage, now_ns)
        self._drones(now_ns)
        self._notifiers(notifiers, now_ns)
        self._desk.watch_fault(watch.is_unwatched(now_ns), self._is_training, watch.settings.after_s, now_ns)

    def _lasts(self, name: str, is_wrong: bool, after_s: float, now_ns: int) -> bool:
        """Whether a fault has lasted long enough to be an alarm."""
        if not is_wrong:
            self._began_ns.pop(name, None)
            return False
        began_ns = self._began_ns.setdefault(name, now_ns)
        if now_ns < began_ns:
            began_ns = self._began_ns[name] = now_ns    # the clock was set back
        return now_ns - began_ns >= after_s * NS_PER_S

    def _nodes(self, now_ns: int, heard_to_ns: int) -> None:
        s, t = self._situation, self._technical
        s.find_silent(heard_to_ns, self._started_ns)
        for node in s.nodes.values():
            heard_ns = max(node.last_heard_ns, self._started_ns)
            silent = node.silent and heard_to_ns - heard_ns >= t.node_silent.after_s * NS_PER_S
            self._desk.node_fault(node.node, silent, self._is_training, now_ns)
            if node.health is not None and not node.silent:
                health = node.health
                wrong = self._lasts(
                    f"position {node.node}", not health.position_trusted, t.position_untrusted.after_s, now_ns
                )
                if wrong or health.position_trusted:
                    self._desk.position_fault(node.node, wrong, self._is_training, health.position_problem, now_ns,
                                              health.position_words)

    def _sensors(self, now_ns: int) -> None:
        s = self._situation
        for name, view in s.sensors.items():
            node_view = s.nodes.get(view.node)
            if node_view is not None and node_view.silent:
                continue        # the node's own alarm says it
            since_ns = s.blind_since_ns.get(name)
            if view.state.is_blind and since_ns is None:
                since_ns = s.blind_since_ns[name] = now_ns      # known from before a restart
            if self._is_parked(view):
                self._parked_ns[name] = now_ns
            if since_ns is not None and now_ns - self._parked_ns.get(name, 0) <= TAKE_OFF_S * NS_PER_S:
                s.blind_since_ns[name] = now_ns     # it counts from when it might see, and not from when it was put down
                since_ns = None
            is_blind = since_ns is not None
            after_s = self._technical.sensor_blind.after_s
            if view.last_frame_ns == 0:
                after_s = max(after_s, FIRST_PICTURE_S)
            if not is_blind or now_ns - (since_ns or 0) >= after_s * NS_PER_S:
                self._desk.sensor_fault(
                    name, view.node, is_blind, self._is_training or view.simulated, view.detail, now_ns,
                    view.state if is_blind else SensorState.BLIND, view.detail_words,
                )

    def _is_parked(self, sensor: SensorView) -> bool:
        """A drone's camera sees nothing while it stands on the ground, and nobody expects it to: that is no fault."""
        node = self._situation.nodes.get(sensor.node)
        if node is None or node.kind != NodeKind.DRONE:
            return False
        here = self._sector.frame.to_enu(sensor.position.lat_deg, sensor.position.lon_deg)[0]
        for drone in self._situation.drones.values():
            t = drone.telemetry
            if t is None or t.armed or t.position is None:
                continue
            there = self._sector.frame.to_enu(t.position.lat_deg, t.position.lon_deg)[0]
            if math.hypot(*(here - there)) <= PARKED_WITHIN_M:
                return True
        return False

    def _corridors(self, coverage: Coverage, now_ns: int) -> None:
        """Only in the hours in which a corridor raises alarms is it a fault that nobody sees it."""
        if now_ns - self._started_ns < STARTING_NS:
            return              # its sensors have not had the time to speak
        for corridor in self._sector.corridor_set.corridors:
            allows_s = self._technical.no_coverage.allows_s(corridor.id, corridor.priority)
            if allows_s is None:
                continue
            unseen_s = coverage.unseen_s(corridor.id)
            is_wrong = unseen_s >= allows_s
            if is_wrong and not alarms_now(corridor, now_ns, self._sector.utc_offset_min):
                continue        # and what began within them goes on until somebody sees it
            self._desk.coverage_fault(corridor.id, corridor.name, unseen_s, is_wrong, self._is_training, now_ns)

    def _drones(self, now_ns: int) -> None:
        """As the fleet service tells: while that is silent, its own alarm says so."""
        for name, drone in self._situation.drones.items():
            t = drone.telemetry
            if t is None or not 0 <= now_ns - t.at_ns <= TOLD_LATELY_NS:
                continue
            trouble = ""
            if t.armed and t.link is LinkState.LOST:
                trouble = "lost"
            elif t.armed and t.link is LinkState.CONNECTED and t.gps_fix is not None and t.gps_fix < FIX_3D:
                trouble = "no_position"
            elif t.armed and t.link is not LinkState.CONNECTED:
                continue            # late: nothing is known anew
            lasts = self._lasts(f"drone {name}", bool(trouble), self._technical.drone_trouble.after_s, now_ns)
            if lasts or not trouble:
                self._desk.drone_fault(name, trouble, self._is_training or t.simulated, now_ns)

    def _notifiers(self, health: dict[str, tuple[bool, str]], now_ns: int) -> None:
        if now_ns - self._started_ns < STARTING_NS:
            return              # their process starts beside this one
        for name, (lives, error) in health.items():
            is_wrong = self._lasts(
                f"notifier {name}", not lives or bool(error), self._technical.notifier_dead.after_s, now_ns
            )
            if is_wrong or (lives and not error):
                self._desk.notifier_fault(name, is_wrong, lives, error, self._is_training, now_ns)
