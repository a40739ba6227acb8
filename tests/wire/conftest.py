"""A small real station: a ROUTER with CURVE and a ZAP allow-list, that acknowledges as it is told to."""

import threading

import pytest
import zmq
from zmq.utils import z85

from wire.codec import MAGIC, RefusedError, decode_envelope, encode_down, split_transport
from wire.keys import NodeKind, make_node_key, make_station_key
from wire.messages import Acknowledgement
from wire.units import Realm


class SmallStation:
    """received: envelopes in order of arrival, every sending counted. deaf: takes and acknowledges nothing."""

    def __init__(self, allowed, key=None, endpoint="tcp://127.0.0.1:0"):
        self.key = key or make_station_key(Realm.TRAINING)
        self.allowed = set(allowed)
        self.received = []
        self.transports = []
        self.odd = 0
        self.deaf = False
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
            envelopes = [decode_envelope(f) for f in split_transport(frames)]
        except RefusedError:
            self.odd += 1
            return
        self.received += envelopes
        self.transports.append(envelopes)
        answer = Acknowledgement(tuple((e.boot, e.sequence) for e in envelopes))
        self._socket.send_multipart([peer, MAGIC, encode_down(answer)])

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
