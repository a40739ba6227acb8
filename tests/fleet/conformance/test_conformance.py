"""What the fleet relies on, asked of the model and of a real ArduCopter alike.

Times in the names are the vehicle's; the fixture's vehicle runs `rate` times faster than the clock.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.checker import CheckLimits
from fleet.commands import ask_for_messages, command, identify, read_parameter, set_mode, until, write_parameter
from fleet.drone import Drone
from fleet.mission import MissionItem, differences
from fleet.planner import PatrolWish, plan_patrol
from fleet.sortie import Sortie
from fleet.sortie_terms import SortieTerms
from fleet.transfer import Target, clear, download, upload
from geofences.sector import Sector
from mavlink.link import Link, Speaker
from tests.fleet.conformance.asking import (
    ARM,
    HOME_ITEM,
    READY_WITHIN_S,
    SET_MODE,
    TAKE_OFF,
    boot_s,
    in_the_air,
    long,
    one_answer,
    ready,
    waypoint,
)
from wire.clock import WallClock
from wire.flying import TaskPhase, TaskState
from wire.units import GroundPosition, Realm

pytestmark = pytest.mark.slow

HOME = GroundPosition(16.62225, 106.60230)


async def heard_types(link: Link, seconds: float) -> dict[str, int]:
    counts: dict[str, int] = {}
    deadline = time.monotonic() + seconds
    with link.subscribe(limit=5000) as heard:
        while time.monotonic() < deadline:
            m = await heard.get(0.1)
            if m is not None:
                counts[m.get_type()] = counts.get(m.get_type(), 0) + 1
    return counts


def test_a_new_link_streams_almost_nothing_until_asked(vehicle: Any, listening: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            before = await heard_types(both.link, max(2.0, 5.0 / vehicle.rate))
            assert before["HEARTBEAT"] >= 3
            assert not {"GLOBAL_POSITION_INT", "ATTITUDE", "SYS_STATUS", "GPS_RAW_INT", "VFR_HUD"} & set(before), before
            system_id = both.drone.heartbeat.value.get_srcSystem()
            assert (await ask_for_messages(both.link, both.drone, system_id)).done
            assert await until(lambda: both.drone.boot_ms is not None, 20.0)
            begun_s = boot_s(both.drone)
            after = await heard_types(both.link, 2.0)
            # By the vehicle's own time: a machine that is busy elsewhere does not let it run at its rate.
            assert after["GLOBAL_POSITION_INT"] == pytest.approx(5 * (boot_s(both.drone) - begun_s), rel=0.35)
            assert {"SYS_STATUS", "EKF_STATUS_REPORT", "MISSION_CURRENT", "EXTENDED_SYS_STATE", "GPS_RAW_INT"} <= set(after)

    asyncio.run(scenario())


def test_what_is_not_for_it_gets_silence_and_what_it_does_not_know_an_answer(
    vehicle: Any, listening: Callable[..., Any]
) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, mine = both.link, both.drone.heartbeat.value.get_srcSystem()
            assert await one_answer(link, long(mine + 40, ARM, 1.0), ("COMMAND_ACK",), 1.0) is None
            unknown = await one_answer(link, long(mine, 31999), ("COMMAND_ACK",))
            assert unknown.result == mavlink.MAV_RESULT_UNSUPPORTED
            unsent = await one_answer(link, long(mine, 511, 158.0, 1e6), ("COMMAND_ACK",))
            assert unsent.result == mavlink.MAV_RESULT_DENIED
            assert await read_parameter(link, mine, ("NO_SUCH_PARAM",), tries=1) is None
            assert await read_parameter(link, mine, ("SYSID_MYGCS", "MAV_GCS_SYSID")) == ("MAV_GCS_SYSID", 255.0)

    asyncio.run(scenario())


def test_it_says_who_it_is_and_that_it_is_simulated_and_says_the_same_again(
    vehicle: Any, listening: Callable[..., Any]
) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            mine = both.drone.heartbeat.value.get_srcSystem()
            first = await identify(both.link, both.drone, mine)
            assert first is not None and first.simulated and len(first.hardware_id) >= 4 and first.version.startswith("4.")
            assert await identify(both.link, both.drone, mine) == first

    asyncio.run(scenario())


def test_a_second_client_of_a_port_hears_nothing(vehicle: Any, listening: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection):
            reader, writer = await asyncio.open_connection("127.0.0.1", vehicle.port)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(1.5):
                    await reader.read(1)
            writer.close()

    asyncio.run(scenario())


def test_arming_in_guided_is_refused_until_the_estimate_is_there_and_the_reason_comes_after_the_answer(
    vehicle: Any, listening: Callable[..., Any]
) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            mine = both.drone.heartbeat.value.get_srcSystem()
            assert (await ask_for_messages(both.link, both.drone, mine)).done
            # An ArduCopter that has just started takes the mode of its switch once it first hears its remote control.
            outcomes = [await set_mode(both.link, both.drone, mine, "GUIDED")]
            while not outcomes[-1].done and len(outcomes) < 3:
                outcomes.append(await set_mode(both.link, both.drone, mine, "GUIDED"))
            assert outcomes[-1].done, ("a disarmed drone may take any mode", outcomes)
            assert await until(lambda: both.drone.gps_fix is not None and both.drone.gps_fix.value >= 3, READY_WITHIN_S)
            assert not both.drone.ready()
            with both.link.subscribe(("COMMAND_ACK", "STATUSTEXT"), mine) as heard:
                both.link.send(long(mine, ARM, 1.0))
                order = []
                while (m := await heard.get(0.5)) is not None and len(order) < 6:
                    order.append(m)
            kinds = [m.get_type() for m in order if m.get_type() == "COMMAND_ACK" or "Arm: " in m.text]
            assert kinds[:2] == ["COMMAND_ACK", "STATUSTEXT"], [str(m) for m in order]
            assert next(m for m in order if m.get_type() == "COMMAND_ACK").result == mavlink.MAV_RESULT_FAILED
            assert await until(both.drone.ready, READY_WITHIN_S)
            assert await until(both.drone.prearm_ok, READY_WITHIN_S)
            outcome = await command(both.link, both.drone, mine, ARM, (1.0,), "arm")
            assert outcome.done, outcome

    asyncio.run(scenario())


def test_a_mission_comes_back_as_it_went_up(vehicle: Any, listening: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            mine = both.drone.heartbeat.value.get_srcSystem()
            items = (
                HOME_ITEM, waypoint(1, command=22), MissionItem(2, 0, 178, 1.0, 7.5, -1.0), waypoint(3, height_m=33.333),
                waypoint(4, command=19, p1=7.0, p3=1.0), waypoint(5), MissionItem(6, 0, 20),
            )
            sent = await upload(both.link, items, Target(mine))
            assert sent.done and sent.confirmed, sent
            back = await download(both.link, Target(mine))
            assert back.done and len(back.items) == 7
            assert differences(items, back.items) == ()
            speed = back.items[2]
            assert (speed.frame, speed.lat_e7, speed.lon_e7) == (0, 0, 0)
            assert (await ask_for_messages(both.link, both.drone, mine)).done
            assert await until(lambda: both.drone.mission_total is not None, 5.0)
            assert both.drone.mission_total.value == 6, "the total leaves home out"

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (waypoint(2, frame=9), "MAV_MISSION_UNSUPPORTED_FRAME"),
        (waypoint(2, command=15000), "MAV_MISSION_UNSUPPORTED"),
        (waypoint(2, lat_e7=990_000_000), "MAV_MISSION_INVALID_PARAM5_X"),
        (waypoint(2, height_m=float("nan")), "MAV_MISSION_INVALID_PARAM7"),
        (waypoint(2, height_m=1e6), "MAV_MISSION_INVALID_PARAM7"),
    ],
    ids=["frame", "command", "latitude", "height that is none", "huge height"],
)
def test_an_item_that_cannot_be_flown_is_refused_and_leaves_old_and_new_items_mixed(
    vehicle: Any, listening: Callable[..., Any], bad: MissionItem, reason: str
) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            mine = both.drone.heartbeat.value.get_srcSystem()
            old = (HOME_ITEM, waypoint(1), waypoint(2), waypoint(3), MissionItem(4, 0, 20))
            assert (await upload(both.link, old, Target(mine))).done
            new = (HOME_ITEM, waypoint(1, height_m=99.0), bad, waypoint(3))
            refused = await upload(both.link, new, Target(mine))
            assert not refused.done
            assert refused.sentence == f"the drone refused the mission at item 2: {reason}"
            back = await download(both.link, Target(mine))
            assert differences((HOME_ITEM, new[1], old[2], old[3]), back.items) == ()
            assert await clear(both.link, Target(mine))
            assert len((await download(both.link, Target(mine))).items) <= 1

    asyncio.run(scenario())


def test_too_many_items_are_no_space_and_an_upload_left_alone_is_cancelled(
    vehicle: Any, listening: Callable[..., Any]
) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, mine = both.link, both.drone.heartbeat.value.get_srcSystem()
            old = (HOME_ITEM, waypoint(1), MissionItem(2, 0, 20))
            assert (await upload(link, old, Target(mine))).done
            answer = await one_answer(link, mavlink.MAVLink_mission_count_message(mine, 1, 2000, 0), ("MISSION_ACK",))
            assert answer.type == mavlink.MAV_MISSION_NO_SPACE
            with link.subscribe(("MISSION_REQUEST", "MISSION_REQUEST_INT", "MISSION_ACK"), mine) as heard:
                link.send(mavlink.MAVLink_mission_count_message(mine, 1, 3, 0))
                answers = []
                while (m := await heard.get(3.0)) is not None:
                    answers.append(m)
                    if m.get_type() == "MISSION_ACK":
                        break
            assert answers[0].get_type() == "MISSION_REQUEST", "the old request is what an ArduPilot sends"
            assert answers[-1].get_type() == "MISSION_ACK"
            assert answers[-1].type == mavlink.MAV_MISSION_OPERATION_CANCELLED
            assert 4 <= len(answers) <= 12, "asked again each second, for eight"
            back = await download(link, Target(mine))
            assert differences(old, back.items) == ()

    asyncio.run(scenario())


def test_an_upload_belongs_to_its_station_and_outlives_its_link(vehicle: Any, listening: Callable[..., Any]) -> None:
    async def scenario() -> None:
        other = Link(f"tcp:127.0.0.1:{vehicle.second_port}", WallClock(), speaker=Speaker(254, 190, 6), heartbeat_s=0.05)
        others = asyncio.create_task(other.run())
        async with listening(vehicle.connection) as both:
            assert await until(lambda: other.connected, 5.0)
            mine = both.drone.heartbeat.value.get_srcSystem()
            assert (await upload(both.link, (HOME_ITEM, waypoint(1), waypoint(2)), Target(mine))).done
            count = mavlink.MAVLink_mission_count_message(mine, 1, 3, 0)
            begun = await one_answer(both.link, count, ("MISSION_REQUEST", "MISSION_ACK"))
            assert begun.get_type() == "MISSION_REQUEST"
        denied = await one_answer(other, mavlink.MAVLink_mission_count_message(mine, 1, 3, 0), ("MISSION_ACK",))
        assert denied.type == mavlink.MAV_MISSION_DENIED, "another station is uploading, though its link is gone"
        async with listening(vehicle.connection) as both:
            again = await upload(both.link, (HOME_ITEM, waypoint(1), waypoint(2)), Target(mine))
            assert again.done and again.confirmed, again
        others.cancel()
        await asyncio.gather(others, return_exceptions=True)

    asyncio.run(scenario())


def test_an_item_beyond_the_end_is_answered_with_the_count(vehicle: Any, listening: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, mine = both.link, both.drone.heartbeat.value.get_srcSystem()
            assert (await upload(link, (HOME_ITEM, waypoint(1), waypoint(2)), Target(mine))).done
            with link.subscribe(("MISSION_COUNT", "MISSION_ACK"), mine) as heard:
                link.send(mavlink.MAVLink_mission_request_int_message(mine, 1, 7, 0))
                first, second = await heard.get(2.0), await heard.get(2.0)
            assert (first.get_type(), first.count) == ("MISSION_COUNT", 3)
            assert (second.get_type(), second.type) == ("MISSION_ACK", mavlink.MAV_MISSION_INVALID_SEQUENCE)

    asyncio.run(scenario())


def test_what_may_not_be_done_in_the_air_or_on_the_ground_fails(vehicle: Any, listening: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, drone = both.link, both.drone
            mine = await ready(link, drone)
            early = await one_answer(link, long(mine, TAKE_OFF, 0, 0, 0, 0, 0, 0, 10.0), ("COMMAND_ACK",))
            assert early.result == mavlink.MAV_RESULT_FAILED, "a take-off while disarmed"
            mine = await in_the_air(link, drone)
            for message in (
                long(mine, ARM, 0.0),                           # disarm, not forced
                long(mine, TAKE_OFF, 0, 0, 0, 0, 0, 0, 40.0),
                long(mine, 246, 1.0),                           # reboot
            ):
                answer = await one_answer(link, message, ("COMMAND_ACK",))
                assert answer.result == mavlink.MAV_RESULT_FAILED, str(message)
            again = await one_answer(link, long(mine, ARM, 1.0), ("COMMAND_ACK",))
            assert again.result == mavlink.MAV_RESULT_ACCEPTED, "re-arming an armed drone"
            assert drone.armed() and drone.airborne()
            assert (await set_mode(link, drone, mine, "LAND")).done
            assert await until(lambda: not drone.armed(), 30.0)
            assert not drone.airborne()

    asyncio.run(scenario())


def test_armed_and_left_alone_it_disarms_after_ten_seconds(vehicle: Any, listening: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, drone = both.link, both.drone
            mine = await ready(link, drone)
            assert (await set_mode(link, drone, mine, "GUIDED")).done
            began_ms = drone.boot_ms.value
            assert (await command(link, drone, mine, ARM, (1.0,), "arm")).done
            assert await until(drone.armed, 3.0)
            assert await until(lambda: not drone.armed(), 30.0)
            assert (drone.boot_ms.value - began_ms) / 1e3 == pytest.approx(10.0, abs=5.0), "by its own time"

    asyncio.run(scenario())


def test_without_the_station_s_heartbeat_it_goes_home(vehicle: Any, listening: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, drone = both.link, both.drone
            mine = await in_the_air(link, drone)
            assert (await write_parameter(link, drone, mine, "FS_GCS_ENABLE", 1.0)).done
            assert drone.mode() == "GUIDED"
            began_ms = drone.boot_ms.value
            link._heartbeat_s = 1e6         # the owner's loop goes on; only the heartbeat stops
            assert await until(lambda: drone.mode() == "RTL", 30.0)
            assert (drone.boot_ms.value - began_ms) / 1e3 > 3.5, "by its own time"

    asyncio.run(scenario())


def test_without_satellites_it_lands_and_takes_no_auto(vehicle: Any, listening: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, drone = both.link, both.drone
            mine = await in_the_air(link, drone)
            began_ms = drone.boot_ms.value
            assert (await write_parameter(link, drone, mine, "SIM_GPS1_ENABLE", 0.0)).done
            assert await until(lambda: drone.mode() == "LAND", 30.0)
            assert (drone.boot_ms.value - began_ms) / 1e3 == pytest.approx(8.0, abs=4.5), "by its own time"
            refused = await command(link, drone, mine, SET_MODE, (1.0, 6.0), "mode RTL")
            assert not refused.done and "failed" in refused.sentence, refused
            # It goes on telling the last place that it had, and how high it is: which is what is known of it.
            assert await until(lambda: drone.position is not None and drone.age_s(drone.position) > 2.0, 30.0)
            high_m, place = drone.height_m.value, drone.position.value
            with link.subscribe(("GLOBAL_POSITION_INT",), mine) as heard:
                told = await heard.get(5.0)
            assert (told.lat, told.lon) == pytest.approx((place.lat_deg * 1e7, place.lon_deg * 1e7), abs=300)
            assert await until(lambda: drone.height_m.value < high_m - 3.0, 60.0), "its height goes on"
            assert drone.position.value == place

    asyncio.run(scenario())


def test_a_reboot_forgets_what_was_asked_for_and_keeps_the_mission(vehicle: Any, listening: Callable[..., Any]) -> None:
    async def scenario() -> None:
        async with listening(vehicle.connection) as both:
            link, drone = both.link, both.drone
            mine = drone.heartbeat.value.get_srcSystem()
            before = await identify(link, drone, mine)
            assert (await ask_for_messages(link, drone, mine)).done
            items = (HOME_ITEM, waypoint(1), MissionItem(2, 0, 20))
            assert (await upload(link, items, Target(mine))).done
            assert await until(lambda: drone.position is not None or drone.gps_fix is not None, 20.0)
            connections = link.counts.connections
            assert (await command(link, drone, mine, 246, (1.0,), "reboot")).done
            assert await until(lambda: link.counts.connections > connections, 15.0)
            drone.heartbeat = None
            assert await until(lambda: drone.heartbeat is not None, 15.0)
            assert "GLOBAL_POSITION_INT" not in await heard_types(link, 1.5)
            assert await identify(link, drone, mine) == before
            back = await download(link, Target(mine))
            assert differences(items, back.items) == ()

    asyncio.run(scenario())


def test_a_patrol_is_flown_from_upload_to_landing(vehicle: Any, listening: Callable[..., Any], sector: Sector) -> None:
    async def scenario() -> None:
        said: list[Any] = []
        async with listening(vehicle.connection) as both:
            link, drone = both.link, both.drone
            await ready(link, drone)
            assert drone.identity is not None
            # Its five seconds without a heartbeat are half a second of this machine, which others want as well.
            assert (await write_parameter(link, drone, drone.identity.system_id, "FS_GCS_TIMEOUT", 60.0)).done
            wish = PatrolWish("drone-1", "khe-da", HOME, 25.0, 9.0, reach_m=200.0)
            plan = plan_patrol(wish, sector, drone.identity, "p", 0)
            terms = SortieTerms(Realm.TRAINING, CheckLimits(1200.0), 30.0)
            sortie = Sortie(plan, "t", link, drone, sector, terms, WallClock(), said.append)
            track = asyncio.create_task(_track(drone, said))
            flown = await sortie.fly()
            track.cancel()
            states = [s for s in said if isinstance(s, TaskState)]
            assert flown, [s.sentence for s in states]
            assert [s.phase for s in states] == [
                TaskPhase.CREATED, TaskPhase.SENT, TaskPhase.RECEIVED, TaskPhase.ACCEPTED, TaskPhase.EXECUTING,
                TaskPhase.DONE,
            ]
            assert drone.reached == {2, 3, 4, 5, 6}, "the take-off is swallowed by the speed change right after it"
            places = [s for s in said if isinstance(s, GroundPosition)]
            distances = sector.border.signed_distance_m([sector.frame.point(p) for p in places])
            assert distances.min() > sector.border_buffer_m
            far = min(p.lon_deg for p in places)
            assert HOME.lon_deg - far == pytest.approx(200.0 / 106_600.0, abs=20.0 / 106_600.0)

    asyncio.run(scenario())


async def _track(drone: Drone, places: list[Any]) -> None:
    while True:
        if drone.position is not None and drone.airborne():
            places.append(GroundPosition(drone.position.value.lat_deg, drone.position.value.lon_deg))
        await asyncio.sleep(0.05)
