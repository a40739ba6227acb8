"""Links and transfers of the fleet: a mission through a bad line, many uploads to many drones, many drones at once."""

from __future__ import annotations

import asyncio
import heapq
import multiprocessing
import random
import socket
import statistics
from dataclasses import dataclass, field
from typing import Any

import psutil
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from benchmarks.form import Figure, Peer, figure
from fleet.drone import Drone
from fleet.mission import FENCE, MISSION, RALLY, MissionItem, differences, plan_items
from fleet.plan_transfer import Aircraft, PlanTransfer
from fleet.transfer import Download, Target, Upload
from mavlink.link import Link
from sim.autopilot_mission import Item, MissionStore
from wire.clock import NS_PER_S, WallClock
from wire.flying import Plan, RallyPoint, Waypoint, WaypointKind
from wire.units import GroundPosition

UPLOADS, ITEMS, LOSS, DELAY_S = 100, 100, 0.2, 0.15
VEHICLE_RETRY_S, STATION_RETRY_S = 1.0, 0.25    # ArduPilot's own; the protocol's per item, but never below a round trip
MIXED_UPLOADS, MIXED_DRONES = 1000, 20
DRONES, RATE_HZ, WATCH_S = 50, 50.0, 20.0
STEP_S = 0.02
HOME = GroundPosition(16.62225, 106.60230)


@dataclass
class Vehicle:
    """The autopilot model's mission store, which says which aircraft it is."""

    system_id: int = 1
    hardware: bytes = b"\xa1\xb2\xc3"
    out: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        home = Item(0, 0, 16, x=166_222_500, y=1_066_023_000, z=165.0)
        self.store = MissionStore(lambda _c, m: self.out.append(m), lambda: home, lambda _k: None, lambda: True)
        self.packer = mavlink.MAVLink(None, self.system_id, 1)

    def take(self, m: Any, now_s: float) -> None:
        if m.get_type() == "COMMAND_LONG":
            uid2 = list(self.hardware.ljust(18, b"\0"))
            self.out.append(
                mavlink.MAVLink_autopilot_version_message(0, 0x04070000, 0, 0, 0, [0] * 8, [0] * 8, [0] * 8, 0, 0, 0, uid2)
            )
        else:
            self.store.take(m, 0, now_s)


class Air:
    """One channel in simulated time, on which all drones hear everything: loses and delays whole messages."""

    def __init__(self, chance: random.Random, loss: float, delay_s: float, wander_s: float = 0.0) -> None:
        self.now_s = 2.0
        self._chance, self._loss, self._delay_s, self._wander_s = chance, loss, delay_s, wander_s
        self._under_way: list[tuple[float, int, int, Any]] = []
        self._count = 0
        self._station = mavlink.MAVLink(None, 255, 190)
        self._parser = mavlink.MAVLink(None)

    def say(self, message: Any, vehicle: Vehicle | None) -> None:
        """From a vehicle, or from the station for None."""
        self._count += 1
        packed = message.pack(vehicle.packer if vehicle else self._station)
        if self._chance.random() >= self._loss:
            at = self.now_s + self._delay_s + self._wander_s * self._chance.random()
            heapq.heappush(self._under_way, (at, self._count, vehicle.system_id if vehicle else 0, packed))

    def step(self, machines: dict[int, Any], vehicles: dict[int, Vehicle]) -> None:
        for machine in machines.values():
            for message in machine.poll(self.now_s):
                self.say(message, None)
        for vehicle in vehicles.values():
            vehicle.store.tick(self.now_s)
        while self._under_way and self._under_way[0][0] <= self.now_s:
            _, _, sender, packed = heapq.heappop(self._under_way)
            message = self._parser.parse_buffer(packed)[0]
            if sender == 0:
                vehicles[message.target_system].take(message, self.now_s)
            elif sender in machines:
                for answer in machines[sender].take(message, self.now_s):
                    self.say(answer, None)
        for vehicle in vehicles.values():
            for answer in vehicle.out:
                self.say(answer, vehicle)
            vehicle.out.clear()
        self.now_s += STEP_S


def _hundred_items() -> tuple[MissionItem, ...]:
    items = [MissionItem(0, 0, 16, lat_e7=166_222_500, lon_e7=1_066_023_000, height_m=165.0)]
    items += [
        MissionItem(i, 3, 16, lat_e7=166_222_500 - 999 * i, lon_e7=1_066_023_000 - 777 * i, height_m=30.0 + 0.11 * i)
        for i in range(1, ITEMS)
    ]
    return tuple(items)


def _one_upload(seed: int) -> tuple[float, bool, int]:
    """Seconds until the mission was up, read back and compared; whether it is right; items answered before being asked."""
    items, vehicle = _hundred_items(), Vehicle()
    air = Air(random.Random(seed), LOSS, DELAY_S)
    began_s = air.now_s
    machine: Any = Upload(items, Target(1), air.now_s)
    nudged = 0
    for _ in range(2):
        while machine.end is None:
            air.step({1: machine}, {1: vehicle})
        if isinstance(machine, Upload):
            nudged = machine.nudged
            if not machine.end.done:
                return air.now_s - began_s, False, nudged
            machine = Download(Target(1), air.now_s)
    right = machine.end.done and not differences(items, machine.end.items)
    right = right and not differences(items, _held(vehicle, MISSION))
    return air.now_s - began_s, right, nudged


def _stop_and_wait(seed: int) -> float:
    """The protocol's own way: the drone asks for one item after the other and again each second; the station reads one
    item after the other, and asks again after the protocol's 250 ms or a round trip, whichever is longer."""
    chance = random.Random(seed)
    trip_s = 2.0 * DELAY_S
    seconds = 0.0
    for again_s in (VEHICLE_RETRY_S, max(STATION_RETRY_S, trip_s)):
        for _ in range(ITEMS + 1):      # and the count or the list before it
            while True:
                if chance.random() >= LOSS and chance.random() >= LOSS:
                    seconds += trip_s
                    break
                seconds += again_s
    return seconds


def _bad_line() -> dict[str, Figure]:
    runs = [_one_upload(seed) for seed in range(UPLOADS)]
    base = statistics.median(_stop_and_wait(seed) for seed in range(1000))
    took = [seconds for seconds, _, _ in runs]
    right = sum(good for _, good, _ in runs)
    how = f"{UPLOADS} missions of {ITEMS} items, up and read back, 20 % lost and 150 ms each way, simulated time"
    return {
        "missions_right": figure([float(right)], "missions", how, f">= {UPLOADS}"),
        "mission_seconds": figure(took, "s", how, peer=Peer("stop-and-wait, simulated", round(base, 1))),
        "mission_to_stop_and_wait": figure([t / base for t in took], "ratio", "the same, to stop-and-wait", "<= 1.3"),
    }


def _a_plan(chance: random.Random, system_id: int, hardware: str) -> Plan:
    def place() -> GroundPosition:
        return GroundPosition(16.60 + chance.random() * 0.04, 106.58 + chance.random() * 0.04)

    points = [Waypoint(WaypointKind.TAKEOFF, HOME, 30.0, 0.0)]
    points += [Waypoint(WaypointKind.WAYPOINT, place(), 40.0, 9.0) for _ in range(chance.randrange(1, 12))]
    points.append(Waypoint(WaypointKind.RETURN, HOME, 30.0, 5.0))
    fence = tuple(place() for _ in range(chance.choice([0, 3, 6])))
    rally = tuple(RallyPoint(place(), 40.0) for _ in range(chance.choice([0, 1, 2])))
    return Plan("p", f"drone-{system_id}", system_id, hardware, "khe-da", HOME, tuple(points), 0, fence=fence, rally=rally)


def _held(vehicle: Vehicle, kind: int) -> tuple[MissionItem, ...]:
    """What is in the drone, looked at from inside."""
    items = vehicle.store.items[kind]
    return tuple(MissionItem(i.seq, i.frame, i.command, i.p1, i.p2, i.p3, i.p4, i.x, i.y, i.z) for i in items)


def _holds(vehicle: Vehicle, parts: dict[int, tuple[MissionItem, ...]]) -> bool:
    return not any(differences(parts[kind], _held(vehicle, kind), kind) for kind in (MISSION, FENCE, RALLY))


def _mixed() -> dict[str, Figure]:
    """Rounds in which all drones get plans at once on one channel; some are cut off, some have changed their aircraft."""
    chance = random.Random(11)
    vehicles = {i: Vehicle(i, bytes([0xA0, i])) for i in range(1, MIXED_DRONES + 1)}
    wrong = done = told = 0
    for _ in range(MIXED_UPLOADS // MIXED_DRONES):
        air = Air(chance, chance.choice([0.0, 0.1, 0.2]), chance.choice([0.02, 0.15]), 0.1)
        machines, parts = {}, {}
        for i, vehicle in vehicles.items():
            vehicle.hardware = bytes([0xA0, i if chance.random() > 0.05 else 0xFF])     # another aircraft of this number
            plan = _a_plan(chance, i, bytes([0xA0, i]).hex())
            parts[i] = plan_items(plan, 165.0)
            machines[i] = PlanTransfer(parts[i], Aircraft(i, plan.hardware_id), air.now_s)
        cut = {i for i in vehicles if chance.random() < 0.1}
        until_s = chance.uniform(3.0, 20.0)
        gone: dict[int, Any] = {}
        while any(m.end is None for m in machines.values()):
            air.step(machines, vehicles)
            if air.now_s > until_s and cut:
                for i in cut:           # the station dies in the middle: nobody hears of the rest
                    gone[i] = machines.pop(i)
                cut = set()
        for i, machine in machines.items():
            good = machine.end is not None and machine.end.done
            told += not good
            done += good
            wrong += good and (not _holds(vehicles[i], parts[i]) or vehicles[i].hardware[1] == 0xFF)
    how = f"{MIXED_UPLOADS} plans (mission, fence, rally) to {MIXED_DRONES} drones on one channel; lost, late, disordered"
    rest = f"of the same; {told} reported as not done, the rest cut off on purpose"
    return {
        "wrong_plans": figure([float(wrong)], "plans", how + "; said to be in the drone and not in it", "<= 0"),
        "plans_done": figure([float(done)], "plans", rest),
    }


def _drones(port: int, count: int, rate_hz: float, seconds: float, sent: Any) -> None:
    """Another process: drones that speak. Every second message is a position."""
    began_s = WallClock().monotonic_ns() / NS_PER_S
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    packers = [mavlink.MAVLink(None, i, 1) for i in range(1, count + 1)]
    said = 0
    clock = WallClock()
    while (now_s := clock.monotonic_ns() / NS_PER_S - began_s) < seconds:
        due = int(now_s * rate_hz) + 1
        while said < due:
            for packer in packers:
                stamp = round(now_s * 1000) + 100_000
                message: Any
                kind = said % 20
                if kind == 1:
                    message = mavlink.MAVLink_heartbeat_message(2, 3, 81, 0, 4, 3)
                elif kind % 2 == 0:
                    message = mavlink.MAVLink_global_position_int_message(
                        stamp, 166_222_500 + said, 1_066_023_000, 165_000, 0, 0, 0, 0, 0
                    )
                elif kind < 13:
                    message = mavlink.MAVLink_attitude_message(stamp, 0.1, 0.1, 1.0, 0, 0, 0)
                else:
                    message = mavlink.MAVLink_sys_status_message(0, 0, 0, 0, 12000, 0, 80, 0, 0, 0, 0, 0, 0)
                sock.sendto(message.pack(packer), ("127.0.0.1", port))
                packer.seq = (packer.seq + 1) % 256
            said += 1
        clock.sleep(0.002)
    sent.value = said * count


def _processor_s() -> float:
    used = psutil.Process().cpu_times()
    return float(used.user + used.system)


async def _watch() -> tuple[float, int, int, float]:
    """Share of a core, messages sent, messages taken, and the greatest age of a state (s) while they came."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    link = Link(f"udpin:127.0.0.1:{port}", WallClock())
    drones = {i: Drone(f"drone-{i}", WallClock()) for i in range(1, DRONES + 1)}
    taken = 0

    async def listen(system_id: int) -> None:
        nonlocal taken
        with link.subscribe(system_id=system_id, limit=2000) as heard:
            while True:
                m = await heard.get(1.0)
                if m is not None:
                    drones[system_id].take(m)
                    taken += 1

    tasks = [asyncio.create_task(link.run()), *(asyncio.create_task(listen(i)) for i in drones)]
    await asyncio.sleep(0.5)
    context = multiprocessing.get_context("spawn")
    sent = context.Value("i", 0)
    speaking = context.Process(target=_drones, args=(port, DRONES, RATE_HZ, WATCH_S, sent))
    speaking.start()
    while taken == 0:
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)
    ages: list[float] = []
    loop = asyncio.get_running_loop()
    cpu_s, began_s = _processor_s(), loop.time()
    while loop.time() - began_s < WATCH_S - 4.0:
        await asyncio.sleep(0.05)
        ages.append(max(d.age_s(d.position) for d in drones.values()))
    share = (_processor_s() - cpu_s) / (loop.time() - began_s) * 100.0
    await asyncio.to_thread(speaking.join)
    for _ in range(100):
        if taken >= sent.value:
            break
        await asyncio.sleep(0.1)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    ages.sort()
    return share, sent.value, taken, ages[int(len(ages) * 0.99)]


def _many() -> dict[str, Figure]:
    runs = [asyncio.run(_watch()) for _ in range(3)]
    how = f"{DRONES} drones at {RATE_HZ:g} messages/s on one UDP port, {WATCH_S - 4:g} s, one process, state of each kept"
    lost = [float(sent - taken) for _, sent, taken, _ in runs]
    return {
        "fifty_drones_core": figure([share for share, *_ in runs], "%", how, "< 60"),
        "fifty_drones_lost": figure(lost, "messages", f"the same, of {runs[0][1]} sent", "<= 0"),
        "fifty_drones_state_age": figure(
            [age * 1000.0 for *_, age in runs], "ms", "the same: age of the oldest of 50 positions, 99 % of looks", "<= 100"
        ),
    }


def measure() -> dict[str, Figure]:
    return {**_bad_line(), **_mixed(), **_many()}
