"""All live contacts in columns, so that a frame is compared with all of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from station.contacts import MOTIONS, Contact
from station.fusion_filter import OFFSETS, SLOTS, inverse2, mixture
from station.fusion_lag import indices
from station.fusion_offsets import Offsets
from station.kalman import Array, Estimate
from wire.clock import NS_PER_S

NEAR_SQUARE = 40.0              # coarse: sum of both traces, times this; the finest gate is 25 of a smaller matrix
PAST_NS = NS_PER_S // 2         # longer ago, a contact is looked up where it was instead of being carried back
PAST_SPEED_M_S = 20.0           # and looked up only if it can have been near
GROUPS = tuple(sorted(MOTIONS))
_GROUP_AT = {group: i for i, group in enumerate(GROUPS)}
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sights:
    """The n positions of a frame. place_m: (n, 2), freed of the sensor's offset. lever_m, noise_m2: (n, 2, 2)."""

    sensor: int
    at_ns: int
    place_m: Array
    lever_m: Array
    noise_m2: Array

    @property
    def spread_m2(self) -> Array:
        """(n,) traces of the whole covariances."""
        whole: Array = (self.lever_m**2).sum(axis=(1, 2)) + self.noise_m2[:, 0, 0] + self.noise_m2[:, 1, 1]
        return whole


@dataclass(frozen=True, slots=True)
class Where:
    """Where a contact was: (2,), (2, 2) and (2, OFFSETS), as in fusion_filter.Mixture."""

    place_m: Array
    covariance_m2: Array
    sensitivity: Array


@dataclass(frozen=True, slots=True)
class Near:
    """Pairs that may belong together: numbers of contacts and indices of sights, with how far apart they are.

    square: of the statistical distance. log_det: of its covariance. unsure: of where the contact itself is, the same without
    the sight's share. distance_m.
    """

    numbers: list[int]
    sights: Ints
    square: Array
    log_det: Array
    unsure: Array
    distance_m: Array


class Table:
    def __init__(self) -> None:
        self._row: dict[int, int] = {}
        self._number = np.zeros(64, np.int64)
        self._group = np.zeros(64, np.int64)
        self._at_ns = np.zeros(64, np.int64)
        self._first_ns = np.zeros(64, np.int64)
        self._last_ns = np.zeros(64, np.int64)
        self._mean = np.zeros((64, 4))
        self._covariance = np.zeros((64, 4, 4))
        self._sensitivity = np.zeros((64, 4, OFFSETS))
        self._slots = np.zeros((64, SLOTS), np.int64)
        self._spread_m2 = np.zeros(64)

    def settle(self, contacts: Sequence[Contact], offsets: Offsets) -> None:
        """Bring the contacts' estimates, and their columns, up to their newest step."""
        if not contacts:
            return
        mixed = mixture(np.array([c.steps[-1].row for c in contacts]))
        slots = np.array([indices(c, offsets) for c in contacts])
        whole = mixed.total(offsets.block(slots))
        for contact, mean, covariance in zip(contacts, mixed.mean, whole, strict=True):
            contact.estimate = Estimate(mean, covariance, contact.steps[-1].at_ns)
        at = [self._row_of(c) for c in contacts]
        self._mean[at], self._covariance[at], self._sensitivity[at] = mixed.mean, mixed.covariance, mixed.sensitivity
        self._slots[at] = slots
        self._spread_m2[at] = whole[:, 0, 0] + whole[:, 1, 1]
        self._at_ns[at] = [c.estimate.at_ns for c in contacts]
        self._first_ns[at] = [c.first_seen_ns for c in contacts]
        self._last_ns[at] = [c.last_seen_ns for c in contacts]

    def drop(self, number: int) -> None:
        row, last = self._row.pop(number), len(self._row)
        if row != last:
            for column in self._columns():
                column[row] = column[last]
            self._row[int(self._number[row])] = row

    def unseen_since(self, at_ns: int) -> list[int]:
        """Numbers of the contacts that were last seen before a time, in their order."""
        found: list[int] = self._number[np.flatnonzero(self._last_ns[: len(self._row)] < at_ns)].tolist()
        return sorted(found)

    def near(
        self, group: str, sights: Sights, seen_since_ns: int, begun_until_ns: int, past: Callable[[int], Where],
        offsets: Offsets,
    ) -> Near:
        """All pairs of a contact of a group and a sight that are not plainly apart.

        past: where a contact was at the sights' time, by its number; asked where that is long before its estimate.
        """
        n = len(self._row)
        dt_s = (sights.at_ns - self._at_ns[:n]) / 1e9
        fits = (self._group[:n] == _GROUP_AT[group]) & (self._last_ns[:n] >= seen_since_ns)
        fits &= self._first_ns[:n] <= begun_until_ns
        intensity = MOTIONS[group].mean_intensity
        # Coarser still: near the frame's middle, so that the rest is worked out for few.
        middle = (sights.place_m.max(axis=0) + sights.place_m.min(axis=0)) / 2.0
        half = float(np.abs(sights.place_m - middle).max())
        ahead = self._mean[:n, :2] + self._mean[:n, 2:] * dt_s[:, None] - middle
        size = self._spread_m2[:n] + dt_s**2 * 2.0 + np.abs(dt_s) ** 3 * intensity + 1.0
        reach = np.sqrt(NEAR_SQUARE * (size + sights.spread_m2.max()))
        fits &= (np.abs(ahead).max(axis=1) <= reach + half) | (sights.at_ns < self._at_ns[:n] - PAST_NS)
        rows = np.flatnonzero(fits)
        dt_s = dt_s[rows]
        late = sights.at_ns < self._at_ns[rows] - PAST_NS
        place = self._mean[rows, :2] + self._mean[rows, 2:] * dt_s[:, None]
        apart = sights.place_m[None] - place[:, None]
        limit = NEAR_SQUARE * (size[rows, None] + sights.spread_m2[None])
        limit[late] = np.inf
        close = (apart**2).sum(axis=2) <= limit
        if late.any():
            now = sights.place_m[None] - self._mean[rows[late], None, :2]
            reach = PAST_SPEED_M_S * np.abs(dt_s[late])[:, None] + 50.0
            close[late] = np.hypot(now[..., 0], now[..., 1]) <= reach
        i, j = np.nonzero(close)
        numbers = self._number[rows[i]].tolist()
        if not numbers:
            none = np.zeros(0)
            return Near([], np.zeros(0, np.int64), none, none, none, none)
        return self._compared(rows[i], j, numbers, late[i], dt_s[i], intensity, sights, past, offsets)

    def _compared(
        self, rows: Ints, j: Ints, numbers: list[int], late: npt.NDArray[np.bool_], dt_s: Array, intensity: float,
        sights: Sights, past: Callable[[int], Where], offsets: Offsets,
    ) -> Near:
        dt = dt_s[:, None, None]
        mean, p, t = self._mean[rows], self._covariance[rows], self._sensitivity[rows]
        place = mean[:, :2] + mean[:, 2:] * dt_s[:, None]
        covariance = p[:, :2, :2] + dt * (p[:, :2, 2:] + p[:, 2:, :2]) + dt**2 * p[:, 2:, 2:]
        covariance[:, [0, 1], [0, 1]] += np.abs(dt_s)[:, None] ** 3 * (intensity / 3.0)
        sensitivity = t[:, :2] + dt * t[:, 2:]
        for at in np.flatnonzero(late):
            was = past(numbers[at])
            place[at], covariance[at], sensitivity[at] = was.place_m, was.covariance_m2, was.sensitivity
        # The sensor's offset stands in the contact's slot of that sensor, or else in one more behind them.
        slots = np.concatenate([self._slots[rows], np.zeros((len(rows), 1), np.int64)], axis=1)
        held = slots[:, :SLOTS] == sights.sensor
        slot = np.where(held.any(axis=1), held.argmax(axis=1), SLOTS)
        slots[np.arange(len(rows)), slot] = sights.sensor
        by_slot = np.zeros((len(rows), 2, SLOTS + 1, 2))
        by_slot[:, :, :SLOTS] = sensitivity.reshape(-1, 2, SLOTS, 2)
        by_slot[np.arange(len(rows)), :, slot] += sights.lever_m[j]
        carried = by_slot.reshape(-1, 2, OFFSETS + 2)
        s = covariance + sights.noise_m2[j] + carried @ offsets.block(slots) @ carried.swapaxes(1, 2)
        inverse, det = inverse2(s)
        apart = sights.place_m[j] - place
        square = (apart[:, None, :] @ inverse @ apart[:, :, None])[:, 0, 0]
        _, own = inverse2(covariance)
        return Near(numbers, j, square, np.log(det), np.log(np.maximum(own, 1e-9)), np.hypot(apart[:, 0], apart[:, 1]))

    def neighbours(self, numbers: Sequence[int], within_m: float, seen_since_ns: int) -> list[tuple[int, int]]:
        """Pairs (one of `numbers`, another contact of its group) whose places are close, with both seen lately."""
        rows = np.array([self._row[n] for n in numbers], np.int64)
        count = len(self._row)
        mine = self._mean[rows, :2]
        others = np.flatnonzero(
            (self._last_ns[:count] >= seen_since_ns)
            & (self._mean[:count, :2] >= mine.min(axis=0) - within_m).all(axis=1)
            & (self._mean[:count, :2] <= mine.max(axis=0) + within_m).all(axis=1)
        )
        apart = np.abs(mine[:, None] - self._mean[None, others, :2]).max(axis=2)
        close = (apart <= within_m) & (self._group[rows, None] == self._group[None, others])
        close &= (self._last_ns[rows, None] >= seen_since_ns) & (rows[:, None] != others[None])
        i, j = np.nonzero(close)
        return list(zip(self._number[rows[i]].tolist(), self._number[others[j]].tolist(), strict=True))

    def _row_of(self, contact: Contact) -> int:
        row = self._row.get(contact.number)
        if row is None:
            row = self._row[contact.number] = len(self._row)
            if row == len(self._number):
                self._grow()
            self._number[row], self._group[row] = contact.number, _GROUP_AT[contact.group]
        return row

    def _grow(self) -> None:
        for name in _COLUMNS:
            column = getattr(self, name)
            setattr(self, name, np.concatenate([column, np.zeros_like(column)]))

    def _columns(self) -> list[np.ndarray]:
        return [getattr(self, name) for name in _COLUMNS]


_COLUMNS = (
    "_number", "_group", "_at_ns", "_first_ns", "_last_ns", "_mean", "_covariance", "_sensitivity", "_slots", "_spread_m2",
)
