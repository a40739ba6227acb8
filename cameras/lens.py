"""A lens: from a direction in the camera's own axes to a pixel, and back.

Camera axes: x right, y down, z forward. Ideal coordinates are x/z, y/z. Pixels count from the top left corner; the centre of
the first pixel is (0, 0), as in OpenCV.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array

NEWTON_STEPS = 12               # quadratic from a start that is close: half of these suffice for any real lens
NO_TERM = 1e-9                  # a coefficient that bends nothing within any field of view
IDEAL_TOLERANCE = 1e-9          # 1e-6 px at 1000 px focal length


@dataclass(frozen=True, slots=True)
class Lens:
    """Pinhole with Brown-Conrady distortion, in OpenCV's order and meaning (k1, k2, p1, p2, k3).

    fx, fy, cx, cy: pixels, for a picture of width_px by height_px.
    Brown (1966), "Decentering distortion of lenses"; the form is that of OpenCV's calib3d.
    """

    width_px: int
    height_px: int
    fx: float
    fy: float
    cx: float
    cy: float
    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0

    @property
    def matrix(self) -> Array:
        """(3, 3) as OpenCV's cameraMatrix."""
        return np.array([[self.fx, 0.0, self.cx], [0.0, self.fy, self.cy], [0.0, 0.0, 1.0]])

    @property
    def distortion(self) -> Array:
        """(5,) as OpenCV's distCoeffs."""
        return np.array([self.k1, self.k2, self.p1, self.p2, self.k3])

    @property
    def bends(self) -> bool:
        """Whether there is any distortion."""
        return (self.k1, self.k2, self.p1, self.p2, self.k3) != (0.0, 0.0, 0.0, 0.0, 0.0)

    def to_pixels(self, ideal: npt.ArrayLike) -> Array:
        """(n, 2) ideal coordinates to (n, 2) pixels; NaN where the distortion would fold the direction back inwards."""
        at = np.atleast_2d(np.asarray(ideal, float))
        distorted = self._distorted(at)
        distorted[(at**2).sum(axis=1) >= _fold_radius_squared(self)] = np.nan
        return distorted * [self.fx, self.fy] + [self.cx, self.cy]

    def to_ideal(self, pixels: npt.ArrayLike) -> Array:
        """(n, 2) pixels to (n, 2) ideal coordinates, by Newton's method; NaN where no direction reaches the pixel."""
        wanted = (np.atleast_2d(np.asarray(pixels, float)) - [self.cx, self.cy]) / [self.fx, self.fy]
        if not self.bends:
            return wanted
        fold = _fold_radius_squared(self)
        at = wanted.copy()
        # Start inside the fold: outside it Newton walks away from the root that exists.
        radius_squared = (at**2).sum(axis=1)
        too_far = radius_squared > 0.9 * fold
        at[too_far] *= np.sqrt(0.9 * fold / radius_squared[too_far])[:, None]
        with np.errstate(all="ignore"):
            for _ in range(NEWTON_STEPS):
                error = self._distorted(at) - wanted
                if np.nanmax(np.abs(error), initial=0.0) < IDEAL_TOLERANCE / 10:
                    break
                at = at - self._newton_step(at, error)
            missed = ~(np.abs(self._distorted(at) - wanted).max(axis=1) < IDEAL_TOLERANCE)
        missed |= ~((at**2).sum(axis=1) < fold)
        at[missed] = np.nan
        return at

    def to_ideal_with_slopes(self, pixels: npt.ArrayLike) -> tuple[Array, Array]:
        """to_ideal, and (n, 2, 2) by how much its x and y (rows) change with a pixel to the right and one down (columns)."""
        ideal = self.to_ideal(pixels)
        slopes = np.zeros((len(ideal), 2, 2))
        slopes[:, 0, 0], slopes[:, 1, 1] = 1.0 / self.fx, 1.0 / self.fy
        if self.bends:
            with np.errstate(all="ignore"):
                slopes[:, :, 0] = self._newton_step(ideal, slopes[:, :, 0])
                slopes[:, :, 1] = self._newton_step(ideal, slopes[:, :, 1])
        return ideal, slopes

    def scaled(self, width_px: int, height_px: int) -> Lens:
        """The same lens for the same picture in another resolution."""
        a, b = width_px / self.width_px, height_px / self.height_px
        return replace(
            self, width_px=width_px, height_px=height_px,
            fx=self.fx * a, fy=self.fy * b, cx=(self.cx + 0.5) * a - 0.5, cy=(self.cy + 0.5) * b - 0.5,
        )

    def holds(self, pixels: npt.ArrayLike, margin_px: float = 0.0) -> npt.NDArray[np.bool_]:
        """(n,) whether pixels lie in the picture, widened by margin_px."""
        p = np.atleast_2d(np.asarray(pixels, float))
        low, high = -0.5 - margin_px, np.array([self.width_px, self.height_px]) - 0.5 + margin_px
        return np.asarray(((p >= low) & (p <= high)).all(axis=1))

    def _distorted(self, at: Array) -> Array:
        x, y = at[:, 0], at[:, 1]
        r2 = x * x + y * y
        radial = 1.0 + r2 * (self.k1 + r2 * (self.k2 + r2 * self.k3))
        return np.column_stack([
            x * radial + 2.0 * self.p1 * x * y + self.p2 * (r2 + 2.0 * x * x),
            y * radial + self.p1 * (r2 + 2.0 * y * y) + 2.0 * self.p2 * x * y,
        ])

    def _newton_step(self, at: Array, error: Array) -> Array:
        """Inverse of the Jacobian of _distorted times the error, two by two."""
        x, y = at[:, 0], at[:, 1]
        r2 = x * x + y * y
        radial = 1.0 + r2 * (self.k1 + r2 * (self.k2 + r2 * self.k3))
        slope = 2.0 * (self.k1 + r2 * (2.0 * self.k2 + r2 * 3.0 * self.k3))        # d radial / d r2, times 2
        xx = radial + slope * x * x + 2.0 * self.p1 * y + 6.0 * self.p2 * x
        xy = slope * x * y + 2.0 * self.p1 * x + 2.0 * self.p2 * y
        yy = radial + slope * y * y + 6.0 * self.p1 * y + 2.0 * self.p2 * x
        det = xx * yy - xy * xy
        return np.column_stack([(yy * error[:, 0] - xy * error[:, 1]) / det, (xx * error[:, 1] - xy * error[:, 0]) / det])


@lru_cache(maxsize=64)
def _fold_radius_squared(lens: Lens) -> float:
    """Square of the ideal radius where radial distortion stops growing; beyond it two directions share a pixel."""
    terms = [7.0 * lens.k3, 5.0 * lens.k2, 3.0 * lens.k1]
    roots = np.roots([*(0.0 if abs(t) < NO_TERM else t for t in terms), 1.0])
    real = roots[np.abs(roots.imag) < 1e-12].real
    return float(min(real[real > 0], default=np.inf))
