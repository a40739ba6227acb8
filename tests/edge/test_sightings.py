"""However many pictures are placed at once, each is told of as it would be alone: its own objects, time and place."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cameras.camera import Camera
from cameras.lens import Lens
from cameras.pose import Pose, PoseEstimate, PoseSigma
from edge import sightings
from edge.sightings import Sighting, place
from edge.tracker import Tracked
from geofences.corridors import CorridorMap, make_corridor_set
from geofences.geodesy import LocalFrame
from geofences.terrain import FlatTerrain
from wire.messages import Corridor, PlacementBearing, PlacementPoint
from wire.units import GroundPosition, TimeQuality

FRAME = LocalFrame(16.62, 106.6)
FLAT = FlatTerrain(100.0, 0.3, synthetic=True)
CAMERA = Camera(Lens(1280, 720, 1000.0, 1000.0, 639.5, 359.5), 1.5, 12.0, 90.0)
ENDS = [GroundPosition(*(float(v) for v in FRAME.from_enu([[east, 30.0]])[0])) for east in (-100.0, 100.0)]
CORRIDORS = CorridorMap(make_corridor_set("laobao", (Corridor("trail", "Trail", tuple(ENDS), 20.0, 1),)), FRAME)


def taken_at(yaw_deg):
    return PoseEstimate(Pose(0.0, 0.0, 108.0, yaw_deg, -15.0), PoseSigma(0.2, 0.1, 0.2, 0.1, 0.1))


def sighting(seed, count, number, yaw_deg=0.0):
    chance = np.random.default_rng(seed)
    top = chance.uniform(0, [1280, 600], (count, 2))
    boxes = np.hstack([top, top + chance.uniform([5, 10], [60, 200], (count, 2))])
    tracked = Tracked(
        np.arange(count) + 1, boxes, chance.uniform(0.1, 1.0, count), chance.integers(0, 7, count),
        chance.random(count) < 0.5, (),
    )
    return Sighting(1_800_000_000_000_000_000 + number, TimeQuality.NTP, tracked, CAMERA, taken_at(yaw_deg))


def words(detection):
    d = detection
    return d.track, d.box, d.object_class, d.confirmed, d.corridors, type(d.placement)


def numbers(batch):
    """Of each detection what can be compared, in the order in which they are told."""
    for d in batch.detections:
        p = d.placement
        if isinstance(p, PlacementPoint):
            yield [p.position.lat_deg, p.position.lon_deg, p.covariance.ee_m2, p.covariance.en_m2, p.covariance.nn_m2]
        else:
            assert isinstance(p, PlacementBearing)
            yield [p.from_position.lat_deg, p.from_position.lon_deg, p.bearing_deg, p.sigma_deg, 0.0]


@given(st.lists(st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 5), st.sampled_from([0.0, 0.0, 40.0])), max_size=5))
def test_pictures_that_are_placed_at_once_are_told_of_as_if_each_were_alone(several):
    seen = [sighting(seed, count, k, yaw_deg) for k, (seed, count, yaw_deg) in enumerate(several)]
    together = place("gate-1", seen, FLAT, CORRIDORS)
    alone = [place("gate-1", [one], FLAT, CORRIDORS)[0] for one in seen]
    assert [t.batch.captured_ns for t in together] == [s.captured_ns for s in seen], "each has its own time, in order"
    for a, b, s in zip(together, alone, seen, strict=True):
        assert len(a.batch.detections) == len(s.tracked.ids) == len(a.ground.refused)
        assert (a.batch.sensor, a.batch.corridors_version) == ("gate-1", CORRIDORS.version)
        assert [words(d) for d in a.batch.detections] == [words(d) for d in b.batch.detections]
        np.testing.assert_allclose(list(numbers(a.batch)), list(numbers(b.batch)), rtol=1e-7, atol=1e-7)
        np.testing.assert_allclose(a.ground.position_enu_m, b.ground.position_enu_m, rtol=1e-7, atol=1e-7)
        assert a.ground.reasons == b.ground.reasons


def test_pictures_from_one_place_are_worked_out_once_and_those_of_a_camera_that_moved_apart(monkeypatch):
    asked = []
    geolocate = sightings.geolocate

    def counted(feet, *rest):
        asked.append(len(feet))
        return geolocate(feet, *rest)

    monkeypatch.setattr(sightings, "geolocate", counted)
    yaws = [0.0, 0.0, 0.0, 40.0, 0.0]
    place("gate-1", [sighting(k, 2, k, yaw) for k, yaw in enumerate(yaws)], FLAT, CORRIDORS)
    assert asked == [6, 2, 2]
