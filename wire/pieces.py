"""A picture that is long for its line goes in pieces, so that a sighting never stands behind more than one of them.

A piece is a frame of its own kind in a transport message: a byte that begins no msgpack, then where it belongs and its
bytes. The station answers each with how much it has of that picture without a gap (Acknowledgement.pieces); the next piece
goes then, and is as long as the line carries in PIECE_S, by the time that the last one took. The whole is then a message
like any other: admitted, stored, and acknowledged by its identity after the commit. What the station holds meanwhile is
memory: when it was started anew it says that it has nothing, and the picture begins again.

Only a station that says that it takes pieces (CorridorSet.takes_pieces, its greeting) is sent any.
"""

from __future__ import annotations

from collections import OrderedDict

import msgspec

from wire.clock import NS_PER_S
from wire.codec import SNAPSHOT_LIMIT_BYTES, RefusedError

PIECE_S = 1.0                   # of the line's time, for one piece
FIRST_BYTES = 8 * 1024          # before anything was timed: a second at 64 kbit/s
LEAST_BYTES, MOST_BYTES = 2 * 1024, 128 * 1024
MARK = b"\xc1"                  # "never used" in the specification of msgpack
WHOLE_LIMIT_BYTES = SNAPSHOT_LIMIT_BYTES + 1024     # as wire.codec.decode_envelope
SENDERS_LIMIT = 200             # pictures half there, one a node: 100 MB at the most

Identity = tuple[int, int]      # boot, sequence


class Piece(msgspec.Struct, frozen=True, array_like=True):
    """boot, sequence: of the message that is whole with `total` bytes. offset: of `data` in it."""

    boot: int
    sequence: int
    total: int
    offset: int
    data: bytes


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Piece)


def encode_piece(piece: Piece) -> bytes:
    return MARK + _encoder.encode(piece)


def is_piece(frame: bytes) -> bool:
    return frame[:1] == MARK


def decode_piece(frame: bytes) -> Piece:
    """Raises RefusedError."""
    try:
        piece = _decoder.decode(memoryview(frame)[1:])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise RefusedError(f"a piece that does not parse: {error}") from None
    if not 0 < piece.total <= WHOLE_LIMIT_BYTES:
        raise RefusedError(f"a piece of {piece.total} bytes; the limit is {WHOLE_LIMIT_BYTES}", "too_large")
    if piece.offset < 0 or not piece.data or piece.offset + len(piece.data) > piece.total:
        raise RefusedError(f"a piece from byte {piece.offset}, {len(piece.data)} long, of {piece.total}")
    if not (0 <= piece.boot < 2**63 and 0 <= piece.sequence < 2**63):
        raise RefusedError("boot and sequence are counts from 0, below 2**63", "bad_identity")
    return piece


class PieceSender:
    """The node's side: one picture at a time, one piece of it on its way. Times are of one monotonic clock."""

    def __init__(self) -> None:
        self._identity: Identity | None = None
        self._data = b""
        self._had = 0               # of it, at the station
        self._on_way = 0            # bytes of the piece without an answer; 0 for none
        self._sent_ns = 0
        self.piece_bytes = FIRST_BYTES

    def begin(self, identity: Identity, data: bytes) -> None:
        """This picture from now on. The same one goes on from where the station has it; from its beginning, where all of it
        was there and its commit was never heard of: a station that dies in between has nothing.
        """
        if identity != self._identity or self._had >= len(self._data):
            self._identity, self._data, self._had = identity, data, 0
        self._on_way = 0

    def end(self, identity: Identity) -> None:
        """It is answered for, as a whole."""
        if identity == self._identity:
            self._identity, self._data, self._on_way = None, b"", 0

    def next(self) -> bytes | None:
        """The frame that goes next. None while another is on its way, and when all has gone."""
        if self._identity is None or self._on_way or self._had >= len(self._data):
            return None
        part = self._data[self._had : self._had + self.piece_bytes]
        return encode_piece(Piece(*self._identity, len(self._data), self._had, part))

    def sent(self, now_ns: int) -> None:
        """What `next` returned has gone."""
        self._on_way = min(self.piece_bytes, len(self._data) - self._had)
        self._sent_ns = now_ns

    def heard(self, identity: Identity, had: int, now_ns: int) -> bool:
        """How much the station has of it. Returns whether that was an answer to what is on its way."""
        if identity != self._identity or not self._on_way or not 0 <= had <= len(self._data):
            return False
        if had == self._had + self._on_way:
            took_s = max(1e-3, (now_ns - self._sent_ns) / NS_PER_S)
            fits = self._on_way * PIECE_S / took_s
            # Twofold at the most: the last piece of a picture is short, and says little about a long one.
            self.piece_bytes = round(min(MOST_BYTES, 2 * self.piece_bytes, max(LEAST_BYTES, fits)))
        self._had, self._on_way = had, 0
        return True


class PieceTaker:
    """The station's side: of each sender (by its key) the picture that is half there, the oldest forgotten first."""

    def __init__(self) -> None:
        self._half: OrderedDict[str, tuple[Identity, int, bytearray]] = OrderedDict()

    def take(self, sender: str, piece: Piece) -> tuple[int, bytes | None]:
        """How much is here of that message without a gap, and the message, once it is whole."""
        identity = (piece.boot, piece.sequence)
        known = self._half.get(sender)
        if known is None or known[:2] != (identity, piece.total):
            known = self._half[sender] = (identity, piece.total, bytearray())
        self._half.move_to_end(sender)
        if len(self._half) > SENDERS_LIMIT:
            self._half.popitem(last=False)
        data = known[2]
        if piece.offset <= len(data):
            data[piece.offset :] = piece.data
        if len(data) < piece.total:
            return len(data), None
        del self._half[sender]
        return piece.total, bytes(data)
