"""A constant-velocity Kalman filter in the plane, for one contact.

State: east, north in metres and east, north in metres a second. The model is white-noise acceleration (Bar-Shalom, Li,
Kirubarajan, "Estimation with Applications to Tracking and Navigation", 2001, 6.2.2): over dt seconds each axis gains
intensity * [[dt^3/3, dt^2/2], [dt^2/2, dt]].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
_IDENTITY = np.eye(4)


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


def begin(position_m: Array, covariance_m2: Array, at_ns: int, motion: Motion) -> Estimate:
    """An estimate from the first measurement alone: (2,) and (2, 2)."""
    covariance = np.zeros((4, 4))
    covariance[:2, :2] = covariance_m2
    covariance[2, 2] = covariance[3, 3] = motion.speed_sigma_m_s**2
    return Estimate(np.concatenate([position_m, np.zeros(2)]), covariance, at_ns)


def predict(estimate: Estimate, at_ns: int, motion: Motion) -> Estimate:
    """The estimate at a later time; unchanged when at_ns is not later."""
    dt = (at_ns - estimate.at_ns) / 1e9
    if dt <= 0:
        return estimate
    step = _step(dt)
    covariance = step @ estimate.covariance @ step.T + _noise(dt, motion.intensity)
    return Estimate(step @ estimate.mean, covariance, at_ns)


def update(estimate: Estimate, position_m: Array, covariance_m2: Array) -> Estimate:
    """Take a measurement of the position at the estimate's own time. Joseph form, so that it stays positive definite."""
    return _correct(estimate, _IDENTITY[:2], position_m, covariance_m2)


def update_late(estimate: Estimate, position_m: Array, covariance_m2: Array, at_ns: int, motion: Motion) -> Estimate:
    """Take a measurement that is older than the estimate, without going back.

    The measurement is of where the object was: position minus velocity times the delay, plus the motion's own noise over
    that delay. The correlation of that noise with the estimate is left out (the simplest of the one-step solutions in
    Bar-Shalom, "Update with out-of-sequence measurements", 2002); within a second that is a few per cent of the covariance.
    """
    delay_s = (estimate.at_ns - at_ns) / 1e9
    measures = _step(-delay_s)[:2]
    return _correct(estimate, measures, position_m, covariance_m2 + _noise(delay_s, motion.intensity)[:2, :2])


def place_at(estimate: Estimate, at_ns: int, motion: Motion) -> tuple[Array, Array]:
    """Position (2,) and covariance (2, 2) at another time, later or a little earlier."""
    dt = (at_ns - estimate.at_ns) / 1e9
    step = _step(dt)
    covariance = step @ estimate.covariance @ step.T + _noise(abs(dt), motion.intensity)
    mean = step @ estimate.mean
    return mean[:2], covariance[:2, :2]


def _correct(estimate: Estimate, measures: Array, position_m: Array, covariance_m2: Array) -> Estimate:
    innovation_covariance = measures @ estimate.covariance @ measures.T + covariance_m2
    gain = np.linalg.solve(innovation_covariance, measures @ estimate.covariance).T
    mean = estimate.mean + gain @ (position_m - measures @ estimate.mean)
    keep = _IDENTITY - gain @ measures
    covariance = keep @ estimate.covariance @ keep.T + gain @ covariance_m2 @ gain.T
    return Estimate(mean, (covariance + covariance.T) / 2.0, estimate.at_ns)


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
