"""One flying of a patrol: from the plan to the landing, each step on the drone's own word."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.airspace_lookout import Lookout
from fleet.airspace_watch import Level, Verdict
from fleet.checker import check_plan
from fleet.checker_air import check_from_here
from fleet.commands import Outcome, ask_for_heartbeat, command, read_parameter, set_mode, until, write_parameter
from fleet.dispatch_words import Said, plain, said
from fleet.drone import Drone
from fleet.mission import FENCE, MISSION, MissionItem, plan_items
from fleet.plan_transfer import HEARD_OF_A_PLAN, Aircraft, PlanTransfer
from fleet.preflight import LAUNCHABLE, PreflightNeeds, preflight
from fleet.sortie_terms import IN_HAND, PAUSE_MODE, Errand, Report, SortieEnd, SortieError, SortieTerms
from fleet.transfer import run_machine
from geofences.sector import Sector
from mavlink.link import MessageLink
from wire.clock import NS_PER_S, Clock
from wire.flying import (
    CheckFinding,
    LinkState,
    Plan,
    Preflight,
    PreflightState,
    TaskPhase,
    TaskState,
    WaypointKind,
)
from wire.units import GroundPosition

READY_WITHIN_S = 90.0           # ArduCopter's estimate settles in 42 s
AIRBORNE_WITHIN_S = 20.0
ARM_TRIES, ARM_AGAIN_S = 3, 2.0
BATTERY_AGAIN_S = 5.0           # between two orders to come home for its battery
CLIMBED_SHARE = 0.8             # of the take-off height, before the mission takes over
CLIMB_M_S = 1.0                 # slower than any copter climbs, for the time that is allowed
OVERDUE_FACTOR, OVERDUE_S = 2.0, 120.0      # of the planned duration: against the wind it takes twice as long
LOOK_S = 0.2
REPORTS_WITHIN_S = 15.0         # after a silence: found out, asked for anew, and the first of them come
PREFLIGHT_EVERY_S = 2.0
FENCE_POLYGONS, FENCE_ACTION_RETURN = 4.0, 1.0      # ArduPilot's FENCE_TYPE and FENCE_ACTION

PLACE_WITHIN_S = 5.0
TAKEN_OVER_S = 2.0              # in a mode that nobody here has asked for

_log = logging.getLogger("trailwatch.fleet")


class Sortie:
    """Flies one plan. `launched` is True from the moment that the drone said it is in the air.

    begun: it has taken off, or taken the plan up in the air. under_way: it flies what it was sent for. errand: for which
    it takes off, in place of the plan's own way; or for which its mission waits (`divert`).
    """

    def __init__(
        self, plan: Plan, task_id: str, link: MessageLink, drone: Drone, sector: Sector, terms: SortieTerms, clock: Clock,
        report: Report, errand: Errand | None = None,
    ) -> None:
        self.plan = plan
        self.task_id = task_id
        self.launched = False
        self.begun = self.under_way = False
        self.over = False           # its last phase has been told
        self.handed_over = False    # ended in the air, for another one
        self.duration_s = 0.0
        self.paused_by = ""
        self.errand = errand
        self._for_errand = errand is not None
        self._link, self._drone, self._sector, self._terms = link, drone, sector, terms
        self._clock, self._report = clock, report
        self._items: tuple[MissionItem, ...] = ()
        self._boots, self._connections = drone.boots, link.connections
        self._last_preflight: Preflight | None = None
        self._before_landing: list[str] = []        # what cut the patrol short, as far as is known here
        self._lookout: Lookout | None = None
        self._warned: frozenset[str] = frozenset()
        self._ended: Said | None = None             # by a person, and how
        self._errand_end: Said | None = None
        self._home_mode = ""        # in which it was told to end, and does not fly anything else any more
        self.last_sentence = ""

    async def fly(self) -> bool:
        """All of it; True when it was flown to its end. Never raises SortieError: a failure is reported."""
        self.say(TaskPhase.CREATED, f"{self.plan.corridor} by {self.plan.drone}")
        try:
            in_the_air = self._drone.airborne()
            await self._check(in_the_air=in_the_air)
            if in_the_air:
                await self._join()
            else:
                await self._transfer()
                await self._make_ready()
                await self._launch()
            done = await self._follow()
        except SortieEnd as end:
            self.say(TaskPhase.CANCELLED, end.why)
            return False
        except SortieError as error:
            self._drop_errand(TaskPhase.CANCELLED, plain(str(error)))
            if self._ended is not None:
                self.say(TaskPhase.CANCELLED, self._ended)
            else:
                self.say(TaskPhase.FAILED, str(error))
            return False
        self.say(TaskPhase.DONE, done)
        return True

    # ------------------------------------------------------------------------------------------------ what it is told

    async def pause(self, person: str) -> Outcome:
        """Stay where it is. What it flies goes on from here at `resume`."""
        outcome = await self._mode(PAUSE_MODE)
        if outcome.done:
            self.paused_by = person
            self.say(TaskPhase.EXECUTING, said("task.paused", drone=self.plan.drone, person=person))
        return outcome

    async def resume(self, person: str) -> Outcome:
        """Go on where it was: with what it flew, or on its way home."""
        if self._home_mode:
            outcome = await self._mode(self._home_mode)
        elif self.errand is not None:
            self.errand.pause()
            outcome = await self._mode("GUIDED")
        else:
            outcome = await self._go_on()
        if outcome.done:
            self.paused_by = ""
            self.say(TaskPhase.EXECUTING, said("task.goes_on", drone=self.plan.drone, person=person))
        return outcome

    async def end(self, mode: str, person: str) -> Outcome:
        """RTL or LAND, in the air; on the ground it is called off."""
        if not self._drone.armed():
            self._ended = said("task.called_off", drone=self.plan.drone, person=person)
            return Outcome(True, self._ended.sentence, self._ended.key, self._ended.params)
        outcome = await self._mode(mode)
        if outcome.done:
            self._home_mode, self.paused_by = mode, ""
            key = "task.returns" if mode == "RTL" else "task.lands"
            self._ended = said(key, drone=self.plan.drone, person=person)
            self._drop_errand(TaskPhase.CANCELLED, self._ended)
            self.say(TaskPhase.EXECUTING, self._ended)
        return outcome

    def divert(self, errand: Errand) -> None:
        """Its mission waits until the errand is over, and goes on where it was."""
        self.errand = errand

    def hand_over(self, why: Said) -> None:
        """Leave the drone in the air to somebody else."""
        self._ended, self.handed_over = why, True
        self._drop_errand(TaskPhase.CANCELLED, why)

    async def _go_on(self) -> Outcome:
        """The mission where it was. An ArduCopter forgets the speed that it had set, and would fly at its own."""
        outcome = await self._mode("AUTO")
        if not outcome.done:
            return outcome
        speed = self.plan.waypoints[-1].speed_m_s
        slowed = await self._command(mavlink.MAV_CMD_DO_CHANGE_SPEED, (1.0, speed, -1.0), f"{speed:g} m/s")
        if slowed.done:
            await self._point_camera()
            return outcome
        back = await self._mode("RTL")
        return Outcome(False, f"{slowed.sentence}; called back: {back.sentence}")

    async def _point_camera(self) -> None:
        """Ahead and down, as patrols are planned. A drone whose gimbal does not take it flies on, and it is noted."""
        pitch = self._terms.camera_pitch_deg
        if pitch is None:
            return
        angles = (pitch, 0.0, math.nan, math.nan)
        outcome = await self._command(mavlink.MAV_CMD_DO_GIMBAL_MANAGER_PITCHYAW, angles, "camera ahead and down")
        if not outcome.done:
            _log.warning("%s", outcome.sentence)

    def home_percent(self, percent: float) -> float | None:
        """What the way home takes of the battery, to be sure; None before it flies."""
        return self._lookout.home_percent(percent) if self._lookout is not None else None

    def _drop_errand(self, phase: TaskPhase, why: Said) -> None:
        errand, self.errand = self.errand, None
        if errand is not None:
            errand.finish(phase, why)

    async def _mode(self, mode: str) -> Outcome:
        return await set_mode(self._link, self._drone, self.plan.system_id, mode)

    def _must_be_wanted(self) -> None:
        if self._ended is not None:
            raise SortieEnd(self._ended)

    def say(self, phase: TaskPhase, what: str | Said, findings: tuple[CheckFinding, ...] = ()) -> None:
        words = plain(what) if isinstance(what, str) else what
        self.over = self.over or phase in (TaskPhase.DONE, TaskPhase.FAILED, TaskPhase.CANCELLED)
        self.last_sentence = words.sentence
        _log.info("%s: %s: %s", self.task_id, phase.value, words.sentence)
        self._report(TaskState(
            self.task_id, self.plan.drone, self.plan.plan_id, phase, self._clock.utc_ns(), words.sentence, findings,
            words.key, words.params,
        ))

    # --------------------------------------------------------------------------------------------------- on the ground

    async def _check(self, *, in_the_air: bool) -> None:
        self._report(self.plan)
        if in_the_air:
            result = check_from_here(
                self.plan, await self._here(), self._height_m(), self._sector, self._terms.realm, self._terms.limits
            )
        else:
            result = check_plan(self.plan, self._sector, self._terms.realm, self._terms.limits)
        self._report(result)
        self.duration_s = result.duration_s
        if not result.passed:
            raise SortieError("the plan did not pass its checks: " + "; ".join(f.sentence for f in result.findings))
        self._lookout = Lookout(
            self.plan, self._sector, self._terms.limits, self._drone, self._clock, self._terms.learner, self._terms.traffic
        )

    async def _here(self) -> GroundPosition:
        drone = self._drone
        if not await until(lambda: drone.fresh(drone.position) is not None, PLACE_WITHIN_S) or drone.position is None:
            raise SortieError(f"{drone.name} does not say where it is")
        return GroundPosition(drone.position.value.lat_deg, drone.position.value.lon_deg)

    async def _transfer(self) -> None:
        self._must_be_wanted()
        home = self._sector.frame.point(self.plan.home)
        home_msl_m = float(self._sector.terrain.height_msl_m(home)[0])
        parts = plan_items(self.plan, home_msl_m)
        self._items = parts[MISSION]
        self.say(TaskPhase.SENT, f"{sum(len(items) for items in parts.values())} items are going up")
        aircraft = Aircraft(self.plan.system_id, self.plan.hardware_id)
        machine = PlanTransfer(parts, aircraft, asyncio.get_running_loop().time(), self._drone.quirks)
        end = await run_machine(self._link, machine, self.plan.system_id, HEARD_OF_A_PLAN)
        if not end.done:
            raise SortieError(end.sentence)
        self.say(TaskPhase.RECEIVED, f"{len(self._items)} items accepted")
        self.say(TaskPhase.ACCEPTED, f"{end.sentence}, equal to the plan")
        await self._set_up(fenced=bool(parts[FENCE]))

    async def _set_up(self, *, fenced: bool) -> None:
        """The autopilot's own fence and return height, as planned. Polygons alone: its circle of 300 m is on as it ships."""
        wanted: list[tuple[tuple[str, ...], float]] = [(("FENCE_ENABLE",), float(fenced))]
        if fenced:
            wanted = [(("FENCE_TYPE",), FENCE_POLYGONS), (("FENCE_ACTION",), FENCE_ACTION_RETURN), *wanted]
        if self.plan.return_height_m > 0:
            wanted.append((("RTL_ALT",), round(self.plan.return_height_m * 100.0)))
        for names, value in wanted:
            found = await read_parameter(self._link, self.plan.system_id, names)
            if found is None:
                if fenced or names[0] == "RTL_ALT":
                    raise SortieError(f"{self.plan.drone} has no {names[0]}, and the plan asks for it")
                continue
            if found[1] != value:
                await self._must(write_parameter(self._link, self._drone, self.plan.system_id, found[0], value))

    async def _make_ready(self) -> None:
        failsafe = await self._station_failsafe()
        needs = PreflightNeeds(self._terms.realm, self._terms.battery_least_percent, True, failsafe)
        loop = asyncio.get_running_loop()
        until_s = loop.time() + READY_WITHIN_S
        said_s = float("-inf")
        while True:
            self._must_be_wanted()
            if (self._drone.boots, self._link.connections) != (self._boots, self._connections):
                raise SortieError("the drone or its link was interrupted before take-off: what it holds has to be read anew")
            now = preflight(self._drone, self.plan, needs, self._sector.frame, self._clock.utc_ns())
            before = self._last_preflight
            changed = before is None or [i.state for i in before.items] != [i.state for i in now.items]
            if changed or loop.time() - said_s >= PREFLIGHT_EVERY_S:
                self._report(now)
                self._last_preflight, said_s = now, loop.time()
            if now.state in LAUNCHABLE:
                return
            if now.state is PreflightState.ERROR or loop.time() >= until_s:
                bad = [i for i in now.items if i.state not in LAUNCHABLE]
                raise SortieError("pre-flight: " + "; ".join(f"{i.name}: {i.sentence}" for i in bad))
            await asyncio.sleep(LOOK_S)

    async def _station_failsafe(self) -> float | None:
        """FS_GCS_ENABLE; switched on when it is off, because a service that dies must not leave a drone flying on."""
        found = await read_parameter(self._link, self.plan.system_id, ("FS_GCS_ENABLE",))
        if found is None or found[1] != 0:
            return found[1] if found is not None else None
        outcome = await write_parameter(self._link, self._drone, self.plan.system_id, found[0], 1.0)
        _log.info("%s: the station failsafe was off: %s", self.plan.drone, outcome.sentence)
        return 1.0 if outcome.done else 0.0

    # ------------------------------------------------------------------------------------------------------ in the air

    async def _launch(self) -> None:
        drone, system_id = self._drone, self.plan.system_id
        height_m = self.plan.waypoints[0].height_above_home_m
        drone.forget_progress()
        await self._must(self._set_first_item())
        await self._must(set_mode(self._link, drone, system_id, "GUIDED"))
        self._must_be_wanted()
        await self._arm()
        ask_for_heartbeat(self._link, system_id)
        if not await until(drone.armed, AIRBORNE_WITHIN_S):
            raise SortieError(f"{drone.name} accepted arming and does not say that it is armed")
        seven = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, height_m)
        await self._must(self._command(mavlink.MAV_CMD_NAV_TAKEOFF, seven, f"take off to {height_m:g} m"))
        if not await until(lambda: drone.airborne() or not drone.armed(), AIRBORNE_WITHIN_S) or not drone.armed():
            raise SortieError(f"{drone.name} accepted the take-off and is still on the ground")
        self.launched = True
        self.say(TaskPhase.EXECUTING, f"{drone.name} has taken off")
        self.begun = True
        high = height_m * CLIMBED_SHARE
        if not await until(lambda: self._height_m() >= high or drone.mode() != "GUIDED", height_m / CLIMB_M_S + 20.0):
            raise SortieError(f"{drone.name} does not climb: {self._height_m():.0f} of {height_m:g} m")
        if drone.mode() != "GUIDED":
            return              # somebody or a failsafe took over: it is followed home, not fought with
        self.under_way = self._for_errand
        if self._for_errand:
            return              # which it does in GUIDED
        await self._point_camera()
        outcome = await set_mode(self._link, drone, system_id, "AUTO")
        if not outcome.done:
            back = await set_mode(self._link, drone, system_id, "RTL")
            raise SortieError(f"{outcome.sentence}; called back: {back.sentence}")
        self.under_way = True

    async def _join(self) -> None:
        """In the air: it stays where it is while what it holds is exchanged, and takes up the plan at its first place."""
        self.launched = True
        await self._must(self._mode("GUIDED"))
        try:
            if not self._for_errand:        # an errand from the air leaves the mission that is in the drone as it is
                await self._transfer()
                self._drone.forget_progress()
                await self._must(self._command(mavlink.MAV_CMD_DO_SET_MISSION_CURRENT, (2.0,), "begin after the take-off"))
                await self._point_camera()
                await self._must(self._mode("AUTO"))
        except SortieError as error:
            back = await self._mode("RTL")
            raise SortieError(f"{error}; called back: {back.sentence}") from None
        self.under_way = True
        self.say(TaskPhase.EXECUTING, said("task.joined", drone=self.plan.drone))
        self.begun = True

    async def _arm(self) -> None:
        """Again when it refuses: for two seconds after a new fence it does, and says that the fence requires a position."""
        for left in reversed(range(ARM_TRIES)):
            outcome = await self._command(mavlink.MAV_CMD_COMPONENT_ARM_DISARM, (1.0,), "arm")
            if outcome.done:
                return
            if left == 0:
                raise SortieError(outcome.sentence)
            await asyncio.sleep(ARM_AGAIN_S)

    async def _follow(self) -> str | Said:
        """Until it has landed and disarmed; the sentence of a full patrol. Raises SortieError for any other end."""
        drone = self._drone
        loop = asyncio.get_running_loop()
        allowed_s = self.duration_s * OVERDUE_FACTOR + OVERDUE_S
        until_s = loop.time() + allowed_s
        mode, link = drone.mode(), drone.link()
        called_s, looked_s = float("-inf"), loop.time()
        while drone.armed() or drone.link() is LinkState.LOST:
            if self.paused_by or self.errand is not None:
                until_s += loop.time() - looked_s       # what nobody has planned the time of
            looked_s = loop.time()
            if self.handed_over:
                self._must_be_wanted()
            if loop.time() >= until_s:
                raise SortieError(f"{drone.name} has not landed {allowed_s:.0f} s after take-off; last in {drone.mode()}")
            self._must_be_the_same()
            if drone.link() is not link:
                link = drone.link()
                _log.warning("%s: the link is %s", drone.name, link.value)
                if link is LinkState.LOST:      # what it says of its failsafe is lost with the link
                    self._before_landing.append(f"its link was lost at item {drone.highest_item}")
            if drone.mode() != mode:
                mode = drone.mode()
                _log.warning("%s: is in %s now", drone.name, mode)
            percent = self._too_little_left()
            if percent is not None and loop.time() - called_s >= BATTERY_AGAIN_S:
                called_s = loop.time()
                await self._call_back(percent)
            verdict = self._lookout.look() if self._lookout is not None else None
            if verdict is not None:
                await self._heed(verdict)
            await self._step_errand()
            await asyncio.sleep(LOOK_S)
        await self._still_the_same()
        self._must_be_wanted()
        if self._for_errand:
            if self._errand_end is not None:
                return said("task.ended", why=self._errand_end.sentence, drone=drone.name)
            why = f", after {' and '.join(self._before_landing)}" if self._before_landing else f", in {drone.mode()}"
            raise SortieError(f"{drone.name} landed before its errand was over{why}")
        last = max(i.seq for i in self._items)
        if drone.highest_item < last:
            texts = drone.texts_since(self._clock.monotonic_ns() - round(allowed_s * NS_PER_S))[-3:]
            why = f' ({"; ".join(texts)})' if texts else ""
            if self._before_landing:
                why = f", after {' and '.join(self._before_landing)}{why}"
            raise SortieError(
                f"{drone.name} landed before the end of its patrol, at item {drone.highest_item} of {last}, "
                f"in {drone.mode()}{why}"
            )
        flown = sum(w.kind is not WaypointKind.RETURN for w in self.plan.waypoints)
        return f"{drone.name} has flown {flown} waypoints, landed and disarmed"

    def _too_little_left(self) -> float | None:
        """The charge in percent, when it is too low to go on with the patrol. The return itself is not interrupted."""
        percent = self._drone.fresh(self._drone.battery_percent)
        if percent is None or percent > self._terms.battery_return_percent or self._drone.mode() not in IN_HAND:
            return None
        returns = self._drone.mode() == "AUTO" and bool(self._items) and self._drone.highest_item >= self._items[-1].seq
        return None if returns else percent

    async def _step_errand(self) -> None:
        """One step of what it does in place of its mission; at its end back to that, or home."""
        errand = self.errand
        if errand is None or self.paused_by:
            return
        if not errand.over and self._drone.mode() not in IN_HAND:
            await self._let_go_of(errand)
            return
        if not errand.over:
            try:
                await errand.step()
            except Exception:  # a fault in our own code must not leave a drone hovering in GUIDED  # noqa: BLE001
                _log.exception("%s: its errand failed", self.plan.drone)
                errand.end(said("task.errand_failed", drone=self.plan.drone))
            if not errand.over:
                return
        self._errand_end = errand.over
        self._drop_errand(TaskPhase.DONE, errand.over)
        outcome = await (self._mode("RTL") if self._for_errand else self._go_on())
        why, name = errand.over.sentence, self.plan.drone
        after = said("task.after", why=why, drone=name, corridor=self.plan.corridor)
        self.say(TaskPhase.EXECUTING, said("task.home", why=why, drone=name) if self._for_errand else after)
        if not outcome.done and not self._for_errand:
            back = await self._mode("RTL")
            raise SortieError(f"{outcome.sentence}; called back: {back.sentence}")

    async def _let_go_of(self, errand: Errand) -> None:
        """A failsafe or a remote control has the drone: what it says is followed, and its errand is nobody's any more."""
        if await until(lambda: self._drone.mode() in IN_HAND, TAKEN_OVER_S) or self.errand is not errand:
            return
        why = said("task.taken_over", drone=self.plan.drone, mode=self._drone.mode())
        self._before_landing.append(f"it went into {self._drone.mode()}")
        self._drop_errand(TaskPhase.CANCELLED, why)
        self.say(TaskPhase.EXECUTING, why)

    async def _heed(self, verdict: Verdict) -> None:
        """What the watch in the air says: told once as long as it stays the same; called back while it flies the patrol."""
        rules = frozenset(f.rule for f in verdict.findings)
        why = "; ".join(f.sentence for f in verdict.findings)
        if verdict.level is Level.RETURN and self._drone.mode() in IN_HAND:
            self._drop_errand(TaskPhase.CANCELLED, plain(f"{self.plan.drone} is called back: {why}"))
            outcome = await self._call_home()
            self.say(TaskPhase.EXECUTING, f"{self.plan.drone} is called back: {why}; {outcome.sentence}", verdict.findings)
            if outcome.done:
                self._before_landing.append(f"it was called back, because {why}")
        elif rules - self._warned:
            self.say(TaskPhase.EXECUTING, f"{self.plan.drone}: warning: {why}", verdict.findings)
        self._warned = rules

    async def _call_home(self) -> Outcome:
        outcome = await self._mode("RTL")
        if outcome.done:
            self._home_mode, self.paused_by = "RTL", ""
        return outcome

    async def _call_back(self, percent: float) -> None:
        self._drop_errand(TaskPhase.CANCELLED, plain(f"{self.plan.drone} has {percent:.0f} % left in its battery"))
        outcome = await self._call_home()
        _log.warning("%s: %.0f %% left in its battery, called back: %s", self.plan.drone, percent, outcome.sentence)
        if outcome.done:
            self._before_landing.append(f"it was called back with {percent:.0f} % left in its battery")

    async def _still_the_same(self) -> None:
        """That it says "disarmed" is a landing only of the boot that took off: what restarts in the air is disarmed too.

        A fresh boot sends heartbeats alone, so its boot time is known only once the pilot has asked for reports again.
        """
        drone, ended_ns = self._drone, self._clock.monotonic_ns()
        told = await until(lambda: drone.boot_ms is not None and drone.boot_ms.at_ns > ended_ns, REPORTS_WITHIN_S)
        self._must_be_the_same()
        if not told:
            raise SortieError(f"{drone.name} is disarmed and reports nothing: whether it has landed is not known")

    def _must_be_the_same(self) -> None:
        if self._drone.boots != self._boots:
            raise SortieError(
                f"{self._drone.name} has started anew in the middle of the sortie, on the way to item "
                f"{self._drone.highest_item}: look for it there"
            )

    def _height_m(self) -> float:
        return self._drone.height_m.value if self._drone.height_m is not None else 0.0

    async def _set_first_item(self) -> Outcome:
        return await self._command(mavlink.MAV_CMD_DO_SET_MISSION_CURRENT, (1.0,), "begin at the first item")

    async def _command(self, number: int, parameters: tuple[float, ...], what: str) -> Outcome:
        return await command(self._link, self._drone, self.plan.system_id, number, parameters, what)

    @staticmethod
    async def _must(doing: Awaitable[Outcome]) -> None:
        outcome = await doing
        if not outcome.done:
            raise SortieError(outcome.sentence)
