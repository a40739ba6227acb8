"""A fleet with its simulated drones in one process, over real sockets, in a time that runs as many times faster as wished.

The loop's time, the clock that is handed to everybody, and the drones' own time run at the same rate: a second of waiting
is a second for all of them. For tests and benchmarks; how many times the machine manages shows in `late_s`.
"""

from __future__ import annotations

import asyncio
import contextlib
import selectors
import threading
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from fleet.dispatcher import Dispatcher
from fleet.order_journal import OrderJournal
from fleet.orders import FleetOrders
from fleet.pilot import Pilot, PilotTerms
from fleet.routes_camera import CameraView
from fleet.settings import DroneSettings, PatrolSettings
from fleet.wind import Wind
from geofences.sector import Sector
from mavlink.link import Link
from mavlink.roads import Roads
from sim.autopilot import AutopilotProcess, AutopilotSettings
from wire.clock import NS_PER_S, WallClock
from wire.flying import TaskPhase, TaskState
from wire.messages import OrderResult, UpBody
from wire.tasking import FleetOrder, Offer, Target
from wire.units import Realm

HARDWARE = "a1b2c3"
BREEZE = Wind(2.0, 0.5, None, assumed=False)


class FastClock:
    """The machine's time, `rate` times as fast since it was made."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self._wall = WallClock()
        self._utc_ns, self._monotonic_ns = self._wall.utc_ns(), self._wall.monotonic_ns()

    def monotonic_ns(self) -> int:
        return self._monotonic_ns + round((self._wall.monotonic_ns() - self._monotonic_ns) * self.rate)

    def utc_ns(self) -> int:
        return self._utc_ns + self.monotonic_ns() - self._monotonic_ns

    def sleep(self, seconds: float) -> None:
        self._wall.sleep(seconds / self.rate)


class _FastSelector(selectors.DefaultSelector):
    rate = 1.0

    def select(self, timeout: float | None = None) -> Any:
        return super().select(timeout / self.rate if timeout is not None and timeout > 0 else timeout)


class FastLoop(asyncio.SelectorEventLoop):
    """An event loop whose seconds are those of a FastClock."""

    def __init__(self, clock: FastClock) -> None:
        selector = _FastSelector()
        selector.rate = clock.rate
        self._fast = clock
        super().__init__(selector)

    def time(self) -> float:
        return self._fast.monotonic_ns() / NS_PER_S


class Heard:
    """What the fleet has reported, in its order."""

    def __init__(self) -> None:
        self.bodies: list[UpBody] = []

    def take(self, body: UpBody) -> None:
        self.bodies.append(body)

    def of(self, kind: type) -> list[Any]:
        return [b for b in self.bodies if isinstance(b, kind)]

    def phases(self, plan_id: str) -> list[TaskPhase]:
        return [t.phase for t in self.of(TaskState) if t.plan_id == plan_id]


class Stage:
    """drones: by name. order() and target() are what would come down the uplink.

    connections: of drones that are flown by somebody else than our model and run already, at this rate. energy_folder:
    where what flights teach is kept; nowhere.
    """

    def __init__(
        self, sector: Sector, folder: Path, drones: Mapping[str, AutopilotSettings], *, rate: float = 10.0,
        wind: Wind = BREEZE, realm: Realm = Realm.TRAINING,
        patrols: tuple[PatrolSettings, ...] = (), settings: Mapping[str, Any] | None = None,
        views: Mapping[str, CameraView] | None = None, connections: Mapping[str, str] | None = None,
        energy_folder: Path | None = None,
    ) -> None:
        self.clock, self.heard, self.sector, self.folder = FastClock(rate), Heard(), sector, folder
        connected = connections or {}
        self.autopilots = {
            name: AutopilotProcess(msgspec.structs.replace(s, speedup=rate), WallClock())
            for name, s in drones.items() if name not in connected
        }
        self._counted = 0
        self.terms = PilotTerms(
            realm, sector, self.clock, self.heard.take, self._name_task, 1.0, wind, views=dict(views or {}),
            energy_folder=energy_folder,
        )
        self.settings = {
            name: DroneSettings(
                name, connected.get(name) or f"tcp:127.0.0.1:{self.autopilots[name].ports[0]}", s.home, **(settings or {})
            )
            for name, s in drones.items()
        }
        self._patrols = patrols
        self.pilots: dict[str, Pilot] = {}
        self._threads = [threading.Thread(target=a.serve, daemon=True) for a in self.autopilots.values()]

    def run(self, play: Callable[[Stage], Any]) -> Any:
        """Run `play`, a coroutine function, on the stage's own loop."""
        async def whole() -> Any:
            async with self._standing():
                return await play(self)

        for thread in self._threads:
            thread.start()
        try:
            with asyncio.Runner(loop_factory=lambda: FastLoop(self.clock)) as runner:
                return runner.run(whole())
        finally:
            for autopilot in self.autopilots.values():
                autopilot.stop()
            for thread in self._threads:
                thread.join(5.0)
            for autopilot in self.autopilots.values():
                autopilot.close()

    @contextlib.asynccontextmanager
    async def _standing(self) -> AsyncIterator[None]:
        journal = OrderJournal(self.folder / "orders.db")
        self.orders = FleetOrders(journal, self.clock, self.heard.take)
        self.links = links = {name: Link(s.connection, self.clock) for name, s in self.settings.items()}
        for name, s in self.settings.items():
            mine = [p for p in self._patrols if p.drone == name]
            self.pilots[name] = Pilot(s, mine, self.terms, Roads([links[name]], s.system_id))
        self.dispatcher = Dispatcher(list(self.pilots.values()), self.terms, self.orders)
        running = [asyncio.create_task(link.run()) for link in links.values()]
        running += [asyncio.create_task(p.run()) for p in self.pilots.values()]
        running.append(asyncio.create_task(self.dispatcher.run()))
        try:
            drones = [p.drone for p in self.pilots.values()]
            await self.until(lambda: all(d.ready() and d.identity is not None for d in drones), 90.0, "until all are ready")
            yield
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            journal.close()

    def _name_task(self, drone: str) -> str:
        self._counted += 1
        return f"{drone or 'fleet'}-{self._counted}"

    async def until(self, holds: Callable[[], Any], seconds: float, why: str = "") -> None:
        """Seconds of the stage. AssertionError, with what was said last, when it does not come."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + seconds
        while not holds():
            if loop.time() >= until_s:
                tasks = [f"{t.plan_id} {t.phase.value}: {t.sentence}" for t in self.heard.of(TaskState)[-6:]]
                answers = [f"{r.order_id} {r.done}: {r.detail}" for r in self.heard.of(OrderResult)[-3:]]
                raise AssertionError(f"not within {seconds} s {why}: {tasks} {answers}")
            await asyncio.sleep(0.05)

    def order(self, order: FleetOrder) -> None:
        self.orders.hear(order)

    def target(self, target: Target) -> None:
        self.orders.hear(target)

    async def ordered(self, order: FleetOrder, seconds: float = 120.0) -> OrderResult:
        """Give an order, and wait for its answer."""
        self.order(order)
        await self.until(lambda: self.answer(order.order_id) is not None, seconds, f"for an answer to {order.order_id}")
        answer = self.answer(order.order_id)
        assert answer is not None
        return answer

    def answer(self, order_id: str) -> OrderResult | None:
        return next((r for r in self.heard.of(OrderResult) if r.order_id == order_id), None)

    def offer(self, order_id: str) -> Offer | None:
        return next((o for o in self.heard.of(Offer) if o.order_id == order_id), None)


def drone_settings(system_id: int = 1, **changes: Any) -> AutopilotSettings:
    """A drone of the sector Lao Bảo as the tests have it: quickly ready, on free ports."""
    fields: dict[str, Any] = {
        "hardware_id": f"{HARDWARE}{system_id:02x}", "home": (16.62225, 106.60230), "home_msl_m": 165.0, "ports": [0, 0],
        # A machine that is busy for half a second is not to be a station that is lost for five.
        "settle_s": 3.0, "seed": system_id, "parameters": {"FS_GCS_TIMEOUT": 60.0},
    }
    return AutopilotSettings(system_id, **{**fields, **changes})
