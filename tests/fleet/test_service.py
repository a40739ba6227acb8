"""The fleet service as a process, against simulated autopilots as processes; what it told is read from its outbox."""

from __future__ import annotations

import contextlib
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pymavlink.dialects.v20 import ardupilotmega as mavlink

from mavlink.link import Speaker
from mavlink.signing import Signer, SigningTime, make_key, read_key
from wire.clock import SteppedClock
from wire.codec import decode_envelope
from wire.flying import (
    CheckResult,
    DroneTelemetry,
    LinkState,
    Plan,
    Preflight,
    PreflightState,
    TaskPhase,
    TaskState,
)
from wire.keys import NodeKind, make_node_key, make_station_key, write_private
from wire.units import Realm

ROOT = Path(__file__).resolve().parents[2]

FLEET = """
key = "node.key"
sector = "{sector}"
data_dir = "data"
heartbeat_s = {heartbeat_s}

[station]
endpoint = "tcp://127.0.0.1:{station}"
public_key = '{station_key}'

[[drones]]
id = "drone-1"
connection = "{connection}"
home = [16.62225, 106.60230]
{drone}

[[patrols]]
drone = "drone-1"
corridor = "khe-da"
height_m = 20.0
reach_m = 150.0
launch = "{launch}"
"""


class Service:
    """A running fleet service and what it has put into its outbox."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder, self.process = folder, process

    def said(self, kind: type) -> list[Any]:
        path = self.folder / "data/outbox.db"
        if not path.exists():
            return []
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            rows = db.execute("select data from queue order by boot, sequence").fetchall()
        except sqlite3.OperationalError:
            return []
        finally:
            db.close()
        bodies = [decode_envelope(row[0]).body for row in rows]
        return [b for b in bodies if isinstance(b, kind)]

    def phases(self) -> list[TaskPhase]:
        return [t.phase for t in self.said(TaskState)]

    def wait(self, holds: Callable[[], bool], timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not holds():
            assert self.process.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def log(self) -> str:
        return (self.folder / "fleet.log").read_text()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)


@pytest.fixture
def start_service(tmp_path: Path, environment: dict[str, str], free_port: int) -> Iterator[Callable[..., Service]]:
    started: list[Service] = []

    def start(
        connection: str, *, realm: Realm = Realm.TRAINING, heartbeat_s: float = 0.05, drone: str = "",
        launch: str = "auto", kind: NodeKind = NodeKind.FLEET,
    ) -> Service:
        if not (tmp_path / "node.key").exists():
            write_private(tmp_path / "node.key", make_node_key("fleet", kind, realm))
        (tmp_path / "fleet.toml").write_text(
            FLEET.format(
                sector=ROOT / "configs/sectors/laobao/sector.toml", station=free_port, heartbeat_s=heartbeat_s,
                launch=launch, station_key=make_station_key(realm).public, connection=connection, drone=drone,
            )
        )
        with (tmp_path / "fleet.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "ground_station.py", "fleet", "--config", str(tmp_path / "fleet.toml")], cwd=ROOT,
                env=environment, stdout=log, stderr=log,
            )
        started.append(Service(tmp_path, process))
        return started[-1]

    yield start
    for service in started:
        if service.process.poll() is None:
            service.process.kill()
            service.process.wait()


FLOWN = [
    TaskPhase.CREATED, TaskPhase.SENT, TaskPhase.RECEIVED, TaskPhase.ACCEPTED, TaskPhase.EXECUTING, TaskPhase.DONE,
]


@pytest.mark.slow
def test_a_whole_sortie_from_plan_to_landing(
    start_autopilot: Callable[..., Any], start_service: Callable[..., Service]
) -> None:
    autopilot = start_autopilot(speedup=10.0, settle_s=200.0)
    service = start_service(autopilot.connection())
    service.wait(lambda: TaskPhase.DONE in service.phases() or TaskPhase.FAILED in service.phases())
    assert service.phases() == FLOWN
    (plan,) = service.said(Plan)
    (check,) = service.said(CheckResult)
    assert check.passed and check.smallest_border_distance_m >= 150.0
    assert plan.hardware_id == "a1b2c3" and plan.system_id == 1
    preflights = service.said(Preflight)
    assert preflights[0].state is PreflightState.RUNNING, "it had to wait for the position estimate"
    assert preflights[-1].state is PreflightState.PASS
    service.wait(lambda: not service.said(DroneTelemetry)[-1].armed, 5.0)
    telemetry = [t for t in service.said(DroneTelemetry) if t.position is not None]
    assert max(t.height_above_home_m for t in telemetry) == pytest.approx(20.0, abs=1.5)
    west = min(t.position.lon_deg for t in telemetry)
    assert 106.60230 - west == pytest.approx(150.0 / 106_600.0, abs=25.0 / 106_600.0)
    assert all(t.simulated and t.link is LinkState.CONNECTED for t in telemetry)
    assert {t.mode for t in telemetry} >= {"GUIDED", "AUTO"}
    assert not telemetry[-1].armed
    assert service.stop() == 0
    assert "Traceback" not in service.log()


@pytest.mark.slow
def test_stopping_the_service_calls_the_drone_back_and_says_so(
    start_autopilot: Callable[..., Any], start_service: Callable[..., Service], listening: Callable[..., Any]
) -> None:
    import asyncio

    autopilot = start_autopilot(speedup=4.0)
    service = start_service(autopilot.connection())
    service.wait(lambda: TaskPhase.EXECUTING in service.phases())
    time.sleep(1.0)
    assert service.stop() == 0
    last = service.said(TaskState)[-1]
    assert last.phase is TaskPhase.CANCELLED and "mode RTL: accepted" in last.sentence

    async def home() -> None:
        async with listening(autopilot.connection(1)) as both:
            deadline = time.monotonic() + 30
            while both.drone.armed():
                assert both.drone.mode() == "RTL"
                assert time.monotonic() < deadline
                await asyncio.sleep(0.1)

    asyncio.run(home())


@pytest.mark.slow(120)
def test_a_service_that_is_killed_leaves_a_drone_that_comes_home_and_a_new_one_waits_for_it(
    start_autopilot: Callable[..., Any], start_service: Callable[..., Service]
) -> None:
    # It waits long above its home, so that a busy machine has started the second service before it has landed.
    autopilot = start_autopilot(speedup=6.0, parameters="RTL_LOIT_TIME = 240000.0\n[battery]\ncapacity_mah = 40000.0")
    service = start_service(autopilot.connection())
    service.wait(lambda: TaskPhase.EXECUTING in service.phases())
    service.process.kill()
    service.process.wait()
    time.sleep(1.5)     # 9 s of the drone's time, over its station failsafe's 5
    again = start_service(autopilot.connection())
    again.wait(lambda: any(t.mode == "RTL" and t.armed for t in again.said(DroneTelemetry)))
    again.wait(lambda: again.phases().count(TaskPhase.DONE) == 1, 200.0)
    assert again.phases() == [*FLOWN[:-1], *FLOWN]
    assert "in the air already, in RTL" in again.log()
    assert len({t.task_id for t in again.said(TaskState)}) == 2
    assert again.stop() == 0


@pytest.mark.slow
def test_a_drone_that_reboots_is_identified_again_and_flies(
    start_autopilot: Callable[..., Any], start_service: Callable[..., Service]
) -> None:
    """The process dies before take-off and comes back on the same port, as a drone does whose battery is changed."""
    autopilot = start_autopilot(settle_s=600.0, speedup=10.0)
    service = start_service(autopilot.connection())
    service.wait(lambda: bool(service.said(Preflight)))
    autopilot.process.kill()
    autopilot.process.wait()
    config = next(service.folder.glob("drone-1-*.toml"))
    text = config.read_text().replace("ports = [0, 0]", f"ports = {autopilot.ports}")
    config.write_text(text.replace("settle_s = 600.0", "settle_s = 2.0"))
    process = subprocess.Popen([sys.executable, "ground_station.py", "autopilot", "--config", str(config)], cwd=ROOT)
    try:
        service.wait(lambda: TaskPhase.DONE in service.phases(), 90.0)
        assert "has to be read anew" in service.log()
        assert service.stop() == 0
    finally:
        process.terminate()
        assert process.wait(timeout=10) == 0


@pytest.mark.slow
def test_a_short_cut_of_the_link_changes_nothing_and_a_long_one_brings_the_drone_home(
    start_autopilot: Callable[..., Any], start_service: Callable[..., Service], relay: Callable[[int], Any]
) -> None:
    autopilot = start_autopilot(speedup=2.0, parameters="FS_GCS_TIMEOUT = 8.0")
    between = relay(autopilot.ports[0])
    service = start_service(f"tcp:127.0.0.1:{between.port}")
    service.wait(lambda: any(t.mode == "AUTO" and t.armed for t in service.said(DroneTelemetry)))
    identified = service.said(DroneTelemetry)[-1]
    between.cut()
    between.mend()
    heard = len(service.said(DroneTelemetry))
    service.wait(lambda: any(t.heard_age_s < 0.6 for t in service.said(DroneTelemetry)[heard + 4 :]))
    assert {(t.mode, t.hardware_id) for t in service.said(DroneTelemetry)[heard:]} == {("AUTO", identified.hardware_id)}
    between.cut()
    service.wait(lambda: service.said(DroneTelemetry)[-1].link is LinkState.LOST)
    between.mend()
    service.wait(lambda: TaskPhase.FAILED in service.phases(), 90.0)
    sentence = service.said(TaskState)[-1].sentence
    assert "landed before the end of its patrol" in sentence and "in RTL, after its link was lost at item" in sentence
    assert service.stop() == 0


@pytest.mark.slow
def test_a_drone_whose_battery_runs_low_is_called_back_from_its_patrol(
    start_autopilot: Callable[..., Any], start_service: Callable[..., Service]
) -> None:
    """An ArduCopter as it ships does nothing about its battery. This one is a thirteenth of what its settings say, which the
    flight teaches: it is called back for what the way home will take, or at its limit, whichever is seen first.
    """
    autopilot = start_autopilot(speedup=5.0, parameters="[battery]\ncapacity_mah = 400.0\ncharge_percent = 100.0")
    service = start_service(autopilot.connection(), drone="battery_return_percent = 45.0")
    service.wait(lambda: TaskPhase.FAILED in service.phases(), 90.0)
    sentence = service.said(TaskState)[-1].sentence
    assert "in RTL, after it was called back" in sentence and "% left in its battery" in sentence.replace(
        "% of its battery", "% left in its battery"
    ), sentence
    assert service.stop() == 0


@pytest.mark.slow
def test_a_drone_that_restarts_in_the_air_has_not_landed_and_is_looked_for(
    start_autopilot: Callable[..., Any], start_service: Callable[..., Service]
) -> None:
    autopilot = start_autopilot(speedup=4.0)
    service = start_service(autopilot.connection())
    service.wait(lambda: any(t.mode == "AUTO" and t.armed for t in service.said(DroneTelemetry)))
    autopilot.process.kill()
    autopilot.process.wait()
    config = next(service.folder.glob("drone-1-*.toml"))
    config.write_text(config.read_text().replace("ports = [0, 0]", f"ports = {autopilot.ports}"))
    process = subprocess.Popen([sys.executable, "ground_station.py", "autopilot", "--config", str(config)], cwd=ROOT)
    try:
        service.wait(lambda: TaskPhase.FAILED in service.phases(), 60.0)
        assert "has started anew in the middle of the sortie, on the way to item" in service.said(TaskState)[-1].sentence
        assert service.stop() == 0
        assert service.phases()[-1] is TaskPhase.FAILED, "it is not flown again by itself"
    finally:
        process.terminate()
        assert process.wait(timeout=10) == 0


def test_a_live_station_does_not_command_a_simulated_drone(
    start_autopilot: Callable[..., Any], start_service: Callable[..., Service]
) -> None:
    autopilot = start_autopilot()
    service = start_service(autopilot.connection(), realm=Realm.LIVE, launch="manual", drone="unsigned = true")
    service.wait(lambda: bool([t for t in service.said(DroneTelemetry) if t.simulated]))
    assert service.stop() == 0
    assert service.phases() == []
    assert "live and without a signing key, as the settings say: drone-1" in service.log()


def test_another_aircraft_on_the_connection_is_not_commanded(
    start_autopilot: Callable[..., Any], start_service: Callable[..., Service]
) -> None:
    autopilot = start_autopilot(hardware_id="ffee")
    service = start_service(autopilot.connection(), drone='hardware_id = "a1b2c3"')
    service.wait(lambda: "it is not commanded" in service.log())
    assert service.phases() == []
    assert service.stop() == 0


def test_no_drone_is_no_reason_to_die_and_telemetry_says_lost_in_a_folder_that_others_cannot_read(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    (tmp_path / "data/flights").mkdir(parents=True)
    (tmp_path / "data/flights/old.tlog").touch(0o644)
    service = start_service("tcp:127.0.0.1:9")
    service.wait(lambda: len(service.said(DroneTelemetry)) > 2)
    telemetry = service.said(DroneTelemetry)[-1]
    assert telemetry.link is LinkState.LOST and telemetry.position is None
    assert "no connection" in service.log()
    assert service.stop() == 0
    kept = [tmp_path / "data", *(tmp_path / "data").rglob("*")]
    assert len(kept) > 5 and not [path for path in kept if path.lstat().st_mode & 0o077]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"launch": "auto", "realm": Realm.LIVE}, 'patrols.0.launch: a live launch needs a person: "auto" is for simulated'),
        ({"launch": "perhaps"}, 'patrols.0.launch: "perhaps": give "manual" or "auto"'),
        ({"connection": "tcp:nowhere"}, 'drones.0.connection: "tcp:nowhere": give tcp:HOST:PORT'),
        ({"drone": "endurance_s = 0.0"}, "drones.0.endurance_s: 0.0: seconds in the air"),
        ({"drone": "colour = 3"}, "drones.0.colour"),
        ({"drone": "battery_return_percent = 60.0"}, "drones.0.battery_return_percent: 60: give 5 or more, and less than"),
        ({"launch": "manual", "realm": Realm.LIVE}, 'drones.0.signing_key: drone "drone-1" has no signing key, so anybody'),
        ({"kind": NodeKind.CAMERA}, 'key: a key of kind "camera"'),
    ],
)
def test_bad_settings_are_one_line_with_file_line_and_key(
    start_service: Callable[..., Service], change: dict[str, Any], words: str
) -> None:
    service = start_service(**{"connection": "tcp:127.0.0.1:5760", **change})
    assert service.process.wait(timeout=20) == 2
    lines = service.log().strip().splitlines()
    assert len(lines) == 1 and words in lines[0] and "fleet.toml:" in lines[0], lines


@pytest.mark.slow
def test_a_service_that_hangs_in_flight_leaves_a_drone_that_comes_home_by_itself(
    start_autopilot: Callable[..., Any], start_service: Callable[..., Service], listening: Callable[..., Any]
) -> None:
    """Stopped and not dead: its sockets stay open, and nothing but its silence tells."""
    import asyncio

    autopilot = start_autopilot(speedup=4.0)
    service = start_service(autopilot.connection())
    service.wait(lambda: any(t.mode == "AUTO" and t.armed for t in service.said(DroneTelemetry)), 120.0)
    service.process.send_signal(signal.SIGSTOP)

    async def returns() -> None:
        # A stranger who listens is no station: 255 speaks for ours, so the listener has another number.
        async with listening(autopilot.connection(1), speaker=Speaker(200, 190, 6)) as both:
            deadline = time.monotonic() + 60
            while both.drone.mode() != "RTL":
                assert time.monotonic() < deadline and both.drone.armed()
                await asyncio.sleep(0.05)

    asyncio.run(returns())
    service.process.send_signal(signal.SIGCONT)
    service.wait(lambda: TaskPhase.FAILED in service.phases(), 120.0)
    assert "landed before the end of its patrol" in service.said(TaskState)[-1].sentence
    assert service.stop() == 0


@pytest.mark.slow
def test_a_drone_with_a_key_is_given_it_flies_signed_and_is_written_into_the_book(
    start_autopilot: Callable[..., Any], start_service: Callable[..., Service], environment: dict[str, str]
) -> None:
    from fleet.flight_book import FlightBook
    from fleet.tlog import read_tlog
    from mavlink.signing import is_signed

    autopilot = start_autopilot(speedup=10.0)
    started = start_service("tcp:127.0.0.1:9", launch="manual")     # writes the settings
    folder = started.folder
    started.process.kill()
    started.process.wait()
    make_key(folder / "drone-1.signing")
    signed = 'system_id = 1\nsigning_key = "drone-1.signing"'
    settings = (folder / "fleet.toml").read_text().replace("home = [", f"{signed}\nhome = [")
    (folder / "fleet.toml").write_text(settings)
    give = [sys.executable, "ground_station.py", "signing", "give", "--config", str(folder / "fleet.toml")]
    given = subprocess.run(
        [*give, "--drone", "drone-1", "--connect", autopilot.connection(0)], cwd=ROOT, env=environment, capture_output=True,
        text=True, check=False,
    )
    assert (given.returncode, given.stdout) == (0, "system 1 signs with its key now\n"), given.stderr

    # The second port believes nothing without a signature.
    unsigned = start_service(autopilot.connection(1))
    time.sleep(8.0)
    assert unsigned.said(Plan) == [] and not any(t.hardware_id for t in unsigned.said(DroneTelemetry))
    unsigned.process.kill()
    unsigned.process.wait()

    service = start_service(autopilot.connection(1), drone=signed)
    service.wait(lambda: TaskPhase.DONE in service.phases() or TaskPhase.FAILED in service.phases(), 150.0)
    assert service.phases()[-1] is TaskPhase.DONE, service.log()
    time.sleep(8.0)
    assert service.stop() == 0
    book = FlightBook(folder / "data/flights", keep=False)
    (row,) = book.flights()
    assert row.hardware_id == "a1b2c3" and row.plan_id and row.modes.startswith("GUIDED AUTO"), row
    assert row.ending.startswith("disarmed in") and row.distance_m > 200.0
    frames = list(read_tlog(folder / "data/flights" / row.tlog))
    assert len(frames) > 300 and all(is_signed(bytes(m.get_msgbuf())) for _, m in frames)
    assert (folder / "data/signing/drone-1.time").exists()
    out = folder / "flight.kml"
    wrote = subprocess.run(
        [sys.executable, "ground_station.py", "flights", "--config", str(folder / "fleet.toml"), "--flight", "1", "--out",
         str(out)], cwd=ROOT, env=environment, capture_output=True, text=True, check=False,
    )
    assert wrote.returncode == 0 and "gx:coord" in out.read_text(), wrote.stderr


@pytest.mark.slow(70)
def test_a_drone_with_two_links_flies_on_when_the_first_is_cut(
    start_autopilot: Callable[..., Any], start_service: Callable[..., Service], relay: Callable[[int], Any]
) -> None:
    autopilot = start_autopilot(speedup=1.5, parameters="[battery]\ncapacity_mah = 40000.0")
    between = relay(autopilot.ports[0])
    first = f"tcp:127.0.0.1:{between.port}"
    service = start_service(first, drone=f'more_connections = ["{autopilot.connection(1)}"]')
    service.wait(lambda: any(t.mode == "AUTO" and t.armed for t in service.said(DroneTelemetry)), 150.0)
    assert any("in use" in word and first in word for word in service.said(DroneTelemetry)[-1].links)
    between.cut()
    heard = len(service.said(DroneTelemetry))
    service.wait(lambda: TaskPhase.DONE in service.phases() or TaskPhase.FAILED in service.phases(), 250.0)
    assert service.phases()[-1] is TaskPhase.DONE, service.log()
    after = service.said(DroneTelemetry)[heard:]
    assert {t.link for t in after} == {LinkState.CONNECTED}
    assert any("in use" in word and autopilot.connection(1) in word for t in after for word in t.links)
    assert service.stop() == 0


class SignedVoice:
    """A socket that speaks as a drone with a key. As in ArduPilot, its time stands still unless it hears a later one."""

    def __init__(self, key: bytes, port: int) -> None:
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.sock.setblocking(False)
        self.frames: list[bytes] = []
        self.heard: set[str] = set()
        self._station = ("127.0.0.1", port)
        self._signer = Signer(key, SigningTime(SteppedClock(time.time_ns()), None))
        self._mav, self._parser = mavlink.MAVLink(None, 1, 1), mavlink.MAVLink(None)

    def speak(self) -> None:
        self.frames.append(self._signer.pack(mavlink.MAVLink_heartbeat_message(2, 3, 0, 0, 3, 3), self._mav, 0))
        self.sock.sendto(self.frames[-1], self._station)
        for message in self._hear():
            self._signer.verify(bytes(message.get_msgbuf()), 255, 190)

    def replay(self, frames: list[bytes]) -> None:
        for frame in frames:
            self.sock.sendto(frame, self._station)
        self._hear()

    def _hear(self) -> list[Any]:
        found: list[Any] = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found += self._parser.parse_buffer(self.sock.recv(4096)) or []
        self.heard |= {message.get_type() for message in found}
        return found


def test_what_a_killed_service_had_heard_is_no_drone_to_the_next_and_draws_no_command(
    start_service: Callable[..., Service], tmp_path: Path
) -> None:
    make_key(tmp_path / "drone-1.signing")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    drone, stranger = (SignedVoice(read_key(tmp_path / "drone-1.signing"), port) for _ in range(2))
    settings = {"launch": "manual", "drone": 'system_id = 1\nsigning_key = "drone-1.signing"'}

    def ages() -> list[float]:
        return [t.heard_age_s for t in service.said(DroneTelemetry)]

    def while_speaking(holds: Callable[[], bool]) -> Callable[[], bool]:
        return lambda: (drone.speak(), holds())[1]

    service = start_service(f"udpin:127.0.0.1:{port}", **settings)
    service.wait(while_speaking(lambda: any(age < 1e6 for age in ages())))
    service.process.kill()
    service.process.wait()
    told = len(ages())
    service = start_service(f"udpin:127.0.0.1:{port}", **settings)
    service.wait(lambda: (stranger.replay(drone.frames), stranger.heard)[1])
    told_then = len(ages())
    service.wait(lambda: (stranger.replay(drone.frames), len(ages()) > told_then + 1)[1])
    assert set(ages()[told:]) == {1e6}, "never heard"
    drone.heard.clear()
    service.wait(while_speaking(lambda: drone.heard > {"HEARTBEAT"} and any(age < 1e6 for age in ages()[told:])))
    stranger.replay(drone.frames)
    assert stranger.heard == {"HEARTBEAT"}
