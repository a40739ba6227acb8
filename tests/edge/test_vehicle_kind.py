"""A pickup and a lorry are told apart by their height where it can be told, and otherwise not."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.vehicle_kind import Extent, kind_of
from sim.raster import turns
from sim.vehicles import vehicle_mesh
from sim.world_state import Kind, Looks
from wire.units import ObjectClass, VehicleKind

FOCAL_PX = 1000.0


def seen(kind, seed, heading_deg, distance_m, up_m):
    """The extent of a drawn vehicle by the exact projection of its mesh; the camera up_m above the ground looks at it."""
    mesh = vehicle_mesh(kind, Looks(seed))
    points = mesh.vertices[np.unique(mesh.triangles)] @ turns(np.array([heading_deg]))[0].T + [0.0, distance_m, -up_m]
    tilt = np.arctan2(up_m, distance_m)
    depth = points[:, 1] * np.cos(tilt) - points[:, 2] * np.sin(tilt)
    y = FOCAL_PX * (-points[:, 2] * np.cos(tilt) - points[:, 1] * np.sin(tilt)) / depth
    slant_m = float(np.hypot(distance_m, up_m))
    foot = np.arctan2(y.max(), FOCAL_PX) + tilt
    x = FOCAL_PX * points[:, 0] / depth
    return Extent(float(np.ptp(x)), float(np.ptp(y)), FOCAL_PX, slant_m, 0.01 * slant_m, float(np.degrees(foot)))


@settings(deadline=None)
@given(
    st.sampled_from([Kind.PICKUP, Kind.TRUCK]), st.integers(0, 40), st.floats(0, 360), st.floats(12, 60), st.floats(2, 30),
)
def test_a_drawn_pickup_is_never_a_truck_and_a_truck_never_a_pickup(kind, seed, heading_deg, distance_m, up_m):
    told = kind_of(ObjectClass.TRUCK, seen(kind, seed, heading_deg, distance_m, up_m))
    assert told in (None, VehicleKind(kind.value))


@pytest.mark.parametrize("kind", [Kind.PICKUP, Kind.TRUCK])
def test_from_a_gates_height_it_is_told(kind):
    views = [(s, h, d) for s in range(6) for h in (0, 30, 90, 180) for d in (18, 30)]
    told = [kind_of(ObjectClass.TRUCK, seen(kind, *view, 3.0)) for view in views]
    assert told.count(VehicleKind(kind.value)) > 0.75 * len(told)


def test_what_cannot_be_told_is_not_told():
    assert kind_of(ObjectClass.TRUCK, None) is None
    assert kind_of(ObjectClass.TRUCK, seen(Kind.PICKUP, 1, 0.0, 12.0, 60.0)) is None
    sharp = seen(Kind.PICKUP, 1, 0.0, 25.0, 3.0)
    blurred = replace(sharp, distance_sigma_m=0.3 * sharp.distance_m)
    assert kind_of(ObjectClass.TRUCK, sharp) is VehicleKind.PICKUP
    assert kind_of(ObjectClass.TRUCK, blurred) is None


@pytest.mark.parametrize(("vehicle", "kind"), [
    (ObjectClass.CAR, VehicleKind.CAR), (ObjectClass.BUS, VehicleKind.BUS), (ObjectClass.MOTORCYCLE, VehicleKind.MOTORCYCLE),
])
def test_the_detectors_word_is_taken_for_the_others(vehicle, kind):
    assert kind_of(vehicle, None) is kind
