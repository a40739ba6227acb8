"""People as they are drawn: whole, on the ground, of the height their looks say, the same for the same seed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sim.mesh import Mesh
from sim.people import height_m, person_mesh
from sim.people_pose import SEAT_UP_M, WALK_KNEE, at
from sim.world_state import Looks, Posture

SOMEBODY = (
    Looks(1), Looks(2, sex="female"), Looks(3, age="child"), Looks(4, age="old", pack=True),
    Looks(5, uniform=True, pack=True), Looks(6, sex="female", age="old", hat=True),
    Looks(7, sex="female", age="child", pack=True),
)
ON_FEET = (Posture.STAND, Posture.WALK, Posture.CROUCH)


def tall(mesh: Mesh) -> float:
    return float(np.ptp(mesh.vertices[:, 2]))


@pytest.mark.parametrize("posture", list(Posture))
@pytest.mark.parametrize("detail", ["near", "far"])
def test_every_posture_at_every_phase_is_a_whole_body(posture: Posture, detail: str) -> None:
    for looks in SOMEBODY:
        for phase in (0.0, 0.13, 0.37, 0.5, 0.71, 0.99):
            mesh = person_mesh(looks, posture, phase, detail)
            assert np.isfinite(mesh.vertices).all()
            assert mesh.triangles.min() >= 0
            assert mesh.triangles.max() < len(mesh.vertices)
            assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-4)
            assert mesh.colours.shape == mesh.vertices.shape
            assert np.abs(mesh.vertices).max() < 2.2, "a limb has flown away"


@pytest.mark.parametrize(("detail", "fewest", "most"), [("near", 4000, 8000), ("far", 700, 1700)])
def test_triangles_stay_within_what_a_renderer_can_draw(detail: str, fewest: int, most: int) -> None:
    for looks in SOMEBODY:
        assert fewest <= len(person_mesh(looks, Posture.STAND, 0.0, detail).triangles) <= most


@pytest.mark.parametrize("posture", ON_FEET)
def test_feet_are_on_the_ground(posture: Posture) -> None:
    for looks in SOMEBODY:
        for phase in np.linspace(0.0, 1.0, 9):
            assert abs(float(person_mesh(looks, posture, float(phase)).vertices[:, 2].min())) < 0.03


def test_a_walker_never_has_both_feet_in_the_air_or_under_the_body() -> None:
    for phase in np.linspace(0.0, 1.0, 13):
        mesh = person_mesh(Looks(11), Posture.WALK, float(phase))
        soles = mesh.vertices[mesh.vertices[:, 2] < 0.05]
        assert len(soles) > 10
        assert np.abs(soles[:, :2]).max() < 0.75


def test_standing_height_is_what_the_looks_say() -> None:
    for seed in range(12):
        for looks in (Looks(seed), Looks(seed, sex="female"), Looks(seed, age="child"), Looks(seed, age="old")):
            said = height_m(looks)
            assert 1.0 <= said <= 1.9
            # hair and soles add to it, a bent neck takes from it
            assert tall(person_mesh(looks, Posture.STAND, 0.0)) == pytest.approx(said, abs=0.09)


def test_children_are_smaller_and_crouching_hides() -> None:
    for seed in range(5):
        adult, child = Looks(seed), Looks(seed, age="child")
        assert tall(person_mesh(child, Posture.STAND, 0.0)) < tall(person_mesh(adult, Posture.STAND, 0.0)) - 0.1
        assert tall(person_mesh(adult, Posture.CROUCH, 0.0)) < 0.75 * tall(person_mesh(adult, Posture.STAND, 0.0))
        assert tall(person_mesh(adult, Posture.LIE, 0.0)) < 0.7


def test_the_same_seed_is_the_same_person_and_another_is_another() -> None:
    one, again, other = (person_mesh(Looks(seed), Posture.WALK, 0.25) for seed in (42, 42, 43))
    assert np.array_equal(one.vertices, again.vertices)
    assert np.array_equal(one.colours, again.colours)
    assert one.vertices.shape != other.vertices.shape or not np.array_equal(one.colours, other.colours)


def test_people_face_forward() -> None:
    mesh = person_mesh(Looks(8), Posture.STAND, 0.0)
    toes = mesh.vertices[mesh.vertices[:, 2] < 0.06]
    assert toes[:, 1].max() > -toes[:, 1].min() + 0.05, "toes point the way somebody looks"


def test_normals_point_outward() -> None:
    mesh = person_mesh(Looks(8), Posture.STAND, 0.0)
    chest = mesh.vertices[:, 2] > 0.9
    away = mesh.vertices[chest] * [1.0, 1.0, 0.0]
    assert np.mean(np.sum(mesh.normals[chest] * away, axis=1) > 0) > 0.7


def test_a_pack_hat_and_uniform_show() -> None:
    plain = person_mesh(Looks(9), Posture.STAND, 0.0)
    packed = person_mesh(Looks(9, pack=True), Posture.STAND, 0.0)
    assert packed.vertices[:, 1].min() < plain.vertices[:, 1].min() - 0.08
    hatted = person_mesh(Looks(9, hat=True), Posture.STAND, 0.0)
    top = hatted.vertices[hatted.vertices[:, 2] > hatted.vertices[:, 2].max() - 0.16]
    assert np.ptp(top[:, 0]) > 0.36, "a conical hat is wider than a head"
    uniform = person_mesh(Looks(9, uniform=True), Posture.STAND, 0.0)
    green = uniform.colours[(uniform.vertices[:, 2] > 0.9) & (uniform.vertices[:, 2] < 1.3)].astype(int)
    assert np.mean((green[:, 1] >= green[:, 2]) & (green[:, 1] > green[:, 0])) > 0.6


def test_the_colour_asked_for_is_worn() -> None:
    mesh = person_mesh(replace(Looks(14), colour=(200, 40, 30)), Posture.STAND, 0.0)
    on_chest = (np.abs(mesh.vertices[:, 2] - 1.2) < 0.1) & (np.abs(mesh.vertices[:, 0]) < 0.12)
    chest = mesh.colours[on_chest].astype(int)
    assert np.mean(chest[:, 0] > chest[:, 2] + 40) > 0.5


def test_a_rider_sits_on_the_saddle() -> None:
    mesh = person_mesh(Looks(15), Posture.RIDE, 0.0)
    seat = mesh.vertices[(np.abs(mesh.vertices[:, 0]) < 0.1) & (mesh.vertices[:, 1] < -0.1)]
    assert float(seat[:, 2].min()) == pytest.approx(SEAT_UP_M, abs=0.06)
    assert float(mesh.vertices[:, 2].min()) > 0.05, "feet are on the pegs, not in the ground"


def test_gait_curves_close_on_themselves() -> None:
    assert at(WALK_KNEE, 0.0) == pytest.approx(at(WALK_KNEE, 1.0))
    assert at(WALK_KNEE, 0.999) == pytest.approx(at(WALK_KNEE, 0.001), abs=1.0)
