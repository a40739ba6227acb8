"""Animals, plants and ground: whole meshes with their pictures, tiles without seams, and assets of bounded size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import sim
from sim.animals import animal_mesh
from sim.ground_textures import TILE_M, ground_texture
from sim.plant_meshes import VARIANTS, plant_mesh
from sim.world_state import Cover, Kind, Looks, Species

ASSETS = Path(sim.__file__).parent / "assets"


@pytest.mark.parametrize("species", list(Species))
def test_plants_are_a_metre_high_rooted_and_few_triangles(species: Species) -> None:
    for variant in range(VARIANTS):
        mesh = plant_mesh(species, variant)
        assert 0.9 <= float(mesh.vertices[:, 2].max()) <= 1.35
        assert -0.13 <= float(mesh.vertices[:, 2].min()) <= 0.05
        assert len(mesh.triangles) <= 300
        assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-3)
        assert mesh.triangles.max() < len(mesh.vertices)
        assert plant_mesh(species, variant + VARIANTS) is mesh, "uploaded once"


@pytest.mark.parametrize("species", [Species.BROADLEAF, Species.BAMBOO, Species.BUSH, Species.FERN, Species.GRASS_TUFT])
def test_leaves_have_holes_between_them(species: Species) -> None:
    for variant in range(VARIANTS):
        mesh = plant_mesh(species, variant)
        assert mesh.texture is not None
        assert mesh.uv is not None
        assert (mesh.uv >= 0.0).all()
        assert (mesh.uv <= 1.0).all()
        holes = np.mean(mesh.texture[..., 3] < 128)
        assert 0.1 < holes < 0.98


def test_variants_of_a_species_differ() -> None:
    for species in Species:
        meshes = [plant_mesh(species, variant) for variant in range(VARIANTS)]
        looks = {
            (m.vertices.tobytes(), m.colours.tobytes(), b"" if m.texture is None else m.texture.tobytes()) for m in meshes
        }
        assert len(looks) == VARIANTS, species


@pytest.mark.parametrize(("kind", "length_m", "height_m"), [(Kind.DOG, 0.95, (0.45, 0.9)), (Kind.BUFFALO, 2.6, (1.2, 2.3))])
def test_animals_stand_on_four_legs_at_every_phase(kind: Kind, length_m: float, height_m: tuple[float, float]) -> None:
    for seed in range(4):
        for phase in np.linspace(0.0, 1.0, 9):
            mesh = animal_mesh(kind, Looks(seed), float(phase))
            assert float(mesh.vertices[:, 2].min()) == pytest.approx(0.0, abs=0.01)
            assert height_m[0] < float(mesh.vertices[:, 2].max()) < height_m[1]
            assert float(np.ptp(mesh.vertices[:, 1])) == pytest.approx(length_m, rel=0.2)
            assert np.allclose(np.linalg.norm(mesh.normals, axis=1), 1.0, atol=1e-3)


def test_a_walking_dog_moves_its_legs_and_a_bird_its_wings() -> None:
    for kind in (Kind.DOG, Kind.BIRD):
        one, other = animal_mesh(kind, Looks(1), 0.0), animal_mesh(kind, Looks(1), 0.25)
        moved = np.linalg.norm(one.vertices - other.vertices, axis=1)
        assert 0.05 < float(moved.max()) < 0.6


def test_a_car_is_no_animal() -> None:
    with pytest.raises(ValueError, match="car is no animal"):
        animal_mesh(Kind.CAR, Looks(1), 0.0)


@pytest.mark.parametrize("cover", list(Cover))
def test_ground_tiles_meet_without_a_seam(cover: Cover) -> None:
    tile = ground_texture(cover).astype(float)
    assert tile.shape == (512, 512, 3)
    assert TILE_M[cover] > 1.0
    for axis in (0, 1):
        inside = np.abs(np.diff(tile, axis=axis)).mean()
        across = np.abs(np.take(tile, 0, axis=axis) - np.take(tile, -1, axis=axis)).mean()
        assert across < 1.6 * inside + 1.0
    assert tile.std() > 2.0, "not a flat colour"
    assert 20.0 < tile.mean() < 200.0


def test_assets_stay_small_and_each_is_accounted_for() -> None:
    files = [path for path in ASSETS.rglob("*") if path.is_file() and path.name != "LICENCES.md"]
    assert sum(path.stat().st_size for path in files) < 15_000_000
    said = (ASSETS / "LICENCES.md").read_text()
    for path in files:
        assert path.name in said, f"{path.name} is not in sim/assets/LICENCES.md"
