"""What a simulated camera is told: the node that looks through it, and the world it stands in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from cameras.lens import Lens
from cameras.pose import Pose
from edge.camera_settings import CameraSettings, PresetSettings, PtzSettings, camera_at, camera_of
from edge.preset_turn import TurnedBy
from edge.settings import DroneSettings, NodeSettings, SourceKind
from geofences.sector import Sector, load_sector
from geofences.terrain import Terrain
from mavlink.link import ConnectionTextError, parse_connection
from sim.camera_head import MISTAKE_LIMIT, View
from sim.world_feed import loopback
from sim.world_scenario import Scenario, load_scenario
from wire.settings import SettingsError, load_settings, refuse
from wire.units import GroundPosition


class SimulatedCameraSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One camera of the simulated world.

    node: the settings file of the node that looks through it; place, lens and endpoint are taken from there, so that the
    two cannot disagree. sector, scenario: of the world. world: where its Moments are published; drones: where it hears of
    drones, empty for a camera on a mast. autopilot: of a drone's camera, where the simulation says where it really is.

    palette: "day", "low_light" (grey, with an infra-red lamp), "thermal", or "auto": day, and low_light in the dark.
    fps: pictures a second, if the machine manages. seed: of noise, and of the survey's mistakes.
    mistaken: whether camera and survey differ by a draw from the survey's own sigmas, as they do outside. fault: a file in
    which an exercise's direction says what is wrong with it (sim.camera_faults), empty for none.
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
    fault: str = ""


@dataclass(frozen=True, slots=True)
class CameraPlan:
    """Settings with what they point to. camera: as the node has it. serve: the endpoint at which pictures are published.

    ptz, presets: of one that turns, as the node has them.
    """

    file: Path
    settings: SimulatedCameraSettings
    camera: CameraSettings
    drone: DroneSettings | None
    lens: Lens
    serve: str
    sector: Sector
    scenario: Scenario
    ptz: PtzSettings | None = None
    presets: tuple[PresetSettings, ...] = ()


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
    if node.ptz is not None and node.ptz.by is not TurnedBy.HTTP:
        raise refuse(node_file, ["ptz", "by"], f'"{node.ptz.by.value}"; a simulated camera is turned by "http"')
    sector = load_sector(path.parent / s.sector)
    return CameraPlan(
        file=path, settings=s, camera=node.camera, drone=node.drone, lens=camera_of(node.camera).lens, serve=serve,
        sector=sector, scenario=load_scenario(path.parent / s.scenario, sector), ptz=node.ptz, presets=node.presets,
    )


def preset_views(plan: CameraPlan, terrain: Terrain) -> dict[str, View]:
    """Of a camera that turns: by the preset's token, where it really looks. Raises SettingsError as standing_pose does."""
    cameras = {p.token: camera_at(plan.camera, p) for p in plan.presets}
    return {token: View(standing_pose(plan, terrain, c), camera_of(c).lens) for token, c in cameras.items()}


def standing_pose(plan: CameraPlan, terrain: Terrain, camera: CameraSettings | None = None) -> Pose:
    """Where a camera on a mast really stands and looks: as its survey has it, but for the survey's mistakes.

    terrain: the true one. camera: as at a preset. Raises SettingsError when the camera is not on the terrain.
    """
    c = camera or plan.camera
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
