from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.mission import MissionItem, differences
from fleet.transfer import Download, Target, Upload, budget_s, download, upload
from sim.autopilot_mission import Item, MissionStore

STEP_S = 0.05


def mission(count: int) -> tuple[MissionItem, ...]:
    """Home, a take-off, then waypoints and speed changes in turn."""
    items = [
        MissionItem(0, 0, 16, lat_e7=166_222_500, lon_e7=1_066_023_000, height_m=165.0),
        MissionItem(1, 3, 22, lat_e7=166_222_500, lon_e7=1_066_023_000, height_m=30.0),
    ]
    for seq in range(2, count):
        if seq % 5 == 0:
            items.append(MissionItem(seq, 0, 178, 1.0, 9.0, -1.0))
        else:
            items.append(MissionItem(seq, 3, 16, lat_e7=166_222_500 - seq, lon_e7=1_066_023_000 - 999 * seq, height_m=30.1))
    return tuple(items)


def through_the_wire(message: Any, system: int) -> Any:
    """Packed and parsed, as if it had come from `system`: floats lose their doubles, ids are right."""
    mav = mavlink.MAVLink(None, system, 1)
    parsed = mavlink.MAVLink(None).parse_buffer(message.pack(mav))
    assert len(parsed) == 1
    return parsed[0]


class Vehicle:
    """The autopilot model's side, in the same simulated time."""

    def __init__(self) -> None:
        self.out: list[Any] = []
        self.store = MissionStore(
            lambda _channel, m: self.out.append(m),
            lambda: Item(0, 0, 16, x=166_222_501, y=1_066_023_001, z=165.0),
            lambda _kind: None,
            lambda: True,
        )


def converse(
    machine: Upload | Download, vehicle: Vehicle, chance: random.Random, loss: float, delay_s: float = 0.0,
    start_s: float = 2.0,
) -> float:
    """Let a machine and the vehicle talk over a line that loses messages, in simulated time; the seconds it took."""
    now_s = start_s
    line: list[tuple[float, bool, Any]] = []

    def put(to_vehicle: bool, message: Any) -> None:
        if chance.random() >= loss:
            line.append((now_s + delay_s, to_vehicle, message))

    while machine.end is None:
        assert now_s < 1000.0, "the machine outlived any budget"
        for message in machine.poll(now_s):
            put(True, message)
        vehicle.store.tick(now_s)
        while line and line[0][0] <= now_s:
            _, to_vehicle, message = line.pop(0)
            if to_vehicle:
                vehicle.store.take(through_the_wire(message, 255), 0, now_s)
            else:
                for answer in machine.take(through_the_wire(message, 1), now_s):
                    put(True, answer)
            for answer in vehicle.out:
                put(False, answer)
            vehicle.out.clear()
        for answer in vehicle.out:
            put(False, answer)
        vehicle.out.clear()
        now_s += STEP_S
    return now_s - start_s


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**9), count=st.integers(2, 25), loss=st.floats(0.0, 0.25), delay_s=st.floats(0.0, 0.3))
def test_an_upload_that_says_done_has_put_the_plan_into_the_drone(
    seed: int, count: int, loss: float, delay_s: float
) -> None:
    items, vehicle, chance = mission(count), Vehicle(), random.Random(seed)
    machine = Upload(items, Target(1), 0.0)
    took_s = converse(machine, vehicle, chance, loss, delay_s)
    assert machine.end is not None
    assert took_s <= budget_s(count) + 1.0
    reading = Download(Target(1), 0.0)
    converse(reading, vehicle, chance, 0.0)
    assert reading.end is not None and reading.end.done
    if machine.end.done and machine.end.confirmed:
        assert differences(items, reading.end.items) == ()


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**9), count=st.integers(2, 12))
def test_a_fifth_of_all_messages_may_be_lost(seed: int, count: int) -> None:
    items, vehicle, chance = mission(count), Vehicle(), random.Random(seed)
    sending = Upload(items, Target(1), 0.0)
    converse(sending, vehicle, chance, 0.2)
    reading = Download(Target(1), 0.0)
    converse(reading, vehicle, chance, 0.2)
    assert sending.end is not None and sending.end.done, sending.end
    assert reading.end is not None and reading.end.done, reading.end
    assert differences(items, reading.end.items) == ()


@settings(max_examples=100, deadline=None)
@given(
    noise=st.lists(
        st.tuples(st.sampled_from(["ack", "request", "count", "item"]), st.integers(0, 30), st.integers(0, 2)), max_size=40
    )
)
def test_no_answer_out_of_turn_makes_an_upload_believe_it_is_done(noise: list[tuple[str, int, int]]) -> None:
    """Until the last item has been asked for, nothing that arrives is an acceptance of this mission."""
    items = mission(30)
    machine = Upload(items, Target(1), 0.0)
    machine.poll(0.0)
    for kind, number, mission_type in noise:
        if number == 29:
            continue
        message = {
            "ack": mavlink.MAVLink_mission_ack_message(255, 190, 0, mission_type),
            "request": mavlink.MAVLink_mission_request_message(255, 190, number, mission_type),
            "count": mavlink.MAVLink_mission_count_message(255, 190, number, mission_type),
            "item": mavlink.MAVLink_mission_item_int_message(
                255, 190, number, 0, 16, 0, 1, 0, 0, 0, 0, 0, 0, 0, mission_type
            ),
        }[kind]
        for answer in machine.take(through_the_wire(message, 1), 0.1):
            assert answer.get_type() == "MISSION_ITEM_INT" and answer.mission_type == 0
    assert machine.end is None


def test_both_kinds_of_request_are_answered_with_int_items() -> None:
    machine = Upload(mission(3), Target(1), 0.0)
    machine.poll(0.0)
    for ask in (mavlink.MAVLink_mission_request_message, mavlink.MAVLink_mission_request_int_message):
        (answer,) = machine.take(ask(255, 190, 1, 0), 0.1)
        assert answer.get_type() == "MISSION_ITEM_INT" and answer.seq == 1


def test_a_lost_count_is_sent_again_and_a_finished_transfer_falls_silent() -> None:
    machine = Upload(mission(3), Target(1), 0.0)
    assert len(machine.poll(0.0)) == 1
    assert machine.poll(1.4) == []
    assert len(machine.poll(1.5)) == 1
    machine.take(mavlink.MAVLink_mission_request_message(255, 190, 2, 0), 1.6)
    machine.take(mavlink.MAVLink_mission_ack_message(255, 190, 0, 0), 1.7)
    assert machine.end is not None and machine.end.done and machine.end.confirmed
    assert machine.poll(60.0) == []


def test_a_refusal_names_the_item_and_the_reason() -> None:
    bad = (*mission(3), MissionItem(3, 3, 16, lat_e7=166_222_500, lon_e7=1_066_023_000, height_m=float("nan")))
    vehicle = Vehicle()
    machine = Upload(bad, Target(1), 0.0)
    converse(machine, vehicle, random.Random(1), 0.0)
    assert machine.end is not None and not machine.end.done
    assert machine.end.sentence == "the drone refused the mission at item 3: MAV_MISSION_INVALID_PARAM7"
    assert len(vehicle.store.items[0]) == 3, "what came before the bad item stays in the drone"


def test_a_station_that_uploads_already_is_waited_for() -> None:
    vehicle = Vehicle()
    vehicle.store.take(through_the_wire(mavlink.MAVLink_mission_count_message(1, 1, 5, 0), 200), 1, 2.0)
    vehicle.out.clear()
    machine = Upload(mission(3), Target(1), 0.0)
    took_s = converse(machine, vehicle, random.Random(1), 0.0)
    assert machine.end is not None and machine.end.done
    assert 8.0 < took_s < 12.0


def test_no_space_in_the_first_second_of_a_boot_is_asked_again_and_later_believed() -> None:
    machine = Upload(mission(3), Target(1), 0.0)
    converse(machine, Vehicle(), random.Random(1), 0.0, start_s=0.0)
    assert machine.end is not None and machine.end.done and machine.beginnings == 2
    far_too_many = Upload(tuple(replace(mission(3)[1], seq=i) for i in range(700)), Target(1), 0.0)
    converse(far_too_many, Vehicle(), random.Random(1), 0.0)
    assert far_too_many.end is not None
    assert far_too_many.end.sentence == "the drone refused the mission: MAV_MISSION_NO_SPACE"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lat_e7": 166_222_600}, "place"),
        ({"lon_e7": 1_066_020_000}, "place"),
        ({"height_m": 31.0}, "height 31 m"),
        ({"frame": 0}, "frame"),
        ({"command": 19}, "command 19"),
        ({"p1": 4.0}, "parameter 1"),
    ],
)
def test_reading_back_notices_what_was_changed(change: dict[str, Any], words: str) -> None:
    sent = mission(4)
    back = (*sent[:2], replace(sent[2], **change), sent[3])
    found = differences(sent, back)
    assert len(found) == 1 and words in found[0].sentence and found[0].sentence.startswith("item 2: "), found
    assert found[0].key == "differs.item" and str(found[0].params["what|key"]).startswith("differs."), "in all languages"


def test_reading_back_allows_what_an_autopilot_rounds() -> None:
    sent = mission(7)
    back = tuple(
        replace(i, frame=0, lat_e7=0, lon_e7=0) if i.command == 178 else replace(i, height_m=i.height_m + 0.004)
        for i in sent
    )
    assert differences(sent, back) == ()
    assert [d.sentence for d in differences(sent, back[:-1])] == ["7 items were sent and 6 are in the drone"]


@pytest.mark.slow
def test_a_mission_gets_through_a_real_link_that_loses_a_fifth(
    start_autopilot: Callable[..., Any], lossy_proxy: Any, listening: Callable[..., Any]
) -> None:
    async def scenario() -> float:
        autopilot = start_autopilot(speedup=1.0)
        async with (
            lossy_proxy(autopilot.ports[0], 0.2, seed=5) as proxy,
            listening(f"tcp:127.0.0.1:{proxy.port}") as both,
        ):
            items = mission(12)
            began = time.monotonic()
            sent = await upload(both.link, items, Target(1))
            took_s = time.monotonic() - began
            assert sent.done, sent
            back = await download(both.link, Target(1))
            assert back.done, back
            assert differences(items, back.items) == ()
            assert proxy.lost > 5
        return took_s

    assert asyncio.run(scenario()) < budget_s(12)


def test_an_item_that_came_twice_on_a_disordered_line_is_no_refusal_of_a_rally_point() -> None:
    """Asked twice, answered twice: the second answer finds it done, and its ERROR overtakes the acceptance."""
    point = (MissionItem(0, 3, 5100, lat_e7=166_222_500, lon_e7=1_066_023_000, height_m=30.0),)
    machine = Upload(point, Target(1, 1, 2), 0.0)
    machine.poll(0.0)
    for _ in range(2):
        machine.take(mavlink.MAVLink_mission_request_message(255, 190, 0, 2), 0.1)
    machine.take(mavlink.MAVLink_mission_ack_message(255, 190, mavlink.MAV_MISSION_ERROR, 2), 0.2)
    assert machine.end is not None and machine.end.done and not machine.end.confirmed


def test_an_error_about_a_fence_that_was_said_once_is_a_refusal() -> None:
    fence = tuple(MissionItem(i, 0, 5001, 3.0, lat_e7=166_222_500, lon_e7=1_066_023_000) for i in range(2))
    machine = Upload(fence, Target(1, 1, 1), 0.0)
    machine.poll(0.0)
    for seq in range(2):
        machine.take(mavlink.MAVLink_mission_request_message(255, 190, seq, 1), 0.1)
    machine.take(mavlink.MAVLink_mission_ack_message(255, 190, mavlink.MAV_MISSION_ERROR, 1), 0.2)
    assert machine.end is not None and machine.end.refused and "fence at item 1" in machine.end.sentence
