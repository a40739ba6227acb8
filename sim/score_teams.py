"""Teams that were sent out in an exercise: to whom, how soon, when they were there, and what came of it.

From the station's shift log, and the truth. A team is rightly sent where the alarm was about somebody who crosses, is looked
for, or is a child; whoever sends one after a farmer, a buffalo or nobody has it missing elsewhere.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from sim.world_state import Role
from station.duty import TeamState
from station.shift_log import read_entries
from station.teams import Team, Teams
from wire.clock import NS_PER_S

if TYPE_CHECKING:
    from sim.score import Evidence
    from station.alarms import Alarm

MEANT = (Role.CROSSER, Role.SUBJECT, Role.CHILD)


class TeamScore(msgspec.Struct, frozen=True):
    """One team that was sent. Times: seconds of the exercise; None for what did not happen.

    who: as the person calls it who sent it. waited_s: from the alarm until then. expected_s: when it was to be there. right:
    whether it was sent after somebody who was meant. outcome: a code of station.teams; empty while it is out, or recalled.
    """

    team: str
    who: str
    alarm: str
    by: str
    sent_s: float
    waited_s: float | None
    expected_s: float
    arrived_s: float | None
    recalled: bool
    outcome: str
    right: bool | None


def read_teams(mind: sqlite3.Connection) -> list[Team]:
    """All that a station's shift log knows of."""
    teams = Teams()
    for entry in read_entries(mind):
        teams.take(entry)
    return list(teams.all.values())


def judge_teams(e: Evidence, role_of: Callable[[Alarm, Evidence], str]) -> tuple[TeamScore, ...]:
    """role_of: of whom an alarm was about."""
    alarms = {a.id: a for a in e.all_alarms}
    return tuple(_team(t, alarms.get(t.alarm), e, role_of) for t in e.teams if t.events[0].at_ns >= e.began_ns)


def _team(t: Team, alarm: Alarm | None, e: Evidence, role_of: Callable[[Alarm, Evidence], str]) -> TeamScore:
    def at_s(ns: int) -> float:
        return round((ns - e.began_ns) / NS_PER_S, 3)

    sent = t.events[0]
    arrived = next((x for x in t.events if x.state is TeamState.ARRIVED), None)
    done = next((x for x in t.events if x.state is TeamState.DONE), None)
    return TeamScore(
        t.id, t.who, t.alarm, sent.person, at_s(sent.at_ns),
        round((sent.at_ns - alarm.events[0].at_ns) / NS_PER_S, 3) if alarm is not None else None, at_s(t.expected_ns),
        at_s(arrived.at_ns) if arrived is not None else None, any(x.state is TeamState.RECALLED for x in t.events),
        done.reason.split(maxsplit=1)[0] if done is not None and done.reason else "",
        role_of(alarm, e) in MEANT if alarm is not None else None,
    )
