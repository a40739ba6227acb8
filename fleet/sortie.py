"""One flying of a patrol: from the plan to the landing, each step on the drone's own word."""

from __future__ import annotations

import asyncio
import logging

from fleet.airspace_lookout import Lookout
from fleet.airspace_watch import Level, Verdict
from fleet.checker import check_plan
from fleet.checker_air import check_from_here
from fleet.commands import Outcome, ask_for_heartbeat, until
from fleet.dispatch_words import Params, Said, plain, reasons, said
from fleet.drone import Drone
from fleet.passing import Bypass, Passing, Stop
from fleet.readying import Readying
from fleet.sortie_commands import SortieCommands, must
from fleet.sortie_passing import ROUND_PERCENT, WayPast
from fleet.sortie_terms import IN_HAND, PAUSE_MODE, Errand, Report, SortieEnd, SortieError, SortieTerms
from geofences.sector import Sector
from mavlink.link import MessageLink
from wire.clock import NS_PER_S, Clock
from wire.flying import CheckFinding, LinkState, Plan, TaskPhase, TaskState, WaypointKind
from wire.units import GroundPosition

AIRBORNE_WITHIN_S = 20.0
BATTERY_AGAIN_S = 5.0           # between two orders to come home for its battery
CLIMBED_SHARE = 0.8             # of the take-off height, before the mission takes over
CLIMB_M_S = 1.0                 # slower than any copter climbs, for the time that is allowed
OVERDUE_FACTOR, OVERDUE_S = 2.0, 120.0      # of the planned duration: against the wind it takes twice as long
LOOK_S = 0.2
REPORTS_WITHIN_S = 15.0         # after a silence: found out, asked for anew, and the first of them come
PLACE_WITHIN_S = 5.0
TEXTS_S = 10.0                  # of what it has said, when it does something by itself
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
        self._boots, self._connections = drone.boots, link.connections
        self._before_landing: list[Said] = []       # what cut the patrol short, as far as is known here
        self._lookout: Lookout | None = None
        self._warned: frozenset[str] = frozenset()
        self._ended: Said | None = None             # by a person, and how
        self._errand_end: Said | None = None
        self._past = WayPast(plan, drone, sector.frame)
        self._commands = SortieCommands(plan, link, drone, terms.camera_pitch_deg)
        self._ground = Readying(plan, link, drone, sector, terms, clock, report, self.say, self._must_be_wanted)
        self._returns_round = False
        self._is_to_come_home = False       # its errand is over, and it has not taken the mode yet
        self._home_mode = ""        # in which it was told to end, and does not fly anything else any more
        self.last_words = plain("")

    async def fly(self) -> bool:
        """All of it; True when it was flown to its end. Never raises SortieError: a failure is reported."""
        self.say(TaskPhase.CREATED, said("sortie.created", corridor=self.plan.corridor, drone=self.plan.drone))
        try:
            in_the_air = self._drone.airborne()
            await self._check(in_the_air=in_the_air)
            if in_the_air:
                await self._join()
            else:
                self._past.items = await self._ground.transfer()
                await self._ground.until_ready(self._boots, self._connections)
                await self._launch()
            done = await self._follow()
        except SortieEnd as end:
            self.say(TaskPhase.CANCELLED, end.why)
            return False
        except SortieError as error:
            self._drop_errand(TaskPhase.CANCELLED, error.why)
            if self._ended is not None:
                self.say(TaskPhase.CANCELLED, self._ended)
            else:
                self.say(TaskPhase.FAILED, error.why)
            return False
        self.say(TaskPhase.DONE, done)
        return True

    # ------------------------------------------------------------------------------------------------ what it is told

    async def pause(self, person: str) -> Outcome:
        """Stay where it is. What it flies goes on from here at `resume`."""
        outcome = await self._commands.mode(PAUSE_MODE)
        if outcome.done:
            self.paused_by = person
            self.say(TaskPhase.EXECUTING, said("task.paused", drone=self.plan.drone, person=person))
        return outcome

    async def resume(self, person: str) -> Outcome:
        """Go on where it was: with what it flew, or on its way home."""
        if self._home_mode:
            outcome = await self._commands.mode(self._home_mode)
        elif self.errand is not None:
            self.errand.pause()
            outcome = await self._commands.mode("GUIDED")
        else:
            outcome = await self._commands.go_on()
        if outcome.done:
            self.paused_by = ""
            self.say(TaskPhase.EXECUTING, said("task.goes_on", drone=self.plan.drone, person=person))
        return outcome

    async def end(self, mode: str, person: str) -> Outcome:
        """RTL or LAND, in the air; on the ground it is called off."""
        if not self._drone.armed():
            self._ended = said("task.called_off", drone=self.plan.drone, person=person)
            return Outcome(True, self._ended.sentence, self._ended.key, self._ended.params)
        if mode == "RTL" and self._can_go_round_home() and (await self._commands.mode("GUIDED")).done:
            return self._go_round_home(person)
        outcome = await self._commands.mode(mode)
        if outcome.done:
            self._home_mode, self.paused_by = mode, ""
            key = "task.returns" if mode == "RTL" else "task.lands"
            self._ended = said(key, drone=self.plan.drone, person=person)
            self._drop_errand(TaskPhase.CANCELLED, self._ended)
            self.say(TaskPhase.EXECUTING, self._ended)
        return outcome

    def _can_go_round_home(self) -> bool:
        """Whether a return may go round whom it looks at, or has looked at: his place is known, the straight way leads over
        him, and there is the battery for it. Ordered again while it does so, it comes straight.
        """
        if self._returns_round or self._drone.mode() not in IN_HAND or not self.under_way:
            return False
        passing = self.errand.leaves() if self.errand is not None else None
        self._past.passing = passing or self._past.passing
        percent = self._drone.fresh(self._drone.battery_percent)
        home_percent = self.home_percent(percent) if percent is not None else None
        if percent is None or home_percent is None or percent < home_percent + ROUND_PERCENT:
            return False
        return self._past.is_blocked(None)

    def _go_round_home(self, person: str) -> Outcome:
        passing = self._past.passing
        assert passing is not None
        self._ended = said("task.returns", drone=self.plan.drone, person=person)
        self._drop_errand(TaskPhase.CANCELLED, self._ended)
        self.errand, self._returns_round, self.paused_by = self._past.round(None), True, ""
        now = said("task.returns_round", drone=self.plan.drone, person=person, contact=passing.contact)
        self.say(TaskPhase.EXECUTING, now)
        return Outcome.of(True, now)

    @property
    def is_called_home(self) -> bool:
        """By a person: it does not go anywhere else any more."""
        return self._ended is not None and not self.handed_over

    def divert(self, errand: Errand) -> None:
        """Its mission waits until the errand is over, and goes on where it was."""
        if self.errand is None:
            self._past.leave_patrol()
        self.errand = errand

    def hand_over(self, why: Said) -> None:
        """Leave the drone in the air to somebody else."""
        self._ended, self.handed_over = why, True
        self._drop_errand(TaskPhase.CANCELLED, why)

    def home_percent(self, percent: float) -> float | None:
        """What the way home takes of the battery, to be sure; None before it flies."""
        return self._lookout.home_percent(percent) if self._lookout is not None else None

    def _drop_errand(self, phase: TaskPhase, why: Said) -> None:
        errand, self.errand = self.errand, None
        if errand is not None:
            errand.finish(phase, why)

    def _must_be_wanted(self) -> None:
        if self._ended is not None:
            raise SortieEnd(self._ended)

    def say(self, phase: TaskPhase, words: Said, findings: tuple[CheckFinding, ...] = ()) -> None:
        self.over = self.over or phase.is_over
        self.last_words = words
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
            raise SortieError(said("sortie.not_passed", why=reasons(result.findings)))
        self._lookout = Lookout(
            self.plan, self._sector, self._terms.limits, self._drone, self._clock, self._terms.learner, self._terms.traffic
        )

    async def _here(self) -> GroundPosition:
        drone = self._drone
        if not await until(lambda: drone.fresh(drone.position) is not None, PLACE_WITHIN_S) or drone.position is None:
            raise SortieError(said("sortie.no_place", drone=drone.name))
        return GroundPosition(drone.position.value.lat_deg, drone.position.value.lon_deg)

    # ------------------------------------------------------------------------------------------------------ in the air

    async def _launch(self) -> None:
        drone, system_id = self._drone, self.plan.system_id
        height_m = self.plan.waypoints[0].height_above_home_m
        drone.forget_progress()
        await must(self._commands.set_item(1, said("command.what.first_item")))
        await must(self._commands.mode("GUIDED"))
        self._must_be_wanted()
        await self._commands.arm()
        ask_for_heartbeat(self._link, system_id)
        if not await until(drone.armed, AIRBORNE_WITHIN_S):
            raise SortieError(said("sortie.not_armed", drone=drone.name))
        await must(self._commands.take_off(height_m))
        if not await until(lambda: drone.airborne() or not drone.armed(), AIRBORNE_WITHIN_S) or not drone.armed():
            raise SortieError(said("sortie.on_ground", drone=drone.name))
        self.launched = True
        self.say(TaskPhase.EXECUTING, said("sortie.taken_off", drone=drone.name))
        self.begun = True
        high = height_m * CLIMBED_SHARE
        if not await until(lambda: self._height_m() >= high or drone.mode() != "GUIDED", height_m / CLIMB_M_S + 20.0):
            raise SortieError(said(
                "sortie.no_climb", drone=drone.name, height_m=round(self._height_m()), wanted_m=f"{height_m:g}"
            ))
        if drone.mode() != "GUIDED":
            return              # somebody or a failsafe took over: it is followed home, not fought with
        self.under_way = self._for_errand
        if self._for_errand:
            return              # which it does in GUIDED
        await self._commands.point_camera()
        outcome = await self._commands.mode("AUTO")
        if not outcome.done:
            back = await self._commands.mode("RTL")
            raise SortieError(said("sortie.called_back", why=outcome.said, outcome=back.said))
        self.under_way = True

    async def _join(self) -> None:
        """In the air: it stays where it is while what it holds is exchanged, and takes up the plan at its first place."""
        self.launched = True
        await must(self._commands.mode("GUIDED"))
        try:
            if not self._for_errand:        # an errand from the air leaves the mission that is in the drone as it is
                self._past.items = await self._ground.transfer()
                self._drone.forget_progress()
                await must(self._commands.set_item(2, said("command.what.after_take_off")))
                await self._commands.point_camera()
                await must(self._commands.mode("AUTO"))
        except SortieError as error:
            back = await self._commands.mode("RTL")
            raise SortieError(said("sortie.called_back", why=error.why, outcome=back.said)) from None
        self.under_way = True
        self.say(TaskPhase.EXECUTING, said("task.joined", drone=self.plan.drone))
        self.begun = True

    async def _follow(self) -> Said:
        """Until it has landed and disarmed; the sentence of a full patrol. Raises SortieError for any other end."""
        drone = self._drone
        loop = asyncio.get_running_loop()
        allowed_s = self.duration_s * OVERDUE_FACTOR + OVERDUE_S
        until_s = loop.time() + allowed_s
        mode, link = self._commands.asked, drone.link()      # what is otherwise already has happened before
        called_s, looked_s = float("-inf"), loop.time()
        while drone.armed() or drone.link() is LinkState.LOST:
            if self.paused_by or self.errand is not None:
                until_s += loop.time() - looked_s       # what nobody has planned the time of
            looked_s = loop.time()
            if self.handed_over:
                self._must_be_wanted()
            if loop.time() >= until_s:
                raise SortieError(
                    said("sortie.overdue", drone=drone.name, seconds=round(allowed_s), mode=drone.mode())
                )
            self._must_be_the_same()
            if drone.link() is not link:
                link = drone.link()
                _log.warning("%s: the link is %s", drone.name, link.value)
                if link is LinkState.LOST:      # what it says of its failsafe is lost with the link
                    self._before_landing.append(said("before.link", item=drone.highest_item))
            if drone.mode() != mode:
                mode = drone.mode()
                _log.warning("%s: is in %s now", drone.name, mode)
                if mode not in (*IN_HAND, self._commands.asked) and self.errand is None:
                    self._say_taken_over(mode)
            percent = self._too_little_left()
            if percent is not None and loop.time() - called_s >= BATTERY_AGAIN_S:
                called_s = loop.time()
                await self._call_back(percent)
            verdict = self._lookout.look() if self._lookout is not None else None
            if verdict is not None:
                await self._heed(verdict)
            await self._step_errand()
            self._watch_passing()
            await asyncio.sleep(LOOK_S)
        await self._still_the_same()
        self._must_be_wanted()
        if self._for_errand:
            if self._errand_end is not None:
                return said("task.ended", why=self._errand_end, drone=drone.name)
            if self._before_landing:
                raise SortieError(said("sortie.errand_early_after", drone=drone.name, why=tuple(self._before_landing)))
            raise SortieError(said("sortie.errand_early", drone=drone.name, mode=drone.mode()))
        last = max(i.seq for i in self._past.items)
        if drone.highest_item < last:
            texts = drone.texts_since(self._clock.monotonic_ns() - round(allowed_s * NS_PER_S))[-3:]
            after = (*self._before_landing, *map(plain, texts))
            told: Params = {"drone": drone.name, "item": drone.highest_item, "last": last, "mode": drone.mode()}
            early = said("sortie.early_after", why=after, **told) if after else said("sortie.early", **told)
            raise SortieError(early)
        flown = sum(w.kind is not WaypointKind.RETURN for w in self.plan.waypoints)
        return said("sortie.flown", drone=drone.name, count=flown)

    def _too_little_left(self) -> float | None:
        """The charge in percent, when it is too low to go on with the patrol. The return itself is not interrupted."""
        percent = self._drone.fresh(self._drone.battery_percent)
        if percent is None or percent > self._terms.battery_return_percent or self._drone.mode() not in IN_HAND:
            return None
        items = self._past.items
        returns = self._drone.mode() == "AUTO" and bool(items) and self._drone.highest_item >= items[-1].seq
        return None if returns else percent

    async def _step_errand(self) -> None:
        """One step of what it does in place of its mission; at its end back to that, or home."""
        errand = self.errand
        if self.paused_by:
            return
        if self._is_to_come_home:
            self._is_to_come_home = self._drone.mode() in IN_HAND and not (await self._call_home()).done
        if errand is None:
            return
        if self._drone.mode() not in IN_HAND:
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
        if not isinstance(errand, Bypass):
            self._errand_end = errand.over
        self._past.passing = errand.leaves() or self._past.passing
        self._drop_errand(TaskPhase.DONE, errand.over)
        await self._leave(errand, errand.over)

    async def _leave(self, errand: Errand, why: Said) -> None:
        """Back to its patrol or home, and past whom it has looked at, not over him."""
        name, passed = self.plan.drone, isinstance(errand, Bypass)
        rejoined = errand.rejoined if isinstance(errand, Bypass) else None
        self._past.goes_on_at = rejoined.seq if rejoined is not None else self._past.goes_on_at
        homewards = self._for_errand or (passed and rejoined is None)
        stops = None if self._for_errand else self._past.stops()
        if not passed and self._past.is_blocked(stops):
            self._go_round(stops, why)
            return
        if homewards:
            outcome = await self._call_home()
            home = why if passed else said("task.home", why=why, drone=name)
            self._is_to_come_home = not outcome.done
            self.say(TaskPhase.EXECUTING, home if outcome.done else said("sortie.not_home", why=home, outcome=outcome.said))
            if not self._for_errand:
                self._before_landing.append(why)
            return
        outcome = await self._commands.go_on(rejoined.seq if rejoined is not None else None)
        after = said("task.after", why=why, drone=name, corridor=self.plan.corridor)
        self.say(TaskPhase.EXECUTING, why if passed else after)
        if not outcome.done:
            back = await self._commands.mode("RTL")
            raise SortieError(said("sortie.called_back", why=outcome.said, outcome=back.said))

    # ---------------------------------------------------------------------------------------------- past whom it looked at

    @property
    def passing(self) -> Passing | None:
        """Whom it has looked at, and does not fly over."""
        return self._past.passing

    def _watch_passing(self) -> None:
        if self.errand is None and not self.paused_by and not self._home_mode:
            stops = self._past.coming_up()
            if stops is not None:
                self._go_round(stops)

    def _go_round(self, stops: list[Stop] | None, why: Said | None = None) -> None:
        self.errand = bypass = self._past.round(stops)
        self.say(TaskPhase.EXECUTING, bypass.begins(why))

    # ------------------------------------------------------------------------------------------------ as it comes to its end

    def _say_taken_over(self, mode: str) -> None:
        """A failsafe or a remote control has the drone, as far as can be known why: or its last word would be its patrol."""
        texts = self._drone.texts_since(self._clock.monotonic_ns() - round(TEXTS_S * NS_PER_S))[-2:]
        why = (*self._before_landing[-1:], *map(plain, texts))
        told: Params = {"drone": self.plan.drone, "mode": mode}
        words = said("sortie.taken_over_why", why=why, **told) if why else said("sortie.taken_over", **told)
        self.say(TaskPhase.EXECUTING, words)

    async def _let_go_of(self, errand: Errand) -> None:
        """A failsafe or a remote control has the drone: what it says is followed, and its errand is nobody's any more."""
        if await until(lambda: self._drone.mode() in IN_HAND, TAKEN_OVER_S) or self.errand is not errand:
            return
        why = said("task.taken_over", drone=self.plan.drone, mode=self._drone.mode())
        self._before_landing.append(said("before.mode", mode=self._drone.mode()))
        self._drop_errand(TaskPhase.CANCELLED, why)
        self.say(TaskPhase.EXECUTING, why)

    async def _heed(self, verdict: Verdict) -> None:
        """What the watch in the air says: told once as long as it stays the same; called back while it flies the patrol."""
        rules = frozenset(f.rule for f in verdict.findings)
        name, why = self.plan.drone, reasons(verdict.findings)
        if verdict.level is Level.RETURN and self._drone.mode() in IN_HAND:
            self._drop_errand(TaskPhase.CANCELLED, said("sortie.watch_returns", drone=name, why=why))
            outcome = await self._call_home()
            returned = said("sortie.watch_returned", drone=name, why=why, outcome=outcome.said)
            self.say(TaskPhase.EXECUTING, returned, verdict.findings)
            if outcome.done:
                self._before_landing.append(said("before.watch", why=why))
        elif rules - self._warned:
            self.say(TaskPhase.EXECUTING, said("sortie.watch_warns", drone=name, why=why), verdict.findings)
        self._warned = rules

    async def _call_home(self) -> Outcome:
        outcome = await self._commands.mode("RTL")
        if outcome.done:
            self._home_mode, self.paused_by = "RTL", ""
        return outcome

    async def _call_back(self, percent: float) -> None:
        self._drop_errand(TaskPhase.CANCELLED, said("sortie.battery", drone=self.plan.drone, percent=round(percent)))
        outcome = await self._call_home()
        _log.warning("%s: %.0f %% left in its battery, called back: %s", self.plan.drone, percent, outcome.sentence)
        if outcome.done:
            self._before_landing.append(said("before.battery", percent=round(percent)))

    async def _still_the_same(self) -> None:
        """That it says "disarmed" is a landing only of the boot that took off: what restarts in the air is disarmed too.

        A fresh boot sends heartbeats alone, so its boot time is known only once the pilot has asked for reports again.
        """
        drone, ended_ns = self._drone, self._clock.monotonic_ns()
        told = await until(lambda: drone.boot_ms is not None and drone.boot_ms.at_ns > ended_ns, REPORTS_WITHIN_S)
        self._must_be_the_same()
        if not told:
            raise SortieError(said("sortie.silent_end", drone=drone.name))

    def _must_be_the_same(self) -> None:
        if self._drone.boots != self._boots:
            raise SortieError(said("sortie.restarted", drone=self._drone.name, item=self._drone.highest_item))

    def _height_m(self) -> float:
        return self._drone.height_m.value if self._drone.height_m is not None else 0.0
