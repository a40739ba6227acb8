"""What a drone is to fly, how it stands, and how far it has come: the messages of the fleet, on their way to the station.

Times are UTC nanoseconds, angles degrees clockwise from true north, heights above home metres above the take-off point.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from wire.units import GroundPosition, Position


class LinkState(StrEnum):
    CONNECTED = "connected"
    LATE = "late"                   # nothing for 3.5 s
    LOST = "lost"                   # nothing for 10 s


class DroneTelemetry(msgspec.Struct, frozen=True, tag="telemetry"):
    """A drone as it last told us itself. Optional values were not heard yet, or their source says unknown."""

    drone: str
    at_ns: int
    link: LinkState
    heard_age_s: float
    system_id: int
    hardware_id: str
    simulated: bool
    armed: bool
    mode: str
    position: Position | None
    height_above_home_m: float | None
    ground_speed_m_s: float | None
    heading_deg: float | None
    battery_percent: float | None
    battery_v: float | None
    gps_fix: int | None
    mission_item: int | None
    mission_total: int | None
    texts: tuple[str, ...] = ()
    ages_s: dict[str, float] = {}               # of the values here, by name, at at_ns; what was never heard is not in it
    arming_reasons: tuple[str, ...] = ()        # why it would not arm, in its own words; none when its checks pass
    gps_satellites: int | None = None
    gps_hdop: float | None = None
    gps_accuracy_m: float | None = None         # horizontal, as the receiver says
    wind_m_s: float | None = None
    wind_from_deg: float | None = None
    autopilot: str = ""                         # kind and version
    links: tuple[str, ...] = ()                 # a sentence for each link to it


class WaypointKind(StrEnum):
    TAKEOFF = "takeoff"
    WAYPOINT = "waypoint"
    LOITER_TIME = "loiter_time"
    RETURN = "return"
    ORBIT = "orbit"                 # circles round its position, facing it


class Waypoint(msgspec.Struct, frozen=True):
    """height_above_home_m: metres above the take-off point. radius_m, turns: of an orbit, clockwise; 0 for all others."""

    kind: WaypointKind
    position: GroundPosition
    height_above_home_m: float
    speed_m_s: float
    hold_s: float = 0.0
    radius_m: float = 0.0
    turns: float = 0.0


class RallyPoint(msgspec.Struct, frozen=True):
    """Where a drone may return to instead of home, and at which height above home it goes there."""

    position: GroundPosition
    height_above_home_m: float


class Plan(msgspec.Struct, frozen=True, tag="plan"):
    """A patrol: what one drone is to fly. Bound to one aircraft by system id and hardware id.

    return_height_m: above home, at which a failsafe takes it home, or its own height where that is more; 0: whatever the
    autopilot is set to. fence: the ring outside which its own autopilot turns it round; none: no fence is asked for.
    """

    plan_id: str
    drone: str
    system_id: int
    hardware_id: str
    corridor: str
    home: GroundPosition
    waypoints: tuple[Waypoint, ...]
    made_ns: int
    return_height_m: float = 0.0
    fence: tuple[GroundPosition, ...] = ()
    rally: tuple[RallyPoint, ...] = ()


class CheckFinding(msgspec.Struct, frozen=True):
    """One reason why a plan must not fly. leg counts from 0; None for the plan as a whole.

    key, params: the sentence in the station's language files, for whoever reads another language than `sentence` is in.
    """

    rule: str
    leg: int | None
    position: GroundPosition | None
    sentence: str
    key: str = ""
    params: dict[str, str | float | int] = {}


class Buffer(msgspec.Struct, frozen=True):
    """How far from the border line a plan has to stay, and why: metres, of which drift_m is wind times time.

    wind_m_s: mean and gusts together. detection_s: until a lost position is noticed; descent_s: from there to the ground.
    reaction_m: flown on until the watch in the air has it turned round. margin_m: error of the drone's own position.
    configured_m: the least that the sector's file asks for; total_m is never less.
    """

    total_m: float
    wind_m_s: float
    detection_s: float
    descent_s: float
    drift_m: float
    reaction_m: float
    margin_m: float
    configured_m: float


class CheckResult(msgspec.Struct, frozen=True, tag="check"):
    """energy_percent: of a full battery, what the plan takes, with its error energy_sigma_percent (one sigma)."""

    plan_id: str
    passed: bool
    findings: tuple[CheckFinding, ...]
    length_m: float
    duration_s: float
    smallest_border_distance_m: float
    buffer: Buffer | None = None
    energy_percent: float = 0.0
    energy_sigma_percent: float = 0.0


class PreflightState(StrEnum):
    OFF = "off"
    PASS = "pass"
    WARNING = "warning"
    RUNNING = "running"
    SOFT_FAILURE = "soft_failure"
    FAILURE = "failure"
    ERROR = "error"


class PreflightItem(msgspec.Struct, frozen=True):
    """key, params: the sentence in the station's language files, where it has words there; so with TaskState."""

    name: str
    state: PreflightState
    sentence: str
    key: str = ""
    params: dict[str, str | float | int] = {}


class Preflight(msgspec.Struct, frozen=True, tag="preflight"):
    drone: str
    at_ns: int
    state: PreflightState
    items: tuple[PreflightItem, ...]


class TaskPhase(StrEnum):
    CREATED = "created"
    SENT = "sent"
    RECEIVED = "received"
    ACCEPTED = "accepted"
    EXECUTING = "executing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_over(self) -> bool:
        return self in (TaskPhase.DONE, TaskPhase.FAILED, TaskPhase.CANCELLED)


class TaskState(msgspec.Struct, frozen=True, tag="task"):
    """How far a plan's flying has come, on the drone's own word. One sortie is one flying of a patrol."""

    task_id: str
    drone: str
    plan_id: str
    phase: TaskPhase
    at_ns: int
    sentence: str
    findings: tuple[CheckFinding, ...] = ()     # of the watch in the air: why it is warned of, or called back
    key: str = ""
    params: dict[str, str | float | int] = {}
