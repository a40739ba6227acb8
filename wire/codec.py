"""Bytes to messages and back, with hard limits, and a reason for every refusal.

A transport message is multipart: one frame of magic and protocol version, then one frame an envelope. decode never
raises anything but RefusedError, whatever the bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from wire.messages import PROTOCOL_VERSION, DownBody, Envelope, Footage, Snapshot

MAGIC = b"TW" + bytes([PROTOCOL_VERSION])
ENVELOPE_LIMIT_BYTES = 64 * 1024        # 300 detections of a crowded frame are 40 KiB
SNAPSHOT_LIMIT_BYTES = 512 * 1024
TRANSPORT_LIMIT_BYTES = 2 * 1024 * 1024     # of one frame; ZeroMQ's MAXMSGSIZE, it drops a peer that exceeds it
ENVELOPES_LIMIT = 64                    # in one transport message
PICTURES = (Snapshot, Footage)          # bodies to which the second limit applies
NAME_LIMIT = 64
TEXT_LIMIT = 2000

_encoder = msgspec.msgpack.Encoder()
_up = msgspec.msgpack.Decoder(Envelope)
_down: msgspec.msgpack.Decoder[DownBody] = msgspec.msgpack.Decoder(DownBody)


class RefusedError(ValueError):
    """A message that is not taken. Its text says why, fit to be shown; `reason` is one of a few words, fit to be counted."""

    def __init__(self, sentence: str, reason: str = "does_not_parse") -> None:
        super().__init__(sentence)
        self.reason = reason


def check_magic(frame: bytes) -> None:
    """Refuse anything that is not this protocol in this version."""
    if frame[:2] != MAGIC[:2]:
        raise RefusedError("not a Trailwatch message: the first frame does not start with TW", "other_protocol")
    if frame != MAGIC:
        theirs = frame[2] if len(frame) == 3 else "unknown"
        raise RefusedError(
            f"protocol version {theirs}, this station speaks {PROTOCOL_VERSION}: update the older of the two",
            "other_version",
        )


def encode_envelope(envelope: Envelope) -> bytes:
    """One envelope as msgpack. Raises RefusedError when it is larger than the receiver would take."""
    data = _encoder.encode(envelope)
    _check_size(data, isinstance(envelope.body, PICTURES))
    return data


def decode_envelope(data: bytes) -> Envelope:
    if len(data) > SNAPSHOT_LIMIT_BYTES + 1024:
        raise RefusedError(f"{len(data)} bytes; the limit is {SNAPSHOT_LIMIT_BYTES}", "too_large")
    try:
        envelope = _up.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise RefusedError(f"does not parse: {error}") from None
    _check_size(data, isinstance(envelope.body, PICTURES))
    if not 0 < len(envelope.node) <= NAME_LIMIT:
        raise RefusedError(f"node name of {len(envelope.node)} characters; 1 to {NAME_LIMIT} are allowed", "bad_identity")
    if envelope.boot < 0 or envelope.sequence < 0 or max(envelope.boot, envelope.sequence) >= 2**63:
        raise RefusedError("boot and sequence are counts from 0, below 2**63", "bad_identity")
    return envelope


def encode_down(body: DownBody) -> bytes:
    """A message from the station to a node."""
    return _encoder.encode(body)


def decode_down(data: bytes) -> DownBody:
    if len(data) > TRANSPORT_LIMIT_BYTES:
        raise RefusedError(f"{len(data)} bytes; the limit is {TRANSPORT_LIMIT_BYTES}")
    try:
        return _down.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, OverflowError) as error:
        raise RefusedError(f"does not parse: {error}") from None


def split_transport(frames: Sequence[bytes]) -> Sequence[bytes]:
    """The envelope frames of one transport message, its magic checked."""
    if not frames:
        raise RefusedError("empty message")
    check_magic(bytes(frames[0]))
    if len(frames) - 1 > ENVELOPES_LIMIT:
        raise RefusedError(f"{len(frames) - 1} envelopes in one message; the limit is {ENVELOPES_LIMIT}", "too_large")
    return frames[1:]


def _check_size(data: bytes, has_pictures: bool) -> None:
    limit = SNAPSHOT_LIMIT_BYTES if has_pictures else ENVELOPE_LIMIT_BYTES
    if len(data) > limit:
        raise RefusedError(f"{len(data)} bytes; the limit for this kind is {limit}", "too_large")
