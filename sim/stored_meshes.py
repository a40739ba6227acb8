"""Meshes with their textures in one file: compressed arrays, textures as PNG."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import cv2
import numpy as np

from sim.mesh import Mesh

ASSETS = Path(__file__).parent / "assets"


def write_meshes(path: Path, meshes: dict[str, Mesh]) -> None:
    """Write named meshes; those with the same texture object share it."""
    arrays: dict[str, np.ndarray] = {}
    pictures: dict[int, int] = {}
    for name, mesh in meshes.items():
        arrays[f"{name}.vertices"] = mesh.vertices.astype(np.float32)
        arrays[f"{name}.triangles"] = mesh.triangles.astype(np.uint16)
        arrays[f"{name}.colours"] = mesh.colours
        arrays[f"{name}.normals"] = np.round(mesh.normals * 127.0).astype(np.int8)
        if mesh.uv is None or mesh.texture is None:
            continue
        arrays[f"{name}.uv"] = mesh.uv.astype(np.float16)
        if id(mesh.texture) not in pictures:
            pictures[id(mesh.texture)] = len(pictures)
            done, encoded = cv2.imencode(".png", mesh.texture, [cv2.IMWRITE_PNG_COMPRESSION, 9])
            if not done:
                raise ValueError(f"{name}: its texture of {mesh.texture.shape} cannot be written as PNG")
            arrays[f"picture.{pictures[id(mesh.texture)]}"] = encoded
        arrays[f"{name}.picture"] = np.array(pictures[id(mesh.texture)])
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]  # the stub takes keywords for allow_pickle


@cache
def read_meshes(name: str) -> dict[str, Mesh]:
    """The meshes of sim/assets/NAME.npz. Raises FileNotFoundError where the package came without its assets."""
    path = ASSETS / f"{name}.npz"
    if not path.exists():
        raise FileNotFoundError(f"{path}: no models. Install Trailwatch from its repository, with sim/assets.")
    meshes: dict[str, Mesh] = {}
    with np.load(path) as stored:
        pictures = {
            key: np.ascontiguousarray(cv2.imdecode(stored[key], cv2.IMREAD_UNCHANGED), dtype=np.uint8)
            for key in stored.files if key.startswith("picture.")
        }
        for entry in (key for key in stored.files if key.endswith(".vertices")):
            one = entry.removesuffix(".vertices")
            normals = stored[f"{one}.normals"].astype(np.float32)
            textured = f"{one}.uv" in stored.files
            meshes[one] = Mesh(
                vertices=stored[entry],
                triangles=stored[f"{one}.triangles"].astype(np.int32),
                colours=stored[f"{one}.colours"],
                normals=normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6),
                uv=stored[f"{one}.uv"].astype(np.float32) if textured else None,
                texture=pictures[f"picture.{int(stored[f'{one}.picture'])}"] if textured else None,
            )
    return meshes
