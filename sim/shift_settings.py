"""What happens in the demo's shift: who flies, who sees, and which faults come when."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from edge.settings import NodeSettings
from geofences.sector import Sector
from sim.exercise_scenario import Eye
from sim.exercise_settings import CameraEntry, DroneEntry
from sim.world_scenario import Scenario, load_scenario
from wire.settings import load_settings, refuse

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
SHIFT = CONFIGS / "demo/shift/shift.toml"
SECTOR = CONFIGS / "sectors/laobao/sector.toml"
LatLon = tuple[float, float]


class MastEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A camera that stands; what it is like besides says the file that `like_mast` names."""

    id: str
    position: LatLon
    height_agl_m: float
    yaw_deg: float
    pitch_deg: float


class ShiftDrone(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """corridor: of its patrol, empty for a drone that stands by. from_m, reach_m, height_m, speed_m_s: of the patrol."""

    id: str
    home: LatLon
    corridor: str = ""
    from_m: float = 0.0
    reach_m: float = 0.0
    height_m: float = 0.0
    speed_m_s: float = 0.0


class LookEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """radius_m, height_m: from where drones look. held_s: the first holds the walker so long before relief is asked for.

    alone_s: the second goes on looking so long after the first has left.
    """

    radius_m: float
    height_m: float
    held_s: float
    alone_s: float


class GpsLoss(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """after_s: after this drone's take-off."""

    drone: str
    after_s: float


class LinkLoss(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """after_s: after the relieved drone has left the walker; for_s: how long nothing goes either way."""

    after_s: float
    for_s: float


class RefusedWish(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A place to which the pilot would send a drone, and must not."""

    drone: str
    place: LatLon


class ShiftSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """scenario, like_mast, like_drone: files, from this one's folder. fps: pictures a second of each camera."""

    scenario: str
    like_mast: str
    like_drone: str
    fps: float
    mast: MastEntry
    drones: list[ShiftDrone]
    look: LookEntry
    gps_loss: GpsLoss
    link_loss: LinkLoss
    refused: RefusedWish


@dataclass(frozen=True, slots=True)
class Shift:
    """Settings with what they name loaded. eyes: of the mast, and of each drone, in their order."""

    file: Path
    settings: ShiftSettings
    sector: Sector
    scenario: Scenario
    mast: Eye
    eyes: tuple[Eye, ...]

    def drone(self, name: str) -> ShiftDrone:
        return next(d for d in self.settings.drones if d.id == name)


def load_shift(sector: Sector, file: Path = SHIFT) -> Shift:
    """Read and check. Raises SettingsError."""
    s = load_settings(file, ShiftSettings)
    known = {d.id for d in s.drones}
    if len(known) < 3 or len(known) != len(s.drones):
        raise refuse(file, ["drones"], "give three drones or more, each with a name of its own")
    for table, name in (("gps_loss", s.gps_loss.drone), ("refused", s.refused.drone)):
        if name not in known:
            raise refuse(file, [table, "drone"], f'no drone is called "{name}"')
    corridors = {c.id for c in sector.corridor_set.corridors}
    for i, drone in enumerate(s.drones):
        if drone.corridor and drone.corridor not in corridors:
            raise refuse(file, ["drones", i, "corridor"], f'the sector has no corridor "{drone.corridor}"')
    scenario = load_scenario((file.parent / s.scenario).resolve(), sector)
    return Shift(file, s, sector, scenario, _mast(file, s), tuple(_eye(file, s, d) for d in s.drones))


def _mast(file: Path, s: ShiftSettings) -> Eye:
    like = (file.parent / s.like_mast).resolve()
    node = load_settings(like, NodeSettings)
    m = s.mast
    camera = msgspec.structs.replace(
        node.camera, id=m.id, position=m.position, height_agl_m=m.height_agl_m, yaw_deg=m.yaw_deg, pitch_deg=m.pitch_deg
    )
    return Eye(CameraEntry(m.id, s.like_mast, fps=s.fps), like, msgspec.structs.replace(node, camera=camera))


def _eye(file: Path, s: ShiftSettings, drone: ShiftDrone) -> Eye:
    """In a gimbal: the node goes by the gimbal's own word, and no mount is known."""
    like = (file.parent / s.like_drone).resolve()
    node = load_settings(like, NodeSettings)
    if node.drone is None:
        raise refuse(file, ["like_drone"], f"{like.name}: has no [drone]; it is a mast's")
    node = msgspec.structs.replace(
        node, camera=msgspec.structs.replace(node.camera, id=f"{drone.id}-eye"),
        drone=msgspec.structs.replace(node.drone, mount_deg=None),
    )
    return Eye(DroneEntry(drone.id, s.like_drone, drone.home, drone.corridor, fps=s.fps), like, node)
