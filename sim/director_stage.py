"""Setting the stage of an exercise with processes: one folder with every settings file, key and account.

Everything is training: the station's store and key, each node's key, the pictures. Ports are free ones of this machine.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

from sim.demo_settings import Value, filled, free_port
from sim.demo_stage import CONFIGS
from sim.exercise_kept import KEPT, keep_exercise
from sim.exercise_scenario import Exercise, Eye
from sim.exercise_settings import DroneEntry
from sim.exercise_station import set_the_station, write_watchlist
from sim.landscape_map import cached_basemap
from sim.sitl import Flown
from sim.world_state import Landscape
from station.access import Role, add_person, ensure_administrator
from station.settings import StationSettings
from wire.clock import Clock
from wire.keys import AllowedNode, NodeKind, append_allowed, make_node_key, make_station_key, write_private
from wire.optics import SensorKind
from wire.settings import SettingsError, refuse
from wire.units import Realm

Values = dict[tuple[str | int, ...], Value]
DIRECTION = "exercise-direction"        # its own account, by which it looks at the map
TRAINEES = (("operator", Role.OPERATOR), ("supervisor", Role.SUPERVISOR), ("pilot", Role.PILOT))
TRAINER = "trainer"                     # may look at the trainees' map; leads by the director's socket alone
MODEL_FLIES = Flown()
PALETTES = {SensorKind.DAY: "day", SensorKind.LOW_LIGHT: "auto", SensorKind.THERMAL: "thermal"}     # of sim.camera_settings
AUTOPILOT = "autopilot"
DRONES = 1                              # that fly with processes; the templates of the demo are for one


@dataclass(frozen=True, slots=True)
class ExerciseStage:
    """passwords: one-time, by account. eyes: names of the nodes. station, world, views, nodes, flight: command lines."""

    folder: Path
    settings: StationSettings
    address: str
    passwords: dict[str, str]
    eyes: tuple[str, ...]
    subjects: dict[str, str]
    world_orders: str
    autopilot_port: int     # of the autopilot, for the direction alone
    views: tuple[tuple[str, ...], ...]
    nodes: tuple[tuple[str, ...], ...]
    flight: tuple[tuple[str, ...], ...]
    frames: dict[str, str]

    @property
    def world(self) -> tuple[str, ...]:
        return ("world", "world", "--config", str(self.folder / "world.toml"))

    @property
    def station(self) -> tuple[str, ...]:
        return ("station", "serve", "--config", str(self.settings.file))

    def fault_file(self, eye: str) -> Path:
        return self.folder / f"{eye}.fault"


def set_the_exercise(
    folder: Path, exercise: Exercise, landscape: Landscape, weights: Path, clock: Clock, flown: Flown = MODEL_FLIES
) -> ExerciseStage:
    """Fill the run's folder. Raises SettingsError where an earlier run lies there, or too many drones are wanted."""
    if flown.is_real and not exercise.has_drones:
        raise SettingsError(f"exercise: {exercise.name} has no drone that flies; leave out --sitl and --connect")
    if folder.exists() and any(folder.iterdir()):
        raise SettingsError(f"{folder}: is not empty; an earlier run may be kept there. Name another folder.")
    if exercise.has_drones and len(exercise.settings.drones) > DRONES:
        raise refuse(exercise.file, ["drones"], f"{len(exercise.settings.drones)} drones; with processes {DRONES} flies")
    folder.mkdir(parents=True, exist_ok=True)
    inbox, web_port = f"tcp://127.0.0.1:{free_port()}", free_port()
    settings = set_the_station(folder, exercise, landscape, inbox, web_port)
    kept = keep_exercise(exercise, folder)
    cached_basemap(settings.basemap_dir, exercise.scenario, landscape)
    key = make_station_key(Realm.TRAINING)
    write_private(settings.station_key, key)
    common: Values = {("station", "endpoint"): inbox, ("station", "public_key"): key.public}
    moments, drones, orders = (f"tcp://127.0.0.1:{free_port()}" for _ in range(3))
    ports = flown.ports() if flown.is_real else [free_port() for _ in range(4)]
    _world(folder, exercise, kept, moments, drones, orders)
    eyes = [e for e in exercise.eyes if not e.is_flying or exercise.has_drones]
    frames = {e.id: f"tcp://127.0.0.1:{free_port()}" for e in eyes}
    for n, eye in enumerate(eyes):
        node_kind = NodeKind.DRONE if eye.is_flying else NodeKind.CAMERA
        _allow(folder, settings, eye.id, node_kind)
        _node(folder, exercise, eye, common | {("detector", "weights"): str(weights)}, frames[eye.id], ports[1])
        _view(folder, exercise, eye, moments, drones, ports[2], n)
    flight: list[tuple[str, ...]] = []
    if exercise.has_drones:
        flight = _flight(folder, exercise, exercise.settings.drones[0], common, settings, landscape, ports, flown)
    subjects = write_watchlist(settings, exercise, clock)
    passwords = {"admin": ensure_administrator(settings) or ""}
    for name, role in TRAINEES:
        if role is not Role.PILOT or exercise.has_drones:
            passwords[name] = add_person(settings, name, role)
    passwords[TRAINER] = add_person(settings, TRAINER, Role.TRAINER)
    passwords[DIRECTION] = add_person(settings, DIRECTION, Role.AUDITOR, secrets.token_urlsafe(18))
    return ExerciseStage(
        folder, settings, f"http://127.0.0.1:{web_port}", passwords, tuple(e.id for e in eyes), subjects, orders, ports[3],
        tuple((f"{e.id}-view", "camera", "--config", str(folder / f"{e.id}-view.toml")) for e in eyes),
        tuple((e.id, "edge", "--config", str(folder / f"{e.id}.toml")) for e in eyes), tuple(flight), frames,
    )


def _world(folder: Path, exercise: Exercise, kept: Path, moments: str, drones: str, orders: str) -> None:
    values: Values = {
        ("sector",): str(exercise.sector_file), ("scenario",): str(kept), ("endpoint",): moments,
        ("drones",): drones, ("truth",): "truth.db",
    }
    text = filled(CONFIGS / "demo/world/world.toml", values)
    (folder / "world.toml").write_text(f'{text}orders = "{orders}"\n', encoding="utf-8")


def _allow(folder: Path, settings: StationSettings, name: str, kind: NodeKind) -> None:
    key = make_node_key(name, kind, Realm.TRAINING)
    write_private(folder / f"{name}.key", key)
    append_allowed(settings.nodes_file, AllowedNode(name, kind, Realm.TRAINING, key.public))


def _node(folder: Path, exercise: Exercise, eye: Eye, common: Values, frames: str, autopilot_port: int) -> None:
    values: Values = common | {
        ("key",): f"{eye.id}.key", ("sector",): f"sector/{exercise.sector_file.name}", ("data_dir",): eye.id,
        ("source", "endpoint"): frames, ("camera", "id"): eye.id,
    }
    if eye.is_flying:
        values[("drone", "connection")] = f"tcp:127.0.0.1:{autopilot_port}"
    else:
        c = eye.settings
        for name in ("height_agl_m", "yaw_deg", "pitch_deg", "lamp_reach_m"):
            values[("camera", name)] = getattr(c, name)
        values[("camera", "kind")] = c.kind.value
    text = filled(eye.file, values)
    if not eye.is_flying and eye.settings.position is not None:
        lat, lon = eye.settings.position
        text = "\n".join(
            f"position = [{lat}, {lon}]" if line.startswith("position = ") else line for line in text.splitlines()
        ) + "\n"
    (folder / f"{eye.id}.toml").write_text(text, encoding="utf-8")


def _view(folder: Path, exercise: Exercise, eye: Eye, moments: str, drones: str, autopilot_port: int, n: int) -> None:
    template = CONFIGS / "demo/world" / ("drone-1-view.toml" if eye.is_flying else "camera-1-view.toml")
    values: Values = {
        ("node",): f"{eye.id}.toml", ("sector",): str(exercise.sector_file), ("scenario",): str(folder / KEPT),
        ("world",): moments, ("fps",): eye.entry.fps, ("seed",): n + 1, ("palette",): PALETTES[eye.settings.kind],
    }
    if eye.is_flying:
        values |= {("drones",): drones, ("autopilot",): f"tcp:127.0.0.1:{autopilot_port}"}
    text = filled(template, values)
    (folder / f"{eye.id}-view.toml").write_text(f'{text}fault = "{eye.id}.fault"\n', encoding="utf-8")


def _flight(
    folder: Path, exercise: Exercise, drone: DroneEntry, common: Values, settings: StationSettings, landscape: Landscape,
    ports: list[int], flown: Flown,
) -> list[tuple[str, ...]]:
    """The autopilot where it is ours to start, and the fleet service that commands it."""
    _allow(folder, settings, "fleet", NodeKind.FLEET)
    fleet: Values = common | {
        ("key",): "fleet.key", ("sector",): f"sector/{exercise.sector_file.name}", ("data_dir",): "fleet",
        ("drones", 0, "id"): drone.id, ("drones", 0, "connection"): f"tcp:127.0.0.1:{ports[0]}",
        ("patrols", 0, "drone"): drone.id, ("patrols", 0, "corridor"): drone.corridor,
        ("patrols", 0, "height_m"): drone.height_m, ("patrols", 0, "speed_m_s"): drone.speed_m_s,
        ("patrols", 0, "reach_m"): drone.reach_m,
    }
    (folder / "fleet.toml").write_text(_at_home(filled(CONFIGS / "demo/fleet.toml", fleet), drone), encoding="utf-8")
    service = ("fleet", "fleet", "--config", str(folder / "fleet.toml"))
    home = exercise.sector.frame.to_enu(*drone.home)
    autopilot: Values = {
        ("ports",): ports, ("home_msl_m",): round(float(landscape.terrain.height_msl_m(home)[0]), 2),
    }
    text = _at_home(filled(CONFIGS / "demo/drone-1.toml", autopilot), drone)
    (folder / "drone.toml").write_text(text, encoding="utf-8")
    if flown.connect:
        return [service]
    sitl = ("--sitl", str(flown.sitl)) if flown.sitl is not None else ()
    return [(AUTOPILOT, "autopilot", "--config", str(folder / "drone.toml"), *sitl), service]


def _at_home(text: str, drone: DroneEntry) -> str:
    lat, lon = drone.home
    return "\n".join(f"home = [{lat}, {lon}]" if line.startswith("home = ") else line for line in text.splitlines()) + "\n"
