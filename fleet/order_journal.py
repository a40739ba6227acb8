"""Which orders of people the fleet has in hand and which it has answered, on its disk.

So that an order is carried out once though the station sends it again until it hears the answer, and so that what was in
hand when the service died is answered at its next start, and not carried out late.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from wire.private_files import keep_private

KEPT = 2000         # answered orders that are remembered; an order sent again after so many others is a new one

_SCHEMA = "create table if not exists orders (number integer primary key, order_id text not null unique, answered integer)"


class OrderJournal:
    """One SQLite file. Every method raises sqlite3.Error for a disk that takes nothing: then no order is carried out."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
        self._db.execute("pragma synchronous = full")
        self._db.execute(_SCHEMA)
        keep_private(path)

    def knows(self, order_id: str) -> bool:
        """In hand, or answered."""
        return self._db.execute("select 1 from orders where order_id = ?", (order_id,)).fetchone() is not None

    def take(self, order_id: str) -> None:
        """It is in hand from now on, whatever happens to the process."""
        self._db.execute("insert into orders (order_id, answered) values (?, 0)", (order_id,))

    def in_hand(self) -> list[str]:
        return [row[0] for row in self._db.execute("select order_id from orders where answered = 0 order by number")]

    def note_answered(self, order_id: str) -> None:
        """Its answer is in the outbox."""
        self._db.execute("update orders set answered = 1 where order_id = ?", (order_id,))
        self._db.execute("delete from orders where answered and number <= (select max(number) from orders) - ?", (KEPT,))

    def close(self) -> None:
        self._db.close()
