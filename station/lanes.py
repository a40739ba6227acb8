"""Which role sees which lane of the watchlist, and what is left of a picture for who does not see one of them."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from station.access import WHO_DECIDES, Role
from station.duty import Duty, Sheet, SheetItem
from station.picture import AlarmView, Delta, MatchView, Picture, Sentence
from station.subjects import Lane

# Who may need help is told to those who can help, and to nobody for an exercise or a flight.
WHO_HELPS = frozenset({Role.OPERATOR, Role.SUPERVISOR})
WHO_READS: dict[Lane, frozenset[Role]] = {Lane.ENFORCEMENT: WHO_DECIDES, Lane.WELFARE: WHO_HELPS}
EVERY_LANE = frozenset(Lane)
WATCHLIST_WORDS = frozenset({"alarm.watchlist_match", "alarm.watchlist_candidates"})    # sentences that name a lane

P = TypeVar("P", bound=Picture | Delta)


def lanes_of(role: Role) -> frozenset[Lane]:
    return frozenset(lane for lane, roles in WHO_READS.items() if role in roles)


def sees_match(lanes: frozenset[Lane], match: MatchView) -> bool:
    return match.lane in lanes


def seen_alarm(lanes: frozenset[Lane], alarm: AlarmView) -> AlarmView:
    """The alarm; of a watchlist alarm of another lane only that there is a question, and about which contact."""
    if alarm.rule != "watchlist_match" or alarm.says.params.get("lane") in lanes:
        return alarm
    return msgspec.structs.replace(alarm, says=seen_words(lanes, alarm.says), match=None, matches=(), why=())


def seen_words(lanes: frozenset[Lane], says: Sentence) -> Sentence:
    """What an alarm says, without the lane and the match where they are not for these lanes."""
    if says.key not in WATCHLIST_WORDS or says.params.get("lane") in lanes:
        return says
    return Sentence("alarm.watchlist_elsewhere", {"contact": says.params.get("contact", "")})


def seen(lanes: frozenset[Lane], told: P) -> P:
    """A picture or a delta without the matches of other lanes. Returns `told` itself where nothing is to be left out."""
    if lanes == EVERY_LANE or not (told.alarms or told.matches):
        return told
    return msgspec.structs.replace(
        told,
        alarms=tuple(seen_alarm(lanes, a) for a in told.alarms),
        matches=tuple(m for m in told.matches if sees_match(lanes, m)),
    )


def seen_duty(lanes: frozenset[Lane], duty: Duty) -> Duty:
    """The duty with the sheets of its hand-overs as who sees these lanes may read them."""
    if lanes == EVERY_LANE:
        return duty
    return msgspec.structs.replace(
        duty,
        sheet=_seen_sheet(lanes, duty.sheet),
        handovers=tuple(msgspec.structs.replace(h, sheet=_seen_sheet(lanes, h.sheet)) for h in duty.handovers),
    )


def _seen_sheet(lanes: frozenset[Lane], sheet: Sheet) -> Sheet:
    def items(of: tuple[SheetItem, ...]) -> tuple[SheetItem, ...]:
        return tuple(msgspec.structs.replace(i, says=seen_words(lanes, i.says)) for i in of)

    return msgspec.structs.replace(
        sheet, waiting=items(sheet.waiting), taken=items(sheet.taken), shelved=items(sheet.shelved)
    )
