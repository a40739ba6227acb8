"""An alarm that stands for a crossing is a question about it, or is not."""

import numpy as np
import pytest

from sim.score_asked import was_asked
from sim.truth import Crossing
from sim.truth_log import Course
from sim.world_state import Kind, Role
from station.alarms import Alarm, Decision, decide, join_contact, raise_alarm
from station.picture import AlarmState, Sentence

CROSSING = Crossing((1, 2), "khe-da", 0, 100, 10)
OTHER, OURS = "C-000001", "C-000002"


def an_alarm() -> Alarm:
    made = Alarm(1, "corridor_entry", 2, 0, Sentence("alarm.corridor_entry", {}), True, [1], [OTHER], corridor="khe-da")
    return raise_alarm(made, 0)


def a_course(actor: int) -> Course:
    at = np.arange(3)
    return Course(1, actor, Kind.PERSON, Role.CROSSER, 0, "", at, np.zeros((3, 3)), np.zeros(3, int), np.zeros(3, int))


def asked(alarm: Alarm, corridor: str = "khe-da") -> bool:
    crossing = Crossing((1, 2), corridor, 0, 100, 10)
    return was_asked(crossing, [alarm], {OTHER: a_course(1), OURS: a_course(2)})


def test_who_raises_an_alarm_or_joins_one_that_waits_is_asked_about():
    alarm = an_alarm()
    assert not asked(alarm)                     # nobody of this crossing is in it
    join_contact(alarm, 2, OURS, 1)
    assert asked(alarm) and not asked(alarm, "ben-song")
    decide(alarm, Decision(AlarmState.ACKNOWLEDGED, "lan", ""), 2)
    assert asked(alarm)                         # whoever took it was asked about both


@pytest.mark.parametrize("answer", [AlarmState.ACKNOWLEDGED, AlarmState.SHELVED])
def test_who_joins_what_was_answered_is_asked_about_only_if_it_asks_again(answer):
    alarm = an_alarm()
    decide(alarm, Decision(answer, "lan", "5"), 1)
    join_contact(alarm, 2, OURS, 2)
    assert not asked(alarm)
    decide(alarm, Decision(AlarmState.ESCALATED, "lan", ""), 3)
    assert asked(alarm)
