"""What persons ask of the mind: each request is done, and on the disk, before its answer leaves.

Whatever is asked follows one pattern: remember how it was, change it, write the record, commit; where the disk refuses,
put it back as it was and let the error go on, so that nobody is told of something that a restart would not know.
"""

from __future__ import annotations

import contextlib
import copy
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from station.alarms import (
    CANDIDATE_NO,
    CANDIDATE_YES,
    MATCH_REJECTED,
    Alarm,
    Decision,
    alarm_number,
    decide,
    note_candidate,
)
from station.contacts import Contact
from station.coverage_picture import SetWeather, TellWalk
from station.coverage_settings import weather_refusal
from station.fusion import Fusion
from station.matching import Match
from station.picture import (
    AlarmState,
    Answer,
    ChangeAlarm,
    DecideMatch,
    Done,
    GetPicture,
    MatchState,
    Picture,
    Refused,
    Request,
    Sentence,
)
from station.questions import Questions
from station.record import Record
from station.rules import AlarmDesk
from station.situation import Situation
from wire.clock import Clock


@dataclass(frozen=True, slots=True)
class MindParts:
    """What the mind thinks with, as its requests may touch it.

    touch: a contact was changed, and the next commit and delta tell of it. note_ended: these were ended or merged away.
    commit: everything that has changed, durably, now; raises sqlite3.Error. picture: everything as it is. set_weather: for
    coverage; raises sqlite3.Error. watched: how many screens are watched now.
    """

    clock: Clock
    fusion: Fusion
    ended: dict[int, Contact]
    desk: AlarmDesk
    questions: Questions
    situation: Situation
    record: Record
    touch: Callable[[Contact], None]
    note_ended: Callable[[list[Contact]], None]
    commit: Callable[[], None]
    picture: Callable[[], Picture]
    set_weather: Callable[[SetWeather], None]
    tell_walk: Callable[[TellWalk], Sentence | None]
    watched: Callable[[int], None]


@contextlib.contextmanager
def put_back_when_refused(desk: AlarmDesk, alarms: list[Alarm]) -> Iterator[None]:
    """Whatever happens to these alarms inside is undone where the disk refuses it; what waited for the disk still waits."""
    before = [(copy.deepcopy(alarm), alarm.number in desk.changed) for alarm in alarms]
    try:
        yield
    except sqlite3.Error:
        for alarm, has_waited in before:
            desk.open[alarm.number] = alarm
            desk.changed.pop(alarm.number, None)
            if has_waited:
                desk.changed[alarm.number] = alarm
        raise


class MindRequests:
    """Answers one request after another."""

    def __init__(self, parts: MindParts) -> None:
        self._parts = parts

    def answer(self, request: Request) -> Answer:
        """Do what a person asks, on the disk before this returns. Raises sqlite3.Error, and then nothing has changed."""
        match request:
            case GetPicture():
                return self._parts.picture()
            case ChangeAlarm():
                return self._change_alarm(request)
            case DecideMatch():
                return self._decide_match(request)
            case SetWeather():
                return self._set_weather(request)
            case TellWalk():
                return self._tell_walk(request)
            case _:
                return Refused(Sentence("ask.refused.not_understood", {}))

    def _change_alarm(self, r: ChangeAlarm) -> Answer:
        desk = self._parts.desk
        number = alarm_number(r.alarm)
        alarm = desk.open.get(number) if number is not None else None
        if alarm is None:
            return Refused(Sentence("alarm.refused.unknown", {"alarm": r.alarm}))
        with put_back_when_refused(desk, [alarm]):
            refused = self._move(alarm, Decision(r.to, r.person, r.reason))
            if refused is not None:
                return Refused(refused)
            self._parts.record.append(r.person, f"alarm.{r.to.value}", {"alarm": alarm.id, "reason": r.reason})
            self._parts.commit()
        return Done()

    def _set_weather(self, r: SetWeather) -> Answer:
        refused = weather_refusal(r)
        if refused is not None:
            return Refused(refused)
        told: dict[str, str | int | float] = {
            "visibility_m": r.visibility_m, "rain_mm_h": r.rain_mm_h, "cloud": r.cloud, "hours": r.hours,
        }
        self._parts.record.append(r.person, "coverage.weather", told)
        self._parts.set_weather(r)
        return Done()

    def _tell_walk(self, r: TellWalk) -> Answer:
        refused = self._parts.tell_walk(r)
        if refused is not None:
            return Refused(refused)
        corridors = sorted({p.corridor for p in r.passes})
        told: dict[str, str | int | float] = {
            "corridors": ", ".join(corridors), "passes": len(r.passes), "alarmed": sum(bool(p.alarm) for p in r.passes),
        }
        self._parts.record.append(r.person, "coverage.walked", told)
        return Done()

    def _move(self, alarm: Alarm, decision: Decision) -> Sentence | None:
        refused = decide(alarm, decision, self._parts.clock.utc_ns())
        if refused is None:
            self._parts.desk.changed[alarm.number] = alarm
        return refused

    def _decide_match(self, r: DecideMatch) -> Answer:
        questions, desk = self._parts.questions, self._parts.desk
        decided = questions.decide(r.match, r.to, r.person, r.reason, self._parts.clock.utc_ns())
        if isinstance(decided, Sentence):
            return Refused(decided)
        asking = [a for a in desk.open.values() if decided.id in a.matches and a.is_open]
        try:
            with put_back_when_refused(desk, asking):
                for alarm in asking:
                    self._settle_alarm(alarm, decided, r.to, r.person)
                self._parts.commit()
        except sqlite3.Error:
            questions.undo(decided)
            raise
        return Done()

    def _settle_alarm(self, alarm: Alarm, decided: Match, answer: MatchState, person: str) -> None:
        """What the answer about one candidate does to the alarm that asked: the last no closes it, a yes takes it."""
        asked = [m for m in self._parts.questions.matches.values() if m.id in alarm.matches]
        if all(m.state is MatchState.REJECTED for m in asked):
            self._move(alarm, Decision(AlarmState.CLOSED, person, MATCH_REJECTED))
        elif decided.state is MatchState.CONFIRMED and alarm.is_unanswered:
            self._move(alarm, Decision(AlarmState.ACKNOWLEDGED, person, f"match_confirmed {decided.contact}"))
        else:
            said = CANDIDATE_NO if answer is MatchState.REJECTED else CANDIDATE_YES
            note_candidate(alarm, said, decided.contact, person, self._parts.clock.utc_ns())
            self._parts.desk.changed[alarm.number] = alarm
