"""Which way the weights are run: the fast one where it can be, and never a blind node for want of it."""

import contextlib
import threading

import msgspec
import pytest

import edge.detector_road
from cameras.pose import FixedPose
from edge.detector import UltralyticsDetector
from edge.detector_openvino import OpenVinoDetector
from edge.detector_road import open_detector
from edge.node import Node
from edge.settings import DetectorSettings, PrecisionChoice, Road, load_setup
from edge.sources import ReplaySource
from models.graph_making import make_graph
from models.graphs import OBJECTS_LEAST, Check, Precision, find_graph, graph_folders
from models.registry import manifest, shipped_file
from wire.clock import NS_PER_S, WallClock
from wire.messages import NodeHealth
from wire.node_words import NodeText
from wire.outbox import Outbox
from wire.settings import SettingsError
from wire.uplink import Uplink

pytestmark = pytest.mark.together(80)

KNOWN = manifest()["trailwatch7n"]
OURS = shipped_file(KNOWN)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache with a whole graph in it, shared by the tests of this file."""
    cache = tmp_path_factory.mktemp("cache")
    make_graph(OURS, Precision.FP32, cache / "trailwatch/graphs")
    return cache


@pytest.fixture
def use(cache, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


@pytest.fixture
def opened(tmp_path):
    config = tmp_path / "gate-1.toml"
    config.write_text('[detector]\nroad = "openvino"\n')

    def go(weights=OURS, **settings):
        return open_detector(config, DetectorSettings(input_size_px=320, **settings), weights, tmp_path / "node")

    return go


def test_a_node_exports_by_itself_at_its_first_start_and_finds_it_at_its_second(tmp_path, monkeypatch, opened):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    detector, problem = opened()
    assert isinstance(detector, OpenVinoDetector) and problem == ""
    assert find_graph(KNOWN.sha256, Precision.FP32, graph_folders()) is not None
    monkeypatch.setattr(edge.detector_road, "make_graph_apart", lambda *_: pytest.fail("it is there"))
    assert opened(road=Road.OPENVINO)[1] == ""


def test_a_broken_graph_is_made_anew(tmp_path, monkeypatch, opened, cache):
    import shutil

    shutil.copytree(cache, tmp_path / "cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = find_graph(KNOWN.sha256, Precision.FP32, graph_folders()).folder / "graph.bin"
    path.write_bytes(path.read_bytes()[:5000])
    detector, problem = opened()
    assert isinstance(detector, OpenVinoDetector) and problem == ""
    assert path.stat().st_size > 1_000_000


def test_where_nothing_can_be_exported_ultralytics_runs_it_and_the_health_says_so(tmp_path, monkeypatch, opened):
    (tmp_path / "shut").write_text("a file where the cache should be")
    (tmp_path / "node").write_text("and another")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shut"))
    detector, problem = opened()
    assert isinstance(detector, UltralyticsDetector)
    assert "runs through ultralytics, several times slower" in problem and "neither the cache nor data_dir" in problem
    assert "\n" not in problem


def test_an_export_that_fails_is_told_with_its_reason(tmp_path, monkeypatch, opened):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(edge.detector_road, "make_graph_apart", lambda *_: "not done after 300 s")
    detector, problem = opened()
    assert isinstance(detector, UltralyticsDetector)
    assert "trailwatch7n.pt was not exported for OpenVINO: not done after 300 s." in problem


def test_a_road_that_is_demanded_and_closed_is_refused_with_file_line_and_key(tmp_path, monkeypatch, opened):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(edge.detector_road, "make_graph_apart", lambda *_: "no room")
    with pytest.raises(SettingsError, match=r"gate-1\.toml:2: detector\.road: .*no room") as caught:
        opened(road=Road.OPENVINO)
    assert "\n" not in str(caught.value)


def test_weights_that_are_none_are_refused_on_every_road(tmp_path, monkeypatch, opened):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"PK\x03\x04" + b"x" * 200_000)
    with pytest.raises(SettingsError, match="not YOLO weights that can be loaded"):
        opened(broken)


@pytest.fixture(scope="module")
def called(cache, tmp_path_factory):
    """Our weights with their classes called otherwise, whose graph is in the cache."""
    import torch

    def go(*names):
        held = torch.load(OURS, weights_only=False)
        held["model"].names = dict(enumerate(names))
        path = tmp_path_factory.mktemp("weights") / "theirs.pt"
        torch.save(held, path)
        make_graph(path, Precision.FP32, cache / "trailwatch/graphs")
        return path

    return go


@pytest.fixture(scope="module")
def blind_for_people(called):
    return called("soldier", "bicycle", "car", "motorcycle", "bus", "truck", "boat")


@pytest.fixture(scope="module")
def without_boats(called):
    return called("pedestrian", "bicycle", "car", "motorcycle", "bus", "truck", "tricycle")


@pytest.mark.parametrize("road", Road)
def test_weights_that_know_no_person_are_refused_on_every_road_with_what_they_know(use, opened, blind_for_people, road):
    with pytest.raises(SettingsError) as caught:
        opened(blind_for_people, road=road)
    assert "gate-1.toml:1: detector.weights: theirs.pt finds no people: it knows soldier, bicycle, car" in str(caught.value)


@pytest.mark.parametrize("road", [Road.OPENVINO, Road.ULTRALYTICS])
def test_what_weights_never_find_is_said_once_in_the_log(use, opened, without_boats, road, caplog):
    assert opened(without_boats, road=road)[1] == ""
    said = [r.getMessage() for r in caplog.records if "never finds" in r.getMessage()]
    assert said == [
        "theirs.pt never finds boat: it knows pedestrian, bicycle, car, motorcycle, bus, truck, tricycle"
    ]
    caplog.clear()
    opened(road=road)
    assert "never finds" not in caplog.text


def test_the_reference_can_be_asked_for(use, opened):
    detector, problem = opened(road=Road.ULTRALYTICS)
    assert isinstance(detector, UltralyticsDetector) and problem == ""


def test_without_a_check_auto_is_fp32_and_a_named_precision_is_not_run(use, opened):
    assert opened()[0].precision is Precision.FP32
    detector, problem = opened(precision=PrecisionChoice.BF16)
    assert detector.precision is Precision.FP32
    assert "runs in fp32 and not in bf16: nobody has checked what it loses" in problem
    assert "models export --precision bf16 --check" in problem
    assert "no whole int8 graph" in opened(precision=PrecisionChoice.INT8)[1]


@pytest.mark.parametrize(("objection", "asked"), [("", ["vnni", "able"]), ("nobody has checked what it loses", ["able"])])
def test_by_what_eight_bits_are_taken_is_settled_before_openvino_is_asked_for_anything(
    use, opened, monkeypatch, objection, asked
):
    heard = []
    monkeypatch.setattr(edge.detector_road, "objection_to", lambda *_: objection)
    monkeypatch.setattr(edge.detector_road, "take_vnni", lambda: heard.append("vnni"))
    monkeypatch.setattr(edge.detector_road, "able", lambda: heard.append("able") or frozenset())
    opened()
    assert heard == asked
    heard.clear()
    opened(precision=PrecisionChoice.FP32)
    assert heard == []


@pytest.mark.skipif(Precision.BF16 not in edge.detector_road.able(), reason="this processor gains nothing by bf16")
def test_with_a_check_auto_takes_what_is_faster(use, opened):
    graph = find_graph(KNOWN.sha256, Precision.BF16, graph_folders())
    check = Check(Precision.BF16, graph.digest, OURS.name, "labelled", 50, OBJECTS_LEAST, 640, 0.5, 0.498)
    graph.check_file(Precision.BF16).write_bytes(msgspec.json.encode(check))
    assert opened()[0].precision is Precision.BF16
    assert opened(precision=PrecisionChoice.FP32)[0].precision is Precision.FP32
    worse = msgspec.structs.replace(check, map50=0.4)
    graph.check_file(Precision.BF16).write_bytes(msgspec.json.encode(worse))
    assert opened()[0].precision is Precision.FP32
    graph.check_file(Precision.BF16).unlink()


def test_what_is_wrong_at_the_start_is_in_the_nodes_health(settings, station, tools):
    setup, clock, stop = load_setup(settings()), WallClock(), threading.Event()
    with contextlib.closing(Outbox(setup.outbox, setup.key.node, setup.key.realm, clock, 10_000_000)) as outbox:
        source = ReplaySource(setup.source, clock, loop=True)
        node = Node(setup, source, tools.BlockDetector(), FixedPose(setup.survey), outbox, clock, NodeText("it runs slowly"))
        s = setup.settings.station
        with Uplink(s.endpoint, s.public_key, setup.key, outbox, clock, node.hear) as uplink:
            running = threading.Thread(target=node.run, args=(uplink, stop))
            running.start()
            end_ns = clock.monotonic_ns() + 60 * NS_PER_S
            while not station.bodies(NodeHealth) and clock.monotonic_ns() < end_ns:
                clock.sleep(0.05)
            stop.set()
            running.join()
    assert "it runs slowly" in station.bodies(NodeHealth)[-1].problems
