"""What a flight says of itself, and what became of a command: part of fleet.dispatch_words, in all languages of the station.

What an autopilot says, and the names of MAVLink's own errors, stay as they are: nobody has translated them.
"""

from __future__ import annotations

FLIGHT_WORDS: dict[str, str] = {
    # a flight, from its plan to its end
    "sortie.created": "{corridor|corridor} by {drone}",
    "sortie.not_passed": "the plan did not pass its checks: {why}",
    "sortie.no_place": "{drone} does not say where it is",
    "sortie.going_up": "{count} items are going up",
    "sortie.received": "{count} items accepted",
    "sortie.accepted": "{count} items read back, equal to the plan",
    "sortie.not_taken_in": "the plan is not in {drone}: {why}",
    "sortie.no_parameter": "{drone} has no {name}, and the plan asks for it",
    "sortie.interrupted": "the drone or its link was interrupted before take-off: what it holds has to be read anew",
    "sortie.preflight": "pre-flight: {why}",
    "sortie.preflight_item": "{item|preflight_item}: {why}",
    "sortie.not_armed": "{drone} accepted arming and does not say that it is armed",
    "sortie.on_ground": "{drone} accepted the take-off and is still on the ground",
    "sortie.taken_off": "{drone} has taken off",
    "sortie.no_climb": "{drone} does not climb: {height_m} of {wanted_m} m",
    "sortie.called_back": "{why}; called back: {outcome}",
    "sortie.not_home": "{why}; it has not taken the order yet: {outcome}",
    "sortie.taken_over": "{drone} {mode|flight_mode} ({mode}): its own failsafe or a remote control, not the fleet",
    "sortie.taken_over_why": "{drone} {mode|flight_mode} ({mode}): its own failsafe or a remote control, not the fleet: "
    "{why}",
    "sortie.overdue": "{drone} has not landed {seconds} s after take-off; last in {mode}",
    "sortie.early": "{drone} landed before the end of its patrol, at item {item} of {last}, in {mode}",
    "sortie.early_after": "{drone} landed before the end of its patrol, at item {item} of {last}, in {mode}, after {why}",
    "sortie.errand_early": "{drone} landed before its errand was over, in {mode}",
    "sortie.errand_early_after": "{drone} landed before its errand was over, after {why}",
    "sortie.flown": "{drone} has flown {count} waypoints, landed and disarmed",
    "sortie.watch_returns": "{drone} is called back: {why}",
    "sortie.watch_returned": "{drone} is called back: {why}; {outcome}",
    "sortie.watch_warns": "{drone}: warning: {why}",
    "sortie.battery": "{drone} has {percent} % left in its battery",
    "sortie.silent_end": "{drone} is disarmed and reports nothing: whether it has landed is not known",
    "sortie.restarted": "{drone} has started anew in the middle of the sortie, on the way to item {item}: look for it "
    "there",
    "sortie.fault": "{drone}: the fleet service failed at this flight; {outcome}",
    "sortie.service_stops": "the fleet service stops; {outcome}",
    "sortie.service_stops_ground": "{drone} stays on the ground: the fleet service stops",
    "sortie.not_started": "{drone} has not taken off within {seconds} s",
    "dispatch.real": "{drone} answers to no SIM_ parameter, so it is a real aircraft: a training station commands simulated "
    "ones only",
    "dispatch.simulated": "{drone} answers to a SIM_ parameter, so it is simulated: a live station does not command it",
    "dispatch.other_hardware": "{drone}: the aircraft on {connection} has hardware {found}, and the settings name {wanted}: "
    "it is not commanded",
    "dispatch.not_flown": "{drone}: its autopilot is a {kind}, which has not passed the conformance suite: it is shown, and "
    "not commanded",
    "dispatch.fault": "the fleet service failed at this order: {error}",
    # what cut a flight short
    "before.link": "its link was lost at item {item}",
    "before.mode": "it went into {mode}",
    "before.watch": "it was called back, because {why}",
    "before.battery": "it was called back with {percent} % left in its battery",
    # somebody was looked at, and is not flown over
    "passing.leaves": "{why}; {drone} goes round contact {contact}, {metres} m off, and then goes on",
    "passing.leaves_home": "{why}; {drone} goes round contact {contact}, {metres} m off, and then comes home",
    "passing.round": "{drone} goes round contact {contact}, {metres} m off, and then goes on",
    "passing.rejoined": "{drone} goes on with {corridor|corridor} beyond contact {contact}; it leaves out {metres} m",
    "passing.home": "{drone} is past contact {contact} and comes home",
    "passing.nothing_beyond": "{drone} comes home: all that is left of {corridor|corridor} lies beside contact {contact}",
    "passing.no_way": "{drone} comes home: there is no way round contact {contact} that it may fly",
    # commands
    "command.accepted": "{drone}: {what}: accepted",
    "command.refused": "{drone}: {what}: {result|command_result}",
    "command.refused_why": "{drone}: {what}: {result|command_result} ({why})",
    "command.silent": "{drone}: {what}: no acknowledgement after {tries} tries",
    "command.no_mode": "{drone}: mode {mode}: an autopilot of kind {kind} has no such mode",
    "command.other_mode": "{drone}: mode {mode} was accepted, and the drone still says {now}",
    "command.is_set": "{drone}: {name} is {value}",
    "command.not_set": "{drone}: {name} could not be set to {value}",
    "command.what.arm": "arm",
    "command.what.disarm": "disarm",
    "command.what.take_off": "take off to {height_m} m",
    "command.what.mode": "mode {mode}",
    "command.what.speed": "{speed_m_s} m/s",
    "command.what.camera": "camera ahead and down",
    "command.what.first_item": "begin at the first item",
    "command.what.after_take_off": "begin after the take-off",
    "command.what.go_on_at": "go on at item {item}",
}
