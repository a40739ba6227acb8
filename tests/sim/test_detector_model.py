"""The detector model: what it was fitted to, what it draws, and how long its misses last."""

from itertools import pairwise

import numpy as np
import pytest

from sim.detector_model import FEATURES, FalseFinds, Luck, Sights, chances, detector_model, group_in


def sights(**change):
    values = {
        "high_px": 65.0, "visible": 1.0, "grey": False, "distance_m": 40.0, "visibility_m": 20_000.0, "rain_mm_h": 0.0,
        "depression_deg": 12.0, "low": False, "bent": False,
    } | change
    return Sights(**{k: np.array([v]) for k, v in values.items()})


def chance(**change):
    return float(chances(detector_model().groups["person"], sights(**change))[0])


def test_the_model_says_what_it_was_fitted_to():
    model = detector_model()
    person = model.groups["person"]
    assert model.weights == "yolo11n" and model.pictures >= 900 and model.measured
    assert person.rows > 2000 and 0 < person.found < person.rows
    assert len(person.weights) == len(FEATURES)
    assert 0 <= model.standing_share + model.lasting_share < 1 and model.lasting_s > 0


def test_small_hidden_dark_and_foggy_are_found_less_often():
    plain = chance()
    assert plain > 0.9
    for worse in ({"high_px": 20.0}, {"visible": 0.2}, {"grey": True}, {"visibility_m": 100.0}, {"low": True}):
        assert chance(**worse) < plain, worse


def test_a_person_is_found_as_often_as_the_chance_says_over_many_people():
    model, rng = detector_model(), np.random.default_rng(1)
    for p in (0.2, 0.6, 0.9):
        hits = [Luck(model, rng).draw(p, 1.0) for _ in range(4000)]
        assert np.mean(hits) == pytest.approx(p, abs=0.03)


def test_misses_last_longer_than_by_fresh_dice():
    model, rng = detector_model(), np.random.default_rng(2)
    near, apart = [], []
    for _ in range(800):
        luck = Luck(model, rng)
        hits = [luck.draw(0.5, k / 3.0) for k in range(40)]
        near += [a == b for a, b in pairwise(hits)]
        apart += [a == b for a, b in zip(hits, hits[30:], strict=False)]
    assert np.mean(near) > np.mean(apart) > 0.55        # a half, if every picture were a new draw


def test_false_finds_are_those_that_were_measured_in_their_order():
    model = detector_model()
    stand = max((s for s in model.stands if not s.grey and not s.rain), key=lambda s: len(s.false_finds))
    finds = FalseFinds(model, np.random.default_rng(3))
    pictures = [finds.draw(False, False) for _ in range(5 * stand.pictures)]
    measured = {f for s in model.stands if not s.grey and not s.rain for f in s.false_finds}
    assert {f for p in pictures for f in p} <= measured
    assert pictures[:stand.pictures] == pictures[stand.pictures:2 * stand.pictures]


def test_a_box_is_where_the_detector_would_put_it_give_or_take():
    model, rng = detector_model(), np.random.default_rng(4)
    group, true = model.groups["person"], np.array([100.0, 100.0, 125.0, 165.0])
    boxes = np.array([Luck(model, rng).box(group, true) for _ in range(3000)])
    assert np.abs((boxes[:, 3] - true[3]).mean() / 65.0 - group.foot[0]) < 0.005
    assert (boxes[:, 3] - true[3]).std() / 65.0 == pytest.approx(group.foot[1], rel=0.1)


def test_a_thermal_camera_finds_at_night_whom_a_lamp_does_not_and_has_a_curve_of_its_own():
    model = detector_model()
    lamp = chance(grey=True, high_px=50.0)
    warm = float(chances(group_in(model, "person", thermal=True), sights(high_px=50.0))[0])
    assert lamp < 0.3 and warm > 0.8
    assert group_in(model, "person", thermal=False) is model.groups["person"]
    # Of vehicles too few were found through a thermal camera: the curve of daylight stands in.
    assert group_in(model, "vehicle", thermal=True) is model.groups["vehicle"]


def test_what_is_found_where_nobody_is_comes_from_cameras_of_the_same_kind():
    model = detector_model()
    assert sum(s.thermal for s in model.stands) == 10
    thermal = {f.box for s in model.stands if s.thermal for f in s.false_finds}
    cameras = [FalseFinds(model, np.random.default_rng(n)) for n in range(8)]
    seen = {f.box for c in cameras for _ in range(200) for f in c.draw(grey=False, rain=True, thermal=True)}
    assert seen and seen <= thermal
