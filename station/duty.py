"""What persons on duty do beside answering alarms, as it travels between mind, web server and page.

Teams that were sent, incidents that group alarms, notes, and the hand-over of a shift. Everything here is made from the
shift log (station.shift_log), which only grows.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from station.sentences import Sentence


class TeamState(StrEnum):
    ON_THE_WAY = "on_the_way"
    ARRIVED = "arrived"
    DONE = "done"               # back, or free again; its reason says what came of it
    RECALLED = "recalled"       # called off before it was there


class TeamEventView(msgspec.Struct, frozen=True):
    """reason: how it was sent; of an end, an outcome code of station.teams and the person's own words."""

    state: TeamState
    at_ns: int
    person: str
    reason: str


class TeamView(msgspec.Struct, frozen=True):
    """A team of people that was sent to an alarm. who: as the person who sent it calls it. expected_ns: of its arrival."""

    id: str
    alarm: str
    who: str
    expected_ns: int
    state: TeamState
    overdue: bool
    simulated: bool
    events: tuple[TeamEventView, ...]


class NoteView(msgspec.Struct, frozen=True):
    at_ns: int
    person: str
    text: str


class IncidentView(msgspec.Struct, frozen=True):
    """The case that groups alarms. outcome: why it was closed; empty while it is open."""

    id: str
    title: str
    opened_ns: int
    opened_by: str
    alarms: tuple[str, ...]
    notes: tuple[NoteView, ...]
    closed_ns: int | None
    closed_by: str
    outcome: str


class LogLine(msgspec.Struct, frozen=True):
    """One line of the shift log. about: the alarm, team or incident it is about; empty for the shift as a whole."""

    at_ns: int
    person: str
    about: str
    says: Sentence


class SheetItem(msgspec.Struct, frozen=True):
    """One line of a hand-over sheet. since_ns: since when it is so."""

    id: str
    since_ns: int
    says: Sentence
    priority: int = 0
    detail: tuple[Sentence, ...] = ()


class Sheet(msgspec.Struct, frozen=True):
    """How things stand at one moment: what whoever comes must know. since_ns: the hand-over before."""

    at_ns: int
    since_ns: int
    realm: str
    sector: str
    waiting: tuple[SheetItem, ...]
    taken: tuple[SheetItem, ...]
    shelved: tuple[SheetItem, ...]
    blind: tuple[SheetItem, ...]
    airborne: tuple[SheetItem, ...]
    teams: tuple[SheetItem, ...]
    incidents: tuple[SheetItem, ...]
    notes: tuple[NoteView, ...]
    raised: int
    closed: int


class HandoverView(msgspec.Struct, frozen=True):
    """giver has signed by opening it; receiver by signing, at signed_ns. The sheet is as it was then, for good."""

    id: str
    giver: str
    receiver: str
    opened_ns: int
    signed_ns: int | None
    note: str
    sheet: Sheet


# ---------------------------------------------------------------------------------------------------------- requests


class SendTeam(msgspec.Struct, frozen=True, tag="send_team"):
    alarm: str
    who: str
    expected_min: int
    person: str
    note: str = ""


class TellTeam(msgspec.Struct, frozen=True, tag="tell_team"):
    """What became of a team; an end needs a reason."""

    team: str
    to: TeamState
    person: str
    reason: str = ""


class OpenIncident(msgspec.Struct, frozen=True, tag="open_incident"):
    title: str
    person: str
    alarms: tuple[str, ...] = ()


class AddToIncident(msgspec.Struct, frozen=True, tag="add_to_incident"):
    incident: str
    alarm: str
    person: str


class NoteIncident(msgspec.Struct, frozen=True, tag="note_incident"):
    incident: str
    person: str
    text: str


class CloseIncident(msgspec.Struct, frozen=True, tag="close_incident"):
    incident: str
    person: str
    reason: str


class NoteShift(msgspec.Struct, frozen=True, tag="note_shift"):
    """A line in the shift log. alarm: the one it is about; empty for the shift."""

    person: str
    text: str
    alarm: str = ""


class OpenHandover(msgspec.Struct, frozen=True, tag="open_handover"):
    person: str
    to: str
    note: str = ""


class SignHandover(msgspec.Struct, frozen=True, tag="sign_handover"):
    handover: str
    person: str


class NoteWatch(msgspec.Struct, frozen=True, tag="note_watch"):
    """From the web server: how many live screens there are now whose sound works and whose tab is in sight."""

    screens: int


class GetDuty(msgspec.Struct, frozen=True, tag="get_duty"):
    """Incidents, the newest lines of the log, hand-overs, and the sheet as of now."""


DutyRequest = (
    SendTeam | TellTeam | OpenIncident | AddToIncident | NoteIncident | CloseIncident | NoteShift | OpenHandover
    | SignHandover | NoteWatch | GetDuty
)


class Duty(msgspec.Struct, frozen=True, tag="duty"):
    """incidents, handovers: open ones and the newest, newest first. log: newest first."""

    incidents: tuple[IncidentView, ...]
    log: tuple[LogLine, ...]
    handovers: tuple[HandoverView, ...]
    sheet: Sheet


class Made(msgspec.Struct, frozen=True, tag="made"):
    """Done, and this is what was made."""

    id: str
