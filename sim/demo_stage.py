"""Setting the stage of a demo: one folder with settings, keys, accounts and a watchlist, ready to be started.

The cameras either look at the simulated world, or play a recording; the rest is the same.
"""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from sim.demo_settings import Value, filled, free_port, is_free
from sim.demo_world import EYE, World, set_the_world, terrain_values
from sim.landscape_map import cached_basemap
from station.access import Role, add_person, ensure_administrator
from station.settings import StationSettings, load_station_settings
from station.subjects import Category, KnownVehicle
from station.watchlist import Draft, add_subject, approve_subject, report_subject
from wire.clock import NS_PER_S, Clock
from wire.keys import AllowedNode, NodeKind, append_allowed, make_node_key, make_station_key, write_private
from wire.settings import SettingsError
from wire.units import ObjectClass, Realm

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
CAMERAS = ("camera-1", "camera-2")
LISTENER = "demo-listener"      # the demo's own account, by which it measures the feed
WEB_PORT = 8080                 # tried first; any free one when it is taken
BATTERY_SWAP_S = 15.0           # on the ground: less than the pause between two patrols
DRONE_SPEED_M_S = 5.0           # three pictures a second of a person on the ground: a metre or two between them
DRONE_HEIGHT_M = 32.0

Values = dict[tuple[str | int, ...], Value]


@dataclass(frozen=True, slots=True)
class Stage:
    """One run's folder, with everything filled in.

    nodes: those that see, by name. world: what they look at; None where they play a recording.
    """

    folder: Path
    settings: StationSettings
    address: str
    administrator_password: str
    listener_password: str
    nodes: tuple[str, ...]
    world: World | None

    def outbox(self, node: str) -> Path:
        return self.folder / node / "outbox.db"

    @property
    def eyes(self) -> list[tuple[str, ...]]:
        """Name and command line of those that see: the nodes, and in the world the cameras that draw for them."""
        nodes = [(node, "edge", "--config", str(self.folder / f"{node}.toml")) for node in self.nodes]
        return [*(self.world.views if self.world else []), *nodes]

    @property
    def scene(self) -> list[tuple[str, ...]]:
        """Name and command line of what there is to be seen: the world, and the drone that flies in it."""
        return [
            *(self.world.scene if self.world else []),
            ("autopilot", "autopilot", "--config", str(self.folder / "drone-1.toml")),
            ("fleet", "fleet", "--config", str(self.folder / "fleet.toml")),
        ]


def set_the_stage(folder: Path, video: Path | None, weights: Path, clock: Clock) -> Stage:
    """Fill this run's folder: settings with their ports, a station key, a key a node, accounts, a watchlist.

    video: a recording that the cameras play; None for the simulated world. Both paths absolute. Raises SettingsError when
    the folder holds an earlier run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "station.toml").exists():
        raise SettingsError(f"{folder}: an earlier demo was kept here. Name an empty folder with --keep, or delete it.")
    shutil.copytree(CONFIGS / "sectors/laobao", folder / "sector")
    ports = [free_port() for _ in range(3)]
    world = None
    if video is None:
        world = set_the_world(folder, f"tcp:127.0.0.1:{ports[2]}")
        sector_file = folder / "sector/sector.toml"
        sector_file.write_text(filled(sector_file, terrain_values(world)), encoding="utf-8")
    inbox = f"tcp://127.0.0.1:{free_port()}"
    web_port = WEB_PORT if is_free(WEB_PORT) else free_port()
    settings = _write_station(folder, inbox, web_port)
    if world is not None:
        cached_basemap(settings.basemap_dir, world.scenario, world.landscape)
    station_key = make_station_key(Realm.TRAINING)
    write_private(settings.station_key, station_key)
    nodes = dict.fromkeys(CAMERAS, NodeKind.CAMERA) | ({EYE: NodeKind.DRONE} if world else {})
    for name, kind in (*nodes.items(), ("fleet", NodeKind.FLEET)):
        key = make_node_key(name, kind, Realm.TRAINING)
        write_private(folder / f"{name}.key", key)
        append_allowed(settings.nodes_file, AllowedNode(name, kind, Realm.TRAINING, key.public))
    common: Values = {
        ("sector",): "sector/sector.toml",
        ("station", "endpoint"): inbox,
        ("station", "public_key"): station_key.public,
    }
    for node in nodes:
        values = common | {("key",): f"{node}.key", ("data_dir",): node, ("detector", "weights"): str(weights)}
        if world is None:
            _write(folder, node, values | {("source", "path"): str(video)})
            continue
        values |= {("source", "endpoint"): world.frames[node]}
        if node == EYE:
            values |= {("drone", "connection"): f"tcp:127.0.0.1:{ports[1]}"}
        _write(folder, node, values, "world/")
    _write_drone(folder, common, ports, world)
    _write_watchlist(settings, clock, world)
    password = ensure_administrator(settings)
    listener = add_person(settings, LISTENER, Role.AUDITOR, secrets.token_urlsafe(18))
    return Stage(folder, settings, f"http://127.0.0.1:{web_port}", password or "", listener, tuple(nodes), world)


def _write_drone(folder: Path, common: Values, ports: list[int], world: World | None) -> None:
    """The fleet service's file and the autopilot's. Over a landscape the drone flies slower, and higher than the trees."""
    fleet = common | {
        ("key",): "fleet.key",
        ("data_dir",): "fleet",
        ("drones", 0, "connection"): f"tcp:127.0.0.1:{ports[0]}",
    }
    autopilot: Values = {("ports",): ports[:2], ("battery", "swap_after_s"): BATTERY_SWAP_S}
    if world is not None:
        fleet |= {("patrols", 0, "speed_m_s"): DRONE_SPEED_M_S, ("patrols", 0, "height_m"): DRONE_HEIGHT_M}
        autopilot |= {("ports",): ports, ("home_msl_m",): round(world.home_msl_m, 2)}
    _write(folder, "fleet", fleet)
    _write(folder, "drone-1", autopilot)


def _write_station(folder: Path, inbox: str, web_port: int) -> StationSettings:
    _write(folder, "station", {
        ("sector",): "sector/sector.toml",
        ("data_dir",): "station",
        ("inbox", "bind"): inbox,
        ("web", "port"): web_port,
    })
    settings = load_station_settings(folder / "station.toml")
    settings.make_folders()
    return settings


def _write_watchlist(settings: StationSettings, clock: Clock, world: World | None) -> None:
    """One invented subject in the welfare lane, and a person's report that places her on the trail tonight; in the world
    also a broker by the plate of his pickup, which a forester saw where the world's pickup stops.
    """
    now_ns = clock.utc_ns()
    draft = Draft(
        category=Category.MISSING_PERSON,
        label="Nguyễn Thị Mẫu (nhân vật diễn tập)",
        reason="An invented person of the demo: her family reported her missing after an offer of work abroad.",
        lawful_basis="exercise",
        what_to_do="Speak to her alone and kindly; offer a phone call home; call the welfare officer.",
        expires_ns=now_ns + 24 * 3600 * NS_PER_S,
        corridors=("khe-da",),
        party_size=3,
    )
    subject = add_subject(settings, "demo nominator", draft, clock)
    approve_subject(settings, "demo second approver", subject.id, clock)
    report_subject(
        settings, "demo nominator", subject.id, now_ns - 600 * NS_PER_S, now_ns + 8 * 3600 * NS_PER_S,
        reported_by="Trạm Khe Đá (diễn tập)", corridor="khe-da", says="seen at the market with two strangers", clock=clock,
    )

    if world is None:
        return
    broker = Draft(
        category=Category.ORGANISER_BROKER,
        label="Trần Văn Mẫu (nhân vật diễn tập)",
        reason="An invented person of the demo: named by three who were sent home as the one who drove them to the trail.",
        lawful_basis="exercise",
        what_to_do="Note who gets in and out; do not follow; call the investigator on duty.",
        expires_ns=now_ns + 24 * 3600 * NS_PER_S,
        plates=(world.plate,),
        vehicles=(KnownVehicle(world.plate, ObjectClass.TRUCK, "blue"),),
        corridors=("ben-song",),
    )
    subject = add_subject(settings, "demo nominator", broker, clock)
    approve_subject(settings, "demo second approver", subject.id, clock)
    report_subject(
        settings, "demo nominator", subject.id, now_ns - 600 * NS_PER_S, now_ns + 8 * 3600 * NS_PER_S,
        reported_by="Kiểm lâm Hoàng (diễn tập)", position=world.pickup_stops, radius_m=40.0,
        says=f"pickup {world.plate} waits at the bend of the Bãi Xe track in the evenings", clock=clock,
    )


def _write(folder: Path, name: str, values: Values, under: str = "") -> None:
    (folder / f"{name}.toml").write_text(filled(CONFIGS / f"demo/{under}{name}.toml", values), encoding="utf-8")
