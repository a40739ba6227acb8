"""Where one contact was or will be: an estimate, carried through time. What is measured is taken by fusion_filter.

State: east, north in metres and east, north in metres a second. The model is white-noise acceleration (Bar-Shalom, Li,
Kirubarajan, "Estimation with Applications to Tracking and Navigation", 2001, 6.2.2): over dt seconds each axis gains
intensity * [[dt^3/3, dt^2/2], [dt^2/2, dt]].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Motion:
    """How an object moves.

    intensity: of the white-noise acceleration, m^2/s^3. speed_sigma_m_s: of its speed before it was seen to move.
    """

    intensity: float
    speed_sigma_m_s: float


@dataclass(frozen=True, slots=True)
class Estimate:
    """mean: (4,) metres, metres a second. covariance: (4, 4). at_ns: UTC."""

    mean: Array
    covariance: Array
    at_ns: int


def predict(estimate: Estimate, at_ns: int, motion: Motion) -> Estimate:
    """The estimate at a later time; unchanged when at_ns is not later."""
    dt = (at_ns - estimate.at_ns) / 1e9
    if dt <= 0:
        return estimate
    step = _step(dt)
    covariance = step @ estimate.covariance @ step.T + _noise(dt, motion.intensity)
    return Estimate(step @ estimate.mean, covariance, at_ns)


def place_at(estimate: Estimate, at_ns: int, motion: Motion) -> tuple[Array, Array]:
    """Position (2,) and covariance (2, 2) at another time, later or a little earlier."""
    dt = (at_ns - estimate.at_ns) / 1e9
    step = _step(dt)
    covariance = step @ estimate.covariance @ step.T + _noise(abs(dt), motion.intensity)
    mean = step @ estimate.mean
    return mean[:2], covariance[:2, :2]


def _step(dt: float) -> Array:
    step = np.eye(4)
    step[0, 2] = step[1, 3] = dt
    return step


def _noise(dt: float, intensity: float) -> Array:
    cubic, square = intensity * dt**3 / 3.0, intensity * dt**2 / 2.0
    noise = np.zeros((4, 4))
    noise[0, 0] = noise[1, 1] = cubic
    noise[0, 2] = noise[2, 0] = noise[1, 3] = noise[3, 1] = square
    noise[2, 2] = noise[3, 3] = intensity * dt
    return noise
