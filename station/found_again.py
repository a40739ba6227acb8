"""Whether a contact is somebody whom an alarm stands for already, lost from sight and found again.

He is of the same kind and corridor, and was lost for two minutes at the most. While nobody has answered the alarm he may be
wherever the lost one could have walked to: the question is open, and its count tells of him. Of an alarm that somebody has
*taken* he is only who goes on as the lost one went; who comes along behind him, comes up where he was lost a minute ago, or
goes the other way is somebody else and is asked about. Of one that is *shelved* he is only what is found where that was
raised: a bush put aside puts no walker aside.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import shapely

from geofences.sector import Sector
from station.alarms import Alarm
from station.contacts import Contact
from station.picture import AlarmState
from wire.clock import NS_PER_S

Point = tuple[float, float]

LOST_AFTER_NS = 3 * NS_PER_S
FOUND_WITHIN_NS = 120 * NS_PER_S
FOUND_WITHIN_M = 15.0
FOUND_SPEED_M_S = {"person": 2.5, "vehicle": 15.0, "boat": 6.0}
# Of an alarm that somebody has taken: who was slower than this when lost has stayed near. Who was not goes on, so many times
# as fast at the least and at the most, give or take so many errors of where he is found (both places have one, and three of
# both together are four of one). He comes the other way where that is so much likelier by his velocity (natural logarithm):
# after three pictures that is known to half a metre a second or so.
STANDS_M_S = 0.5
GOES_ON_PACES = (0.3, 1.5)
PLACE_SIGMAS = 4.0
OTHER_WAY_LIKELIER = 1.0


def note_place(alarm: Alarm, contact: Contact) -> None:
    """Where a contact of this alarm is now, and how it goes."""
    east, north, east_m_s, north_m_s = (float(v) for v in contact.estimate.mean[:4])
    alarm.last_m, alarm.last_m_s = (east, north), (east_m_s, north_m_s)


def found_off_m(alarm: Alarm, contact: Contact, corridor: str | None, sector: Sector) -> float | None:
    """How many metres from where he is looked for the lost one of this alarm is found; None where this is somebody else.

    corridor: in which the contact is judged; None for a rule of no corridor.
    """
    if alarm.group != contact.group or not alarm.is_open or not alarm.is_about_contacts:
        return None
    if corridor is not None and alarm.corridor is not None and alarm.corridor != corridor:
        return None
    # Measured at the contact's first sight: by now it has walked on, and the lost one may be seen again as well.
    if not LOST_AFTER_NS < contact.first_seen_ns - alarm.last_seen_ns <= FOUND_WITHIN_NS:
        return None
    walked_s = (contact.last_seen_ns - alarm.last_seen_ns) / NS_PER_S
    if alarm.is_unanswered:
        return _off_m(alarm.last_m, contact, FOUND_WITHIN_M + FOUND_SPEED_M_S[contact.group] * walked_s)
    if alarm.state is AlarmState.SHELVED and alarm.position is not None:
        east, north = sector.frame.point(alarm.position)
        return _off_m((float(east), float(north)), contact, FOUND_WITHIN_M)
    if math.hypot(*alarm.last_m_s) < STANDS_M_S:
        return _off_m(alarm.last_m, contact, FOUND_WITHIN_M)
    return _off_his_way_m(alarm, contact, corridor, sector, walked_s)


def _off_m(place: Point, contact: Contact, reach_m: float) -> float | None:
    off_m = math.dist(place, _place(contact))
    return off_m if off_m <= reach_m else None


def _off_his_way_m(
    alarm: Alarm, contact: Contact, corridor: str | None, sector: Sector, walked_s: float
) -> float | None:
    """The same for who was walking when he was lost: ahead by as much as he may have walked, and not coming back."""
    way = _way(alarm, corridor, sector)
    here, mean, covariance = _place(contact), contact.estimate.mean, contact.estimate.covariance
    gone_m = way(here, alarm.last_m)
    was_m_s = way(_add(alarm.last_m, alarm.last_m_s), alarm.last_m)
    goes_m_s = way(_add(here, (float(mean[2]), float(mean[3]))), here)
    goes_variance = float(np.linalg.eigvalsh(covariance[2:4, 2:4])[-1])
    sigma_m = math.sqrt(max(0.0, float(np.linalg.eigvalsh(covariance[:2, :2])[-1])))
    # Of two velocities, as he went and as far the other way; both with the variance that his has now.
    if -2.0 * was_m_s * goes_m_s > OTHER_WAY_LIKELIER * goes_variance:
        return None
    expected_m = was_m_s * walked_s
    least_m, most_m = GOES_ON_PACES[0] * expected_m - PLACE_SIGMAS * sigma_m, GOES_ON_PACES[1] * expected_m + FOUND_WITHIN_M
    if gone_m < least_m or math.dist(alarm.last_m, here) > most_m:
        return None
    return abs(gone_m - expected_m)


def _way(alarm: Alarm, corridor: str | None, sector: Sector) -> Callable[[Point, Point], float]:
    """How far one place is on from another, the way he went: along the corridor, for trails bend; straight on where he did
    not go along it."""
    if corridor is not None:
        line = sector.corridors.ground(corridor).centre_line

        def along_m(here: Point, there: Point) -> float:
            return float(line.project(shapely.Point(here)) - line.project(shapely.Point(there)))

        was_m_s = along_m(_add(alarm.last_m, alarm.last_m_s), alarm.last_m)
        if abs(was_m_s) >= STANDS_M_S:
            return lambda here, there: math.copysign(1.0, was_m_s) * along_m(here, there)
    speed = math.hypot(*alarm.last_m_s)
    east, north = alarm.last_m_s[0] / speed, alarm.last_m_s[1] / speed
    return lambda here, there: (here[0] - there[0]) * east + (here[1] - there[1]) * north


def _place(contact: Contact) -> Point:
    return float(contact.estimate.mean[0]), float(contact.estimate.mean[1])


def _add(place: Point, by: Point) -> Point:
    return place[0] + by[0], place[1] + by[1]
