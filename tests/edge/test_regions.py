"""Crops hold all that is worth a look; what several show of one object is one object again, and nothing else is lost."""

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from edge.detector import Found
from edge.regions import cut_out, pieced, plan_crops, tiles
from models.boxes import overlaps

SIZES = st.sampled_from([(1080, 1920), (720, 1280), (576, 768), (540, 960), (333, 517), (200, 300)])
SHAPE = (384, 640)


@st.composite
def worth(draw):
    """A picture's size and boxes in it; some reach beyond its edge."""
    height, width = draw(SIZES)
    boxes = []
    for _ in range(draw(st.integers(0, 8))):
        x, y = draw(st.floats(-20, width)), draw(st.floats(-20, height))
        boxes.append([x, y, x + draw(st.floats(1, width * 0.7)), y + draw(st.floats(1, height * 0.7))])
    return (height, width), np.array(boxes).reshape(-1, 4)


@given(worth(), st.integers(1, 9))
def test_every_box_is_whole_in_a_crop_and_every_crop_in_the_picture(drawn, most):
    (height, width), boxes = drawn
    crops = plan_crops(boxes, (height, width), SHAPE, most)
    if crops is None:
        assert len(boxes)
        return
    assert len(crops) <= min(most, max(1, len(boxes)))
    assert (crops[:, :2] >= 0).all() and (crops[:, 2:] <= [width, height]).all() and (crops[:, 2:] > crops[:, :2]).all()
    inside = np.clip(boxes, 0, [width, height, width, height])
    for box in inside:
        assert ((crops[:, :2] <= box[:2]) & (crops[:, 2:] >= box[2:])).all(axis=1).any()


@given(worth())
def test_a_crop_is_seen_pixel_for_pixel_unless_what_it_holds_is_larger(drawn):
    size, boxes = drawn
    crops = plan_crops(boxes, size, SHAPE, 9)
    if crops is None or not len(boxes):
        return
    largest = np.ceil((boxes[:, 2:] - boxes[:, :2]).max(axis=0)) + 2
    scale = max(1.0, largest[0] / SHAPE[1], largest[1] / SHAPE[0])
    sides = crops[:, 2:] - crops[:, :2]
    assert (sides <= np.ceil(scale * np.array(SHAPE[::-1])) + 1).all()


def test_nothing_worth_a_look_is_no_crop():
    assert plan_crops(np.empty((0, 4)), (1080, 1920), SHAPE, 4).shape == (0, 4)


def test_near_things_share_a_crop_and_far_ones_do_not():
    near = np.array([[900.0, 500.0, 912.0, 520.0], [1100.0, 600.0, 1120.0, 640.0]])
    assert len(plan_crops(near, (1080, 1920), SHAPE, 4)) == 1
    far = np.array([[100.0, 100.0, 112.0, 120.0], [1800.0, 1000.0, 1820.0, 1040.0]])
    crops = plan_crops(far, (1080, 1920), SHAPE, 4)
    assert len(crops) == 2
    assert {tuple(c) for c in (crops[:, 2:] - crops[:, :2]).tolist()} == {(640, 384)}


def test_the_whole_picture_is_looked_at_where_that_is_as_good_or_cheaper():
    corners = np.array([[x, y, x + 20.0, y + 40.0] for x in (0.0, 950.0, 1900.0) for y in (0.0, 1040.0)])
    assert plan_crops(corners, (1080, 1920), SHAPE, 4) is None          # too many
    assert plan_crops(np.array([[10.0, 10.0, 1800.0, 900.0]]), (1080, 1920), SHAPE, 4) is None      # nearly all of it
    assert plan_crops(corners[:1], (360, 640), SHAPE, 4) is None        # seen pixel for pixel anyhow
    two = np.array([[0.0, 0.0, 20.0, 40.0], [900.0, 400.0, 920.0, 440.0]])
    assert plan_crops(two, (540, 960), (448, 768), 4) is None           # two looks for a quarter more of resolution


@given(SIZES, st.sampled_from([(384, 640), (448, 768), (256, 256)]))
def test_tiles_cover_the_picture_and_overlap(size, shape):
    covered = np.zeros(size, int)
    for left, top, right, bottom in tiles(size, shape):
        assert 0 <= left < right <= size[1] and 0 <= top < bottom <= size[0]
        assert right - left <= shape[1] and bottom - top <= shape[0]
        covered[top:bottom, left:right] += 1
    assert covered.min() >= 1
    xs = sorted({int(t[0]) for t in tiles(size, shape)})
    assert all(b - a <= shape[1] * 0.8 + 1 for a, b in pairwise(xs))


def test_crops_are_cut_where_they_are():
    image = np.arange(50 * 80 * 3, dtype=np.uint32).astype(np.uint8).reshape(50, 80, 3)
    (one,) = cut_out(image, np.array([[10, 20, 30, 45]]))
    assert one.shape == (25, 20, 3) and (one == image[20:45, 10:30]).all()


def found(*rows):
    """Rows of left, top, right, bottom, score, class."""
    table = np.array(rows, float).reshape(-1, 6)
    return Found(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


SIZE = (1080, 1920)
LEFT_AND_RIGHT = np.array([[100, 100, 740, 484], [600, 100, 1240, 484]])


def test_one_object_in_two_crops_is_one_and_the_surer_box_is_kept():
    # At 620 to 680, 200 to 300 of the picture, whole in both crops.
    both = pieced([found([520, 100, 580, 200, 0.6, 0]), found([21, 101, 79, 199, 0.8, 0])], LEFT_AND_RIGHT, SIZE, SHAPE)
    assert both.found.boxes.tolist() == [[621, 201, 679, 299]] and both.found.scores.tolist() == [0.8]
    assert len(both.cut) == 0


def test_what_a_crop_cuts_through_gives_way_to_the_whole_of_it():
    # At 700 to 800: the left crop ends at 740, and is surer of the half that it sees.
    both = pieced([found([600, 100, 640, 200, 0.9, 0]), found([100, 100, 200, 200, 0.5, 0])], LEFT_AND_RIGHT, SIZE, SHAPE)
    assert both.found.boxes.tolist() == [[700, 200, 800, 300]] and len(both.cut) == 0


def test_what_is_cut_and_nowhere_whole_is_told_apart():
    both = pieced([found([0, 100, 40, 200, 0.9, 0]), found()], LEFT_AND_RIGHT, SIZE, SHAPE)
    assert len(both.found) == 0 and both.cut.tolist() == [[100, 200, 140, 300]]


def test_the_pictures_own_edge_cuts_nothing_that_another_look_would_hold():
    crops = np.array([[0, 0, 640, 384], [1280, 696, 1920, 1080]])
    both = pieced([found([0, 0, 40, 80, 0.9, 0]), found([600, 300, 640, 384, 0.9, 0])], crops, SIZE, SHAPE)
    assert len(both.found) == 2 and len(both.cut) == 0


def test_two_who_walk_close_together_in_one_crop_stay_two():
    pair = found([100, 100, 160, 250, 0.9, 0], [120, 100, 180, 250, 0.8, 0])
    assert len(pieced([pair], LEFT_AND_RIGHT[:1], SIZE, SHAPE).found) == 2
    shifted = found([100, 100, 160, 250, 0.7, 0], [120, 100, 180, 250, 0.6, 0])
    crops = np.array([[100, 100, 740, 484], [100, 100, 740, 484]])
    assert len(pieced([pair, shifted], crops, SIZE, SHAPE).found) == 2


def test_a_rider_and_the_machine_are_of_two_classes_and_both_stay():
    crops = np.array([[100, 100, 740, 484], [100, 100, 740, 484]])
    both = pieced([found([100, 100, 160, 250, 0.9, 0]), found([100, 100, 160, 250, 0.9, 3])], crops, SIZE, SHAPE)
    assert sorted(both.found.classes.tolist()) == [0, 3]


@st.composite
def people_and_crops(draw):
    """People who stand apart, and crops of which each shows those that are inside it, or a part of them."""
    columns = draw(st.lists(st.integers(0, 18), unique=True, max_size=8))
    rows = [[c * 100 + 20, 300, c * 100 + 60, 300 + draw(st.integers(60, 100))] for c in columns]
    people = np.array(rows, float).reshape(-1, 4)
    lefts = draw(st.lists(st.integers(0, 1280), min_size=1, max_size=5))
    crops = np.array([[x, 200, x + 640, 584] for x in lefts])
    founds = []
    for crop in crops:
        seen = np.clip(people, np.tile(crop[:2], 2), np.tile(crop[2:], 2)) - np.tile(crop[:2], 2)
        seen = seen[(seen[:, 2] - seen[:, 0]) > 4]
        jitter = np.array([[draw(st.floats(-1.5, 1.5)) for _ in range(4)] for _ in range(len(seen))]).reshape(-1, 4)
        at_edge = (seen[:, [0]] <= 0) | (seen[:, [2]] >= 640)
        seen = np.where(at_edge, seen, seen + jitter)
        scores = np.array([draw(st.floats(0.3, 0.9)) for _ in range(len(seen))])
        founds.append(Found(seen, scores, np.zeros(len(seen), np.int64)))
    return people, crops, founds


@given(people_and_crops())
def test_who_is_whole_in_some_crop_is_found_once_and_nobody_twice(drawn):
    people, crops, founds = drawn
    both = pieced(founds, crops, SIZE, SHAPE)
    for person in people:
        left, right = crops[:, 0], crops[:, 2]
        whole = ((left + 6 <= person[0]) | (left == 0)) & ((right - 6 >= person[2]) | (right == 1920))
        here = overlaps(person[None], both.found.boxes)[0] > 0.5
        assert here.sum() <= 1
        if whole.any():
            assert here.sum() == 1
    assert len(both.found) <= len(people)


@given(people_and_crops())
def test_putting_together_what_is_together_changes_nothing(drawn):
    _, crops, founds = drawn
    once = pieced(founds, crops, SIZE, SHAPE).found
    again = pieced([once], np.array([[0, 0, 1920, 1080]]), SIZE, SHAPE)
    order = np.argsort(-once.scores, kind="stable")
    assert (again.found.boxes == once.boxes[order]).all() and len(again.cut) == 0


def test_no_crops_hold_nothing():
    both = pieced([], np.empty((0, 4), np.int64), SIZE, SHAPE)
    assert len(both.found) == 0 and both.found.boxes.shape == (0, 4) and both.cut.shape == (0, 4)
