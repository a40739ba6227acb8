"""A graph is made once, whole or not at all, and only of a network that comes out the same."""

import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from ground_station import main
from models.graph_making import make_graph, make_graph_apart
from models.graphs import Check, Precision, find_graph, read_check
from models.registry import digest_of, manifest, shipped_file
from wire.settings import SettingsError

pytestmark = pytest.mark.together(90)

ROOT = Path(__file__).resolve().parents[2]
OURS = shipped_file(manifest()["trailwatch7n"])
SHA = manifest()["trailwatch7n"].sha256


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return make_graph(OURS, Precision.FP32, tmp_path_factory.mktemp("graphs"))


def test_a_graph_says_what_it_was_made_of(made):
    assert made.card.weights_sha256 == SHA and made.card.strides == (8, 16, 32)
    assert made.card.names[0] == "person" and made.card.precision is Precision.FP32
    assert sorted(p.name for p in made.folder.iterdir()) == ["card.json", "graph.bin", "graph.xml"]


def test_what_is_there_is_not_made_again_and_what_is_broken_is(made):
    before = (made.folder / "graph.bin").stat().st_mtime_ns
    assert make_graph(OURS, Precision.BF16, made.folder.parent) == made
    assert (made.folder / "graph.bin").stat().st_mtime_ns == before
    with (made.folder / "graph.bin").open("r+b") as file:
        file.seek(1000)
        file.write(b"\xff" * 64)
    assert find_graph(SHA, Precision.FP32, [made.folder.parent]) is None
    again = make_graph(OURS, Precision.FP32, made.folder.parent)
    assert again == find_graph(SHA, Precision.FP32, [made.folder.parent])


def test_an_export_that_is_killed_leaves_no_graph_and_the_next_one_clears_up(tmp_path):
    export = [str(ROOT / "ground_station.py"), "models", "export", "--weights", str(OURS), "--graphs", str(tmp_path)]
    process = subprocess.Popen([sys.executable, *export], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not list(tmp_path.glob(".*/*")) and time.monotonic() < end and process.poll() is None:
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert list(tmp_path.glob(".*/*")), "it was killed in the midst of it"
    assert find_graph(SHA, Precision.FP32, [tmp_path]) is None
    graph = make_graph(OURS, Precision.FP32, tmp_path)
    assert find_graph(SHA, Precision.FP32, [tmp_path]) == graph
    assert [p.name for p in tmp_path.iterdir() if p.is_dir()] == [graph.folder.name]


def test_several_that_start_at_once_make_one(tmp_path):
    said = []
    threads = [threading.Thread(target=lambda: said.append(make_graph_apart(OURS, tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert said == ["", ""]
    assert len([p for p in tmp_path.iterdir() if p.is_dir()]) == 1


def test_the_reason_of_an_export_that_fails_comes_back_in_one_line(tmp_path):
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"PK\x03\x04" + b"x" * 200_000)
    reason = make_graph_apart(broken, tmp_path / "graphs")
    assert "not weights that can be exported to OpenVINO" in reason and "\n" not in reason
    assert not [p for p in (tmp_path / "graphs").iterdir() if p.is_dir()]


def test_a_network_of_another_build_is_refused_and_not_run_wrongly(tmp_path):
    from ultralytics import YOLO

    other = tmp_path / "other.pt"
    YOLO("yolo26n.yaml", verbose=False).save(str(other))      # it ends in boxes, and needs no suppression
    with pytest.raises(SettingsError, match="not those of a YOLO11"):
        make_graph(other, Precision.FP32, tmp_path / "graphs")


def test_eight_bits_need_pictures(tmp_path):
    with pytest.raises(SettingsError, match="needs --calibration"):
        make_graph(OURS, Precision.INT8, tmp_path)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="no graph can be written there"):
        make_graph(OURS, Precision.FP32, tmp_path / "file")


# -------------------------------------------------------------------------------------------------- on the command line


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    """Noise with labels: nothing can be found in it."""
    folder = tmp_path_factory.mktemp("labelled")
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    chance = np.random.default_rng(3)
    for k in range(6):
        cv2.imwrite(str(folder / f"images/{k}.png"), chance.integers(0, 255, (96, 128, 3), np.uint8))
        (folder / f"labels/{k}.txt").write_text("0 0.5 0.5 0.2 0.4\n")
    return folder


def test_the_check_of_a_precision_is_published_beside_its_graph(made, labelled, capsys):
    arguments = ["models", "export", "--name", "trailwatch7n", "--graphs", str(made.folder.parent), "--size", "96", "128"]
    assert main([*arguments, "--precision", "bf16", "--check", str(labelled)]) == 0
    said = capsys.readouterr().out
    assert "no data.yaml, so they are taken for 0 person" in said
    assert "6 pictures, 6 objects" in said and "by ultralytics" in said and "are the least that say anything" in said
    graph = find_graph(SHA, Precision.BF16, [made.folder.parent])
    check = read_check(graph, Precision.BF16)
    assert check == msgspec.json.decode((graph.folder / "check-bf16.json").read_bytes(), type=Check)
    assert (check.objects, check.input_size_px, check.graph_sha256) == (6, 128, graph.digest)


@pytest.mark.slow
def test_eight_bits_are_calibrated_on_pictures_and_run(tmp_path, labelled, capsys):
    assert main([
        "models", "export", "--name", "trailwatch7n", "--graphs", str(tmp_path), "--size", "96", "128",
        "--precision", "int8", "--calibration", str(labelled), "--check", str(labelled),
    ]) == 0
    assert "in int8" in capsys.readouterr().out
    graph = find_graph(SHA, Precision.INT8, [tmp_path])
    assert graph.card.calibration == f"6 pictures of {labelled / 'images'}"
    assert (graph.folder / "graph.bin").stat().st_size < 4_000_000
    assert 'type="HSwish"' in graph.xml.read_text(), "parabolas for exponentials"
    assert not list(labelled.glob("*.cache")), "nothing is written among somebody's pictures"


@pytest.mark.parametrize(("arguments", "says"), [
    (["--precision", "fp16"], "give --out DIR"),
    (["--form", "onnx"], "give --out DIR"),
    (["--precision", "int8", "--calibration", "nowhere"], "no pictures in nowhere"),
    (["--precision", "bf16", "--out", "x"], "a way to run fp32"),
])
def test_what_cannot_be_asked_for_is_refused_in_words(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert main(["models", "export", "--name", "trailwatch7n", "--graphs", "graphs", *arguments]) == 2
    assert says in capsys.readouterr().err


def test_the_digest_in_the_name_is_of_the_weights(made):
    assert made.folder.name.startswith(digest_of(OURS)[:16])
