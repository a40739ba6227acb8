"""The station's settings file, its paths made absolute, and the names of its local sockets and files."""

from __future__ import annotations

import math
import os
import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from station.alarm_watch import WatchSettings, check_watch
from station.client_address import check_trusted_proxies
from station.coverage_settings import CoverageSettings, check_coverage
from station.notifier_settings import NotifierSettings, check_notifiers
from station.retention_settings import RetentionSettings, check_retention
from wire.settings import SettingsError, load_settings, refuse
from wire.units import Realm

IPC_PATH_LIMIT_BYTES = 107      # sockaddr_un.sun_path holds 108 with its closing NUL (Linux unix(7))
_BIND = re.compile(r"^tcp://([^:\s]+|\[[0-9a-fA-F:]+\]):(\d+|\*)$")


class InboxSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """bind: where nodes connect; `tcp://ADDRESS:PORT`.

    detections_per_s, bytes_per_s: what the inbox takes of one node on average (station.node_budgets); 0: no limit. A camera
    that sees ten people ten times a second sends 100 detections and some 15,000 bytes.
    """

    bind: str
    detections_per_s: float = 2_000.0
    bytes_per_s: float = 4_000_000.0


class WebSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """secure_cookie: send the session cookie over TLS only; right wherever the page is not served to this machine alone.

    tls_certificate, tls_key: PEM files, relative to the settings file; both or none. With them the page is https.
    trusted_proxies: IP addresses of reverse proxies whose X-Forwarded-For (or Forwarded) header names the client.
    """

    host: str
    port: int
    secure_cookie: bool = False
    tls_certificate: str | None = None
    tls_key: str | None = None
    trusted_proxies: tuple[str, ...] = ()


class BackupSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """to: the folder that backups made from the administration page go to, relative to the settings file; put it on another
    disk. Empty: a folder beside the data folder.
    """

    to: str = ""


class MatchingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From when on a contact becomes a question about a subject: both must hold.

    threshold_bits: evidence. ask_from_probability: what the evidence makes of the share of subjects in the traffic.
    """

    threshold_bits: float = 8.0
    ask_from_probability: float = 0.05


class StationFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """station.toml as it stands in the file; relative paths count from the file's folder."""

    sector: str
    realm: Realm
    data_dir: str
    inbox: InboxSettings
    web: WebSettings
    matching: MatchingSettings = MatchingSettings()
    coverage: CoverageSettings = CoverageSettings()
    watch: WatchSettings = WatchSettings()
    notifiers: tuple[NotifierSettings, ...] = ()
    retention: RetentionSettings = RetentionSettings()
    backup: BackupSettings = BackupSettings()


@dataclass(frozen=True, slots=True)
class StationSettings:
    """What every process of a station is handed.

    file: the settings file itself (absolute), which child processes are started with.
    sector: the sector file. data_dir: where keys, databases and local sockets lie.
    """

    file: Path
    sector: Path
    realm: Realm
    data_dir: Path
    inbox: InboxSettings
    web: WebSettings
    matching: MatchingSettings
    coverage: CoverageSettings
    watch: WatchSettings
    notifiers: tuple[NotifierSettings, ...]
    retention: RetentionSettings
    backups_dir: Path | None = None

    @property
    def run_dir(self) -> Path:
        """Local sockets, the lock and the restart count; worthless after a stop."""
        return self.data_dir / "run"

    @property
    def inbox_notice(self) -> str:
        """PUB, bound by the inbox: after each commit, the newest arrival id as decimal text; while it can store nothing,
        each second station.store.NOTICE_TROUBLE and why.
        """
        return f"ipc://{self.run_dir / 'inbox.notice'}"

    @property
    def inbox_down(self) -> str:
        """PULL, bound by the inbox: a node's name and a wire.messages.DownBody as msgpack, to be sent on at once where that
        node is connected, and forgotten where not; or one empty frame: there are new orders.
        """
        return f"ipc://{self.run_dir / 'inbox.down'}"

    @property
    def mind_feed(self) -> str:
        """PUB, bound by the mind: one frame, a station.picture.Delta as msgpack."""
        return f"ipc://{self.run_dir / 'mind.feed'}"

    @property
    def mind_ask(self) -> str:
        """ROUTER, bound by the mind. The last frame is a station.picture.Request as msgpack; the answer repeats every
        frame before it and ends in an Answer as msgpack, so REQ works, and so does DEALER with a number of its own in front.
        """
        return f"ipc://{self.run_dir / 'mind.ask'}"

    @property
    def station_key(self) -> Path:
        return self.data_dir / "station.key"

    @property
    def nodes_file(self) -> Path:
        """The allow list of node keys."""
        return self.data_dir / "nodes.toml"

    @property
    def places_file(self) -> Path:
        """The survey of fixed sensors, where somebody has written one (station.doubts)."""
        return self.data_dir / "places.toml"

    @property
    def inbox_db(self) -> Path:
        return self.data_dir / "inbox.db"

    @property
    def mind_db(self) -> Path:
        return self.data_dir / "mind.db"

    @property
    def coverage_db(self) -> Path:
        """When each metre of trail was last seen."""
        return self.data_dir / "coverage.db"

    @property
    def basemap_dir(self) -> Path:
        """The base map's files (station.basemap), where somebody has put some."""
        return self.data_dir / "basemap"

    @property
    def watchlist_db(self) -> Path:
        return self.data_dir / "watchlist.db"

    @property
    def watchlist_key(self) -> Path:
        return self.data_dir / "watchlist.key"

    @property
    def orders_db(self) -> Path:
        """Orders to nodes, as they were given."""
        return self.data_dir / "orders.db"

    @property
    def journal_db(self) -> Path:
        """What the screens showed, for replay."""
        return self.data_dir / "journal.db"

    @property
    def record_db(self) -> Path:
        return self.data_dir / "record.db"

    @property
    def record_key(self) -> Path:
        return self.data_dir / "record.key"

    @property
    def people_db(self) -> Path:
        return self.data_dir / "people.db"

    @property
    def notices_db(self) -> Path:
        """What notifiers have to tell, until it is told."""
        return self.data_dir / "notices.db"

    @property
    def restarts_file(self) -> Path:
        return self.run_dir / "restarts.json"

    def make_folders(self) -> None:
        """Create data_dir and run_dir, for the owner alone. Raises SettingsError when that cannot be."""
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.run_dir.mkdir(exist_ok=True, mode=0o700)
        except OSError as error:
            raise refuse(self.file, ["data_dir"], f"{self.data_dir}: cannot be made: {error.strerror}") from None


def load_station_settings(path: Path) -> StationSettings:
    """Read and check station.toml. Raises wire.settings.SettingsError with file, line and key."""
    path = path.resolve()
    f = load_settings(path, StationFile)
    if not _BIND.match(f.inbox.bind):
        raise refuse(path, ["inbox", "bind"], f'"{f.inbox.bind}": give tcp://ADDRESS:PORT, for example tcp://127.0.0.1:5570')
    for key, rate in (("detections_per_s", f.inbox.detections_per_s), ("bytes_per_s", f.inbox.bytes_per_s)):
        if not 0 <= rate < math.inf:
            raise refuse(path, ["inbox", key], f"{rate}: give more than 0, or 0 for no limit")
    if not 0 <= f.web.port < 65536:
        raise refuse(path, ["web", "port"], f"{f.web.port}: a port is 1 to 65535, for example 8080; 0 takes a free one")
    if f.matching.threshold_bits <= 0:
        raise refuse(path, ["matching", "threshold_bits"], f"{f.matching.threshold_bits}: give more than 0, for example 8.0")
    check_trusted_proxies(path, f.web.trusted_proxies)
    check_coverage(path, f.coverage)
    check_watch(path, f.watch)
    check_notifiers(path, f.notifiers)
    check_retention(path, f.retention)
    if not 0 < f.matching.ask_from_probability < 1:
        raise refuse(
            path, ["matching", "ask_from_probability"],
            f"{f.matching.ask_from_probability}: give more than 0 and less than 1, for example 0.05",
        )
    settings = StationSettings(
        file=path,
        sector=(path.parent / f.sector).resolve(),
        realm=f.realm,
        data_dir=(path.parent / f.data_dir).resolve(),
        inbox=f.inbox,
        web=f.web,
        matching=f.matching,
        retention=f.retention,
        backups_dir=(path.parent / f.backup.to).resolve() if f.backup.to else None,
        coverage=f.coverage,
        watch=f.watch,
        notifiers=f.notifiers,
    )
    longest = settings.run_dir / "inbox.notice"
    if len(os.fsencode(longest)) > IPC_PATH_LIMIT_BYTES:
        raise refuse(
            path,
            ["data_dir"],
            f"{settings.data_dir}: too deep in the file system; local sockets there would have names of "
            f"{len(os.fsencode(longest))} bytes, and the system allows {IPC_PATH_LIMIT_BYTES}. Choose a shorter folder.",
        )
    return settings


__all__ = [
    "InboxSettings",
    "MatchingSettings",
    "SettingsError",
    "StationFile",
    "StationSettings",
    "WebSettings",
    "load_station_settings",
]
