"""The fleet service's settings file, and what it may not say."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from fleet.permit import Permit
from fleet.permit_settings import PermitSettings, ViewSettings, WeatherSettings, permits_of, view_of, wind_of
from fleet.routes_camera import CameraView
from fleet.wind import ASSUMED, Wind
from geofences.sector import Sector, load_sector
from mavlink.signing import SigningKeyError, read_key
from mavlink.transports import ConnectionTextError, parse_connection
from wire.keys import NodeKey, NodeKind, load_node_key
from wire.settings import load_settings, refuse
from wire.units import GroundPosition, Realm

LAUNCHES = ("manual", "auto")


class StationSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the station's inbox is, and the key by which it is known."""

    endpoint: str
    public_key: str


class DroneSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One drone.

    connection: "tcp:HOST:PORT", "udpin:HOST:PORT", "udpout:HOST:PORT" or "serial:DEVICE:BAUD"; several drones may be on one.
    system_id: which system on it, 0: the first heard. more_connections: further links to it, in the order of preference.
    signing_key: file with its MAVLink 2 signing key; empty: what it says is believed without a signature.
    unsigned: fly it without a signing key in the live realm, which is refused otherwise.
    hardware_id: the autopilot's own number; when given, another aircraft on this connection is refused.
    home: where it takes off and lands. endurance_s: how long its battery flies it. battery_least_percent: to take off with.
    battery_return_percent: it is called back from its patrol at this charge.
    airspeed_m_s: the most that it makes through the air. camera: what it looks with, where patrols are to fit it.
    gimbal: whether its camera can be turned. mount_pitch_deg: of one that cannot, against the nose; at a contact the drone
    stands where that points at him.
    """

    id: str
    connection: str
    home: tuple[float, float]
    system_id: int = 0
    hardware_id: str = ""
    endurance_s: float = 1200.0
    battery_least_percent: float = 50.0
    battery_return_percent: float = 25.0
    more_connections: list[str] = []
    signing_key: str = ""
    unsigned: bool = False
    airspeed_m_s: float = 10.0
    camera: ViewSettings | None = None
    gimbal: bool = True
    mount_pitch_deg: float = -25.0


class PatrolSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One patrol: out along a corridor and back.

    height_m: above home, or above the ground where follow_ground. reach_m: how far along the corridor, 0 for as far as the
    border's buffer lets; from_m: where it begins. rounds: how often it is flown in one sortie. by_camera: passes beside each
    other and a speed that fit the drone's camera, each overlapping the next by the share `overlap`.
    launch: "manual", or "auto" for a simulated drone in the training realm. repeat: again, pause_s after each landing.
    """

    drone: str
    corridor: str
    height_m: float = 40.0
    speed_m_s: float = 9.0
    reach_m: float = 0.0
    launch: str = "manual"
    repeat: bool = False
    pause_s: float = 20.0
    from_m: float = 0.0
    rounds: int = 1
    follow_ground: bool = False
    by_camera: bool = False
    overlap: float = 0.2


class FleetSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """key: this node's key file, of kind "fleet"; it decides the realm. Relative paths count from the file's folder."""

    key: str
    sector: str
    data_dir: str
    station: StationSettings
    drones: list[DroneSettings]
    patrols: list[PatrolSettings] = []
    heartbeat_s: float = 1.0
    weather: WeatherSettings | None = None
    permits: list[PermitSettings] = []


@dataclass(frozen=True, slots=True)
class Fleet:
    """Settings with what they point to loaded. views: by drone."""

    settings: FleetSettings
    key: NodeKey
    sector: Sector
    data_dir: Path
    config_folder: Path = Path()
    wind: Wind = ASSUMED
    permits: tuple[Permit, ...] = ()
    views: dict[str, CameraView] = field(default_factory=dict)


def load(config: Path) -> Fleet:
    """Read and check a fleet settings file and its sector and key. Raises SettingsError."""
    s = load_settings(config, FleetSettings)
    key = load_node_key(config.parent / s.key)
    if key.kind is not NodeKind.FLEET:
        raise refuse(
            config, ["key"],
            f'a key of kind "{key.kind.value}"; the fleet service needs one of kind "fleet": make it a key of its own',
        )
    sector = load_sector(config.parent / s.sector)
    _check_drones(config, s, sector)
    _check_patrols(config, s, sector, key.realm)
    if not 0.02 <= s.heartbeat_s <= 2.0:
        raise refuse(config, ["heartbeat_s"], f"{s.heartbeat_s}: give 1.0; up to 2.0 before a drone's own failsafe acts")
    permits = permits_of(config, s.permits, sector, {d.id for d in s.drones})
    views = {d.id: view for i, d in enumerate(s.drones) if (view := view_of(config, i, d.camera)) is not None}
    wind = wind_of(config, s.weather)
    return Fleet(s, key, sector, config.parent / s.data_dir, config.parent, wind, permits, views)


def check_signing(config: Path, fleet: Fleet) -> None:
    """Refuse a live fleet with a drone that has no signing key, unless the drone says `unsigned`. Raises SettingsError.

    Only for flying: keys are handed over, and the flight book is read, while some drones have none yet.
    """
    if fleet.key.realm is not Realm.LIVE:
        return
    for i, drone in enumerate(fleet.settings.drones):
        if not drone.signing_key and not drone.unsigned:
            raise refuse(
                config, ["drones", i, "signing_key"],
                f'drone "{drone.id}" has no signing key, so anybody with a radio could command it or speak for it. Make one '
                f'with "trailwatch signing new --out {drone.id}.signing", name it here, and give it to the drone with '
                '"trailwatch signing give". To fly the drone without a key all the same, set unsigned = true at this drone',
            )


def _check_drones(config: Path, s: FleetSettings, sector: Sector) -> None:
    for i, drone in enumerate(s.drones):
        _check_links(config, i, drone, s.drones)
        if drone.id in {other.id for other in s.drones[:i]}:
            raise refuse(config, ["drones", i, "id"], f'"{drone.id}" is taken by an earlier drone')
        if not 0 <= drone.system_id <= 250:
            raise refuse(config, ["drones", i, "system_id"], f"{drone.system_id}: give 1 to 250, or 0 for the first heard")
        home = sector.frame.point(GroundPosition(*drone.home))
        if sector.border.signed_distance_m(home)[0] < sector.border_buffer_m:
            raise refuse(
                config, ["drones", i, "home"],
                f"{list(drone.home)} lies within {sector.border_buffer_m:g} m of the border line or beyond it; "
                "give [latitude, longitude] of a take-off place on our own side",
            )
        if not 5.0 <= drone.battery_return_percent < drone.battery_least_percent <= 100.0:
            raise refuse(
                config, ["drones", i, "battery_return_percent"],
                f"{drone.battery_return_percent:g}: give 5 or more, and less than the {drone.battery_least_percent:g} that "
                "it takes off with",
            )
        if drone.endurance_s <= 0:
            raise refuse(config, ["drones", i, "endurance_s"], f"{drone.endurance_s}: seconds in the air, above 0")
        if not drone.gimbal and not -80.0 <= drone.mount_pitch_deg <= -10.0:
            raise refuse(config, ["drones", i, "mount_pitch_deg"], f"{drone.mount_pitch_deg:g}: give -80 to -10 degrees")
        if not 3.0 <= drone.airspeed_m_s <= 60.0:
            raise refuse(config, ["drones", i, "airspeed_m_s"], f"{drone.airspeed_m_s}: give 3 to 60 m/s")


def _check_links(config: Path, i: int, drone: DroneSettings, drones: list[DroneSettings]) -> None:
    for j, connection in enumerate((drone.connection, *drone.more_connections)):
        where: list[str | int] = ["drones", i, "connection"] if j == 0 else ["drones", i, "more_connections", j - 1]
        try:
            parse_connection(connection)
        except ConnectionTextError as error:
            raise refuse(config, where, str(error)) from None
        others = [d for d in drones if d is not drone and connection in (d.connection, *d.more_connections)]
        if others and drone.system_id in (0, *(d.system_id for d in others)):
            raise refuse(
                config, ["drones", i, "system_id"],
                f'{drone.system_id}: "{others[0].id}" is on {connection} too: give each drone there its own system id',
            )
    if drone.signing_key:
        if drone.unsigned:
            raise refuse(config, ["drones", i, "unsigned"], "true beside a signing_key: take one of the two out")
        if drone.system_id == 0:
            raise refuse(config, ["drones", i, "system_id"], "0: a drone with a signing key needs its own system id here")
        try:
            read_key(config.parent / drone.signing_key)
        except SigningKeyError as error:
            raise refuse(config, ["drones", i, "signing_key"], str(error)) from None


def _check_patrols(config: Path, s: FleetSettings, sector: Sector, realm: Realm) -> None:
    corridors = {c.id for c in sector.corridor_set.corridors}
    for i, patrol in enumerate(s.patrols):
        if patrol.drone not in {d.id for d in s.drones}:
            raise refuse(config, ["patrols", i, "drone"], f'no drone is called "{patrol.drone}" in this file')
        if patrol.corridor not in corridors:
            raise refuse(
                config, ["patrols", i, "corridor"],
                f'the sector has no corridor "{patrol.corridor}"; it has {", ".join(sorted(corridors))}',
            )
        if patrol.launch not in LAUNCHES:
            raise refuse(config, ["patrols", i, "launch"], f'"{patrol.launch}": give "manual" or "auto"')
        if patrol.launch == "auto" and realm is Realm.LIVE:
            raise refuse(
                config, ["patrols", i, "launch"],
                'a live launch needs a person: "auto" is for simulated drones in the training realm. Give "manual".',
            )
        if not 5.0 <= patrol.height_m <= 120.0:
            raise refuse(config, ["patrols", i, "height_m"], f"{patrol.height_m}: give 5 to 120 m above the take-off place")
        if not 1.0 <= patrol.speed_m_s <= 20.0:
            raise refuse(config, ["patrols", i, "speed_m_s"], f"{patrol.speed_m_s}: give 1 to 20 m/s")
        if patrol.reach_m < 0 or patrol.pause_s < 0:
            raise refuse(config, ["patrols", i], "reach_m and pause_s are 0 or more")
        if patrol.from_m < 0 or not 1 <= patrol.rounds <= 50 or not 0.0 <= patrol.overlap <= 0.9:
            raise refuse(config, ["patrols", i], "from_m is 0 or more, rounds 1 to 50, overlap 0 to 0.9")
        if patrol.by_camera and next(d for d in s.drones if d.id == patrol.drone).camera is None:
            raise refuse(config, ["patrols", i, "by_camera"], f'true, and "{patrol.drone}" has no [drones.camera] here')
