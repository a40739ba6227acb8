"""A surface of triangles: what bodies, vehicles, animals and plants are made of before they are drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """n vertices, m triangles, in metres; x to the right, y forward, z up; the origin is on the ground below the middle.

    vertices: (n, 3) float32. triangles: (m, 3) int32. colours: (n, 3) uint8 blue, green, red; they multiply the texture.
    normals: (n, 3) float32, unit. uv: (n, 2) float32, 0 to 1, v down the picture. texture: (h, w, 4) uint8 blue, green, red,
    alpha, or None; alpha below a half is a hole.
    """

    vertices: npt.NDArray[np.float32]
    triangles: npt.NDArray[np.int32]
    colours: npt.NDArray[np.uint8]
    normals: npt.NDArray[np.float32]
    uv: npt.NDArray[np.float32] | None = None
    texture: npt.NDArray[np.uint8] | None = None
