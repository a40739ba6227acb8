"""What the screen shows about a contact and a subject, on paper: the same sentences, the same bits, in either language."""

from __future__ import annotations

import re

import msgspec

from geofences.sector import Sector, load_sector
from station.contacts import Contact, ContactState, contact_from, contact_id
from station.language import Words, words
from station.matching import Match, with_answer
from station.matching_habits import Background
from station.matching_plates import Crowd
from station.matching_score import NOTHING_KNOWN, Known, Scale, Score, fit, report_place, score
from station.matching_travel import Companions
from station.picture import Evidence, MatchState
from station.questions import QuestionsState, sighting_of
from station.settings import StationSettings
from station.store import MIND, StoreConnection, open_reader
from station.subjects import Lane
from station.watchlist import Office, office
from station.watchlist_file import WatchlistError
from wire.clock import NS_PER_S, Clock

_CONTACT = re.compile(r"[Cc]-?0*(\d{1,12})")
_NEAR_NS = 10 * NS_PER_S


def explain(
    settings: StationSettings, person: str, contact: str, subject: str, language: str = "vi", clock: Clock | None = None
) -> str:
    """The question about the two as it stands on the screen; where none was asked, what there is now, and why not.

    The look is recorded before anything is returned. Raises WatchlistError when there is no such contact or subject.
    """
    found = _CONTACT.fullmatch(contact.strip())
    if found is None:
        raise WatchlistError(f'"{contact}" is no contact; write it as on the screen, for example C-17 or C-000017.')
    number = int(found.group(1))
    sector = load_sector(settings.sector)
    names = {c.id: c.name for c in sector.corridor_set.corridors}
    said = words(language, names, sector.utc_offset_min)
    with office(settings, person, clock) as desk:
        try:
            mind = open_reader(settings.mind_db, MIND, settings.realm)
        except FileNotFoundError:
            raise WatchlistError(f"{settings.mind_db}: is not there yet; this station has seen nobody.") from None
        try:
            desk.list.subject(subject)
            desk.note("looked", subject=subject, why=f"explain {contact_id(number)}")
            ids = _ids_of(mind, number)
            match = _match(mind, ids, subject)
            if match is not None:
                return "\n".join(shown(match, said))
            return _unasked(desk, settings, sector, mind, number, subject, said)
        finally:
            mind.close()


def shown(match: Match, said: Words) -> list[str]:
    """A match as match.js draws it, line by line."""
    lines = [said.t("match.question_welfare" if match.lane == Lane.WELFARE else "match.question")]
    head = f"{said.short(match.contact)}  {said.t('match.subject', subject=match.subject)}  "
    lines.append(head + said.t("match.bits", bits=signed(match.bits, said)))
    if match.strength:
        told = match.view().probability
        percent = "" if told is None else f", {said.t('match.probability', percent=round(100 * told))}"
        lines.append(f"{said.t(f'match.strength.{match.strength}')}{percent}")
    lines += [evidence_line(e, said) for e in match.evidence]
    if match.state is MatchState.QUESTION and match.confirmed_by:
        lines.append(said.t("match.one_yes", person=", ".join(match.confirmed_by), needed=match.needed))
    elif match.merged_into is not None:
        lines.append(said.t("match.merged", into=match.view().merged_into or ""))
    elif match.state is MatchState.QUESTION:
        lines.append(said.t("match.waiting"))
    else:
        lines.append(said.t(f"match.{match.state.value}"))
    return lines


def evidence_line(evidence: Evidence, said: Words) -> str:
    return f"  {signed(evidence.bits, said):>7}  {said.say(evidence.says)}"


def signed(bits: float, said: Words) -> str:
    """With its sign, as match.js writes it."""
    return f"{'−' if bits < 0 else '+'}{said.number(abs(bits), 1)}"


def _match(mind: StoreConnection, ids: tuple[str, ...], subject: str) -> Match | None:
    marks = ", ".join("?" * len(ids))
    rows = mind.execute(f"SELECT state FROM matches WHERE subject = ? AND contact IN ({marks}) ORDER BY id", (subject, *ids))
    matches = [msgspec.msgpack.decode(row[0], type=Match) for row in rows]
    standing = [m for m in matches if m.merged_into is None]
    return (standing or matches)[0] if matches else None


def _ids_of(mind: StoreConnection, number: int) -> tuple[str, ...]:
    """A contact's own id and those it has absorbed. A match may outlive its contact."""
    row = mind.execute("SELECT state FROM contacts WHERE id = ?", (contact_id(number),)).fetchone()
    if row is None:
        return (contact_id(number),)
    state = msgspec.msgpack.decode(row[0], type=ContactState)
    return (contact_id(number), *(contact_id(n) for n in state.absorbed))


def _unasked(
    desk: Office, settings: StationSettings, sector: Sector, mind: StoreConnection, number: int, subject: str, said: Words
) -> str:
    """No question was asked: weighed now, with the words of the evidence, and what kept it from being asked."""
    row = mind.execute("SELECT state FROM contacts WHERE id = ?", (contact_id(number),)).fetchone()
    if row is None:
        raise WatchlistError(f"There is no contact {contact_id(number)}; it may have been deleted by retention.")
    contact = contact_from(msgspec.msgpack.decode(row[0], type=ContactState), [])
    others = [
        contact_from(msgspec.msgpack.decode(s, type=ContactState), [])
        for (s,) in mind.execute(
            "SELECT state FROM contacts WHERE id != ? AND merged_into IS NULL AND last_seen_ns BETWEEN ? AND ?",
            (contact.id, contact.last_seen_ns - _NEAR_NS, contact.last_seen_ns + _NEAR_NS),
        )
    ]
    row = mind.execute("SELECT state FROM memory WHERE name = 'matching'").fetchone()
    kept = msgspec.msgpack.decode(row[0], type=QuestionsState) if row else QuestionsState()
    known = NOTHING_KNOWN
    for (state,) in mind.execute("SELECT state FROM matches WHERE subject = ? ORDER BY id", (subject,)):
        known = with_answer(known, msgspec.msgpack.decode(state, type=Match))
    found = _weigh(desk, sector, contact, others, subject, kept, known)
    record = desk.list.subject(subject)
    now_ns = desk.clock.utc_ns()
    if not record.matches_at(now_ns):
        key = "explain.expired" if now_ns >= record.expires_ns else "explain.not_approved"
    elif any((subject, n) in kept.told_no for n in (contact.number, *contact.absorbed)):
        key = "explain.told_no"
    elif found.identifier is None:
        key = "explain.no_identifier"
    else:
        key = "explain.too_little"
    lines = [said.t("explain.not_asked", contact=said.short(contact.id), subject=subject), said.t(key)]
    if found.evidence:
        lines += [said.t("match.bits", bits=signed(found.bits, said)), *(evidence_line(e, said) for e in found.evidence)]
    return "\n".join(lines)


def _weigh(
    desk: Office, sector: Sector, contact: Contact, others: list[Contact], subject: str, kept: QuestionsState, known: Known
) -> Score:
    """As station.questions does, of what it has kept."""
    weights = desk.list.weights_in_force()
    background = Background(weights.traffic, len(sector.corridor_set.corridors))
    crowd = Crowd(weights.plate_space, weights.traffic.plates, desk.list.plate_key)
    listed = sum(1 for _, _, approved, _ in desk.list.changed_since(0) if approved)
    seen = sighting_of(contact, others, sector.utc_offset_min)
    place = contact.estimate.mean[:2]
    fits = []
    for _, report in desk.list.reports():
        if report.subject != subject:
            continue
        distance_m = None
        if report.position is not None:
            east, north = sector.frame.point(report.position) - place
            distance_m = float((east**2 + north**2) ** 0.5)
        where = report_place(report, seen, distance_m)
        if where is not None:
            fits.append(fit(report, where, len({*kept.fits.get(report.id, ()), contact.number}), background))
    travel = Companions(sector.frame.to_enu, kept.ties).tie(contact)
    seen = msgspec.structs.replace(seen, reports=tuple(fits), travel=travel)
    return score(desk.list.subject(subject), seen, Scale(weights, background, crowd, max(1, listed)), known)
