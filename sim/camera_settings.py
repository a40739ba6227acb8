"""What a simulated camera is told: the node that looks through it, and the world it stands in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from cameras.lens import Lens
from cameras.pose import Pose
from edge.camera_settings import CameraSettings
from edge.settings import DroneSettings, NodeSettings, SourceKind
from geofences.sector import Sector, load_sector
from geofences.terrain import Terrain
from mavlink.link import ConnectionTextError, parse_connection
from sim.world_feed import loopback
from sim.world_scenario import Scenario, load_scenario
from wire.settings import SettingsError, load_settings, refuse
from wire.units import GroundPosition

MISTAKE_LIMIT = 3.0             # sigmas: a survey that is farther off than this would have been noticed


class SimulatedCameraSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One camera of the simulated world.

    node: the settings file of the node that looks through it; place, lens and endpoint are taken from there, so that the
    two cannot disagree. sector, scenario: of the world. world: where its Moments are published; drones: where it hears of
    drones, empty for a camera on a mast. autopilot: of a drone's camera, where the simulation says where it really is.

    palette: "day", "low_light" (grey, with an infra-red lamp), "thermal", or "auto": day, and low_light in the dark.
    fps: pictures a second, if the machine manages. seed: of noise, and of the survey's mistakes.
    mistaken: whether camera and survey differ by a draw from the survey's own sigmas, as they do outside.
    """

    node: str
    sector: str
    scenario: str
    world: str
    drones: str = ""
    autopilot: str = ""
    palette: str = "auto"
    fps: float = 5.0
    seed: int = 1
    mistaken: bool = True


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """Settings with what they point to. camera: as the node has it. serve: the endpoint at which pictures are published."""

    file: Path
    settings: SimulatedCameraSettings
    camera: CameraSettings
    drone: DroneSettings | None
    lens: Lens
    serve: str
    sector: Sector
    scenario: Scenario


def load_camera_plan(path: Path) -> CameraPlan:
    """Read and check. Raises SettingsError with file, line and key."""
    s = load_settings(path, SimulatedCameraSettings)
    if s.palette not in ("auto", "day", "low_light", "thermal"):
        raise refuse(path, ["palette"], f'"{s.palette}": give "auto", "day", "low_light" or "thermal"')
    if not 0.1 <= s.fps <= 60:
        raise refuse(path, ["fps"], f"{s.fps}: pictures a second, 0.1 to 60")
    for key in ("world", "drones"):
        if key == "world" or s.drones:
            try:
                loopback(getattr(s, key))
            except SettingsError as error:
                raise refuse(path, [key], str(error)) from None
    node_file = path.parent / s.node
    node = load_settings(node_file, NodeSettings)
    if node.source.kind is not SourceKind.SIMULATOR:
        raise refuse(node_file, ["source", "kind"], f'"{node.source.kind.value}"; its camera is simulated: "simulator"')
    try:
        serve = loopback(node.source.endpoint)
    except SettingsError as error:
        raise refuse(node_file, ["source", "endpoint"], str(error)) from None
    if (node.drone is not None) != bool(s.autopilot):
        raise refuse(path, ["autopilot"], f"given for a drone's camera, and for no other; {node_file.name} is "
                     + ("a drone's" if node.drone is not None else "of a mast"))
    if s.autopilot:
        try:
            parse_connection(s.autopilot)
        except ConnectionTextError as error:
            raise refuse(path, ["autopilot"], str(error)) from None
    given = node.camera.lens
    lens = Lens(given.width_px, given.height_px, given.fx_px, given.fy_px, given.cx_px, given.cy_px,
                given.k1, given.k2, given.p1, given.p2, given.k3)
    sector = load_sector(path.parent / s.sector)
    return CameraPlan(
        file=path, settings=s, camera=node.camera, drone=node.drone, lens=lens, serve=serve, sector=sector,
        scenario=load_scenario(path.parent / s.scenario, sector),
    )


def standing_pose(plan: CameraPlan, terrain: Terrain) -> Pose:
    """Where a camera on a mast really stands and looks: as its survey has it, but for the survey's mistakes.

    terrain: the true one. Raises SettingsError when the camera is not on it.
    """
    c = plan.camera
    assert c.position is not None and c.height_agl_m is not None and c.yaw_deg is not None and c.pitch_deg is not None
    east, north = (float(v) for v in plan.sector.frame.point(GroundPosition(*c.position)))
    ground = float(terrain.height_msl_m([[east, north]])[0])
    if not np.isfinite(ground):
        raise refuse(plan.file, ["node"], f'the camera "{c.id}" at {list(c.position)} is outside the simulated landscape')
    chance = np.random.default_rng([plan.settings.seed, *c.id.encode()])
    draw = np.clip(chance.standard_normal(6), -MISTAKE_LIMIT, MISTAKE_LIMIT) * plan.settings.mistaken
    sigma = c.sigma
    return Pose(
        east_m=east + float(draw[0]) * sigma.position_m,
        north_m=north + float(draw[1]) * sigma.position_m,
        height_msl_m=ground + c.height_agl_m + float(draw[2]) * sigma.height_m,
        yaw_deg=c.yaw_deg + float(draw[3]) * sigma.yaw_deg,
        pitch_deg=float(np.clip(c.pitch_deg + draw[4] * sigma.pitch_deg, -90.0, 90.0)),
        roll_deg=c.roll_deg + float(draw[5]) * sigma.roll_deg,
    )
