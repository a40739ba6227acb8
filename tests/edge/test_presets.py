"""A camera that turns is placed by where it looks: by the preset's pose when it is there, by none before that."""

import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edge.camera_settings import REPEAT_DEG, PtzSettings
from edge.order_journal import OrderJournal
from edge.orders import Orders
from edge.preset_mover import turn
from edge.preset_turn import Outcome, Turn, Turned, TurnedBy
from edge.presets import AGAIN_FIRST_S, AGAIN_LONGEST_S, MOVER_START_S, SETTLE_S, Head, HeadState, ProcessMove, mover_of
from edge.settings import load_setup
from tests.ptz_camera import LOOKS, PASSWORD, USER, PtzCamera, turning
from wire.clock import SteppedClock
from wire.messages import Order, OrderAction
from wire.settings import SettingsError

ROOT = Path(__file__).resolve().parents[2]
PRESETS = """
[[presets]]
name = "Cổng"
token = "1"
yaw_deg = 184.0
pitch_deg = -21.0

[[presets]]
name = "bend"
token = "2"
yaw_deg = 120.0
pitch_deg = -15.0
fx_px = 840.0
fy_px = 840.0
sigma_yaw_deg = 0.4
"""


class Scripted:
    """Turns as the test says, and knows where the camera really looks."""

    def __init__(self):
        self.looks, self.outcome, self.begun, self._token, self.stopped = None, None, [], None, 0

    def __call__(self, token):
        self.begun.append(token)
        self._token = token
        return self

    def poll(self):
        if self.outcome is None:
            return None
        outcome, self.outcome = self.outcome, None
        if outcome is Outcome.ARRIVED:
            self.looks = self._token
        if outcome is Outcome.LOST:
            self.looks = None
        return Turned(outcome, "" if outcome is Outcome.ARRIVED else "because of the script")

    def stop(self):
        self.stopped += 1


class Bench:
    """A head of two presets, its loop run by hand."""

    def __init__(self, setup, folder, mover):
        self.setup, self.folder, self.mover, self.clock = setup, folder, mover, SteppedClock()
        self.start()

    def start(self):
        self.journal = OrderJournal(self.folder / "orders.db")
        self.head = Head(self.setup, self.mover, self.journal, self.clock)

    def ends(self, outcome):
        """The turn ends so, and the head settles."""
        self.mover.outcome = outcome
        self.head.tend()
        self.clock.advance(SETTLE_S + 0.1)
        self.head.tend()


@pytest.fixture
def setup(settings):
    return load_setup(settings(turning(PRESETS)))


@pytest.fixture
def bench(setup, tmp_path):
    bench = Bench(setup, tmp_path, Scripted())
    yield bench
    bench.head.close()
    bench.journal.close()


# ------------------------------------------------------------------------------------------------------------ the head


def test_at_its_start_the_camera_is_brought_to_its_preset_before_anything_is_placed(bench):
    head = bench.head
    assert head.view is None and head.preset == "" and head.turning_to == "Cổng" and bench.mover.begun == ["1"]
    bench.mover.outcome = Outcome.ARRIVED
    head.tend()
    bench.clock.advance(SETTLE_S - 0.1)
    head.tend()
    assert head.view is None, "it still sways, and the last pictures of the way are under way"
    bench.clock.advance(0.2)
    head.tend()
    assert head.preset == "Cổng" and head.turning_to == "" and head.view.preset == "Cổng" and head.detail == ""


def test_each_preset_has_its_own_pose_lens_and_errors(setup):
    gate, bend = (setup.at(p) for p in setup.presets)
    assert (gate.survey.pose.yaw_deg, bend.survey.pose.yaw_deg) == (184.0, 120.0)
    assert gate.survey.pose.position == pytest.approx(bend.survey.pose.position)
    assert (gate.camera.lens.fx, bend.camera.lens.fx) == (420.0, 840.0)
    assert gate.survey.sigma.yaw_deg == pytest.approx((0.3**2 + REPEAT_DEG**2) ** 0.5)
    assert bend.survey.sigma.yaw_deg == pytest.approx((0.4**2 + REPEAT_DEG**2) ** 0.5)
    assert bend.survey.sigma.roll_deg == 0.15


def test_the_preset_in_force_survives_a_restart(bench):
    bench.ends(Outcome.ARRIVED)
    bench.head.go("bend")
    assert bench.head.view is None and bench.head.detail == 'turning to the preset "bend"'
    bench.ends(Outcome.ARRIVED)
    bench.journal.close()
    bench.start()
    assert bench.head.turning_to == "bend" and bench.mover.begun == ["1", "2", "2"]


def test_a_node_that_died_on_the_way_brings_the_camera_back_to_the_preset_that_was_in_force(bench):
    bench.ends(Outcome.ARRIVED)
    bench.head.go("bend")
    bench.journal.close()       # as by kill -9: the order is answered as failed, so it must not be half done
    bench.start()
    assert bench.head.turning_to == "Cổng"


def test_a_preset_that_the_settings_no_longer_have_is_left_for_the_first(bench):
    bench.journal.keep_preset("the old ford")
    bench.journal.close()
    bench.start()
    assert bench.head.turning_to == "Cổng"


def test_a_camera_that_refuses_goes_on_from_where_it_looks(bench):
    bench.ends(Outcome.ARRIVED)
    bench.head.go("bend")
    bench.mover.outcome = Outcome.REFUSED
    bench.head.tend()
    assert bench.head.preset == "Cổng" and bench.head.view.preset == "Cổng"
    assert bench.head.ended().outcome is Outcome.REFUSED and bench.head.ended() is None


def test_where_nobody_knows_where_it_looks_nothing_is_placed_and_it_is_brought_back_less_and_less_often(bench):
    bench.ends(Outcome.ARRIVED)
    bench.head.go("bend")
    waits = []
    for _ in range(8):
        bench.mover.outcome = Outcome.LOST
        bench.head.tend()
        assert bench.head.state is HeadState.UNKNOWN and bench.head.view is None
        assert "because of the script" in bench.head.detail
        begun, began = len(bench.mover.begun), bench.clock.monotonic_ns()
        while len(bench.mover.begun) == begun:
            bench.clock.advance(1.0)
            bench.head.tend()
        waits.append((bench.clock.monotonic_ns() - began) / 1e9)
        assert bench.mover.begun[-1] == "1", "back to what was in force, not on to what was ordered"
    assert waits[0] == pytest.approx(AGAIN_FIRST_S, abs=1.1) and waits[-1] == pytest.approx(AGAIN_LONGEST_S, abs=1.1)
    assert waits == sorted(waits)
    bench.ends(Outcome.ARRIVED)
    assert bench.head.preset == "Cổng"


def test_a_turn_that_never_ends_is_given_up(bench):
    bench.clock.advance(MOVER_START_S + bench.setup.settings.ptz.turn_s + 1.0)
    bench.head.tend()
    assert bench.head.state is HeadState.UNKNOWN and bench.mover.stopped == 1 and "has not said" in bench.head.detail


def test_a_camera_that_nobody_here_turns_is_taken_at_its_word_at_once(setup, tmp_path):
    journal = OrderJournal(tmp_path / "orders.db")
    head = Head(setup, None, journal, SteppedClock())
    assert head.preset == "Cổng"
    head.go("bend")
    assert head.view.preset == "bend" and head.ended().outcome is Outcome.ARRIVED and journal.preset == "bend"
    journal.close()


STEPS = st.lists(st.one_of(
    st.sampled_from([*Outcome, "restart", "settle", "wait"]), st.sampled_from(["Cổng", "bend"]).map(lambda n: ("go", n)),
), max_size=25)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_whatever_happens_a_pose_is_given_only_where_the_camera_looks(setup, tmp_path_factory, steps):
    """Against the truth that the scripted camera keeps."""
    bench = Bench(setup, tmp_path_factory.mktemp("head"), Scripted())
    tokens = {"Cổng": "1", "bend": "2"}
    for step in steps:
        if isinstance(step, Outcome):
            bench.mover.outcome = step if bench.head.state is HeadState.TURNING else None
        elif step == "restart":
            bench.head.close()
            bench.journal.close()
            bench.mover.outcome = None
            bench.start()
        elif step in ("settle", "wait"):
            bench.clock.advance(SETTLE_S + 0.1 if step == "settle" else AGAIN_LONGEST_S)
        elif not bench.head.turning_to:
            bench.head.go(step[1])
        bench.head.tend()
        if bench.head.view is not None:
            assert tokens[bench.head.preset] == bench.mover.looks and bench.head.view.preset == bench.head.preset
        else:
            assert bench.head.detail
    bench.journal.close()


# ---------------------------------------------------------------------------------------------------------- the orders


class Gate:
    profile = "day"
    profiles = ("day", "night", "rain")


@pytest.fixture
def ordered(bench):
    """Gives an order for a preset, and returns what was answered so far."""
    orders = Orders("gate-1", False, Gate(), bench.journal, bench.clock, bench.head)
    given, answers = [], []

    def order(preset=None):
        if preset is not None:
            given.append(preset)
            orders.hear(Order(f"o-{len(given)}", "gate-1", OrderAction.PTZ_PRESET, preset))
        answers.extend(orders.turn(None, ""))
        orders.note_put()
        return [(a.order_id, a.done, a.detail) for a in answers]

    return order


def test_an_order_is_answered_when_the_camera_is_there_and_not_before(bench, ordered):
    bench.ends(Outcome.ARRIVED)
    assert ordered("bend") == []
    bench.ends(Outcome.ARRIVED)
    assert ordered() == [("o-1", True, 'the camera looks at the preset "bend"')]


def test_an_unknown_preset_is_refused_with_those_there_are_and_the_camera_stays(bench, ordered):
    bench.ends(Outcome.ARRIVED)
    assert ordered("river") == [("o-1", False, 'there is no preset "river"; there are Cổng, bend')]
    assert bench.head.preset == "Cổng"


def test_one_turn_at_a_time(bench, ordered):
    bench.ends(Outcome.ARRIVED)
    ordered("bend")
    (said,) = ordered("Cổng")
    assert said[:2] == ("o-2", False) and 'turning to the preset "bend"' in said[2]
    bench.ends(Outcome.ARRIVED)
    assert ordered()[-1][:2] == ("o-1", True)


def test_a_refusal_is_answered_with_where_the_camera_still_looks(bench, ordered):
    bench.ends(Outcome.ARRIVED)
    ordered("bend")
    bench.ends(Outcome.REFUSED)
    assert ordered() == [("o-1", False, 'because of the script; it still looks at "Cổng"')]


def test_a_camera_that_says_nothing_more_is_answered_as_that(bench, ordered):
    bench.ends(Outcome.ARRIVED)
    ordered("bend")
    bench.mover.outcome = Outcome.LOST
    bench.head.tend()
    ((_, done, detail),) = ordered()
    assert not done and "nobody knows where the camera looks" in detail


def test_a_disk_that_keeps_nothing_costs_the_memory_of_the_preset_and_not_the_turn(bench, ordered, monkeypatch):
    bench.ends(Outcome.ARRIVED)
    ordered("bend")

    def full(_):
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(bench.journal, "keep_preset", full)
    bench.ends(Outcome.ARRIVED)
    assert ordered()[-1][:2] == ("o-1", True) and bench.head.preset == "bend"


# --------------------------------------------------------------------------------------------------------- the settings


@pytest.mark.parametrize(("replaced", "says"), [
    (turning(""), "presets are missing"),
    ([(LOOKS, ""), ("[source]", PRESETS + "[source]")], "[ptz] is missing"),
    (turning(PRESETS)[1:], "each preset has its own"),
    (turning(PRESETS, "onvif"), "needs host"),
    (turning(PRESETS, "http"), "needs url"),
    (turning(PRESETS, "http", 'url = "http://1.2.3.4/goto"'), "{token}"),
    (turning(PRESETS, "onvif", 'host = "1.2.3.4"\nurl = "http://x/{token}"'), "has no url"),
    (turning(PRESETS, "none", "turn_s = 0.0"), "above 0"),
    (turning(PRESETS.replace('"bend"', '"Cổng"')), "a name of its own"),
    (turning(PRESETS.replace("fy_px = 840.0\n", "")), "give fx_px and fy_px"),
    (turning(PRESETS.replace("pitch_deg = -15.0", "pitch_deg = -95.0")), "-90"),
])
def test_settings_that_cannot_be_are_refused_in_words(settings, replaced, says):
    with pytest.raises(SettingsError) as refused:
        load_setup(settings(replaced))
    assert says in str(refused.value) and "gate-1.toml:" in str(refused.value)


# ----------------------------------------------------------- a head on a real socket (tests/ptz_camera.py: no real camera)


@pytest.fixture
def camera():
    camera = PtzCamera({"1": (184.0, -21.0), "2": (120.0, -15.0)})
    yield camera
    camera.close()


def turned(camera, by, token, password=PASSWORD, port=None, turn_s=5.0):
    """By the real process."""
    port = port or camera.port
    url = f"http://127.0.0.1:{port}/cgi?preset={{token}}" if by is TurnedBy.HTTP else ""
    move = ProcessMove(Turn(by, token, "127.0.0.1", port, "", url, USER, password, turn_s))
    end = time.monotonic() + 90
    while (answer := move.poll()) is None:
        assert time.monotonic() < end
        time.sleep(0.05)
    move.stop()
    return answer


def test_onvif_turns_the_camera_and_waits_until_it_stands(camera):
    assert turned(camera, TurnedBy.ONVIF, "2") == Turned(Outcome.ARRIVED)
    assert camera.looks() == (120.0, -15.0) and camera.asked == ["2"]


def test_a_camera_whose_clock_is_wrong_lets_the_node_in_all_the_same(camera):
    camera.fault = "skewed"
    assert turned(camera, TurnedBy.ONVIF, "2") == Turned(Outcome.ARRIVED)


def test_a_camera_that_does_not_tell_whether_it_moves_is_given_its_time(camera):
    camera.fault = "status"
    assert turned(camera, TurnedBy.ONVIF, "2") == Turned(Outcome.ARRIVED)
    assert camera.looks() == (120.0, -15.0)


@pytest.mark.parametrize(("by", "says"), [(TurnedBy.ONVIF, "token does not exist"), (TurnedBy.HTTP, "404")])
def test_a_token_that_the_camera_does_not_know_is_refused_by_it(camera, by, says):
    answer = turned(camera, by, "9")
    assert answer.outcome is Outcome.REFUSED and says in answer.why and camera.asked == []


@pytest.mark.parametrize("by", [TurnedBy.ONVIF, TurnedBy.HTTP])
def test_a_wrong_password_and_a_camera_that_is_not_there_are_told_apart(camera, by):
    answer = turned(camera, by, "2", password="wrong")
    assert answer.outcome is Outcome.REFUSED and "password" in answer.why and "wrong" not in answer.why
    answer = turned(camera, by, "2", port=9)
    assert answer.outcome is Outcome.REFUSED and "does not answer" in answer.why
    assert camera.asked == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "says"), [("stuck", "still turns"), ("silent", "no answer"), ("dies", "was told to turn")]
)
def test_a_camera_that_was_told_and_does_not_say_that_it_is_there_looks_nobody_knows_where(camera, fault, says):
    camera.fault = fault
    answer = turned(camera, TurnedBy.ONVIF, "2")
    assert answer.outcome is Outcome.LOST and says in answer.why


def test_http_turns_the_camera_with_digest_and_gives_it_its_time(camera):
    assert turned(camera, TurnedBy.HTTP, "2", turn_s=3.0) == Turned(Outcome.ARRIVED)
    assert camera.looks() == (120.0, -15.0)


def test_a_process_that_dies_is_not_taken_for_an_arrival(camera):
    camera.fault = "stuck"
    move = mover_of(PtzSettings(TurnedBy.ONVIF, "127.0.0.1", camera.port, user=USER, password=PASSWORD))("2")
    move._process.kill()
    move._process.wait()
    answer = move.poll()
    assert answer.outcome is Outcome.LOST and "died" in answer.why
    move.stop()




def test_a_node_without_onvifs_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "onvif", None)
    answer = turn(Turn(TurnedBy.ONVIF, "2", "127.0.0.1", 9, "", "", "", "", 1.0))
    assert answer.outcome is Outcome.REFUSED and "pip install onvif-zeep-async" in answer.why


def test_what_turns_a_camera_is_not_in_the_nodes_memory():
    code = "import sys, edge.node; print([m for m in ('onvif', 'zeep', 'aiohttp', 'edge.preset_mover') if m in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
