"""Both directions of MAVLink's mission protocol, from the station's side, for missions, fences and rally points alike.

Upload and Download are state machines without sockets: they are handed messages and the time in seconds, and return what
to send. `upload` and `download` run them over a link.

The drone asks for the items, and asks again only each second. Where its request is overdue by more than a round trip, the
station says the item that it sent last once more and the next one too: the drone takes the one that it lacks, and answers
the other with INVALID_SEQUENCE, on which neither side gives up. Reading back asks for several items at once where the
autopilot answers each question by itself (ArduPilot); one that keeps a place in the list is asked one by one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.dispatch_words import Params, Said, said
from fleet.mission import KIND_NAMES, MISSION, MissionItem, item_message, item_of
from mavlink.link import MessageLink

COUNT_RETRY_S = 1.5             # MAVLink mission protocol, "Timeouts and Retries"
ITEM_RETRY_S = 0.25             # the same, per item
SILENCE_S = 9.0                 # ArduPilot cancels an upload after 8 s of silence: from then on it can only be begun again
ACKNOWLEDGE_S = SILENCE_S       # after the last item: a drone that lacks it asks each second, and cancels before this
STORAGE_TRIES = 3
CLEAR_TRIES = 3
NUDGE_ROUND_TRIPS, NUDGE_LEAST_S = 1.3, 0.15    # an overdue request is answered before it is asked again
ROUND_TRIP_FIRST_S = 0.4        # before one was measured
READ_AHEAD = 4                  # items asked for at once: 4 x 50 bytes, half a second of a 57,600 baud radio's quiet line
BUDGET_S, BUDGET_ITEM_S = 20.0, 2.0     # of a whole transfer, and more for each item
POLL_S = 0.02
HEARD = ("MISSION_REQUEST", "MISSION_REQUEST_INT", "MISSION_ACK", "MISSION_COUNT", "MISSION_ITEM_INT", "MISSION_ITEM")

ACCEPTED = int(mavlink.MAV_MISSION_ACCEPTED)
INVALID_SEQUENCE = int(mavlink.MAV_MISSION_INVALID_SEQUENCE)
CANCELLED = int(mavlink.MAV_MISSION_OPERATION_CANCELLED)
NO_SPACE = int(mavlink.MAV_MISSION_NO_SPACE)
DENIED = int(mavlink.MAV_MISSION_DENIED)
ERROR = int(mavlink.MAV_MISSION_ERROR)


def word_of(kind: int) -> str:
    """What the language files call it, after `transfer_of.`."""
    return KIND_NAMES[kind].replace(" ", "_")


@dataclass(frozen=True, slots=True)
class Target:
    """Whom the transfer is with, and of what: kind is a MAV_MISSION_TYPE."""

    system_id: int
    component_id: int = 1
    kind: int = MISSION

    @property
    def what(self) -> str:
        return word_of(self.kind)


@dataclass(frozen=True, slots=True)
class TransferEnd:
    """How a transfer ended. confirmed: the autopilot said so itself; without, only reading back can tell.

    refused: the autopilot will not have these items, however often they are sent. key, params: the sentence in the station's
    language files.
    """

    done: bool
    sentence: str
    confirmed: bool = True
    items: tuple[MissionItem, ...] = ()
    refused: bool = False
    key: str = ""
    params: Params = field(default_factory=dict)

    @property
    def said(self) -> Said:
        return Said(self.sentence, self.key, self.params)


def ended(
    done: bool, words: Said, *, confirmed: bool = True, items: tuple[MissionItem, ...] = (), refused: bool = False
) -> TransferEnd:
    return TransferEnd(done, words.sentence, confirmed, items, refused, words.key, words.params)


def budget_s(count: int) -> float:
    """How long a transfer of `count` items may take before it is given up."""
    return BUDGET_S + BUDGET_ITEM_S * count


class Upload:
    """Sends items; `end` is set when it is over. A refusal ends it; one that was cancelled is begun again within the budget.

    asked: items that were asked for since the last beginning. beginnings: how often the count was sent.
    """

    def __init__(self, items: Sequence[MissionItem], target: Target, now_s: float, *, nudges: bool = True) -> None:
        self.end: TransferEnd | None = None
        self.asked: set[int] = set()
        self.beginnings = 0
        self.nudged = 0
        self._nudges = nudges
        self._round_trip_s = ROUND_TRIP_FIRST_S
        self._sent: dict[int, float] = {}
        self._nudge_from_s = float("inf")
        self._twice = False         # an item was said twice, and may be answered when nothing is waited for any more
        self._items = tuple(items)
        self._target = target
        self._deadline_s = now_s + budget_s(len(items))
        self._last_denied = False
        self._counted_s = self._heard_s = float("-inf")
        self._completed_s: float | None = None

    def poll(self, now_s: float) -> list[Any]:
        """What is due at now_s. Call it often: at least every 0.1 s."""
        if self.end is not None:
            return []
        if now_s >= self._deadline_s:
            progress = said("transfer.progress", count=len(self.asked), of=len(self._items))
            why = said("transfer.another") if self._last_denied else progress
            self.end = ended(False, said("transfer.given_up", seconds=round(budget_s(len(self._items))), why=why))
            return []
        if self._completed_s is not None and now_s - self._completed_s >= ACKNOWLEDGE_S:
            self.end = ended(True, said("transfer.asked_for"), confirmed=False)
            return []
        waiting = not self.asked and now_s - self._counted_s >= COUNT_RETRY_S
        given_up = bool(self.asked) and now_s - self._heard_s >= SILENCE_S
        if waiting or given_up:
            return [self._begin(now_s)]
        overdue_s = max(NUDGE_LEAST_S, NUDGE_ROUND_TRIPS * self._round_trip_s)
        if self._nudges and self.asked and now_s - self._nudge_from_s >= overdue_s:
            self._nudge_from_s = now_s
            self.nudged += 1
            last = max(self.asked)
            self._sent.clear()          # what is asked for next may answer either: no round trip is learned from it
            return [self._item(seq) for seq in (last, last + 1) if seq < len(self._items)]
        return []

    def take(self, message: Any, now_s: float) -> list[Any]:
        """A message of the target system; returns what answers it."""
        if self.end is not None or getattr(message, "mission_type", None) != self._target.kind:
            return []
        kind = message.get_type()
        if kind in ("MISSION_REQUEST", "MISSION_REQUEST_INT"):
            return self._answer(message.seq, now_s)
        if kind == "MISSION_ACK":
            self._take_ack(message.type)
        return []

    def _begin(self, now_s: float) -> Any:
        self.beginnings += 1
        self.asked.clear()
        self._completed_s = None
        self._counted_s = now_s
        self._sent.clear()
        self._nudge_from_s = float("inf")
        return mavlink.MAVLink_mission_count_message(
            self._target.system_id, self._target.component_id, len(self._items), self._target.kind
        )

    def _answer(self, seq: int, now_s: float) -> list[Any]:
        if not 0 <= seq < len(self._items):
            return []
        self._heard_s = self._nudge_from_s = now_s
        self._last_denied = False
        before_s = self._sent.pop(seq - 1, None)
        if before_s is not None and seq not in self.asked:
            self._round_trip_s = 0.7 * self._round_trip_s + 0.3 * (now_s - before_s)
        self._twice = self._twice or seq in self.asked
        self.asked.add(seq)
        self._completed_s = now_s if seq == len(self._items) - 1 else self._completed_s
        self._sent = {seq: now_s}
        return [self._item(seq)]

    def _item(self, seq: int) -> Any:
        return item_message(self._items[seq], self._target.system_id, self._target.component_id, self._target.kind)

    def _take_ack(self, result: int) -> None:
        if result == ACCEPTED:
            # An acceptance before the last item was asked for answers something older.
            # Where items were said unasked, the last may have been taken so.
            nearly = len(self._items) - 2 in self.asked and self.nudged > 0
            if not self._items or len(self._items) - 1 in self.asked or nearly:
                self.end = ended(True, said("transfer.accepted", count=len(self._items)))
        elif result == INVALID_SEQUENCE:
            return              # it got an item twice, because it had asked twice; it goes on asking
        elif result == ERROR and self._not_receiving():
            return
        elif result == NO_SPACE and not self.asked and self.beginnings < STORAGE_TRIES:
            return              # ArduPilot says so of any count until its storage is up, in the first second of a boot
        elif result in (CANCELLED, DENIED):
            self.asked.clear()
            self._completed_s = None
            self._last_denied = result == DENIED
        else:
            known = mavlink.enums["MAV_MISSION_RESULT"]
            name = known[result].name if result in known else f"result {result}"
            last = max(self.asked, default=None)
            told: Params = {"what": self._target.what, "result": name}
            words = said("transfer.refused", **told) if last is None else said("transfer.refused_at", item=last, **told)
            self.end = ended(False, words, refused=True)


    def _not_receiving(self) -> bool:
        """ERROR is also what an ArduPilot answers to an item while it receives none; True when it can be that."""
        if not self.asked:
            return True             # about something older
        last = len(self._items) - 1
        twice = self.nudged > 0 or self._twice
        if last in self.asked or (self.nudged and last - 1 in self.asked):
            if self._target.kind == MISSION or twice:
                self.end = ended(True, said("transfer.went_up"), confirmed=False)
                return True
            return False            # a fence that is none: told once, at its end
        if twice:             # it has given the upload up, and what it said of that was lost
            self.asked.clear()
            return True
        return False


class Download:
    """Reads items; several at once where `ahead` is more than 1."""

    def __init__(self, target: Target, now_s: float, *, ahead: int = READ_AHEAD) -> None:
        self.end: TransferEnd | None = None
        self._target = target
        self._ahead = ahead
        self._items: dict[int, MissionItem] = {}
        self._asked: dict[int, tuple[float, int]] = {}      # of what was not heard yet: when last, and how often
        self._count: int | None = None
        self._deadline_s = now_s + budget_s(0)
        self._sent_s = float("-inf")
        self._round_trip_s = ROUND_TRIP_FIRST_S

    def poll(self, now_s: float) -> list[Any]:
        if self.end is not None:
            return []
        if now_s >= self._deadline_s:
            came = said("transfer.came", count=len(self._items), of=self._count or 0)
            got = said("transfer.no_answer") if self._count is None else came
            self.end = ended(False, said("transfer.not_read", what=self._target.what, why=got))
            return []
        if self._count is None:
            if now_s - self._sent_s < COUNT_RETRY_S:
                return []
            self._sent_s = now_s
            return [mavlink.MAVLink_mission_request_list_message(*self._whom(), self._target.kind)]
        return self._ask(now_s)

    def take(self, message: Any, now_s: float) -> list[Any]:
        if self.end is not None or getattr(message, "mission_type", None) != self._target.kind:
            return []
        kind = message.get_type()
        if kind == "MISSION_COUNT" and self._count is None:
            self._count = message.count
            self._deadline_s = now_s + budget_s(message.count)
            return self._next(now_s)
        if kind in ("MISSION_ITEM_INT", "MISSION_ITEM") and message.seq in self._asked:
            asked_s, tries = self._asked.pop(message.seq)
            if tries == 1:          # Karn: of what was asked twice nobody knows which question was answered
                self._round_trip_s = 0.7 * self._round_trip_s + 0.3 * (now_s - asked_s)
            self._items[message.seq] = item_of(message)
            return self._next(now_s)
        # CANCELLED and DENIED are about an upload that the drone still waits for: asked again, it answers when that is over.
        # ERROR is about an item that came after the upload was complete.
        if kind == "MISSION_ACK" and message.type not in (ACCEPTED, INVALID_SEQUENCE, DENIED, CANCELLED, ERROR):
            words = said("transfer.not_given", what=self._target.what, result=message.type)
            self.end = ended(False, words, refused=True)
        return []

    def _next(self, now_s: float) -> list[Any]:
        if self._count is not None and len(self._items) >= self._count:
            items = tuple(self._items[seq] for seq in range(self._count))
            self.end = ended(True, said("transfer.read_back", count=self._count), items=items)
            return [mavlink.MAVLink_mission_ack_message(*self._whom(), ACCEPTED, self._target.kind)]
        return self._ask(now_s)

    def _ask(self, now_s: float) -> list[Any]:
        """Questions that are due: overdue ones again, and new ones as far as `ahead` lets."""
        assert self._count is not None
        wait_s = max(ITEM_RETRY_S, NUDGE_ROUND_TRIPS * self._round_trip_s)
        due = [seq for seq, (asked_s, _) in self._asked.items() if now_s - asked_s >= wait_s]
        for seq in range(self._count):
            if len(self._asked) >= self._ahead:
                break
            if seq not in self._items and seq not in self._asked:
                self._asked[seq] = (now_s, 0)
                due.append(seq)
        for seq in due:
            self._asked[seq] = (now_s, self._asked[seq][1] + 1)
        return [mavlink.MAVLink_mission_request_int_message(*self._whom(), seq, self._target.kind) for seq in due]

    def _whom(self) -> tuple[int, int]:
        return self._target.system_id, self._target.component_id


class Machine(Protocol):
    """What `run_machine` runs."""

    end: TransferEnd | None

    def poll(self, now_s: float) -> list[Any]: ...

    def take(self, message: Any, now_s: float) -> list[Any]: ...


async def upload(link: MessageLink, items: Sequence[MissionItem], target: Target) -> TransferEnd:
    """Send items to the drone. A True end that is not confirmed needs reading back, as every upload gets anyway."""
    return await run_machine(link, Upload(items, target, _now_s()), target.system_id)


async def clear(link: MessageLink, target: Target) -> bool:
    """Empty the drone's mission; True when it said so."""
    with link.subscribe(("MISSION_ACK",), target.system_id) as heard:
        for _ in range(CLEAR_TRIES):
            link.send(mavlink.MAVLink_mission_clear_all_message(target.system_id, target.component_id, target.kind))
            answer = await heard.get(COUNT_RETRY_S)
            if answer is not None and answer.mission_type == target.kind and answer.type == ACCEPTED:
                return True
    return False


async def download(link: MessageLink, target: Target) -> TransferEnd:
    """Read the drone's items."""
    return await run_machine(link, Download(target, _now_s()), target.system_id)


async def run_machine(
    link: MessageLink, machine: Machine, system_id: int, heard_types: Sequence[str] = HEARD
) -> TransferEnd:
    """Until the machine has ended, over a link."""
    with link.subscribe(heard_types, system_id) as heard:
        while True:
            for message in machine.poll(_now_s()):
                link.send(message)
            if machine.end is not None:
                return machine.end
            answer = await heard.get(POLL_S)
            if answer is not None:
                for message in machine.take(answer, _now_s()):
                    link.send(message)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
