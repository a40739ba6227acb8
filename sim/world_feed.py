"""The world as whoever draws it has it: another process publishes Moments, and this end says how it was at a time.

The world's process runs a little ahead of the clock (world_process.LEAD_S), so that a picture taken now lies between two
Moments that are already here. Every Moment is whole: a subscriber may come late, or be away for a while.
"""

from __future__ import annotations

from collections import deque

import msgspec
import zmq

from sim.moments import between, decode_moment
from sim.world_state import Moment
from wire.clock import NS_PER_S, Clock
from wire.settings import SettingsError

TOPIC = b"trailwatch-world-1/training"      # there is no other realm for a world
KEPT = 128                                  # Moments: some twelve seconds
HOLD_NS = NS_PER_S // 2                     # past the newest Moment, it is taken for the present for so long


class DronePlaceMessage(msgspec.Struct, frozen=True, array_like=True):
    """Where a drone in the air is: metres in the sector's frame, height above mean sea level."""

    drone: str
    east_m: float
    north_m: float
    height_msl_m: float


class WorldFeed:
    """One subscriber. Not for several threads: whoever asks, reads the socket.

    endpoint: where the world publishes. drones: where it hears of drones, empty for one who has nothing to tell.
    refused: messages that were no Moments.
    """

    def __init__(self, endpoint: str, drones: str = "") -> None:
        self.refused = 0
        self._kept: deque[Moment] = deque(maxlen=KEPT)
        self._context = zmq.Context()
        self._sub = self._context.socket(zmq.SUB)
        self._sub.setsockopt(zmq.RCVHWM, KEPT)
        self._sub.setsockopt(zmq.SUBSCRIBE, TOPIC)
        self._sub.setsockopt(zmq.RECONNECT_IVL, 200)
        self._push: zmq.Socket[bytes] | None = None
        try:
            self._sub.connect(loopback(endpoint))
            if drones:
                self._push = self._context.socket(zmq.PUSH)
                self._push.setsockopt(zmq.SNDHWM, 4)
                self._push.setsockopt(zmq.LINGER, 0)
                self._push.setsockopt(zmq.IMMEDIATE, 1)
                self._push.connect(loopback(drones))
        except BaseException:
            self.close()
            raise

    def moment_at(self, utc_ns: int) -> Moment | None:
        """How the world was at a time; None when it does not say: it is gone, or the time is too long ago."""
        self._drain()
        kept = self._kept
        if not kept:
            return None
        newest = kept[-1]
        if utc_ns >= newest.utc_ns:
            return newest if utc_ns - newest.utc_ns <= HOLD_NS else None
        for i in range(len(kept) - 2, -1, -1):
            if kept[i].utc_ns <= utc_ns:
                return between(kept[i], kept[i + 1], utc_ns)
        return kept[0] if kept[0].utc_ns - utc_ns <= HOLD_NS else None

    def wait(self, clock: Clock, seconds: float) -> bool:
        """Wait for the first Moment; False when none has come."""
        until_ns = clock.monotonic_ns() + round(seconds * NS_PER_S)
        while not self._kept and clock.monotonic_ns() < until_ns:
            self._sub.poll(50)
            self._drain()
        return bool(self._kept)

    def tell_drone(self, drone: str, east_m: float, north_m: float, height_msl_m: float) -> None:
        """Say where a drone is, for those who hide from it. Lost when the world is away."""
        if self._push is not None:
            message = msgspec.msgpack.encode(DronePlaceMessage(drone, east_m, north_m, height_msl_m))
            try:
                self._push.send(message, zmq.NOBLOCK)
            except zmq.Again:
                return

    def close(self) -> None:
        self._context.destroy(linger=0)

    def _drain(self) -> None:
        while True:
            try:
                parts = self._sub.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                _, data = parts
                moment = decode_moment(data)
            except (ValueError, msgspec.DecodeError):
                self.refused += 1
                continue
            if self._kept and moment.utc_ns <= self._kept[-1].utc_ns:
                self._kept.clear()      # the clock was set back, or the world was started anew
            self._kept.append(moment)


def loopback(endpoint: str) -> str:
    """An endpoint that does not leave this machine; SettingsError for any other."""
    host = endpoint.removeprefix("tcp://").rpartition(":")[0]
    if endpoint.startswith("ipc://") or (endpoint.startswith("tcp://") and host in ("127.0.0.1", "localhost", "[::1]")):
        return endpoint
    raise SettingsError(f'"{endpoint}": a simulated world stays on its machine; give tcp://127.0.0.1:PORT or ipc://PATH')
