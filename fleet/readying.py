"""On the ground: from a plan that has passed its check to a drone that holds it and may be armed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from fleet.commands import read_parameter, write_parameter
from fleet.dispatch_words import Said, said
from fleet.drone import Drone
from fleet.mission import FENCE, MISSION, MissionItem, plan_items
from fleet.plan_transfer import HEARD_OF_A_PLAN, Aircraft, PlanTransfer
from fleet.preflight import LAUNCHABLE, PreflightNeeds, preflight
from fleet.sortie_terms import Report, SortieError, SortieTerms
from fleet.transfer import run_machine
from geofences.sector import Sector
from mavlink.link import MessageLink
from wire.clock import Clock
from wire.flying import Plan, Preflight, PreflightState, TaskPhase

READY_WITHIN_S = 90.0           # ArduCopter's estimate settles in 42 s
LOOK_S = 0.2
PREFLIGHT_EVERY_S = 2.0
FENCE_POLYGONS, FENCE_ACTION_RETURN = 4.0, 1.0      # ArduPilot's FENCE_TYPE and FENCE_ACTION

_log = logging.getLogger("trailwatch.fleet")


@dataclass(frozen=True, slots=True)
class Readying:
    """Of one sortie. must_be_wanted: raises where somebody has ended it meanwhile."""

    plan: Plan
    link: MessageLink
    drone: Drone
    sector: Sector
    terms: SortieTerms
    clock: Clock
    report: Report
    say: Callable[[TaskPhase, Said], None]
    must_be_wanted: Callable[[], None]

    async def transfer(self) -> tuple[MissionItem, ...]:
        """Fence, rally points and mission into the drone, and read back; its mission as it is then. Raises SortieError."""
        self.must_be_wanted()
        home = self.sector.frame.point(self.plan.home)
        home_msl_m = float(self.sector.terrain.height_msl_m(home)[0])
        parts = plan_items(self.plan, home_msl_m)
        count = sum(len(items) for items in parts.values())
        self.say(TaskPhase.SENT, said("sortie.going_up", count=count))
        aircraft = Aircraft(self.plan.system_id, self.plan.hardware_id)
        machine = PlanTransfer(parts, aircraft, asyncio.get_running_loop().time(), self.drone.quirks)
        end = await run_machine(self.link, machine, self.plan.system_id, HEARD_OF_A_PLAN)
        if not end.done:
            raise SortieError(said("sortie.not_taken_in", drone=self.plan.drone, why=end.said))
        self.say(TaskPhase.RECEIVED, said("sortie.received", count=len(parts[MISSION])))
        self.say(TaskPhase.ACCEPTED, said("sortie.accepted", count=count))
        await self._set_up(fenced=bool(parts[FENCE]))
        return parts[MISSION]

    async def _set_up(self, *, fenced: bool) -> None:
        """The autopilot's own fence and return height, as planned. Polygons alone: its circle of 300 m is on as it ships."""
        wanted: list[tuple[tuple[str, ...], float]] = [(("FENCE_ENABLE",), float(fenced))]
        if fenced:
            wanted = [(("FENCE_TYPE",), FENCE_POLYGONS), (("FENCE_ACTION",), FENCE_ACTION_RETURN), *wanted]
        if self.plan.return_height_m > 0:
            wanted.append((("RTL_ALT",), round(self.plan.return_height_m * 100.0)))
        for names, value in wanted:
            found = await read_parameter(self.link, self.plan.system_id, names)
            if found is None:
                if fenced or names[0] == "RTL_ALT":
                    raise SortieError(said("sortie.no_parameter", drone=self.plan.drone, name=names[0]))
                continue
            if found[1] != value:
                outcome = await write_parameter(self.link, self.drone, self.plan.system_id, found[0], value)
                if not outcome.done:
                    raise SortieError(outcome.said)

    async def until_ready(self, boots: int, connections: int) -> None:
        """Until pre-flight lets it be armed. boots, connections: in which it got its plan. Raises SortieError."""
        failsafe = await self._station_failsafe()
        needs = PreflightNeeds(self.terms.realm, self.terms.battery_least_percent, True, failsafe)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + READY_WITHIN_S
        said_s = float("-inf")
        before: Preflight | None = None
        while True:
            self.must_be_wanted()
            if (self.drone.boots, self.link.connections) != (boots, connections):
                raise SortieError(said("sortie.interrupted"))
            now = preflight(self.drone, self.plan, needs, self.sector.frame, self.clock.utc_ns())
            changed = before is None or [i.state for i in before.items] != [i.state for i in now.items]
            if changed or loop.time() - said_s >= PREFLIGHT_EVERY_S:
                self.report(now)
                before, said_s = now, loop.time()
            if now.state in LAUNCHABLE:
                return
            if now.state is PreflightState.ERROR or loop.time() >= until_s:
                bad = tuple(
                    said("sortie.preflight_item", item=i.name, why=Said(i.sentence, i.key, i.params))
                    for i in now.items if i.state not in LAUNCHABLE
                )
                raise SortieError(said("sortie.preflight", why=bad))
            await asyncio.sleep(LOOK_S)

    async def _station_failsafe(self) -> float | None:
        """FS_GCS_ENABLE; switched on when it is off, because a service that dies must not leave a drone flying on."""
        found = await read_parameter(self.link, self.plan.system_id, ("FS_GCS_ENABLE",))
        if found is None or found[1] != 0:
            return found[1] if found is not None else None
        outcome = await write_parameter(self.link, self.drone, self.plan.system_id, found[0], 1.0)
        _log.info("%s: the station failsafe was off: %s", self.plan.drone, outcome.sentence)
        return 1.0 if outcome.done else 0.0
