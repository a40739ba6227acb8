"""The simulated autopilot as a process: signing as ArduPilot has it. On a real one these are in the conformance suite."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.commands import identify, until
from fleet.signing_setup import give_key
from mavlink.link import Link
from mavlink.signing import Signer, SigningTime
from wire.clock import WallClock

KEY = bytes(range(32))


def test_a_second_key_replaces_the_first_and_zeros_switch_signing_off(
    start_autopilot: Callable[..., Any], listening: Callable[..., Any]
) -> None:
    async def scenario() -> None:
        autopilot = start_autopilot()
        clock = WallClock()
        for key in (KEY, bytes(32 * [9])):
            given = await give_key(autopilot.connection(0), 1, key, SigningTime(clock, None), clock)
            assert given.done, given
        async with listening(autopilot.connection(0)) as both:
            both.link.send(mavlink.MAVLink_setup_signing_message(1, 1, [0] * 32, 0))
        async with listening(autopilot.connection(1)) as both:
            assert await identify(both.link, both.drone, 1) is not None, "it listens to what is unsigned again"

    asyncio.run(scenario())


def test_a_drone_with_a_key_does_not_hear_a_stranger_and_after_a_reboot_still_knows_it(
    start_autopilot: Callable[..., Any], listening: Callable[..., Any]
) -> None:
    async def scenario() -> None:
        autopilot = start_autopilot()
        clock = WallClock()
        time = SigningTime(clock, None)
        assert (await give_key(autopilot.connection(0), 1, KEY, time, clock)).done
        async with listening(autopilot.connection(1)) as both:
            assert await identify(both.link, both.drone, 1) is None, "unsigned on its second port"
        signed = Link(autopilot.connection(1), clock, heartbeat_s=0.05, signers={1: Signer(KEY, time)}, link_id=1)
        owner = asyncio.create_task(signed.run())
        async with listening(autopilot.connection(0)) as both:
            assert await until(lambda: signed.heard_age_of_s(1) < 1.0, 10.0)
            assert await identify(signed, both.drone, 1) is not None
            connections = signed.counts.connections
            signed.send(mavlink.MAVLink_command_long_message(1, 1, 246, 0, 1, 0, 0, 0, 0, 0, 0))
            assert await until(lambda: signed.counts.connections > connections, 20.0)
            assert await until(lambda: signed.heard_age_of_s(1) < 0.5, 20.0)
            assert await identify(signed, both.drone, 1) is not None
        owner.cancel()
        await asyncio.gather(owner, return_exceptions=True)

    asyncio.run(scenario())


def test_an_armed_drone_takes_no_key(start_autopilot: Callable[..., Any], listening: Callable[..., Any]) -> None:
    async def scenario() -> None:
        autopilot = start_autopilot(speedup=1.0, parameters="DISARM_DELAY = 0.0")
        clock = WallClock()
        async with listening(autopilot.connection(1)) as both:
            both.link.send(mavlink.MAVLink_command_long_message(1, 1, 400, 0, 1, 21196, 0, 0, 0, 0, 0))
            assert await until(both.drone.armed, 10.0)
            given = await give_key(autopilot.connection(0), 1, KEY, SigningTime(clock, None), clock)
            assert not given.done and "is armed" in given.sentence
            both.link.send(mavlink.MAVLink_setup_signing_message(1, 1, list(KEY), 5))
            assert await until(lambda: any("when armed" in t for t in both.drone.texts_since(0)), 10.0)

    asyncio.run(scenario())
