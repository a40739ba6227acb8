"""What a flight takes from a battery: learned from the battery's own telemetry, begun from what the settings say.

Per second, in percent of a full battery:  hover + drag * airspeed^3 + climb * rate of climb.  The three are estimated by
recursive least squares (Kay 1993, "Estimation Theory", 8.7), so that every answer comes with its error: of what is not known
yet, of what the model leaves out, and of a gauge that shows whole percents.

A cell gives less volts the emptier it is, and so more amperes for the same work: percents are counted as work, by a
straight discharge curve between FULL_V and EMPTY_V.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from geofences.geodesy import Array

FULL_V, EMPTY_V = 4.2, 3.45     # a LiPo cell's open circuit, straight between; its knee at the end lies in the reserve
DRAG_SHARE = 1.5e-4             # of hover, a (m/s)^3: a 2.5 kg copter with 320 W of hover and 0.045 W s3/m3 of drag
CLIMB_SHARE = 0.08              # of hover, a m/s: its weight
PRIOR_SIGMA = np.array([0.20, 1.0, 0.5])       # of hover, drag, climb, as shares: an endurance in a settings file is a claim
MODEL_SHARE = 0.04              # of every stretch: gusts, turns, what the three terms leave out
GAUGE_SIGMA = math.sqrt(1.0 / 6.0)      # percent, of the difference of two values that were rounded down to whole ones
LEARN_STEP = 4.0                # percent between two lessons: above the gauge's steps
CONTRADICTION_SIGMAS = 3.0      # a lesson farther off than this says that what was believed is worth less than was thought
AGEING_SHARE = 0.02             # a flight: a battery is not quite the one it was
SIGMAS = 2.0                    # of the error that a plan has to have in hand, beside the reserve


@dataclass(frozen=True, slots=True)
class Work:
    """What a stretch of flight asks for. cubed: the integral of the airspeed's cube over time, m3/s2."""

    seconds: float = 0.0
    cubed: float = 0.0
    climb_m: float = 0.0

    def __add__(self, other: Work) -> Work:
        return Work(self.seconds + other.seconds, self.cubed + other.cubed, self.climb_m + other.climb_m)

    @property
    def vector(self) -> Array:
        return np.array([self.seconds, self.cubed, self.climb_m])


def level(seconds: float, airspeed_m_s: float) -> Work:
    return Work(seconds, seconds * airspeed_m_s**3, 0.0)


@dataclass(frozen=True, slots=True)
class Need:
    """Percent of a full battery, and one sigma of it."""

    percent: float
    sigma_percent: float

    @property
    def surely_percent(self) -> float:
        return self.percent + SIGMAS * self.sigma_percent


class _Kept(msgspec.Struct, frozen=True):
    """A model in a file."""

    mean: list[float]
    covariance: list[list[float]]
    lessons: int


@dataclass(frozen=True, slots=True)
class EnergyModel:
    """mean: (3,) hover, drag, climb in percent of work. covariance: (3, 3). lessons: stretches it has learned from."""

    mean: Array
    covariance: Array
    lessons: int = 0

    @staticmethod
    def of_endurance(endurance_s: float) -> EnergyModel:
        """Before the first flight: what the settings claim, and little trust in it."""
        hover = 100.0 / endurance_s
        mean = hover * np.array([1.0, DRAG_SHARE, CLIMB_SHARE])
        return EnergyModel(mean, np.diag((mean * PRIOR_SIGMA) ** 2))

    def need(self, work: Work, charge_percent: float = 100.0) -> Need:
        """What this work takes from a battery that is so full. More than there is where it does not suffice."""
        x = work.vector
        taken = float(self.mean @ x)
        variance = float(x @ self.covariance @ x) + (MODEL_SHARE * taken) ** 2
        percent = charge_percent - percent_of(work_left(charge_percent) - taken)
        slope = max(0.5, _volts(max(0.0, charge_percent - percent)))
        return Need(percent, math.sqrt(variance) / slope)

    def learned(self, work: Work, before_percent: float, after_percent: float) -> EnergyModel:
        """After a stretch during which the charge fell from one value to the other. One that contradicts makes it doubt
        first: an endurance in a settings file may be wrong by far more than its sigma.
        """
        x = work.vector
        taken = work_left(before_percent) - work_left(after_percent)
        expected = float(self.mean @ x)
        noise = (MODEL_SHARE * max(taken, expected)) ** 2 + GAUGE_SIGMA**2
        doubt = (((taken - expected) / CONTRADICTION_SIGMAS) ** 2 - noise) / max(float(x @ self.covariance @ x), 1e-12)
        believed = self.covariance * max(1.0, doubt)
        spread = believed @ x
        gain = spread / (float(x @ spread) + noise)
        mean = self.mean + gain * (taken - expected)
        left = np.eye(3) - np.outer(gain, x)
        covariance = left @ believed @ left.T + noise * np.outer(gain, gain)     # Joseph's form stays positive
        return EnergyModel(np.maximum(mean, 0.0), covariance, self.lessons + 1)

    def aged(self) -> EnergyModel:
        """Between two flights."""
        return EnergyModel(self.mean, self.covariance + np.diag((AGEING_SHARE * self.mean) ** 2), self.lessons)

    def save(self, path: Path) -> None:
        fresh = path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.encode(_Kept(self.mean.tolist(), self.covariance.tolist(), self.lessons)))
        fresh.replace(path)

    @staticmethod
    def load(path: Path) -> EnergyModel | None:
        """What an earlier run has learned; None where there is nothing, or nothing that can be."""
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
        except (OSError, msgspec.MsgspecError):
            return None
        mean, covariance = np.asarray(kept.mean, float), np.asarray(kept.covariance, dtype=object)
        if mean.shape != (3,) or covariance.shape != (3, 3) or not (np.isfinite(mean).all() and (mean >= 0).all()):
            return None
        covariance = covariance.astype(float)
        if not np.isfinite(covariance).all() or mean[0] <= 0 or np.linalg.eigvalsh(covariance)[0] < 0:
            return None
        return EnergyModel(mean, covariance, kept.lessons)


class EnergyLearner:
    """Feeds a model from what a drone tells in flight: see() at every look, and `model` is what is known by then."""

    def __init__(self, model: EnergyModel) -> None:
        self.model = model
        self._lessons_before = model.lessons
        self._work = Work()
        self._since_percent: float | None = None
        self._last_s = self._height_m = math.nan

    @property
    def taught(self) -> bool:
        """Whether it has learned anything beyond what it began with."""
        return self.model.lessons > self._lessons_before

    def see(self, at_s: float, charge_percent: float, height_m: float, airspeed_m_s: float) -> None:
        """One look in the air. After a silence of more than two seconds the stretch begins anew."""
        gap_s = at_s - self._last_s
        if not 0.0 < gap_s <= 2.0 or self._since_percent is None:
            if gap_s != 0.0:
                self._begin(at_s, charge_percent, height_m)
            return
        climbed = max(0.0, height_m - self._height_m)
        self._work += Work(gap_s, gap_s * airspeed_m_s**3, climbed)
        self._last_s, self._height_m = at_s, height_m
        if charge_percent > self._since_percent:        # another battery, or a gauge that was set
            self._begin(at_s, charge_percent, height_m)
        elif self._since_percent - charge_percent >= LEARN_STEP:
            self.model = self.model.learned(self._work, self._since_percent, charge_percent)
            self._begin(at_s, charge_percent, height_m)

    def _begin(self, at_s: float, charge_percent: float, height_m: float) -> None:
        self._work, self._since_percent = Work(), charge_percent
        self._last_s, self._height_m = at_s, height_m


def _volts(percent: float) -> float:
    """Of a cell, as a share of its mean."""
    mean = (FULL_V + EMPTY_V) / 2.0
    return (EMPTY_V + (FULL_V - EMPTY_V) * percent / 100.0) / mean


def work_left(percent: float) -> float:
    """Of a charge, in percent of the work of a full battery."""
    return percent * (_volts(0.0) + _volts(percent)) / 2.0


def percent_of(work: float) -> float:
    """Inverse of work_left; below zero it goes on with the slope of an empty battery, so that a lack has a size."""
    empty = _volts(0.0)
    if work <= 0.0:
        return work / empty
    rise = (_volts(100.0) - empty) / 100.0
    return (-empty + math.sqrt(empty * empty + 2.0 * rise * work)) / rise
