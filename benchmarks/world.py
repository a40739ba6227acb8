"""How fast the simulated world runs without being drawn: the demo's evening, with fifty actors about."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from benchmarks.form import Figure, figure
from geofences.sector import load_sector
from sim.landscape_cache import cached_landscape
from sim.moments import encode_moment
from sim.world import World
from sim.world_scenario import Scenario, load_scenario
from sim.world_settings import ActorSettings, FollowTrail, Repeat, Spot
from sim.world_state import Kind, Landscape, Role
from wire.clock import NS_PER_S, WallClock

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
ACTORS = 50
BEGIN_S, SECONDS = 150.0, 120.0     # of simulated time: when the evening is in full swing, and for how long it is measured
RUNS = 5

_clock = WallClock()


def measure() -> dict[str, Figure]:
    sector = load_sector(CONFIGS / "sectors/laobao/sector.toml")
    scenario = _crowded(load_scenario(CONFIGS / "worlds/dusk.toml", sector))
    began_ns = _clock.monotonic_ns()
    landscape = scenario.make_landscape()
    made_s = (_clock.monotonic_ns() - began_ns) / NS_PER_S
    cached_landscape(scenario)
    read_s = [_timed(lambda: cached_landscape(scenario)) for _ in range(RUNS)]
    steps = [_steps(scenario, landscape) for _ in range(RUNS)]
    told = [_moments(scenario, landscape) for _ in range(RUNS)]
    actors = [count for count, _, _ in steps]
    return {
        "times_real_time": figure(
            [SECONDS / s for _, s, _ in steps], "ratio",
            f"{SECONDS:.0f} s of the demo's evening, {min(actors):.0f} actors at the least, in steps of 0.1 s", ">= 100",
        ),
        "times_real_time_of_one_core": figure(
            [SECONDS / s for _, _, s in steps], "ratio", "the same by the processor's time, so without other people's work",
        ),
        "times_real_time_published": figure(
            [SECONDS / s for s in told], "ratio", "the same, and a Moment made and encoded after every step",
        ),
        "actors": figure(actors, "", "least number of actors in the measured time", f">= {ACTORS}"),
        "landscape_made_s": figure([made_s], "s", "the whole landscape of the sector Lao Bảo, from its seed", "< 10"),
        "landscape_read_s": figure(read_s, "s", "the same from the cache, as the second process of a demo gets it"),
    }


def _crowded(scenario: Scenario) -> Scenario:
    """The demo's scenario with walkers up and down the trail, until there are enough."""
    crowd = [
        ActorSettings(
            name=f"walkers-{i}", kind=Kind.PERSON, role=Role.FARMER, count=4, at=Spot(on="khe-da", at_m=400.0 + 60.0 * i),
            script=[Repeat(script=[FollowTrail(trail="khe-da", to_m=1200.0), FollowTrail(trail="khe-da", to_m=400.0)])],
        )
        for i in range(6)
    ]
    settings = msgspec.structs.replace(scenario.settings, actors=[*scenario.settings.actors, *crowd])
    return Scenario(scenario.file, settings, scenario.landscape, scenario.sector, scenario.plan, scenario.lines)


def _started(scenario: Scenario, landscape: Landscape) -> World:
    world = World(scenario, landscape, 0)
    world.advance_to(BEGIN_S)
    return world


def _steps(scenario: Scenario, landscape: Landscape) -> tuple[float, float, float]:
    """Least number of actors, and seconds that the stepping took: by the clock, and of the processor."""
    world = _started(scenario, landscape)
    least = len(world.bodies)
    took = cpu = 0.0
    for k in range(int(SECONDS)):
        began = time.process_time()
        took += _timed(lambda k=k: world.advance_to(BEGIN_S + k + 1.0))     # type: ignore[misc]
        cpu += time.process_time() - began
        least = min(least, len(world.bodies))
    return float(least), took, cpu


def _moments(scenario: Scenario, landscape: Landscape) -> float:
    world = _started(scenario, landscape)

    def run() -> None:
        for k in range(int(SECONDS * 10)):
            encode_moment(world.moment_at(BEGIN_S + (k + 1) / 10.0))

    return _timed(run)


def _timed(work: Callable[[], object]) -> float:
    began_ns = _clock.monotonic_ns()
    work()
    return (_clock.monotonic_ns() - began_ns) / NS_PER_S
