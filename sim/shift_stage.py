"""Setting the stage of the demo's shift: one folder with settings, keys and accounts, ready to be started."""

from __future__ import annotations

import json
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from geofences.sector import load_sector
from sim.demo_settings import Value, filled, is_free, quiet_ports
from sim.demo_stage import WEB_PORT
from sim.landscape_cache import cached_landscape
from sim.landscape_map import cached_basemap
from sim.landscape_survey import write_survey
from sim.shift_settings import CONFIGS, SECTOR, SHIFT, Shift, load_shift
from station.access import Role, add_person, ensure_administrator
from station.settings import StationSettings, load_station_settings
from wire.keys import AllowedNode, NodeKind, append_allowed, make_node_key, make_station_key, write_private
from wire.settings import SettingsError
from wire.units import GroundPosition, Realm

PILOT = "shift-pilot"           # the demo's own account of role pilot
SURVEY, TRUTH = "terrain.npz", "shift-truth.jsonl"
FROM = CONFIGS / "demo/shift"
PORTS = 5                       # of each drone: its radio, and the autopilot's four

Values = dict[tuple[str | int, ...], Value]


@dataclass(frozen=True, slots=True)
class DronePorts:
    """radio: where the fleet service connects. autopilot: behind the radio. faults: for the simulation's own switches."""

    system_id: int
    radio: int
    autopilot: int
    node: int
    truth: int
    faults: int

    @property
    def served(self) -> list[int]:
        """By the autopilot itself."""
        return [self.autopilot, self.node, self.truth, self.faults]


@dataclass(frozen=True, slots=True)
class ShiftStage:
    """One run's folder, with everything filled in."""

    folder: Path
    shift: Shift
    settings: StationSettings
    address: str
    administrator_password: str
    pilot_password: str
    drones: dict[str, DronePorts]
    nodes: tuple[str, ...]

    @property
    def truth(self) -> Path:
        """Where the drones and the walker really were, line by line (sim.shift_truth)."""
        return self.folder / TRUTH

    @property
    def people(self) -> list[tuple[str, ...]]:
        """Name and command line of everybody but the station and the world, which begins when the first drone is up."""
        return [
            *((d, "autopilot", "--config", str(self.folder / f"{d}.toml")) for d in self.drones),
            ("fleet", "fleet", "--config", str(self.folder / "fleet.toml")),
            ("eyes", "eyes", "--config", str(self.folder / "eyes.toml")),
        ]

    @property
    def world(self) -> tuple[str, ...]:
        return ("world", "world", "--config", str(self.folder / "world.toml"))


def set_the_shift(folder: Path, file: Path = SHIFT, *, usual_port: bool = True) -> ShiftStage:
    """Fill this run's folder. usual_port: the page is at WEB_PORT where that is free, which somebody else may want too.

    Raises SettingsError when the folder holds an earlier run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "station.toml").exists():
        raise SettingsError(f"{folder}: an earlier demo was kept here. Name an empty folder with --keep, or delete it.")
    shift = load_shift(load_sector(SECTOR), file)
    landscape = cached_landscape(shift.scenario)
    shutil.copytree(SECTOR.parent, folder / "sector")
    sigma_m = write_survey(folder / "sector" / SURVEY, landscape, shift.sector)
    sector_file = folder / "sector/sector.toml"
    survey: Values = {("terrain", "file"): SURVEY, ("terrain", "sigma_m"): sigma_m}
    sector_file.write_text(filled(sector_file, survey), encoding="utf-8")
    ports_left = quiet_ports(4 + PORTS * len(shift.settings.drones))
    inbox, moments, places = (f"tcp://127.0.0.1:{ports_left.pop()}" for _ in range(3))
    web_port = WEB_PORT if usual_port and is_free(WEB_PORT) else ports_left.pop()
    settings = _station(folder, inbox, web_port)
    cached_basemap(settings.basemap_dir, shift.scenario, landscape)
    station_key = make_station_key(Realm.TRAINING)
    write_private(settings.station_key, station_key)
    kinds = {shift.mast.id: NodeKind.CAMERA} | {e.id: NodeKind.DRONE for e in shift.eyes}
    for name, kind in (*kinds.items(), ("fleet", NodeKind.FLEET)):
        key = make_node_key(name, kind, Realm.TRAINING)
        write_private(folder / f"{name}.key", key)
        append_allowed(settings.nodes_file, AllowedNode(name, kind, Realm.TRAINING, key.public))
    drones = {}
    for i, drone in enumerate(shift.settings.drones):
        drones[drone.id] = ports = DronePorts(i + 1, *(ports_left.pop() for _ in range(PORTS)))
        ground = landscape.terrain.height_msl_m([shift.sector.frame.point(GroundPosition(*drone.home))])
        _write(folder, drone.id, "drone", {
            ("system_id",): ports.system_id, ("hardware_id",): (b"TRAILWATCH-%d" % ports.system_id).hex(),
            ("ports",): ports.served, ("home_msl_m",): round(float(ground[0]), 2), ("seed",): ports.system_id,
        }, {"home": drone.home})
    common: Values = {("station", "endpoint"): inbox, ("station", "public_key"): station_key.public}
    fleet: Values = common | {("sector",): "sector/sector.toml"}
    for i, ports in enumerate(drones.values()):
        fleet |= {("drones", i, "connection"): f"tcp:127.0.0.1:{ports.radio}"}
    _write(folder, "fleet", "fleet", fleet)
    world: Values = {
        ("sector",): str(SECTOR), ("scenario",): str((file.parent / shift.settings.scenario).resolve()),
        ("endpoint",): moments, ("drones",): places, ("truth",): "truth.db",
    }
    (folder / "world.toml").write_text(filled(CONFIGS / "demo/world/world.toml", world), encoding="utf-8")
    connections = "".join(
        f'\n[[drones]]\nid = "{name}"\nsystem_id = {p.system_id}\nnode = "tcp:127.0.0.1:{p.node}"\n'
        f'truth = "tcp:127.0.0.1:{p.truth}"\n' for name, p in drones.items()
    )
    (folder / "eyes.toml").write_text(
        f'shift = {json.dumps(str(file))}\nsector = "sector/sector.toml"\nworld = "{moments}"\ndrones_to = "{places}"\n'
        f'station = "{inbox}"\npublic_key = {json.dumps(station_key.public)}\ntruth = "{TRUTH}"\n{connections}',
        encoding="utf-8",
    )
    password = ensure_administrator(settings)
    pilot = add_person(settings, PILOT, Role.PILOT, secrets.token_urlsafe(18))
    return ShiftStage(
        folder, shift, settings, f"http://127.0.0.1:{web_port}", password or "", pilot, drones, tuple(kinds)
    )


def _station(folder: Path, inbox: str, web_port: int) -> StationSettings:
    (folder / "station.toml").write_text(filled(CONFIGS / "demo/station.toml", {
        ("sector",): "sector/sector.toml", ("data_dir",): "station", ("inbox", "bind"): inbox, ("web", "port"): web_port,
    }), encoding="utf-8")
    settings = load_station_settings(folder / "station.toml")
    settings.make_folders()
    return settings


def _write(
    folder: Path, name: str, template: str, values: Values, places: dict[str, tuple[float, float]] | None = None
) -> None:
    text = filled(FROM / f"{template}.toml", values)
    for key, (lat, lon) in (places or {}).items():
        text = "\n".join(f"{key} = [{lat}, {lon}]" if line.startswith(f"{key} = ") else line for line in text.splitlines())
    (folder / f"{name}.toml").write_text(text + "\n", encoding="utf-8")
