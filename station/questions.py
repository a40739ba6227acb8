"""Which questions about subjects are open: asks each once, keeps the answers, and stays within what was approved."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Mapping

import msgspec
import numpy as np

from geofences.sector import Sector
from station.alarms import SYSTEM
from station.contacts import Contact, contact_id
from station.fusion import Fusion
from station.matching import Match, decide_match, with_answer
from station.matching_habits import Background
from station.matching_plates import Crowd
from station.matching_score import NOTHING_KNOWN, Fit, Known, Scale, Score, Sighting, fit, report_place, score
from station.matching_traffic import TrafficCounter, TrafficState, minute_of_week
from station.matching_travel import Companions, Tie
from station.picture import MatchState, Sentence
from station.record import Record
from station.rules import AlarmDesk
from station.settings import StationSettings
from station.subjects import PRIORITY, Report, Subject
from station.watchlist_file import subject_id, subject_number
from station.watchlist_reader import ListReader
from wire.clock import NS_PER_S, Clock
from wire.units import Realm

DECIDED_SHOWN_NS = 3600 * NS_PER_S
YES_NEEDED_GRAVE, YES_NEEDED = 2, 1
PARTY_RADIUS_M = 15.0
REWEIGHED_EVERY_NS = 2 * NS_PER_S
REWEIGHED_BITS = 0.5            # a change that an officer may want to know of; less is not worth a write
TRAFFIC_SAVED_NS = 600 * NS_PER_S
FORGOTTEN_EVERY_NS = 60 * NS_PER_S
WEIGHED_AGAIN_NS = 60 * NS_PER_S    # what was too little to ask and has not changed: only the hour moves on
CALIBRATION_LIMIT = 0.05        # of the weights' expected calibration error; above it no officer sees a probability

_log = logging.getLogger("trailwatch.mind")


class QuestionsState(msgspec.Struct):
    """What matching remembers beside the matches, in mind.db. fits: by report id, the contacts that have fitted it so far.

    told_no: (subject, contact) pairs that a split contact has inherited the no of.
    """

    ties: list[Tie] = []
    fits: dict[str, list[int]] = {}
    told_no: list[tuple[str, int]] = []
    splits: list[tuple[int, int]] = []


class Questions:
    """`changed` collects the matches that the last calls touched; whoever commits them empties it.

    A question is asked once for a subject and a contact. Its answer is kept, so a no stops the same question for good,
    whatever the contact is merged with or split into. states: what `states` gave for mind.db before a restart.
    """

    def __init__(
        self, settings: StationSettings, sector: Sector, clock: Clock, record: Record, matches: Iterable[Match],
        next_number: int, states: Mapping[str, bytes] | None = None,
    ) -> None:
        self._matching = settings.matching
        self._simulated = settings.realm is Realm.TRAINING
        self._sector = sector
        self._clock = clock
        self._record = record
        self._list = ListReader(settings, clock, sector.frame)
        self.matches: dict[int, Match] = {m.number: m for m in matches}
        self._asked = {(m.subject, m.contact): m for m in self.matches.values()}
        self._unpictured: dict[str, list[Match]] = {}       # by contact: open questions that have no picture yet
        self._by_contact: dict[str, list[Match]] = {}
        self._known: dict[str, Known] = {}                  # by subject: what officers have said about it
        for match in self.matches.values():
            self._file(match)
        self.next_number = next_number
        self.changed: dict[int, Match] = {}
        states = states or {}
        kept = msgspec.msgpack.decode(states["matching"], type=QuestionsState) if "matching" in states else QuestionsState()
        traffic = msgspec.msgpack.decode(states["traffic"], type=TrafficState) if "traffic" in states else None
        self._companions = Companions(sector.frame.to_enu, kept.ties)
        self._fits = {report: set(numbers) for report, numbers in kept.fits.items()}
        self._told_no = set(kept.told_no)
        self._splits = set(kept.splits)
        self._traffic = TrafficCounter(self._list.plate_key, sector.utc_offset_min, traffic)
        self._kept_changed = False
        self._traffic_saved_ns = self._forgotten_ns = 0
        self._reweighed_ns: dict[int, int] = {}
        self._too_little: dict[int, dict[int, tuple[Sighting, int]]] = {}   # by contact, by record: what, and when weighed
        self._fresh: list[tuple[Subject, Contact, Sighting, Score]] = []    # to be asked at the end of `ask`
        self._waiting: dict[int, Contact] = {}
        self._trouble_told = ""
        self._scale = self._make_scale()

    # ------------------------------------------------------------------------------------------------------- asking

    def consider(self, contact: Contact) -> None:
        """Look at this contact at the next `ask`."""
        self._waiting[contact.number] = contact

    def look_again(self) -> None:
        """At the list, at the next `ask`, without waiting for its second."""
        self._list.look_again()

    def ask(self, fusion: Fusion, desk: AlarmDesk, now_ns: int) -> None:
        """Turn what waits into questions where an identifier and the threshold allow."""
        if self._list.look(now_ns):
            self._scale = self._make_scale()
            self._waiting.update(fusion.contacts)
            self._too_little.clear()
        if self._list.trouble != self._trouble_told:
            self._trouble_told = self._list.trouble
            desk.watchlist_fault(bool(self._list.trouble), self._simulated, self._list.trouble, now_ns)
        if now_ns - self._forgotten_ns >= FORGOTTEN_EVERY_NS:
            self._forgotten_ns = now_ns
            self._companions.forget(now_ns)
        waiting, self._waiting = self._waiting, {}
        self._fresh = []
        for contact in waiting.values():
            if contact.merged_into is None:
                self._look_at(contact, fusion, desk, now_ns)
        if self._fresh:
            self._ask(self._fresh, desk, now_ns)

    def _look_at(self, contact: Contact, fusion: Fusion, desk: AlarmDesk, now_ns: int) -> None:
        if contact.absorbed:
            self._join_questions(contact, desk, now_ns)
        if contact.kept_from:
            self._inherit(contact)
        numbers = self._list.numbers_of(contact.plates) if contact.plates else set()
        if numbers and contact.group != "person":
            self._companions.follow(contact)
        travel = None if self._companions.is_idle else self._companions.tie(contact)
        if travel is not None:
            numbers |= self._list.numbers_of(travel.plates)
        fits = self._fitting(contact) if self._list.has_reports else {}
        numbers |= {n for s in fits if (n := subject_number(s)) is not None}
        if not numbers:
            return
        seen = self._sighting(contact, fusion)
        if travel is not None:
            seen = msgspec.structs.replace(seen, travel=travel)
        for number in sorted(numbers):
            self._weigh(number, contact, seen, tuple(fits.get(subject_id(number), ())), now_ns)

    def _weigh(self, number: int, contact: Contact, seen: Sighting, fits: tuple[Fit, ...], now_ns: int) -> None:
        name = subject_id(number)
        asked = next((m for i in contact.ids if (m := self._asked.get((name, i))) is not None), None)
        if asked is not None and (asked.state is not MatchState.QUESTION or asked.decisions):
            return
        if any((name, n) in self._told_no for n in (contact.number, *contact.absorbed)):
            return
        if asked is not None and now_ns - self._reweighed_ns.get(asked.number, 0) < REWEIGHED_EVERY_NS:
            return
        seen = msgspec.structs.replace(seen, reports=fits)
        known_of_it = msgspec.structs.replace(seen, at_ns=0, minute=0)
        too_little = self._too_little.setdefault(contact.number, {})
        before, weighed_ns = too_little.get(number, (None, 0))
        if asked is None and before == known_of_it and 0 <= now_ns - weighed_ns < WEIGHED_AGAIN_NS:
            return
        subject = self._list.find(number)
        if subject is None or not subject.matches_at(now_ns):
            return
        found = score(subject, seen, self._scale, self._known.get(name, NOTHING_KNOWN))
        if asked is not None:
            self._reweigh(asked, seen, found, now_ns)
        elif found.identifier is not None and self._is_worth_asking(found):
            self._fresh.append((subject, contact, seen, found))
        else:
            too_little[number] = (known_of_it, now_ns)

    def _is_worth_asking(self, found: Score) -> bool:
        return found.bits >= self._matching.threshold_bits and found.probability >= self._matching.ask_from_probability

    def _ask(self, fresh: list[tuple[Subject, Contact, Sighting, Score]], desk: AlarmDesk, now_ns: int) -> None:
        weights = self._scale.weights
        matches = [
            Match(
                number, contact.id, subject.id, subject.lane.value, YES_NEEDED_GRAVE if subject.is_grave else YES_NEEDED,
                now_ns, found.bits, found.identifier or "", found.evidence, [], contact.snapshot, seen, weights.version,
                self._scale.listed, found.probability,
                weights.calibration_error is not None and weights.calibration_error <= CALIBRATION_LIMIT,
            )
            for number, (subject, contact, seen, found) in enumerate(fresh, self.next_number)
        ]
        # Recorded first: a crash between here and the commit leaves a line too many, never one too few.
        self._record.append_all(
            SYSTEM, "match.asked",
            [
                {
                    "match": m.id, "subject": m.subject, "contact": m.contact, "bits": m.bits, "identifier": m.identifier,
                    "approved_by": subject.approved_by or "", "weights": m.weights, "listed": m.listed,
                }
                for m, (subject, *_) in zip(matches, fresh, strict=True)
            ],
        )
        self.next_number += len(matches)
        for match, (subject, contact, *_) in zip(matches, fresh, strict=True):
            self.matches[match.number] = self.changed[match.number] = match
            self._asked[(subject.id, contact.id)] = match
            self._file(match)
            desk.match_question(match.id, subject.id, contact, match.lane, PRIORITY[subject.category], now_ns)

    def _reweigh(self, match: Match, seen: Sighting, found: Score, now_ns: int) -> None:
        """An open question that nobody has answered yet shows what is known by now, in whatever order it came."""
        self._reweighed_ns[match.number] = now_ns
        if found.identifier is None or abs(found.bits - match.bits) < REWEIGHED_BITS:
            return
        match.bits, match.identifier, match.evidence = found.bits, found.identifier, found.evidence
        match.sighting, match.probability = seen, found.probability
        match.weights, match.listed = self._scale.weights.version, self._scale.listed
        self.changed[match.number] = match

    # --------------------------------------------------------------------------------------- what surrounds a contact

    def _make_scale(self) -> Scale:
        weights = self._list.weights
        return Scale(
            weights, Background(weights.traffic, len(self._sector.corridor_set.corridors)),
            Crowd(weights.plate_space, weights.traffic.plates, self._list.plate_key), max(1, self._list.index.listed),
        )

    def _sighting(self, contact: Contact, fusion: Fusion) -> Sighting:
        return sighting_of(contact, fusion.contacts.values(), self._sector.utc_offset_min)

    def _fitting(self, contact: Contact) -> dict[str, list[Fit]]:
        """By subject: the reports whose place and time this contact fits, with how many have fitted them so far."""
        place = contact.estimate.mean[:2]
        found: dict[str, list[Fit]] = {}
        bare = Sighting(contact.id, contact.object_class, contact.last_seen_ns, 0, contact.corridors)
        for report in self._list.reports_near(contact.corridors, place):
            where = report_place(report, bare, self._list.distance_m(report, place))
            if where is not None:
                count = self._note_fit(report, contact)
                found.setdefault(report.subject, []).append(fit(report, where, count, self._scale.background))
        return found

    def _note_fit(self, report: Report, contact: Contact) -> int:
        known = self._fits.setdefault(report.id, set())
        if contact.number not in known:
            known.difference_update(contact.absorbed)
            known.add(contact.number)
            self._kept_changed = True
        return len(known)

    # ------------------------------------------------------------------------------------------- merges and splits

    def _join_questions(self, contact: Contact, desk: AlarmDesk, now_ns: int) -> None:
        """Two candidates turned out to be one contact: one question about it stays, with the answer that it has."""
        for known in self._fits.values():
            if contact.number in known:
                known.difference_update(contact.absorbed)
        of_subject: dict[str, list[Match]] = {}
        for match in (m for i in contact.ids for m in self._by_contact.get(i, ()) if m.merged_into is None):
            of_subject.setdefault(match.subject, []).append(match)
        for several in of_subject.values():
            if len(several) < 2:
                continue
            stays = min(several, key=lambda m: (m.state is MatchState.QUESTION, not m.decisions, m.number))
            for match in several:
                if match is not stays and match.state is MatchState.QUESTION:
                    self._record.append(
                        SYSTEM, "match.merged",
                        {"match": match.id, "into": stays.id, "contact": contact.id, "subject": match.subject},
                    )
                    match.merged_into = stays.number
                    self.changed[match.number] = match
                    desk.match_merged(match.id, contact, self._states_of, now_ns)

    def _states_of(self, names: Iterable[str]) -> set[MatchState]:
        wanted = set(names)
        return {m.state for m in self.matches.values() if m.id in wanted}

    def _inherit(self, contact: Contact) -> None:
        """A contact that a person split off: a no about the whole was a no about each of its parts."""
        for parent in contact.kept_from.values():
            if parent >= contact.number or (parent, contact.number) in self._splits:
                continue
            self._splits.add((parent, contact.number))
            self._kept_changed = True
            for match in self._by_contact.get(contact_id(parent), ()):
                if match.state is MatchState.REJECTED:
                    self._told_no.add((match.subject, contact.number))

    # ------------------------------------------------------------------------------------------------------ answers

    def decide(self, name: str, answer: MatchState, person: str, reason: str, now_ns: int) -> Match | Sentence:
        """Note a person's answer. Returns the match, or why the answer was not taken."""
        match = next((m for m in self.matches.values() if m.id == name), None)
        if match is None:
            return Sentence("match.refused.unknown", {"match": name})
        refused = decide_match(match, answer, person, reason, now_ns)
        if refused is not None:
            return refused
        try:
            self._record.append(
                person, f"match.{answer.value}",
                {
                    "match": match.id, "subject": match.subject, "contact": match.contact, "reason": reason,
                    "bits": match.bits, "weights": match.weights,
                },
            )
        except sqlite3.Error:
            self.undo(match)
            raise
        self.changed[match.number] = match
        self._note_answer(match)
        return match

    def undo(self, match: Match) -> None:
        """Take back the newest answer: the disk did not take it."""
        match.decisions.pop()
        self.changed.pop(match.number, None)
        self._recall_answers(match.subject)

    def note_snapshot(self, contact: Contact) -> None:
        """A contact's picture has come; open questions about it that have none yet show it."""
        for match in [m for i in contact.ids for m in self._unpictured.pop(i, ())]:
            match.snapshot = contact.snapshot
            self.changed[match.number] = match

    def note_ended(self, contacts: Iterable[Contact]) -> None:
        """Contacts that have ended: the traffic's counts grow by those that were not merged into another."""
        for contact in contacts:
            self._too_little.pop(contact.number, None)
            if contact.merged_into is None:
                self._traffic.count(contact)

    def shown(self, asked: set[str]) -> dict[int, Match]:
        """The questions that open alarms ask, whatever was answered, and those answered within the last hour."""
        since_ns = self._clock.utc_ns() - DECIDED_SHOWN_NS
        return {
            n: m for n, m in self.matches.items()
            if m.id in asked or (m.decisions and m.decisions[-1].at_ns > since_ns)
        }

    def states(self, now_ns: int, everything: bool = False) -> dict[str, bytes]:
        """What is to be kept in mind.db with the next commit, by name; empty where nothing has changed."""
        kept: dict[str, bytes] = {}
        if self._kept_changed or self._companions.changed:
            self._kept_changed = self._companions.changed = False
            kept["matching"] = msgspec.msgpack.encode(
                QuestionsState(
                    list(self._companions.ties.values()), {r: sorted(n) for r, n in self._fits.items()},
                    sorted(self._told_no), sorted(self._splits),
                )
            )
        if everything or now_ns - self._traffic_saved_ns >= TRAFFIC_SAVED_NS:
            if self._traffic.state.contacts:
                kept["traffic"] = msgspec.msgpack.encode(self._traffic.state)
            self._traffic_saved_ns = now_ns
        return kept

    def close(self) -> None:
        self._list.close()

    # ------------------------------------------------------------------------------------------------------- filing

    def _file(self, match: Match) -> None:
        self._by_contact.setdefault(match.contact, []).append(match)
        if match.snapshot is None and match.state is MatchState.QUESTION:
            self._unpictured.setdefault(match.contact, []).append(match)
        self._note_answer(match)

    def _note_answer(self, match: Match) -> None:
        known = self._known.get(match.subject, NOTHING_KNOWN)
        self._known[match.subject] = with_answer(known, match)

    def _recall_answers(self, subject: str) -> None:
        self._known.pop(subject, None)
        for match in self.matches.values():
            if match.subject == subject:
                self._note_answer(match)


def sighting_of(contact: Contact, others: Iterable[Contact], utc_offset_min: int) -> Sighting:
    """A contact as matching sees it. Its party: those that travel with it, or stand beside it now."""
    here = contact.estimate.mean[:2]
    near = sum(
        1 for c in others
        if c.group == contact.group and c is not contact
        and float(np.hypot(*(c.estimate.mean[:2] - here))) <= PARTY_RADIUS_M
    )
    return Sighting(
        contact.id, contact.object_class, contact.last_seen_ns, minute_of_week(contact.last_seen_ns, utc_offset_min),
        contact.corridors, 1 + max(near, len(contact.party)), dict(contact.plates), dict(contact.plate_confidence),
        contact.colour,
    )

