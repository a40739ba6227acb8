"""Fusion: the detections of all sensors become contacts.

Each frame of each sensor is assigned to contacts at once by global nearest neighbour (minimal sum of statistical distances)
inside a 99 % gate. How contacts move, and what errors a sensor makes again and again, is in fusion_filter and
fusion_offsets; measurements that come out of order are put in order by fusion_lag. The result depends on the frames and
their order alone: no clock and no chance in here, so that a replay gives the same contacts.

Frames may come late. Up to three seconds, the filter takes them where they belong; older ones (a node that was offline sends
what it saw) are told apart by where the contact was then, and count without moving it. An old detection that no contact
explains begins a contact of its own: nothing seen is ever thrown away.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

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
from station.fusion_crossed import Crossed
from station.fusion_filter import OFFSETS, WIDTH, mixture
from station.fusion_frames import Seen, SensorFrame
from station.fusion_joining import (
    MERGE_AFTER_NS,
    absorb,
    apart_m,
    could_be_one,
    keep_apart,
    merged_by_itself,
    newest_covariance,
    newest_track,
    split_off,
    why_joined,
)
from station.fusion_lag import LAG_NS, Step, anchor, exchange, give_slot, indices, rebuild, take, then
from station.fusion_learning import learn_from
from station.fusion_offsets import Offsets, OffsetsState
from station.fusion_recount import Counted, Recount
from station.fusion_table import Near, Sights, Table, Where
from station.kalman import Array, Estimate
from station.parties import Parties
from station.picture import Sentence, TrailPoint
from wire.clock import NS_PER_S

ENDED_AFTER_NS = 30 * NS_PER_S          # unseen for so long
GUESS_ENDED_AFTER_NS = 5 * NS_PER_S     # the same for what was seen fewer times than this: a bush in the wind
GUESS_BELOW = 3
QUIET_NS = 3 * NS_PER_S                 # nothing arrived for a contact: its backlog is over
AHEAD_LIMIT_NS = 10 * NS_PER_S          # as station.admission allows; a capture later than this after its arrival is a lie
# A sensor's own track number says "the same object", and the gate widens to five sigma; beyond that it has lost its object.
HINT_GATE = 25.0
HINT_BONUS = 10.0
KEPT_COST = 1e5                         # of a pairing that a person has forbidden while there is a better one
JOINED_WITHIN_M = 10.0                  # a track that a person joined to a contact, this far from it, is something else
APART_SAID_M = 8.0                      # who is farther away needs no reason to be somebody else
# Who has been out of sight for long may be anywhere, and whoever appears may be him, or anybody: from this deviation on, the
# gate of a contact closes as the logarithm of its ellipse's area grows.
LOST_M = 4.0
MERGE_EVERY_NS = 2 * NS_PER_S // 5      # the frames between say nothing new about who is one
NEAR_M = 15.0                           # contacts farther apart than this are never looked at as one
SIGMA_LIMIT_M = 10_000.0                # as station.admission: a position that is worse says nothing
SIGMA_LEAST_M = 0.02
_NEVER = 1e9


class Fusion:
    """Holds the contacts that may still be seen. `contacts`, `next_number` and `offsets` are all of its state; of the last
    three seconds it knows more, which a restart forgets: what comes late then counts without moving a contact.
    """

    def __init__(
        self, corridors: CorridorMap, contacts: Iterable[Contact] = (), next_number: int = 1,
        offsets: OffsetsState | None = None,
    ) -> None:
        self._corridors = corridors
        self.contacts: dict[int, Contact] = {c.number: c for c in contacts}
        self.next_number = next_number
        self.offsets = Offsets(offsets)
        self.refused = 0                # detections that can be of nothing on this earth
        self._by_track = {track: c.number for c in self.contacts.values() for track in c.tracks}
        self._crossed = Crossed()
        self._recount = Recount()
        self._parties = Parties(self.contacts.values())
        self._looked_ns: dict[str, int] = {}            # when the merging was last thought about, by sensor
        self._close_since: dict[tuple[int, int], int] = {}
        self._table = Table()
        for contact in self.contacts.values():
            self._recall(contact)

    def observe(self, frame: SensorFrame) -> tuple[list[Contact], list[Contact]]:
        """Take one frame. Returns the contacts it touched, and those that ended by it (unseen, or merged into another)."""
        at_ns = min(frame.captured_ns, frame.received_ns + AHEAD_LIMIT_NS)
        ended = self._end_unseen_by(frame, at_ns)
        touched: list[Contact] = []
        seen = [clean for s in frame.seen if (clean := self._clean(s)) is not None and not self._is_known(s, frame, at_ns)]
        for group in sorted({group_of(s.object_class) for s in seen}):
            touched += self._assign(frame, at_ns, group, [s for s in seen if group_of(s.object_class) == group])
        touched = list({c.number: c for c in touched}.values())
        self._table.settle(touched, self.offsets)
        self._tell_apart(frame, at_ns, touched)
        self._uncross(frame, at_ns, touched)
        self._parties.look(self.contacts, at_ns)
        self._place(touched)
        ended += self._merge_close(frame, at_ns, touched)
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

    def believed(self, contact: Contact, step: Step) -> tuple[Array, Array]:
        """Mean (4,) and whole covariance (4, 4) after a step of the contact."""
        mixed = mixture(step.row[None])
        block = self.offsets.block(np.array([indices(contact, self.offsets)]))
        return mixed.mean[0], mixed.total(block)[0]

    # --------------------------------------------------------------------------------------------- what a person decides

    def merge(self, one: Contact, other: Contact, person: str, now_ns: int) -> Contact:
        """A person says that the two are one. Their tracks stay together even where one sensor sees them side by side.

        Returns the one that has gone into the other.
        """
        older, younger = (one, other) if one.number < other.number else (other, one)
        older.joined = sorted({*older.joined, *younger.tracks, *older.tracks})
        says = Sentence("contact.why.merged_by", {"contact": contact_id(younger.number), "person": person})
        self._join(older, younger, says, now_ns)
        return younger

    def split(self, contact: Contact, sensor: str, person: str) -> Contact | None:
        """A person says that what this sensor sees is somebody else. Returns the new contact; None where nothing would be
        left of the old one."""
        if sensor not in contact.sights or len(contact.sights) < 2:
            return None
        other = split_off(contact, self.next_number, sensor, person)
        self.next_number += 1
        self.contacts[other.number] = other
        for track in other.tracks:
            self._by_track[track] = other.number
        self._table.settle([contact, other], self.offsets)
        self._place([contact, other])
        return other

    # ------------------------------------------------------------------------------------------------- association

    def _clean(self, seen: Seen) -> Seen | None:
        """A detection that the filter may take: finite, and with an error that is one. None for what is no place."""
        c = seen.covariance_m2
        p, a, b, d = seen.position_m, float(c[0, 0]), float(c[0, 1] + c[1, 0]) / 2.0, float(c[1, 1])
        if not (math.isfinite(p[0]) and math.isfinite(p[1]) and math.isfinite(a) and math.isfinite(b) and math.isfinite(d)):
            self.refused += 1
            return None
        least, most = SIGMA_LEAST_M**2, SIGMA_LIMIT_M**2
        if least <= a <= most and least <= d <= most and a * d - b * b >= least * max(a, d) / 2.0:
            return seen
        a, d = min(max(a, least), most), min(max(d, least), most)
        b = math.copysign(min(abs(b), math.sqrt(max(a * d - least * max(a, d), 0.0))), b)
        return Seen(
            seen.track, seen.object_class, seen.score, p, np.array([[a, b], [b, d]]), seen.plate, seen.plate_confidence,
            seen.kind, seen.colour,
        )

    def _is_known(self, seen: Seen, frame: SensorFrame, at_ns: int) -> bool:
        """Whether this very detection was taken before."""
        contact = self.of_track(seen.track)
        if contact is None:
            return False
        last_ns = contact.tracks.get(seen.track, 0)
        return last_ns == at_ns or (
            last_ns > at_ns
            and any(
                s.at_ns == at_ns and s.sensor == frame.sensor and s.raw_m[0] == seen.position_m[0] for s in contact.steps
            )
        )

    def _assign(self, frame: SensorFrame, at_ns: int, group: str, seen: list[Seen]) -> list[Contact]:
        k = self.offsets.index(frame.sensor, at_ns, frame.flying)
        raw = np.array([s.position_m for s in seen])
        lever, noise = self.offsets.split(k, raw, np.array([s.covariance_m2 for s in seen]), frame.from_m)
        sights = Sights(k, at_ns, raw - lever @ self.offsets.mean_of(k), lever, noise)
        near = self._table.near(
            group, sights, at_ns - ENDED_AFTER_NS, at_ns + LAG_NS, lambda n: self._past(self.contacts[n], at_ns),
            self.offsets,
        )
        chosen = self._choose(frame, at_ns, seen, near)
        alone = self._alone(near, len(seen))
        touched, steps = [], []
        for j, s in enumerate(seen):
            if j in chosen:
                contact, pair = self.contacts[near.numbers[chosen[j]]], chosen[j]
                if frame.sensor not in contact.sights:
                    distance_m, square = float(near.distance_m[pair]), float(near.square[pair])
                    contact.note_why(why_joined(contact, frame.sensor, distance_m, square))
            else:
                joined = self._joined_to(s, near, j)
                if joined is not None:
                    self._note(joined, frame, at_ns, s)
                    touched.append(joined)
                    continue
                contact = self._begin(frame, at_ns, group, s)
            slot = give_slot(contact, frame.sensor, self.offsets)
            step = Step(at_ns, frame.sensor, sights.place_m[j], raw[j], lever[j], noise[j], slot, np.zeros(WIDTH))
            if j in chosen and alone[j]:
                learn_from(contact, step, self.offsets)
            self._note(contact, frame, at_ns, s)
            touched.append(contact)
            steps.append((contact, step))
        take(steps, MOTIONS[group], self.offsets)
        return touched

    def _choose(self, frame: SensorFrame, at_ns: int, seen: list[Seen], near: Near) -> dict[int, int]:
        """Which pair of `near` each detection goes with, by the least sum of costs.

        A cost is a negative log likelihood, so that of two contacts at equal distance the better known one is taken.
        """
        if not near.numbers:
            return {}
        columns: dict[int, int] = {}
        costs = np.full((len(seen), len(set(near.numbers))), _NEVER)
        pair_at: dict[tuple[int, int], int] = {}
        squares, log_dets = near.square.tolist(), near.log_det.tolist()
        owner = self._owners(seen)
        lost = np.maximum(near.unsure - 4.0 * math.log(LOST_M), 0.0).tolist()
        for pair, (number, j) in enumerate(zip(near.numbers, near.sights.tolist(), strict=True)):
            same = owner[j] == number
            if squares[pair] > (HINT_GATE if same else CHI2_99_2DOF - lost[pair]):
                continue
            contact = self.contacts[number]
            sight = contact.sights.get(frame.sensor)
            if sight is not None and sight.last_ns == at_ns:
                continue            # one object is in a frame once
            column = columns.setdefault(number, len(columns))
            kept = contact.kept_from.get(frame.sensor) in self.contacts
            costs[j, column] = squares[pair] + log_dets[pair] - HINT_BONUS * same + KEPT_COST * kept
            pair_at[j, column] = pair
        rows, found = linear_sum_assignment(costs[:, : max(1, len(columns))])
        return {
            int(j): pair_at[int(j), int(c)] for j, c in zip(rows, found, strict=True) if costs[j, c] < _NEVER
        }

    def _owners(self, seen: list[Seen]) -> list[int | None]:
        """The contact whose the track of each detection is. Of two tracks of one contact in one frame it is the older's:
        the other one's was somebody who stood in its way, as who overtakes does, and was taken for it.
        """
        owner = [self._by_track.get(s.track) for s in seen]
        for number in [n for n, tracks in Counter(owner).items() if n is not None and tracks > 1]:
            mine = {s.track: j for j, s in enumerate(seen) if owner[j] == number}
            for younger in [t for t in self.contacts[number].tracks if t in mine][1:]:
                owner[mine[younger]] = None
        return owner

    @staticmethod
    def _alone(near: Near, n: int) -> list[bool]:
        """Which of n detections have one contact near them that has no other detection near it: nobody to mistake it for."""
        of_sight, of_contact = [0] * n, dict.fromkeys(near.numbers, 0)
        for number, j in zip(near.numbers, near.sights.tolist(), strict=True):
            of_sight[j] += 1
            of_contact[number] += 1
        alone = [False] * n
        for number, j in zip(near.numbers, near.sights.tolist(), strict=True):
            alone[j] = of_sight[j] == 1 and of_contact[number] == 1
        return alone

    def _joined_to(self, seen: Seen, near: Near, j: int) -> Contact | None:
        contact = self.of_track(seen.track)
        if contact is None or seen.track not in contact.joined:
            return None
        for number, i, distance_m in zip(near.numbers, near.sights, near.distance_m, strict=True):
            if number == contact.number and i == j and distance_m <= JOINED_WITHIN_M:
                return contact
        return None

    def _past(self, contact: Contact, at_ns: int) -> Where:
        """Where a contact was. Within three seconds as it was believed then, long ago by its trail."""
        step = then(contact, at_ns)
        if step is not None:
            mixed = mixture(step.row[None])
            dt = (at_ns - step.at_ns) / 1e9
            place = mixed.mean[0, :2] + dt * mixed.mean[0, 2:]
            c = mixed.covariance[0]
            covariance = c[:2, :2] + dt * (c[:2, 2:] + c[2:, :2]) + dt**2 * c[2:, 2:]
            return Where(place, covariance, mixed.sensitivity[0, :2] + dt * mixed.sensitivity[0, 2:])
        trail = [p for p in contact.trail if p.at_ns <= contact.estimate.at_ns]
        covariance = newest_covariance(contact) + np.eye(2) * TRAIL_EVERY_M**2
        if not trail:
            return Where(contact.estimate.mean[:2], covariance, np.zeros((2, OFFSETS)))
        times = [p.at_ns for p in trail]
        lat = np.interp(at_ns, times, [p.lat_deg for p in trail])
        lon = np.interp(at_ns, times, [p.lon_deg for p in trail])
        return Where(self._corridors.frame.to_enu(lat, lon)[0], covariance, np.zeros((2, OFFSETS)))

    # ---------------------------------------------------------------------------------------------- what is known of it

    def _begin(self, frame: SensorFrame, at_ns: int, group: str, seen: Seen) -> Contact:
        estimate = Estimate(np.concatenate([seen.position_m, np.zeros(2)]), np.eye(4), at_ns)      # settled by `take`
        contact = Contact(self.next_number, group, estimate, at_ns, at_ns, frame.received_ns, frame.simulated)
        self.next_number += 1
        self.contacts[contact.number] = contact
        return contact

    def _note(self, contact: Contact, frame: SensorFrame, at_ns: int, seen: Seen) -> None:
        sight = contact.sights.get(frame.sensor)
        contact.detections += 1
        contact.score_sum += seen.score
        contact.note_class(seen.object_class, seen.score, None if sight is None else at_ns - sight.last_ns)
        contact.first_seen_ns = min(contact.first_seen_ns, at_ns)
        contact.last_seen_ns = max(contact.last_seen_ns, at_ns)
        contact.last_received_ns = max(contact.last_received_ns, frame.received_ns)
        contact.simulated = contact.simulated or frame.simulated
        c = seen.covariance_m2
        contact.sights[frame.sensor] = Sight(
            1 if sight is None else sight.count + 1, at_ns if sight is None else max(sight.last_ns, at_ns),
            (float(c[0, 0]), float(c[0, 1]), float(c[1, 1])),
        )
        contact.tracks[seen.track] = max(at_ns, contact.tracks.get(seen.track, 0))
        owner = self.of_track(seen.track)
        if owner is not None and owner is not contact:
            owner.tracks.pop(seen.track, None)
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

    def _place(self, touched: list[Contact]) -> None:
        """Bring what follows from the positions up to date: corridors and trails."""
        if not touched:
            return
        inside = self._corridors.containing_each(np.array([c.estimate.mean[:2] for c in touched]))
        for contact, corridors in zip(touched, inside, strict=True):
            contact.corridors = corridors
            at, at_ns = contact.estimate.mean[:2], contact.estimate.at_ns
            last_ns = contact.trail[-1].at_ns if contact.trail else 0
            if at_ns <= last_ns:
                continue
            moved_m = math.hypot(at[0] - contact.trail_m[0], at[1] - contact.trail_m[1])
            if at_ns - last_ns >= TRAIL_EVERY_NS or moved_m >= TRAIL_EVERY_M:
                lat, lon = self._corridors.frame.from_enu(at[None])[0]
                point = TrailPoint(round(float(lat), 7), round(float(lon), 7), at_ns)
                contact.trail = [*contact.trail, point][-TRAIL_LIMIT:]
                contact.fresh_trail.append(point)
                contact.trail_m = at.copy()

    def _recall(self, contact: Contact) -> None:
        """A contact from the disk: what was believed of it, without what that came from."""
        row = contact.row
        if row is None:
            row = np.zeros(WIDTH)
            row[-2:] = MOTIONS[contact.group].usual
            body = row[:-2].reshape(2, -1)
            body[:, :4], body[:, 4:20] = contact.estimate.mean, contact.estimate.covariance.ravel()
        contact.steps = [anchor(row, contact.estimate.at_ns)]
        kept = contact.estimate
        self._table.settle([contact], self.offsets)
        contact.estimate = kept

    # --------------------------------------------------------------------------------------------- merging and ending

    def _tell_apart(self, frame: SensorFrame, at_ns: int, touched: list[Contact]) -> None:
        """Whoever is in one frame beside another is not that other."""
        numbers = sorted(c.number for c in touched)
        for contact in touched:
            fresh = [n for n in numbers if n != contact.number and n not in contact.apart]
            for number in numbers:
                if number != contact.number and contact.apart.get(number, 0) < at_ns:
                    contact.apart[number] = at_ns
            for number in fresh:
                distance_m = float(np.hypot(*apart_m(contact, self.contacts[number], at_ns)))
                if distance_m <= APART_SAID_M and self.contacts[number].group == contact.group:
                    contact.note_apart(
                        Sentence(
                            "contact.why.apart",
                            {"contact": contact_id(number), "sensor": frame.sensor, "distance_m": round(distance_m, 1)},
                        )
                    )

    def _uncross(self, frame: SensorFrame, at_ns: int, touched: list[Contact]) -> None:
        """Give tracks back that were given to the wrong one of two. What a person decided about them stands."""
        for a, b, sensor in self._crossed.look(frame.sensor, at_ns, touched):
            self._crossed.settle(a, b)
            mine, yours = newest_track(a, sensor), newest_track(b, sensor)
            if mine is None or yours is None or sensor in a.kept_from or sensor in b.kept_from:
                continue
            if {mine, yours} & {*a.joined, *b.joined}:
                continue
            exchange(a, b, sensor, MOTIONS[a.group], self.offsets)
            for contact, other, track in ((a, b, mine), (b, a, yours)):
                other.tracks[track] = contact.tracks.pop(track)
                self._by_track[track] = other.number
            for contact, other in ((a, b), (b, a)):
                contact.note_why(Sentence("contact.why.crossed", {"contact": other.id, "sensor": sensor}))
            self._table.settle([a, b], self.offsets)

    def _merge_close(self, frame: SensorFrame, at_ns: int, touched: list[Contact]) -> list[Contact]:
        """Join contacts that were in one place for two seconds, unless one sensor has lately seen both in a single frame."""
        gone: list[Contact] = []
        if not touched or 0 <= at_ns - self._looked_ns.get(frame.sensor, -MERGE_EVERY_NS) < MERGE_EVERY_NS:
            return gone
        self._looked_ns[frame.sensor] = at_ns
        pairs = self._table.neighbours([c.number for c in touched], NEAR_M, at_ns - MERGE_AFTER_NS)
        met: set[tuple[int, int]] = set()
        two: list[tuple[Contact, Contact]] = []
        for a, b in pairs:
            pair = (min(a, b), max(a, b))
            older, younger = self.contacts.get(pair[0]), self.contacts.get(pair[1])
            if pair in met or older is None or younger is None:
                continue
            met.add(pair)
            if not could_be_one(older, younger, at_ns, self.offsets):
                self._close_since.pop(pair, None)
                two.append((older, younger))
                continue
            since_ns = self._close_since.setdefault(pair, at_ns)
            if at_ns - since_ns >= MERGE_AFTER_NS:
                self._join(older, younger, merged_by_itself(younger, older), frame.received_ns)
                gone.append(younger)
        if not gone:
            for people in self._recount.look(two, {c.number for c in touched}, at_ns, self.offsets):
                gone += self._count_anew(people, frame, at_ns)
        return gone

    def _count_anew(self, people: tuple[Counted, ...], frame: SensorFrame, at_ns: int) -> list[Contact]:
        """Give each of them what is seen of him. Returns the contacts that are gone by it."""
        ids = ", ".join(c.id for p in people for c in (p.heir, *p.absorbed))
        says = Sentence("contact.why.recounted", {"contacts": ids, "count": len(people)})
        gone = [c for p in people for c in p.absorbed]
        for person in people:
            for other in person.absorbed:
                self._join(person.heir, other, says, frame.received_ns)
        for person in people:
            person.heir.sights = {i.sensor: i.sight for i in person.items}
            for track in (t for i in person.items for t in i.tracks):
                owner = self.of_track(track)
                if owner is not None and owner is not person.heir:
                    person.heir.tracks[track] = owner.tracks.pop(track)
                    self._by_track[track] = person.heir.number
            rebuild(person.heir, [s for i in person.items for s in i.steps], MOTIONS[person.heir.group], self.offsets)
            if not person.absorbed:
                person.heir.note_why(says)
        heirs = [p.heir for p in people]
        for k, one in enumerate(heirs):
            for other in heirs[k + 1 :]:
                keep_apart(one, other, at_ns)
                self._crossed.settle(one, other)
        self._table.settle(heirs, self.offsets)
        self._place(heirs)
        return gone

    def _join(self, older: Contact, younger: Contact, says: Sentence, now_ns: int) -> None:
        absorb(older, younger, says)
        for track in younger.tracks:
            self._by_track[track] = older.number
        for other in self.contacts.values():
            if younger.number in other.apart and other is not older:
                keep_apart(older, other, other.apart.pop(younger.number))
            for sensor, number in list(other.kept_from.items()):
                if number == younger.number:
                    other.kept_from[sensor] = older.number
        older.kept_from = {s: n for s, n in older.kept_from.items() if n != older.number}
        self._end(younger, now_ns)
        self._table.settle([older], self.offsets)
        self._place([older])

    def _end_unseen_by(self, frame: SensorFrame, at_ns: int) -> list[Contact]:
        """End contacts of this sensor that it has looked for in vain. Their backlog, if one is arriving, is waited for."""
        gone = [
            c for n in self._table.unseen_since(at_ns - GUESS_ENDED_AFTER_NS) if (c := self.contacts[n])
            and at_ns - c.last_seen_ns > (GUESS_ENDED_AFTER_NS if c.detections < GUESS_BELOW else ENDED_AFTER_NS)
            and frame.sensor in c.sights
            and frame.received_ns - c.last_received_ns > QUIET_NS
        ]
        for contact in gone:
            self._end(contact, frame.received_ns)
        return gone

    def _end(self, contact: Contact, now_ns: int) -> None:
        contact.ended_ns = now_ns
        del self.contacts[contact.number]
        self._table.drop(contact.number)
        for track in contact.tracks:
            if self._by_track.get(track) == contact.number:
                del self._by_track[track]
        for number in contact.apart:
            if number in self.contacts:
                self.contacts[number].apart.pop(contact.number, None)
        self._close_since = {p: t for p, t in self._close_since.items() if contact.number not in p}
        self._crossed.forget(contact.number)
