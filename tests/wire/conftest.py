"""A small real station, with CURVE and a ZAP allow-list, that acknowledges as it is told to; and a bad link to it."""

import contextlib
import socket
import struct
import threading
import time

import pytest
import zmq
from zmq.utils import z85

from wire.codec import MAGIC, RefusedError, decode_envelope, encode_down, split_transport
from wire.keys import NodeKind, make_node_key, make_station_key
from wire.messages import Acknowledgement, Refusal
from wire.pieces import PieceTaker, decode_piece, is_piece
from wire.units import Realm


class SmallStation:
    """received: envelopes in order of arrival, every sending counted. deaf: takes and acknowledges nothing.
    events: "piece" and "message" in order of arrival. forgetful: takes pictures piece by piece, and dies before its commit.

    What does not parse is refused without a name, as the real one does where it cannot read that far.
    """

    def __init__(self, allowed, key=None, endpoint="tcp://127.0.0.1:0"):
        self.key = key or make_station_key(Realm.TRAINING)
        self.allowed = set(allowed)
        self.received = []
        self.transports = []
        self.events, self.piece_sizes = [], []
        self._pieces = PieceTaker()
        self.odd = 0
        self.deaf = self.forgetful = False
        self.greeting = []          # raw multiparts sent back on the first message of every peer
        self._told = set()
        self._stop = threading.Event()
        self._context = zmq.Context()
        self._zap = self._context.socket(zmq.REP)
        self._zap.bind("inproc://zeromq.zap.01")
        self._socket = self._context.socket(zmq.ROUTER)
        for s in (self._zap, self._socket):
            s.linger = 0
        self._socket.curve_server = True
        self._socket.curve_secretkey = self.key.secret.encode()
        self._socket.zap_domain = b"trailwatch"
        self._socket.heartbeat_ivl, self._socket.heartbeat_timeout = 5_000, 90_000      # as the real one
        self._socket.bind(endpoint)
        self.endpoint = self._socket.getsockopt(zmq.LAST_ENDPOINT).decode()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self):
        poller = zmq.Poller()
        poller.register(self._zap, zmq.POLLIN)
        poller.register(self._socket, zmq.POLLIN)
        while not self._stop.is_set():
            ready = dict(poller.poll(20))
            if self._zap in ready:
                version, request, _domain, _address, _identity, _mechanism, key = self._zap.recv_multipart()
                known = z85.encode(key).decode() in self.allowed
                code, text = (b"200", b"OK") if known else (b"400", b"unknown key")
                self._zap.send_multipart([version, request, code, text, b"", b""])
            if self._socket in ready:
                peer, *frames = self._socket.recv_multipart()
                if not self.deaf:
                    self._take(peer, frames)
        self._socket.close()
        self._zap.close()
        self._context.term()

    def _take(self, peer, frames):
        if peer not in self._told:
            self._told.add(peer)
            for parts in self.greeting:
                self._socket.send_multipart([peer, *parts])
        try:
            frames = [whole for f in split_transport(frames) if (whole := self._whole(peer, f)) is not None]
            envelopes = [decode_envelope(f) for f in frames]
        except RefusedError as error:
            self.odd += 1
            self._socket.send_multipart([peer, MAGIC, encode_down(Acknowledgement((), (Refusal(-1, -1, str(error)),)))])
            return
        if not envelopes:
            return
        self.events += ["message"] * len(envelopes)
        self.received += envelopes
        self.transports.append(envelopes)
        answer = Acknowledgement(tuple((e.boot, e.sequence) for e in envelopes))
        self._socket.send_multipart([peer, MAGIC, encode_down(answer)])

    def _whole(self, peer, frame):
        """The message, or None of a piece that does not make one whole."""
        if not is_piece(frame):
            return frame
        piece = decode_piece(frame)
        self.events.append("piece")
        self.piece_sizes.append(len(piece.data))
        had, whole = self._pieces.take("node", piece)
        self._socket.send_multipart([
            peer, MAGIC, encode_down(Acknowledgement((), (), ((piece.boot, piece.sequence, had),)))
        ])
        return None if self.forgetful else whole

    def stop(self):
        self._stop.set()
        self._thread.join(5)


@pytest.fixture
def node_key():
    return make_node_key("gate-1", NodeKind.CAMERA, Realm.TRAINING)


@pytest.fixture
def station(node_key):
    station = SmallStation([node_key.public])
    yield station
    station.stop()


@pytest.fixture
def small_station():
    """Makes more of them; all are stopped at the end."""
    made = []

    def make(*arguments, **options):
        made.append(SmallStation(*arguments, **options))
        return made[-1]

    yield make
    for station in made:
        station.stop()


class BadLink:
    """A TCP proxy between node and station that delays, is thin, and breaks off in the middle of a message.

    cut_after: for each connection in turn, the bytes upwards after which both sides are reset; later ones last.
    kbit_per_s: of the way up; 0 is as fast as it goes. delay_s: of the way up, each piece.
    """

    def __init__(self, endpoint, cut_after=(), kbit_per_s=0, delay_s=0.0, piece=1000):
        host, port = endpoint.removeprefix("tcp://").rsplit(":", 1)
        self._to = (host, int(port))
        self._cuts = iter(cut_after)
        self._kbit_per_s, self._delay_s, self._piece = kbit_per_s, delay_s, piece
        self.connections = 0
        self.cut = 0
        self._stop = False
        self._open = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while not self._stop:
            try:
                near, _ = self._listener.accept()
                near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)      # what waits, waits in the node
                far = socket.create_connection(self._to)
            except OSError:
                continue
            self.connections += 1
            self._open += [near, far]
            threading.Thread(target=self._up, args=(near, far, next(self._cuts, None)), daemon=True).start()
            threading.Thread(target=self._down, args=(far, near), daemon=True).start()

    def _up(self, near, far, left):
        try:
            while data := near.recv(self._piece):
                if self._delay_s:
                    time.sleep(self._delay_s)
                if self._kbit_per_s:
                    time.sleep(len(data) * 8 / 1000 / self._kbit_per_s)
                if left is not None and len(data) >= left:
                    far.sendall(data[:left])        # half a message, and then nothing
                    self.cut += 1
                    break
                left = None if left is None else left - len(data)
                far.sendall(data)
        except OSError:
            pass
        self._reset(near, far)

    def _down(self, far, near):
        try:
            while data := far.recv(65536):
                near.sendall(data)
        except OSError:
            pass
        self._reset(near, far)

    def _reset(self, *sockets):
        for s in sockets:
            with contextlib.suppress(OSError):
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))     # RST, not FIN
                s.shutdown(socket.SHUT_RDWR)
            s.close()

    def stop(self):
        self._stop = True
        self._listener.close()
        self._reset(*self._open)


@pytest.fixture
def bad_link():
    made = []

    def make(*arguments, **options):
        made.append(BadLink(*arguments, **options))
        return made[-1]

    yield make
    for link in made:
        link.stop()
