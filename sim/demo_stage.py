"""Setting the stage of a demo: one folder with settings, keys, accounts and a watchlist, ready to be started."""

from __future__ import annotations

import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path

from sim.demo_settings import Value, filled, free_port, is_free
from station.access import Role, add_person, ensure_administrator
from station.settings import StationSettings, load_station_settings
from station.subjects import Category
from station.watchlist import Draft, add_subject, approve_subject, report_subject
from wire.clock import NS_PER_S, Clock
from wire.keys import AllowedNode, NodeKind, append_allowed, make_node_key, make_station_key, write_private
from wire.settings import SettingsError
from wire.units import Realm

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
CAMERAS = ("camera-1", "camera-2")
LISTENER = "demo-listener"      # the demo's own account, by which it measures the feed
WEB_PORT = 8080                 # tried first; any free one when it is taken

Values = dict[tuple[str | int, ...], Value]


@dataclass(frozen=True, slots=True)
class Stage:
    """One run's folder, with everything filled in."""

    folder: Path
    settings: StationSettings
    address: str
    administrator_password: str
    listener_password: str

    def outbox(self, node: str) -> Path:
        return self.folder / node / "outbox.db"


def set_the_stage(folder: Path, video: Path, weights: Path, clock: Clock) -> Stage:
    """Fill this run's folder: settings with their ports, a station key, a key a node, accounts, a watchlist.

    video, weights: absolute. Raises SettingsError when the folder holds an earlier run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "station.toml").exists():
        raise SettingsError(f"{folder}: an earlier demo was kept here. Name an empty folder with --keep, or delete it.")
    shutil.copytree(CONFIGS / "sectors/laobao", folder / "sector")
    inbox = f"tcp://127.0.0.1:{free_port()}"
    web_port = WEB_PORT if is_free(WEB_PORT) else free_port()
    settings = _write_station(folder, inbox, web_port)
    station_key = make_station_key(Realm.TRAINING)
    write_private(settings.station_key, station_key)
    for name, kind in (*((c, NodeKind.CAMERA) for c in CAMERAS), ("fleet", NodeKind.FLEET)):
        key = make_node_key(name, kind, Realm.TRAINING)
        write_private(folder / f"{name}.key", key)
        append_allowed(settings.nodes_file, AllowedNode(name, kind, Realm.TRAINING, key.public))
    common: Values = {
        ("sector",): "sector/sector.toml",
        ("station", "endpoint"): inbox,
        ("station", "public_key"): station_key.public,
    }
    for camera in CAMERAS:
        _write(folder, camera, common | {
            ("key",): f"{camera}.key",
            ("data_dir",): camera,
            ("source", "path"): str(video),
            ("detector", "weights"): str(weights),
        })
    autopilot, spare = free_port(), free_port()
    _write(folder, "fleet", common | {
        ("key",): "fleet.key",
        ("data_dir",): "fleet",
        ("drones", 0, "connection"): f"tcp:127.0.0.1:{autopilot}",
    })
    _write(folder, "drone-1", {("ports",): [autopilot, spare]})
    _write_watchlist(settings, clock)
    password = ensure_administrator(settings)
    listener = add_person(settings, LISTENER, Role.AUDITOR, secrets.token_urlsafe(18))
    return Stage(folder, settings, f"http://127.0.0.1:{web_port}", password or "", listener)


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


def _write_watchlist(settings: StationSettings, clock: Clock) -> None:
    """One invented subject in the welfare lane, and a person's report that places her on the trail tonight."""
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


def _write(folder: Path, name: str, values: Values) -> None:
    (folder / f"{name}.toml").write_text(filled(CONFIGS / "demo" / f"{name}.toml", values), encoding="utf-8")
