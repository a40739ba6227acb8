"""One vehicle, one box."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.detector import CLASSES, OVERLAP_LIMIT, Found
from edge.doubles import ALIKE, INSIDE, NEARLY_AS_HIGH, SAME_GROUND, one_box_each
from models.boxes import areas, overlaps, shared
from wire.units import ObjectClass

CAR, TRUCK, BUS = ObjectClass.CAR, ObjectClass.TRUCK, ObjectClass.BUS
PERSON, MOTORCYCLE, BICYCLE = ObjectClass.PERSON, ObjectClass.MOTORCYCLE, ObjectClass.BICYCLE
PICKUP = (100.0, 200.0, 220.0, 260.0)


def found(*what: tuple[ObjectClass, float, tuple[float, float, float, float]]) -> Found:
    return Found(
        np.array([box for *_, box in what], float).reshape(-1, 4), np.array([score for _, score, _ in what]),
        np.array([CLASSES.index(kind) for kind, *_ in what], np.int64),
    )


def kept(*what) -> list[ObjectClass]:
    return [CLASSES[c] for c in one_box_each(found(*what)).classes]


def test_a_pickup_that_is_called_a_car_and_a_truck_is_the_surer_of_them() -> None:
    assert kept((TRUCK, 0.46, PICKUP), (CAR, 0.52, (101, 201, 221, 260))) == [CAR]


def test_a_cabin_on_the_same_ground_is_part_of_its_truck() -> None:
    assert kept((TRUCK, 0.5, PICKUP), (CAR, 0.4, (165, 205, 218, 259))) == [TRUCK]
    assert kept((TRUCK, 0.5, PICKUP), (TRUCK, 0.4, (165, 205, 218, 259))) == [TRUCK]


def test_a_car_before_a_truck_stands_on_nearer_ground_and_stays() -> None:
    assert kept((TRUCK, 0.9, (100, 100, 260, 260)), (CAR, 0.5, (150, 190, 240, 285))) == [TRUCK, CAR]


def test_a_car_in_the_near_lane_before_a_lorry_stays_as_far_as_it_is_seen_also_from_a_low_mast() -> None:
    """Solid boxes before a pinhole 4 to 8 m high: a car of 4.4 x 1.8 x 1.5 m, 1.2 m before a lorry of 9 x 2.5 x 3.6 m."""
    for mast_m in (4.0, 6.0, 8.0):
        for away_m in range(15, 120, 5):
            tilt = np.arctan2(mast_m, away_m + 3.0)
            car = seen_box((-2.2, away_m, 4.4, 1.8, 1.5), mast_m, tilt)
            lorry = seen_box((-6.0, away_m + 3.0, 9.0, 2.5, 3.6), mast_m, tilt)
            assert kept((TRUCK, 0.8, lorry), (CAR, 0.7, car)) == [TRUCK, CAR], (mast_m, away_m)


def seen_box(solid, mast_m, tilt):
    """Of a solid (left, near side, length, width, height in metres) by 1005 pixels of focal length, looking down by tilt."""
    left, near, length, width, height = solid
    corners = np.array([(x, y, z) for x in (left, left + length) for y in (near, near + width) for z in (0.0, height)])
    ahead = np.cos(tilt) * corners[:, 1] - np.sin(tilt) * (corners[:, 2] - mast_m)
    down = -np.sin(tilt) * corners[:, 1] - np.cos(tilt) * (corners[:, 2] - mast_m)
    u, v = 640.0 + 1005.0 * corners[:, 0] / ahead, 360.0 + 1005.0 * down / ahead
    return (u.min(), v.min(), u.max(), v.max())


def test_one_behind_another_ends_higher_and_stays() -> None:
    assert kept((BUS, 0.9, (100, 100, 260, 260)), (CAR, 0.5, (150, 150, 240, 215))) == [BUS, CAR]


def test_vehicles_side_by_side_stay() -> None:
    beside, far = (190, 200, 310, 260), (320, 190, 440, 260)
    assert kept((CAR, 0.5, PICKUP), (CAR, 0.5, beside), (TRUCK, 0.5, far)) == [CAR, CAR, TRUCK]


def test_a_rider_and_whoever_stands_at_a_car_are_bodies_of_their_own() -> None:
    assert kept((MOTORCYCLE, 0.6, (10, 10, 40, 60)), (PERSON, 0.7, (12, 0, 38, 59))) == [MOTORCYCLE, PERSON]
    assert kept((CAR, 0.9, PICKUP), (PERSON, 0.3, (110, 202, 125, 260))) == [CAR, PERSON]
    assert kept((MOTORCYCLE, 0.6, (10, 10, 40, 60)), (BICYCLE, 0.5, (10, 11, 40, 60))) == [MOTORCYCLE]


BOXES = st.tuples(st.floats(0, 500), st.floats(0, 500), st.floats(2, 300), st.floats(2, 300)).map(
    lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3])
)


@given(st.lists(st.tuples(st.sampled_from(list(CLASSES)), st.floats(0.1, 1.0), BOXES), max_size=9))
def test_people_all_stay_the_surest_vehicle_stays_and_a_second_pass_takes_nothing_more(what) -> None:
    before = found(*what)
    after = one_box_each(before)
    people = CLASSES.index(PERSON)
    assert np.array_equal(after.boxes[after.classes == people], before.boxes[before.classes == people])
    if len(before):
        assert before.scores.max() in after.scores
    again = one_box_each(after)
    assert np.array_equal(again.boxes, after.boxes)
    rows = {(*b, s, c) for b, s, c in zip(before.boxes.tolist(), before.scores, before.classes, strict=True)}
    assert {(*b, s, c) for b, s, c in zip(after.boxes.tolist(), after.scores, after.classes, strict=True)} <= rows


def plainly(seen: Found) -> list[int]:
    """The rule pair by pair, over all boxes: which stay."""
    stays: list[int] = []
    for i in np.argsort(-seen.scores, kind="stable").tolist():
        for k in stays:
            a, b = seen.boxes[i : i + 1], seen.boxes[k : k + 1]
            one_kind = any({CLASSES[seen.classes[i]], CLASSES[seen.classes[k]]} <= alike for alike in ALIKE)
            higher = max((box[0, 3] - box[0, 1]) for box in (a, b))
            within = shared(a, b)[0, 0] >= INSIDE * min(areas(a)[0], areas(b)[0])
            lower = min((box[0, 3] - box[0, 1]) for box in (a, b))
            on_one_ground = abs(a[0, 3] - b[0, 3]) <= SAME_GROUND * higher and lower >= NEARLY_AS_HIGH * higher
            if one_kind and (overlaps(a, b)[0, 0] > OVERLAP_LIMIT or (within and on_one_ground)):
                break
        else:
            stays.append(i)
    return sorted(stays)


def test_it_keeps_what_the_rule_keeps_pair_by_pair() -> None:
    rng, fewer = np.random.default_rng(3), 0
    for _ in range(600):
        n = int(rng.integers(0, 9))
        corner = rng.integers(0, 3, (n, 2)) * 12.0
        boxes = np.hstack([corner, corner + rng.integers(0, 5, (n, 2)) * rng.uniform(8.0, 12.0)])     # some have no area
        seen = Found(boxes, rng.integers(1, 6, n) / 6.0, rng.integers(0, len(CLASSES), n))
        kept = one_box_each(seen)
        expected = plainly(seen)
        fewer += len(expected) < n
        assert np.array_equal(kept.boxes, boxes[expected]) and np.array_equal(kept.scores, seen.scores[expected])
    assert fewer > 50
