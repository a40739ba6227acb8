"""A simulated drone as a process: the autopilot model behind MAVLink 2 on TCP ports, and on UDP if asked.

Like ArduPilot's own simulation each TCP port serves one client; a second one connects and hears nothing until the first
has gone. Asked-for streams survive a reconnect and not a reboot.
"""

from __future__ import annotations

import logging
import random
import selectors
import signal
import socket
from pathlib import Path
from typing import Any

import msgspec
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from mavlink.link import UNSIGNED_ACCEPTED
from mavlink.signing import NEW_STREAM_BEHIND, Signer, SigningTime, is_signed
from sim.autopilot_commands import Autopilot
from sim.autopilot_flight import Flight, Place
from sim.autopilot_parameters import Parameters
from sim.multirotor import Battery, Multirotor, MultirotorLimits, Wind
from wire.clock import NS_PER_S, Clock, WallClock
from wire.process import log_to_stderr
from wire.settings import SettingsError, load_settings, refuse

STEP_S = 0.02                   # 50 Hz, of simulated time
BEHIND_LIMIT_S = 0.5            # a machine that cannot keep up slows the simulated time instead of leaping
REBOOT_S = 1.1                  # until the first heartbeat after a start, as ArduCopter's SITL
WRITE_LIMIT_BYTES = 256 * 1024  # a client that does not read loses its connection

_log = logging.getLogger("trailwatch.autopilot")


class WindSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    speed_m_s: float = 0.0
    from_deg: float = 180.0
    gust_m_s: float = 0.0


class BatterySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """charge_percent: what it starts with. swap_after_s: a flown battery is replaced by a full one after so many simulated
    seconds on the ground, disarmed; 0: only by order.
    """

    capacity_mah: float = 5200.0
    cells: int = 4
    charge_percent: float = 100.0
    swap_after_s: float = 0.0


class AutopilotSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One simulated drone.

    ports: TCP, on 127.0.0.1; the first for the fleet, a further one for the drone's node. 0 takes a free one and says so.
    udp_to: "host:port" to which it also speaks MAVLink, empty for none. hardware_id: hex, up to 18 bytes (uid2).
    home, home_msl_m: where it stands at the start. settle_s: until the position estimate is good enough for GUIDED.
    speedup: simulated seconds a second. parameters: overrides of the autopilot's own, by name.
    position_noise_m, height_noise_m, lean_noise_deg, yaw_noise_deg: one sigma of the slow wander of what it reports.
    """

    system_id: int
    hardware_id: str
    home: tuple[float, float]
    home_msl_m: float
    ports: list[int] = msgspec.field(default_factory=lambda: [5760, 5762])
    udp_to: str = ""
    heading_deg: float = 0.0
    seed: int = 1
    settle_s: float = 41.0
    speedup: float = 1.0
    position_noise_m: float = 0.3
    height_noise_m: float = 0.0
    lean_noise_deg: float = 0.0
    yaw_noise_deg: float = 0.0
    wind: WindSettings = WindSettings()
    battery: BatterySettings = BatterySettings()
    parameters: dict[str, float] = {}


def load(config: Path) -> AutopilotSettings:
    """Read and check a settings file. Raises SettingsError."""
    s = load_settings(config, AutopilotSettings)
    if not 1 <= s.system_id <= 250:
        raise refuse(config, ["system_id"], f"{s.system_id}: give 1 to 250, another one for each drone")
    try:
        hardware = bytes.fromhex(s.hardware_id)
    except ValueError:
        hardware = b""
    if not 1 <= len(hardware) <= 18:
        raise refuse(config, ["hardware_id"], f'"{s.hardware_id}": give 2 to 36 hex digits, for example "5452414c01"')
    if not (abs(s.home[0]) <= 90 and abs(s.home[1]) <= 180):
        raise refuse(config, ["home"], f"{list(s.home)}: give [latitude, longitude] in degrees")
    if not s.ports or any(not 0 <= port <= 65535 for port in s.ports):
        raise refuse(config, ["ports"], f"{s.ports}: give one TCP port or more, for example [5760, 5762]")
    if not 0.05 <= s.speedup <= 50:
        raise refuse(config, ["speedup"], f"{s.speedup}: simulated seconds a second, 0.05 to 50")
    if not 0 < s.battery.charge_percent <= 100 or s.battery.capacity_mah <= 0 or s.battery.cells < 1:
        raise refuse(config, ["battery"], "needs a capacity above 0 mAh, 1 cell or more, and a charge of 1 to 100 percent")
    if not 0 <= s.battery.swap_after_s <= 3600:
        raise refuse(config, ["battery", "swap_after_s"], f"{s.battery.swap_after_s:g}: give 0 (never) to 3600 seconds")
    if s.udp_to and not (s.udp_to.rpartition(":")[0] and s.udp_to.rpartition(":")[2].isdigit()):
        raise refuse(config, ["udp_to"], f'"{s.udp_to}": give host:port, for example "127.0.0.1:14550"')
    try:
        Parameters(s.parameters)
    except ValueError as error:
        raise refuse(config, ["parameters"], str(error)) from None
    return s


def make_autopilot(s: AutopilotSettings, clock: Clock, channels: int, parameters: Parameters | None = None) -> Autopilot:
    """An autopilot that has just been switched on. `parameters` carries those of before a reboot over."""
    p = parameters or Parameters(
        {
            "MAV_SYSID": float(s.system_id),
            "BATT_CAPACITY": s.battery.capacity_mah,
            "SIM_SPEEDUP": s.speedup,
            "SIM_WIND_SPD": s.wind.speed_m_s,
            "SIM_WIND_DIR": s.wind.from_deg,
            "SIM_WIND_TURB": s.wind.gust_m_s,
            **s.parameters,
        }
    )
    battery = Battery(s.battery.capacity_mah, s.battery.cells)
    battery.used_mah = s.battery.capacity_mah * (1.0 - s.battery.charge_percent / 100.0)
    wind = Wind(s.wind.speed_m_s, s.wind.from_deg, s.wind.gust_m_s)
    body = Multirotor(
        MultirotorLimits(), wind, battery, s.position_noise_m, random.Random(s.seed), yaw_deg=s.heading_deg,
        height_noise_m=s.height_noise_m, lean_noise_deg=s.lean_noise_deg, yaw_noise_deg=s.yaw_noise_deg,
    )
    start = Place(s.home[0], s.home[1], s.home_msl_m)

    def flight_of(autopilot: Autopilot) -> Flight:
        return Flight(body, start, p, s.settle_s, autopilot.announce, autopilot.reached)

    return Autopilot(flight_of, bytes.fromhex(s.hardware_id), clock.utc_ns, channels, s.battery.swap_after_s)


class _Port:
    """One link of the autopilot: a TCP port with at most one client, or a UDP peer."""

    def __init__(self, sock: socket.socket, *, listens: bool, system_id: int) -> None:
        self.listener = sock if listens else None
        self.client: socket.socket | None = None if listens else sock
        self.parser = mavlink.MAVLink(None, system_id, 1)
        self.parser.robust_parsing = True
        self.pending = bytearray()

    def accept(self) -> socket.socket | None:
        if self.listener is None or self.client is not None:
            return None
        try:
            self.client, _ = self.listener.accept()
        except OSError:
            return None
        self.client.setblocking(False)
        self.client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.pending.clear()
        return self.client

    def write(self, messages: list[Any], signer: Signer | None, link_id: int) -> bool:
        """Send what is waiting; False when the client is gone or does not read."""
        if self.client is None:
            return True
        for message in messages:
            packed = message.pack(self.parser) if signer is None else signer.pack(message, self.parser, link_id)
            self.pending += packed
            self.parser.seq = (self.parser.seq + 1) % 256
        if not self.pending:
            return True
        try:
            sent = self.client.send(self.pending)
            del self.pending[:sent]
        except BlockingIOError:
            pass
        except OSError:
            if self.listener is None:       # nobody listens at the UDP peer yet
                self.pending.clear()
                return True
            return False
        return len(self.pending) <= WRITE_LIMIT_BYTES


class AutopilotProcess:
    """The sockets round one Autopilot, and its time."""

    def __init__(self, s: AutopilotSettings, clock: Clock) -> None:
        self._s = s
        self._clock = clock
        self._ports = [_Port(_listen(port), listens=True, system_id=s.system_id) for port in s.ports]
        if s.udp_to:
            host, _, port = s.udp_to.rpartition(":")
            udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            udp.setblocking(False)
            udp.connect((host, int(port)))
            self._ports.append(_Port(udp, listens=False, system_id=s.system_id))
        self.ports = [p.listener.getsockname()[1] for p in self._ports if p.listener is not None]
        self._selector = selectors.DefaultSelector()
        for number, port_ in enumerate(self._ports):
            if port_.listener is not None:
                self._selector.register(port_.listener, selectors.EVENT_READ, number)
            elif port_.client is not None:
                self._selector.register(port_.client, selectors.EVENT_READ, number)
        self._autopilot = make_autopilot(s, clock, len(self._ports))
        for number, port_ in enumerate(self._ports):
            self._autopilot.channels[number].open = port_.client is not None
        self._stopping = False
        self._signing: tuple[bytes, int] | None = None
        self._signer: Signer | None = None

    @property
    def flight(self) -> Flight:
        """The aircraft itself: for whoever measures where it truly is."""
        return self._autopilot.flight

    def stop(self) -> None:
        self._stopping = True

    def serve(self) -> None:
        """Until stop()."""
        before_ns = self._clock.monotonic_ns()
        owed_s = 0.0
        while not self._stopping:
            for key, _ in self._selector.select(STEP_S / max(1.0, self._s.speedup)):
                self._read(int(key.data))
            now_ns = self._clock.monotonic_ns()
            owed_s = min(owed_s + (now_ns - before_ns) / NS_PER_S * self._s.speedup, BEHIND_LIMIT_S * self._s.speedup)
            before_ns = now_ns
            while owed_s >= STEP_S:
                owed_s -= STEP_S
                self._autopilot.step(STEP_S)
            for number, channel in enumerate(self._autopilot.channels):
                messages, channel.out = channel.out, []
                if not self._ports[number].write(messages, self._signer, number):
                    self._hang_up(number)
            if self._autopilot.rebooting:
                self._reboot()
                before_ns = self._clock.monotonic_ns()

    def close(self) -> None:
        for port in self._ports:
            for sock in (port.client, port.listener):
                if sock is not None:
                    sock.close()
        self._selector.close()

    def _read(self, number: int) -> None:
        port = self._ports[number]
        if port.client is None:
            client = port.accept()
            if client is not None:
                # While a client is served the listener is not watched: a second one waits, and hears nothing.
                self._selector.unregister(port.listener)    # type: ignore[arg-type]
                self._selector.register(client, selectors.EVENT_READ, number)
                self._autopilot.channels[number].open = True
            return
        try:
            data = port.client.recv(8192)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            if port.listener is not None:
                self._hang_up(number)
            return
        for message in port.parser.parse_buffer(data) or []:
            if message.get_msgId() >= 0 and self._accepts(message, number):
                self._autopilot.take(message, number)
                self._set_up_signing()

    def _accepts(self, message: Any, number: int) -> bool:
        """As ArduPilot: once there is a key only what is signed with it, but on the first port, which is its USB, all."""
        if self._signer is None:
            return True
        frame = bytes(message.get_msgbuf())
        system_id, component_id = message.get_srcSystem(), message.get_srcComponent()
        good = is_signed(frame) and self._signer.verify(frame, system_id, component_id)
        return good or number == 0 or message.get_msgId() in UNSIGNED_ACCEPTED

    def _set_up_signing(self) -> None:
        if self._autopilot.signing != self._signing:
            self._signing = self._autopilot.signing
            self._signer = None
            if self._signing is not None:
                key, start = self._signing
                # One minute on from what was stored, which is done at most each half minute.
                self._signer = Signer(key, SigningTime(self._clock, None, start + NEW_STREAM_BEHIND))

    def _hang_up(self, number: int) -> None:
        port = self._ports[number]
        if port.listener is None or port.client is None:
            return
        self._selector.unregister(port.client)
        port.client.close()
        port.client = None
        port.pending.clear()
        self._autopilot.channels[number].open = False
        self._autopilot.channels[number].out.clear()
        self._selector.register(port.listener, selectors.EVENT_READ, number)

    def _reboot(self) -> None:
        old = self._autopilot
        for number in range(len(self._ports)):
            self._hang_up(number)
        self._clock.sleep(REBOOT_S / self._s.speedup)
        self._autopilot = make_autopilot(self._s, self._clock, len(self._ports), old.flight.p)
        self._autopilot.store.items = old.store.items
        if self._signing is not None and self._signer is not None:
            self._autopilot.signing = (self._signing[0], self._signer.time)
            self._set_up_signing()
        body = self._autopilot.flight.body
        was = old.flight.body
        body.east_m, body.north_m, body.up_m, body.yaw_deg = was.east_m, was.north_m, was.up_m, was.yaw_deg
        body.battery.used_mah = was.battery.used_mah
        for number, port in enumerate(self._ports):
            self._autopilot.channels[number].open = port.client is not None


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen(4)
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"TCP port {port} on 127.0.0.1 cannot be had: {error.strerror}. Stop what uses it, or give another in `ports`."
        ) from None
    listener.setblocking(False)
    return listener


def run(config: Path) -> int:
    """Fly one simulated drone until SIGTERM or SIGINT."""
    log_to_stderr()
    s = load(config)
    process = AutopilotProcess(s, WallClock())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: process.stop())
    ports = ", ".join(str(port) for port in process.ports)
    _log.info("drone %d (simulated, hardware %s) listens on 127.0.0.1, TCP %s", s.system_id, s.hardware_id, ports)
    try:
        process.serve()
    finally:
        process.close()
    return 0
