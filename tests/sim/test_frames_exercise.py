"""Training frames cut from the exercise's own pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from geofences.sector import load_sector
from models.evaluate import load_samples
from sim.frames import Frame
from sim.frames_exercise import LANDSCAPE_VIEWS, SECTOR, ExerciseFrames, write_views
from sim.landscape import make_landscape

SIDE = 256


@pytest.fixture(scope="module")
def made() -> list[list[Frame]]:
    maker = ExerciseFrames(make_landscape(load_sector(SECTOR), 5_900), SIDE, "day")
    views = [maker.make(seed) for seed in range(70_000, 70_003)]
    maker.close()
    return views


@pytest.mark.slow
def test_labels_lie_inside_their_crops_and_are_of_what_can_be_seen(made: list[list[Frame]]) -> None:
    labels = [label for view in made for frame in view for label in frame.labels]
    assert len(labels) > 3
    for label in labels:
        left, top, right, bottom = label.box_px
        assert 0 <= left < right <= SIDE and 0 <= top < bottom <= SIDE
        assert label.visible > 0.15
        assert -5 < label.depression_deg <= 90


@pytest.mark.slow
def test_every_view_has_a_crop_with_nobody_and_its_crops_are_of_one_size(made: list[list[Frame]]) -> None:
    for view in made:
        assert not view[-1].labels
        assert {frame.image.shape for frame in view} == {(SIDE, SIDE, 3)}
        assert len({frame.seed for frame in view}) == len(view)


@pytest.mark.slow
def test_somebody_labelled_differs_from_the_ground_around_him(made: list[list[Frame]]) -> None:
    differences = []
    for frame in (f for view in made for f in view):
        for label in frame.labels:
            left, top, right, bottom = (int(v) for v in label.box_px)
            inside = frame.image[top:bottom, left:right].reshape(-1, 3).astype(float)
            ring = frame.image[max(0, top - 8):bottom + 8, max(0, left - 8):right + 8].reshape(-1, 3).astype(float)
            differences.append(abs(inside.mean(axis=0) - ring.mean(axis=0)).max() + abs(inside.std() - ring.std()))
    assert np.median(differences) > 3.0


@pytest.mark.slow
def test_the_same_seed_gives_the_same_folder_that_an_evaluation_reads(tmp_path: Path) -> None:
    first = 880 * LANDSCAPE_VIEWS
    for name in ("a", "b"):
        write_views(tmp_path / name, first, 1, SIDE, "night")
    a, b = (sorted((tmp_path / name / "labels").iterdir()) for name in ("a", "b"))
    assert [p.name for p in a] == [p.name for p in b]
    assert [p.read_text() for p in a] == [p.read_text() for p in b]
    samples = load_samples(tmp_path / "a")
    assert len(samples) == len(a)
    assert all(np.isfinite(s.depressions_deg).all() for s in samples)
