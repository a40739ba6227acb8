"""Whether a drone may take off now with the plan it holds: one item a question, and the worst of them as the answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleet.drone import Drone
from geofences.geodesy import LocalFrame
from wire.flying import LinkState, Plan, Preflight, PreflightItem, PreflightState
from wire.units import GroundPosition, Realm

GPS_FIX_3D = 3                  # GPS_FIX_TYPE
SATELLITES_LEAST, HDOP_MOST = 6, 1.4    # ArduPilot's GPS_HDOP_GOOD, and its own least number for arming
ACCURACY_MOST_M = 5.0
JUMPED_FOR_S = 30.0             # a place that leapt is not trusted for so long
HOME_WITHIN_M = 20.0            # of the planned take-off place
SEVERITY = (
    PreflightState.OFF,
    PreflightState.PASS,
    PreflightState.WARNING,
    PreflightState.RUNNING,
    PreflightState.SOFT_FAILURE,
    PreflightState.FAILURE,
    PreflightState.ERROR,
)
LAUNCHABLE = (PreflightState.PASS, PreflightState.OFF, PreflightState.WARNING)


@dataclass(frozen=True, slots=True)
class PreflightNeeds:
    """What the plan and the settings ask for. read_back: the mission in the drone was compared with the plan.

    station_failsafe: FS_GCS_ENABLE as the drone told it, None when it has no such parameter.
    """

    realm: Realm
    battery_least_percent: float
    read_back: bool
    station_failsafe: float | None


def preflight(drone: Drone, plan: Plan, needs: PreflightNeeds, frame: LocalFrame, at_ns: int) -> Preflight:
    """Judge a drone on the ground against the plan that it is about to fly."""
    items = (
        _link(drone),
        _realm(drone, needs.realm),
        _aircraft(drone, plan),
        _gps(drone),
        _estimate(drone),
        _battery(drone, needs.battery_least_percent),
        _home(drone, plan, frame),
        _mission(needs),
        _failsafe(needs),
        _fence(drone, plan),
        _ground(drone),
    )
    worst = max((item.state for item in items), key=SEVERITY.index)
    return Preflight(drone.name, at_ns, worst, items)


def realm_refusal(name: str, realm: Realm, *, simulated: bool) -> str | None:
    """Why a station of `realm` must not command this autopilot; None when it may."""
    if realm is Realm.TRAINING and not simulated:
        return (
            f"{name} answers to no SIM_ parameter, so it is a real aircraft: a training station commands simulated ones only"
        )
    if realm is Realm.LIVE and simulated:
        return f"{name} answers to a SIM_ parameter, so it is simulated: a live station does not command it"
    return None


def _link(drone: Drone) -> PreflightItem:
    state = {
        LinkState.CONNECTED: PreflightState.PASS, LinkState.LATE: PreflightState.SOFT_FAILURE,
        LinkState.LOST: PreflightState.FAILURE,
    }[drone.link()]
    return PreflightItem("link", state, f"last heartbeat {min(drone.age_s(drone.heartbeat), 1e6):.1f} s ago")


def _realm(drone: Drone, realm: Realm) -> PreflightItem:
    if drone.identity is None:
        return PreflightItem("realm", PreflightState.RUNNING, "the autopilot has not said who it is")
    refusal = realm_refusal(drone.name, realm, simulated=drone.identity.simulated)
    if refusal is not None:
        return PreflightItem("realm", PreflightState.ERROR, refusal)
    kind = "simulated" if drone.identity.simulated else "real"
    return PreflightItem("realm", PreflightState.PASS, f"{kind} autopilot, {realm.value} realm")


def _aircraft(drone: Drone, plan: Plan) -> PreflightItem:
    identity = drone.identity
    if identity is None or (identity.system_id, identity.hardware_id) != (plan.system_id, plan.hardware_id):
        return PreflightItem(
            "aircraft", PreflightState.ERROR,
            f"the plan was made for system {plan.system_id}, hardware {plan.hardware_id}, and another aircraft answers",
        )
    return PreflightItem("aircraft", PreflightState.PASS, f"system {plan.system_id}, hardware {plan.hardware_id}")


def _gps(drone: Drone) -> PreflightItem:
    fix = drone.fresh(drone.gps_fix)
    if fix is None:
        return PreflightItem("position fix", PreflightState.RUNNING, "not reported yet")
    if fix < GPS_FIX_3D:
        return PreflightItem("position fix", PreflightState.RUNNING, "no 3D fix yet")
    jump_s = drone.age_s(drone.jump_m)
    if drone.jump_m is not None and jump_s < JUMPED_FOR_S:
        return PreflightItem(
            "position fix", PreflightState.SOFT_FAILURE, f"its place leapt by {drone.jump_m.value:.0f} m {jump_s:.0f} s ago"
        )
    satellites, hdop = drone.fresh(drone.gps_satellites), drone.fresh(drone.gps_hdop)
    accuracy_m = drone.fresh(drone.gps_accuracy_m)
    sentence = "3D fix"
    for value, words in ((satellites, "{:.0f} satellites"), (hdop, "HDOP {:.1f}"), (accuracy_m, "{:.1f} m")):
        sentence += f", {words.format(value)}" if value is not None else ""
    poor = (satellites is not None and satellites < SATELLITES_LEAST) or (hdop is not None and hdop > HDOP_MOST)
    if poor or (accuracy_m is not None and accuracy_m > ACCURACY_MOST_M):
        return PreflightItem("position fix", PreflightState.SOFT_FAILURE, f"poor: {sentence}")
    return PreflightItem("position fix", PreflightState.PASS, sentence)


def _estimate(drone: Drone) -> PreflightItem:
    # The pre-arm bit alone is not enough: it can be healthy while GUIDED still refuses for want of a position estimate.
    if not drone.ready():
        return PreflightItem("position estimate", PreflightState.RUNNING, "the estimate is settling")
    if not drone.prearm_ok():
        why = "; ".join(drone.arming_reasons())
        sentence = f"the autopilot's own pre-arm checks fail{f': {why}' if why else ''}"
        return PreflightItem("position estimate", PreflightState.SOFT_FAILURE, sentence)
    return PreflightItem("position estimate", PreflightState.PASS, "good enough for GUIDED, pre-arm checks pass")


def _battery(drone: Drone, least_percent: float) -> PreflightItem:
    percent = drone.fresh(drone.battery_percent)
    if percent is None:
        return PreflightItem("battery", PreflightState.WARNING, "the charge is not known")
    if percent < least_percent:
        return PreflightItem("battery", PreflightState.FAILURE, f"{percent:.0f} %; {least_percent:.0f} % are needed")
    return PreflightItem("battery", PreflightState.PASS, f"{percent:.0f} %")


def _home(drone: Drone, plan: Plan, frame: LocalFrame) -> PreflightItem:
    position = drone.fresh(drone.position)
    if position is None:
        return PreflightItem("home", PreflightState.RUNNING, "its position is not known yet")
    here = frame.point(GroundPosition(position.lat_deg, position.lon_deg))
    distance_m = float(np.linalg.norm(here - frame.point(plan.home)))
    if distance_m > HOME_WITHIN_M:
        return PreflightItem(
            "home", PreflightState.FAILURE,
            f"it stands {distance_m:.0f} m from the planned take-off place; {HOME_WITHIN_M:.0f} m are allowed",
        )
    return PreflightItem("home", PreflightState.PASS, f"{distance_m:.0f} m from the planned take-off place")


def _mission(needs: PreflightNeeds) -> PreflightItem:
    if not needs.read_back:
        return PreflightItem("mission", PreflightState.FAILURE, "the mission in the drone was not compared with the plan")
    return PreflightItem("mission", PreflightState.PASS, "read back, and equal to the plan")


def _failsafe(needs: PreflightNeeds) -> PreflightItem:
    if needs.station_failsafe is None:
        return PreflightItem("station failsafe", PreflightState.WARNING, "the autopilot has no FS_GCS_ENABLE")
    if needs.station_failsafe == 0:
        return PreflightItem("station failsafe", PreflightState.FAILURE, "off: it would fly on without a link")
    return PreflightItem("station failsafe", PreflightState.PASS, "it comes home by itself when the link is lost")


def _fence(drone: Drone, plan: Plan) -> PreflightItem:
    on = drone.fresh(drone.fence_on)
    if not plan.fence:
        return PreflightItem("fence", PreflightState.OFF, "the plan asks for none")
    if on is None:
        return PreflightItem("fence", PreflightState.RUNNING, "not reported yet")
    if not on:
        return PreflightItem("fence", PreflightState.SOFT_FAILURE, "uploaded, and the autopilot does not keep to it")
    return PreflightItem("fence", PreflightState.PASS, f"the autopilot keeps to {len(plan.fence)} corners")


def _ground(drone: Drone) -> PreflightItem:
    if drone.airborne():
        return PreflightItem("mode", PreflightState.FAILURE, f"it is in the air already, in {drone.mode()}")
    if drone.armed():
        return PreflightItem("mode", PreflightState.WARNING, "armed already")
    return PreflightItem("mode", PreflightState.PASS, f"on the ground, disarmed, in {drone.mode()}")
