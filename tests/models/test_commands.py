"""`./trailwatch models`, as a person would call it, with the weights that are shipped."""

import json

import cv2
import numpy as np
import pytest

from ground_station import main
from models.registry import digest_of, manifest, shipped_file


@pytest.fixture(autouse=True)
def empty_surroundings(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("TRAILWATCH_MODELS", raising=False)


def test_list_says_what_is_here_and_what_is_not(capsys):
    assert main(["models", "list"]) == 0
    said = capsys.readouterr().out
    assert "trailwatch7n: trailwatch7n.pt, AGPL-3.0-or-later" in said
    assert "trained on rendered pictures alone" in said
    assert f"SHA-256 {manifest()['trailwatch7n'].sha256}" in said
    assert "not here: no weights yolo11n.pt found" in said


def test_the_shipped_weights_are_those_of_the_manifest_and_of_the_model_card(capsys):
    assert main(["models", "check", "trailwatch7n"]) == 0
    assert "as the manifest says" in capsys.readouterr().out
    card = shipped_file(manifest()["trailwatch7n"]).with_suffix(".md").read_text(encoding="utf-8")
    assert digest_of(shipped_file(manifest()["trailwatch7n"])) in card


def test_check_says_when_a_file_is_another(tmp_path, capsys):
    other = tmp_path / "other.pt"
    other.write_bytes(shipped_file(manifest()["trailwatch7n"]).read_bytes() + b"x")
    assert main(["models", "check", "trailwatch7n", "--weights", str(other)]) == 2
    assert "not trailwatch7n" in capsys.readouterr().err


def test_evaluate_runs_the_network_on_a_folder_and_prints_json_and_curves(tmp_path, capsys):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    chance = np.random.default_rng(3)
    for k in range(3):
        cv2.imwrite(str(tmp_path / f"images/{k}.png"), chance.integers(0, 255, (128, 128, 3), np.uint8))
    (tmp_path / "labels/0.txt").write_text("0 0.5 0.5 0.2 0.4\n")
    assert main([
        "models", "evaluate", str(tmp_path), "--name", "trailwatch7n", "--size", "128", "--json",
        "--curves", str(tmp_path / "curves.png"),
    ]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["pictures"], said["empty_pictures"], said["objects"]) == (3, 2, 1)
    assert {"map50", "map50_95", "by_height", "by_depression", "false_finds_per_empty", "points"} <= set(said)
    assert (tmp_path / "curves.png").stat().st_size > 1000
    assert said["numbering"].startswith("classes of the labels: no data.yaml, so they are taken for 0 person, 1 bicycle, ")


def test_evaluate_tells_by_what_it_read_the_numbers_of_the_labels(tmp_path, capsys):
    (tmp_path / "images").mkdir()
    cv2.imwrite(str(tmp_path / "images/0.png"), np.zeros((64, 64, 3), np.uint8))
    (tmp_path / "data.yaml").write_text("names: [bicycle, dog, person]\n")
    assert main(["models", "evaluate", str(tmp_path), "--name", "trailwatch7n", "--size", "64"]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    assert said == f"classes of the labels, by {tmp_path}/data.yaml: 0 bicycle, 1 dog, 2 person; left out: dog"


def test_a_share_in_percent_is_refused_before_anything_is_measured(tmp_path, capsys):
    assert main(["models", "evaluate", str(tmp_path), "--visible", "65"]) != 0
    assert "give a share from 0 to 1" in capsys.readouterr().err


def test_frames_of_an_odd_size_are_refused(tmp_path, capsys):
    assert main(["models", "frames", "--out", str(tmp_path), "--side", "100"]) == 2
    assert "multiple of 32" in capsys.readouterr().err
