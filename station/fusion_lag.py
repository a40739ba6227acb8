"""Measurements in the order in which they were taken, whatever the order in which they came.

Each contact keeps what was measured of it in the last three seconds, with what was believed after each. One that comes late
is put where it belongs, and everything after it is filtered again: exact, where one-step solutions (Bar-Shalom, "Update with
out-of-sequence measurements in tracking: exact solution", 2002) are approximations for more than one step of delay. The
contacts of a frame are filtered together, round by round. What is older than three seconds is not taken.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from station.contacts import Contact
from station.fusion_filter import SLOTS, Measured, Motions, advance, begin, correct, forget_slot
from station.fusion_offsets import NOBODY, Offsets
from station.kalman import Array
from wire.clock import NS_PER_S

LAG_NS = 3 * NS_PER_S
# A walker's gait and the box around him wobble, and one frame's error is much like the next one's: n measurements within
# this time weigh as one. A step takes half a second.
CORRELATION_S = 0.3


@dataclass(slots=True)
class Step:
    """One measurement of one contact, and what was believed after it.

    place_m: (2,), freed of the offset as it was then known. raw_m: as it came. lever_m, noise_m2: (2, 2), as in
    fusion_offsets. slot: -1 where nothing can be taken that is older: this step stands for all before it.
    """

    at_ns: int
    sensor: str
    place_m: Array
    raw_m: Array
    lever_m: Array
    noise_m2: Array
    slot: int
    row: Array

    @property
    def key(self) -> tuple[int, str]:
        return self.at_ns, self.sensor


def anchor(row: Array, at_ns: int) -> Step:
    """What is believed, without what it comes from."""
    nothing = np.zeros((2, 2))
    return Step(at_ns, "", np.zeros(2), np.zeros(2), nothing, nothing, -1, row)


def give_slot(contact: Contact, sensor: str, offsets: Offsets) -> int:
    """The sensor's slot in the contact's rows; a new one where there is none, in place of the sensor unseen for longest."""
    if sensor in contact.slots:
        return contact.slots.index(sensor)
    if len(contact.slots) < SLOTS:
        contact.slots.append(sensor)
        return len(contact.slots) - 1
    oldest = min(range(SLOTS), key=lambda i: (contact.sights[contact.slots[i]].last_ns, contact.slots[i]))
    k = offsets.knows(contact.slots[oldest])
    last = contact.steps[-1]
    freed = forget_slot(last.row, oldest, offsets.block(np.array([[k]]))[0])
    contact.steps = [anchor(freed, last.at_ns)]
    contact.slots[oldest] = sensor
    return oldest


def take(pairs: Sequence[tuple[Contact, Step]], motions: Motions, offsets: Offsets) -> None:
    """Take a measurement for each contact (each contact once), late ones where they belong."""
    waiting: list[tuple[Contact, int]] = []
    for contact, step in pairs:
        steps = contact.steps
        if not steps:
            steps.append(step)
            waiting.append((contact, 0))
            continue
        k = len(steps) if step.key >= steps[-1].key else bisect_left(steps, step.key, key=lambda s: s.key)
        if k == 0 and steps[0].slot < 0:
            continue                    # older than anything that could be taken back
        steps.insert(k, step)
        waiting.append((contact, k))
    while waiting:
        _filter_one_each(waiting, motions, offsets)
        waiting = [(contact, k + 1) for contact, k in waiting if k + 1 < len(contact.steps)]
    for contact, _ in pairs:
        _forget_old(contact)


def exchange(a: Contact, b: Contact, sensor: str, motions: Motions, offsets: Offsets) -> None:
    """Give each of two contacts what a sensor saw of the other, as far as it is kept, and filter them again."""
    mine, yours = (
        [s for s in c.steps if s.sensor == sensor and s.slot >= 0] for c in (a, b)
    )
    for contact, gone, come in ((a, mine, yours), (b, yours, mine)):
        slot = contact.slots.index(sensor)
        left = [s for s in contact.steps if not any(s is g for g in gone)]
        first = left[0] if left and left[0].slot < 0 else None
        for s in come:
            s.slot = slot
        contact.steps = sorted(
            [*left, *(s for s in come if first is None or s.key > first.key)], key=lambda s: s.key
        )
        if not contact.steps:
            contact.steps = [anchor(gone[-1].row, gone[-1].at_ns)]
    for contact in (a, b):
        for k in range(1 if contact.steps[0].slot < 0 else 0, len(contact.steps)):
            _filter_one_each([(contact, k)], motions, offsets)


def rebuild(contact: Contact, steps: Sequence[Step], motions: Motions, offsets: Offsets) -> None:
    """Believe of a contact what these measurements alone say, of whomever they were taken before. At least one; of no more
    than SLOTS sensors."""
    contact.slots = sorted({s.sensor for s in steps})
    contact.steps = sorted(steps, key=lambda s: s.key)
    for k, step in enumerate(contact.steps):
        step.slot = contact.slots.index(step.sensor)
        _filter_one_each([(contact, k)], motions, offsets)


def _filter_one_each(waiting: list[tuple[Contact, int]], motions: Motions, offsets: Offsets) -> None:
    steps = [contact.steps[k] for contact, k in waiting]
    factors = np.array([_weighs(contact.steps, k) for contact, k in waiting])
    measured = Measured(
        np.array([s.place_m for s in steps]),
        np.array([s.noise_m2 for s in steps]) * factors[:, None, None],
        np.array([s.lever_m for s in steps]),
        np.array([s.slot for s in steps]),
    )
    first = np.array([k == 0 for _, k in waiting])
    rows = np.empty((len(steps), len(steps[0].row)))
    if first.any():
        at = np.flatnonzero(first)
        rows[at] = begin(_some(measured, at), motions)
    if not first.all():
        at = np.flatnonzero(~first)
        before = [waiting[i][0].steps[waiting[i][1] - 1] for i in at]
        dt_s = np.array([(steps[i].at_ns - b.at_ns) / 1e9 for i, b in zip(at, before, strict=True)])
        ahead = advance(np.array([b.row for b in before]), dt_s, motions)
        rows[at] = correct(ahead, _some(measured, at), _blocks([waiting[i][0] for i in at], offsets))
    for step, row in zip(steps, rows, strict=True):
        step.row = row


def _some(m: Measured, at: np.ndarray) -> Measured:
    return m if len(at) == len(m.slots) else Measured(m.place_m[at], m.noise_m2[at], m.lever_m[at], m.slots[at])


def _weighs(steps: list[Step], k: int) -> float:
    """By how much the noise of a measurement grows, because it resembles that of the same sensor's last one."""
    here = steps[k]
    for i in range(k - 1, -1, -1):
        if steps[i].sensor == here.sensor:
            dt_s = max((here.at_ns - steps[i].at_ns) / 1e9, 1e-3)
            return (2.0 * CORRELATION_S + dt_s) / dt_s
    return 1.0


def _blocks(contacts: Sequence[Contact], offsets: Offsets) -> Array:
    return offsets.block(np.array([indices(c, offsets) for c in contacts]))


def _forget_old(contact: Contact) -> None:
    """Keep three seconds, and one step before them to begin from."""
    steps = contact.steps
    horizon_ns = steps[-1].at_ns - LAG_NS
    drop = 0
    while drop + 1 < len(steps) and steps[drop + 1].at_ns <= horizon_ns:
        drop += 1
    if drop:
        del steps[:drop]
        # It stands for what is gone, and nothing goes in before it.
        steps[0].slot = -1


def then(contact: Contact, at_ns: int) -> Step | None:
    """The newest step that is not later than a time; None where nothing so old is kept."""
    k = bisect_left(contact.steps, (at_ns + 1, ""), key=lambda s: s.key)
    return contact.steps[k - 1] if k else None


def indices(contact: Contact, offsets: Offsets) -> list[int]:
    """SLOTS numbers of sensors, NOBODY where a slot is free."""
    return [offsets.knows(s) for s in contact.slots] + [NOBODY] * (SLOTS - len(contact.slots))
