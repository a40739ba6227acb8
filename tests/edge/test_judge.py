"""Each detection leaves with its place or bearing and the corridors that its ellipse touches; none is left out."""

import numpy as np

from cameras.pose import Pose
from edge.geolocate import GroundEstimate
from edge.judge import FOOT_CUT_OFF, judge
from edge.tracker import Tracked
from geofences.corridors import CorridorMap, make_corridor_set
from geofences.geodesy import LocalFrame
from wire.messages import Corridor, PlacementBearing, PlacementPoint
from wire.units import GroundPosition

FRAME = LocalFrame(16.62, 106.6)


def place(east, north):
    lat, lon = FRAME.from_enu([[east, north]])[0]
    return GroundPosition(float(lat), float(lon))


CORRIDORS = CorridorMap(
    make_corridor_set("laobao", (Corridor("trail", "Trail", (place(-100, 0), place(100, 0)), 20.0, 1),)), FRAME
)


def judged(positions, sigmas, refused, bottoms):
    n = len(positions)
    boxes = np.array([[10, 10, 20, b] for b in bottoms], float)
    tracked = Tracked(
        np.arange(n), boxes, np.full(n, 0.8), np.zeros(n, np.int64), np.ones(n, bool), ()
    )
    placed = GroundEstimate(
        np.array(positions, float), np.array([np.eye(2) * s**2 for s in sigmas]), np.array(refused),
        tuple("too unsure" if r else "" for r in refused), np.full(n, 45.0), np.full(n, 0.5),
    )
    return judge(tracked, placed, Pose(0, -50, 10, 0, -20), CORRIDORS, 480)


def test_the_99_percent_ellipse_decides_and_the_outside_is_marked_and_kept():
    detections = judged([(0, 5), (0, 14), (0, 14), (0, 80)], [1, 1, 2, 1], [False] * 4, [100] * 4)
    assert [d.corridors for d in detections] == [("trail",), (), ("trail",), ()]
    assert all(isinstance(d.placement, PlacementPoint) for d in detections)
    at = FRAME.point(detections[1].placement.position)
    np.testing.assert_allclose(at, [0, 14], atol=0.01)


def test_every_bearing_is_kept_with_its_reason_and_from_where():
    detections = judged([(np.nan, np.nan), (0, 5)], [1, 1], [True, False], [100, 100])
    bearing = detections[0].placement
    assert isinstance(bearing, PlacementBearing)
    assert (bearing.bearing_deg, bearing.reason) == (45.0, "too unsure")
    np.testing.assert_allclose(FRAME.point(bearing.from_position), [0, -50], atol=0.01)
    assert detections[0].corridors == () and detections[1].corridors == ("trail",)


def test_a_foot_below_the_picture_is_a_bearing_however_sure_the_rest_is():
    detections = judged([(0, 5)], [0.1], [False], [479.0])
    assert detections[0].placement.reason == FOOT_CUT_OFF
