"""The wiring of a whole station: its processes started, watched, and started again.

The inbox acknowledges, the mind thinks, the web server shows, and where the settings name notifiers a fourth one tells; each
is a process of its own so that none waits for another.
`serve` starts them as `ground_station.py serve --only NAME`, which anybody may do by hand as well.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from station.own_key import ensure_station_key
from station.settings import StationSettings, load_station_settings
from wire.clock import NS_PER_S, Clock, WallClock
from wire.process import DIE_WITH_PARENT, log_to_stderr, stop_on_signals
from wire.settings import SettingsError

PROCESSES = ("inbox", "mind", "web")
NOTIFY = "notify"                       # only where the settings name notifiers
LOOK_EVERY_S = 0.1
FIRST_DELAY_S, LONGEST_DELAY_S = 0.2, 10.0
STEADY_S = 30.0                         # a process that ran this long has its delay forgiven
STOP_WITHIN_S = 8.0                     # after SIGTERM; then it is killed, which loses nothing
SETTINGS_EXIT = 2                       # ground_station.main's status for settings that cannot be used

_log = logging.getLogger("trailwatch.serve")


def serve(config: Path, only: str | None = None) -> int:
    """Run a station, or one of its processes alone. Returns 0 after SIGTERM or SIGINT. Raises SettingsError."""
    settings = load_station_settings(config)
    log_to_stderr()
    if only is not None:
        return _run_one(settings, only)
    settings.make_folders()
    with _lock(settings):
        ensure_station_key(settings)
        _announce_administrator(settings)
        return Supervisor(settings, WallClock()).run(stop_on_signals())


def _run_one(settings: StationSettings, name: str) -> int:
    """Each process loads what is its own: what the mind reckons with is 70 MB, and the web server's framework 50."""
    settings.make_folders()
    match name:
        case "inbox":
            from station.inbox import run_inbox

            return run_inbox(settings)
        case "mind":
            from station.mind_process import run_mind

            return run_mind(settings)
        case _ if name == NOTIFY:
            from station.notifier import run_notifiers

            return run_notifiers(settings)
        case _:
            from station.web import run_web

            return run_web(settings)


def _announce_administrator(settings: StationSettings) -> None:
    from station.access import ensure_administrator

    password = ensure_administrator(settings)
    if password is not None:
        # The one line a person must read at the first start; it is never shown again, and no log file gets it.
        sys.stdout.write(f"First start: log in as admin with the one-time password {password}\n")
        sys.stdout.flush()


def _lock(settings: StationSettings) -> IO[str]:
    """Hold data_dir for one `serve`; the system lets go when the process ends, however it ends."""
    file = (settings.run_dir / "serve.lock").open("a+", encoding="ascii")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        holder = file.read().strip() or "unknown"
        file.close()
        raise SettingsError(
            f"{settings.data_dir}: a station runs there already (process {holder}). Stop it first, or give this one a "
            "data_dir of its own."
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()))
    file.flush()
    return file


@dataclass(slots=True)
class Child:
    """One process of the station. started_ns, due_ns: monotonic."""

    name: str
    process: subprocess.Popen[bytes] | None = None
    started_ns: int = 0
    due_ns: int = 0
    delay_s: float = FIRST_DELAY_S
    restarts: int = 0


class Supervisor:
    """Starts the processes, starts crashed ones again with growing delays, and stops them all."""

    def __init__(self, settings: StationSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._children = [Child(name) for name in (*PROCESSES, *([NOTIFY] if settings.notifiers else []))]

    def run(self, stop: threading.Event) -> int:
        status = 0
        self._note()
        try:
            while not stop.is_set() and status == 0:
                status = self._look()
                stop.wait(LOOK_EVERY_S)
        finally:
            self._stop_all()
        return status

    def _look(self) -> int:
        """Start what is due. Returns the status of a child whose settings cannot be used, else 0."""
        now_ns = self._clock.monotonic_ns()
        for child in self._children:
            if child.process is None:
                if now_ns >= child.due_ns:
                    self._start(child)
                continue
            status = child.process.poll()
            if status is None:
                continue
            child.process = None
            if status == SETTINGS_EXIT:
                _log.error("the %s process cannot run with these settings (its line above says why); stopping", child.name)
                return SETTINGS_EXIT
            if now_ns - child.started_ns > STEADY_S * NS_PER_S:
                child.delay_s = FIRST_DELAY_S
            child.due_ns = now_ns + round(child.delay_s * NS_PER_S)
            child.restarts += 1
            _log.warning("the %s process ended (status %d), starting it again in %.1f s", child.name, status, child.delay_s)
            child.delay_s = min(child.delay_s * 2, LONGEST_DELAY_S)
            self._note()
        return 0

    def _start(self, child: Child) -> None:
        entry = Path(__file__).resolve().parent.parent / "ground_station.py"
        environment = os.environ | {DIE_WITH_PARENT: str(os.getpid())}
        child.process = subprocess.Popen(
            [sys.executable, str(entry), "serve", "--only", child.name, "--config", str(self._settings.file)],
            env=environment,
            stdin=subprocess.DEVNULL,
        )
        child.started_ns = self._clock.monotonic_ns()
        self._note()

    def _note(self) -> None:
        """Write how often each was started again, and which process each is now; whole or not at all."""
        restarts = {c.name: c.restarts for c in self._children}
        pids = {c.name: c.process.pid for c in self._children if c.process is not None}
        for path, value in ((self._settings.restarts_file, restarts), (self._settings.run_dir / "processes.json", pids)):
            fresh = path.with_suffix(".new")
            fresh.write_text(json.dumps(value), encoding="ascii")
            fresh.replace(path)

    def _stop_all(self) -> None:
        running = [c for c in self._children if c.process is not None]
        for child in running:
            assert child.process is not None
            child.process.terminate()
        until_ns = self._clock.monotonic_ns() + round(STOP_WITHIN_S * NS_PER_S)
        for child in running:
            assert child.process is not None
            left_s = max(0.0, (until_ns - self._clock.monotonic_ns()) / NS_PER_S)
            try:
                child.process.wait(left_s)
            except subprocess.TimeoutExpired:
                _log.warning("the %s process does not stop; killing it", child.name)
                child.process.kill()
                child.process.wait()
