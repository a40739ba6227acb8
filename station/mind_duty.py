"""What persons on duty ask of the mind beside answering alarms: teams, incidents, notes, the hand-over, and who watches.

Each request becomes one entry of the shift log. It is on the disk before anything is folded from it and before anybody is
told, so that a refused disk leaves nothing to undo but the alarm that went with it.
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from geofences.sector import Sector
from station.alarm_settings import AlarmSettings
from station.alarms import TEAM_SENT, Alarm, Decision, alarm_number, decide
from station.duty import (
    AddToIncident,
    CloseIncident,
    Duty,
    DutyRequest,
    GetDuty,
    Made,
    NoteIncident,
    NoteShift,
    NoteWatch,
    OpenHandover,
    OpenIncident,
    SendTeam,
    Sheet,
    SignHandover,
    TellTeam,
)
from station.handover import Handovers, Standing, make_sheet
from station.incidents import Incidents, check_text
from station.mind_requests import MindParts, put_back_when_refused
from station.picture import AlarmState, Answer, Done, Refused, Sentence
from station.settings import StationSettings
from station.shift_log import (
    Body,
    Entry,
    HandoverOpened,
    HandoverSigned,
    IncidentAlarm,
    IncidentClosed,
    IncidentNote,
    IncidentOpened,
    ShiftNote,
    TeamSent,
    TeamTold,
    handover_id,
    incident_id,
    log_line,
    team_id,
)
from station.teams import Teams
from wire.clock import NS_PER_S
from wire.units import Realm

LINES_SHOWN = 200               # of the log
INCIDENTS_SHOWN = 50
HANDOVERS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class _Wish:
    """An entry that somebody asks for. action: for the record. made: the id of what it makes."""

    person: str
    body: Body
    action: str
    about: str
    made: str | None = None


class DutyDesk:
    """`fresh` holds the entry that the next commit must take; `retold` the alarms whose view has changed by all this."""

    def __init__(
        self, settings: StationSettings, sector: Sector, alarms: AlarmSettings, db: sqlite3.Connection, entries: list[Entry]
    ) -> None:
        self._settings = settings
        self._sector = sector
        self._grace_ns = round(alarms.technical.team_overdue.after_s * NS_PER_S)
        self._db = db
        self._entries: list[Entry] = []
        self.teams, self.incidents, self.handovers = Teams(), Incidents(), Handovers()
        self.fresh: list[Entry] = []
        self.retold: set[int] = set()
        for entry in entries:
            self._take(entry)

    def _take(self, entry: Entry) -> None:
        self._entries.append(entry)
        for fold in (self.teams, self.incidents, self.handovers):
            fold.take(entry)

    # ------------------------------------------------------------------------------------------------------ requests

    def answer(self, request: DutyRequest, parts: MindParts) -> Answer:
        """Do what a person asks, on the disk before this returns. Raises sqlite3.Error, and then nothing has changed."""
        now_ns = parts.clock.utc_ns()
        match request:
            case GetDuty():
                return self._duty(parts, now_ns)
            case NoteWatch():
                parts.watched(request.screens)
                return Done()
            case SendTeam():
                return self._send(request, parts, now_ns)
            case _:
                wish = self._wish(request, parts, now_ns)
                return Refused(wish) if isinstance(wish, Sentence) else self._log(wish, parts, now_ns)

    def _wish(self, request: DutyRequest, parts: MindParts, now_ns: int) -> _Wish | Sentence:
        match request:
            case TellTeam():
                body = self.teams.tell(request.team, request.to, request.reason)
            case OpenIncident():
                unknown = next((a for a in request.alarms if _find(parts, a) is None), None)
                if unknown is not None:
                    return Sentence("alarm.refused.unknown", {"alarm": unknown})
                body = self.incidents.begin(request.title, request.alarms)
            case AddToIncident():
                if _find(parts, request.alarm) is None:
                    return Sentence("alarm.refused.unknown", {"alarm": request.alarm})
                body = self.incidents.add(request.incident, request.alarm)
            case NoteIncident():
                body = self.incidents.note(request.incident, request.text)
            case CloseIncident():
                body = self.incidents.close(request.incident, request.reason)
            case NoteShift():
                if request.alarm and _find(parts, request.alarm) is None:
                    return Sentence("alarm.refused.unknown", {"alarm": request.alarm})
                body = check_text(request.text) or ShiftNote(request.text.strip(), request.alarm)
            case OpenHandover():
                body = self.handovers.begin(request.person, request.to, request.note, self.sheet(parts, now_ns))
            case SignHandover():
                body = self.handovers.sign(request.handover, request.person)
            case _:
                return Sentence("ask.refused.not_understood", {})
        return body if isinstance(body, Sentence) else _wish_of(request.person, body)

    def _send(self, r: SendTeam, parts: MindParts, now_ns: int) -> Answer:
        """Whoever sends a team has taken the alarm: both are one step."""
        alarm = _find(parts, r.alarm)
        if alarm is None or not alarm.is_open:
            return Refused(Sentence("alarm.refused.unknown", {"alarm": r.alarm}))
        if alarm.simulated and self._settings.realm is Realm.LIVE:
            return Refused(Sentence("team.refused.simulated", {}))
        body = self.teams.send(alarm.id, r.who, r.expected_min, r.note, alarm.simulated, now_ns)
        if isinstance(body, Sentence):
            return Refused(body)
        wish = _wish_of(r.person, body)
        with put_back_when_refused(parts.desk, [alarm]):
            if alarm.is_unanswered or alarm.state is AlarmState.SHELVED:
                decide(alarm, Decision(AlarmState.ACKNOWLEDGED, r.person, f"{TEAM_SENT} {wish.made}"), now_ns)
                parts.desk.changed[alarm.number] = alarm
            return self._log(wish, parts, now_ns)

    def _log(self, wish: _Wish, parts: MindParts, now_ns: int) -> Answer:
        number = self._entries[-1].number + 1 if self._entries else 1
        entry = Entry(number, now_ns, wish.person, wish.body)
        self.fresh = [entry]
        try:
            parts.record.append(wish.person, wish.action, {"entry": number, "about": wish.about})
            parts.commit()
        finally:
            self.fresh = []
        self._take(entry)
        self._retell(entry)
        return Done() if wish.made is None else Made(wish.made)

    def _retell(self, entry: Entry) -> None:
        """Which alarms look different by this entry."""
        match entry.body:
            case TeamSent(alarm=alarm) | IncidentAlarm(alarm=alarm):
                alarms = [alarm]
            case TeamTold(team=team):
                alarms = [self.teams.all[team].alarm]
            case IncidentOpened(alarms=opened_with):
                alarms = list(opened_with)
            case IncidentClosed(incident=incident):
                alarms = self.incidents.all[incident].alarms
            case _:
                alarms = []
        self.retold.update(n for a in alarms if (n := alarm_number(a)) is not None)

    # ------------------------------------------------------------------------------------------------------- looking

    def take_retold(self) -> set[int]:
        """The alarms that the next delta must tell again; none of them the next time."""
        retold, self.retold = self.retold, set()
        return retold

    def pass_time(self, parts: MindParts, now_ns: int) -> None:
        """A team that does not come is an alarm of its own; it is over when the team is there, or was recalled."""
        changed = self.teams.find_overdue(now_ns, self._grace_ns)
        for number in changed | self.teams.overdue:
            team = self.teams.all[number]
            if number in changed and (alarm := alarm_number(team.alarm)) is not None:
                self.retold.add(alarm)
            parts.desk.team_fault(team.id, team.who, team.alarm, number in self.teams.overdue, team.simulated, now_ns)

    def sheet(self, parts: MindParts, now_ns: int) -> Sheet:
        s = parts.situation
        standing = Standing(
            self._settings.realm.value, self._sector.name, [a for a in parts.desk.open.values() if a.is_open],
            [s.sensor_view(name) for name in sorted(s.sensors)], [s.nodes[name] for name in sorted(s.nodes)], s.drones,
            self.teams, self.incidents, self._entries,
        )
        return make_sheet(standing, self.handovers.last_signed_ns, self._db, now_ns)

    def _duty(self, parts: MindParts, now_ns: int) -> Duty:
        return Duty(
            tuple(i.view() for i in self.incidents.newest(INCIDENTS_SHOWN)),
            tuple(log_line(e) for e in self._entries[: -LINES_SHOWN - 1 : -1]),
            self.handovers.newest(HANDOVERS_SHOWN),
            self.sheet(parts, now_ns),
        )


def _find(parts: MindParts, alarm: str) -> Alarm | None:
    number = alarm_number(alarm)
    return parts.desk.open.get(number) if number is not None else None


def _wish_of(person: str, body: Body) -> _Wish:
    """What goes to the record with an entry, and what it makes."""
    match body:
        case TeamSent(team=team, alarm=alarm):
            return _Wish(person, body, "team.sent", alarm, team_id(team))
        case TeamTold(team, to, _):
            return _Wish(person, body, f"team.{to.value}", team_id(team))
        case IncidentOpened(incident=incident):
            return _Wish(person, body, "incident.opened", incident_id(incident), incident_id(incident))
        case IncidentAlarm(incident, alarm):
            return _Wish(person, body, "incident.alarm", f"{incident_id(incident)} {alarm}")
        case IncidentNote(incident, _):
            return _Wish(person, body, "incident.note", incident_id(incident))
        case IncidentClosed(incident, _):
            return _Wish(person, body, "incident.closed", incident_id(incident))
        case ShiftNote(_, alarm):
            return _Wish(person, body, "shift.note", alarm)
        case HandoverOpened(handover=handover):
            return _Wish(person, body, "handover.opened", handover_id(handover), handover_id(handover))
        case HandoverSigned(handover):
            return _Wish(person, body, "handover.signed", handover_id(handover))
