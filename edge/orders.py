"""What the station may order of a node: a picture now, a clip, a profile, a preset; and its one answer to each order.

Orders are heard in the uplink's thread and carried out in the node's loop. An order is in the journal before anything is
done, its pictures and its answer are put into the outbox in one commit, and only then it counts as answered: a node that
dies in between answers at its next start, and one that hears an order again does nothing.
"""

from __future__ import annotations

import logging
import math
import queue
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from edge.clips import Ring, full_picture, in_parts
from edge.order_journal import OrderJournal
from edge.preset_turn import Outcome
from edge.presets import Head
from edge.sources import Frame, Image
from wire.clock import NS_PER_S, Clock
from wire.codec import NAME_LIMIT
from wire.messages import Footage, FootageFrame, NodeHealth, Order, OrderAction, OrderResult
from wire.node_words import NO_TEXT, NodeText, all_of, node_text

BEFORE_LIMIT_S, AFTER_LIMIT_S = 15.0, 30.0      # of a clip: together they are what the ring holds
PICTURE_WAIT_S = 10.0           # for the picture of a snapshot, where the camera gives none just now
HEARD_LIMIT = 32                # orders between two rounds of the loop
IN_HAND_LIMIT = 8               # clips and snapshots at the same time

Answer = OrderResult | Footage

_log = logging.getLogger("trailwatch.edge")


class HasProfiles(Protocol):
    """The motion gate: which profiles there are, and the name of the one that it watches with."""

    profile: str

    @property
    def profiles(self) -> tuple[str, ...]: ...


@dataclass(frozen=True, slots=True)
class _InHand:
    """from_ns, to_ns: of the monotonic clock; of a snapshot, to_ns is when it is given up."""

    order: Order
    from_ns: int
    to_ns: int


class Orders:
    """The orders of one sensor. on_drone: the fleet alone commands a drone and its gimbal. head: of a camera that turns."""

    def __init__(
        self, sensor: str, on_drone: bool, gate: HasProfiles, journal: OrderJournal, clock: Clock, head: Head | None = None,
    ) -> None:
        self._sensor = sensor
        self._on_drone = on_drone
        self._head = head
        self._gate = gate
        self._journal = journal
        self._clock = clock
        self._ring = Ring(clock)
        self._heard: queue.Queue[Order] = queue.Queue(HEARD_LIMIT)
        self._in_hand: list[_InHand] = []
        self._answered: list[str] = []          # handed out, and not yet known to be in the outbox
        self._left_over = journal.in_hand()
        self._take_up_profile()

    def _take_up_profile(self) -> None:
        name = self._journal.profile
        if name in self._gate.profiles:
            self._gate.profile = name
        elif name:
            _log.warning('the settings have no profile "%s", which was ordered; "%s" holds', name, self._gate.profile)

    def hear(self, order: Order) -> None:
        """From any thread. What is too much is not taken: the station sends it again."""
        try:
            self._heard.put_nowait(order)
        except queue.Full:
            _log.warning('order "%s" is not heard: %d others wait', order.order_id[:NAME_LIMIT], HEARD_LIMIT)

    def turn(self, frame: Frame | None, marking: str, small: Image | None = None) -> list[Answer]:
        """One round: what can be answered now. All of it goes into the outbox in one put, and then note_put is called.

        small: the frame's picture, where somebody has scaled it down already.
        """
        answers = self._answer_left_over(node_text("order_left_by_start"))
        while not self._heard.empty():
            answers += self._take(self._heard.get_nowait())
        if frame is not None:
            self._ring.keep(frame, marking, small)
        answers += self._carry_out(frame, marking)
        return self._handed_out(answers)

    def end(self) -> list[Answer]:
        """The node stops: what is in hand will not be done. To be put and noted as what turn returns."""
        self._left_over += [i.order.order_id for i in self._in_hand]
        self._in_hand = []
        return self._handed_out(self._answer_left_over(node_text("order_left_by_end")))

    def told_in(self, health: NodeHealth) -> NodeHealth:
        """With the profile and the preset in force, and what else may be ordered."""
        told: dict[str, object] = {"profile": self._gate.profile, "profiles": self._gate.profiles}
        if self._head is not None:
            told |= {"preset": self._head.preset, "presets": self._head.names, "turning_to": self._head.turning_to}
        return msgspec.structs.replace(health, **told)

    def note_put(self) -> None:
        """What was handed out is in the outbox."""
        if not self._answered:
            return
        try:
            self._journal.note_answered(self._answered)
        except sqlite3.Error as error:
            # They stay in hand on the disk, and are answered a second time at the next start; the station keeps the first.
            _log.error("the disk takes no note of answered orders: %s", error)
        self._answered = []

    def close(self) -> None:
        self._journal.close()

    def _handed_out(self, answers: list[Answer]) -> list[Answer]:
        self._answered += [a.order_id for a in answers if isinstance(a, OrderResult)]
        return answers

    def _answer_left_over(self, why: NodeText) -> list[Answer]:
        left, self._left_over = self._left_over, []
        return [_result(order_id, False, why) for order_id in left]

    # -------------------------------------------------------------------------------------------------- a fresh order

    def _take(self, order: Order) -> list[Answer]:
        if not (0 < len(order.order_id) <= NAME_LIMIT and order.order_id.isprintable()):
            return [_refused(order, node_text("order_id", most=NAME_LIMIT))]
        try:
            if self._journal.knows(order.order_id):
                _log.info('order "%s" came again, and is not carried out again', order.order_id)
                return []
            self._journal.take(order.order_id)
        except sqlite3.Error as error:
            return [_refused(order, node_text("order_disk", error=str(error)))]
        why_not = self._why_not(order)
        if why_not:
            _log.warning('order "%s" is refused: %s', order.order_id, why_not)
            return [_refused(order, why_not)]
        _log.info('order "%s": %s %s', order.order_id, order.action, order.argument)
        if order.action == OrderAction.PROFILE:
            return [self._change_profile(order)]
        if order.action == OrderAction.PTZ_PRESET:
            assert self._head is not None       # _why_not
            self._head.go(order.argument)
            self._in_hand.append(_InHand(order, 0, 0))
            return []
        now_ns = self._clock.monotonic_ns()
        clip = order.action == OrderAction.CLIP
        before_s, after_s = (order.before_s, order.after_s) if clip else (0.0, PICTURE_WAIT_S)
        self._in_hand.append(_InHand(order, now_ns - round(before_s * NS_PER_S), now_ns + round(after_s * NS_PER_S)))
        return []

    def _why_not(self, order: Order) -> NodeText:
        """Why this order is not carried out, as a sentence; empty when it is."""
        now_ns = self._clock.utc_ns()
        if order.sensor != self._sensor:
            return node_text("order_sensor", sensor=self._sensor, wanted=order.sensor[:NAME_LIMIT])
        if order.expires_ns and now_ns > order.expires_ns:
            return node_text("order_late", until=_at(order.expires_ns), now=_at(now_ns))
        match order.action:
            case OrderAction.PROFILE:
                if order.argument not in self._gate.profiles:
                    there = ", ".join(self._gate.profiles)
                    return node_text("order_no_profile", wanted=order.argument[:NAME_LIMIT], there=there)
                return NO_TEXT
            case OrderAction.PTZ_PRESET:
                return self._why_not_turned(order.argument)
            case OrderAction.CLIP:
                if not (_within(order.before_s, BEFORE_LIMIT_S) and _within(order.after_s, AFTER_LIMIT_S)):
                    return node_text("order_clip_long", before=round(BEFORE_LIMIT_S), after=round(AFTER_LIMIT_S))
            case OrderAction.SNAPSHOT:
                pass
            case _:
                return node_text("order_unknown", wanted=order.action[:NAME_LIMIT])
        if len(self._in_hand) >= IN_HAND_LIMIT:
            return node_text("order_many", n=IN_HAND_LIMIT)
        return NO_TEXT

    def _why_not_turned(self, name: str) -> NodeText:
        if self._on_drone:
            return node_text("order_drone")
        if self._head is None:
            return node_text("order_no_presets")
        if name not in self._head.names:
            return node_text("order_no_preset", wanted=name[:NAME_LIMIT], there=", ".join(self._head.names))
        if self._head.turning_to:
            return node_text("order_turning", preset=self._head.turning_to)
        return NO_TEXT

    def _change_profile(self, order: Order) -> OrderResult:
        before = self._gate.profile
        try:
            self._journal.keep_profile(order.argument)
        except sqlite3.Error as error:
            return _refused(order, node_text("order_profile_lost", profile=before, error=str(error)))
        self._gate.profile = order.argument
        return _result(order.order_id, True, node_text("order_profile", profile=order.argument, before=before))

    # ----------------------------------------------------------------------------------------------- an order in hand

    def _carry_out(self, frame: Frame | None, marking: str) -> list[Answer]:
        now_ns = self._clock.monotonic_ns()
        answers: list[Answer] = []
        waiting: list[_InHand] = []
        for in_hand in self._in_hand:
            order = in_hand.order
            if order.action == OrderAction.PTZ_PRESET:
                answer = self._turned(order)
                if answer is None:
                    waiting.append(in_hand)
                else:
                    answers.append(answer)
            elif order.action == OrderAction.SNAPSHOT and frame is not None:
                picture = FootageFrame(frame.captured_ns, full_picture(frame.image, marking))
                height, width = frame.image.shape[:2]
                answers += self._done(order, [picture], node_text("order_picture", width=width, height=height))
            elif now_ns < in_hand.to_ns:
                waiting.append(in_hand)
            elif order.action == OrderAction.CLIP and (kept := self._ring.between(in_hand.from_ns, in_hand.to_ns)):
                spans_s = (kept[-1].captured_ns - kept[0].captured_ns) / NS_PER_S
                answers += self._done(order, kept, node_text("order_clip", n=len(kept), seconds=round(spans_s, 1)))
            else:
                answers.append(_refused(order, node_text("order_no_picture")))
        self._in_hand = waiting
        return answers

    def _turned(self, order: Order) -> OrderResult | None:
        """The answer, once the turn has ended."""
        assert self._head is not None
        ended = self._head.ended()
        if ended is None:
            return None
        if ended.outcome is Outcome.ARRIVED:
            key = "order_preset" if self._head.turns else "order_preset_said"
            return _result(order.order_id, True, node_text(key, preset=order.argument))
        now = node_text("order_still_there", preset=self._head.preset) if self._head.preset else self._head.detail
        return _refused(order, all_of(ended.text, now))

    def _done(self, order: Order, frames: Sequence[FootageFrame], detail: NodeText) -> list[Answer]:
        return [*in_parts(order.order_id, self._sensor, frames), _result(order.order_id, True, detail)]


def _refused(order: Order, why: NodeText) -> OrderResult:
    return _result(order.order_id[:NAME_LIMIT], False, why)


def _result(order_id: str, done: bool, detail: NodeText) -> OrderResult:
    return OrderResult(order_id, done, str(detail), detail.worded.key, detail.worded.params)


def _within(seconds: float, limit_s: float) -> bool:
    return math.isfinite(seconds) and 0.0 <= seconds <= limit_s


def _at(utc_ns: int) -> str:
    try:
        return datetime.fromtimestamp(utc_ns / NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"{utc_ns} ns"
