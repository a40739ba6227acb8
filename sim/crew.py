"""Starting the processes of a rehearsal, watching them, and stopping them.

Each runs as it would in the field: its own process, its own settings file, its own key, real sockets between them. What
dies is started again and counted; the log of each is a file of its own.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from wire.clock import NS_PER_S, Clock
from wire.process import DIE_WITH_PARENT
from wire.settings import SettingsError

RESTART_AFTER_S = 1.0           # doubles with each restart of the same process, up to RESTART_AFTER_MOST_S
RESTART_AFTER_MOST_S = 15.0
STOP_WITHIN_S = 15.0            # SIGTERM first; what has not left by then is killed
SETTINGS_STATUS = 2             # exit status of a process that cannot use its settings: starting it again changes nothing

_log = logging.getLogger("trailwatch.crew")
_COMMAND_LINE = Path(__file__).resolve().parents[1] / "ground_station.py"


@dataclass(slots=True)
class Member:
    """One process: its name, the arguments after `trailwatch`, and how often it had to be started again."""

    name: str
    arguments: list[str]
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    due_ns: int = 0
    stopping: bool = False
    log: IO[bytes] | None = field(default=None, repr=False)


class Crew:
    """The processes of one rehearsal. Not thread-safe: one loop owns it, and calls watch() often."""

    def __init__(self, logs: Path, clock: Clock) -> None:
        self._logs = logs
        self._clock = clock
        self._members: dict[str, Member] = {}
        logs.mkdir(parents=True, exist_ok=True)

    @property
    def restarts(self) -> int:
        return sum(m.restarts for m in self._members.values())

    @property
    def names(self) -> list[str]:
        return list(self._members)

    def has(self, name: str) -> bool:
        return name in self._members

    def start(self, name: str, *arguments: str) -> None:
        member = Member(name, list(arguments))
        self._members[name] = member
        self._spawn(member)

    def pid(self, name: str) -> int | None:
        process = self._members[name].process
        return process.pid if process and process.poll() is None else None

    def failed_at_start(self, name: str) -> str | None:
        """The last line that a process wrote when it has already left; None while it runs."""
        member = self._members[name]
        if member.process is None or member.process.poll() is None:
            return None
        lines = self.log_file(name).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else f"{name} left with exit status {member.process.returncode} and said nothing"

    def log_file(self, name: str) -> Path:
        return self._logs / f"{name}.log"

    def watch(self) -> None:
        """Start again what has died, each after its back-off. Raises SettingsError with the words of one that cannot."""
        now = self._clock.monotonic_ns()
        for member in self._members.values():
            if member.stopping or member.process is None or member.process.poll() is None:
                continue
            if member.process.returncode == SETTINGS_STATUS:
                raise SettingsError(f"{member.name}: {self.failed_at_start(member.name)}")
            if member.due_ns == 0:
                wait_s = min(RESTART_AFTER_S * 2 ** min(member.restarts, 10), RESTART_AFTER_MOST_S)
                member.due_ns = now + round(wait_s * NS_PER_S)
                _log.warning("%s left with exit status %s; again in %.0f s", member.name, member.process.returncode, wait_s)
            elif now >= member.due_ns:
                member.restarts += 1
                member.due_ns = 0
                self._spawn(member)

    def stop(self, *names: str) -> None:
        """Ask these (all when none is named) to leave, wait, and kill what stays."""
        members = [self._members[n] for n in names] if names else list(self._members.values())
        for member in members:
            member.stopping = True
            if member.process and member.process.poll() is None:
                member.process.send_signal(signal.SIGTERM)
        until_ns = self._clock.monotonic_ns() + round(STOP_WITHIN_S * NS_PER_S)
        for member in members:
            if member.process is None:
                continue
            left_s = max(0.1, (until_ns - self._clock.monotonic_ns()) / NS_PER_S)
            try:
                member.process.wait(timeout=left_s)
            except subprocess.TimeoutExpired:
                _log.warning("%s did not leave in time and is killed", member.name)
                member.process.kill()
                member.process.wait()
            if member.log:
                member.log.close()
                member.log = None

    def _spawn(self, member: Member) -> None:
        if member.log is None:
            member.log = self.log_file(member.name).open("ab")
        member.process = subprocess.Popen(
            [sys.executable, str(_COMMAND_LINE), *member.arguments],
            stdin=subprocess.DEVNULL,
            stdout=member.log,
            stderr=subprocess.STDOUT,
            env=os.environ | {"YOLO_AUTOINSTALL": "false", "PYTHONUNBUFFERED": "1", DIE_WITH_PARENT: str(os.getpid())},
        )
