"""The real gpsd with a receiver that says what a test wants, gpsfake with a log, and daemons that misbehave."""

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

GPSD = shutil.which("gpsd") or shutil.which("/usr/sbin/gpsd")
GPSFAKE = shutil.which("gpsfake")


def require():
    if not (GPSD and GPSFAKE):
        pytest.skip("no gpsd and gpsfake here; ./trailwatch test installs them")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def sentence(body):
    """NMEA 0183: the checksum is the exclusive or of everything between $ and *."""
    check = 0
    for byte in body.encode():
        check ^= byte
    return f"${body}*{check:02X}\r\n"


def burst(at, lat=0.0, lon=0.0, *, fix=True):
    """What a receiver says in one second, north and east of nought."""
    hms, dmy = at.strftime("%H%M%S.%f")[:9], at.strftime("%d%m%y")
    if not fix:
        return "".join(sentence(s) for s in (
            f"GPRMC,{hms},V,,,,,,,{dmy},,,N", f"GPGGA,{hms},,,,,0,00,99.9,,M,,M,,", "GPGSA,A,1,,,,,,,,,,,,,99.9,99.9,99.9",
        ))
    where = f"{int(lat):02d}{lat % 1 * 60:08.5f},N,{int(lon):03d}{lon % 1 * 60:08.5f},E"
    return "".join(sentence(s) for s in (
        f"GPRMC,{hms},A,{where},0.0,0.0,{dmy},,,A", f"GPGGA,{hms},{where},1,08,1.0,170.0,M,-30.0,M,,",
        "GPGSA,A,3,01,02,03,04,05,06,07,08,,,,,1.8,1.0,1.5",
        "GPGSV,2,1,08,01,40,083,46,02,17,308,41,03,07,344,39,04,22,228,45",
        "GPGSV,2,2,08,05,40,083,46,06,17,308,41,07,07,344,39,08,22,228,45",
    ))


class Receiver:
    """A receiver on a TCP port, ten bursts a second. place: (lat, lon), None: no fix. shift: of its time, None: silent."""

    def __init__(self, place):
        self.place, self.shift = place, timedelta()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        self._listener.settimeout(0.05)
        peer = None
        while not self._stop.wait(0.1):
            with contextlib.suppress(TimeoutError):
                peer = self._listener.accept()[0]
            if peer is None or self.shift is None:
                continue
            place = self.place or (0.0, 0.0)
            try:
                peer.sendall(burst(datetime.now(UTC) + self.shift, *place, fix=self.place is not None).encode())
            except OSError:
                peer = None
        self._listener.close()
        if peer is not None:
            peer.close()

    def stop(self):
        self._stop.set()
        self._thread.join(5)


class Gpsd:
    """The real daemon on a receiver, begun and killed as often as a test likes."""

    def __init__(self, receiver=None):
        self.port = None
        self._folder = tempfile.TemporaryDirectory(prefix="gpsd-")
        # Without a receiver it wants a control socket, by which one could still be added.
        control = ["-F", f"{self._folder.name}/control"]
        self._devices = [f"tcp://127.0.0.1:{receiver.port}"] if receiver else control
        self._process = None

    def begin(self):
        """Again on the port that it had."""
        self.port, self._process = listening([GPSD, "-N", "-n", *self._devices, "-S"], [], self.port)
        return self

    def kill(self):
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = None


class GpsFake:
    """gpsfake, which starts a gpsd of its own and plays it a log over and over, one burst a second."""

    def __init__(self, log, sentences_a_burst):
        # Its control socket is called after its process and left behind when that is killed.
        self._folder = tempfile.TemporaryDirectory(prefix="gpsd-")
        self.port, self._process = listening(
            [GPSFAKE, "-n", "-q", "-c", str(1.0 / sentences_a_burst), "-P"], [str(log)], TMPDIR=self._folder.name
        )

    def kill(self):
        """Its own way out takes its gpsd along."""
        end_of(self._process)


class FalseDaemon:
    """Listens like gpsd and does what `serve(connection)` does; keeps every connection open until stopped."""

    def __init__(self, serve):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._serve = serve
        self._open = []
        self.served = 0
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                connection = self._listener.accept()[0]
            except OSError:
                return
            self._open.append(connection)
            self.served += 1
            threading.Thread(target=self._quietly, args=(connection,), daemon=True).start()

    def _quietly(self, connection):
        with contextlib.suppress(OSError):
            self._serve(connection)

    def stop(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for connection in self._open:
            connection.close()


def listening(command, rest, port=None, **environment):
    """The port of a daemon that answers, and its process. command ends where its port is to follow.

    A port that is free when we look can be another test's before gpsd has it. It stays then and listens on the IPv6 port
    alone, so one that does not answer gets another port. One that is named it gets again.
    """
    for _ in range(4):
        at = free_port() if port is None else port
        process = subprocess.Popen(
            [*command, str(at), *rest], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | environment
        )
        end = time.monotonic() + 15.0
        while process.poll() is None and time.monotonic() < end:
            if answers(at):
                return at, process
            time.sleep(0.05)
        end_of(process)
    raise AssertionError(f"{command[0]} does not listen")


def end_of(process):
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def answers(port):
    try:
        with socket.create_connection(("127.0.0.1", port), 1.0) as s:
            return s.recv(10).startswith(b"{")
    except OSError:
        return False


def wait_until(condition, else_say, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, else_say
        time.sleep(0.05)
