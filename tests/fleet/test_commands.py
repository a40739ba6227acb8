"""A command is done when the drone's own word says so; the vehicle is scripted, and its line a real socket."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.commands import Outcome, set_mode
from mavlink.ardupilot import MODE_NUMBERS

AUTO, RTL, LOITER = MODE_NUMBERS["AUTO"], MODE_NUMBERS["RTL"], MODE_NUMBERS["LOITER"]


def heartbeat(mode: int) -> Any:
    return mavlink.MAVLink_heartbeat_message(mavlink.MAV_TYPE_QUADROTOR, mavlink.MAV_AUTOPILOT_ARDUPILOTMEGA, 1, mode, 4, 3)


async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, modes: tuple[int, ...]) -> None:
    """It loiters, accepts whatever mode it is ordered, and tells `modes` with that word, in one breath."""
    mine = mavlink.MAVLink(None, 1, 1)
    theirs = mavlink.MAVLink(None)
    writer.write(heartbeat(LOITER).pack(mine))
    while data := await reader.read(4096):
        for m in theirs.parse_buffer(data) or ():
            if m.get_type() == "COMMAND_LONG" and m.command == mavlink.MAV_CMD_DO_SET_MODE:
                accepted = mavlink.MAVLink_command_ack_message(m.command, mavlink.MAV_RESULT_ACCEPTED)
                writer.write(b"".join(each.pack(mine) for each in (accepted, *map(heartbeat, modes))))


def ordered_to_auto(listening: Callable[..., Any], *modes: int) -> Outcome:
    async def play() -> Outcome:
        server = await asyncio.start_server(lambda r, w: answers(r, w, modes), "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with listening(f"tcp:127.0.0.1:{port}") as both:
            outcome = await set_mode(both.link, both.drone, 1, "AUTO")
            assert both.drone.mode() == "RTL"
        server.close()
        return outcome

    return asyncio.run(play())


def test_a_mode_that_a_failsafe_ends_at_once_was_reached(listening: Callable[..., Any]) -> None:
    outcome = ordered_to_auto(listening, AUTO, RTL)
    assert outcome.done, outcome.sentence


def test_a_mode_that_was_accepted_and_never_shown_was_not_reached(listening: Callable[..., Any]) -> None:
    outcome = ordered_to_auto(listening, LOITER, RTL)
    assert not outcome.done and outcome.key == "command.other_mode" and outcome.params["now"] == "RTL"
