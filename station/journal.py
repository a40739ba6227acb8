"""The journal: what the screens were shown, kept for replay. Not what could be worked out again, but what was said then.

The web server writes it, because it is what shows. A block is a minute: the whole picture at its start, then what changed,
at the pace at which pages got it. Most of that is contacts that move: only their moving numbers are kept, and the trail
grows again as it is replayed. Blocks are compressed, and the one that is not full is written each ten seconds, so that a
crash takes no more than that.
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
import zlib
from collections.abc import Iterator

import msgspec

from station.journal_schema import JOURNAL
from station.picture import ContactView, Delta, NodeView, Picture, SensorView, TrailPoint
from station.settings import StationSettings
from station.store import StoreError, Synchronous, open_or_read, open_reader, set_synchronous, transaction
from station.trails import joined
from wire.clock import NS_PER_S, Clock
from wire.units import Covariance2, GroundPosition

BLOCK_NS = 60 * NS_PER_S
WRITE_EVERY_NS = 10 * NS_PER_S
PARTLY_LIMIT_BYTES = 200_000        # a block larger than this is written when it is full, and not before
CROWD, CROWD_EVERY_NS = 100, NS_PER_S       # with so many moving contacts, each is kept once a second
STATES_EVERY_NS = 10 * NS_PER_S     # of a node's health and a sensor's report that say the same as before
COMPRESSION = 6

log = logging.getLogger("trailwatch.web")


class Moved(msgspec.Struct, array_like=True, frozen=True):
    """A contact of which only these have changed. point: what its trail grew by."""

    id: str
    position: GroundPosition
    covariance: Covariance2
    velocity_m_s: tuple[float, float]
    last_seen_ns: int
    detections: int
    score: float
    border_m: float
    point: TrailPoint | None


class Frame(msgspec.Struct, array_like=True, frozen=True):
    """What changed at one moment. In delta.contacts a trail holds its newest point alone. seen: sensor to its last frame;
    heard: node to when it was last heard; both where nothing else has changed.
    """

    at_ns: int
    delta: Delta
    moved: tuple[Moved, ...]
    seen: dict[str, int]
    heard: dict[str, int]


class Block(msgspec.Struct, array_like=True, frozen=True):
    picture: Picture
    frames: tuple[Frame, ...]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Block)


class Gatherer:
    """Makes frames of what the feed tells, and blocks of frames. Without disk and clock."""

    def __init__(self) -> None:
        self._picture: Picture | None = None
        self._frames: list[Frame] = []
        self._contacts: dict[str, ContactView] = {}
        self._kept_ns: dict[str, int] = {}          # contact to when it was last kept
        self._sensors: dict[str, tuple[SensorView, int]] = {}
        self._nodes: dict[str, tuple[NodeView, int]] = {}

    @property
    def first_ns(self) -> int | None:
        return None if self._picture is None else self._picture.at_ns

    def begin(self, picture: Picture) -> None:
        """A new block starts with this picture."""
        self._picture, self._frames = picture, []
        self._contacts = {c.id: c for c in picture.contacts}
        self._kept_ns.clear()
        self._sensors = {s.id: (s, picture.at_ns) for s in picture.sensors}
        self._nodes = {n.node: (n, picture.at_ns) for n in picture.nodes}

    def take(self, delta: Delta) -> None:
        whole, moved = self._split(delta)
        sensors, seen = [], {}
        for s in delta.sensors:
            before, at_ns = self._sensors.get(s.id, (None, 0))
            if before is None or delta.at_ns - at_ns >= STATES_EVERY_NS or _same_sensor(before, s) != s:
                sensors.append(s)
                self._sensors[s.id] = (s, delta.at_ns)
            else:
                seen[s.id] = s.last_frame_ns
        nodes, heard = [], {}
        for n in delta.nodes:
            known, at_ns = self._nodes.get(n.node, (None, 0))
            if known is None or delta.at_ns - at_ns >= STATES_EVERY_NS or known.silent != n.silent:
                nodes.append(n)
                self._nodes[n.node] = (n, delta.at_ns)
            else:
                heard[n.node] = n.last_heard_ns
        rest = msgspec.structs.replace(delta, contacts=tuple(whole), sensors=tuple(sensors), nodes=tuple(nodes))
        if moved or seen or heard or msgspec.structs.replace(rest, turn=0, at_ns=0) != _NOTHING:
            self._frames.append(Frame(delta.at_ns, rest, tuple(moved), seen, heard))

    def _split(self, delta: Delta) -> tuple[list[ContactView], list[Moved]]:
        whole, moved = [], []
        is_crowd = len(delta.contacts) > CROWD
        for c in delta.contacts:
            before = self._contacts.get(c.id)
            if before is None or _standing(before) != _standing(c):
                whole.append(msgspec.structs.replace(c, trail=c.trail[-1:]))
            else:
                if is_crowd and delta.at_ns - self._kept_ns.get(c.id, 0) < CROWD_EVERY_NS:
                    continue
                grown = bool(c.trail) and (not before.trail or c.trail[-1] != before.trail[-1])
                moved.append(Moved(
                    c.id, c.position, c.covariance, c.velocity_m_s, c.last_seen_ns, c.detections, c.score, c.border_m,
                    c.trail[-1] if grown else None,
                ))
            self._contacts[c.id], self._kept_ns[c.id] = c, delta.at_ns
        for gone in delta.contacts_gone:
            self._contacts.pop(gone, None)
            self._kept_ns.pop(gone, None)
        return whole, moved

    def block(self) -> Block | None:
        return None if self._picture is None else Block(self._picture, tuple(self._frames))


_NOTHING = Delta(0, 0)


def _standing(c: ContactView) -> ContactView:
    """A contact without what Moved tells."""
    return msgspec.structs.replace(
        c, position=_NOWHERE, covariance=_NO_ERROR, velocity_m_s=(0.0, 0.0), last_seen_ns=0, detections=0, score=0.0,
        border_m=0.0, trail=(),
    )


_NOWHERE, _NO_ERROR = GroundPosition(0.0, 0.0), Covariance2(0.0, 0.0, 0.0)


def _same_sensor(before: SensorView, now: SensorView) -> SensorView:
    return msgspec.structs.replace(before, last_frame_ns=now.last_frame_ns)


def pack(block: Block) -> bytes:
    return zlib.compress(_encoder.encode(block), COMPRESSION)


def unpack(content: bytes) -> Block:
    """Raises ValueError for a block that is damaged, or of a program whose pictures this one cannot read."""
    try:
        return _decoder.decode(zlib.decompress(content))
    except (zlib.error, msgspec.DecodeError) as error:
        raise ValueError(f"a block of the journal cannot be read: {error}") from None


def moved_view(before: ContactView, m: Moved) -> ContactView:
    return msgspec.structs.replace(
        before, position=m.position, covariance=m.covariance, velocity_m_s=m.velocity_m_s, last_seen_ns=m.last_seen_ns,
        detections=m.detections, score=m.score, border_m=m.border_m,
        trail=joined(before.trail, (m.point,)) if m.point is not None else before.trail,
    )


class JournalFile:
    """journal.db, open for writing; used by one thread at a time. Raises nothing: a journal that fails stops no page."""

    def __init__(self, settings: StationSettings, clock: Clock) -> None:
        self._db = open_or_read(settings.journal_db, JOURNAL, settings.realm, clock, Synchronous.NORMAL)
        self._id: int | None = None
        self._failing = ""
        set_synchronous(self._db, Synchronous.NORMAL)

    @property
    def db(self) -> sqlite3.Connection:
        return self._db

    def write(self, block: Block, is_full: bool) -> None:
        """The block of now, again as it has grown; a full one is the last of its kind."""
        last_ns = block.frames[-1].at_ns if block.frames else block.picture.at_ns
        content = pack(block)
        if not is_full and len(content) > PARTLY_LIMIT_BYTES:
            return
        try:
            with transaction(self._db):
                if self._id is None:
                    self._id = self._db.execute(
                        "INSERT INTO blocks(first_ns, last_ns, content, swept) VALUES (?, ?, ?, 0)",
                        (block.picture.at_ns, last_ns, content),
                    ).lastrowid
                else:
                    self._db.execute("UPDATE blocks SET last_ns = ?, content = ? WHERE id = ?", (last_ns, content, self._id))
        except sqlite3.Error as error:
            if self._failing != str(error):
                log.error("the journal takes nothing: %s; this time cannot be replayed", error)
            self._failing = str(error)
            self._id = None
            return
        self._failing = ""
        if is_full:
            self._id = None

    def close(self) -> None:
        self._db.close()


class JournalReader:
    """Blocks of the past, for replay. Raises StoreError, sqlite3.Error; FileNotFoundError before there is a journal."""

    def __init__(self, settings: StationSettings) -> None:
        self._db = open_reader(settings.journal_db, JOURNAL, settings.realm)

    def span(self) -> tuple[int, int] | None:
        """First and last moment that can be replayed."""
        first, last = self._db.execute("SELECT min(first_ns), max(last_ns) FROM blocks").fetchone()
        return None if first is None else (int(first), int(last))

    def at(self, at_ns: int) -> tuple[int, Block] | None:
        """The block that holds a moment, or the next one after it; with its id."""
        for row in self._rows(
            "SELECT id, content FROM blocks WHERE first_ns <= ?1 AND last_ns >= ?1 ORDER BY first_ns DESC LIMIT 1", at_ns
        ):
            return row
        return next(self._rows("SELECT id, content FROM blocks WHERE first_ns > ? ORDER BY first_ns LIMIT 1", at_ns), None)

    def after(self, block: Block) -> tuple[int, Block] | None:
        return next(
            self._rows("SELECT id, content FROM blocks WHERE first_ns > ? ORDER BY first_ns LIMIT 1", block.picture.at_ns),
            None,
        )

    def _rows(self, question: str, at_ns: int) -> Iterator[tuple[int, Block]]:
        for number, content in self._db.execute(question, (at_ns,)).fetchall():
            try:
                yield int(number), unpack(content)
            except ValueError as error:
                log.error("block %d: %s; replay goes on after it", number, error)

    def close(self) -> None:
        self._db.close()


@contextlib.contextmanager
def reading(settings: StationSettings) -> Iterator[JournalReader | None]:
    """The journal for reading; None where there is none, or it cannot be read."""
    try:
        reader = JournalReader(settings)
    except (FileNotFoundError, StoreError):
        yield None
        return
    try:
        yield reader
    finally:
        reader.close()
