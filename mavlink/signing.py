"""MAVLink 2 signing, one key a drone, with times that never go back.

A signature is over the message, the key, a link number and a time in 10 microseconds since 2015. Whoever verifies takes a
message only when its time is later than the last of that stream, so a station whose clock jumps back after a power cut would
be deaf-mute until its clock had caught up. Therefore a file beside the key holds a time ahead of every one that was used: it
is moved on, and is on the disk, before any time beyond it is used; a start begins there or at the clock, whichever is later.

The time of a message that was accepted counts as used. So after a start, even after kill -9 or a power cut, the file is
later than every message accepted before, and none of them is accepted a second time. A drone that is not that far yet hears
our time in the next heartbeat, and signs with a later one from then on.

pymavlink's own check sets a stream's time before it has looked at the signature, so that one forged message with a far
time shuts the true sender out, and its own time stands still between messages: both are done here instead.
See "Message Signing (Authentication)" of the MAVLink guide.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from wire.clock import NS_PER_S, Clock

KEY_BYTES = 32
EPOCH_2015_S = 1_420_070_400
UNITS_PER_S = 100_000           # 10 microseconds
NS_PER_UNIT = NS_PER_S // UNITS_PER_S
NEW_STREAM_BEHIND = 60 * UNITS_PER_S    # a stream never heard may be so far behind our own time, and no further
RESERVED = 60 * UNITS_PER_S     # how far ahead of what is used the file is kept
SIGNATURE_BYTES = 13            # link, six bytes of time, six of signature
MAVLINK_2 = 0xFD
SIGNED_FLAG = 0x01              # MAVLINK_IFLAG_SIGNED

_log = logging.getLogger("trailwatch.link")


class SigningKeyError(ValueError):
    """A key file that cannot be used. Its text is fit to be shown, and never holds the key."""


def make_key(path: Path) -> None:
    """A new random key in a file that only its owner can read. Raises FileExistsError: a key in use is never overwritten."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="ascii") as file:
        file.write(os.urandom(KEY_BYTES).hex() + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_key(path: Path) -> bytes:
    """The key in a file of 64 hex digits. Raises SigningKeyError."""
    try:
        mode = path.stat().st_mode & 0o777
        text = path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SigningKeyError(f"{path}: the signing key cannot be read: {error}") from None
    if mode & 0o077:
        raise SigningKeyError(f"{path}: others may read this key (mode {mode:04o}): chmod 600, and think of a new one")
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES or not any(key):
        raise SigningKeyError(f"{path}: a signing key is 64 hex digits, and not all of them 0")
    return key


@dataclass(slots=True)
class SigningCounts:
    """Since the start. forged: signature wrong. replayed: its time is not later than the last. unsigned: none at all."""

    good: int = 0
    forged: int = 0
    replayed: int = 0
    unsigned: int = 0


class Verdict(Enum):
    """What a signed frame is worth.

    GOOD: made with the key, and later than the last of its stream. LATE: made with the key, and not later: a replay, or a
    sender whose time stood still. FORGED: not made with the key.
    """

    GOOD = "good"
    LATE = "late"
    FORGED = "forged"


class SigningTime:
    """The time of our signatures with one key: always later than any before, over restarts and clocks that jump.

    file: where the time reserved so far stands; None keeps nothing (a simulated autopilot has a storage of its own).
    old_until: messages with this time or an earlier one are from before this start. 0 without a file.
    """

    def __init__(self, clock: Clock, file: Path | None, start: int = 0) -> None:
        self._clock = clock
        self._file = file
        stored = self._stored()
        self._last = self._reserved = max(start, stored)
        self._base = self._last
        self._base_ns = clock.monotonic_ns()
        self.old_until = max(stored, self._by_clock() - 1) if file is not None else 0

    @property
    def last(self) -> int:
        return self._last

    def next(self) -> int:
        """A time for one message. Later than every other that this key was ever used with."""
        self._last = max(self._last + 1, self.now())
        if self._last >= self._reserved:
            self._reserve(self._last + RESERVED)
        return self._last

    def now(self) -> int:
        """The time by the clock, by what was used, and by how long ago that was: whichever is latest."""
        by_run = self._base + (self._clock.monotonic_ns() - self._base_ns) // NS_PER_UNIT
        return max(self._last, self._by_clock(), by_run)

    def _by_clock(self) -> int:
        return self._clock.utc_ns() // NS_PER_UNIT - EPOCH_2015_S * UNITS_PER_S

    def heard(self, at: int) -> None:
        """A message with a good signature carried this time: ours are never behind it."""
        if at > self._last:
            self._last = at
            self._base, self._base_ns = at, self._clock.monotonic_ns()
            if self._last >= self._reserved:
                self._reserve(self._last + RESERVED)

    def _stored(self) -> int:
        if self._file is None or not self._file.exists():
            return 0
        try:
            return int(self._file.read_text(encoding="ascii").strip())
        except (OSError, ValueError) as error:
            raise SigningKeyError(
                f"{self._file}: the time of the last signature cannot be read ({error}): write a later one into it, in 10 "
                "microseconds since 2015, or give the drone a new key"
            ) from None

    def _reserve(self, until: int) -> None:
        self._reserved = until
        if self._file is None:
            return
        try:
            self._write(self._file, until)
        except OSError as error:        # a full disk must not silence the station over a drone in the air
            self._reserved = self._last + UNITS_PER_S
            _log.error("%s: the time of signatures could not be kept, and will be tried again: %s", self._file, error)

    @staticmethod
    def _write(path: Path, until: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="ascii") as file:
            file.write(f"{until}\n")
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


class Signer:
    """One drone's key: signs what goes to it and verifies what it says, on all links that lead to it.

    system_id: whose messages are verified. Both directions share the time, as the guide has it.
    """

    def __init__(self, key: bytes, time: SigningTime) -> None:
        self.counts = SigningCounts()
        self._key = key
        self._time = time
        self._streams: dict[tuple[int, int, int], int] = {}

    @property
    def time(self) -> int:
        return self._time.last

    def pack(self, message: Any, mav: Any, link_id: int) -> bytes:
        """A message as a signed frame. mav: pymavlink's packer of the link, which gives source and sequence."""
        signing = mav.signing
        signing.secret_key, signing.link_id, signing.timestamp = self._key, link_id, self._time.next()
        signing.sign_outgoing = True
        try:
            return bytes(message.pack(mav))
        finally:
            signing.sign_outgoing, signing.secret_key = False, None

    def verify(self, frame: bytes, system_id: int, component_id: int) -> bool:
        """Whether a whole signed frame is its sender's, and new."""
        return self.classify(frame, system_id, component_id) is Verdict.GOOD

    def classify(self, frame: bytes, system_id: int, component_id: int) -> Verdict:
        """Check the signature and the time of a whole signed frame. A frame is GOOD once only, also over restarts."""
        good = hashlib.sha256(self._key + frame[:-6]).digest()[:6]
        if not hmac.compare_digest(good, bytes(frame[-6:])):
            self.counts.forged += 1
            return Verdict.FORGED
        stream = (frame[-SIGNATURE_BYTES], system_id, component_id)
        at = int.from_bytes(frame[-12:-6], "little")
        before = self._streams.get(stream)
        if before is None:
            before = max(self._time.old_until, self._time.now() - NEW_STREAM_BEHIND - 1)
        if at <= before:
            self.counts.replayed += 1
            return Verdict.LATE
        self._streams[stream] = at
        self._time.heard(at)
        self.counts.good += 1
        return Verdict.GOOD


def is_signed(frame: bytes) -> bool:
    """Whether a whole frame carries a signature."""
    return len(frame) > 2 and frame[0] == MAVLINK_2 and bool(frame[2] & SIGNED_FLAG)
