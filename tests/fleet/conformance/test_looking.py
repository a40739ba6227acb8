"""What looking at somebody relies on: places in GUIDED, the mount on a place, stopping, and a mission that goes on."""

from __future__ import annotations

import asyncio
import functools
import math
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.commands import command, set_mode, until
from fleet.drone import Drone
from fleet.mission import MISSION, MissionItem
from fleet.transfer import Target, upload
from mavlink.link import Link
from tests.fleet.conformance.asking import HOME_ITEM, boot_s, in_the_air, long, one_answer, waypoint

pytestmark = pytest.mark.slow

HOME = (16.62225, 106.60230)

PLACE_AND_YAW = 0b100111111000
PLACE_ALONE = 0b110111111000
METRES_A_DEGREE = 111_195.0


def flown(test: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    @functools.wraps(test)
    def run(*arguments: Any, **named: Any) -> None:
        asyncio.run(test(*arguments, **named))

    return run


def at(north_m: float, east_m: float) -> tuple[int, int]:
    lat = HOME[0] + north_m / METRES_A_DEGREE
    lon = HOME[1] + east_m / (METRES_A_DEGREE * math.cos(math.radians(HOME[0])))
    return round(lat * 1e7), round(lon * 1e7)


def offset_m(drone: Drone) -> tuple[float, float]:
    """North and east of home."""
    assert drone.position is not None
    p = drone.position.value
    return (
        (p.lat_deg - HOME[0]) * METRES_A_DEGREE,
        (p.lon_deg - HOME[1]) * METRES_A_DEGREE * math.cos(math.radians(HOME[0])),
    )


def go_to(system_id: int, north_m: float, east_m: float, height_m: float, yaw_deg: float, mask: int = PLACE_AND_YAW) -> Any:
    return mavlink.MAVLink_set_position_target_global_int_message(
        0, system_id, 1, 6, mask, *at(north_m, east_m), height_m, 0, 0, 0, 0, 0, 0, math.radians(yaw_deg), 0
    )


def look_at(system_id: int, north_m: float, east_m: float, height_m: float = 0.0) -> Any:
    return mavlink.MAVLink_command_int_message(
        system_id, 1, 3, mavlink.MAV_CMD_DO_SET_ROI_LOCATION, 0, 0, 0, 0, 0, 0, *at(north_m, east_m), height_m
    )


def heading(drone: Drone) -> float:
    assert drone.heading_deg is not None
    return drone.heading_deg.value


def away_deg(a: float, b: float) -> float:
    return abs((a - b + 180.0) % 360.0 - 180.0)


def is_at(drone: Drone, north_m: float, east_m: float, within_m: float = 3.0) -> bool:
    north, east = offset_m(drone)
    return math.hypot(north - north_m, east - east_m) < within_m


@flown
async def test_it_flies_to_a_place_and_looks_where_it_is_told(vehicle: Any, listening: Callable[..., Any]) -> None:
    async with listening(vehicle.connection) as both:
        link, drone = both.link, both.drone
        system_id = await in_the_air(link, drone)
        # A heartbeat is to be had when it is asked for.
        answer = await one_answer(link, long(system_id, 512, float(mavlink.MAVLINK_MSG_ID_HEARTBEAT)), ("COMMAND_ACK",))
        assert answer is not None and (answer.command, answer.result) == (512, 0)
        link.send(go_to(system_id, 40.0, 0.0, 25.0, 90.0))
        assert await until(lambda: is_at(drone, 40.0, 0.0) and abs(drone.height_m.value - 25.0) < 1.0, 15.0), offset_m(drone)
        assert await until(lambda: away_deg(heading(drone), 90.0) < 5.0, 5.0), heading(drone)
        # A place that moves on before it is reached, as that of somebody who walks.
        for step in range(12):
            link.send(go_to(system_id, 40.0, 3.0 * step, 25.0, 180.0))
            await asyncio.sleep(1.5 / vehicle.rate)
        assert await until(lambda: is_at(drone, 40.0, 33.0), 10.0), offset_m(drone)
        assert away_deg(heading(drone), 180.0) < 8.0
        # Without a yaw the one before is forgotten: it turns to where it goes.
        link.send(go_to(system_id, 0.0, 33.0, 25.0, 0.0, PLACE_ALONE))
        assert await until(lambda: is_at(drone, 0.0, 33.0), 15.0), offset_m(drone)


@flown
async def test_a_place_is_not_flown_to_in_another_mode(vehicle: Any, listening: Callable[..., Any]) -> None:
    async with listening(vehicle.connection) as both:
        link, drone = both.link, both.drone
        system_id = await in_the_air(link, drone)
        assert (await set_mode(link, drone, system_id, "BRAKE")).done
        link.send(go_to(system_id, 60.0, 0.0, 25.0, 0.0))
        await asyncio.sleep(6.0 / vehicle.rate)
        assert is_at(drone, 0.0, 0.0, 5.0) and drone.mode() == "BRAKE"
        # And back in GUIDED it has no place to go to.
        assert (await set_mode(link, drone, system_id, "GUIDED")).done
        await asyncio.sleep(4.0 / vehicle.rate)
        assert is_at(drone, 0.0, 0.0, 5.0)


@flown
async def test_the_mount_follows_a_place_while_the_drone_moves_and_is_let_go(
    vehicle: Any, listening: Callable[..., Any]
) -> None:
    async with listening(vehicle.connection) as both:
        link, drone = both.link, both.drone
        system_id = await in_the_air(link, drone, 30.0)
        answer = await one_answer(link, look_at(system_id, 50.0, 0.0), ("COMMAND_ACK",))
        assert answer is not None and (answer.command, answer.result) == (195, 0)
        expected = math.degrees(math.atan2(-30.0, 50.0))

        def looks(pitch_deg: float, yaw_deg: float) -> bool:
            now = drone.fresh(drone.gimbal_deg)
            return now is not None and abs(now[0] - pitch_deg) < 4.0 and away_deg(now[1], yaw_deg) < 5.0

        assert await until(lambda: looks(expected, 0.0), 5.0), (drone.gimbal_deg, expected)
        link.send(go_to(system_id, 50.0, 50.0, 30.0, 45.0))
        assert await until(lambda: is_at(drone, 50.0, 50.0), 20.0), offset_m(drone)
        assert await until(lambda: looks(expected, 270.0), 5.0), (drone.gimbal_deg, expected)
        assert away_deg(heading(drone), 45.0) < 8.0, "a mount that pans leaves the drone's own yaw alone"
        answer = await one_answer(link, long(system_id, mavlink.MAV_CMD_DO_SET_ROI_NONE), ("COMMAND_ACK",))
        assert answer is not None and (answer.command, answer.result) == (197, 0)
        assert await until(lambda: not looks(expected, 270.0), 5.0)


@flown
async def test_the_gimbal_manager_takes_both_angles_and_not_one(vehicle: Any, listening: Callable[..., Any]) -> None:
    async with listening(vehicle.connection) as both:
        link, drone = both.link, both.drone
        system_id = await in_the_air(link, drone, 20.0)
        both_angles = long(system_id, mavlink.MAV_CMD_DO_GIMBAL_MANAGER_PITCHYAW, -45.0, 30.0, math.nan, math.nan)
        answer = await one_answer(link, both_angles, ("COMMAND_ACK",))
        assert answer is not None and (answer.command, answer.result) == (1000, 0)
        ahead = heading(drone)
        assert await until(
            lambda: (now := drone.fresh(drone.gimbal_deg)) is not None and abs(now[0] + 45.0) < 3.0
            and away_deg(now[1], ahead + 30.0) < 6.0, 5.0,
        ), drone.gimbal_deg
        one = long(system_id, mavlink.MAV_CMD_DO_GIMBAL_MANAGER_PITCHYAW, -45.0, math.nan, math.nan, math.nan)
        answer = await one_answer(link, one, ("COMMAND_ACK",))
        assert answer is not None and (answer.command, answer.result) == (1000, 4)


async def flying_a_mission(link: Link, drone: Drone) -> int:
    """In AUTO, on the long way to the second of three places."""
    system_id = await in_the_air(link, drone, 20.0)
    lat, lon = at(20.0, 0.0)
    far_lat, far_lon = at(20.0, -400.0)
    items = (
        HOME_ITEM, MissionItem(1, 3, 22, height_m=20.0), MissionItem(2, 0, 178, p1=1.0, p2=6.0, p3=-1.0),
        waypoint(3, lat_e7=lat, lon_e7=lon, height_m=25.0), waypoint(4, lat_e7=far_lat, lon_e7=far_lon, height_m=25.0),
        waypoint(5, lat_e7=lat, lon_e7=lon, height_m=25.0),
    )
    end = await upload(link, items, Target(system_id, 1, MISSION))
    assert end.done, end
    # As a plan that is taken up in the air: the take-off is left out, and the speed before the first place is not.
    outcome = await command(link, drone, system_id, mavlink.MAV_CMD_DO_SET_MISSION_CURRENT, (2.0,), "after the take-off")
    assert outcome.done, outcome
    assert (await set_mode(link, drone, system_id, "AUTO")).done
    assert await until(lambda: drone.mission_item is not None and drone.mission_item.value == 4, 30.0), drone.mission_item
    return system_id


@flown
async def test_a_mission_taken_up_in_the_air_flies_at_its_speed(vehicle: Any, listening: Callable[..., Any]) -> None:
    async with listening(vehicle.connection) as both:
        link, drone = both.link, both.drone
        await flying_a_mission(link, drone)
        assert await until(lambda: offset_m(drone)[1] < -60.0, 30.0)
        assert drone.ground_speed_m_s is not None and abs(drone.ground_speed_m_s.value - 6.0) < 1.0
        assert abs(drone.height_m.value - 25.0) < 2.0


@flown
async def test_a_mission_goes_on_where_it_was_after_a_stop_and_after_guided(
    vehicle: Any, listening: Callable[..., Any]
) -> None:
    async with listening(vehicle.connection) as both:
        link, drone = both.link, both.drone
        system_id = await flying_a_mission(link, drone)
        assert await until(lambda: offset_m(drone)[1] < -60.0, 30.0)
        for mode in ("BRAKE", "GUIDED"):
            assert (await set_mode(link, drone, system_id, mode)).done
            assert await until(lambda: drone.ground_speed_m_s.value < 0.5, 10.0)
            north, east = offset_m(drone)
            begun_s = boot_s(drone)
            assert await until(lambda begun_s=begun_s: boot_s(drone) > begun_s + 5.0, 10.0)
            assert is_at(drone, north, east, 3.0), "it stays where it stopped"
            if mode == "GUIDED":
                link.send(go_to(system_id, 60.0, east, 30.0, 0.0))
                assert await until(lambda east=east: is_at(drone, 60.0, east), 20.0)
            assert (await set_mode(link, drone, system_id, "AUTO")).done
            assert await until(lambda east=east: offset_m(drone)[1] < east - 60.0, 20.0), offset_m(drone)
            assert drone.mission_item is not None and drone.mission_item.value == 4
            assert drone.ground_speed_m_s.value > 8.0, "the speed that the mission had set is forgotten"
            assert (await command(link, drone, system_id, 178, (1.0, 6.0, -1.0), "6 m/s")).done
            assert await until(lambda: abs(drone.ground_speed_m_s.value - 6.0) < 0.7, 10.0), "and is set anew"


@flown
async def test_a_speed_ordered_in_guided_holds_from_the_first_place_on(vehicle: Any, listening: Callable[..., Any]) -> None:
    async with listening(vehicle.connection) as both:
        link, drone = both.link, both.drone
        system_id = await in_the_air(link, drone, 25.0)
        assert (await command(link, drone, system_id, 178, (1.0, 4.0, -1.0), "4 m/s")).done
        link.send(go_to(system_id, 0.0, -300.0, 25.0, 270.0))
        assert await until(lambda: drone.ground_speed_m_s.value > 7.0, 15.0), "before a place it is forgotten"
        assert (await command(link, drone, system_id, 178, (1.0, 4.0, -1.0), "4 m/s")).done
        assert await until(lambda: drone.ground_speed_m_s.value < 4.6, 15.0)
        for east in (-310.0, -320.0, -330.0):
            link.send(go_to(system_id, 0.0, east, 25.0, 270.0))
            await asyncio.sleep(2.0 / vehicle.rate)
            assert drone.ground_speed_m_s.value < 5.0, "and kept for the places that follow"
        assert not (await command(link, drone, system_id, 178, (1.0, -1.0, -1.0), "no speed")).done
