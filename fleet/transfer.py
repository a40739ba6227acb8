"""Both directions of MAVLink's mission protocol, from the station's side.

Upload and Download are state machines without sockets: they are handed messages and the time in seconds, and return what
to send. `upload` and `download` run them over a Link.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.mission import MissionItem, item_message, item_of
from mavlink.link import Link

COUNT_RETRY_S = 1.5             # MAVLink mission protocol, "Timeouts and Retries"
ITEM_RETRY_S = 0.25             # the same, per item
SILENCE_S = 9.0                 # ArduPilot cancels an upload after 8 s of silence: from then on it can only be begun again
ACKNOWLEDGE_S = SILENCE_S       # after the last item: a drone that lacks it asks each second, and cancels before this
STORAGE_TRIES = 3
CLEAR_TRIES = 3
BUDGET_S, BUDGET_ITEM_S = 20.0, 2.0     # of a whole transfer, and more for each item
HEARD = ("MISSION_REQUEST", "MISSION_REQUEST_INT", "MISSION_ACK", "MISSION_COUNT", "MISSION_ITEM_INT", "MISSION_ITEM")

ACCEPTED = int(mavlink.MAV_MISSION_ACCEPTED)
INVALID_SEQUENCE = int(mavlink.MAV_MISSION_INVALID_SEQUENCE)
CANCELLED = int(mavlink.MAV_MISSION_OPERATION_CANCELLED)
NO_SPACE = int(mavlink.MAV_MISSION_NO_SPACE)
DENIED = int(mavlink.MAV_MISSION_DENIED)


@dataclass(frozen=True, slots=True)
class Target:
    """Whom the transfer is with, and of what: kind is a MAV_MISSION_TYPE."""

    system_id: int
    component_id: int = 1
    kind: int = int(mavlink.MAV_MISSION_TYPE_MISSION)


@dataclass(frozen=True, slots=True)
class TransferEnd:
    """How a transfer ended. confirmed: the autopilot said so itself; without, only reading back can tell."""

    done: bool
    sentence: str
    confirmed: bool = True
    items: tuple[MissionItem, ...] = ()


def budget_s(count: int) -> float:
    """How long a transfer of `count` items may take before it is given up."""
    return BUDGET_S + BUDGET_ITEM_S * count


class Upload:
    """Sends items; `end` is set when it is over. A refusal ends it; one that was cancelled is begun again within the budget.

    asked: items that were asked for since the last beginning. beginnings: how often the count was sent.
    """

    def __init__(self, items: Sequence[MissionItem], target: Target, now_s: float) -> None:
        self.end: TransferEnd | None = None
        self.asked: set[int] = set()
        self.beginnings = 0
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
            progress = f"{len(self.asked)} of {len(self._items)} items got through"
            why = "another station is uploading" if self._last_denied else progress
            self.end = TransferEnd(False, f"the upload was given up after {budget_s(len(self._items)):.0f} s: {why}")
            return []
        if self._completed_s is not None and now_s - self._completed_s >= ACKNOWLEDGE_S:
            self.end = TransferEnd(True, "all items were asked for, and the acknowledgement was lost", confirmed=False)
            return []
        waiting = not self.asked and now_s - self._counted_s >= COUNT_RETRY_S
        given_up = bool(self.asked) and now_s - self._heard_s >= SILENCE_S
        return [self._begin(now_s)] if waiting or given_up else []

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
        return mavlink.MAVLink_mission_count_message(
            self._target.system_id, self._target.component_id, len(self._items), self._target.kind
        )

    def _answer(self, seq: int, now_s: float) -> list[Any]:
        if not 0 <= seq < len(self._items):
            return []
        self._heard_s = now_s
        self._last_denied = False
        self.asked.add(seq)
        self._completed_s = now_s if seq == len(self._items) - 1 else None
        return [item_message(self._items[seq], self._target.system_id, self._target.component_id, self._target.kind)]

    def _take_ack(self, result: int) -> None:
        if result == ACCEPTED:
            # An acceptance before the last item was asked for answers something older.
            if not self._items or len(self._items) - 1 in self.asked:
                self.end = TransferEnd(True, f"{len(self._items)} items accepted")
        elif result == INVALID_SEQUENCE:
            return              # it got an item twice, because it had asked twice; it goes on asking
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
            where = f" at item {last}" if last is not None else ""
            self.end = TransferEnd(False, f"the drone refused the mission{where}: {name}")


class Download:
    """Reads items, one after the other."""

    def __init__(self, target: Target, now_s: float) -> None:
        self.end: TransferEnd | None = None
        self._target = target
        self._items: list[MissionItem] = []
        self._count: int | None = None
        self._deadline_s = now_s + budget_s(0)
        self._sent_s = float("-inf")
        self._first_sent_s = now_s
        self._round_trip_s = ITEM_RETRY_S / 2.0

    def poll(self, now_s: float) -> list[Any]:
        if self.end is not None:
            return []
        if now_s >= self._deadline_s:
            got = "the drone did not answer" if self._count is None else f"{len(self._items)} of {self._count} items came"
            self.end = TransferEnd(False, f"reading the mission back was given up: {got}")
            return []
        wait_s = COUNT_RETRY_S if self._count is None else max(ITEM_RETRY_S, 2.0 * self._round_trip_s)
        return self._ask(now_s) if now_s - self._sent_s >= wait_s else []

    def take(self, message: Any, now_s: float) -> list[Any]:
        if self.end is not None or getattr(message, "mission_type", None) != self._target.kind:
            return []
        kind = message.get_type()
        if kind == "MISSION_COUNT" and self._count is None:
            self._count = message.count
            self._deadline_s = now_s + budget_s(message.count)
            return self._next(now_s)
        if kind in ("MISSION_ITEM_INT", "MISSION_ITEM") and self._count is not None and message.seq == len(self._items):
            self._items.append(item_of(message))
            self._round_trip_s = 0.7 * self._round_trip_s + 0.3 * (now_s - self._first_sent_s)
            return self._next(now_s)
        # CANCELLED and DENIED are about an upload that the drone still waits for: asked again, it answers when that is over.
        if kind == "MISSION_ACK" and message.type not in (ACCEPTED, INVALID_SEQUENCE, DENIED, CANCELLED):
            self.end = TransferEnd(False, f"the drone does not give its mission: result {message.type}")
        return []

    def _next(self, now_s: float) -> list[Any]:
        if self._count is not None and len(self._items) >= self._count:
            self.end = TransferEnd(True, f"{self._count} items read back", items=tuple(self._items))
            return [
                mavlink.MAVLink_mission_ack_message(
                    self._target.system_id, self._target.component_id, ACCEPTED, self._target.kind
                )
            ]
        self._first_sent_s = now_s
        return self._ask(now_s)

    def _ask(self, now_s: float) -> list[Any]:
        self._sent_s = now_s
        whom = (self._target.system_id, self._target.component_id)
        if self._count is None:
            return [mavlink.MAVLink_mission_request_list_message(*whom, self._target.kind)]
        return [mavlink.MAVLink_mission_request_int_message(*whom, len(self._items), self._target.kind)]


async def upload(link: Link, items: Sequence[MissionItem], target: Target) -> TransferEnd:
    """Send items to the drone. A True end that is not confirmed needs reading back, as every upload gets anyway."""
    return await _run(link, Upload(items, target, _now_s()), target)


async def clear(link: Link, target: Target) -> bool:
    """Empty the drone's mission; True when it said so."""
    with link.subscribe(("MISSION_ACK",), target.system_id) as heard:
        for _ in range(CLEAR_TRIES):
            link.send(mavlink.MAVLink_mission_clear_all_message(target.system_id, target.component_id, target.kind))
            answer = await heard.get(COUNT_RETRY_S)
            if answer is not None and answer.mission_type == target.kind and answer.type == ACCEPTED:
                return True
    return False


async def download(link: Link, target: Target) -> TransferEnd:
    """Read the drone's items."""
    return await _run(link, Download(target, _now_s()), target)


async def _run(link: Link, machine: Upload | Download, target: Target) -> TransferEnd:
    with link.subscribe(HEARD, target.system_id) as heard:
        while True:
            for message in machine.poll(_now_s()):
                link.send(message)
            if machine.end is not None:
                return machine.end
            answer = await heard.get(0.05)
            if answer is not None:
                for message in machine.take(answer, _now_s()):
                    link.send(message)


def _now_s() -> float:
    return asyncio.get_running_loop().time()
