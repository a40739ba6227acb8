"""How the pictures of a simulated camera travel to the node that watches them, on one machine.

One ZeroMQ PUB socket a camera, one message a picture: TOPIC, then a header and the picture as JPEG in one msgpack array. A
subscriber keeps the newest only. There is no realm in it to be set: the topic says training, and the header says simulated.
"""

from __future__ import annotations

from typing import Literal

import msgspec

TOPIC = b"trailwatch-frames-1/training\n"
LIMIT_BYTES = 8_000_000         # an 8 megapixel picture of good quality is half of that
LARGEST_SIDE_PX = 8192


class RenderedFrame(msgspec.Struct, frozen=True, array_like=True):
    """One picture. sensor: the camera's id. sequence: counts from 0 since the camera's start. captured_ns: UTC.

    simulated: cannot be anything but true; whoever decodes refuses every other value.
    """

    sensor: str
    sequence: int
    captured_ns: int
    width_px: int
    height_px: int
    simulated: Literal[True]
    jpeg: bytes


class FrameError(ValueError):
    """What came is no picture of a simulated camera."""


_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[RenderedFrame] = msgspec.msgpack.Decoder(RenderedFrame)


def encode_frame(frame: RenderedFrame) -> bytes:
    """The whole message."""
    return TOPIC + _encoder.encode(frame)


def decode_frame(data: bytes) -> RenderedFrame:
    """Raises FrameError."""
    if len(data) > LIMIT_BYTES:
        raise FrameError(f"{len(data)} bytes; a picture has {LIMIT_BYTES} at the most")
    if not data.startswith(TOPIC):
        raise FrameError(f"begins with {data[:len(TOPIC)]!r} and not with {TOPIC!r}")
    try:
        frame = _decoder.decode(memoryview(data)[len(TOPIC):])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise FrameError(str(error)) from None
    if not (0 < frame.width_px <= LARGEST_SIDE_PX and 0 < frame.height_px <= LARGEST_SIDE_PX):
        raise FrameError(f"a picture of {frame.width_px} x {frame.height_px} pixels")
    return frame
