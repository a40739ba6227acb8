"""The list of backgrounds and the trainer's own parts; no training is done here."""

import argparse
import hashlib
import zipfile

import cv2
import numpy as np
import pytest
import torch
from ultralytics.nn.tasks import DetectionModel

from models.evaluate import YoloFinder
from models.training.backgrounds import Accepted, accepted, cut_crops, lay_out
from models.training.publish import publish
from models.training.train import data_file, settings
from models.training.trainer import FloatLoss, Partners, find_shards
from wire.settings import SettingsError
from wire.units import ObjectClass


def test_every_accepted_background_is_named_once_and_some_are_held_out():
    listed = accepted()
    assert len({one.sha256 for one in listed}) == len(listed)
    for kind in ("photo", "texture", "cutout"):
        held = sum(one.split == "heldout" for one in listed if one.kind == kind)
        trained = sum(one.split == "train" for one in listed if one.kind == kind)
        assert held >= 10 and trained > held


def test_a_file_that_differs_from_the_list_is_left_out_and_counted(tmp_path, monkeypatch):
    picture = np.full((300, 400, 3), 90, np.uint8)
    root = tmp_path / "packages" / "some-photos"
    root.mkdir(parents=True)
    for name in ("right.png", "changed.png"):
        cv2.imwrite(str(root / name), picture)
    digest = hashlib.sha256((root / "right.png").read_bytes()).hexdigest()
    listed = (
        Accepted(digest, "photo", "heldout", "some-photos", "right.png"),
        Accepted("0" * 64, "photo", "train", "some-photos", "changed.png"),
        Accepted("1" * 64, "texture", "train", "some-photos", "missing.png"),
    )
    monkeypatch.setattr("models.training.backgrounds.accepted", lambda: listed)
    assert lay_out(tmp_path / "out", tmp_path / "packages") == 2
    assert [p.relative_to(tmp_path / "out").as_posix() for p in (tmp_path / "out").rglob("*.jpg")] == [
        f"heldout/photo/{digest[:16]}.jpg",
    ]


def test_crops_of_photographs_are_empty_pictures_in_yolo_format(tmp_path):
    (tmp_path / "photo").mkdir()
    cv2.imwrite(str(tmp_path / "photo/a.jpg"), np.random.default_rng(1).integers(0, 255, (500, 700, 3), np.uint8))
    cut_crops(tmp_path / "photo", tmp_path / "crops", 3)
    pictures = sorted((tmp_path / "crops/images").glob("*.jpg"))
    assert len(pictures) == 3
    assert all(cv2.imread(str(p)).shape == (416, 416, 3) for p in pictures)
    assert all((tmp_path / "crops/labels" / f"{p.stem}.txt").read_text() == "" for p in pictures)


def test_a_shard_counts_once_it_is_whole(tmp_path):
    for name in ("b", "a", "half"):
        (tmp_path / name / "images").mkdir(parents=True)
    for name in ("b", "a"):
        (tmp_path / name / "data.yaml").write_text("")
    assert [p.name for p in find_shards(tmp_path)] == ["a", "b"]


def test_frames_that_are_not_there_are_explained(tmp_path):
    with pytest.raises(SettingsError, match=r"needs train/NAME/images and val/images"):
        data_file(tmp_path)


def test_a_run_begins_from_the_architecture_and_nobodys_weights(tmp_path):
    a = argparse.Namespace(
        begin_with=None, epochs=3, hours=1.0, side=320, batch=8, device="cpu", rate=0.001, run=tmp_path / "r", mosaic=0.4,
        close_mosaic=2, optimizer="AdamW",
    )
    made = settings(a, tmp_path / "training.yaml")
    assert made["model"] == "yolo11n.yaml" and made["pretrained"] is False
    assert made["cos_lr"] is True


def test_the_loss_is_computed_in_full_precision_however_the_network_ran():
    seen = {}

    def loss(predictions, batch):
        seen["types"] = [predictions["boxes"].dtype, predictions["feats"][0].dtype, predictions["count"].dtype]
        return (predictions["boxes"] @ predictions["boxes"].T).dtype

    half = torch.ones(2, 2, dtype=torch.bfloat16)
    predictions = {"boxes": half, "feats": (half,), "count": torch.ones(1, dtype=torch.int64)}
    with torch.autocast("cpu", torch.bfloat16):
        result = FloatLoss(loss)(predictions, {"img": torch.zeros(1)})
    assert seen["types"] == [torch.float32, torch.float32, torch.int64]
    assert result == torch.float32


def test_one_partner_alone_keeps_its_own_gradients(tmp_path):
    model = torch.nn.Linear(2, 1, bias=False)
    model(torch.tensor([[1.0, 2.0]])).sum().backward()
    Partners(0, 1, tmp_path / "meeting").average(model)
    assert model.weight.grad.tolist() == [[1.0, 2.0]]


def test_two_partners_end_up_with_the_mean_of_their_gradients(tmp_path):
    meeting = tmp_path / "meeting"
    context = torch.multiprocessing.get_context("spawn")
    answers = context.Queue()
    partners = [context.Process(target=_partner, args=(number, meeting, answers)) for number in (0, 1)]
    for one in partners:
        one.start()
    grads = [answers.get(timeout=120) for _ in partners]
    for one in partners:
        one.join(60)
    assert grads == [[[2.0, 3.0]], [[2.0, 3.0]]]


def _partner(number, meeting, answers):
    import torch

    from models.training.trainer import Partners

    partners = Partners(number, 2, meeting)
    model = torch.nn.Linear(2, 1, bias=False)
    model(torch.tensor([[1.0, 2.0], [3.0, 4.0]])[number:number + 1]).sum().backward()
    partners.average(model)
    answers.put(model.weight.grad.tolist())


def test_what_is_published_holds_the_network_and_nothing_of_the_machine_that_trained_it(tmp_path):
    network = DetectionModel("yolo11n.yaml", nc=7, verbose=False)
    network.names = {k: c.value for k, c in enumerate(ObjectClass)}
    secret = "/home/somebody/frames"
    checkpoint = tmp_path / "epoch.pt"
    torch.save({
        "model": None, "ema": network, "optimizer": {"state": torch.zeros(100_000)}, "epoch": 3,
        "train_args": {"imgsz": 320, "data": secret, "project": secret}, "git": {"root": secret},
    }, checkpoint)
    out = tmp_path / "shipped.pt"
    assert publish(checkpoint, out) == hashlib.sha256(out.read_bytes()).hexdigest()
    with zipfile.ZipFile(out) as parts:
        assert not any(secret.encode() in parts.read(name) for name in parts.namelist())
    held = torch.load(out, weights_only=False)
    assert held["optimizer"] is None and next(held["model"].parameters()).dtype == torch.float16
    finder = YoloFinder(out, 320, threads=1)
    assert set(finder.classes) == set(ObjectClass)
    assert finder(np.zeros((320, 320, 3), np.uint8)).boxes.shape[1] == 4


def test_what_is_no_checkpoint_is_refused(tmp_path):
    broken = tmp_path / "x.pt"
    broken.write_bytes(b"")
    with pytest.raises(SettingsError, match="not a checkpoint of a training run"):
        publish(broken, tmp_path / "out.pt")
