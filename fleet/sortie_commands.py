"""The commands that a sortie gives to its drone, each acknowledged or reported as not done."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.commands import Outcome, command, set_mode
from fleet.dispatch_words import Said, said
from fleet.drone import Drone
from fleet.sortie_terms import SortieError
from mavlink.link import MessageLink
from wire.flying import Plan

ARM_TRIES, ARM_AGAIN_S = 3, 2.0

_log = logging.getLogger("trailwatch.fleet")


class SortieCommands:
    """camera_pitch_deg: against the horizon, of a gimbal on patrol; None for a drone without one. asked: the last mode."""

    def __init__(self, plan: Plan, link: MessageLink, drone: Drone, camera_pitch_deg: float | None) -> None:
        self._plan, self._link, self._drone, self._camera_pitch_deg = plan, link, drone, camera_pitch_deg
        self.asked = ""

    async def mode(self, mode: str) -> Outcome:
        self.asked = mode
        return await set_mode(self._link, self._drone, self._plan.system_id, mode)

    async def go_on(self, seq: int | None = None) -> Outcome:
        """The mission where it was, or at another item. An ArduCopter forgets the speed that it had set, and would fly at
        its own.
        """
        if seq is not None:
            jumped = await self.set_item(seq, said("command.what.go_on_at", item=seq))
            if not jumped.done:
                return jumped
        outcome = await self.mode("AUTO")
        if not outcome.done:
            return outcome
        speed = self._plan.waypoints[-1].speed_m_s
        what = said("command.what.speed", speed_m_s=f"{speed:g}")
        slowed = await self._command(mavlink.MAV_CMD_DO_CHANGE_SPEED, (1.0, speed, -1.0), what)
        if slowed.done:
            await self.point_camera()
            return outcome
        back = await self.mode("RTL")
        return Outcome.of(False, said("sortie.called_back", why=slowed.said, outcome=back.said))

    async def point_camera(self) -> None:
        """Ahead and down, as patrols are planned. A drone whose gimbal does not take it flies on, and it is noted."""
        if self._camera_pitch_deg is None:
            return
        angles = (self._camera_pitch_deg, 0.0, math.nan, math.nan)
        outcome = await self._command(mavlink.MAV_CMD_DO_GIMBAL_MANAGER_PITCHYAW, angles, said("command.what.camera"))
        if not outcome.done:
            _log.warning("%s", outcome.sentence)

    async def set_item(self, seq: int, what: Said) -> Outcome:
        return await self._command(mavlink.MAV_CMD_DO_SET_MISSION_CURRENT, (float(seq),), what)

    async def arm(self) -> None:
        """Again when it refuses: for two seconds after a new fence it does, and says that the fence requires a position.

        Raises SortieError.
        """
        for left in reversed(range(ARM_TRIES)):
            outcome = await self._command(mavlink.MAV_CMD_COMPONENT_ARM_DISARM, (1.0,), said("command.what.arm"))
            if outcome.done:
                return
            if left == 0:
                raise SortieError(outcome.said)
            await asyncio.sleep(ARM_AGAIN_S)

    async def take_off(self, height_m: float) -> Outcome:
        what = said("command.what.take_off", height_m=f"{height_m:g}")
        return await self._command(mavlink.MAV_CMD_NAV_TAKEOFF, (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, height_m), what)

    async def _command(self, number: int, parameters: tuple[float, ...], what: Said) -> Outcome:
        return await command(self._link, self._drone, self._plan.system_id, number, parameters, what)


async def must(doing: Awaitable[Outcome]) -> None:
    """Raises SortieError where it was not done."""
    outcome = await doing
    if not outcome.done:
        raise SortieError(outcome.said)
