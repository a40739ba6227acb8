"""The latest word of every sensor, node and drone, and what silence and blindness mean."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import msgspec

from station.memory import DroneMemory
from station.picture import DroneView, NodeView, SensorView, TrailPoint
from wire.clock import NS_PER_S
from wire.flying import CheckResult, DroneTelemetry, Plan, Preflight, TaskState
from wire.messages import NodeHealth, SensorReport, SensorState

SILENT_AFTER_NS = 10 * NS_PER_S
DRONE_TRAIL_LIMIT = 300
DRONE_TRAIL_EVERY_NS = 1 * NS_PER_S
DRONE_TRAIL_EVERY_M = 2.0
METRES_A_DEGREE = 111_000.0     # good enough to thin a trail


@dataclass(slots=True)
class Situation:
    """changed_*: names that were touched since somebody last emptied them.

    Sensors are known by their own name; a second node that uses the same name gets "node/sensor", so that neither hides
    the other. blind_since_ns: station time.
    """

    sensors: dict[str, SensorView] = field(default_factory=dict)
    nodes: dict[str, NodeView] = field(default_factory=dict)
    drones: dict[str, DroneMemory] = field(default_factory=dict)
    blind_since_ns: dict[str, int] = field(default_factory=dict)
    changed_sensors: set[str] = field(default_factory=set)
    changed_nodes: set[str] = field(default_factory=set)
    changed_drones: set[str] = field(default_factory=set)
    _names: dict[tuple[str, str], str] = field(default_factory=dict)
    _heard_told_ns: dict[str, int] = field(default_factory=dict)
    _told_ns: dict[str, int] = field(default_factory=dict)          # a sensor's last word, by its own clock

    def remember_names(self) -> None:
        """After loading: who owns which sensor name, and since when the blind are blind at the least."""
        for view in self.sensors.values():
            self._names[(view.node, view.id.removeprefix(f"{view.node}/"))] = view.id

    def sensor_name(self, node: str, sensor: str) -> str:
        known = self._names.get((node, sensor))
        if known is None:
            known = sensor if sensor not in self._names.values() else f"{node}/{sensor}"
            self._names[(node, sensor)] = known
        return known

    def is_simulated(self, sensor: str) -> bool:
        view = self.sensors.get(sensor)
        return view is not None and view.simulated

    # ------------------------------------------------------------------------------------------------- what is heard

    def heard(self, node: str, kind: str, received_ns: int) -> None:
        view = self.nodes.get(node)
        if view is None:
            self.nodes[node] = NodeView(node, kind, received_ns, False, None)
            self.changed_nodes.add(node)
        elif received_ns > view.last_heard_ns:
            # Since it was told, not since the last message: of a node that says something four times a second, and nothing
            # of its health, the screen would hear nothing any more.
            if view.silent or not 0 <= received_ns - self._heard_told_ns.get(node, 0) <= NS_PER_S // 2:
                self._heard_told_ns[node] = received_ns
                self.changed_nodes.add(node)
            self.nodes[node] = msgspec.structs.replace(view, last_heard_ns=received_ns, silent=False)

    def health(self, node: str, health: NodeHealth) -> NodeHealth:
        """Returns its newest word of itself, which an older one does not change."""
        view = self.nodes[node]
        if view.health is not None and health.at_ns < view.health.at_ns:
            return view.health
        self.nodes[node] = msgspec.structs.replace(view, health=health)
        self.changed_nodes.add(node)
        return health

    def report(self, node: str, r: SensorReport, received_ns: int) -> None:
        """A sensor says where it stands and whether it sees. An older word than the last one changes nothing."""
        name = self.sensor_name(node, r.sensor)
        known = self.sensors.get(name)
        if known is not None and known.state_since_ns > r.at_ns:
            return
        if known is not None and known.state is r.state and r.at_ns < self._told_ns.get(name, 0):
            return              # overtaken on the line: it stands, or looks, elsewhere by now
        self._told_ns[name] = r.at_ns
        last_frame_ns = known.last_frame_ns if known is not None else 0
        if r.state is SensorState.SEEING:
            last_frame_ns = max(last_frame_ns, r.at_ns)
        self.sensors[name] = SensorView(
            name, node, r.position, r.footprint, r.state, r.state_since_ns, last_frame_ns, r.simulated, r.detail,
            r.detail_words,
        )
        if r.state.is_blind:
            # By the station's clock: how long ago the node says it began, counted back from the arrival.
            began_ns = received_ns - max(0, r.at_ns - r.state_since_ns)
            self.blind_since_ns.setdefault(name, began_ns)
        else:
            self.blind_since_ns.pop(name, None)
        self.changed_sensors.add(name)

    def saw_frame(self, name: str, captured_ns: int) -> None:
        view = self.sensors.get(name)
        if view is not None and captured_ns > view.last_frame_ns:
            if captured_ns - view.last_frame_ns > NS_PER_S // 2:
                self.changed_sensors.add(name)
            self.sensors[name] = msgspec.structs.replace(view, last_frame_ns=captured_ns)

    def telemetry(self, t: DroneTelemetry) -> None:
        drone = self.drones.setdefault(t.drone, DroneMemory())
        if drone.telemetry is not None and t.at_ns < drone.telemetry.at_ns:
            return
        drone.telemetry = t
        if t.position is not None:
            point = TrailPoint(t.position.lat_deg, t.position.lon_deg, t.at_ns)
            if not drone.trail or _is_further(drone.trail[-1], point):
                drone.trail = [*drone.trail, point][-DRONE_TRAIL_LIMIT:]
        self.changed_drones.add(t.drone)

    def drone_word(self, body: Plan | Preflight | TaskState) -> None:
        drone = self.drones.setdefault(body.drone, DroneMemory())
        match body:
            case Plan():
                if drone.plan is None or body.made_ns >= drone.plan.made_ns:
                    drone.plan = body
            case Preflight():
                if drone.preflight is None or body.at_ns >= drone.preflight.at_ns:
                    drone.preflight = body
            case TaskState():
                if drone.task is None or body.at_ns >= drone.task.at_ns:
                    drone.task = body
        self.changed_drones.add(body.drone)

    def plan_check(self, body: CheckResult) -> None:
        """What the checks say of a plan that has come before them."""
        for name, drone in self.drones.items():
            if drone.plan is not None and drone.plan.plan_id == body.plan_id:
                drone.check = body
                self.changed_drones.add(name)

    # ------------------------------------------------------------------------------------------------ what is not heard

    def find_silent(self, now_ns: int, listening_since_ns: int) -> None:
        """Mark the nodes of which nothing was heard for 10 s, of which we were listening the whole time."""
        for name, view in self.nodes.items():
            since_ns = max(view.last_heard_ns, listening_since_ns)
            if not view.silent and now_ns - since_ns > SILENT_AFTER_NS:
                self.nodes[name] = msgspec.structs.replace(view, silent=True)
                self.changed_nodes.add(name)
                self.changed_sensors.update(s.id for s in self.sensors.values() if s.node == name)

    def count_from(self, now_ns: int) -> None:
        """The clock was set back: what was heard, or went blind, later than now did so now. Else a node that falls silent
        within that time would not be noticed before it has passed once more.
        """
        for name, view in self.nodes.items():
            if view.last_heard_ns > now_ns:
                self.nodes[name] = msgspec.structs.replace(view, last_heard_ns=now_ns)
                self.changed_nodes.add(name)
        for name, since_ns in self.blind_since_ns.items():
            self.blind_since_ns[name] = min(since_ns, now_ns)

    def sensor_view(self, name: str) -> SensorView:
        """As the screen shows it: a camera whose node is silent is blind, whatever it said last."""
        view = self.sensors[name]
        node = self.nodes.get(view.node)
        if node is not None and node.silent and not view.state.is_blind:
            return msgspec.structs.replace(
                view, state=SensorState.BLIND, state_since_ns=node.last_heard_ns, detail="node silent"
            )
        return view

    def drone_view(self, name: str) -> DroneView | None:
        return self.drones[name].view(name)


def _is_further(last: TrailPoint, point: TrailPoint) -> bool:
    north_m = (point.lat_deg - last.lat_deg) * METRES_A_DEGREE
    east_m = (point.lon_deg - last.lon_deg) * METRES_A_DEGREE * math.cos(math.radians(point.lat_deg))
    return point.at_ns - last.at_ns >= DRONE_TRAIL_EVERY_NS and math.hypot(east_m, north_m) >= DRONE_TRAIL_EVERY_M
