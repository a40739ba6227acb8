"""A trainee who answers at once: takes each alarm after a while, and closes it when it is over.

For runs with nobody at the screen. He knows no truth: he closes as "crossing" what he cannot tell, as "exercise" what is
technical. How long he takes is drawn from a lognormal, median ANSWERS_S; it measures the machine's queue, and no person.
"""

from __future__ import annotations

import math

import numpy as np

from station.alarms import TECHNICAL_RULES
from station.mind import Mind
from station.picture import AlarmState, ChangeAlarm, Picture
from wire.clock import NS_PER_S

PERSON = "drilled operator"
ANSWERS_S, ANSWERS_SPREAD = 20.0, 0.5       # median, sigma of the logarithm
CLOSES_AFTER_S = 90.0                       # that its contacts are gone


class DrilledOperator:
    """looks: every so often, as a person looks up."""

    def __init__(self, seed: int) -> None:
        self._chance = np.random.default_rng([seed, 31])
        self._answers_ns: dict[str, int] = {}

    def look(self, mind: Mind, picture: Picture, now_ns: int) -> None:
        live = {c.id for c in picture.contacts}
        for alarm in picture.alarms:
            if alarm.state is AlarmState.CLOSED:
                continue
            if alarm.id not in self._answers_ns:
                wait_s = ANSWERS_S * math.exp(ANSWERS_SPREAD * float(self._chance.standard_normal()))
                self._answers_ns[alarm.id] = now_ns + round(wait_s * NS_PER_S)
            if alarm.state in (AlarmState.ACTIVE, AlarmState.ESCALATED):
                if now_ns >= self._answers_ns[alarm.id]:
                    mind.answer(ChangeAlarm(alarm.id, AlarmState.ACKNOWLEDGED, PERSON))
                continue
            is_technical = alarm.rule in TECHNICAL_RULES
            quiet = not any(c in live for c in alarm.contacts)
            since_ns = alarm.events[-1].at_ns
            if alarm.state is AlarmState.ACKNOWLEDGED and (is_technical or quiet) and \
                    now_ns - since_ns > CLOSES_AFTER_S * NS_PER_S:
                reason = "technical" if is_technical else "crossing"
                mind.answer(ChangeAlarm(alarm.id, AlarmState.CLOSED, PERSON, reason))
