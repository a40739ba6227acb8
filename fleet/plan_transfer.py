"""All that a plan puts into a drone, as one transfer: fence, rally points and mission, each sent, read back and compared.

One state machine for the three types. It asks first and last which aircraft answers, so that nothing is said of a drone by
another one's words; what went wrong half-way is done again as often as the budget allows; what ends badly empties the
drone's mission, because old and new items mixed is what nobody must fly. It ends with `done` only when everything that was
read back is what was sent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.dispatch_words import Said, said
from fleet.mission import KIND_NAMES, MISSION, MissionItem, differences
from fleet.transfer import HEARD, Download, Machine, Target, TransferEnd, Upload, budget_s, ended, word_of
from mavlink.ardupilot import hardware_id
from mavlink.autopilots import ARDUPILOT, Quirks

ATTEMPTS = 3                    # of sending one type and reading it back, before the whole is given up
WHO_RETRY_S, WHO_TRIES = 1.0, 8
CLEAR_RETRY_S, CLEAR_TRIES = 1.0, 6
DIFFERENCES_SAID = 5

HEARD_OF_A_PLAN = (*HEARD, "AUTOPILOT_VERSION")
ACCEPTED = int(mavlink.MAV_MISSION_ACCEPTED)


@dataclass(frozen=True, slots=True)
class Aircraft:
    """The one aircraft that a plan is for."""

    system_id: int
    hardware_id: str
    component_id: int = 1


class PlanTransfer:
    """Puts a plan's items into one aircraft; `end` is set when it is over.

    parts: items by MAV_MISSION_TYPE, sent in this order. received: whether everything was sent once, and is being compared.
    """

    def __init__(
        self, parts: Mapping[int, tuple[MissionItem, ...]], aircraft: Aircraft, now_s: float, quirks: Quirks = ARDUPILOT
    ) -> None:
        self.end: TransferEnd | None = None
        self.attempts = dict.fromkeys(parts, 0)
        self._parts = dict(parts)
        self._aircraft = aircraft
        self._quirks = quirks
        self._left = list(parts)
        self._deadline_s = now_s + 2.0 * sum(budget_s(len(items)) for items in parts.values())
        self._inner: Machine | None = None
        self._who = _Who(aircraft, now_s)
        self._clearing: _Clear | None = None
        self._begun = False         # something was sent: the drone may hold neither the old nor the new
        self._why = said("transfer.no_answer")

    def poll(self, now_s: float) -> list[Any]:
        """What is due at now_s. Call it often: at least every 0.1 s."""
        if self.end is not None:
            return []
        if self._clearing is None and now_s >= self._deadline_s:
            self._fail(said("transfer.budget", where=self._where()), now_s)
        machine = self._machine(now_s)
        return machine.poll(now_s) if machine is not None else []

    def take(self, message: Any, now_s: float) -> list[Any]:
        if self.end is not None:
            return []
        machine = self._machine(now_s)
        out = machine.take(message, now_s) if machine is not None else []
        # What this has ended is followed at once, and not at the next poll.
        before = machine
        following = self._machine(now_s)
        if following is not None and following is not before:
            out += following.poll(now_s)
        return out

    # ------------------------------------------------------------------------------------------------------- its course

    def _machine(self, now_s: float) -> Machine | None:
        """Whichever is at work now, after what the ended ones lead to; None when all is over."""
        for _ in range(8):
            machine: Machine = self._clearing or (self._inner if self._inner is not None else self._who)
            if machine.end is None:
                return machine
            self._follow(machine, machine.end, now_s)
            if self.end is not None:
                return None
        return None

    def _follow(self, machine: Machine, end: TransferEnd, now_s: float) -> None:
        if machine is self._clearing:
            self.end = ended(False, said("transfer.cleared" if end.done else "transfer.not_cleared", why=self._why))
        elif machine is self._who:
            if not end.done:
                # A stranger's mission is not cleared for us.
                self.end = ended(False, end.said if not self._begun else said("transfer.do_not_fly", why=end.said))
            elif self._left:
                self._send(now_s)
            else:
                counts = ", ".join(f"{len(i)} {KIND_NAMES[k]}" for k, i in self._parts.items() if k != MISSION and i)
                more = f" ({counts})" if counts else ""
                self.end = TransferEnd(
                    True, f"{len(self._parts.get(MISSION, ()))} items read back{more}", items=self._parts.get(MISSION, ())
                )
        elif isinstance(machine, Upload):
            self._sent(end, now_s)
        else:
            self._read(end, now_s)

    def _send(self, now_s: float) -> None:
        kind = self._left[0]
        self.attempts[kind] += 1
        if not self._parts[kind] and kind != MISSION and self.attempts[kind] == 1:
            # Nothing is wanted of it: mostly nothing is there, and an ArduCopter does not arm for two seconds after a fence
            # was sent to it, an empty one too.
            self._inner = Download(self._target(kind), now_s, ahead=self._quirks.read_ahead)
            return
        self._begun = True
        self._inner = Upload(self._parts[kind], self._target(kind), now_s, nudges=self._quirks.takes_items_unasked)

    def _sent(self, end: TransferEnd, now_s: float) -> None:
        kind = self._left[0]
        if end.done:
            ahead = self._quirks.read_ahead
            self._inner = Download(self._target(kind), now_s, ahead=ahead)
        elif end.refused and not self._parts[kind] and kind != MISSION:
            self._next(now_s)       # it has no place for such a thing, and none was wanted
        elif end.refused:
            self._fail(end.said, now_s)
        else:
            self._again(end.said, now_s)

    def _read(self, end: TransferEnd, now_s: float) -> None:
        kind = self._left[0]
        if not end.done:
            if end.refused and not self._parts[kind] and kind != MISSION:
                self._next(now_s)
                return
            self._again(end.said, now_s)
            return
        wrong = differences(self._parts[kind], end.items, kind, item_0_is_home=self._quirks.item_0_is_home)
        if wrong:
            self._again(said("transfer.differs", what=word_of(kind), why=wrong[:DIFFERENCES_SAID]), now_s)
        else:
            self._next(now_s)

    def _again(self, why: Said, now_s: float) -> None:
        if self.attempts[self._left[0]] < ATTEMPTS:
            self._send(now_s)
        else:
            self._fail(why, now_s)

    def _next(self, now_s: float) -> None:
        self._left.pop(0)
        if self._left:
            self._send(now_s)
        else:
            self._inner = None
            self._who = _Who(self._aircraft, now_s)

    def _fail(self, why: Said, now_s: float) -> None:
        self._why = why
        if not self._begun:
            self.end = ended(False, why)
        else:
            self._clearing = _Clear(self._target(MISSION), now_s)

    def _target(self, kind: int) -> Target:
        return Target(self._aircraft.system_id, self._aircraft.component_id, kind)

    def _where(self) -> Said:
        return said("transfer.at", what=word_of(self._left[0])) if self._left else said("transfer.at_end")


class _Who:
    """Asks which aircraft it is, until it is the right one, another one, or silent."""

    def __init__(self, aircraft: Aircraft, now_s: float) -> None:
        self.end: TransferEnd | None = None
        self._aircraft = aircraft
        self._asked_s = float("-inf")
        self._tries = 0
        del now_s

    def poll(self, now_s: float) -> list[Any]:
        if self.end is not None or now_s - self._asked_s < WHO_RETRY_S:
            return []
        if self._tries >= WHO_TRIES:
            self.end = ended(False, said("transfer.who", system=self._aircraft.system_id))
            return []
        self._asked_s = now_s
        self._tries += 1
        asks = (
            (mavlink.MAV_CMD_REQUEST_MESSAGE, float(mavlink.MAVLINK_MSG_ID_AUTOPILOT_VERSION)),
            (mavlink.MAV_CMD_REQUEST_AUTOPILOT_CAPABILITIES, 1.0),
        )
        number, first = asks[self._tries % 4 == 0]
        return [
            mavlink.MAVLink_command_long_message(
                self._aircraft.system_id, self._aircraft.component_id, number, 0, first, 0, 0, 0, 0, 0, 0
            )
        ]

    def take(self, message: Any, now_s: float) -> list[Any]:
        del now_s
        if self.end is None and message.get_type() == "AUTOPILOT_VERSION":
            found = hardware_id(message.uid2, message.uid)
            if found == self._aircraft.hardware_id:
                self.end = TransferEnd(True, f"hardware {found}")
            else:
                words = said("transfer.other_aircraft", hardware=self._aircraft.hardware_id, found=found or "none")
                self.end = ended(False, words)
        return []


class _Clear:
    """Empties the mission, until the drone says so."""

    def __init__(self, target: Target, now_s: float) -> None:
        self.end: TransferEnd | None = None
        self._target = target
        self._sent_s = float("-inf")
        self._tries = 0
        del now_s

    def poll(self, now_s: float) -> list[Any]:
        if self.end is not None or now_s - self._sent_s < CLEAR_RETRY_S:
            return []
        if self._tries >= CLEAR_TRIES:
            self.end = TransferEnd(False, "no answer to clearing")
            return []
        self._sent_s = now_s
        self._tries += 1
        return [
            mavlink.MAVLink_mission_clear_all_message(self._target.system_id, self._target.component_id, self._target.kind)
        ]

    def take(self, message: Any, now_s: float) -> list[Any]:
        del now_s
        if self.end is not None or self._tries == 0 or message.get_type() != "MISSION_ACK":
            return []
        if message.mission_type == self._target.kind and message.type == ACCEPTED:
            self.end = TransferEnd(True, "cleared")
        return []
