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

pytestmark = pytest.mark.together(75)

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
def test_what_fools_a_detector_is_shown_to_it_with_nobody_labelled() -> None:
    taken_for_somebody = np.array([[300.0, 310.0, 312.0, 350.0], [302.0, 300.0, 320.0, 340.0], [20.0, 600.0, 40.0, 639.0]])
    seen = []

    def fooled(picture: np.ndarray) -> np.ndarray:
        seen.append(picture)
        return taken_for_somebody

    maker = ExerciseFrames(make_landscape(load_sector(SECTOR), 5_900), SIDE, "day", fooled)
    frames = maker.make(70_001)
    maker.close()
    of_nobody = [frame for frame in frames if not frame.labels]
    assert len(of_nobody) == 2, "the second is in the first one's crop already"
    (picture,) = seen
    for frame, box in zip(of_nobody, taken_for_somebody[::2], strict=True):
        ((top, left),) = places_of(frame.image, picture)
        middle = (box[:2] + box[2:]) / 2
        assert left < middle[0] < left + SIDE and top < middle[1] < top + SIDE


def places_of(crop: np.ndarray, picture: np.ndarray) -> list[tuple[int, int]]:
    """Rows and columns at which a picture has exactly that crop."""
    rows, columns = (picture.shape[k] - crop.shape[k] + 1 for k in (0, 1))
    corners = (picture[:rows, :columns] == crop[0, 0]).all(axis=2)
    return [
        (int(r), int(c)) for r, c in np.argwhere(corners)
        if np.array_equal(picture[r : r + crop.shape[0], c : c + crop.shape[1]], crop)
    ]


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
