"""One drone and its patrols: finds it, knows it again, flies what is due, and tells the station how it stands."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pymavlink.dialects.v20 import ardupilotmega as mavlink

from fleet.airspace_lookout import TrafficPicture
from fleet.battery_swap import swap_battery, swap_refusal
from fleet.checker import CheckLimits
from fleet.commands import Outcome, ask_for_messages, command, identify, set_mode, until
from fleet.dispatch_words import Said, said
from fleet.drone import Drone
from fleet.energy import EnergyLearner, EnergyModel
from fleet.flight_book import FlightRecorder
from fleet.permit import Permit
from fleet.planner import PatrolWish, PlanError, plan_patrol
from fleet.preflight import realm_refusal
from fleet.routes_camera import CameraView
from fleet.settings import DroneSettings, PatrolSettings
from fleet.sortie import Sortie
from fleet.sortie_terms import PAUSE_MODE, STARTED_LOOK_S, Errand, Report, SortieTerms
from fleet.standing import Habit
from fleet.wind import ASSUMED, Wind
from geofences.sector import Sector
from mavlink.link import MessageLink
from mavlink.roads import Roads
from wire.clock import Clock
from wire.flying import LinkState, Plan, TaskPhase
from wire.tasking import FlightKind
from wire.units import GroundPosition, Realm

TELEMETRY_S = 0.5
HEARD_LIMIT = 2000              # messages of one drone that wait: 40 s of 50 a second
LOOK_S = 0.5
SILENT_REPORTS_S = 4.0          # heartbeats come and positions do not: it forgot what was asked of it, as after a reboot
AGAIN_S = 15.0                  # after a sortie that failed before take-off
STARTED_WITHIN_S = 300.0        # waiting for its estimate, checks and take-off included
CAMERA_PITCH_DEG = -35.0        # of a gimbal on patrol, where the settings name no camera
HOVERING, ORPHAN_S = ("GUIDED", PAUSE_MODE), 10.0
CALL_BACK_S = 6.0               # on leaving: the drone's own failsafe covers what is not done by then

_log = logging.getLogger("trailwatch.fleet")


@dataclass(frozen=True, slots=True)
class PilotTerms:
    """What all drones of this service share. name_task(): a fresh task id."""

    realm: Realm
    sector: Sector
    clock: Clock
    report: Report
    name_task: Callable[[str], str]
    heartbeat_s: float
    wind: Wind = ASSUMED
    permits: tuple[Permit, ...] = ()
    views: dict[str, CameraView] = field(default_factory=dict)
    energy_folder: Path | None = None


@dataclass(eq=False, slots=True)
class Flight:
    """What a drone is to fly. kind: None for a patrol by the settings. errand: for which it takes off."""

    plan: Plan
    task_id: str
    kind: FlightKind | None = None
    priority: int = 3
    person: str = ""
    errand: Errand | None = None
    sortie: Sortie | None = None


class Pilot:
    """Runs one drone. `run` ends only by being cancelled, after `leave`.

    sortie, flight: what it flies now. patrols_held: a person has called it home; its patrols wait until somebody says so.
    """

    def __init__(self, settings: DroneSettings, patrols: list[PatrolSettings], terms: PilotTerms, roads: Roads) -> None:
        self.drone = Drone(settings.id, terms.clock)
        self.link: MessageLink = roads
        self._roads = roads
        self.recorder: FlightRecorder | None = None
        self.sortie: Sortie | None = None
        self.flight: Flight | None = None
        self.patrols_held = False
        self._assigned: Flight | None = None
        self._learner: EnergyLearner | None = None
        self._orphan_s: float | None = None
        self.settings = settings
        self._patrols = patrols
        self._terms = terms
        self._system_id = settings.system_id
        self._known_for: tuple[int, int] | None = None      # connection and boot in which it was identified
        self._flying: asyncio.Task[None] | None = None
        self._complaint = ""
        self.traffic = TrafficPicture(terms.sector.frame, terms.clock)

    async def run(self) -> None:
        self._known_for = None
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._listen())
            tasks.create_task(self._tell())
            tasks.create_task(self._tell_links())
            tasks.create_task(self._keep_known())
            tasks.create_task(self.traffic.listen(self.link, self.drone))
            self._flying = tasks.create_task(self._fly_all())

    async def leave(self) -> None:
        """Stop flying patrols, call back what is in the air, and say so. The rest runs on until run() is cancelled."""
        sortie = self.sortie
        if self._flying is not None:
            self._flying.cancel()       # first, so that nothing commands a drone which is being called back
        if not self.drone.armed() or self._system_id == 0:
            return
        if self.drone.airborne():
            words = said("sortie.service_stops", outcome=self.drone.mode())
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CALL_BACK_S):
                    outcome = await set_mode(self.link, self.drone, self._system_id, "RTL")
                    words = said("sortie.service_stops", outcome=outcome.said)
        else:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CALL_BACK_S):
                    await command(
                        self.link, self.drone, self._system_id, mavlink.MAV_CMD_COMPONENT_ARM_DISARM, (0.0,),
                        said("command.what.disarm"),
                    )
            words = said("sortie.service_stops_ground", drone=self.drone.name)
        _log.warning("%s", words.sentence)
        if sortie is not None and not sortie.over:
            sortie.say(TaskPhase.CANCELLED, words)

    # --------------------------------------------------------------------------------------------------------- tasks

    async def _listen(self) -> None:
        """Every message of this drone's system into its state. 0 takes the first autopilot heard."""
        with self.link.subscribe(("HEARTBEAT",)) as heard:
            while self._system_id == 0:
                m = await heard.get(1.0)
                if m is not None and m.autopilot != mavlink.MAV_AUTOPILOT_INVALID:
                    self._system_id = m.get_srcSystem()
        self._roads.system_id = self._system_id
        if self.recorder is not None:
            self.recorder.system_id = self._system_id
        with self.link.subscribe(system_id=self._system_id, limit=HEARD_LIMIT) as heard:
            while True:
                m = await heard.get(1.0)
                if m is not None:
                    self.drone.take(m)

    async def _tell_links(self) -> None:
        """A sentence a link into the drone's state: only of several is there anything to say."""
        while len(self._roads.links) > 1:
            best = self._roads.best()
            self.drone.links = tuple(
                f"{link.connection}: "
                + (f"heard {age:.1f} s ago" if (age := link.heard_age_of_s(self._system_id)) < 1e6 else "never heard")
                + (", in use" if link is best else "")
                for link in self._roads.links
            )
            await asyncio.sleep(TELEMETRY_S)

    async def _tell(self) -> None:
        while True:
            self._terms.report(self.drone.telemetry())
            await asyncio.sleep(TELEMETRY_S)

    async def _keep_known(self) -> None:
        """Identify it, and again after a reconnect, after a reboot, and when it has stopped reporting."""
        while True:
            await asyncio.sleep(0.1 if self._known_for is None else LOOK_S)
            now = (self.link.connections, self.drone.boots)
            if self.drone.link() is LinkState.LOST or self._system_id == 0:
                if not self.link.connected:
                    self._complain(self.link.problem)
                continue
            silent = self.drone.age_s(self.drone.sensors_healthy) > SILENT_REPORTS_S
            if self._known_for == now and not silent:
                continue
            await self._identify()

    async def _identify(self) -> None:
        now = (self.link.connections, self.drone.boots)
        identity = await identify(self.link, self.drone, self._system_id)
        if identity is None:
            if not self.link.connected or self.drone.link() is not LinkState.CONNECTED:
                return              # cut meanwhile, which is told elsewhere
            self._complain(f"{self.drone.name}: a system {self._system_id} answers, and does not say which aircraft it is")
            return
        before = self.drone.identity
        if before is not None and before.hardware_id != identity.hardware_id:
            _log.warning(
                "%s: another aircraft answers now: hardware %s, before %s",
                self.drone.name, identity.hardware_id, before.hardware_id,
            )
        self.drone.identity = identity
        asked = await ask_for_messages(self.link, self.drone, self._system_id)
        if not asked.done:
            self._complain(asked.sentence)
            return
        self._known_for = now
        if before != identity:
            kind = "simulated" if identity.simulated else "real"
            _log.info(
                "%s: system %d, hardware %s, version %s, %s",
                self.drone.name, identity.system_id, identity.hardware_id, identity.version, kind,
            )
        self._complaint = ""

    # --------------------------------------------------------------------------------------------------------- flights

    def assign(self, flight: Flight) -> None:
        """Fly this next: from the ground, or in place of what it flies now."""
        self._assigned = flight
        if self.sortie is not None:
            self.sortie.hand_over(said("task.replaced", drone=self.drone.name, plan=flight.plan.plan_id))

    def has(self, flight: Flight) -> bool:
        """Whether it flies this, or will."""
        return flight is self._assigned or flight is self.flight

    async def started(self, flight: Flight) -> Outcome:
        """What became of a flight that was assigned: it has taken off, or was taken up in the air, or why not."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + STARTED_WITHIN_S
        while loop.time() < until_s:
            sortie = flight.sortie
            if sortie is not None and (sortie.begun or sortie.over):
                return Outcome.of(sortie.begun, sortie.last_words)
            if sortie is None and not self.has(flight):
                overtaken = said("dispatch.overtaken")
                return Outcome.of(False, overtaken)
            await asyncio.sleep(STARTED_LOOK_S)
        return Outcome.of(False, said("sortie.not_started", drone=self.drone.name, seconds=round(STARTED_WITHIN_S)))

    @property
    def is_assigned(self) -> bool:
        return self._assigned is not None

    def habit(self) -> Habit:
        """What it flies where nobody says otherwise: as its first patrol in the settings."""
        return Habit(self._patrols[0].height_m, self._patrols[0].speed_m_s) if self._patrols else Habit()

    async def set_mode(self, mode: str) -> Outcome:
        """Of a drone that nobody flies a plan of."""
        return await set_mode(self.link, self.drone, self._system_id, mode)

    async def swap_battery(self) -> Outcome:
        """Have a full battery put into a simulated drone on the ground; refused for any other."""
        why = self.refusal() or swap_refusal(self.drone)
        return Outcome.of(False, why) if why is not None else await swap_battery(self.link, self.drone, self._system_id)

    async def _fly_all(self) -> None:
        """What is ordered, and patrols by the settings when nothing is: one after the other, repeating those that repeat."""
        due = {i: 0.0 for i, p in enumerate(self._patrols) if p.launch == "auto"}
        loop = asyncio.get_running_loop()
        while True:
            flight, self._assigned = self._assigned, None
            if flight is not None:
                await self._fly(flight)
                continue
            await asyncio.sleep(0.1)
            await self._call_orphan_home()
            ready = [i for i, at_s in due.items() if loop.time() >= at_s]
            if not ready or self.patrols_held or not self._may_start() or self._assigned is not None:
                continue
            number = ready[0]
            patrol = self._patrols[number]
            due.pop(number)
            if not await self._fly_patrol(patrol):
                due[number] = loop.time() + AGAIN_S     # refused on the ground: the same again, until it works
            elif patrol.repeat:
                due[number] = loop.time() + patrol.pause_s

    async def _call_orphan_home(self) -> None:
        """A drone that hovers because an earlier start of this service told it to, and that nobody has a plan of any more.

        While we speak its own station failsafe keeps still; in AUTO it comes home by itself.
        """
        drone = self.drone
        known = drone.identity is not None and self._known_for == (self.link.connections, drone.boots)
        if not known or self.refusal() is not None or not drone.airborne() or drone.mode() not in HOVERING:
            self._orphan_s = None
            return
        now_s = asyncio.get_running_loop().time()
        self._orphan_s = now_s if self._orphan_s is None else self._orphan_s
        if now_s - self._orphan_s >= ORPHAN_S:
            self._orphan_s = None
            outcome = await self.set_mode("RTL")
            _log.warning("%s hovers in nobody's plan and is called home: %s", drone.name, outcome.sentence)

    def _may_start(self) -> bool:
        """Whether the drone is known, allowed to be commanded, and on the ground; why not is said once."""
        if self._known_for != (self.link.connections, self.drone.boots):
            return False
        refusal = self.refusal()
        if refusal is not None:
            self._complain(refusal.sentence)
        elif self.drone.airborne():
            self._complain(f"{self.drone.name}: in the air already, in {self.drone.mode()}; left until it lands")
        return refusal is None and self.drone.link() is LinkState.CONNECTED and not self.drone.armed()

    def refusal(self) -> Said | None:
        """Why the aircraft that answers must not be commanded at all; None for one that may, and for one not known yet."""
        identity = self.drone.identity
        if identity is None:
            return None
        wanted = self.settings.hardware_id.lower()
        if wanted and identity.hardware_id != wanted:
            return said(
                "dispatch.other_hardware", drone=self.drone.name, connection=self.settings.connection,
                found=identity.hardware_id, wanted=wanted,
            )
        if not self.drone.quirks.flown:
            return said("dispatch.not_flown", drone=self.drone.name, kind=self.drone.quirks.name)
        return realm_refusal(self.drone.name, self._terms.realm, simulated=identity.simulated)

    async def _fly_patrol(self, patrol: PatrolSettings) -> bool:
        """One sortie by the settings. False when it did not take off, and nobody has ended it."""
        identity = self.drone.identity
        assert identity is not None
        task_id = self._terms.name_task(self.drone.name)
        wish = PatrolWish(
            self.drone.name, patrol.corridor, GroundPosition(*self.settings.home), patrol.height_m, patrol.speed_m_s,
            patrol.reach_m, patrol.from_m, patrol.rounds, patrol.follow_ground,
            self._terms.views.get(self.drone.name) if patrol.by_camera else None, patrol.overlap,
        )
        limits = self.limits()
        try:
            plan = plan_patrol(wish, self._terms.sector, identity, f"plan-{task_id}", self._terms.clock.utc_ns(), limits)
        except PlanError as error:
            self._complain(f"{self.drone.name}: {error}")
            return False
        return await self._fly(Flight(plan, task_id))

    async def _fly(self, flight: Flight) -> bool:
        """One sortie. True when it took off, or was flown to its end, or another one takes its place."""
        identity = self.drone.identity
        if identity is None or (self.drone.airborne() and flight.plan.hardware_id != identity.hardware_id):
            return False
        learner = self._learner = EnergyLearner(self._energy(identity.hardware_id))
        terms = SortieTerms(
            self._terms.realm, self.limits(learner.model), self.settings.battery_least_percent,
            self.settings.battery_return_percent, learner, self.traffic, self._camera_pitch_deg(),
        )
        sortie = Sortie(
            flight.plan, flight.task_id, self.link, self.drone, self._terms.sector, terms, self._terms.clock,
            self._terms.report, flight.errand,
        )
        self.sortie, self.flight, flight.sortie = sortie, flight, sortie
        if self.recorder is not None:
            self.recorder.task_id, self.recorder.plan_id = flight.task_id, flight.plan.plan_id
        try:
            done = await sortie.fly()
            if sortie.launched and not done and not sortie.handed_over:
                await until(lambda: not self.drone.armed() or self._assigned is not None, 600.0)
        except Exception:  # a fault in our own code: told and raised on, and the drone does not wait for it
            if self.drone.airborne():
                back = await self.set_mode("RTL")
                sortie.say(TaskPhase.FAILED, said("sortie.fault", drone=self.drone.name, outcome=back.said))
            raise
        finally:
            self.sortie = self.flight = self._learner = None
        self._keep_energy(identity.hardware_id, learner)
        return sortie.launched or done or sortie.handed_over

    def limits(self, energy: EnergyModel | None = None) -> CheckLimits:
        """By which a plan for now is checked: this wind, this battery, these permits, this traffic."""
        if energy is None and self.drone.identity is not None:
            energy = self._energy(self.drone.identity.hardware_id)
        percent = self.drone.fresh(self.drone.battery_percent)
        clock = self._terms.clock
        return CheckLimits(
            self.settings.endurance_s, wind=self._terms.wind, airspeed_m_s=self.settings.airspeed_m_s, energy=energy,
            charge_percent=100.0 if percent is None else percent, at_ns=clock.utc_ns(), permits=self._terms.permits,
            traffic=self.traffic.now(), now_ns=clock.monotonic_ns(),
        )

    def _camera_pitch_deg(self) -> float | None:
        """Of its gimbal on a patrol."""
        view = self._terms.views.get(self.drone.name)
        if not self.settings.gimbal:
            return None
        return view.pitch_deg if view is not None else CAMERA_PITCH_DEG

    def _energy_file(self, hardware_id: str) -> Path | None:
        folder = self._terms.energy_folder
        return folder / f"{self.drone.name}-{hardware_id}.json" if folder is not None else None

    def _energy(self, hardware_id: str) -> EnergyModel:
        """What earlier flights of this aircraft have taught, and this one so far; or what its settings claim."""
        if self._learner is not None:
            return self._learner.model
        file = self._energy_file(hardware_id)
        known = EnergyModel.load(file) if file is not None else None
        return known.aged() if known is not None else EnergyModel.of_endurance(self.settings.endurance_s)

    def _keep_energy(self, hardware_id: str, learner: EnergyLearner) -> None:
        file = self._energy_file(hardware_id)
        if file is None or not learner.taught:
            return
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            learner.model.save(file)
        except OSError as error:
            _log.warning("%s: what this flight taught of its battery cannot be kept: %s", self.drone.name, error)

    def _complain(self, sentence: str) -> None:
        """Say it once, not every half second."""
        if sentence != self._complaint:
            self._complaint = sentence
            _log.warning("%s", sentence)
