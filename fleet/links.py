"""The links of a fleet service: one owner a connection, whatever number of drones is on it; and the roads to each drone."""

from __future__ import annotations

from fleet.settings import DroneSettings, Fleet
from fleet.signing_files import SIGNING_FOLDER
from mavlink.link import Link
from mavlink.roads import Roads
from mavlink.signing import Signer, SigningTime, read_key
from wire.clock import Clock


class FleetLinks:
    """links: to be run, each by one task. roads: by drone id."""

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        self._fleet, self._clock = fleet, clock
        self._links: dict[str, Link] = {}
        self.roads: dict[str, Roads] = {}
        for drone in fleet.settings.drones:
            signer = self._signer(drone)
            links = []
            for connection in (drone.connection, *drone.more_connections):
                link = self._link(connection)
                if signer is not None:
                    link.signers[drone.system_id] = signer
                else:
                    link.open_too = True
                links.append(link)
            self.roads[drone.id] = Roads(links, drone.system_id)

    @property
    def links(self) -> tuple[Link, ...]:
        return tuple(self._links.values())

    def _link(self, connection: str) -> Link:
        link = self._links.get(connection)
        if link is None:
            heartbeat_s = self._fleet.settings.heartbeat_s
            link = Link(connection, self._clock, heartbeat_s=heartbeat_s, link_id=len(self._links) % 256)
            self._links[connection] = link
        return link

    def _signer(self, drone: DroneSettings) -> Signer | None:
        if not drone.signing_key:
            return None
        settings = self._fleet
        key = read_key(settings.config_folder / drone.signing_key)
        file = settings.data_dir / SIGNING_FOLDER / f"{drone.id}.time"
        return Signer(key, SigningTime(self._clock, file))
