"""Whether anybody was asked about a crossing: an alarm that stands for it is no question if somebody had taken it before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sim.truth import Crossing, who_crosses
from sim.truth_log import Course
from station.alarms import JOINED, Alarm
from station.picture import AlarmState

WAITING = (AlarmState.ACTIVE, AlarmState.ESCALATED)


def was_asked(crossing: Crossing, alarms: Sequence[Alarm], owners: Mapping[str, Course | None]) -> bool:
    """True where one of its contacts raised an alarm, joined one that waited for an answer, or joined one that asked again
    afterwards; False where they only joined what somebody had taken or put aside."""
    for alarm in alarms:
        if not alarm.is_about_contacts or alarm.corridor not in (crossing.corridor, None):
            continue
        for contact in alarm.contact_ids:
            owner = owners.get(contact)
            if owner is not None and who_crosses(owner) == crossing.who and _asks_about(alarm, contact):
                return True
    return False


def _asks_about(alarm: Alarm, contact: str) -> bool:
    joined = next((i for i, e in enumerate(alarm.events) if e.reason == f"{JOINED} {contact}"), 0)
    return any(e.state in WAITING for e in alarm.events[joined:])
