"""Which records a plate may lead to: an index in memory, twelve bytes a listed plate, and nothing of any record.

The keys are hashes of canonical plates (look-alikes made equal) under the station's key, sorted; what has changed since they
were sorted lies in a table beside them. A key that a record no longer has may still lead to it: the record itself decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from station.watchlist_file import PLATE_KEY_BYTES

Keys = np.ndarray[tuple[int], np.dtype[np.uint64]]
Numbers = np.ndarray[tuple[int], np.dtype[np.uint32]]
SORT_AFTER = 50_000             # keys in the table of changes before all are sorted again


class WatchlistIndex:
    """change: the newest that it holds. listed: how many records are approved; records: how many there are."""

    def __init__(self) -> None:
        self._keys = np.empty(0, np.uint64)
        self._owners = np.empty(0, np.uint32)
        self._fresh: dict[int, list[int]] = {}
        self._fresh_count = 0
        self._approved = np.zeros(1, np.uint8)      # by number; 2 where there is a record that is not approved
        self.change = 0

    @property
    def listed(self) -> int:
        return int(np.count_nonzero(self._approved == 1))

    @property
    def records(self) -> int:
        return int(np.count_nonzero(self._approved))

    def take(self, rows: Sequence[tuple[int, int, int, bytes]]) -> None:
        """Take (number, change, approved, keys) of changed records, in the order of their changes."""
        if not rows:
            return
        numbers = np.array([r[0] for r in rows], np.uint32)
        self._note_approved(numbers, np.array([r[2] for r in rows], bool))
        self.change = max(self.change, rows[-1][1])
        if len(rows) > SORT_AFTER or self._fresh_count + len(rows) > SORT_AFTER:
            keys = np.frombuffer(b"".join(r[3] for r in rows), "<u8")
            owners = np.repeat(numbers, [len(r[3]) // PLATE_KEY_BYTES for r in rows])
            self._sort(keys, owners)
            return
        for number, _, _, joined in rows:
            for at in range(0, len(joined), PLATE_KEY_BYTES):
                owned = self._fresh.setdefault(int.from_bytes(joined[at : at + PLATE_KEY_BYTES], "little"), [])
                if number not in owned:
                    owned.append(number)
                    self._fresh_count += 1

    def find(self, keys: Iterable[int]) -> list[int]:
        """Numbers of the records that have one of these keys, ascending."""
        wanted = list(keys)
        found = {n for k in wanted for n in self._fresh.get(k, ())} if self._fresh else set()
        if len(self._keys) and wanted:
            sought = np.array(wanted, np.uint64)
            begin, end = np.searchsorted(self._keys, sought), np.searchsorted(self._keys, sought, side="right")
            for b, e in zip(begin[begin < end].tolist(), end[begin < end].tolist(), strict=True):
                found.update(self._owners[b:e].tolist())
        return sorted(found)

    def _note_approved(self, numbers: Numbers, approved: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> None:
        most = int(numbers.max())
        if most >= len(self._approved):
            grown = np.zeros(max(most + 1, len(self._approved) * 2), np.uint8)
            grown[: len(self._approved)] = self._approved
            self._approved = grown
        # One by one in the order of the changes, the last one counts: that is what numpy's assignment does.
        self._approved[numbers] = np.where(approved, 1, 2).astype(np.uint8)

    def _sort(self, keys: Keys, owners: Numbers) -> None:
        fresh = [(k, n) for k, owned in self._fresh.items() for n in owned]
        all_keys = np.concatenate([self._keys, np.array([k for k, _ in fresh], np.uint64), keys])
        all_owners = np.concatenate([self._owners, np.array([n for _, n in fresh], np.uint32), owners])
        order = np.argsort(all_keys, kind="stable")
        self._keys, self._owners = all_keys[order], all_owners[order]
        self._fresh, self._fresh_count = {}, 0
