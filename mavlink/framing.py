"""Messages out of a stream of bytes: pymavlink's parser, and what it does not do after a false beginning.

A byte of noise, or of a message whose first bytes were lost, can look like the beginning of another. pymavlink then throws
away as many bytes as that false beginning promises, and true beginnings among them: a STATUSTEXT has MAVLink's own marker,
0xFD, as its message id, and a row of them read from that byte on is read wrongly for ever. So a message that failed its
check sum, or has none that anybody could know, is believed to have begun only when another begins right behind it; else all
but its first byte is read again.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as mavlink

MARKERS = (mavlink.PROTOCOL_MARKER_V1, mavlink.PROTOCOL_MARKER_V2)

# Parser and message are pymavlink's, which has no types.
Parser = Any
Message = Any


def messages_in(parser: Parser, data: bytes) -> Iterator[Message]:
    """The messages that are whole with these bytes; their id is negative for what could not be read. Raises nothing.

    parser: a mavlink.MAVLink with robust_parsing, of this stream alone.
    """
    more = data
    while True:
        try:
            message = parser.parse_char(more)
        except (mavlink.MAVError, struct.error, ValueError, IndexError) as error:
            message = mavlink.MAVLink_bad_data(b"", str(error))    # made to confuse the parser; it goes on behind it
        if message is None:
            return
        more = b""
        if message.get_msgId() < 0:
            _read_again(parser, bytes(message.data))
        yield message


def _read_again(parser: Parser, swallowed: bytes) -> None:
    """Give all but the first byte back, unless the next message begins right behind them or nothing is there yet."""
    if len(swallowed) < 2 or swallowed[0] not in MARKERS or parser.buf_len() == 0:
        return
    if parser.buf[parser.buf_index] in MARKERS:
        return
    parser.buf_index -= len(swallowed) - 1
