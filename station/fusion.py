"""Fusion: the detections of all sensors become contacts.

A constant-velocity Kalman filter for each contact in the sector's plane; each frame of each sensor is assigned to contacts
at once by global nearest neighbour (minimal sum of statistical distances) inside a 99 % gate. The result depends on the
frames and their order alone: no clock and no chance in here, so that a replay gives the same contacts.

Frames may come late. Up to a second, the filter takes them as measurements of the past; older ones (a node that was offline
sends what it saw) are told apart by where the contact was then, and count without moving it. An old detection that no
contact explains begins a contact of its own: nothing seen is ever thrown away.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from geofences.corridors import CHI2_99_2DOF, CorridorMap
from station.contacts import (
    MOTIONS,
    TRACKS_LIMIT,
    TRAIL_EVERY_M,
    TRAIL_EVERY_NS,
    TRAIL_LIMIT,
    Contact,
    Sight,
    contact_id,
    group_of,
)
from station.kalman import Array, begin, place_at, predict, update, update_late
from station.picture import Sentence, TrailPoint
from wire.clock import NS_PER_S
from wire.units import Colour, ObjectClass, VehicleKind

ENDED_AFTER_NS = 30 * NS_PER_S          # unseen for so long
LATE_LIMIT_NS = 1 * NS_PER_S            # the filter still takes a measurement that is this much older than the estimate
QUIET_NS = 3 * NS_PER_S                 # nothing arrived for a contact: its backlog is over
# A sensor's own track number says "the same object", and the gate widens to five sigma; beyond that it has lost its object.
HINT_GATE = 25.0
HINT_BONUS = 10.0
# Errors of one sensor's successive positions are mostly the same error (its pose, the terrain). n of them within this time
# weigh as one; else the ellipse would shrink to nothing around a biased place.
CORRELATION_S = 2.0
MERGE_AFTER_NS = 2 * NS_PER_S           # two contacts stay this long in one place before they become one
MERGE_SPEED_M_S = 1.5
_NEVER = 1e9


@dataclass(frozen=True, slots=True)
class Seen:
    """One confirmed point detection. position_m: (2,) east, north; covariance_m2: (2, 2). track: unique over all nodes.

    plate, plate_confidence, kind, colour: as in wire.messages.Detection.
    """

    track: str
    object_class: ObjectClass
    score: float
    position_m: Array
    covariance_m2: Array
    plate: str | None
    plate_confidence: tuple[float, ...] = ()
    kind: VehicleKind | None = None
    colour: Colour | None = None


@dataclass(frozen=True, slots=True)
class SensorFrame:
    """All confirmed point detections of one frame of one sensor. received_ns: when the station got it."""

    sensor: str
    captured_ns: int
    received_ns: int
    simulated: bool
    seen: tuple[Seen, ...]


class Fusion:
    """Holds the contacts that may still be seen. `contacts` and `next_number` are all of its state."""

    def __init__(self, corridors: CorridorMap, contacts: Iterable[Contact] = (), next_number: int = 1) -> None:
        self._corridors = corridors
        self.contacts: dict[int, Contact] = {c.number: c for c in contacts}
        self.next_number = next_number
        self._by_track = {track: c.number for c in self.contacts.values() for track in c.tracks}
        self._close_since: dict[tuple[int, int], int] = {}

    def observe(self, frame: SensorFrame) -> tuple[list[Contact], list[Contact]]:
        """Take one frame. Returns the contacts it touched, and those that ended by it (unseen, or merged into another)."""
        ended = self._end_unseen_by(frame)
        touched: list[Contact] = []
        for group in sorted({group_of(s.object_class) for s in frame.seen}):
            seen = [s for s in frame.seen if group_of(s.object_class) == group]
            touched += self._assign(frame, group, seen)
        for contact in touched:
            contact.apart.update(c.number for c in touched if c is not contact)
        for contact in touched:
            self._place(contact)
        ended += self._merge_close(frame, touched)
        return [c for c in touched if c.merged_into is None], ended

    def end_quiet(self, now_ns: int) -> list[Contact]:
        """End the contacts about which nothing has arrived for 30 s."""
        gone = [c for c in self.contacts.values() if now_ns - c.last_received_ns > ENDED_AFTER_NS]
        for contact in gone:
            self._end(contact, now_ns)
        return gone

    def of_track(self, track: str) -> Contact | None:
        number = self._by_track.get(track)
        return self.contacts.get(number) if number is not None else None

    # ------------------------------------------------------------------------------------------------- association

    def _assign(self, frame: SensorFrame, group: str, seen: list[Seen]) -> list[Contact]:
        contacts = [c for c in self.contacts.values() if self._may_take(c, frame, group)]
        touched: list[Contact] = []
        free = list(range(len(seen)))
        if contacts:
            squares, costs = self._distances(frame, contacts, seen)
            for i, j in zip(*linear_sum_assignment(costs), strict=True):
                if costs[i, j] < _NEVER:
                    self._update(contacts[i], frame, seen[j], float(squares[i, j]))
                    touched.append(contacts[i])
                    free.remove(int(j))
        return touched + [self._begin(frame, group, seen[j]) for j in free]

    @staticmethod
    def _may_take(contact: Contact, frame: SensorFrame, group: str) -> bool:
        sight = contact.sights.get(frame.sensor)
        return (
            contact.group == group
            and frame.captured_ns - contact.last_seen_ns <= ENDED_AFTER_NS
            and frame.captured_ns >= contact.first_seen_ns - LATE_LIMIT_NS
            and (sight is None or sight.last_ns != frame.captured_ns)
        )

    def _distances(self, frame: SensorFrame, contacts: list[Contact], seen: list[Seen]) -> tuple[Array, Array]:
        """(contacts, detections): squared Mahalanobis distances, and costs of assignment; _NEVER outside the gate.

        The cost is the negative log likelihood, so that of two contacts at equal distance the better known one is taken.
        """
        places = [self._place_then(c, frame.captured_ns) for c in contacts]
        positions = np.stack([p for p, _ in places])
        covariances = np.stack([c for _, c in places])
        measured = np.stack([s.position_m for s in seen])
        s = covariances[:, None] + np.stack([s.covariance_m2 for s in seen])[None]
        d = measured[None] - positions[:, None]
        det = s[..., 0, 0] * s[..., 1, 1] - s[..., 0, 1] ** 2
        squares = (
            s[..., 1, 1] * d[..., 0] ** 2 - 2 * s[..., 0, 1] * d[..., 0] * d[..., 1] + s[..., 0, 0] * d[..., 1] ** 2
        ) / det
        same = np.array([[self._by_track.get(z.track) == c.number for z in seen] for c in contacts])
        gate = np.where(same, HINT_GATE, CHI2_99_2DOF)
        costs = squares + np.log(det) - np.where(same, HINT_BONUS, 0.0)
        return squares, np.where(squares <= gate, costs, _NEVER)

    def _place_then(self, contact: Contact, at_ns: int) -> tuple[Array, Array]:
        """Where the contact was, or will be, at a time: (2,) and (2, 2). Long ago, by its trail."""
        if at_ns >= contact.estimate.at_ns - LATE_LIMIT_NS or not contact.trail:
            return place_at(contact.estimate, at_ns, contact.motion)
        trail = contact.trail
        times = [p.at_ns for p in trail]
        lat = np.interp(at_ns, times, [p.lat_deg for p in trail])
        lon = np.interp(at_ns, times, [p.lon_deg for p in trail])
        place: Array = self._corridors.frame.to_enu(lat, lon)[0]
        return place, newest_covariance(contact) + np.eye(2) * TRAIL_EVERY_M**2

    # ----------------------------------------------------------------------------------------------------- the filter

    def _update(self, contact: Contact, frame: SensorFrame, seen: Seen, square: float) -> None:
        sight = contact.sights.get(frame.sensor)
        if sight is None and contact.sights:
            self._say_joined(contact, frame, seen, square)
        since_s = CORRELATION_S * 2 if sight is None else max((frame.captured_ns - sight.last_ns) / 1e9, 1e-3)
        noise = seen.covariance_m2 * max(1.0, (2 * CORRELATION_S + since_s) / since_s if sight is not None else 1.0)
        delay_ns = contact.estimate.at_ns - frame.captured_ns
        if delay_ns <= 0:
            contact.estimate = update(
                predict(contact.estimate, frame.captured_ns, contact.motion), seen.position_m, noise
            )
        elif delay_ns <= LATE_LIMIT_NS:
            contact.estimate = update_late(contact.estimate, seen.position_m, noise, frame.captured_ns, contact.motion)
        self._note(contact, frame, seen)

    def _begin(self, frame: SensorFrame, group: str, seen: Seen) -> Contact:
        estimate = begin(seen.position_m, seen.covariance_m2, frame.captured_ns, MOTIONS[group])
        contact = Contact(
            self.next_number, group, estimate, frame.captured_ns, frame.captured_ns, frame.received_ns, frame.simulated
        )
        self.next_number += 1
        self.contacts[contact.number] = contact
        self._note(contact, frame, seen)
        return contact

    def _note(self, contact: Contact, frame: SensorFrame, seen: Seen) -> None:
        at_ns = frame.captured_ns
        contact.detections += 1
        contact.score_sum += seen.score
        contact.votes[seen.object_class.value] = contact.votes.get(seen.object_class.value, 0.0) + seen.score
        contact.first_seen_ns = min(contact.first_seen_ns, at_ns)
        contact.last_seen_ns = max(contact.last_seen_ns, at_ns)
        contact.last_received_ns = max(contact.last_received_ns, frame.received_ns)
        contact.simulated = contact.simulated or frame.simulated
        c = seen.covariance_m2
        sight = contact.sights.get(frame.sensor)
        last_ns = at_ns if sight is None else max(sight.last_ns, at_ns)
        contact.sights[frame.sensor] = Sight(
            1 if sight is None else sight.count + 1, last_ns, (float(c[0, 0]), float(c[0, 1]), float(c[1, 1]))
        )
        contact.tracks[seen.track] = at_ns
        self._by_track[seen.track] = contact.number
        if len(contact.tracks) > TRACKS_LIMIT:
            oldest = min(contact.tracks, key=lambda t: (contact.tracks[t], t))
            del contact.tracks[oldest]
            self._by_track.pop(oldest, None)
        if seen.plate:
            contact.note_plate(seen.plate, seen.plate_confidence)
        if seen.kind is not None:
            contact.kinds[seen.kind.value] = contact.kinds.get(seen.kind.value, 0) + 1
        if seen.colour is not None:
            contact.colours[seen.colour.value] = contact.colours.get(seen.colour.value, 0) + 1

    def _place(self, contact: Contact) -> None:
        """Bring what follows from the position up to date: corridors and trail."""
        at = contact.estimate.mean[:2]
        contact.corridors = self._corridors.containing(at)
        last_ns = contact.trail[-1].at_ns if contact.trail else 0
        moved = float(np.hypot(*(at - contact.trail_m)))
        due = contact.estimate.at_ns - last_ns >= TRAIL_EVERY_NS or moved >= TRAIL_EVERY_M
        if contact.estimate.at_ns > last_ns and due and not math.isnan(moved):
            lat, lon = self._corridors.frame.from_enu(at[None])[0]
            point = TrailPoint(round(float(lat), 7), round(float(lon), 7), contact.estimate.at_ns)
            contact.trail = [*contact.trail, point][-TRAIL_LIMIT:]
            contact.fresh_trail.append(point)
            contact.trail_m = at.copy()

    # --------------------------------------------------------------------------------------------- merging and ending

    def _say_joined(self, contact: Contact, frame: SensorFrame, seen: Seen, square: float) -> None:
        place, _ = self._place_then(contact, frame.captured_ns)
        contact.note_why(
            Sentence(
                "contact.why.joined",
                {
                    "sensor": frame.sensor, "others": ", ".join(sorted(contact.sights)),
                    "distance_m": round(float(np.hypot(*(seen.position_m - place))), 1),
                    "sigmas": round(math.sqrt(square), 1),
                },
            )
        )

    def _merge_close(self, frame: SensorFrame, touched: list[Contact]) -> list[Contact]:
        """Join contacts that were in one place for two seconds, unless one sensor ever saw both in a single frame."""
        gone: list[Contact] = []
        for contact in touched:
            for other in list(self.contacts.values()):
                if other is contact or contact.merged_into is not None or other.merged_into is not None:
                    continue
                pair = (min(contact.number, other.number), max(contact.number, other.number))
                if not self._could_be_one(contact, other, frame.captured_ns):
                    self._close_since.pop(pair, None)
                    continue
                since_ns = self._close_since.setdefault(pair, frame.captured_ns)
                if frame.captured_ns - since_ns >= MERGE_AFTER_NS:
                    older, younger = self.contacts[pair[0]], self.contacts[pair[1]]
                    self._merge(older, younger, frame)
                    gone.append(younger)
        return gone

    def _could_be_one(self, a: Contact, b: Contact, at_ns: int) -> bool:
        if a.group != b.group or b.number in a.apart or a.number in b.apart:
            return False
        if min(a.last_seen_ns, b.last_seen_ns) < at_ns - MERGE_AFTER_NS:
            return False
        apart_m = self._place_then(a, at_ns)[0] - self._place_then(b, at_ns)[0]
        if np.hypot(*(a.estimate.mean[2:] - b.estimate.mean[2:])) > MERGE_SPEED_M_S:
            return False
        # Each sensor's own error is in its measurements; the filters' covariances would take it for averaged out.
        square = float(apart_m @ np.linalg.solve(newest_covariance(a) + newest_covariance(b), apart_m))
        return square <= CHI2_99_2DOF

    def _merge(self, older: Contact, younger: Contact, frame: SensorFrame) -> None:
        distance_m = float(np.hypot(*(older.estimate.mean[:2] - younger.estimate.mean[:2])))
        older.note_why(
            Sentence(
                "contact.why.merged",
                {
                    "contact": contact_id(younger.number), "sensors": ", ".join(sorted(younger.sights)),
                    "distance_m": round(distance_m, 1), "seconds": MERGE_AFTER_NS // NS_PER_S,
                },
            )
        )
        # The errors of the two may be the same errors: take the better of the two, rather than average them into a lie.
        if np.trace(younger.estimate.covariance[:2, :2]) < np.trace(older.estimate.covariance[:2, :2]):
            older.estimate = younger.estimate
        older.detections += younger.detections
        older.score_sum += younger.score_sum
        for object_class, votes in younger.votes.items():
            older.votes[object_class] = older.votes.get(object_class, 0.0) + votes
        for text, count in younger.plates.items():
            older.plates[text] = older.plates.get(text, 0) + count
            older.plate_confidence.setdefault(text, younger.plate_confidence.get(text, ()))
        for counts, more in ((older.kinds, younger.kinds), (older.colours, younger.colours)):
            for word, count in more.items():
                counts[word] = counts.get(word, 0) + count
        for sensor, sight in younger.sights.items():
            known = older.sights.get(sensor)
            older.sights[sensor] = sight if known is None or known.last_ns < sight.last_ns else known
        for track, at_ns in younger.tracks.items():
            older.tracks[track] = at_ns
            self._by_track[track] = older.number
        for corridor, visit in younger.visits.items():
            older.visits.setdefault(corridor, visit)
        older.absorbed += [younger.number, *younger.absorbed]
        older.apart |= younger.apart - {older.number}
        older.snapshot = older.snapshot or younger.snapshot
        older.first_seen_ns = min(older.first_seen_ns, younger.first_seen_ns)
        older.last_seen_ns = max(older.last_seen_ns, younger.last_seen_ns)
        older.last_received_ns = max(older.last_received_ns, younger.last_received_ns)
        older.simulated = older.simulated or younger.simulated
        younger.merged_into = older.number
        self._end(younger, frame.received_ns)
        self._place(older)

    def _end_unseen_by(self, frame: SensorFrame) -> list[Contact]:
        """End contacts of this sensor that it has looked for in vain. Their backlog, if one is arriving, is waited for."""
        gone = [
            c for c in self.contacts.values()
            if frame.sensor in c.sights
            and frame.captured_ns - c.last_seen_ns > ENDED_AFTER_NS
            and frame.received_ns - c.last_received_ns > QUIET_NS
        ]
        for contact in gone:
            self._end(contact, frame.received_ns)
        return gone

    def _end(self, contact: Contact, now_ns: int) -> None:
        contact.ended_ns = now_ns
        del self.contacts[contact.number]
        for track in contact.tracks:
            if self._by_track.get(track) == contact.number:
                del self._by_track[track]
        self._close_since = {p: t for p, t in self._close_since.items() if contact.number not in p}


def newest_covariance(contact: Contact) -> Array:
    sight = max(contact.sights.values(), key=lambda s: s.last_ns)
    ee, en, nn = sight.covariance
    return np.array([[ee, en], [en, nn]])
