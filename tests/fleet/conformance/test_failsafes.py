"""What an aircraft does by itself when something is lost, asked of the model and of a real ArduCopter alike.

Durations are the vehicle's own, by its boot time: a busy machine slows a simulated vehicle down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.commands import command, read_parameter, set_mode, until, write_parameter
from fleet.drone import Drone
from fleet.mission import FENCE, RALLY, fence_items, rally_items
from fleet.signing_setup import give_key
from fleet.transfer import Target, download, upload
from mavlink.link import Link, Speaker
from mavlink.signing import Signer, SigningTime
from tests.fleet.conformance.asking import (
    ARM,
    HOME_ITEM,
    REBOOT,
    SET_MODE,
    boot_s,
    height_of,
    in_the_air,
    long,
    one_answer,
    ready,
    waypoint,
)
from wire.clock import WallClock
from wire.flying import RallyPoint
from wire.units import GroundPosition

pytestmark = pytest.mark.slow

HOME = GroundPosition(16.62225, 106.60230)
RING = tuple(
    GroundPosition(HOME.lat_deg + north / 111_195.0, HOME.lon_deg + east / 106_600.0)
    for east, north in ((-60, -60), (60, -60), (60, 60), (-60, 60))
)


async def set_up(link: Link, drone: Drone, mine: int, **parameters: float) -> None:
    for name, value in parameters.items():
        outcome = await write_parameter(link, drone, mine, name, value)
        assert outcome.done, outcome


def guided_to(mine: int, east_m: float, north_m: float, height_m: float = 20.0) -> Any:
    lat, lon = HOME.lat_deg + north_m / 111_195.0, HOME.lon_deg + east_m / 106_600.0
    return mavlink.MAVLink_set_position_target_global_int_message(
        0, mine, 1, 6, 0b110111111000, round(lat * 1e7), round(lon * 1e7), height_m, 0, 0, 0, 0, 0, 0, 0, 0
    )


def test_the_reason_of_a_refusal_to_arm_is_told_in_words(vehicle: Any, listening: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, drone = both.link, both.drone
            mine = await ready(link, drone)
            assert drone.arming_reasons() == ()
            await set_up(link, drone, mine, SIM_GPS1_ENABLE=0.0)
            assert (await set_mode(link, drone, mine, "GUIDED")).done
            assert await until(lambda: not drone.ready(), 30.0)
            outcome = await command(link, drone, mine, ARM, (1.0,), "arm")
            assert not outcome.done and "failed" in outcome.sentence
            assert await until(lambda: bool(drone.arming_reasons()), 10.0), outcome
            assert any("GPS" in r or "Position" in r for r in drone.arming_reasons()), drone.arming_reasons()

    asyncio.run(scenario())


def test_leaving_the_fence_brings_it_home_and_the_breach_is_in_its_status(
    vehicle: Any, listening: Callable[..., Any]
) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, drone = both.link, both.drone
            mine = await ready(link, drone)
            items = fence_items(RING)
            assert (await upload(link, items, Target(mine, 1, FENCE))).done
            await set_up(link, drone, mine, FENCE_TYPE=4.0, FENCE_ACTION=1.0, FENCE_ENABLE=1.0)
            assert await until(lambda: drone.fence_on is not None and drone.fence_on.value, 10.0)
            east = round((HOME.lon_deg + 200.0 / 106_600.0) * 1e7)
            beyond = (HOME_ITEM, waypoint(1, lon_e7=east), waypoint(2, lon_e7=east + 5000))
            assert (await upload(link, beyond, Target(mine))).done, "that it leads outside is not looked at"
            mine = await in_the_air(link, drone)
            # A place outside is not flown to, and nobody is told: the aircraft stays where it is.
            link.send(guided_to(mine, 200.0, 0.0))
            began_s = boot_s(drone)
            assert await until(lambda: boot_s(drone) - began_s > 8.0, 30.0)
            assert drone.mode() == "GUIDED" and abs(drone.position.value.lon_deg - HOME.lon_deg) * 106_600.0 < 10.0
            assert (await set_mode(link, drone, mine, "AUTO")).done
            assert await until(lambda: drone.mode() == "RTL", 60.0), drone.mode()
            assert any("ence" in t and "breached" in t for t in drone.texts_since(0)), drone.texts_since(0)

    asyncio.run(scenario())


def test_the_fence_s_bit_follows_the_order_and_the_parameter_does_not(vehicle: Any, listening: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, drone = both.link, both.drone
            mine = await ready(link, drone)
            await set_up(link, drone, mine, FENCE_TYPE=4.0)
            assert (await upload(link, fence_items(RING), Target(mine, 1, FENCE))).done
            # An ArduCopter that is short of time refuses it until it has loaded what was uploaded.
            for _ in range(20):
                outcome = await command(link, drone, mine, 207, (1.0,), "fence on")
                if outcome.done:
                    break
                await asyncio.sleep(0.2)
            assert outcome.done, outcome
            assert await until(lambda: drone.fence_on is not None and drone.fence_on.value, 10.0)
            assert await read_parameter(link, mine, ("FENCE_ENABLE",)) == ("FENCE_ENABLE", 0.0)
            assert (await command(link, drone, mine, 207, (0.0,), "fence off")).done
            assert await until(lambda: drone.fence_on is not None and not drone.fence_on.value, 10.0)

    asyncio.run(scenario())


def test_fence_and_rally_points_come_back_as_they_went_up_and_a_bad_ring_keeps_the_old_one(
    vehicle: Any, listening: Callable[..., Any]
) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, mine = both.link, both.drone.heartbeat.value.get_srcSystem()
            assert (await upload(link, fence_items(RING), Target(mine, 1, FENCE))).done
            back = (await download(link, Target(mine, 1, FENCE))).items
            assert [(i.frame, i.command, i.p1, i.height_m) for i in back] == [(0, 5001, 4.0, 0.0)] * 4
            assert [(i.lat_e7, i.lon_e7) for i in back] == [(i.lat_e7, i.lon_e7) for i in fence_items(RING)]
            bad = await upload(link, fence_items(RING[:2]), Target(mine, 1, FENCE))
            assert not bad.done and "MAV_MISSION_ERROR" in bad.sentence
            assert (await download(link, Target(mine, 1, FENCE))).items == back, "the old fence stays"
            points = rally_items([RallyPoint(RING[0], 40.0), RallyPoint(RING[1], 55.0)])
            assert (await upload(link, points, Target(mine, 1, RALLY))).done
            back = (await download(link, Target(mine, 1, RALLY))).items
            assert [(i.frame, i.command, i.height_m) for i in back] == [(3, 5100, 40.0), (3, 5100, 55.0)]
            for kind in (FENCE, RALLY):
                assert (await upload(link, (), Target(mine, 1, kind))).done
                assert (await download(link, Target(mine, 1, kind))).items == ()

    asyncio.run(scenario())


def test_heights_seconds_and_radii_are_cut_off_and_not_rounded(vehicle: Any, listening: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, mine = both.link, both.drone.heartbeat.value.get_srcSystem()
            heights = [29.999, 30.1, 33.335, 0.019, 119.987, -1.239]
            items = [HOME_ITEM, *(waypoint(i + 1, height_m=h, p1=2.9) for i, h in enumerate(heights))]
            count = len(items)
            items += [
                waypoint(count, command=18, p1=2.7, p3=37.9), waypoint(count + 1, command=18, p1=0.5, p3=-312.0),
                waypoint(count + 2, frame=2),
            ]
            sent = await upload(link, items, Target(mine))
            assert sent.done, sent
            back = (await download(link, Target(mine))).items
            assert [i.height_m for i in back[1:count]] == pytest.approx([29.99, 30.1, 33.33, 0.01, 119.98, -1.23], abs=1e-3)
            assert {i.p1 for i in back[1:count]} == {2.0}
            assert [(i.p1, i.p3) for i in back[count : count + 2]] == [(2.0, 37.0), (0.5, -310.0)]
            assert back[count + 2].frame == 0, "MAV_FRAME_MISSION is taken for an absolute height"

    asyncio.run(scenario())


def test_an_item_without_an_upload_is_answered_with_an_error(vehicle: Any, listening: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, mine = both.link, both.drone.heartbeat.value.get_srcSystem()
            assert (await upload(link, (HOME_ITEM, waypoint(1)), Target(mine))).done
            item = mavlink.MAVLink_mission_item_int_message(mine, 1, 1, 3, 16, 0, 1, 0, 0, 0, 0, 1, 1, 9.0, 0)
            answer = await one_answer(link, item, ("MISSION_ACK",))
            assert answer is not None and answer.type == mavlink.MAV_MISSION_ERROR

    asyncio.run(scenario())


def test_items_said_unasked_are_taken_in_turn_and_others_answered_without_an_end(
    vehicle: Any, listening: Callable[..., Any]
) -> None:
    """What an upload relies on that does not wait a second for each lost request."""

    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, mine = both.link, both.drone.heartbeat.value.get_srcSystem()
            assert (await upload(link, (HOME_ITEM,), Target(mine))).done     # its storage is up
            with link.subscribe(("MISSION_REQUEST", "MISSION_REQUEST_INT", "MISSION_ACK"), mine) as heard:
                link.send(mavlink.MAVLink_mission_count_message(mine, 1, 4, 0))
                assert (await heard.get(3.0)).seq == 0
                for seq in (0, 1, 1, 0, 3, 2, 3):
                    link.send(
                        mavlink.MAVLink_mission_item_int_message(
                            mine, 1, seq, 3 if seq else 0, 16, 0, 1, 0, 0, 0, 0, 166_222_500 + seq, 1_066_023_000, 20.0, 0
                        )
                    )
                answers = []
                while (m := await heard.get(1.5)) is not None:
                    answers.append((m.get_type(), getattr(m, "type", None)))
            acks = [kind for name, kind in answers if name == "MISSION_ACK"]
            assert acks == [mavlink.MAV_MISSION_INVALID_SEQUENCE] * 3 + [mavlink.MAV_MISSION_ACCEPTED], answers
            back = (await download(link, Target(mine))).items
            assert [i.lat_e7 for i in back[1:]] == [166_222_501, 166_222_502, 166_222_503]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("volts", "action", "mode"), [("BATT_LOW_VOLT", "BATT_FS_LOW_ACT", "RTL"), ("BATT_CRT_VOLT", "BATT_FS_CRT_ACT", "LAND")]
)
def test_a_low_battery_acts_after_ten_seconds_below(
    vehicle: Any, listening: Callable[..., Any], volts: str, action: str, mode: str
) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, drone = both.link, both.drone
            mine = await in_the_air(link, drone)
            await set_up(link, drone, mine, **{action: 2.0 if mode == "RTL" else 1.0, volts: 10.5})
            began_s = boot_s(drone)
            await set_up(link, drone, mine, SIM_BATT_VOLTAGE=10.0)
            assert await until(lambda: drone.mode() == mode, 60.0), drone.mode()
            assert boot_s(drone) - began_s == pytest.approx(11.0, abs=4.0)
            assert any("attery" in t for t in drone.texts_since(0))

    asyncio.run(scenario())


def test_without_a_radio_control_it_goes_home(vehicle: Any, listening: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, drone = both.link, both.drone
            mine = await in_the_air(link, drone)
            await set_up(link, drone, mine, SIM_RC_FAIL=1.0)
            assert await until(lambda: drone.mode() == "RTL", 30.0), drone.mode()
            assert any("adio" in t for t in drone.texts_since(0)), drone.texts_since(0)

    asyncio.run(scenario())


def test_another_station_s_heartbeat_does_not_hold_it_and_ours_clears_the_failsafe(
    vehicle: Any, listening: Callable[..., Any]
) -> None:
    async def scenario() -> None:
        other = Link(f"tcp:127.0.0.1:{vehicle.second_port}", WallClock(), speaker=Speaker(254, 190, 6), heartbeat_s=0.05)
        others = asyncio.create_task(other.run())
        async with listening(vehicle.connection) as both:
            link, drone = both.link, both.drone
            mine = await in_the_air(link, drone)
            await set_up(link, drone, mine, FS_GCS_ENABLE=1.0)
            assert other.connected
            beats, link._heartbeat_s = link._heartbeat_s, 1e6
            assert await until(lambda: drone.mode() == "RTL", 30.0), "held by a stranger's heartbeat"
            link._heartbeat_s = beats
            assert await set_mode_again(link, drone, mine, "GUIDED")
        others.cancel()
        await asyncio.gather(others, return_exceptions=True)

    asyncio.run(scenario())


async def set_mode_again(link: Link, drone: Drone, mine: int, mode: str) -> bool:
    """The owner of the link sleeps until its next heartbeat is due; a message wakes it, and it begins anew."""
    return (await set_mode(link, drone, mine, mode)).done


def test_modes_that_need_a_position_are_refused_without_one_and_others_taken(
    vehicle: Any, listening: Callable[..., Any]
) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, drone = both.link, both.drone
            mine = await in_the_air(link, drone)
            await set_up(link, drone, mine, SIM_GPS1_ENABLE=0.0)
            assert await until(lambda: drone.mode() == "LAND", 60.0)
            for number, name in ((3, "AUTO"), (4, "GUIDED"), (5, "LOITER"), (6, "RTL")):
                answer = await one_answer(link, long(mine, SET_MODE, 1.0, float(number)), ("COMMAND_ACK",))
                assert answer.result == mavlink.MAV_RESULT_FAILED, name
            answer = await one_answer(link, long(mine, SET_MODE, 1.0, 2.0), ("COMMAND_ACK",))
            assert answer.result == mavlink.MAV_RESULT_ACCEPTED, "ALT_HOLD needs none"
            answer = await one_answer(link, long(mine, SET_MODE, 1.0, 99.0), ("COMMAND_ACK",))
            assert answer.result in (mavlink.MAV_RESULT_FAILED, mavlink.MAV_RESULT_DENIED), "no such mode"

    asyncio.run(scenario())


def test_auto_is_not_armed_in_and_a_reboot_in_flight_is_refused(vehicle: Any, listening: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, drone = both.link, both.drone
            mine = await ready(link, drone)
            assert (await upload(link, (HOME_ITEM, waypoint(1, command=22), waypoint(2)), Target(mine))).done
            assert (await set_mode(link, drone, mine, "AUTO")).done
            refused = await command(link, drone, mine, ARM, (1.0,), "arm")
            assert not refused.done and "AUTO" in refused.sentence, refused
            mine = await in_the_air(link, drone)
            before = link.counts.connections
            answer = await one_answer(link, long(mine, REBOOT, 1.0), ("COMMAND_ACK",))
            assert answer.result == mavlink.MAV_RESULT_FAILED
            await asyncio.sleep(0.5)
            assert link.counts.connections == before and drone.airborne() and drone.boots == 0

    asyncio.run(scenario())


def test_a_link_cut_in_the_middle_of_an_upload_leaves_a_mixture_and_a_new_upload_mends_it(
    vehicle: Any, listening: Callable[..., Any]
) -> None:
    async def scenario() -> None:
        old = (HOME_ITEM, *(waypoint(i) for i in range(1, 6)))
        new = (HOME_ITEM, *(waypoint(i, height_m=77.0) for i in range(1, 6)))
        async with listening(vehicle.connection) as both:
            link, mine = both.link, both.drone.heartbeat.value.get_srcSystem()
            assert (await upload(link, old, Target(mine))).done
            with link.subscribe(("MISSION_REQUEST", "MISSION_REQUEST_INT"), mine) as heard:
                link.send(mavlink.MAVLink_mission_count_message(mine, 1, len(new), 0))
                for item in new[:3]:
                    asked = await heard.get(3.0)
                    assert asked is not None and asked.seq == item.seq
                    link.send(
                        mavlink.MAVLink_mission_item_int_message(
                            mine, 1, item.seq, item.frame, item.command, 0, 1, 0, 0, 0, 0, item.lat_e7, item.lon_e7,
                            item.height_m, 0,
                        )
                    )
                await heard.get(3.0)
        async with listening(vehicle.connection) as both:
            link = both.link
            back = await download(link, Target(mine))     # DENIED until the drone has given the upload up
            assert back.done, back
            assert [i.height_m for i in back.items[1:]] == [77.0, 77.0, 25.0, 25.0, 25.0]
            assert (await upload(link, new, Target(mine))).done
            again = await download(link, Target(mine))
            assert [i.height_m for i in again.items[1:]] == [77.0] * 5

    asyncio.run(scenario())


def test_a_circle_is_flown_at_its_radius_and_ends_after_its_turns(vehicle: Any, listening: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, drone = both.link, both.drone
            mine = await in_the_air(link, drone)
            middle = {"lat_e7": 166_222_500, "lon_e7": 1_066_023_000, "height_m": 20.0}
            items = (
                HOME_ITEM, waypoint(1, command=22, height_m=20.0), waypoint(2, command=18, p1=1.0, p3=20.0, **middle),
                waypoint(3, height_m=20.0),
            )
            assert (await upload(link, items, Target(mine))).done
            assert (await set_mode(link, drone, mine, "AUTO")).done
            distances: list[float] = []

            def round_it() -> bool:
                place = drone.position.value if drone.position else None
                if place is not None and drone.mission_item is not None and drone.mission_item.value == 2:
                    north = (place.lat_deg - HOME.lat_deg) * 111_195.0
                    east = (place.lon_deg - HOME.lon_deg) * 106_600.0
                    distances.append((north**2 + east**2) ** 0.5)
                return 2 in drone.reached

            assert await until(round_it, 90.0), (drone.mode(), drone.mission_item)
            late = distances[len(distances) // 2 :]
            assert min(late) == pytest.approx(20.0, abs=4.0) and max(late) == pytest.approx(20.0, abs=4.0)
            assert height_of(drone) == pytest.approx(20.0, abs=2.0)

    asyncio.run(scenario())


def test_a_drone_with_a_key_believes_on_its_second_port_what_is_signed_and_nothing_else(
    vehicle: Any, listening: Callable[..., Any]
) -> None:
    async def scenario() -> None:
        clock, key = WallClock(), bytes(range(32))
        time = SigningTime(clock, None)
        async with listening(vehicle.connection) as both:
            mine = both.drone.heartbeat.value.get_srcSystem()
        given = await give_key(vehicle.connection, mine, key, time, clock)
        assert given.done, given
        second = f"tcp:127.0.0.1:{vehicle.second_port}"
        for signers, heard in (({}, False), ({mine: Signer(bytes(32 * [3]), SigningTime(clock, None))}, False)):
            link = Link(second, clock, signers=signers)
            owner = asyncio.create_task(link.run())
            assert await until(lambda link=link: link.connected, 10.0)
            found = await one_answer(link, long(mine, 512, 148.0), ("AUTOPILOT_VERSION",))
            assert (found is not None) is heard
            owner.cancel()
            await asyncio.gather(owner, return_exceptions=True)
        link = Link(second, clock, signers={mine: Signer(key, time)}, link_id=1)
        owner = asyncio.create_task(link.run())
        assert await until(lambda: link.heard_age_of_s(mine) < 1.0, 20.0)
        assert await one_answer(link, long(mine, 512, 148.0), ("AUTOPILOT_VERSION",)) is not None
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)

    asyncio.run(scenario())
