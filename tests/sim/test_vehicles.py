"""Vehicles as they are drawn: of the size of their kind, on the ground, with a plate that can be read."""

from __future__ import annotations

import numpy as np
import pytest

from sim.mesh import Mesh
from sim.solids import WEAR_UV
from sim.vehicles import PAINTS, plate_rows, vehicle_mesh
from sim.world_state import Kind, Looks

SIZE_M = {      # length, width, height: least and most
    Kind.CAR: ((4.2, 4.7), (1.6, 2.2), (1.4, 1.85)),
    Kind.PICKUP: ((5.1, 5.6), (1.8, 2.3), (1.7, 1.95)),
    Kind.TRUCK: ((7.6, 8.4), (2.2, 2.8), (2.3, 3.2)),
    Kind.BUS: ((9.8, 10.3), (2.4, 3.1), (3.1, 3.5)),
    Kind.MOTORCYCLE: ((1.8, 2.2), (0.6, 0.9), (1.0, 1.3)),
    Kind.BICYCLE: ((1.6, 2.0), (0.5, 0.8), (0.9, 1.1)),
    Kind.BOAT: ((7.5, 8.5), (1.2, 1.7), (0.8, 1.9)),
}


@pytest.mark.parametrize("kind", list(PAINTS))
def test_each_kind_has_its_size_and_stands_on_the_ground(kind: Kind) -> None:
    for seed in range(10):
        mesh = vehicle_mesh(kind, Looks(seed, plate="74C-123.45"))
        low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
        for axis, (least, most) in zip((1, 0, 2), SIZE_M[kind], strict=True):
            assert least <= high[axis] - low[axis] <= most, f"axis {axis}"
        if kind is not Kind.BOAT:
            assert abs(float(low[2])) < 0.02
        assert abs(float(low[0] + high[0])) < 0.1, "as wide to the left as to the right"
        assert np.isfinite(mesh.vertices).all()
        assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-4)
        assert len(mesh.triangles) < 2500


def on_plate(mesh: Mesh, front: bool) -> np.ndarray:
    """Which vertices carry the plate: those whose place in the texture is not in the part that shows wear."""
    assert mesh.uv is not None
    worn = (mesh.uv[:, 0] > WEAR_UV[0] - 0.01) & (mesh.uv[:, 1] < WEAR_UV[3] + 0.01)
    return ~worn & ((mesh.vertices[:, 1] > 0) == front)


def plate_part(mesh: Mesh, front: bool) -> np.ndarray:
    """The texture's part on the plate: grey, as written."""
    assert mesh.uv is not None
    assert mesh.texture is not None
    triangles = mesh.triangles[on_plate(mesh, front)[mesh.triangles].any(axis=1)]
    uv = mesh.uv[triangles.ravel()]
    assert len(uv) == 6, "one rectangle"
    size = np.array([mesh.texture.shape[1], mesh.texture.shape[0]])
    (left, top), (right, bottom) = (uv.min(axis=0) * size).astype(int), (uv.max(axis=0) * size).astype(int)
    return mesh.texture[top:bottom, left:right, 0]


@pytest.mark.parametrize("kind", [Kind.CAR, Kind.PICKUP, Kind.TRUCK, Kind.BUS])
def test_a_plate_is_drawn_behind_and_in_front(kind: Kind) -> None:
    mesh = vehicle_mesh(kind, Looks(3, plate="74C-123.45"))
    other = vehicle_mesh(kind, Looks(3, plate="29H-678.90"))
    for front in (False, True):
        part = plate_part(mesh, front)
        assert 0.08 < np.mean(part < 100) < 0.6, "black letters on white"
        assert not np.array_equal(part, plate_part(other, front))


def test_a_plate_reads_from_left_to_right() -> None:
    mesh = vehicle_mesh(Kind.CAR, Looks(3, plate="74C-123.45"))
    assert mesh.uv is not None
    for front in (False, True):
        on = np.unique(mesh.triangles[on_plate(mesh, front)[mesh.triangles].any(axis=1)])
        # whoever stands in front of a car sees its left side on his right
        left_edge = mesh.vertices[on][np.argmin(mesh.uv[on][:, 0])][0]
        assert (left_edge > 0) == front
        assert np.allclose(mesh.normals[on][:, 1], 1.0 if front else -1.0, atol=1e-3)


def test_without_a_plate_nothing_is_written() -> None:
    bare, written = vehicle_mesh(Kind.CAR, Looks(3)), vehicle_mesh(Kind.CAR, Looks(3, plate="74C-123.45"))
    assert not on_plate(bare, False).any()
    assert bare.texture is not None
    assert written.texture is not None
    assert bare.texture[..., 0].min() > 100 > written.texture[..., 0].min()


def test_plates_of_cars_and_motorcycles_break_where_they_should() -> None:
    assert plate_rows("74C-123.45") == ("74C", "123.45")
    assert plate_rows("74-C1 123.45") == ("74-C1", "123.45")
    assert plate_rows("74-C1-123.45") == ("74-C1", "123.45")
    assert plate_rows("TM1234") == ("TM1234", "")


def test_paint_is_what_was_asked_for() -> None:
    mesh = vehicle_mesh(Kind.PICKUP, Looks(3, colour=(30, 40, 190)))
    side = (np.abs(mesh.vertices[:, 0]) > 0.88) & (mesh.vertices[:, 2] > 0.85)
    assert np.mean(mesh.colours[side].astype(int)[:, 2] > 120) > 0.5


def test_the_same_seed_is_the_same_vehicle() -> None:
    one = vehicle_mesh(Kind.TRUCK, Looks(8))
    vehicle_mesh.cache_clear()
    assert np.array_equal(one.vertices, vehicle_mesh(Kind.TRUCK, Looks(8)).vertices)
    meshes = [vehicle_mesh(Kind.TRUCK, Looks(seed)) for seed in range(12)]
    assert len({len(m.vertices) for m in meshes}) > 1, "trucks carry different loads"


def test_a_dog_is_no_vehicle() -> None:
    with pytest.raises(ValueError, match="dog is no vehicle: ask for one of"):
        vehicle_mesh(Kind.DOG, Looks(1))
