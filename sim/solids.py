"""Builds hard-edged things, machines above all, out of coloured polygons, and smooths what is meant to be round.

Frame and units are those of Mesh: x right, y forward, z up, metres. Colours are red, green, blue here, as people write them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array
from sim.mesh import Mesh

Rgb = tuple[float, float, float]
Point = tuple[float, float, float]
CREASE_DEG = 38.0  # faces that meet at less than this are one surface
SAME_PLACE_M = 5e-4
WEAR_UV = (0.52, 0.01, 0.99, 0.52)  # left, top, right, bottom of the texture's part that shows dust and scratches
LONGEST_M, TALLEST_M, WIDEST_M = 10.6, 3.5, 3.2  # what that part spans


def mixed(one: Rgb, other: Rgb, share: float) -> Rgb:
    """A colour on the way from one to the other."""
    return (one[0] + (other[0] - one[0]) * share, one[1] + (other[1] - one[1]) * share, one[2] + (other[2] - one[2]) * share)


def _worn(at: Array) -> Array:
    """Where a flat polygon (n, 3) lies in the texture of wear: seen from the side, from an end or from above, (n, 2)."""
    normal = np.abs(np.cross(at[1] - at[0], at[2] - at[0]))
    along = (at[:, 1] / LONGEST_M + 0.5) if normal.argmax() != 1 else (at[:, 0] / LONGEST_M + 0.5)
    across = (1.0 - at[:, 2] / TALLEST_M) if normal.argmax() != 2 else (at[:, 0] / WIDEST_M + 0.5)
    left, top, right, bottom = WEAR_UV
    place = np.stack([left + (right - left) * along, top + (bottom - top) * across], axis=1)
    return np.asarray(np.clip(place, [left, top], [right, bottom]))


class Solid:
    """Collects polygons; finish makes the mesh of them."""

    def __init__(self) -> None:
        self._corners: list[Array] = []
        self._colours: list[Array] = []
        self._uv: list[Array] = []

    def polygon(
        self, points: Sequence[Point] | Array, colour: Rgb | Sequence[Rgb], uv: Sequence[tuple[float, float]] | None = None
    ) -> None:
        """A flat convex polygon, counterclockwise seen from outside. colour: of all, or of each corner."""
        at = np.asarray(points, float)
        paints = np.broadcast_to(np.asarray(colour, float), (len(at), 3))
        places = _worn(at) if uv is None else np.asarray(uv, float)
        for k in range(1, len(at) - 1):
            which = [0, k, k + 1]
            self._corners.append(at[which])
            self._colours.append(paints[which])
            self._uv.append(places[which])

    def both_sides(self, points: Sequence[Point], colour: Rgb | Sequence[Rgb]) -> None:
        """A polygon on the right side and its mirror image on the left."""
        self.polygon(points, colour)
        paints = colour if isinstance(colour[0], (int, float)) else list(colour)[::-1]
        self.polygon([(-x, y, z) for x, y, z in reversed(points)], paints)  # type: ignore[arg-type]

    def box(
        self, low: Point, high: Point, colour: Rgb, *, top: tuple[float, float] = (1.0, 1.0), shift_y: float = 0.0
    ) -> None:
        """An upright box. top: size of its top as shares of its bottom in x and y; shift_y moves the top."""
        (x0, y0, z0), (x1, y1, z1) = low, high
        cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
        lower = [(x0, y0, z0), (x1, y0, z0), (x1, y1, z0), (x0, y1, z0)]
        upper = [(cx + (x - cx) * top[0], cy + (y - cy) * top[1] + shift_y, z1) for x, y, _ in lower]
        for i in range(4):
            j = (i + 1) % 4
            self.polygon([lower[i], lower[j], upper[j], upper[i]], colour)
        self.polygon(upper, colour)
        self.polygon(lower[::-1], mixed(colour, (20, 20, 20), 0.5))

    def two_boxes(self, low: Point, high: Point, colour: Rgb) -> None:
        """A box on the right side and its mirror image."""
        self.box(low, high, colour)
        self.box((-high[0], low[1], low[2]), (-low[0], high[1], high[2]), colour)

    def sheet(self, rows: Array, colours: Array) -> None:
        """A surface through (r, c, 3) points, outside seen with rows upward, columns rightward; (r-1, c-1, 3) colours."""
        for i in range(rows.shape[0] - 1):
            for j in range(rows.shape[1] - 1):
                r, g, b = colours[i, j]
                self.polygon(
                    np.array([rows[i, j], rows[i, j + 1], rows[i + 1, j + 1], rows[i + 1, j]]),
                    (float(r), float(g), float(b)),
                )

    def tube(self, path: Sequence[Point], radius: float | Sequence[float], colour: Rgb, sides: int = 6) -> None:
        """A pipe along a path."""
        at = np.asarray(path, float)
        radii = np.broadcast_to(np.asarray(radius, float), (len(at),))
        rings = []
        for k in range(len(at)):
            ahead = at[min(k + 1, len(at) - 1)] - at[max(k - 1, 0)]
            ahead = ahead / max(float(np.linalg.norm(ahead)), 1e-9)
            across = np.cross(ahead, [0.0, 0.0, 1.0] if abs(ahead[2]) < 0.9 else [0.0, 1.0, 0.0])
            across /= np.linalg.norm(across)
            other = np.cross(across, ahead)
            angle = np.arange(sides) * 2 * np.pi / sides
            rings.append(at[k] + radii[k] * (np.cos(angle)[:, None] * across + np.sin(angle)[:, None] * other))
        for k in range(len(at) - 1):
            for i in range(sides):
                j = (i + 1) % sides
                self.polygon(np.array([rings[k][i], rings[k][j], rings[k + 1][j], rings[k + 1][i]]), colour)
        self.polygon(rings[0][::-1], colour)
        self.polygon(rings[-1], colour)

    def wheel(
        self, x: float, y: float, radius: float, width: float, hub: Rgb, *, sides: int = 16, tyre: Rgb = (28, 28, 29)
    ) -> None:
        """A wheel that stands on the ground, its outer face at x, away from the middle."""
        out = 1.0 if x > 0 else -1.0
        angle = np.arange(sides) * 2 * np.pi / sides
        unit = np.stack([np.zeros(sides), np.cos(angle), np.sin(angle)], axis=1)
        middle = np.array([x, y, radius])
        inside = middle - [out * width, 0.0, 0.0]
        rim, cap = 0.62 * radius, 0.20 * radius
        for i in range(sides):
            j = (i + 1) % sides if out > 0 else (i - 1) % sides
            a, b = unit[i], unit[j]
            self.polygon(
                np.array([inside + radius * a, inside + radius * b, middle + radius * b, middle + radius * a])[::-1], tyre
            )
            self.polygon(
                np.array([middle + radius * a, middle + radius * b, middle + rim * b, middle + rim * a])[::-1], tyre
            )
            dish = middle - [out * 0.02, 0.0, 0.0]
            spoke = hub if i % 2 == 0 else mixed(hub, (35, 35, 36), 0.55)
            self.polygon(np.array([middle + rim * a, middle + rim * b, dish + cap * b, dish + cap * a])[::-1], spoke)
            self.polygon(np.array([dish + cap * a, dish + cap * b, dish])[::-1], mixed(hub, (60, 60, 60), 0.4))

    def ring(self, y: float, radius: float, thickness: float, colour: Rgb, sides: int = 18, x: float = 0.0) -> None:
        """A thin wheel in the middle plane: the tyre alone."""
        angle = np.arange(sides + 1) * 2 * np.pi / sides
        path = [
            (x, y + (radius - thickness) * float(np.cos(a)), radius + (radius - thickness) * float(np.sin(a))) for a in angle
        ]
        self.tube(path, thickness, colour, 6)

    def disc(self, x: float, y: float, z: float, radius: float, colour: Rgb, sides: int = 14, lowest: float = -1e9) -> None:
        """A disc that faces away from the middle plane, cut off below lowest."""
        out = 1.0 if x > 0 else -1.0
        angle = np.arange(sides) * (2 * np.pi / sides) * out
        self.polygon([(x, y + radius * float(np.cos(a)), max(z + radius * float(np.sin(a)), lowest)) for a in angle], colour)

    def picture(self, corners: Sequence[Point], uv: tuple[float, float, float, float]) -> None:
        """A part of the texture (left, top, right, bottom) on a rectangle: from bottom left, anticlockwise."""
        left, top, right, bottom = uv
        self.polygon(corners, (255, 255, 255), [(left, bottom), (right, bottom), (right, top), (left, top)])

    def finish(self, texture: npt.NDArray[np.uint8] | None = None) -> Mesh:
        """The mesh; normals are shared across edges flatter than CREASE_DEG."""
        at, colours, uv = np.array(self._corners), np.array(self._colours), np.array(self._uv)
        area = np.cross(at[:, 1] - at[:, 0], at[:, 2] - at[:, 0])
        size = np.linalg.norm(area, axis=1)
        kept = size > 1e-9
        at, colours, uv, area, size = at[kept], colours[kept], uv[kept], area[kept], size[kept]
        unit = area / size[:, None]
        _, place = np.unique(np.round(at.reshape(-1, 3) / SAME_PLACE_M).astype(np.int64), axis=0, return_inverse=True)
        place = place.reshape(-1)
        face = np.repeat(np.arange(len(at)), 3)
        order = np.argsort(place, kind="stable")
        bounds = np.flatnonzero(np.diff(place[order])) + 1
        normals = np.empty((3 * len(at), 3))
        flat = np.cos(np.radians(CREASE_DEG))
        for corners in np.split(order, bounds):
            faces = face[corners]
            together = unit[faces] @ unit[faces].T > flat
            normals[corners] = together @ area[faces]
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        return Mesh(
            vertices=at.reshape(-1, 3).astype(np.float32),
            triangles=np.arange(3 * len(at)).reshape(-1, 3).astype(np.int32),
            colours=np.clip(colours.reshape(-1, 3)[:, ::-1], 0, 255).astype(np.uint8),
            normals=normals.astype(np.float32),
            uv=uv.reshape(-1, 2).astype(np.float32) if texture is not None else None,
            texture=texture,
        )
