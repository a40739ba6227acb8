"""Outlines prepared for many questions, for each thread its own.

GEOS keeps state in a prepared geometry while it answers (libgeos, issue 825), and shapely lets other threads run meanwhile:
two that ask the same one end the process, or are told what is not so.
"""

from __future__ import annotations

import threading
from typing import Any, TypeVar, overload

import numpy as np
import numpy.typing as npt
import shapely
from shapely.geometry.base import BaseGeometry

KEPT = 64               # of a thread; a sector has three and an array of strips, and a process knows one sector or two

Shape = TypeVar("Shape", bound=BaseGeometry)


class _Kept(threading.local):
    def __init__(self) -> None:
        self.by_id: dict[int, tuple[Any, Any]] = {}


_kept = _Kept()


@overload
def prepared(shapes: Shape) -> Shape: ...
@overload
def prepared(shapes: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]: ...
def prepared(shapes: Any) -> Any:
    """The same geometry, or array of geometries, prepared, for the thread that asks and no other.

    It is made at its first use in a thread and kept. The original stays as it is: nobody may prepare what threads share.
    """
    found = _kept.by_id.get(id(shapes))
    if found is None:
        if len(_kept.by_id) >= KEPT:
            del _kept.by_id[next(iter(_kept.by_id))]
        copy = shapely.from_wkb(shapely.to_wkb(shapes))
        shapely.prepare(copy)
        # With the original, so that no other object gets its id.
        found = _kept.by_id[id(shapes)] = (shapes, copy)
    return found[1]
