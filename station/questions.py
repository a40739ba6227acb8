"""Which questions about subjects are open: asks each once, keeps the answers, and stays within what was approved."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import numpy as np

from geofences.sector import Sector
from station.alarms import SYSTEM
from station.contacts import Contact
from station.fusion import Fusion
from station.matching import Circumstances, Match, canonical_plate, decide_match, score
from station.picture import MatchState, Sentence
from station.record import Record
from station.rules import AlarmDesk
from station.settings import StationSettings
from station.store import StoreError
from station.subjects import PRIORITY, Report, Subject
from station.watchlist import Watchlist
from wire.clock import NS_PER_S, Clock

LIST_CHECKED_EVERY_NS = NS_PER_S
PARTY_RADIUS_M = 15.0
DECIDED_SHOWN_NS = 3600 * NS_PER_S
YES_NEEDED_GRAVE, YES_NEEDED = 2, 1

_log = logging.getLogger("trailwatch.mind")


class Questions:
    """`changed` collects the matches that the last calls touched; whoever commits them empties it.

    A question is asked once for a subject and a contact. Its answer is kept, so a no stops the same question for good.
    """

    def __init__(
        self, settings: StationSettings, sector: Sector, clock: Clock, record: Record, matches: Iterable[Match],
        next_number: int,
    ) -> None:
        self._threshold_bits = settings.matching.threshold_bits
        self._sector = sector
        self._clock = clock
        self._record = record
        self._watchlist = Watchlist(settings, clock)
        self.matches: dict[int, Match] = {m.number: m for m in matches}
        self._asked = {(m.subject, m.contact) for m in self.matches.values()}
        self._unpictured: dict[str, list[Match]] = {}       # by contact: open questions that have no picture yet
        for match in self.matches.values():
            self._await_picture(match)
        self.next_number = next_number
        self.changed: dict[int, Match] = {}
        self._version = -1
        self._checked_ns = 0
        self._subjects: list[Subject] = []
        self._reports: dict[str, list[Report]] = {}
        self._plates: set[str] = set()
        self._waiting: dict[int, Contact] = {}

    @property
    def has_reports(self) -> bool:
        return bool(self._reports)

    def consider(self, contact: Contact) -> None:
        """Look at this contact at the next `ask`; it has a plate, or a report may be about it."""
        self._waiting[contact.number] = contact

    def ask(self, fusion: Fusion, desk: AlarmDesk, now_ns: int) -> None:
        """Turn what waits into questions where an identifier and the threshold allow."""
        if now_ns - self._checked_ns >= LIST_CHECKED_EVERY_NS:
            self._checked_ns = now_ns
            version = self._watchlist.version()
            if version != self._version:
                self._version = version
                self._read_list()
                self._waiting.update(fusion.contacts)
        waiting, self._waiting = self._waiting, {}
        for contact in waiting.values():
            if contact.merged_into is None:
                self._ask_about(contact, fusion, desk, now_ns)

    def decide(self, match_id: str, answer: MatchState, person: str, reason: str, now_ns: int) -> Match | Sentence:
        """Note a person's answer. Returns the match, or why the answer was not taken."""
        match = next((m for m in self.matches.values() if m.id == match_id), None)
        if match is None:
            return Sentence("match.refused.unknown", {"match": match_id})
        refused = decide_match(match, answer, person, reason, now_ns)
        if refused is not None:
            return refused
        try:
            self._record.append(
                person, f"match.{answer.value}",
                {"match": match.id, "subject": match.subject, "contact": match.contact, "reason": reason},
            )
        except sqlite3.Error:
            self.undo(match)
            raise
        self.changed[match.number] = match
        return match

    def undo(self, match: Match) -> None:
        """Take back the newest answer: the disk did not take it."""
        match.decisions.pop()
        self.changed.pop(match.number, None)

    def note_snapshot(self, contact: Contact) -> None:
        """A contact's picture has come; open questions about it that have none yet show it."""
        for match in [m for i in contact.ids for m in self._unpictured.pop(i, ())]:
            match.snapshot = contact.snapshot
            self.changed[match.number] = match

    def _await_picture(self, match: Match) -> None:
        if match.snapshot is None and match.state is MatchState.QUESTION:
            self._unpictured.setdefault(match.contact, []).append(match)

    def shown(self, asked: set[str]) -> dict[int, Match]:
        """The questions that open alarms ask, whatever was answered, and those answered within the last hour."""
        since_ns = self._clock.utc_ns() - DECIDED_SHOWN_NS
        return {
            n: m for n, m in self.matches.items()
            if m.id in asked or (m.decisions and m.decisions[-1].at_ns > since_ns)
        }

    def close(self) -> None:
        self._watchlist.close()

    def _read_list(self) -> None:
        try:
            subjects, reports = self._watchlist.subjects(), self._watchlist.reports()
        except StoreError as error:
            # Somebody has tampered with the list; that must not stop the alarms of the corridors.
            _log.error("%s Going on with the list of before, of %d subjects.", error, len(self._subjects))
            return
        self._subjects = [s for s in subjects if s.approved_by is not None]
        self._reports = {}
        for report in reports:
            self._reports.setdefault(report.subject, []).append(report)
        self._plates = {
            canonical_plate(p) for s in self._subjects for p in (*s.plates, *(v.plate for v in s.vehicles))
        }

    def _ask_about(self, contact: Contact, fusion: Fusion, desk: AlarmDesk, now_ns: int) -> None:
        has_plate = any(canonical_plate(p) in self._plates for p in contact.plates)
        if not has_plate and not self._reports:
            return
        around: Circumstances | None = None
        for subject in self._subjects:
            if any((subject.id, i) in self._asked for i in contact.ids) or not subject.matches_at(now_ns):
                continue
            reports = self._reports.get(subject.id, [])
            if not reports and not has_plate:
                continue
            around = around or self._around(contact, fusion)
            found = score(subject, contact, reports, self._distances_m(reports, contact), around)
            if found.identifier is None or found.bits < self._threshold_bits:
                continue
            match = Match(
                self.next_number, contact.id, subject.id, subject.lane.value,
                YES_NEEDED_GRAVE if subject.is_grave else YES_NEEDED, now_ns, found.bits, found.identifier, found.evidence,
                snapshot=contact.snapshot,
            )
            # Recorded first: a crash between here and the commit leaves a line too many, never one too few.
            self._record.append(
                SYSTEM, "match.asked",
                {
                    "match": match.id, "subject": subject.id, "contact": contact.id, "bits": found.bits,
                    "identifier": found.identifier, "approved_by": subject.approved_by or "",
                },
            )
            self.next_number += 1
            self.matches[match.number] = match
            self.changed[match.number] = match
            self._asked.add((subject.id, contact.id))
            self._await_picture(match)
            desk.match_question(match.id, subject.id, contact, match.lane, PRIORITY[subject.category], now_ns)

    def _around(self, contact: Contact, fusion: Fusion) -> Circumstances:
        local = datetime.fromtimestamp(contact.last_seen_ns / 1e9, UTC) + timedelta(minutes=self._sector.utc_offset_min)
        here = contact.estimate.mean[:2]
        party = sum(
            1 for c in fusion.contacts.values()
            if c.group == contact.group and float(np.hypot(*(c.estimate.mean[:2] - here))) <= PARTY_RADIUS_M
        )
        return Circumstances(
            local.hour * 60 + local.minute, max(1, party), len(self._sector.corridor_set.corridors)
        )

    def _distances_m(self, reports: list[Report], contact: Contact) -> dict[str, float]:
        here = contact.estimate.mean[:2]
        return {
            r.id: float(np.hypot(*(self._sector.frame.point(r.position) - here)))
            for r in reports if r.position is not None
        }
