"""What the pre-flight list says: here in English, in the station's language files in all its languages."""

from __future__ import annotations

import re

from wire.flying import PreflightItem, PreflightState

WORDS: dict[str, str] = {
    "preflight_says.heartbeat": "last heartbeat {seconds} s ago",
    "preflight_says.nobody": "the autopilot has not said who it is",
    "preflight_says.real_in_training": "it answers to no SIM_ parameter, so it is a real aircraft: a training station "
    "commands simulated ones only",
    "preflight_says.simulated_in_live": "it answers to a SIM_ parameter, so it is simulated: a live station does not "
    "command it",
    "preflight_says.realm_simulated": "a simulated autopilot in a training station",
    "preflight_says.realm_real": "a real autopilot in a live station",
    "preflight_says.other_aircraft": "the plan was made for system {system}, hardware {hardware}, and another aircraft "
    "answers",
    "preflight_says.aircraft": "system {system}, hardware {hardware}",
    "preflight_says.not_reported": "not reported yet",
    "preflight_says.no_fix": "no 3D fix yet",
    "preflight_says.leapt": "its place leapt by {metres} m {seconds} s ago",
    "preflight_says.fix": "3D fix, {figures}",
    "preflight_says.poor_fix": "poor: 3D fix, {figures}",
    "preflight_says.settling": "the estimate is settling",
    "preflight_says.prearm": "the autopilot's own pre-arm checks fail: {why}",
    "preflight_says.estimate": "good enough for GUIDED, pre-arm checks pass",
    "preflight_says.charge_unknown": "the charge is not known",
    "preflight_says.charge_low": "{percent} %; {least_percent} % are needed",
    "preflight_says.charge": "{percent} %",
    "preflight_says.place_unknown": "its position is not known yet",
    "preflight_says.far_from_home": "it stands {metres} m from the planned take-off place; {allowed_m} m are allowed",
    "preflight_says.at_home": "{metres} m from the planned take-off place",
    "preflight_says.not_read_back": "the mission in the drone was not compared with the plan",
    "preflight_says.read_back": "read back, and equal to the plan",
    "preflight_says.no_failsafe": "the autopilot has no FS_GCS_ENABLE",
    "preflight_says.failsafe_off": "off: it would fly on without a link",
    "preflight_says.failsafe": "it comes home by itself when the link is lost",
    "preflight_says.no_fence": "the plan asks for none",
    "preflight_says.fence_off": "uploaded, and the autopilot does not keep to it",
    "preflight_says.fence": "the autopilot keeps to {corners} corners",
    "preflight_says.in_the_air": "it is in the air already, in {mode}",
    "preflight_says.armed": "armed already",
    "preflight_says.on_the_ground": "on the ground, disarmed, in {mode}",
}

_HOLE = re.compile(r"\{(\w+)\}")


def item(name: str, state: PreflightState, word: str, /, **params: str | float | int) -> PreflightItem:
    """word: of the key, after `preflight_says.`."""
    key = f"preflight_says.{word}"
    return PreflightItem(name, state, _HOLE.sub(lambda hole: str(params[hole[1]]), WORDS[key]), key, params)
