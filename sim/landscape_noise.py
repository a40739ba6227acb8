"""Smooth random fields over a grid, the same for the same seed on every machine.

A lattice of normal numbers, one to each `wavelength`, is joined by cubic B-splines: twice differentiable, so that slopes and
light on them have no creases. Plain sums of products in a fixed order, hence no dependence on a BLAS or on SIMD.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from geofences.geodesy import Array


def spline_rows(at: npt.NDArray[np.floating[Any]], count: int) -> sp.csr_array:
    """Uniform cubic B-spline weights of `count` lattice values at positions `at` (n,), in lattice steps; (n, count) sparse.

    Prautzsch, Boehm and Paluszny (2002), "Bezier and B-Spline Techniques", 5.3; values beyond the ends repeat the end.
    """
    cell = np.floor(at).astype(int)
    f = at - cell
    weights = np.stack([(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3], axis=1) / 6.0
    columns = np.clip(cell[:, None] + np.arange(-1, 3), 0, count - 1)
    rows = np.repeat(np.arange(len(at)), 4)
    return sp.csr_array((weights.ravel(), (rows, columns.ravel())), shape=(len(at), count))


def smooth_noise(shape: tuple[int, int], step_m: float, wavelength_m: float, rng: np.random.Generator) -> Array:
    """(rows, columns) of about zero mean and unit deviation that changes over `wavelength_m`; posts are step_m apart."""
    rows, columns = (int(n * step_m / wavelength_m) + 3 for n in shape)
    lattice = rng.standard_normal((rows, columns))
    down = spline_rows(np.arange(shape[0]) * step_m / wavelength_m + 1.0, rows)
    across = spline_rows(np.arange(shape[1]) * step_m / wavelength_m + 1.0, columns)
    # The spline averages its lattice; 0.47 squared is the mean of the sum of squared weights, both ways.
    return np.asarray((down @ lattice) @ across.T, dtype=float) / 0.47


def resampled(field: Array, step_m: float, shape: tuple[int, int], fine_m: float) -> Array:
    """A field on posts step_m apart, read linearly on (rows, columns) posts fine_m apart that begin at the same corner."""

    def rows_of(n: int, count: int) -> sp.csr_array:
        at = np.minimum(np.arange(n) * fine_m / step_m, count - 1.0)
        cell = np.minimum(at.astype(int), count - 2)
        f = at - cell
        index = np.repeat(np.arange(n), 2)
        return sp.csr_array(
            (np.column_stack([1 - f, f]).ravel(), (index, np.column_stack([cell, cell + 1]).ravel())), shape=(n, count)
        )

    return np.asarray((rows_of(shape[0], field.shape[0]) @ field) @ rows_of(shape[1], field.shape[1]).T, dtype=float)
