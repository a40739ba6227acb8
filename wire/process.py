"""What every process of ours does at its start and at its end."""

from __future__ import annotations

import ctypes
import logging
import os
import select
import signal
import sys
import threading
import time
import weakref

DIE_WITH_PARENT = "TRAILWATCH_PARENT"       # environment: pid of the process that must outlive this one
_PR_SET_PDEATHSIG = 1                       # linux/prctl.h


def die_with_parent() -> None:
    """Leave (SIGTERM) when the process named in TRAILWATCH_PARENT dies, even by kill -9. Without it: do nothing.

    The kernel tells us (Linux); a parent that died before we could ask is seen by its pid.
    """
    wanted = os.environ.pop(DIE_WITH_PARENT, "")
    if not wanted or not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if str(os.getppid()) != wanted:
        sys.exit(0)


class StopEvent(threading.Event):
    """An event that a signal handler may set, once and for all.

    threading.Event may not be set there: its `wait` holds a lock for a moment, and a handler that interrupts the main thread
    in that moment waits for it for ever. The process then hears no SIGTERM any more. A pipe needs no lock.
    """

    def __init__(self) -> None:
        super().__init__()
        self._asked = False
        self._reader, self._writer = os.pipe()      # once written to it stays readable, for every thread that waits
        os.set_blocking(self._writer, False)
        weakref.finalize(self, _close, self._reader, self._writer)

    def set(self) -> None:
        if not self._asked:
            self._asked = True
            os.write(self._writer, b"x")

    def is_set(self) -> bool:
        return self._asked

    def wait(self, timeout: float | None = None) -> bool:
        """Until it is set, or for timeout seconds. Returns whether it is set."""
        if not self._asked:
            poll = select.poll()
            poll.register(self._reader, select.POLLIN)
            poll.poll(None if timeout is None else max(0.0, timeout * 1000.0))
        return self._asked

    def clear(self) -> None:
        raise RuntimeError("a stop is not taken back")


def _close(*files: int) -> None:
    for file in files:
        os.close(file)


def stop_on_signals() -> StopEvent:
    """An event that SIGTERM and SIGINT set; a process loops until then and leaves by itself.

    Only the main thread can be told by signals; elsewhere the event is never set.
    """
    stop = StopEvent()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    return stop


def log_to_stderr(level: int = logging.INFO) -> None:
    """One line an event on stderr: when (UTC, as in the record), who, how bad, what. Other libraries' chatter stays out."""
    root = logging.getLogger("trailwatch")
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        form = logging.Formatter("%(asctime)s.%(msecs)03dZ %(name)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
        form.converter = time.gmtime
        handler.setFormatter(form)
        root.addHandler(handler)
    root.setLevel(level)
