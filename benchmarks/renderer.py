"""How fast the world is drawn in software: the demo's evening from its first mast, and from a drone 60 m up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np

from benchmarks.form import Figure, figure
from cameras.lens import Lens
from cameras.pose import Pose
from cameras.project import project
from geofences.sector import load_sector
from sim.landscape_cache import cached_landscape
from sim.raster import turns
from sim.renderer import Renderer
from sim.renderer_light import Palette
from sim.renderer_meshes import actor_mesh
from sim.world import World
from sim.world_scenario import Scenario, load_scenario
from sim.world_state import Kind, Landscape, Moment
from wire.clock import NS_PER_S, WallClock

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
LENS = Lens(1280, 720, 1000.0, 1000.0, 639.5, 359.5, -0.12, 0.03)
SIZES = ((640, 360), (1280, 720), (1920, 1080))
BEGIN_S = 60.0                  # of the evening: the party of three is in the picture
PICTURES = 40                   # a run
RUNS = 3
DRONE_PICTURES = 12
DRONE_MOVES_M, DRONE_TURNS_DEG = 0.4, 0.15     # from picture to picture: 4 m/s at 10 pictures a second

_clock = WallClock()


@dataclass(frozen=True, slots=True)
class _Pace:
    """Of one run: seconds a picture by the clock, and of the processor, all threads together."""

    wall_s: float
    cpu_s: float


def measure() -> dict[str, Figure]:
    cv2.setNumThreads(1)        # as in a camera's process
    sector = load_sector(CONFIGS / "sectors/laobao/sector.toml")
    scenario = load_scenario(CONFIGS / "worlds/dusk.toml", sector)
    landscape = cached_landscape(scenario)
    moments = _moments(scenario, landscape)
    east, north = (float(v) for v in sector.frame.to_enu(16.620915, 106.593924)[0])
    ground = float(landscape.terrain.height_msl_m([[east, north]])[0])
    mast = Pose(east, north, ground + 8.0, 184.0, -14.0)
    drone = Pose(east - 20.0, north + 35.0, ground + 60.0, 170.0, -45.0)
    figures: dict[str, Figure] = {}
    for width, height in SIZES:
        lens, name = LENS.scaled(width, height), f"{height}p"
        renderer = Renderer(landscape, 1)
        first = _paced(lambda: renderer.render(moments[0], mast, lens), 1)     # noqa: B023 -- called here and now
        still = [_still(renderer, moments, mast, lens) for _ in range(RUNS)]
        flown = [_flown(renderer, moments, drone, lens) for _ in range(RUNS)]
        goal = ">= 10" if height == 720 else None
        figures[f"mast_{name}_per_s"] = figure(
            [1 / p.wall_s for p in still], "1/s",
            f"{PICTURES} pictures of a standing camera, bent lens, {width} x {height}, JPEG and truth included", goal,
        )
        figures[f"mast_{name}_core_ms"] = figure(
            [p.cpu_s * 1e3 for p in still], "ms", "the same: one core's time for a picture, so without others' work",
        )
        figures[f"drone_{name}_per_s"] = figure(
            [1 / p.wall_s for p in flown], "1/s", f"{DRONE_PICTURES} pictures from 60 m, at -45 degrees and 4 m/s",
            ">= 3" if height == 720 else None,
        )
        figures[f"drone_{name}_core_ms"] = figure(
            [p.cpu_s * 1e3 for p in flown], "ms", "the same: one core's time for a picture",
        )
        figures[f"first_{name}_s"] = figure([first.wall_s], "s", "the first picture: shaders, plants, the kept backdrop")
        if height == 720:
            figures["box_error_px"] = figure(
                _box_errors_px(renderer, moments, mast, lens), "px",
                "people's boxes against all their vertices through cameras.project, bent lens; median, and the worst", "< 1",
            )
        renderer.close()
    return figures


def _moments(scenario: Scenario, landscape: Landscape) -> list[Moment]:
    world = World(scenario, landscape, 1_800_000_000 * NS_PER_S)
    return [world.moment_at(BEGIN_S + k / 10) for k in range(PICTURES)]


def _still(renderer: Renderer, moments: list[Moment], pose: Pose, lens: Lens) -> _Pace:
    renderer.render(moments[0], pose, lens)
    renderer.render(moments[0], pose, lens)     # stands still from here on
    turn = iter(moments)
    return _paced(lambda: renderer.render(next(turn), pose, lens, Palette.DAY), len(moments))


def _flown(renderer: Renderer, moments: list[Moment], pose: Pose, lens: Lens) -> _Pace:
    renderer.render(moments[0], pose, lens)
    ways = iter(range(1, DRONE_PICTURES + 1))

    def one() -> None:
        k = next(ways)
        there = replace(pose, north_m=pose.north_m - DRONE_MOVES_M * k, yaw_deg=pose.yaw_deg + DRONE_TURNS_DEG * k)
        renderer.render(moments[k % len(moments)], there, lens)

    return _paced(one, DRONE_PICTURES)


def _box_errors_px(renderer: Renderer, moments: list[Moment], pose: Pose, lens: Lens) -> list[float]:
    """Of every actor that is wholly in the picture: the farthest side of the truth's box from that of its projected mesh."""
    errors = []
    for moment in moments[::4]:
        states = {s.actor.id: s for s in moment.actors}
        for t in renderer.render(moment, pose, lens).truth:
            s = states[t.actor]
            if s.actor.kind is not Kind.PERSON:
                continue        # what has wheels leans with the ground
            mesh = actor_mesh(s, lens.fy / t.distance_m)
            at = mesh.vertices[np.unique(mesh.triangles)] @ turns(np.array([s.heading_deg]))[0].T
            pixels = project(at + np.array([t.east_m, t.north_m, t.height_msl_m]), pose, lens)
            low, high = pixels.min(axis=0), pixels.max(axis=0)
            if lens.holds(np.array([low, high]), -1.0).all():
                errors.append(float(np.abs(np.array(t.box_px) - [*low, *high]).max()))
    return errors


def _paced(work: Callable[[], object], count: int) -> _Pace:
    began_ns, began_cpu_s = _clock.monotonic_ns(), time.process_time()
    for _ in range(count):
        work()
    return _Pace((_clock.monotonic_ns() - began_ns) / NS_PER_S / count, (time.process_time() - began_cpu_s) / count)
