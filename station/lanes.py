"""Decides which roles may read which lane of the watchlist, and removes the other lanes from what is sent to a session."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from station.access import WHO_DECIDES, Role
from station.duty import Duty, Sheet, SheetItem
from station.picture import AlarmView, Delta, MatchView, Picture, Sentence
from station.subjects import Lane

# Records about people who may need help are only for the roles that can help them.
WHO_HELPS = frozenset({Role.OPERATOR, Role.SUPERVISOR})
WHO_READS: dict[Lane, frozenset[Role]] = {Lane.ENFORCEMENT: WHO_DECIDES, Lane.WELFARE: WHO_HELPS}
EVERY_LANE = frozenset(Lane)
NO_LANE: frozenset[Lane] = frozenset()
SENTENCES_WITH_LANE = frozenset({"alarm.watchlist_match", "alarm.watchlist_candidates"})    # sentences that name a lane

P = TypeVar("P", bound=Picture | Delta)


def lanes_of(role: Role) -> frozenset[Lane]:
    """The lanes that a role may read."""
    return frozenset(lane for lane, roles in WHO_READS.items() if role in roles)


def sees_match(lanes: frozenset[Lane], match: MatchView) -> bool:
    return match.lane in lanes


def redact_alarm(lanes: frozenset[Lane], alarm: AlarmView) -> AlarmView:
    """Remove the match from a watchlist alarm of another lane; its contact stays. Other alarms are returned unchanged."""
    if alarm.rule != "watchlist_match" or alarm.says.params.get("lane") in lanes:
        return alarm
    return msgspec.structs.replace(alarm, says=redact_sentence(lanes, alarm.says), match=None, matches=(), why=())


def redact_sentence(lanes: frozenset[Lane], says: Sentence) -> Sentence:
    """Replace a sentence that names a match of another lane by one that names only the contact."""
    if says.key not in SENTENCES_WITH_LANE or says.params.get("lane") in lanes:
        return says
    return Sentence("alarm.watchlist_elsewhere", {"contact": says.params.get("contact", "")})


def redact(lanes: frozenset[Lane], content: P) -> P:
    """Remove the matches of other lanes from a picture or a delta. Returns `content` itself if nothing has to be removed."""
    if lanes == EVERY_LANE or not (content.alarms or content.matches):
        return content
    return msgspec.structs.replace(
        content,
        alarms=tuple(redact_alarm(lanes, a) for a in content.alarms),
        matches=tuple(m for m in content.matches if sees_match(lanes, m)),
    )


def redact_duty(lanes: frozenset[Lane], duty: Duty) -> Duty:
    """Remove the matches of other lanes from the current hand-over sheet and from the earlier ones."""
    if lanes == EVERY_LANE:
        return duty
    return msgspec.structs.replace(
        duty,
        sheet=_redact_sheet(lanes, duty.sheet),
        handovers=tuple(msgspec.structs.replace(h, sheet=_redact_sheet(lanes, h.sheet)) for h in duty.handovers),
    )


def _redact_sheet(lanes: frozenset[Lane], sheet: Sheet) -> Sheet:
    def items(of: tuple[SheetItem, ...]) -> tuple[SheetItem, ...]:
        return tuple(msgspec.structs.replace(i, says=redact_sentence(lanes, i.says)) for i in of)

    return msgspec.structs.replace(
        sheet, waiting=items(sheet.waiting), taken=items(sheet.taken), shelved=items(sheet.shelved)
    )
