"""Incidents: the cases that group alarms. Opened and closed by persons, and what their entries in the shift log say."""

from __future__ import annotations

from dataclasses import dataclass, field

from station.duty import IncidentView, NoteView
from station.sentences import Sentence
from station.shift_log import (
    Body,
    Entry,
    IncidentAlarm,
    IncidentClosed,
    IncidentNote,
    IncidentOpened,
    incident_id,
    number_of,
)

TITLE_LIMIT = 120               # characters
TEXT_LIMIT = 2000


@dataclass(slots=True)
class Incident:
    number: int
    title: str
    opened_ns: int
    opened_by: str
    alarms: list[str]
    notes: list[NoteView] = field(default_factory=list)
    closed_ns: int | None = None
    closed_by: str = ""
    outcome: str = ""

    @property
    def id(self) -> str:
        return incident_id(self.number)

    def view(self) -> IncidentView:
        return IncidentView(
            self.id, self.title, self.opened_ns, self.opened_by, tuple(self.alarms), tuple(self.notes), self.closed_ns,
            self.closed_by, self.outcome,
        )


class Incidents:
    """All incidents that the log knows of. An alarm lies in one open incident at most."""

    def __init__(self) -> None:
        self.all: dict[int, Incident] = {}
        self._of_alarm: dict[str, str] = {}         # alarm to the open incident that it lies in

    def take(self, entry: Entry) -> None:
        """Fold one entry of the log; others than an incident's change nothing."""
        match entry.body:
            case IncidentOpened(incident, title, alarms):
                it = self.all[incident] = Incident(incident, title, entry.at_ns, entry.person, list(alarms))
                self._of_alarm.update(dict.fromkeys(alarms, it.id))
            case IncidentAlarm(incident, alarm):
                self.all[incident].alarms.append(alarm)
                self._of_alarm[alarm] = incident_id(incident)
            case IncidentNote(incident, text):
                self.all[incident].notes.append(NoteView(entry.at_ns, entry.person, text))
            case IncidentClosed(incident, reason):
                it = self.all[incident]
                it.closed_ns, it.closed_by, it.outcome = entry.at_ns, entry.person, reason
                self._of_alarm = {a: i for a, i in self._of_alarm.items() if i != it.id}
            case _:
                pass

    def of_alarm(self, alarm: str) -> str | None:
        """The open incident that an alarm lies in."""
        return self._of_alarm.get(alarm)

    def open(self) -> list[Incident]:
        return [i for i in self.all.values() if i.closed_ns is None]

    def newest(self, count: int) -> list[Incident]:
        """Open ones first, then the closed ones; each newest first."""
        return sorted(self.all.values(), key=lambda i: (i.closed_ns is not None, -i.number))[:count]

    def begin(self, title: str, alarms: tuple[str, ...]) -> Body | Sentence:
        """The entry that opens one, or why not."""
        title = title.strip()
        if not 0 < len(title) <= TITLE_LIMIT:
            return Sentence("incident.refused.title", {"most": TITLE_LIMIT})
        for alarm in alarms:
            if (there := self.of_alarm(alarm)) is not None:
                return Sentence("incident.refused.elsewhere", {"alarm": alarm, "incident": there})
        return IncidentOpened(max(self.all, default=0) + 1, title, tuple(dict.fromkeys(alarms)))

    def add(self, incident: str, alarm: str) -> Body | Sentence:
        known = self._open_one(incident)
        if isinstance(known, Sentence):
            return known
        if (there := self.of_alarm(alarm)) is not None:
            return Sentence("incident.refused.elsewhere", {"alarm": alarm, "incident": there})
        return IncidentAlarm(known.number, alarm)

    def note(self, incident: str, text: str) -> Body | Sentence:
        known = self._open_one(incident)
        if isinstance(known, Sentence):
            return known
        refused = check_text(text)
        return refused or IncidentNote(known.number, text.strip())

    def close(self, incident: str, reason: str) -> Body | Sentence:
        known = self._open_one(incident)
        if isinstance(known, Sentence):
            return known
        refused = check_text(reason)
        return refused or IncidentClosed(known.number, reason.strip())

    def _open_one(self, incident: str) -> Incident | Sentence:
        known = self.all.get(number_of(incident, "I") or 0)
        if known is None:
            return Sentence("incident.refused.unknown", {"incident": incident})
        if known.closed_ns is not None:
            return Sentence("incident.refused.closed", {
                "incident": known.id, "person": known.closed_by, "at_ns": known.closed_ns})
        return known


def check_text(text: str) -> Sentence | None:
    """A note says something, and not a book."""
    return None if 0 < len(text.strip()) <= TEXT_LIMIT else Sentence("note.refused.length", {"most": TEXT_LIMIT})
