"""Orders from end to end: a real inbox, a real node, each a process of its own, and both killed in the middle."""

import contextlib
import importlib.util
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from station.orders import OrderBook, OrderState
from station.own_key import ensure_station_key
from station.settings import load_station_settings
from tests.ptz_camera import PASSWORD, USER, PtzCamera, turning
from wire.clock import WallClock
from wire.codec import decode_envelope
from wire.keys import AllowedNode, NodeKind, append_allowed, load_station_key, make_node_key, write_private
from wire.messages import Order, OrderAction
from wire.units import Realm

ROOT = Path(__file__).resolve().parents[1]
PARTS = ROOT / "tests/edge/conftest.py"


def parts():
    """The edge's tests' recording, settings, and detector that needs no weights."""
    spec = importlib.util.spec_from_file_location("node_parts_of_orders", PARTS)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wait_for(true, seconds=90.0):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.1)


class Outpost:
    """One station's inbox and one node beside it. replaced: in the node's settings, old and new text."""

    def __init__(self, folder, replaced=()):
        edge = parts()
        with edge.socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            port = s.getsockname()[1]
        sector = ROOT / "configs/sectors/laobao/sector.toml"
        file = folder / "station.toml"
        file.write_text(
            f'sector = "{sector}"\nrealm = "training"\ndata_dir = "data"\n[inbox]\nbind = "tcp://127.0.0.1:{port}"\n'
            '[web]\nhost = "127.0.0.1"\nport = 0\n'
        )
        self.settings = load_station_settings(file)
        ensure_station_key(self.settings)
        key = make_node_key("gate-1", NodeKind.CAMERA, Realm.TRAINING)
        append_allowed(self.settings.nodes_file, AllowedNode(key.node, key.kind, key.realm, key.public))
        write_private(folder / "gate-1.key", key)
        edge.write_video(folder / "walk.avi")
        self.node_file = folder / "gate-1.toml"
        public = load_station_key(self.settings.station_key).public
        text = edge.SETTINGS.format(sector=sector, endpoint=f"tcp://127.0.0.1:{port}", public=public)
        for old, new in replaced:
            text = text.replace(old, new, 1)
        self.node_file.write_text(text, encoding="utf-8")
        self.block_node = textwrap.dedent(edge.BLOCK_NODE).format(root=str(ROOT), conftest=str(PARTS))
        self.book = OrderBook(self.settings, WallClock())
        self.running = []

    def start(self, *command):
        self.running.append(subprocess.Popen([sys.executable, *command], cwd=self.node_file.parent))
        return self.running[-1]

    def start_inbox(self):
        return self.start(str(ROOT / "ground_station.py"), "serve", "--only", "inbox", "--config", str(self.settings.file))

    def start_node(self):
        return self.start("-c", self.block_node, str(self.node_file))

    def order(self, action, **more):
        return self.book.give("lan", "gate-1", Order("", "gate-1", action, **more))

    def state(self, order_id):
        return self.book.find(order_id).state

    def in_hand(self):
        """What the node's own journal says."""
        journal = self.node_file.parent / "node/orders.db"
        with contextlib.closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True, timeout=10)) as db:
            return [row[0] for row in db.execute("select order_id from orders where answered = 0")]

    def close(self):
        for process in self.running:
            process.kill()
            process.wait()


@pytest.fixture
def outposts():
    made = []

    def make(replaced=()):
        made.append(Outpost(Path(tempfile.mkdtemp(prefix="tw-")), replaced))
        return made[-1]

    yield make
    for outpost in made:
        outpost.close()
        shutil.rmtree(outpost.node_file.parent, ignore_errors=True)


@pytest.fixture
def outpost(outposts):
    return outposts()


def test_picture_and_clip_are_ordered_done_and_shown_though_everybody_is_killed_in_between(outpost):
    inbox, node = outpost.start_inbox(), outpost.start_node()
    picture = outpost.order(OrderAction.SNAPSHOT)
    wait_for(lambda: outpost.state(picture) is OrderState.DONE and outpost.book.find(picture).pictures_ns)
    assert outpost.book.picture(picture, 0).startswith(b"\xff\xd8")

    clip = outpost.order(OrderAction.CLIP, before_s=3.0, after_s=3.0)
    inbox.kill()
    inbox.wait()
    inbox = outpost.start_inbox()
    wait_for(lambda: outpost.state(clip) is OrderState.DONE)
    wait_for(lambda: (v := outpost.book.find(clip)).parts_here == v.parts > 0)
    times = outpost.book.find(clip).pictures_ns
    assert len(times) >= 10 and list(times) == sorted(times)
    assert all(outpost.book.picture(clip, k).startswith(b"\xff\xd8") for k in range(len(times)))

    night = outpost.order(OrderAction.PROFILE, argument="night")
    wait_for(lambda: outpost.state(night) is OrderState.DONE)
    late = outpost.order(OrderAction.CLIP, after_s=30.0)
    wait_for(lambda: outpost.in_hand() == [late])
    node.kill()
    node.wait()
    node = outpost.start_node()
    again = outpost.order(OrderAction.PROFILE, argument="night")
    wait_for(lambda: outpost.state(again) is OrderState.DONE)
    assert "it was night" in outpost.book.find(again).detail       # kept over the kill
    wait_for(lambda: outpost.state(late) is not OrderState.WAITING)
    assert outpost.state(late) is OrderState.FAILED
    for process in (node, inbox):
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


PRESETS = """
[[presets]]
name = "gate"
token = "1"
yaw_deg = 184.0
pitch_deg = -21.0

[[presets]]
name = "bend"
token = "2"
yaw_deg = 120.0
pitch_deg = -17.0
"""


@pytest.mark.slow
def test_a_preset_is_ordered_at_the_station_and_the_head_turns_though_everybody_is_killed_in_between(outposts):
    """The head: tests/ptz_camera.py, a stand-in on a real socket; no real PTZ camera was at hand."""
    head = PtzCamera({"1": (184.0, -21.0), "2": (120.0, -17.0)})
    ptz = f'host = "127.0.0.1"\nport = {head.port}\nuser = "{USER}"\npassword = "{PASSWORD}"'
    outpost = outposts(turning(PRESETS, "onvif", ptz))

    def health():
        """What the station last heard of it."""
        with contextlib.suppress(sqlite3.OperationalError), contextlib.closing(
            sqlite3.connect(f"file:{outpost.settings.inbox_db}?mode=ro", uri=True, timeout=10)
        ) as db:
            row = db.execute("SELECT payload FROM arrivals WHERE kind = 'health' ORDER BY id DESC LIMIT 1").fetchone()
            return decode_envelope(row[0]).body if row else None
        return None

    inbox, node = outpost.start_inbox(), outpost.start_node()
    wait_for(lambda: getattr(health(), "preset", "") == "gate")
    assert health().presets == ("gate", "bend")
    bend = outpost.order(OrderAction.PTZ_PRESET, argument="bend")
    wait_for(lambda: outpost.in_hand() == [bend])
    inbox.kill()
    inbox.wait()
    outpost.start_inbox()
    wait_for(lambda: outpost.state(bend) is OrderState.DONE)
    assert "bend" in outpost.book.find(bend).detail and head.looks() == (120.0, -17.0)
    unknown = outpost.order(OrderAction.PTZ_PRESET, argument="river")
    wait_for(lambda: outpost.state(unknown) is OrderState.FAILED)
    assert "there are gate, bend" in outpost.book.find(unknown).detail

    back = outpost.order(OrderAction.PTZ_PRESET, argument="gate")
    wait_for(lambda: outpost.in_hand() == [back])
    node.kill()
    node.wait()
    outpost.start_node()
    wait_for(lambda: outpost.state(back) is OrderState.FAILED)
    assert "give it again" in outpost.book.find(back).detail
    wait_for(lambda: getattr(health(), "preset", "") == "bend")
    assert head.looks() == (120.0, -17.0)
    head.close()
