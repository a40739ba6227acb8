"""The rules about contacts: which of the sector's rules hold for a contact now, and why, in sentences.

Nothing here raises an alarm: `ContactRules.findings` says what holds, and the desk (station.rules) makes of it one alarm for
each contact. Everything is judged by capture times and places alone, and what must be remembered lies in the contact's own
`course`, which is on the disk with it: a mind that was killed comes to the same findings.

Direction is the change of the distance to the border line (or along a corridor's centre line, towards the end that is nearer
to it) over the last minute. It counts once it is larger than both MOVED_M and twice the error of the place, so that a
standing contact has no direction. Outbound and inbound are two values of one setting and are treated alike.

A crossing is a change of sides, and a side counts once the contact is further from the line than twice its error.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np
import shapely

from geofences.sector import Sector
from station.alarm_settings import AlarmSettings, Direction, MeasuredBy, RuleKind, RuleSettings
from station.contacts import Contact
from station.picture import Sentence
from wire.clock import NS_PER_S
from wire.messages import Corridor

JUDGED_EVERY_NS = NS_PER_S              # what needs movement; the entry of a corridor is looked at with every detection
STEP_EVERY_NS = 5 * NS_PER_S
STEPS_NS = 60 * NS_PER_S                # of direction: long enough for a walker to have gone further than his error
MOVED_M = 10.0
ERROR_SIGMAS = 2.0                      # 95 % of one axis
CORRIDOR_ENDS_M = 30.0                  # a corridor whose ends are as far from the border has no direction towards it
ENTRY_ID = "corridor_entry"             # the visits of this rule bear the corridor's name alone, as they always did

PartyOf = Callable[[Contact], int]      # how many go together with it, itself included
GoesOn = Callable[[str], bool]


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that holds for a contact now, and did not a while ago.

    key: names rule and place among the contact's visits. says: the headline. why: one sentence for each condition.
    """

    rule: RuleSettings
    key: str
    priority: int
    corridor: str | None
    says: Sentence
    why: tuple[Sentence, ...]


@dataclass(frozen=True, slots=True)
class _Way:
    """Where a contact has gone within the last minute. Metres, seconds; a change is negative towards the other side."""

    distance_m: float
    sigma_m: float
    change_m: float
    seconds: float

    @property
    def direction(self) -> Direction | None:
        if abs(self.change_m) < max(MOVED_M, ERROR_SIGMAS * self.sigma_m):
            return None
        return Direction.OUTBOUND if self.change_m < 0 else Direction.INBOUND


@dataclass(slots=True)
class _Asked:
    """One look at one contact. way, crossed: only where movement is judged this time."""

    contact: Contact
    party_of: PartyOf
    goes_on: GoesOn
    way: _Way | None = None
    crossed: Direction | None = None


class ContactRules:
    """The sector's rules about contacts, ready to be asked."""

    def __init__(self, settings: AlarmSettings, sector: Sector) -> None:
        self._sector = sector
        self._corridors: dict[str, Corridor] = {c.id: c for c in sector.corridor_set.corridors}
        self._entries = [r for r in settings.rules if r.kind is RuleKind.CORRIDOR_ENTRY and _needs_no_movement(r)]
        self._moving = [r for r in settings.rules if r not in self._entries]
        self._border_end: dict[str, int] = {}
        for ground in sector.corridors.grounds:
            ends = sector.border.signed_distance_m([ground.centre_line.coords[0], ground.centre_line.coords[-1]])
            if abs(ends[0] - ends[1]) >= CORRIDOR_ENDS_M:
                self._border_end[ground.corridor.id] = 0 if ends[0] < ends[1] else -1

    def findings(self, contact: Contact, party_of: PartyOf, goes_on: GoesOn) -> Iterator[Finding]:
        """What holds for this contact at its newest detection and is new. Moves on what `contact.course` remembers.

        goes_on: told the key of everything that holds; true where that is a visit that goes on, whatever the hour.
        """
        asked = _Asked(contact, party_of, goes_on)
        for rule in self._entries:
            yield from self._in_places(rule, asked)
        course, at_ns = contact.course, contact.last_seen_ns
        if not self._moving or 0 <= at_ns - course.judged_ns < JUDGED_EVERY_NS:
            return
        course.judged_ns = at_ns
        self._step(contact)
        before, distance_m, sigma_m = course.side, self._distance_m(contact), _sigma_m(contact)
        if abs(distance_m) > ERROR_SIGMAS * sigma_m:
            course.side = 1 if distance_m > 0 else -1
        if before and course.side != before:
            asked.crossed = Direction.OUTBOUND if before > 0 else Direction.INBOUND
        asked.way = self._way(contact, distance_m, sigma_m)
        for rule in self._moving:
            yield from self._in_places(rule, asked)

    # ---------------------------------------------------------------------------------------------------- one rule

    def _in_places(self, rule: RuleSettings, asked: _Asked) -> Iterator[Finding]:
        contact = asked.contact
        inside: list[str | None] = [c for c in contact.corridors if not rule.corridors or c in rule.corridors]
        places = (inside or [None])[:1] if rule.looks_everywhere else inside
        if not places:
            contact.course.anchors.pop(rule.id, None)
            contact.course.fast_since.pop(rule.id, None)
            return
        if rule.classes and contact.object_class not in rule.classes:
            return
        for corridor in places:
            found = self._holds(rule, corridor, asked)
            if found is not None:
                yield found

    def _holds(self, rule: RuleSettings, corridor: str | None, asked: _Asked) -> Finding | None:
        contact, way, why = asked.contact, asked.way, list[Sentence]()
        key = rule.id
        if rule.kind is RuleKind.BORDER_CROSSING:
            if way is None or asked.crossed is None or rule.direction not in (None, asked.crossed):
                return None
            key = f"{rule.id}/{asked.crossed.value}"
            why.append(Sentence("alarm.why.crossing", {
                "direction": asked.crossed.value, "distance_m": round(abs(way.distance_m)),
                "sigma_m": round(way.sigma_m, 1)}))
        elif way is not None and not self._moves_so(rule, contact, corridor, way, why):
            return None
        party = asked.party_of(contact) if rule.party_at_least > 1 else 1
        if party < rule.party_at_least:
            return None
        if corridor is not None and not rule.looks_everywhere:
            key = corridor if rule.id == ENTRY_ID else f"{key}@{corridor}"
        in_hours, hours = self._hours(rule, corridor, contact.last_seen_ns)
        if asked.goes_on(key) or not in_hours:
            return None
        if rule.party_at_least > 1:
            why.append(Sentence("alarm.why.party", {"party": party, "least": rule.party_at_least}))
        if rule.classes:
            why.append(Sentence("alarm.why.class", {"object_class": contact.object_class.value}))
        return Finding(
            rule, key, rule.priority or self._corridors[corridor or ""].priority, corridor,
            self._headline(rule, corridor, party, asked),
            (Sentence("alarm.why.rule", {"rule": rule.id}), *self._place_why(corridor), *hours, *why),
        )

    def _headline(self, rule: RuleSettings, corridor: str | None, party: int, asked: _Asked) -> Sentence:
        contact, way = asked.contact, asked.way
        params: dict[str, str | float | int] = {
            "corridor": self._where(corridor), "corridor_id": corridor or "", "object_class": contact.object_class.value,
            "contact": contact.id, "contacts": 1,
        }
        match rule.kind:
            case RuleKind.PARTY:
                params["party"] = party
            case RuleKind.SPEED:
                params["speed_km_h"] = round(_speed_m_s(contact)[0] * 3.6)
            case RuleKind.LOITERING:
                params["minutes"] = round(self._stayed_s(rule, contact) / 60)
            case RuleKind.BORDER_CROSSING if asked.crossed is not None:
                params["direction"] = asked.crossed.value
            case RuleKind.DIRECTION if rule.direction is not None:
                params["direction"] = rule.direction.value
            case RuleKind.BORDER_APPROACH if way is not None and way.direction is not None:
                params |= {"direction": way.direction.value, "distance_m": round(abs(way.distance_m))}
        return Sentence(f"alarm.{rule.kind.value}", params)

    def _moves_so(
        self, rule: RuleSettings, contact: Contact, corridor: str | None, way: _Way, why: list[Sentence]
    ) -> bool:
        """Whether direction, speed, stay and approach are as the rule wants them; adds the sentences that say so."""
        by_corridor = rule.measured_by is MeasuredBy.CORRIDOR and corridor in self._border_end
        gone = self._corridor_way(contact, corridor, way) if by_corridor and corridor is not None else way
        if rule.direction is not None:
            if gone.direction is not rule.direction:
                return False
            why.append(Sentence("alarm.why.direction_corridor" if by_corridor else "alarm.why.direction", {
                "direction": rule.direction.value, "moved_m": round(abs(gone.change_m)), "seconds": round(gone.seconds)}))
        if rule.speed_at_least_m_s > 0:
            held_s = self._fast_s(rule, contact)
            if held_s is None or held_s < (rule.for_s if rule.kind is RuleKind.SPEED else 0.0):
                return False
            speed, sigma = _speed_m_s(contact)
            why.append(Sentence("alarm.why.speed", {
                "speed_km_h": round(speed * 3.6, 1), "sigma_km_h": round(sigma * 3.6, 1),
                "least_km_h": round(rule.speed_at_least_m_s * 3.6, 1), "seconds": round(held_s)}))
        if rule.within_m > 0:
            stayed_s = self._stayed_s(rule, contact, moves_on=True)
            if stayed_s < rule.for_s:
                return False
            why.append(Sentence("alarm.why.loitering", {"minutes": round(stayed_s / 60), "within_m": round(rule.within_m)}))
        if rule.border_within_m > 0:
            arrives_s = _arrives_s(way)
            if abs(way.distance_m) > rule.border_within_m or arrives_s is None:
                return False
            if rule.arrives_within_s and arrives_s > rule.arrives_within_s:
                return False
            why.append(Sentence("alarm.why.approach", {
                "distance_m": round(abs(way.distance_m)), "minutes": max(1, math.ceil(arrives_s / 60))}))
        return True

    # ------------------------------------------------------------------------------------------------ where and when

    def _hours(self, rule: RuleSettings, corridor: str | None, at_ns: int) -> tuple[bool, list[Sentence]]:
        own = self._corridors[corridor].alarm_minutes if corridor is not None and not rule.looks_everywhere else (0, 1440)
        start, end = rule.minutes or own
        if (start, end) == (0, 1440):
            return True, []
        local = datetime.fromtimestamp(at_ns / 1e9, UTC) + timedelta(minutes=self._sector.utc_offset_min)
        minute = local.hour * 60 + local.minute
        inside = start <= minute < end if start <= end else minute >= start or minute < end
        return inside, [Sentence("alarm.why.hours", {"begin": _clock(start), "end": _clock(end)})]

    def _where(self, corridor: str | None) -> str:
        return self._sector.name if corridor is None else self._corridors[corridor].name

    def _place_why(self, corridor: str | None) -> list[Sentence]:
        if corridor is None:
            return []
        c = self._corridors[corridor]
        return [Sentence("alarm.why.corridor", {"corridor": corridor, "priority": c.priority})]

    # ------------------------------------------------------------------------------------------------------ movement

    def _distance_m(self, contact: Contact) -> float:
        return float(self._sector.border.signed_distance_m(contact.estimate.mean[:2])[0])

    def _step(self, contact: Contact) -> None:
        """Note the place every few seconds; late detections add nothing."""
        at_ns, steps = contact.last_seen_ns, contact.course.steps
        if not steps or at_ns - steps[-1][0] >= STEP_EVERY_NS:
            steps.append((at_ns, round(float(contact.estimate.mean[0]), 2), round(float(contact.estimate.mean[1]), 2)))
        while len(steps) > 1 and at_ns - steps[0][0] > STEPS_NS:
            del steps[0]

    def _way(self, contact: Contact, distance_m: float, sigma_m: float) -> _Way:
        at_ns, east, north = contact.course.steps[0]
        then_m = float(self._sector.border.signed_distance_m([east, north])[0])
        return _Way(distance_m, sigma_m, distance_m - then_m, max(0.0, (contact.last_seen_ns - at_ns) / NS_PER_S))

    def _corridor_way(self, contact: Contact, corridor: str, way: _Way) -> _Way:
        line = self._sector.corridors.ground(corridor).centre_line
        _, east, north = contact.course.steps[0]
        mean = contact.estimate.mean
        then_m = line.project(shapely.Point(east, north))
        here_m = line.project(shapely.Point(float(mean[0]), float(mean[1])))
        # Where the line begins at the border, going back along it is outbound.
        change = (here_m - then_m) * (1.0 if self._border_end[corridor] == 0 else -1.0)
        return _Way(way.distance_m, way.sigma_m, change, way.seconds)

    @staticmethod
    def _fast_s(rule: RuleSettings, contact: Contact) -> float | None:
        """Since when it is surely as fast as the rule says; None while it is not."""
        since = contact.course.fast_since
        speed, sigma = _speed_m_s(contact)
        if speed - sigma < rule.speed_at_least_m_s:
            since.pop(rule.id, None)
            return None
        return (contact.last_seen_ns - since.setdefault(rule.id, contact.last_seen_ns)) / NS_PER_S

    @staticmethod
    def _stayed_s(rule: RuleSettings, contact: Contact, moves_on: bool = False) -> float:
        """How long it has been within the rule's radius. moves_on: begins anew where it has left that."""
        anchors, at_ns = contact.course.anchors, contact.last_seen_ns
        east, north = float(contact.estimate.mean[0]), float(contact.estimate.mean[1])
        known = anchors.get(rule.id)
        if moves_on and (known is None or math.hypot(east - known[1], north - known[2]) > rule.within_m):
            known = anchors[rule.id] = (at_ns, round(east, 2), round(north, 2))
        return 0.0 if known is None else max(0.0, (at_ns - known[0]) / NS_PER_S)


def _needs_no_movement(rule: RuleSettings) -> bool:
    """Whether the place alone decides, so that it may be looked at with every detection."""
    return (
        rule.direction is None and rule.speed_at_least_m_s == 0 and rule.within_m == 0 and rule.border_within_m == 0
        and rule.party_at_least == 1
    )


def _arrives_s(way: _Way) -> float | None:
    """When it is at the line, at the pace of the last minute; None where it does not go there."""
    if way.direction is None or way.seconds <= 0:
        return None
    towards = way.change_m < 0 if way.distance_m > 0 else way.change_m > 0
    return abs(way.distance_m) / (abs(way.change_m) / way.seconds) if towards else None


def _sigma_m(contact: Contact) -> float:
    return math.sqrt(max(0.0, float(np.linalg.eigvalsh(contact.estimate.covariance[:2, :2])[-1])))


def _speed_m_s(contact: Contact) -> tuple[float, float]:
    """Speed over ground, and its error along the way (one sigma)."""
    velocity, covariance = contact.estimate.mean[2:4], contact.estimate.covariance[2:4, 2:4]
    speed = float(np.hypot(*velocity))
    if speed < 1e-6:
        return speed, math.sqrt(max(0.0, float(np.trace(covariance))))
    along = velocity / speed
    return speed, math.sqrt(max(0.0, float(along @ covariance @ along)))


def _clock(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"
