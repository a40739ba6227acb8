"""Which orders a node has in hand and which it has answered, and the profile and preset it was ordered into; on its disk.

So that an order is carried out once though the station sends it again until it hears the answer, and so that what was in
hand when the node died is answered at its next start.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from wire.private_files import keep_private

KEPT = 2000         # answered orders that are remembered; an order sent again after so many others is a new one

_log = logging.getLogger("trailwatch.edge")

_SCHEMA = """
create table if not exists orders (number integer primary key, order_id text not null unique, answered integer not null);
create table if not exists kept (name text primary key, value text not null) without rowid;
"""


class OrderJournal:
    """One SQLite file of one node, and memory alone where the disk has no room for one: seeing goes before orders.

    A damaged file is put aside: the past is lost with it, and orders go on. Methods that write raise sqlite3.Error for a
    disk that takes nothing.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._db = _open(path)
        except sqlite3.OperationalError as error:
            _log.error("%s: %s. Orders are remembered until this node stops, and no longer.", path, error)
            self._db = _open(":memory:")
        except sqlite3.DatabaseError as error:
            aside = path.with_name(path.name + ".damaged")
            _log.error("%s: %s. It is put aside as %s, and a new one begun.", path, error, aside.name)
            path.replace(aside)
            path.with_name(path.name + "-journal").unlink(missing_ok=True)
            self._db = _open(path)

    def knows(self, order_id: str) -> bool:
        """In hand, or answered."""
        return self._db.execute("select 1 from orders where order_id = ?", (order_id,)).fetchone() is not None

    def take(self, order_id: str) -> None:
        """It is in hand from now on, whatever happens to the process."""
        self._db.execute("insert into orders (order_id, answered) values (?, 0)", (order_id,))

    def in_hand(self) -> list[str]:
        return [row[0] for row in self._db.execute("select order_id from orders where answered = 0 order by number")]

    def note_answered(self, order_ids: Iterable[str]) -> None:
        """Their answers are in the outbox."""
        self._db.execute("begin immediate")
        try:
            self._db.executemany("update orders set answered = 1 where order_id = ?", [(i,) for i in order_ids])
            self._db.execute(
                "delete from orders where answered and number <= (select max(number) from orders) - ?", (KEPT,)
            )
            self._db.execute("commit")
        except sqlite3.Error:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise

    @property
    def profile(self) -> str:
        """What was ordered last; empty before any order."""
        return self._kept("profile")

    def keep_profile(self, name: str) -> None:
        self._keep("profile", name)

    @property
    def preset(self) -> str:
        """At which the camera arrived last; empty before any order."""
        return self._kept("preset")

    def keep_preset(self, name: str) -> None:
        self._keep("preset", name)

    def _kept(self, what: str) -> str:
        row = self._db.execute("select value from kept where name = ?", (what,)).fetchone()
        return str(row[0]) if row else ""

    def _keep(self, what: str, value: str) -> None:
        self._db.execute("insert or replace into kept values (?, ?)", (what, value))

    def close(self) -> None:
        self._db.close()


def _open(path: Path | str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    try:
        db.execute("pragma synchronous = full")
        db.executescript(_SCHEMA)
        keep_private(Path(path))
        db.execute("select count(*) from orders").fetchone()
    except sqlite3.Error:
        db.close()
        raise
    return db
