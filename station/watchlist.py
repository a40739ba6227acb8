"""What persons do with the watchlist: nominate, approve, list, look, report, end, delete. Everything leaves a trace.

Whoever runs these functions is named by the caller; the command line names the operating system's user, or an account. A
look is recorded before anything is shown, a change before it is committed: a crash leaves a line too many, not one too few.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import msgspec

from geofences.sector import Sector, load_sector
from station.record import Record
from station.sentences import Sentence
from station.settings import StationSettings
from station.subjects import Extension, Report, Subject
from station.watchlist_file import WATCHLIST, Draft, Watchlist, WatchlistError, subject_id
from wire.clock import NS_PER_S, Clock, WallClock
from wire.units import GroundPosition

REPORT_RADIUS_M = 100.0
REPORT_LONGEST_NS = 72 * 3600 * NS_PER_S
SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Office:
    """The list and the record, both open, in one person's name."""

    list: Watchlist
    record: Record
    clock: Clock
    person: str

    def note(self, action: str, **details: str | int | float) -> None:
        """Into the record: ids and numbers alone, nothing that stands in a watchlist record."""
        self.record.append(self.person, f"watchlist.{action}", details)


@contextmanager
def office(settings: StationSettings, person: str, clock: Clock | None = None) -> Iterator[Office]:
    """Raises StoreError or SettingsError when the list, the record or one of their keys cannot be used."""
    clock = clock or WallClock()
    watchlist = Watchlist(settings, clock)
    try:
        record = Record(settings, clock)
        try:
            yield Office(watchlist, record, clock, person)
        finally:
            record.close()
    finally:
        watchlist.close()


def add_subject(settings: StationSettings, person: str, draft: Draft, clock: Clock | None = None) -> Subject:
    """Nominate one subject. It matches nothing until a second person approves it."""
    with office(settings, person, clock) as desk:
        category = draft.category.value
        (added,) = desk.list.add(
            [draft], person, lambda number, _: desk.note("nominated", subject=subject_id(number), category=category)
        )
    return added


def list_subjects(settings: StationSettings, person: str, clock: Clock | None = None) -> list[Subject]:
    """All subjects. That somebody listed them is recorded before they are returned."""
    with office(settings, person, clock) as desk:
        subjects = desk.list.subjects()
        desk.note("listed", subjects=len(subjects))
        return subjects


def export_subjects(
    settings: StationSettings, person: str, why: str, clock: Clock | None = None
) -> list[Subject]:
    """All subjects, to be written somewhere. Raises WatchlistError without a reason."""
    if not why.strip():
        raise WatchlistError("An export takes the whole list out of the station: say why, it goes into the record.")
    with office(settings, person, clock) as desk:
        subjects = desk.list.subjects()
        desk.note("exported", subjects=len(subjects), why=why.strip())
        return subjects


def look_at_subject(
    settings: StationSettings, person: str, subject: str, why: str = "", clock: Clock | None = None
) -> Subject:
    """One subject; the look is recorded before it is returned. Raises WatchlistError when there is none."""
    with office(settings, person, clock) as desk:
        found = desk.list.subject(subject)
        desk.note("looked", subject=subject, why=why)
        return found


def approve_subject(settings: StationSettings, person: str, subject: str, clock: Clock | None = None) -> Subject:
    """Approve a nomination. Raises WatchlistError when the same person nominated it, or it is approved or expired."""
    return approve_subjects(settings, person, [subject], clock)[0]


def approve_subjects(
    settings: StationSettings, person: str, subjects: list[str], clock: Clock | None = None
) -> list[Subject]:
    """Approve several nominations, all or none; see approve_subject."""
    with office(settings, person, clock) as desk:
        now_ns = desk.clock.utc_ns()
        found = [_may_be_approved(desk.list.subject(s), person, now_ns) for s in dict.fromkeys(subjects)]

        def note(count: int) -> None:
            if count == 1:
                desk.note("approved", subject=found[0].id)
            elif count:
                desk.note("approved", subjects=count, ids=" ".join(s.id for s in found))

        return desk.list.approve(found, person, note)


def _may_be_approved(subject: Subject, person: str, now_ns: int) -> Subject:
    if subject.nominated_by == person:
        raise WatchlistError(
            f"{subject.id} was nominated by {person}; a second person has to approve it.",
            Sentence("watchlist.refused.second_person", {"subject": subject.id, "person": person}),
        )
    if subject.approved_by is not None:
        raise WatchlistError(
            f"{subject.id} was approved by {subject.approved_by} already.",
            Sentence("watchlist.refused.approved", {"subject": subject.id, "person": subject.approved_by}),
        )
    if subject.expires_ns <= now_ns:
        raise _expired(subject)
    return subject


def _expired(subject: Subject) -> WatchlistError:
    return WatchlistError(
        f"{subject.id} has expired; nominate it anew, with a reason that holds today.",
        Sentence("watchlist.refused.expired", {"subject": subject.id}),
    )


def expire_subject(
    settings: StationSettings, person: str, subject: str, reason: str = "", clock: Clock | None = None
) -> Subject:
    """End a record now; from here on it matches nothing."""
    with office(settings, person, clock) as desk:
        found = desk.list.subject(subject)
        now_ns = desk.clock.utc_ns()
        desk.note("expired", subject=subject, reason=reason)
        if found.expires_ns > now_ns:
            found = msgspec.structs.replace(found, expires_ns=now_ns, extension=None)
            desk.list.replace(found)
        return found


def ask_extension(
    settings: StationSettings, person: str, subject: str, expires_ns: int, reason: str, clock: Clock | None = None
) -> Subject:
    """Ask that an approved record last longer, with a reason. The old end holds until a second person has agreed.

    Raises WatchlistError when it is not approved, has expired, would not last longer, or no reason is given.
    """
    with office(settings, person, clock) as desk:
        found = desk.list.subject(subject)
        now_ns = desk.clock.utc_ns()
        if not reason.strip():
            raise WatchlistError("Say why it is to last longer.", Sentence("watchlist.refused.reason_needed"))
        if found.expires_ns <= now_ns:
            raise _expired(found)
        if found.approved_by is None:
            raise WatchlistError(
                f"{found.id} waits for approval; approve it first.",
                Sentence("watchlist.refused.not_approved", {"subject": found.id}),
            )
        if expires_ns <= found.expires_ns:
            raise WatchlistError(
                f"{found.id} lasts as long already; to end it earlier, end it.",
                Sentence("watchlist.refused.not_longer", {"subject": found.id}),
            )
        asked = msgspec.structs.replace(found, extension=Extension(expires_ns, person, now_ns, reason.strip()))
        desk.note("extension_asked", subject=subject, until_ns=expires_ns, reason=reason.strip())
        desk.list.replace(asked)
        return asked


def agree_extension(settings: StationSettings, person: str, subject: str, clock: Clock | None = None) -> Subject:
    """Agree to what somebody else asked for. Raises WatchlistError for one's own, for none, or when it is over."""
    with office(settings, person, clock) as desk:
        found = desk.list.subject(subject)
        wish = found.extension
        if wish is None:
            raise WatchlistError(
                f"Nobody has asked that {found.id} last longer.",
                Sentence("watchlist.refused.no_extension", {"subject": found.id}),
            )
        if wish.asked_by == person:
            raise WatchlistError(
                f"{person} asked for this; a second person has to agree.",
                Sentence("watchlist.refused.second_person", {"subject": found.id, "person": person}),
            )
        if found.expires_ns <= desk.clock.utc_ns():
            raise _expired(found)
        extended = msgspec.structs.replace(found, expires_ns=wish.expires_ns, extension=None)
        desk.note("extended", subject=subject, until_ns=wish.expires_ns, asked_by=wish.asked_by, reason=wish.reason)
        desk.list.replace(extended)
        return extended


def delete_expired(settings: StationSettings, keep_ns: int, clock: Clock | None = None) -> tuple[int, int]:
    """Retention: delete for good what has been over for longer than keep_ns. Returns how many records and reports.

    From the moment of its expiry a record matches nothing; this is about its trace on the disk. What was decided about it
    stays in mind.db under its id alone.
    """
    with office(settings, SYSTEM, clock) as desk:
        before_ns = desk.clock.utc_ns() - keep_ns
        subjects = [s.id for s in desk.list.each_subject() if s.expires_ns <= before_ns]
        gone = set(subjects)
        reports = [r.id for _, r in desk.list.reports() if r.until_ns <= before_ns or r.subject in gone]
        if subjects or reports:
            first, last = (subjects[0], subjects[-1]) if subjects else ("", "")
            desk.list.delete(
                subjects, reports,
                lambda: desk.note("deleted", subjects=len(subjects), reports=len(reports), first=first, last=last),
            )
        return len(subjects), len(reports)


def report_subject(
    settings: StationSettings,
    person: str,
    subject: str,
    from_ns: int,
    until_ns: int,
    reported_by: str,
    corridor: str | None = None,
    position: GroundPosition | None = None,
    radius_m: float = REPORT_RADIUS_M,
    says: str = "",
    clock: Clock | None = None,
) -> Report:
    """Note that somebody reports a subject at a place in a time window. reported_by: who says so, by name; never empty.

    Raises WatchlistError when the place is not one of this sector, or the window is empty or longer than three days.
    """
    _check_report(load_sector(settings.sector), reported_by, corridor, position, radius_m, from_ns, until_ns)
    with office(settings, person, clock) as desk:
        desk.list.subject(subject)
        report = desk.list.add_report(
            Report(
                "", subject, reported_by.strip(), corridor, position, radius_m, from_ns, until_ns, desk.clock.utc_ns(), says
            )
        )
        desk.note("reported", subject=subject, report=report.id)
        return report


def _check_report(
    sector: Sector, reported_by: str, corridor: str | None, position: GroundPosition | None, radius_m: float,
    from_ns: int, until_ns: int,
) -> None:
    known = [c.id for c in sector.corridor_set.corridors]
    if not reported_by.strip():
        raise WatchlistError(
            "A report needs the name of the person who gives it; an anonymous one names nobody.",
            Sentence("watchlist.refused.reporter"),
        )
    if (corridor is None) == (position is None):
        raise WatchlistError(
            "Give either a corridor or a position, with a radius in metres.", Sentence("watchlist.refused.place")
        )
    if corridor is not None and corridor not in known:
        raise WatchlistError(
            f'There is no corridor "{corridor}" in this sector. There are: {", ".join(known)}.',
            Sentence("nominate.no_corridor", {"given": corridor[:40], "known": ", ".join(known)}),
        )
    if position is not None and not 1.0 <= radius_m <= 2000.0:
        raise WatchlistError(f"A radius of {radius_m} m; give 1 to 2000.")
    if not 0 < until_ns - from_ns <= REPORT_LONGEST_NS:
        raise WatchlistError(
            "The time window must end after it begins, and be no longer than 72 hours.", Sentence("watchlist.refused.window")
        )


__all__ = [
    "WATCHLIST", "Draft", "Office", "Watchlist", "WatchlistError", "add_subject", "agree_extension", "approve_subject",
    "approve_subjects", "ask_extension", "delete_expired", "expire_subject", "export_subjects", "list_subjects",
    "look_at_subject", "office", "report_subject",
]
