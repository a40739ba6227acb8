"""A corridor holds what its strip holds, error ellipse included, in its hours."""

from datetime import UTC, datetime

import numpy as np
import pytest
import shapely
from hypothesis import example, given
from hypothesis import strategies as st

from geofences.corridors import CorridorMap, alarms_now, ellipse, ellipses, make_corridor_set
from geofences.geodesy import LocalFrame
from wire.messages import Corridor

FRAME = LocalFrame(16.62, 106.60)


def corridor(name, points_m, width_m=40.0, minutes=(0, 1440)):
    line = tuple(FRAME.position(*p) for p in points_m)
    return Corridor(name, name, line, width_m, 1, minutes)


MAP = CorridorMap(
    make_corridor_set("s", (corridor("west", [(-300, 0), (-300, 500)]), corridor("east", [(300, 0), (300, 500)]))), FRAME
)


# Far enough from the corridors' rounded ends that the ellipse, 91 m at the most, touches a straight side or none.
@given(st.floats(-500, 500), st.floats(100, 400), st.floats(0.1, 30), st.floats(0.1, 30), st.floats(0, np.pi))
@example(205.0, 400.0, 1.0, 28.0, 2.0)
def test_what_is_touched_is_what_the_ellipse_reaches(east, north, major, minor, turn):
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    covariance = rotation @ np.diag([major**2, minor**2]) @ rotation.T
    touched = MAP.touched([[east, north]], [covariance])[0]
    for name, centre in (("west", -300), ("east", 300)):
        reach = np.sqrt(covariance[0, 0] * 9.2103)  # half width of the ellipse along east
        gap = abs(east - centre) - 20.0 - reach
        if abs(gap) > 0.02 * reach + 0.01:  # the polygon circumscribes the ellipse by at most half a percent
            assert (name in touched) == (gap < 0)


@given(st.floats(0.1, 50), st.floats(0.1, 50), st.floats(-0.9, 0.9))
def test_the_ellipse_holds_99_percent(sx, sy, rho):
    covariance = np.array([[sx**2, rho * sx * sy], [rho * sx * sy, sy**2]])
    shape = ellipse([0, 0], covariance)
    exact = np.pi * 9.2103 * np.sqrt(np.linalg.det(covariance))
    assert exact <= shape.area <= exact * 1.02


def test_many_ellipses_at_once_are_those_of_one_by_one():
    rng = np.random.default_rng(3)
    roots = rng.normal(0, 5, (12, 2, 2))
    roots[0], roots[1, 0] = 0.0, 0.0           # no error at all; none to the east
    covariances, centres = roots @ roots.transpose(0, 2, 1), rng.normal(0, 100, (12, 2))
    for shape, centre, covariance in zip(ellipses(centres, covariances), centres, covariances, strict=True):
        assert shape.is_empty is False
        assert shape.equals_exact(ellipse(centre, covariance), 1e-9)
        east, north = np.sqrt(9.2103 * np.diag(covariance))
        assert shape.bounds == pytest.approx(
            (centre[0] - east, centre[1] - north, centre[0] + east, centre[1] + north), abs=0.006 * (east + north) + 1e-9
        )


def test_rectangles_and_middles_first_find_what_all_polygons_do():
    rng = np.random.default_rng(4)
    lines = [np.cumsum(rng.normal(0, 150, (rng.integers(2, 6), 2)), axis=0) + rng.uniform(-800, 800, 2) for _ in range(60)]
    corridors = tuple(corridor(f"c{k:02}", line.tolist()) for k, line in enumerate(lines))
    many = CorridorMap(make_corridor_set("s", corridors), FRAME)
    centres, roots = rng.uniform(-1500, 1500, (400, 2)), rng.normal(0, 1, (400, 2, 2)) * rng.uniform(0.1, 60, (400, 1, 1))
    covariances = roots @ roots.transpose(0, 2, 1)
    expected = [
        tuple(sorted(g.corridor.id for g in many.grounds if shapely.intersects(g.strip, shape)))
        for shape in ellipses(centres, covariances)
    ]
    found = many.touched(centres, covariances)
    assert found == expected
    inside = [many.containing(centre) for centre in centres]
    # All three ways of finding out are in it: far away, the middle inside, and an edge that reaches.
    assert sum(not ids for ids in found) > 20 and sum(map(bool, inside)) > 20
    assert sum(len(ids) > len(within) for ids, within in zip(found, inside, strict=True)) > 20


def test_nothing_in_gives_nothing_out():
    assert MAP.touched(np.empty((0, 2)), np.empty((0, 2, 2))) == []
    empty = CorridorMap(make_corridor_set("s", ()), FRAME)
    assert empty.touched([[0, 0]], [np.eye(2)]) == [()]


def test_equal_corridors_have_an_equal_version_and_others_another():
    one = make_corridor_set("s", (corridor("a", [(0, 0), (0, 10)]),))
    assert one.version == make_corridor_set("s", (corridor("a", [(0, 0), (0, 10)]),)).version
    assert one.version != make_corridor_set("s", (corridor("a", [(0, 0), (0, 11)]),)).version


@pytest.mark.parametrize(
    ("minutes", "utc_hour", "expected"),
    [
        ((0, 1440), 3, True),
        ((18 * 60, 6 * 60), 13, True),  # 20:00 local
        ((18 * 60, 6 * 60), 22, True),  # 05:00 local
        ((18 * 60, 6 * 60), 23, False),  # 06:00 local: the end is not in
        ((18 * 60, 6 * 60), 5, False),  # noon local
        ((8 * 60, 17 * 60), 1, True),
        ((8 * 60, 17 * 60), 10, False),
    ],
)
def test_a_schedule_is_in_local_time_and_may_pass_midnight(minutes, utc_hour, expected):
    at = int(datetime(2026, 11, 24, utc_hour, 0, tzinfo=UTC).timestamp() * 1e9)
    assert alarms_now(corridor("a", [(0, 0), (0, 10)], minutes=minutes), at, 420) is expected


def test_a_strip_is_as_wide_as_it_says():
    assert shapely.area(MAP.ground("west").strip) == pytest.approx(500 * 40 + np.pi * 20**2, rel=0.01)
