"""Whether a drone may take off now with the plan it holds: one item a question, and the worst of them as the answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fleet.dispatch_words import Said, said
from fleet.drone import Drone
from fleet.preflight_words import item
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
    worst = max((i.state for i in items), key=SEVERITY.index)
    return Preflight(drone.name, at_ns, worst, items)


def realm_refusal(name: str, realm: Realm, *, simulated: bool) -> Said | None:
    """Why a station of `realm` must not command this autopilot; None when it may."""
    if realm is Realm.TRAINING and not simulated:
        return said("dispatch.real", drone=name)
    if realm is Realm.LIVE and simulated:
        return said("dispatch.simulated", drone=name)
    return None


def _link(drone: Drone) -> PreflightItem:
    state = {
        LinkState.CONNECTED: PreflightState.PASS, LinkState.LATE: PreflightState.SOFT_FAILURE,
        LinkState.LOST: PreflightState.FAILURE,
    }[drone.link()]
    return item("link", state, "heartbeat", seconds=round(min(drone.age_s(drone.heartbeat), 1e6), 1))


def _realm(drone: Drone, realm: Realm) -> PreflightItem:
    if drone.identity is None:
        return item("realm", PreflightState.RUNNING, "nobody")
    simulated = drone.identity.simulated
    if realm_refusal(drone.name, realm, simulated=simulated) is not None:
        return item("realm", PreflightState.ERROR, "simulated_in_live" if simulated else "real_in_training")
    return item("realm", PreflightState.PASS, "realm_simulated" if simulated else "realm_real")


def _aircraft(drone: Drone, plan: Plan) -> PreflightItem:
    identity = drone.identity
    if identity is None or (identity.system_id, identity.hardware_id) != (plan.system_id, plan.hardware_id):
        return item(
            "aircraft", PreflightState.ERROR, "other_aircraft", system=plan.system_id, hardware=plan.hardware_id
        )
    return item("aircraft", PreflightState.PASS, "aircraft", system=plan.system_id, hardware=plan.hardware_id)


def _gps(drone: Drone) -> PreflightItem:
    fix = drone.fresh(drone.gps_fix)
    if fix is None:
        return item("position fix", PreflightState.RUNNING, "not_reported")
    if fix < GPS_FIX_3D:
        return item("position fix", PreflightState.RUNNING, "no_fix")
    jump_s = drone.age_s(drone.jump_m)
    if drone.jump_m is not None and jump_s < JUMPED_FOR_S:
        return item(
            "position fix", PreflightState.SOFT_FAILURE, "leapt", metres=round(drone.jump_m.value), seconds=round(jump_s)
        )
    satellites, hdop = drone.fresh(drone.gps_satellites), drone.fresh(drone.gps_hdop)
    accuracy_m = drone.fresh(drone.gps_accuracy_m)
    told = ((satellites, "{:.0f} GNSS"), (hdop, "HDOP {:.1f}"), (accuracy_m, "{:.1f} m"))
    figures = ", ".join(words.format(value) for value, words in told if value is not None) or "–"
    poor = (satellites is not None and satellites < SATELLITES_LEAST) or (hdop is not None and hdop > HDOP_MOST)
    if poor or (accuracy_m is not None and accuracy_m > ACCURACY_MOST_M):
        return item("position fix", PreflightState.SOFT_FAILURE, "poor_fix", figures=figures)
    return item("position fix", PreflightState.PASS, "fix", figures=figures)


def _estimate(drone: Drone) -> PreflightItem:
    # The pre-arm bit alone is not enough: it can be healthy while GUIDED still refuses for want of a position estimate.
    if not drone.ready():
        return item("position estimate", PreflightState.RUNNING, "settling")
    if not drone.prearm_ok():
        why = "; ".join(drone.arming_reasons()) or "–"
        return item("position estimate", PreflightState.SOFT_FAILURE, "prearm", why=why)
    return item("position estimate", PreflightState.PASS, "estimate")


def _battery(drone: Drone, least_percent: float) -> PreflightItem:
    percent = drone.fresh(drone.battery_percent)
    if percent is None:
        return item("battery", PreflightState.WARNING, "charge_unknown")
    if percent < least_percent:
        return item(
            "battery", PreflightState.FAILURE, "charge_low", percent=round(percent), least_percent=round(least_percent)
        )
    return item("battery", PreflightState.PASS, "charge", percent=round(percent))


def _home(drone: Drone, plan: Plan, frame: LocalFrame) -> PreflightItem:
    position = drone.fresh(drone.position)
    if position is None:
        return item("home", PreflightState.RUNNING, "place_unknown")
    here = frame.point(GroundPosition(position.lat_deg, position.lon_deg))
    distance_m = float(np.linalg.norm(here - frame.point(plan.home)))
    if distance_m > HOME_WITHIN_M:
        return item(
            "home", PreflightState.FAILURE, "far_from_home", metres=round(distance_m), allowed_m=round(HOME_WITHIN_M)
        )
    return item("home", PreflightState.PASS, "at_home", metres=round(distance_m))


def _mission(needs: PreflightNeeds) -> PreflightItem:
    if not needs.read_back:
        return item("mission", PreflightState.FAILURE, "not_read_back")
    return item("mission", PreflightState.PASS, "read_back")


def _failsafe(needs: PreflightNeeds) -> PreflightItem:
    if needs.station_failsafe is None:
        return item("station failsafe", PreflightState.WARNING, "no_failsafe")
    if needs.station_failsafe == 0:
        return item("station failsafe", PreflightState.FAILURE, "failsafe_off")
    return item("station failsafe", PreflightState.PASS, "failsafe")


def _fence(drone: Drone, plan: Plan) -> PreflightItem:
    on = drone.fresh(drone.fence_on)
    if not plan.fence:
        return item("fence", PreflightState.OFF, "no_fence")
    if on is None:
        return item("fence", PreflightState.RUNNING, "not_reported")
    if not on:
        return item("fence", PreflightState.SOFT_FAILURE, "fence_off")
    return item("fence", PreflightState.PASS, "fence", corners=len(plan.fence))


def _ground(drone: Drone) -> PreflightItem:
    if drone.airborne():
        return item("mode", PreflightState.FAILURE, "in_the_air", mode=drone.mode())
    if drone.armed():
        return item("mode", PreflightState.WARNING, "armed")
    return item("mode", PreflightState.PASS, "on_the_ground", mode=drone.mode())
