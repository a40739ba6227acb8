"""Plates of vehicles, read in a process of their own while the node goes on.

    with PlateReader(clock) as reader:
        reader.offer(crop)                  # never waits
        for track, reading in reader.take(): ...

The process is started for the first crop, ended after minutes without one, and started again, later and later, when it
dies. Its networks take more memory than all the rest of a node. At most PENDING_LIMIT crops wait: one a track, the best one,
and the best of all is read next. Nothing but vehicles can be offered.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import random
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np

from edge.plate_process import CROP_LIMIT_PX, ReadThis, WasRead, receive, send
from edge.plate_votes import Reading
from edge.sources import Image
from wire.clock import NS_PER_S, Clock
from wire.node_words import NO_TEXT, node_text
from wire.units import VehicleClass, is_vehicle

PENDING_LIMIT = 4               # crops that wait, each at most CROP_LIMIT_PX squared
READINGS_KEPT = 64              # that nobody has taken
IDLE_S = 180.0                  # without a crop: the process ends
START_TIMEOUT_S = 300.0         # networks are loaded in 1 s on a quiet machine; on a busy one, others come first
ANSWER_TIMEOUT_S = 60.0         # a crop is read in some 50 ms; longer than this, the process hangs
AGAIN_S = (1.0, 60.0)           # first and longest pause before the process is started again
HEALTHY_AFTER = 3               # crops read: what happened before is forgotten
LOOK_S = 0.2                    # how often the thread looks at the clock while there is something to look for
LEAVE_S = 2.0
NOT_INSTALLED = node_text("no_plates")

_log = logging.getLogger("trailwatch.edge")
_answers = msgspec.msgpack.Decoder(WasRead)


@dataclass(frozen=True, slots=True, eq=False)
class VehicleCrop:
    """Where a plate may be: a part of a picture, copied. worth: which of two crops to read first, greater is better.

    Raises ValueError for what is no vehicle: type checkers know it, and so does it when it runs.
    """

    track: int
    vehicle: VehicleClass
    image: Image
    worth: float

    def __post_init__(self) -> None:
        if not is_vehicle(self.vehicle):
            raise ValueError(f"plates are read of vehicles alone, and this is a crop of: {self.vehicle}")


class PlateReader:
    """Owns the process, in a thread of its own. starter: the command, to which the number of a socket is added."""

    def __init__(self, clock: Clock, starter: tuple[str, ...] = (sys.executable, "-m", "edge.plate_process")) -> None:
        self._clock = clock
        self._starter = starter
        self._pending: dict[int, VehicleCrop] = {}
        self._read: list[tuple[int, Reading]] = []
        self._changed = threading.Condition()
        self._stop = False
        self._thread: threading.Thread | None = None
        self._child: subprocess.Popen[bytes] | None = None
        self._link: socket.socket | None = None
        self._pause_s = AGAIN_S[0]
        self._not_before_ns = 0
        self._since_failure = 0
        self.problem = NO_TEXT
        self.starts = 0
        self.crops_read = 0

    def __enter__(self) -> PlateReader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """Of the process, while it runs."""
        child = self._child
        return child.pid if child is not None and child.poll() is None else None

    # ----------------------------------------------------------------------------------------------- the node's side

    def offer(self, crop: VehicleCrop) -> None:
        """Take a crop to be read. A better one of the same track that still waits stays; so do better ones when all wait."""
        with self._changed:
            waiting = self._pending.get(crop.track)
            if self._stop or (waiting is not None and waiting.worth > crop.worth):
                return
            if waiting is None and len(self._pending) >= PENDING_LIMIT:
                worst = min(self._pending.values(), key=lambda c: c.worth)
                if worst.worth >= crop.worth:
                    return
                del self._pending[worst.track]
            self._pending[crop.track] = crop
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="plates", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def take(self) -> list[tuple[int, Reading]]:
        """What was read since the last call, by track."""
        if not self._read:
            return []
        with self._changed:
            read, self._read = self._read, []
        return read

    def close(self) -> None:
        """End the process."""
        with self._changed:
            self._stop = True
            self._pending.clear()
            self._changed.notify_all()
        child = self._child
        if child is not None:
            child.terminate()       # whatever it is at: the thread waits for its answer
        if self._thread is not None:
            self._thread.join(LEAVE_S * 2)

    # ---------------------------------------------------------------------------------------------- the thread's side

    def _run(self) -> None:
        last_ns = self._clock.monotonic_ns()
        try:
            while True:
                crop = self._next()
                if self._stop:
                    return
                now_ns = self._clock.monotonic_ns()
                if crop is not None:
                    self._have_read(crop)
                    last_ns = self._clock.monotonic_ns()
                elif self._child is not None and now_ns - last_ns > IDLE_S * NS_PER_S:
                    _log.info("no crops for %.0f s: the process that reads plates ends", IDLE_S)
                    self._end()
        finally:
            self._end()

    def _next(self) -> VehicleCrop | None:
        """The best crop that waits, once the process may be asked; None to look at the clock."""
        with self._changed:
            if not self._pending and not self._stop:
                self._changed.wait(LOOK_S if self._child is not None else None)
            elif self._clock.monotonic_ns() < self._not_before_ns:
                self._changed.wait(LOOK_S)
                return None
            if not self._pending or self._clock.monotonic_ns() < self._not_before_ns:
                return None
            best = max(self._pending.values(), key=lambda c: c.worth)
            return self._pending.pop(best.track)

    def _have_read(self, crop: VehicleCrop) -> None:
        try:
            link = self._link or self._start()
            link.settimeout(ANSWER_TIMEOUT_S)
            image = _bounded(crop.image)
            send(link, ReadThis(crop.vehicle, image.shape[0], image.shape[1], image.tobytes()))
            reading = _answers.decode(receive(link)).reading
        except (OSError, ValueError, msgspec.MsgspecError) as error:     # whatever it answers, the thread goes on
            self._failed(error)
            return
        self.crops_read += 1
        self._since_failure += 1
        if self._since_failure >= HEALTHY_AFTER:
            self._pause_s, self.problem = AGAIN_S[0], NO_TEXT
        if reading is not None:
            with self._changed:
                self._read = [*self._read, (crop.track, reading)][-READINGS_KEPT:]

    def _start(self) -> socket.socket:
        """Raises OSError when the process does not come up."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._child = subprocess.Popen(
                [*self._starter, str(theirs.fileno())], pass_fds=(theirs.fileno(),), stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, cwd=Path(__file__).parents[1],
                env=os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            )
        self.starts += 1
        self._link = ours
        ours.settimeout(START_TIMEOUT_S)
        if not _answers.decode(receive(ours)).ready:
            raise OSError("it did not say that it is ready")
        _log.info("process %d reads plates", self._child.pid)
        return ours

    def _failed(self, error: Exception) -> None:
        """The crop in hand is given up: it may be what killed the process."""
        if self._stop:
            return
        child, self._since_failure = self._child, 0
        self._end()
        what = str(error) or node_text("no_answer")
        missing = importlib.util.find_spec("rapidocr") is None
        said = (
            node_text("plates_failed", error=what) if child is None
            else node_text("plates_died", error=what, status=str(child.poll()))
        )
        self.problem = NOT_INSTALLED if missing else said
        pause_s = AGAIN_S[1] if missing else self._pause_s * random.uniform(0.8, 1.2)
        self._not_before_ns = self._clock.monotonic_ns() + round(pause_s * NS_PER_S)
        _log.warning("%s; again in %.1f s", self.problem, pause_s)
        self._pause_s = min(self._pause_s * 2, AGAIN_S[1])

    def _end(self) -> None:
        link, self._link = self._link, None
        child, self._child = self._child, None
        if link is not None:
            link.close()
        if child is None:
            return
        try:
            child.wait(LEAVE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _bounded(image: Image) -> Image:
    """Not larger than the process takes."""
    scale = CROP_LIMIT_PX / max(image.shape[:2])
    if scale >= 1.0:
        return image
    return np.asarray(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA), np.uint8)
