"""The demo's simulated world: what the cameras look at, who draws it, and what really was."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from geofences.sector import Sector, load_sector
from sim.demo_settings import Value, filled, free_port
from sim.landscape_cache import cached_landscape
from sim.landscape_survey import write_survey
from sim.world_scenario import Scenario, load_scenario
from sim.world_state import Landscape
from wire.settings import SettingsError
from wire.units import GroundPosition

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
SECTOR = CONFIGS / "sectors/laobao/sector.toml"     # the world's; the nodes and the station get a survey of its terrain
SCENARIO = CONFIGS / "worlds/dusk.toml"
EYE = "drone-1-eye"
VIEWS = {"camera-1": "camera-1-view", "camera-2": "camera-2-view", EYE: "drone-1-view"}
HOME = GroundPosition(16.62225, 106.60230)          # of configs/demo/fleet.toml
PICKUP = "pickup-of-the-subject"
PICKUP_STOPS = GroundPosition(16.611488, 106.609475)    # the bend of the track before camera-2
SURVEY = "terrain.npz"


@dataclass(frozen=True, slots=True)
class World:
    """One run's world. frames: where each node finds its camera's pictures. sigma_m: of the survey of its terrain.

    home_msl_m: the true ground at the drone's home. plate: of the subject's pickup.
    """

    folder: Path
    sector: Sector
    scenario: Scenario
    landscape: Landscape
    frames: dict[str, str]
    sigma_m: float
    home_msl_m: float
    plate: str
    pickup_stops: GroundPosition

    @property
    def truth(self) -> Path:
        return self.folder / "truth.db"

    @property
    def views(self) -> list[tuple[str, ...]]:
        """Name and command line of the cameras that draw."""
        return [(view, "camera", "--config", str(self.folder / f"{view}.toml")) for view in VIEWS.values()]

    @property
    def scene(self) -> list[tuple[str, ...]]:
        """Name and command line of the world itself."""
        return [("world", "world", "--config", str(self.folder / "world.toml"))]


def set_the_world(folder: Path, autopilot: str) -> World:
    """Write the world's files into the run's folder. autopilot: where the simulation tells of the drone."""
    sector = load_sector(SECTOR)
    scenario = load_scenario(SCENARIO, sector)
    landscape = cached_landscape(scenario)
    sigma_m = write_survey(folder / "sector" / SURVEY, landscape, sector)
    moments, drones = (f"tcp://127.0.0.1:{free_port()}" for _ in range(2))
    frames = {node: f"tcp://127.0.0.1:{free_port()}" for node in VIEWS}
    shared: dict[tuple[str | int, ...], Value] = {("sector",): str(SECTOR), ("scenario",): str(SCENARIO)}
    _write(folder, "world", shared | {("endpoint",): moments, ("drones",): drones, ("truth",): "truth.db"})
    for node, view in VIEWS.items():
        drone: dict[tuple[str | int, ...], Value] = {("drones",): drones, ("autopilot",): autopilot} if node == EYE else {}
        _write(folder, view, shared | {("node",): f"{node}.toml", ("world",): moments} | drone)
    home = landscape.terrain.height_msl_m([sector.frame.point(HOME)])
    return World(
        folder=folder, sector=sector, scenario=scenario, landscape=landscape, frames=frames, sigma_m=sigma_m,
        home_msl_m=float(home[0]), plate=_plate(scenario), pickup_stops=PICKUP_STOPS,
    )


def terrain_values(world: World) -> dict[tuple[str | int, ...], Value]:
    """What the run's own sector file says of the terrain."""
    return {("terrain", "file"): SURVEY, ("terrain", "sigma_m"): world.sigma_m}


def _plate(scenario: Scenario) -> str:
    for actor in scenario.settings.actors:
        if actor.name == PICKUP:
            return actor.looks.plate
    raise SettingsError(f'{SCENARIO}: the demo needs an actor "{PICKUP}" with a plate, for its watchlist')


def _write(folder: Path, name: str, values: dict[tuple[str | int, ...], Value]) -> None:
    (folder / f"{name}.toml").write_text(filled(CONFIGS / f"demo/world/{name}.toml", values), encoding="utf-8")
