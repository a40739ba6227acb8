"""What the dispatcher says of orders, offers and choices: here in English, in the station's language files in all its
languages, with the same parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from fleet.checker_words import utc_text
from fleet.flight_words import FLIGHT_WORDS
from wire.flying import CheckFinding

Params = dict[str, str | float | int]

WORDS: dict[str, str] = {
    # orders that cannot be carried out, whatever the drones do
    "dispatch.late": "too late: the order was valid until {until_ns|time}",
    "dispatch.unknown_action": 'this fleet does not know the order "{action}"',
    "dispatch.no_wish": "a plan was ordered, and not what is to be flown",
    "dispatch.no_contact": "the order names no contact",
    "dispatch.no_drone": "the order names no drone",
    "dispatch.no_plan": "the order names no plan",
    "dispatch.bad_id": "an order's id has 1 to {most} printable characters",
    "dispatch.disk": "the disk of the fleet service takes no orders: {error}",
    "dispatch.restarted": "the fleet service was started anew while it had this order in hand: give it again",
    # drones
    "dispatch.unknown_drone": 'the fleet has no drone "{drone}"',
    "dispatch.unknown_aircraft": "{drone} has not said yet which aircraft it is",
    "dispatch.link": "the link to {drone} is {link}",
    "dispatch.mode": "{drone} is in the air in {mode}, which is left until it lands",
    "dispatch.position": "{drone} does not know where it is",
    "dispatch.battery": "{drone} has {percent} % in its battery; {least_percent} % are needed",
    "dispatch.swap_real": "{drone} is a real aircraft: change its battery by hand; the new charge counts as soon as the "
    "drone reports it",
    "dispatch.swap_flying": "the battery of {drone} can be swapped after it has landed and disarmed",
    "dispatch.swapped": "{drone} has a new battery: {percent} %",
    "dispatch.swap_unseen": "{drone} has accepted a new battery, and still reports {percent} %",
    "dispatch.called_home": "{drone} was called home",
    "dispatch.looks": "{drone} looks at contact {contact}",
    "dispatch.paused": "{drone} was told to stay where it is by {person}",
    "dispatch.busy": "{drone} flies {plan} with priority {priority}, and this has {wanted}: it does not take its place, and "
    "can wait",
    "dispatch.starting": "{drone} is about to take off, or has just landed, with {plan}",
    "dispatch.overtaken": "the drone has been given something else meanwhile",
    "dispatch.no_sortie": "{drone} flies nothing of this fleet's",
    "dispatch.not_flying": "{drone} is on the ground",
    # plans and offers
    "dispatch.no_corridor": 'the sector has no corridor "{corridor}"',
    "dispatch.no_place": "no place was given",
    "dispatch.no_debt": "the station did not say what has not been seen",
    "dispatch.no_share": "{drone} is not among the drones that share the corridor, or one of them is not known",
    "dispatch.cannot": "{why}",
    "dispatch.offered": "{drone}: {count} waypoints, {minutes} min, {energy_percent} % of its battery",
    "dispatch.check": "the plan does not pass its checks: {why}",
    "dispatch.fit_charge": "{drone} has {percent} % in its battery and takes off with {least_percent} % or more: swap or "
    "charge the battery",
    "dispatch.fit_battery": "even the shortest flight of this kind is too long for {drone}: {why}. Swap or charge the "
    "battery, or choose a place nearer to its home",
    "dispatch.no_offer": 'there is no offer "{plan}" any more',
    "dispatch.expired": "the offer has expired: ask for it again",
    "dispatch.waits": "it waits until {drone} is free; priority {priority}, {ahead} before it",
    "dispatch.patrols": "{drone} flies its patrols again",
    "dispatch.withdrawn": "withdrawn",
    "dispatch.no_longer_waits": "no longer waiting: {plans}",
    "dispatch.flown": "{plan} is being flown already: order the drone to return",
    # contacts
    "dispatch.unknown_contact": "the fleet has heard nothing of contact {contact}",
    "dispatch.gone": "contact {contact} is gone",
    "dispatch.realm": "contact {contact} and this fleet are not of one realm: simulated and real are not mixed",
    "dispatch.old": "contact {contact} was last seen {seconds} s ago",
    "dispatch.no_room": "{drone} can be nowhere: its home is too near to the border or in a keep-out",
    "dispatch.no_side": "{drone} can look at contact {contact} from no side: too near to the border, in a keep-out, hidden "
    "by the ground, or without a straight way home",
    "dispatch.pressed": "{drone} can look at contact {contact} from no side from which the way away from it is safe",
    "dispatch.not_held": "no drone looks at contact {contact}",
    "dispatch.no_other": "there is no other drone than {drone}",
    "dispatch.relieved_already": "another drone is on its way to contact {contact}",
    "dispatch.slower": "{drone} would be there {seconds} s later",
    "dispatch.nobody": "no drone can: {why}",
    # what a drone that looks at a contact says
    "look.begins": "{drone} is on its way to look at contact {contact}",
    "look.knows_line": "{drone} knows the border line round contact {contact}; no slopes, for the terrain is flat here, and "
    "no water",
    "look.knows_ground": "{drone} knows steep ground and the border line round contact {contact}, and no water",
    "look.unknown": "the station says nothing of contact {contact} any more",
    "look.lost": "{drone} does not see contact {contact} any more, for {seconds} s: it looks wider",
    "look.found": "{drone} sees contact {contact} again",
    "look.gone": "contact {contact} is gone",
    "look.given_up": "contact {contact} has not been seen for {seconds} s",
    "look.refused": "{drone} stays where it is: its next place beside contact {contact} does not pass its check: {why}",
    "look.no_place": "{drone} stays where it is: there is no place beside contact {contact} that it may be at",
    "look.far": "{drone} keeps far from contact {contact}: from every side nearer by, the way away from it leads to steep "
    "ground, to the border line, or where it may not be",
    "look.side": "{drone} keeps to one side of contact {contact}: from the others the way away from it leads to steep "
    "ground or to the border line",
    # what a drone's task says, that people have given it
    "task.paused": "{drone} stays where it is, by order of {person}",
    "task.goes_on": "{drone} goes on, by order of {person}",
    "task.returns": "{drone} was ordered to return by {person}",
    "task.returns_round": "{drone} was ordered to return by {person}, and goes round contact {contact} first; ordered "
    "again, it comes straight",
    "task.lands": "{drone} was ordered to land by {person}",
    "task.called_off": "{drone} was called off by {person} before it took off",
    "task.replaced": "{drone} flies {plan} in its place",
    "task.joined": "{drone} has taken up the plan in the air",
    "task.after": "{why}; {drone} goes on with {corridor} where it was",
    "task.home": "{why}; {drone} comes home",
    "task.ended": "{why}; {drone} has landed and disarmed",
    "task.errand_failed": "{drone}: the fleet service failed at what it was sent for",
    "task.taken_over": "{drone} is in {mode}, which the fleet has not ordered: what it was sent for is over",
    "task.looks": "{drone} is to look at contact {contact}; what it flies waits",
    "look.not_taken": "{drone} did not take it up",
    "look.relieved": "{second} holds contact {contact}",
    **FLIGHT_WORDS,
}

# Ways of names that have words of their own in other languages.
NAMES = ("command_result", "preflight_item", "transfer_of")
_HOLE = re.compile(r"\{(\w+)(?:\|(\w+))?\}")


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence in English, and its key and parameters for those who read another language."""

    sentence: str
    key: str
    params: Params = field(default_factory=dict)


def said(key: str, /, **params: str | float | int | Said | tuple[Said, ...]) -> Said:
    """A parameter may be a sentence, or several: it is put in as it stands, and taken apart for other languages. Of a
    sentence `why` these are `why|key` and `why|NAME` for each of its parameters; of several, `why|n`, `why|0|key` and so on.
    """
    flat: Params = {}
    for name, value in params.items():
        flat |= _flat(name, value)

    def fill(hole: re.Match[str]) -> str:
        name, way = hole.groups()
        if way == "time":
            return utc_text(int(flat[name]))
        return str(flat[name]).replace("_", " ") if way in NAMES else str(flat[name])

    return Said(_HOLE.sub(fill, WORDS[key]), key, flat)


def _flat(name: str, value: str | float | int | Said | tuple[Said, ...]) -> Params:
    if isinstance(value, Said):
        key: Params = {f"{name}|key": value.key} if value.key else {}
        return {name: value.sentence, **key, **{f"{name}|{inner}": v for inner, v in value.params.items() if value.key}}
    if isinstance(value, tuple):
        parts: Params = {name: "; ".join(s.sentence for s in value), f"{name}|n": len(value)}
        for i, one in enumerate(value):
            parts |= _flat(f"{name}|{i}", one)
        return parts
    return {name: value}


def reasons(findings: Iterable[CheckFinding]) -> tuple[Said, ...]:
    """Why a check did not pass, as sentences to be put into another one."""
    return tuple(Said(f.sentence, f.key, f.params) for f in findings)


def plain(sentence: str) -> Said:
    """What has no words of its own in other languages: an autopilot's reason."""
    return Said(sentence, "")
