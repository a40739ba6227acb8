"""A drone's signing key: made, given to the drone over a link that nobody else is on, and seen to work.

SETUP_SIGNING carries the key in the clear and is not acknowledged, so it goes over a cable, once, with the aircraft
disarmed; that it was taken shows in the drone's next messages, which have to carry signatures made with it.
"""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path
from typing import Any

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.commands import Outcome, until
from fleet.settings import DroneSettings, load
from fleet.signing_files import SIGNING_FOLDER
from mavlink.link import Link
from mavlink.signing import Signer, SigningTime, is_signed, make_key, read_key
from wire.beside import beside
from wire.clock import Clock, WallClock
from wire.settings import SettingsError

HEARD_WITHIN_S = 10.0
SIGNED_WITHIN_S = 6.0
TRIES = 3


async def give_key(connection: str, system_id: int, key: bytes, time: SigningTime, clock: Clock) -> Outcome:
    """Give a drone its key. Done when it signs with it."""
    link = Link(connection, clock)
    judge = Signer(key, SigningTime(clock, None))
    armed: list[bool] = []
    signed: list[int] = []
    refusals: list[str] = []

    def watch(message: Any, frame: bytes, sent: bool) -> None:
        if sent or message.get_srcSystem() != system_id:
            return
        if message.get_type() == "HEARTBEAT" and message.get_srcComponent() == mavlink.MAV_COMP_ID_AUTOPILOT1:
            armed.append(bool(message.base_mode & mavlink.MAV_MODE_FLAG_SAFETY_ARMED))
        if message.get_type() == "STATUSTEXT" and "signing" in message.text:
            refusals.append(message.text.rstrip("\0"))
        if is_signed(frame) and judge.verify(frame, system_id, message.get_srcComponent()):
            signed.append(message.get_msgId())

    link.taps.append(watch)
    async with beside(link.run()):
        if not await until(lambda: bool(armed), HEARD_WITHIN_S):
            return Outcome(False, f"system {system_id} is not heard on {connection}; {link.problem or 'it says nothing'}")
        if armed[-1]:
            return Outcome(False, f"system {system_id} is armed: its key is changed on the ground only")
        message = mavlink.MAVLink_setup_signing_message(system_id, 1, list(key), time.next())
        for _ in range(TRIES):
            signed.clear()
            link.send(message)
            if await until(lambda: len(signed) >= 2 or bool(refusals), SIGNED_WITHIN_S):
                break
        if refusals:
            return Outcome(False, f"system {system_id} did not take the key: {refusals[-1]}")
        if len(signed) < 2:
            return Outcome(False, f"system {system_id} was sent the key and does not sign with it")
        return Outcome(True, f"system {system_id} signs with its key now")


# ----------------------------------------------------------------------------------------------------- the command line


def _drone(config: Path, name: str) -> tuple[DroneSettings, Path]:
    fleet = load(config)
    for drone in fleet.settings.drones:
        if drone.id == name:
            return drone, fleet.data_dir
    raise SettingsError(f'{config}: no drone is called "{name}" in this file')


def run_new(a: argparse.Namespace) -> tuple[str, int]:
    """A new key in a file of its own."""
    try:
        make_key(a.out)
    except OSError as error:
        raise SettingsError(f"{a.out}: no key was made: {error.strerror}") from None
    return f'{a.out}: a new key, readable by its owner alone. Name it as signing_key of its drone, then "signing give".', 0


def run_give(a: argparse.Namespace) -> tuple[str, int]:
    """Give a drone the key that the settings name for it."""
    drone, data_dir = _drone(a.config, a.drone)
    if not drone.signing_key:
        raise SettingsError(f'{a.config}: drone "{a.drone}" has no signing_key: make one with "signing new" and name it')
    clock = WallClock()
    key = read_key(a.config.parent / drone.signing_key)
    time = SigningTime(clock, data_dir / SIGNING_FOLDER / f"{drone.id}.time")
    outcome = asyncio.run(give_key(a.connect or drone.connection, drone.system_id, key, time, clock))
    return outcome.sentence, 0 if outcome.done else 1
