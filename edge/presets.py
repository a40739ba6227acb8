"""A camera that turns between presets: where it looks now, and how it gets to another preset.

Places need to know where the camera looks. So a preset has a pose of its own, and from the order to the arrival there is
none: nothing is looked at, and the node says that it turns. A camera that refuses stays where it was. One that may have
begun to turn and says nothing more looks nobody knows where; the node says so, and brings it back to the preset that was in
force, again and again. At its start it does the same: nobody knows what was done to the camera meanwhile.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
import subprocess
import sys
from enum import Enum
from pathlib import Path
from typing import Protocol

import msgspec

from edge.byte_track import LOST_S
from edge.camera_settings import PtzSettings
from edge.order_journal import OrderJournal
from edge.preset_turn import Outcome, Turn, Turned, TurnedBy, not_turned
from edge.settings import Setup
from wire.clock import NS_PER_S, Clock
from wire.node_words import NO_TEXT, NodeText, node_text
from wire.process import DIE_WITH_PARENT

# After the arrival, before anything is looked at: the head stops swaying, pictures that were under way have come, and every
# track of the old view has ended, so that none goes on in the new one.
SETTLE_S = LOST_S + 0.5
MOVER_START_S = 60.0            # on top of a turn: ONVIF's library is loaded, and questions are asked
AGAIN_FIRST_S, AGAIN_LONGEST_S = 10.0, 300.0        # between attempts to bring it back

_log = logging.getLogger("trailwatch.edge")


class Move(Protocol):
    """One turn under way."""

    def poll(self) -> Turned | None:
        """The end of it, once. None while it goes on. Does not wait."""
        ...

    def stop(self) -> None: ...


class Mover(Protocol):
    """Begins to turn the camera to a preset by its token."""

    def __call__(self, token: str) -> Move: ...


class HeadState(Enum):
    """THERE: at the preset in force. TURNING. UNKNOWN: nobody knows where it looks."""

    THERE = "there"
    TURNING = "turning"
    UNKNOWN = "unknown"


class Head:
    """Of one camera with presets. setup: as at its first preset. mover: None where nobody here turns the camera."""

    def __init__(self, setup: Setup, mover: Mover | None, journal: OrderJournal, clock: Clock) -> None:
        self._views = {preset.name: setup.at(preset) for preset in setup.presets}
        self._tokens = {preset.name: preset.token for preset in setup.presets}
        self._delay_s = setup.settings.source.delay_s
        ptz = setup.settings.ptz
        self._limit_s = MOVER_START_S + (ptz.turn_s if ptz else 0.0)
        self._mover = mover
        self._journal = journal
        self._clock = clock
        kept = journal.preset
        if kept and kept not in self._views:
            _log.warning('the settings have no preset "%s", which was ordered; the first holds', kept)
        self._home = kept if kept in self._views else next(iter(self._views))
        self._target = self._home
        self._move: Move | None = None
        self._until_ns = self._settled_ns = self._again_ns = 0
        self._failures = 0
        self._before = HeadState.UNKNOWN
        self._ended: Turned | None = None
        self.state = HeadState.UNKNOWN
        self.problem = NO_TEXT
        if mover is None:
            self._arrive()
        else:
            self._begin(self._home)

    @property
    def turns(self) -> bool:
        """Whether anybody here turns it."""
        return self._mover is not None

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._views)

    @property
    def preset(self) -> str:
        """The one in force; empty while it turns, or where nobody knows where it looks."""
        return self._home if self.state is HeadState.THERE else ""

    @property
    def turning_to(self) -> str:
        return self._target if self.state is HeadState.TURNING else ""

    @property
    def view(self) -> Setup | None:
        """The settings as they stand at the preset in force; None while there is none."""
        return self._views[self._home] if self.state is HeadState.THERE else None

    @property
    def detail(self) -> NodeText:
        """What it does, for people; empty when it stands where it should."""
        if self.state is HeadState.TURNING:
            return node_text("turning", preset=self._target)
        return NO_TEXT if self.state is HeadState.THERE else node_text("looks_nowhere", why=self.problem)

    def go(self, name: str) -> None:
        """Begin to turn. Not while it turns already."""
        self._ended = None
        if self._mover is None:
            self._target = name
            self._keep()
            self._arrive()
            self._ended = Turned(Outcome.ARRIVED)
        else:
            self._begin(name)

    def ended(self) -> Turned | None:
        """How the turn that `go` began has ended, once."""
        ended, self._ended = self._ended, None
        return ended

    def tend(self) -> None:
        """Once a round: look after the turn that is under way, and try again what has failed."""
        now_ns = self._clock.monotonic_ns()
        if self.state is HeadState.UNKNOWN and now_ns >= self._again_ns:
            self._begin(self._home)
        elif self._move is not None:
            turned = self._move.poll()
            if turned is None and now_ns >= self._until_ns:
                turned = not_turned(Outcome.LOST, node_text("turn_unsaid", seconds=round(self._limit_s)))
            if turned is not None:
                self._move.stop()
                self._move = None
                self._hear(turned, now_ns)
        elif self._settled_ns and now_ns >= self._settled_ns:
            self._keep()
            self._arrive()
            self._ended = Turned(Outcome.ARRIVED)

    def close(self) -> None:
        if self._move is not None:
            self._move.stop()

    def _begin(self, name: str) -> None:
        assert self._mover is not None
        self._before, self._target, self.state = self.state, name, HeadState.TURNING
        self._settled_ns = 0
        self._until_ns = self._clock.monotonic_ns() + round(self._limit_s * NS_PER_S)
        _log.info('the camera is turned to the preset "%s"', name)
        try:
            self._move = self._mover(self._tokens[name])
        except OSError as error:
            refused = not_turned(Outcome.REFUSED, node_text("turner_not_started", error=str(error)))
            self._hear(refused, self._clock.monotonic_ns())

    def _hear(self, turned: Turned, now_ns: int) -> None:
        if turned.outcome is Outcome.ARRIVED:
            self._settled_ns = now_ns + round((SETTLE_S + self._delay_s) * NS_PER_S)
            return
        _log.warning('the camera was not turned to the preset "%s": %s', self._target, turned.why)
        self._ended = turned
        if turned.outcome is Outcome.REFUSED and self._before is HeadState.THERE:
            self.state = HeadState.THERE
            return
        self.state, self.problem = HeadState.UNKNOWN, turned.text
        wait_s = min(AGAIN_LONGEST_S, AGAIN_FIRST_S * 2 ** min(self._failures, 10))
        self._failures += 1
        self._again_ns = now_ns + round(wait_s * NS_PER_S)

    def _arrive(self) -> None:
        self._home = self._target
        self._settled_ns = self._failures = 0
        self.state, self.problem = HeadState.THERE, NO_TEXT
        _log.info('the camera looks at the preset "%s"', self._home)

    def _keep(self) -> None:
        try:
            self._journal.keep_preset(self._target)
        except sqlite3.Error as error:
            _log.error('the disk does not keep the preset "%s"; after a restart it is another: %s', self._target, error)


class ProcessMove:
    """A turn by a process of edge.preset_mover. Raises OSError where none can be started."""

    def __init__(self, turn: Turn) -> None:
        self._said = bytearray()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "edge.preset_mover"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, cwd=Path(__file__).parents[1], env=os.environ | {DIE_WITH_PARENT: str(os.getpid())},
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._out = self._process.stdout
        os.set_blocking(self._out.fileno(), False)
        with contextlib.suppress(BrokenPipeError):      # then it has died, and poll says so
            self._process.stdin.write(msgspec.json.encode(turn))
            self._process.stdin.close()

    def poll(self) -> Turned | None:
        self._said += self._out.read() or b""
        code = self._process.poll()
        if code is None:
            return None
        self._said += self._out.read() or b""
        try:
            return msgspec.json.decode(self._said, type=Turned)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return not_turned(Outcome.LOST, node_text("turner_died", status=code))

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._out.close()


def mover_of(ptz: PtzSettings) -> Mover | None:
    """How the settings say that the camera is turned."""
    if ptz.by is TurnedBy.NONE:
        return None
    return lambda token: ProcessMove(
        Turn(ptz.by, token, ptz.host, ptz.port, ptz.profile, ptz.url, ptz.user, ptz.password, ptz.turn_s)
    )
