"""Both roads give the same boxes; the fast one needs no torch, and takes pictures as they come."""

import subprocess
import sys
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest

from edge.detector import CLASSES, LOWEST_SCORE, UltralyticsDetector
from edge.detector_openvino import OpenVinoDetector
from models.graph_making import make_graph
from models.graph_network import SHAPES_MOST
from models.graphs import Graph, Precision, read_graph
from models.registry import manifest, shipped_file
from sim.frames import FrameMaker, FrameSettings
from sim.frames_grounds import find_backgrounds
from wire.settings import SettingsError
from wire.units import ObjectClass

pytestmark = pytest.mark.together(80)

ROOT = Path(__file__).resolve().parents[2]
OURS = shipped_file(manifest()["trailwatch7n"])
SAME_PX, SAME_SCORE = 0.01, 1e-4
DOUBT = 2e-4                    # two roundings of one score may fall on the two sides of the threshold


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture(scope="module")
def graph(folder):
    return make_graph(OURS, Precision.FP32, folder)


@pytest.fixture(scope="module")
def reference():
    return UltralyticsDetector(OURS, 640, threads=1)


@pytest.fixture(scope="module")
def rendered():
    """(6, 384, 384, 3): people and vehicles as the exercise draws them."""
    maker = FrameMaker(FrameSettings(side_px=384, empty_share=0.0, busy_share=1.0, condition="day"), find_backgrounds(None))
    pictures = [maker.make(seed).image for seed in range(9_200_000, 9_200_006)]
    maker.close()
    return pictures


def assert_same(reference, found):
    """Whatever one of them is sure of, the other has too, within SAME_PX."""
    for one, other in ((reference, found), (found, reference)):
        for box, score, kind in zip(one.boxes, one.scores, one.classes, strict=True):
            if score < LOWEST_SCORE + DOUBT:
                continue
            same = (np.abs(other.boxes - box).max(axis=1, initial=0.0) <= SAME_PX) & (other.classes == kind)
            same &= np.abs(other.scores - score) <= SAME_SCORE
            assert same.any(), f"class {kind} at {box}, score {score:.4f}, is not in {other}"


def shaped(pictures, width, height):
    """Some pictures side by side, and cut or scaled to a size."""
    wide = np.hstack(pictures[:3]) if width > height else np.vstack(pictures[:3])
    if wide.shape[0] < height or wide.shape[1] < width:
        return cv2.resize(wide, (width, height))
    return np.ascontiguousarray(wide[:height, :width])


@pytest.mark.parametrize(("width", "height"), [(1152, 648), (1280, 720), (512, 384), (384, 384), (216, 384), (333, 211)])
def test_both_roads_give_the_same_boxes_on_rendered_pictures(graph, reference, rendered, width, height):
    fast = OpenVinoDetector(graph, Precision.FP32, 640, threads=1)
    said = 0
    for turned in range(3):
        picture = shaped(rendered[turned:], width, height)
        expected = reference.find(picture)
        said += len(expected)
        assert_same(expected, fast.find(picture))
    assert said >= 3, "pictures in which nothing is found prove nothing"


@pytest.mark.weights
def test_both_roads_give_the_same_boxes_on_real_pictures(folder, real_weights, real_video):
    reference = UltralyticsDetector(real_weights, 640, threads=1)
    graph = make_graph(real_weights, Precision.FP32, folder)
    capture = cv2.VideoCapture(str(real_video))
    pictures = [capture.read()[1] for _ in range(2)]
    capture.release()
    pictures += [cv2.imread(str(p)) for p in sorted(real_video.parent.glob("sahi_*"))]
    for picture in pictures:
        expected = reference.find(picture)
        assert len(expected) >= 3
        assert_same(expected, OpenVinoDetector(graph, Precision.FP32, 640, threads=1).find(picture))


@pytest.mark.parametrize("picture", [
    np.zeros((1, 1, 3), np.uint8), np.full((10, 4000, 3), 90, np.uint8), np.full((4000, 10, 3), 90, np.uint8),
    np.full((60, 80), 90, np.uint8), np.full((60, 80, 1), 90, np.uint8), np.zeros((0, 80, 3), np.uint8),
    np.zeros((0, 0, 3), np.uint8),
], ids=lambda p: "x".join(map(str, p.shape)))
def test_a_picture_of_an_odd_size_or_without_colour_is_looked_at_by_both(graph, reference, picture):
    found = OpenVinoDetector(graph, Precision.FP32, 640, threads=1).find(picture)
    assert found.boxes.shape == (len(found), 4)
    assert_same(reference.find(picture), found)


def test_what_is_no_picture_is_refused_in_words(graph):
    with pytest.raises(ValueError, match="a picture is"):
        OpenVinoDetector(graph, Precision.FP32, 320, threads=1).find(np.zeros((4, 4, 3), np.float32))


@pytest.mark.parametrize("threads", [1, 2])
def test_several_pictures_are_looked_at_as_each_alone(graph, rendered, threads):
    fast = OpenVinoDetector(graph, Precision.FP32, 640, threads)
    crops = [shaped(rendered[k:], 640, 384) for k in range(3)]
    crops += [rendered[0][:200, :333], np.zeros((0, 9, 3), np.uint8), rendered[1], crops[0]]
    together = fast.find_many(crops)
    assert sum(map(len, together)) >= 3
    for found, crop in zip(together, crops, strict=True):
        assert_same(fast.find(crop), found)
    assert fast.find_many([]) == []


def test_a_picture_is_kept_as_it_was_shown_until_the_next_one(graph, rendered):
    detector = OpenVinoDetector(graph, Precision.FP32, 640, 1)
    one, other = (np.ascontiguousarray(cv2.resize(rendered[k], (1280, 720))) for k in (0, 1))
    assert detector.shown(one) is None
    detector.find(one)
    assert np.array_equal(detector.shown(one), cv2.resize(one, (640, 360)))
    assert detector.shown(one.copy()) is None
    detector.find(other)
    assert detector.shown(one) is None and np.array_equal(detector.shown(other), cv2.resize(other, (640, 360)))


def test_a_stream_of_pictures_of_every_shape_compiles_a_few_and_still_finds(graph, rendered):
    fast = OpenVinoDetector(graph, Precision.FP32, 320, threads=1)
    for height in range(40, 400, 24):
        fast.find(np.ascontiguousarray(rendered[0][:height]))
    assert len(fast._network._lanes) <= SHAPES_MOST
    assert len(fast.find(rendered[0])) >= 1


def test_a_cameras_whole_pictures_and_its_crops_share_one_compiled_graph(graph):
    fast = OpenVinoDetector(graph, Precision.FP32, 320, threads=1, picture=(576, 768))
    assert fast.shape == (256, 320)
    fast.find(np.zeros((576, 768, 3), np.uint8))
    fast.find_many([np.zeros((256, 320, 3), np.uint8), np.zeros((240, 320, 3), np.uint8)])
    assert list(fast._network._lanes) == [fast.shape]


def test_a_picture_that_a_rounding_makes_too_large_gets_no_shape_of_its_own(graph):
    fast = OpenVinoDetector(graph, Precision.FP32, 640, threads=1)
    fast.find(np.zeros((500, 832, 3), np.uint8))        # 384.6 rows of 640
    assert list(fast._network._lanes) == [(384, 640)]


def test_half_precision_is_near_but_not_the_same_road(graph, reference, rendered):
    found = OpenVinoDetector(graph, Precision.BF16, 640, threads=1).find(shaped(rendered, 1152, 648))
    expected = reference.find(shaped(rendered, 1152, 648))
    sure = expected.boxes[expected.scores > 0.3]
    for box in sure:
        assert np.abs(found.boxes - box).max(axis=1).min() < 12.0


def test_a_graph_that_is_no_graph_is_refused_in_one_line(graph, tmp_path):
    (tmp_path / "graph.xml").write_text("<net")
    (tmp_path / "graph.bin").write_bytes(b"")
    with pytest.raises(SettingsError, match="not an OpenVINO graph that can be run") as caught:
        OpenVinoDetector(Graph(tmp_path, graph.card), Precision.FP32, 320, threads=1)
    assert "\n" not in str(caught.value)


def test_a_graph_that_knows_none_of_our_classes_is_refused(graph):
    import msgspec

    strange = Graph(graph.folder, msgspec.structs.replace(graph.card, names={0: "zebra", 1: "kite"}))
    with pytest.raises(SettingsError, match="knows none of person"):
        OpenVinoDetector(strange, Precision.FP32, 320, threads=1)


CALLED = {0: "Pedestrian", 1: "bike", 2: "truck", 3: "motor", 4: "bus", 5: "lorry", 6: "people"}     # by others


def test_both_roads_know_classes_by_others_names_and_give_a_body_one_box_where_two_names_are_one_class(
    graph, rendered, tmp_path
):
    import msgspec
    import torch

    held = torch.load(OURS, weights_only=False)
    held["model"].names = CALLED
    torch.save(held, tmp_path / "renamed.pt")
    slow = UltralyticsDetector(tmp_path / "renamed.pt", 640, threads=1)
    fast = OpenVinoDetector(Graph(graph.folder, msgspec.structs.replace(graph.card, names=CALLED)), Precision.FP32, 640, 1)
    plain = OpenVinoDetector(graph, Precision.FP32, 640, threads=1)
    fewer = 0
    for turned in range(3):
        for width, height in ((1152, 648), (512, 384), (216, 384)):
            picture = shaped(rendered[turned:], width, height)
            expected, found, by_our_names = slow.find(picture), fast.find(picture), plain.find(picture)
            assert_same(expected, found)
            fewer += len(by_our_names) - len(found)
            people = by_our_names.classes == CLASSES.index(ObjectClass.PERSON)
            assert (found.classes == CLASSES.index(ObjectClass.PERSON)).sum() >= people.sum()
            assert not (found.classes == CLASSES.index(ObjectClass.CAR)).any()
    assert fewer > 0, "pictures in which no body has two names prove nothing"


def test_a_node_and_its_fast_detector_need_neither_torch_nor_ultralytics_nor_scipy_and_tell_nobody(graph):
    """As it is started: the command line knows all other commands too."""
    code = f"""
        import sys
        sys.path.insert(0, {str(ROOT)!r})
        import numpy as np
        from pathlib import Path
        import ground_station
        ground_station.parser().parse_args(["edge", "--config", "x.toml"])
        import edge.node
        from edge.detector_openvino import OpenVinoDetector
        from models.graphs import Precision, read_graph
        detector = OpenVinoDetector(read_graph(Path({str(graph.folder)!r})), Precision.FP32, 320, 1)
        detector.find(np.zeros((180, 320, 3), np.uint8))
        heavy = ("torch", "torchvision", "ultralytics", "scipy", "openvino_telemetry")
        print(sorted(n for n in heavy if sys.modules.get(n)))
    """
    said = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
    assert read_graph(graph.folder) == graph
