"""The border line, which side is ours, and how far away it is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

from geofences.geodesy import Array


@dataclass(frozen=True, slots=True)
class BorderLine:
    """A border line in a LocalFrame.

    line: east, north in metres. own_side: the part of the sector's box that is ours.
    advisory: not the agency's own file; a live launch is refused on it. source, as_of: where it is from, and its date.
    """

    line: BaseGeometry
    own_side: BaseGeometry
    advisory: bool
    source: str
    as_of: str

    def signed_distance_m(self, enu_m: npt.ArrayLike) -> Array:
        """(n, 2) east, north to (n,) metres from the line; positive on our side, negative beyond it."""
        points = shapely.points(np.atleast_2d(np.asarray(enu_m, float)))
        distance = shapely.distance(points, self.line)
        return np.where(shapely.intersects(points, self.own_side), distance, -distance)


def split_sides(line: BaseGeometry, box: BaseGeometry, own_point_enu_m: tuple[float, float]) -> BaseGeometry:
    """The part of `box` on the same side of `line` as a point that is surely ours.

    The line must cut the box; a line that ends inside it does not tell sides apart, and raises ValueError.
    """
    faces = list(shapely.get_parts(shapely.polygonize([shapely.node(shapely.union_all([line, box.boundary]))])))
    faces = [p for f in faces for p in shapely.get_parts(f)]
    if len(faces) < 2:
        raise ValueError("the border line does not cut the sector's box in two; it must enter and leave it")
    own = shapely.Point(own_point_enu_m)
    ours = [f for f in faces if f.contains(own)]
    if not ours:
        raise ValueError("the point said to be on our own side lies outside the sector's box, or on the line")
    # Faces touch the line from alternating sides: walk from ours across every shared stretch of the line.
    sides: dict[int, bool] = {faces.index(ours[0]): True}
    queue = [faces.index(ours[0])]
    while queue:
        i = queue.pop()
        for j, other in enumerate(faces):
            if j not in sides and faces[i].intersection(other).length > 0:
                sides[j] = not sides[i]
                queue.append(j)
    return shapely.union_all([faces[i] for i, is_ours in sides.items() if is_ours])
