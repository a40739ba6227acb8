"""One command to a drone, until it says that it has done it, or until it is known that it has not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.dispatch_words import Said, plain, said
from fleet.drone import Drone
from mavlink.ardupilot import (
    Identity,
    hardware_id,
    version_text,
)
from mavlink.link import MessageLink

TRIES = 4
ACKNOWLEDGE_S = 1.5             # MAVLink command protocol: resend a COMMAND_LONG that was not acknowledged
PROGRESS_S = 20.0               # longer, once the drone has said that it is at work
REASON_S = 0.4                  # ArduPilot's text with the reason comes after the acknowledgement
WORD_S = 4.0                    # until the drone's own state shows what it has accepted
PARAMETER_S = 1.0
SILENT_TRIES = 4                # questions without an answer before a parameter counts as absent

IN_PROGRESS = int(mavlink.MAV_RESULT_IN_PROGRESS)
ACCEPTED = int(mavlink.MAV_RESULT_ACCEPTED)
AUTOPILOT = int(mavlink.MAV_COMP_ID_AUTOPILOT1)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Whether it was done, and the sentence for a person: the drone's own reason when it refused.

    key, params: where it is one of the fleet's own sentences, for those who read another language.
    """

    done: bool
    sentence: str
    key: str = ""
    params: dict[str, str | float | int] = field(default_factory=dict)

    @staticmethod
    def of(done: bool, what: Said) -> Outcome:
        return Outcome(done, what.sentence, what.key, what.params)

    @property
    def said(self) -> Said:
        return Said(self.sentence, self.key, self.params)


async def command(
    link: MessageLink, drone: Drone, system_id: int, number: int, parameters: Sequence[float], what: str | Said
) -> Outcome:
    """Send a COMMAND_LONG and wait for its acknowledgement; again when none comes, longer while it is in progress."""
    named = plain(what) if isinstance(what, str) else what
    loop = asyncio.get_running_loop()
    seven = (*parameters, *[0.0] * 7)[:7]
    with link.subscribe(("COMMAND_ACK", "STATUSTEXT"), system_id) as heard:
        reasons = []
        for attempt in range(TRIES):
            link.send(mavlink.MAVLink_command_long_message(system_id, AUTOPILOT, number, attempt, *seven))
            until_s = loop.time() + ACKNOWLEDGE_S
            while (left_s := until_s - loop.time()) > 0:
                answer = await heard.get(left_s)
                if answer is None:
                    continue
                if answer.get_type() == "STATUSTEXT":
                    reasons.append(answer.text.rstrip("\0"))   # mostly they come after the answer, and some before it
                elif answer.command != number:
                    continue
                elif answer.result == IN_PROGRESS:
                    until_s = loop.time() + PROGRESS_S
                elif answer.result == ACCEPTED:
                    return Outcome.of(True, said("command.accepted", drone=drone.name, what=named))
                else:
                    while (text := await heard.get(REASON_S)) is not None:
                        if text.get_type() == "STATUSTEXT":
                            reasons.append(text.text.rstrip("\0"))
                    name = mavlink.enums["MAV_RESULT"][answer.result].name.removeprefix("MAV_RESULT_").lower()
                    why = "; ".join(reasons[-3:])
                    key = "command.refused_why" if why else "command.refused"
                    told = {"drone": drone.name, "result": name, **({"why": why} if why else {})}
                    return Outcome.of(False, said(key, what=named, **told))
    return Outcome.of(False, said("command.silent", drone=drone.name, what=named, tries=TRIES))


async def until(holds: Callable[[], bool], timeout_s: float) -> bool:
    """Wait until the drone's own state shows something."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + timeout_s
    while not holds():
        if loop.time() >= until_s:
            return False
        await asyncio.sleep(0.05)
    return True


def ask_for_heartbeat(link: MessageLink, system_id: int) -> None:
    """Now, and not within a second: it says mode and arming. Who does not know the question sends its own in its time."""
    request = float(mavlink.MAVLINK_MSG_ID_HEARTBEAT)
    link.send(mavlink.MAVLink_command_long_message(
        system_id, AUTOPILOT, mavlink.MAV_CMD_REQUEST_MESSAGE, 0, request, 0, 0, 0, 0, 0, 0
    ))


async def set_mode(link: MessageLink, drone: Drone, system_id: int, mode: str) -> Outcome:
    """Change the mode; done when a heartbeat of the drone says so, also where a failsafe's mode follows at once."""
    parameters = drone.quirks.mode_parameters(mode)
    if parameters is None:
        none = said("command.no_mode", drone=drone.name, mode=mode, kind=drone.quirks.name)
        return Outcome.of(False, none)
    what = said("command.what.mode", mode=mode)
    before = drone.heartbeats
    outcome = await command(link, drone, system_id, mavlink.MAV_CMD_DO_SET_MODE, parameters, what)
    if outcome.done:
        ask_for_heartbeat(link, system_id)
    if outcome.done and not await until(lambda: drone.was_in(mode, before), WORD_S):
        return Outcome.of(False, said("command.other_mode", drone=drone.name, mode=mode, now=drone.mode()))
    return outcome


async def read_parameter(
    link: MessageLink, system_id: int, names: Sequence[str], tries: int = SILENT_TRIES
) -> tuple[str, float] | None:
    """The first of `names` that the drone knows; None when it keeps silent about all of them."""
    with link.subscribe(("PARAM_VALUE",), system_id) as heard:
        for _ in range(tries):
            for name in names:
                link.send(mavlink.MAVLink_param_request_read_message(system_id, AUTOPILOT, name.encode("ascii"), -1))
            while (answer := await heard.get(PARAMETER_S)) is not None:
                if answer.param_id in names:
                    return str(answer.param_id), float(answer.param_value)
    return None


async def write_parameter(link: MessageLink, drone: Drone, system_id: int, name: str, value: float) -> Outcome:
    """Set a parameter; done when the drone repeats the value."""
    with link.subscribe(("PARAM_VALUE",), system_id) as heard:
        for _ in range(TRIES):
            link.send(
                mavlink.MAVLink_param_set_message(
                    system_id, AUTOPILOT, name.encode("ascii"), value, mavlink.MAV_PARAM_TYPE_REAL32
                )
            )
            while (answer := await heard.get(PARAMETER_S)) is not None:
                if answer.param_id == name and abs(answer.param_value - value) <= 1e-5 * max(1.0, abs(value)):
                    return Outcome.of(True, said("command.is_set", drone=drone.name, name=name, value=f"{value:g}"))
    return Outcome.of(False, said("command.not_set", drone=drone.name, name=name, value=f"{value:g}"))


async def identify(link: MessageLink, drone: Drone, system_id: int) -> Identity | None:
    """Who answers as system_id, and whether it is a simulated one; None when it does not say."""
    with link.subscribe(("AUTOPILOT_VERSION",), system_id) as heard:
        version = None
        for ask in (mavlink.MAV_CMD_REQUEST_MESSAGE, mavlink.MAV_CMD_REQUEST_AUTOPILOT_CAPABILITIES) * 2:
            first = float(mavlink.MAVLINK_MSG_ID_AUTOPILOT_VERSION) if ask == mavlink.MAV_CMD_REQUEST_MESSAGE else 1.0
            link.send(mavlink.MAVLink_command_long_message(system_id, AUTOPILOT, ask, 0, first, 0, 0, 0, 0, 0, 0))
            version = await heard.get(ACKNOWLEDGE_S)
            if version is not None:
                break
    if version is None:
        return None
    simulated = await read_parameter(link, system_id, drone.quirks.simulation_parameters) is not None
    return Identity(
        system_id, hardware_id(version.uid2, version.uid), version_text(version.flight_sw_version), simulated
    )


async def ask_for_messages(link: MessageLink, drone: Drone, system_id: int) -> Outcome:
    """Ask for everything that is needed, at its rate. A message that this autopilot does not have is no error."""
    missing = []
    for message_id, rate_hz in drone.quirks.message_rates_hz.items():
        outcome = await command(
            link, drone, system_id, mavlink.MAV_CMD_SET_MESSAGE_INTERVAL, (float(message_id), 1e6 / rate_hz),
            f"message {message_id}",
        )
        if not outcome.done:
            missing.append(outcome.sentence)
            if "no acknowledgement" in outcome.sentence:
                return outcome
    return Outcome(True, f"{drone.name}: reports asked for" + (f"; without: {'; '.join(missing)}" if missing else ""))
