"""What each process of the station does first and last: its log lines, its signals, its parent."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import sys
import threading

PR_SET_PDEATHSIG = 1        # linux/prctl.h


def log_to_stderr(level: int = logging.INFO) -> None:
    """Short lines on stderr: when, which process, how bad, what."""
    root = logging.getLogger("trailwatch")
    if not root.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(name)s %(levelname)s %(message)s", "%H:%M:%S"))
        root.addHandler(handler)
    root.setLevel(level)


def stop_on_signal() -> threading.Event:
    """An event that SIGTERM and SIGINT set. Only the main thread can be told by signals; elsewhere it is never set."""
    stop = threading.Event()
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
    return stop


def die_with_parent(parent_pid: int) -> None:
    """Have the system end this process when its parent ends, however that comes about (Linux prctl(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent_pid:      # it was gone before we asked
        os.kill(os.getpid(), signal.SIGTERM)
