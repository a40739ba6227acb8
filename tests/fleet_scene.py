"""The night of tests.scene with a fleet: one drone patrols, one looks at a walker, one waits with an offer, one is lost."""

from __future__ import annotations

import msgspec

from fleet.dispatch_words import said
from fleet.preflight_words import item
from station.fleet_picture import FleetAnswer, FleetView
from station.picture import DroneView
from tests.scene import BEN_SONG, KHE_DA, S, along, drone, scene
from wire.flying import (
    Buffer,
    CheckFinding,
    CheckResult,
    LinkState,
    Plan,
    Preflight,
    PreflightState,
    TaskPhase,
    TaskState,
    Waypoint,
    WaypointKind,
)
from wire.tasking import Dispatch, FlightKind, FlightWish, NotChosen, Offer, QueuedTask
from wire.units import GroundPosition, HeightMsl, Position

HOME = GroundPosition(16.62225, 106.60230)
BUFFER = Buffer(161.0, 3.0, 8.0, 21.0, 96.0, 44.0, 21.0, 150.0)
LOOKS = said("look.begins", drone="drone-2", contact="K-0412")
SEVEN = (
    item("link", PreflightState.PASS, "heartbeat", seconds=0.2), item("realm", PreflightState.PASS, "realm_simulated"),
    item("position fix", PreflightState.RUNNING, "no_fix"),
    item("position estimate", PreflightState.SOFT_FAILURE, "prearm", why="AHRS: waiting for home"),
    item("battery", PreflightState.FAILURE, "charge_low", percent=44, least_percent=50),
    item("home", PreflightState.PASS, "at_home", metres=1),
    item("aircraft", PreflightState.ERROR, "other_aircraft", system=12, hardware="2a00-99"),
    item("station failsafe", PreflightState.WARNING, "no_failsafe"), item("fence", PreflightState.OFF, "no_fence"),
)


def a_plan(plan_id: str, name: str, way, now: int, height_m: float = 40.0) -> Plan:
    points = [Waypoint(WaypointKind.TAKEOFF, HOME, height_m, 8.0)]
    points += [Waypoint(WaypointKind.WAYPOINT, GroundPosition(*p), height_m, 8.0) for p in way]
    return Plan(plan_id, name, 1, "a1", "", HOME, (*points, Waypoint(WaypointKind.RETURN, HOME, height_m, 8.0)), now)


def an_offer(
    now: int, order_id: str, plan_id: str, name: str, wish: FlightWish, way, *, refused=(), resumes: str = "", others=(),
) -> Offer:
    check = CheckResult(plan_id, not refused, tuple(refused), 2310.0, 402.0, 188.0, BUFFER, 31.4, 2.8)
    return Offer(
        order_id, plan_id, name, wish, now, now + 3600 * S, a_plan(plan_id, name, way, now), check, 74.0, 31.4, 61.0,
        airborne=bool(resumes), resumes=resumes, others=tuple(others), sentence="offered",
    )


def refusals() -> tuple[CheckFinding, ...]:
    at = GroundPosition(*KHE_DA[1])
    return (
        CheckFinding("border", 5, at, "leg 5 comes within 88 m", "check.border.near",
                     {"part": "leg", "leg": 5, "distance_m": 88, "needed_m": 161}),
        CheckFinding("way_home", 6, GroundPosition(*KHE_DA[0]), "the way home crosses", "check.border.crosses",
                     {"part": "way_home", "leg": 6}),
        CheckFinding("energy", 6, None, "it would land with 22 %", "check.energy",
                     {"leg": 6, "left_percent": 22, "reserve_percent": 30}),
    )


def drones(now: int) -> tuple[DroneView, ...]:
    first = drone(now)
    at = along(KHE_DA, 0.34)[0]
    looking = msgspec.structs.replace(
        first, drone="drone-2", trail=(), plan=a_plan("P-21", "drone-2", [along(KHE_DA, 0.31)[0]], now),
        telemetry=msgspec.structs.replace(
            first.telemetry, drone="drone-2", mode="GUIDED", battery_percent=58.0, position=Position(*at, HeightMsl(220.0)),
            ground_speed_m_s=2.0, gps_satellites=14, wind_m_s=3.0,
        ),
        task=TaskState("T-9", "drone-2", "P-21", TaskPhase.EXECUTING, now - 40 * S, LOOKS.sentence, key=LOOKS.key,
                       params=LOOKS.params),
        preflight=None,
    )
    ground = msgspec.structs.replace(
        first, drone="drone-3", trail=(), plan=None, task=None, check=None,
        telemetry=msgspec.structs.replace(
            first.telemetry, drone="drone-3", mode="STABILIZE", armed=False, battery_percent=92.0, gps_satellites=12,
            position=Position(HOME.lat_deg, HOME.lon_deg, HeightMsl(165.0)), height_above_home_m=0.0, ground_speed_m_s=0.0,
            mission_item=None, mission_total=None, ages_s={"battery_percent": 0.4, "gps_fix": 0.2, "mode": 0.3},
        ),
        preflight=Preflight("drone-3", now - 12 * S, PreflightState.ERROR, SEVEN),
    )
    lost = msgspec.structs.replace(
        ground, drone="drone-4", preflight=None, telemetry=msgspec.structs.replace(
            ground.telemetry, drone="drone-4", link=LinkState.LOST, heard_age_s=41.0, battery_percent=21.0))
    return first, looking, ground, lost


def fleet_scene(now: int, offers=(), answers: tuple[FleetAnswer, ...] = ()):
    base = scene(now)
    kinds = {
        "P-21": FlightWish(FlightKind.INVESTIGATE, contact="K-0412"),
        "P-9": FlightWish(FlightKind.CORRIDOR, corridor="khe-da"),
    }
    view = FleetView(
        "fleet", ("drone-1", "drone-2", "drone-3", "drone-4"), tuple(offers),
        Dispatch(now, (QueuedTask("P-30", "drone-1", FlightKind.AREA, 2, now - 60 * S, "phi"),), {"drone-2": "K-0412"},
                 {"drone-2": True}), answers, kinds,
    )
    return msgspec.structs.replace(base, drones=drones(now), fleets=(view,))


def not_chosen() -> tuple[NotChosen, ...]:
    return (NotChosen("drone-3", "drone-3 would be there 41 s later"), NotChosen("drone-4", "the link to drone-4 is lost"))


AREA = FlightWish(FlightKind.AREA, places=tuple(GroundPosition(*p) for p in BEN_SONG[:3]))
