"""Who may command drones.

Pilots and supervisors may do everything. Whoever is in front of the alarms may have a contact looked at with the same press
(an offer to investigate, its launch, its withdrawal), and may call back the drone that looks: the fleet's own checks are the
same for everybody, and a crossing does not wait for a pilot to be woken. Trainers and administrators command in a training
station, where the fleet obeys nobody but simulated autopilots; in a live one they do not.
"""

from __future__ import annotations

from station.access import Role
from wire.tasking import FleetAction, FlightKind
from wire.units import Realm

_PILOTS = frozenset({Role.PILOT, Role.SUPERVISOR})
_OF_TRAINING = frozenset({Role.TRAINER, Role.ADMINISTRATOR})
_SENT_BY_OPERATORS = frozenset({FleetAction.PLAN, FleetAction.LAUNCH, FleetAction.WITHDRAW, FleetAction.RETURN})


def flies(role: Role, realm: Realm) -> bool:
    """Whether a person of this role may command drones."""
    return role in _PILOTS or (realm is Realm.TRAINING and role in _OF_TRAINING)


def sends(role: Role, realm: Realm) -> bool:
    """Whether one may have a drone look at a contact."""
    return role is Role.OPERATOR or flies(role, realm)


def may_order(role: Role, realm: Realm, action: FleetAction, kind: FlightKind | None) -> bool:
    """kind: of the flight that the order is about: wished for, offered, or flown by the drone; None where nobody knows."""
    if flies(role, realm):
        return True
    return sends(role, realm) and action in _SENT_BY_OPERATORS and kind is FlightKind.INVESTIGATE
