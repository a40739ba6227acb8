"""What each sensor does wrong again and again: its offset, learned from contacts that two sensors share.

A camera whose pose is surveyed a tenth of a degree wrong places everything wrongly, the same way in the same direction and
more so the farther it looks. The covariance that comes with a detection says how much each way: its lower Cholesky factor,
turned so that the first axis points away from the sensor, is the lever. An offset is two numbers, in units of the lever,
which begin at 0 with a deviation of 1. What is not offset is noise of the single measurement; the share of either is learned
for each sensor and axis from how its own measurements scatter about a straight line.

Two sensors that see one contact differ by both their offsets, wherever the contact is: the difference of their
measurements is a measurement of the offsets that needs no track (Lin, Kirubarajan & Bar-Shalom, "Exact multisensor dynamic
bias estimation with local tracks", 2004). All offsets stand in one Kalman filter: what all sensors have in common no
difference can show, and its covariance keeps that. Offsets fade towards 0 (Gauss-Markov):
slowly for what stands, soon for what flies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt

from station.fusion_filter import FLOOR_M2, inverse2
from station.kalman import Array

FADES_S = 600.0             # of a surveyed mast: wind, heat, and where people walk just now
FADES_FLYING_S = 20.0       # of a drone: what GNSS receivers and attitude estimates wander in
NOISE_SHARE = 0.4           # of a measurement's variance that is its own noise, before the sensor has shown it ...
NOISE_SHARE_WEIGHT = 10.0   # ... and how many samples that assumption is worth
SHARE_LIMITS = (0.01, 0.95)
SAMPLES_LIMIT = 400.0       # older ones fade, so that rain may come
# Deviation of an offset between one place and another: the terrain's error is not one number. Samples of a second apart are
# of the same place, so many of them weigh as one.
PLACES_DIFFER = 0.5
SAMPLES_OF_A_PLACE = 3.0
OUTLIER = 18.4              # square of 2 degrees of freedom, 1 in 10,000: not the same object, or the camera was moved
OUTLIERS_IN_A_ROW = 10      # then it was the camera
NOBODY = 0                  # index of no sensor: known and zero


class OffsetsState(msgspec.Struct):
    """As it stands in mind.db. mean: 2 a sensor. covariance: the rows of its lower triangle, one after the other."""

    sensors: list[str] = []
    mean: list[float] = []
    covariance: list[float] = []
    share: list[tuple[float, float]] = []
    samples: list[float] = []
    at_ns: list[int] = []
    flying: list[bool] = []


@dataclass(frozen=True, slots=True)
class Offset:
    """How far a sensor is thought to place things wrongly, at its newest detection. Metres, east and north; one sigma."""

    east_m: float
    north_m: float
    sigma_m: float


class Offsets:
    """All sensors' offsets, jointly. Sensors are known by index; `index` makes one."""

    def __init__(self, state: OffsetsState | None = None) -> None:
        self._of: dict[str, int] = {}
        self.mean = np.zeros(2)
        self.covariance = np.zeros((2, 2))
        self._share = np.full((1, 2), NOISE_SHARE)
        self._samples = [0.0]
        self._at_ns = [0]
        self._flying = [False]
        self._outliers = [0]
        self._newest: dict[int, Array] = {}         # lever of the newest detection
        if state is not None:
            self._recall(state)

    def index(self, sensor: str, at_ns: int, flying: bool = False) -> int:
        """The sensor's number, and its offset brought to a time. Times that run back change nothing."""
        k = self._of.get(sensor)
        if k is None:
            return self._add(sensor, at_ns, flying)
        self._flying[k] = flying
        dt_s = (at_ns - self._at_ns[k]) / 1e9
        if dt_s >= 1.0:
            self._at_ns[k] = at_ns
            fades = math.exp(-dt_s / (FADES_FLYING_S if flying else FADES_S))
            mine = slice(2 * k, 2 * k + 2)
            self.mean[mine] *= fades
            self.covariance[mine, :] *= fades
            self.covariance[:, mine] *= fades
            self.covariance[mine, mine] += np.eye(2) * (1.0 - fades**2)
        return k

    @property
    def count(self) -> int:
        """How many sensors it knows."""
        return len(self._of)

    def knows(self, sensor: str) -> int:
        return self._of.get(sensor, NOBODY)

    def split(
        self, k: int, places_m: Array, covariances_m2: Array, from_m: tuple[float, float] | None
    ) -> tuple[Array, Array]:
        """(n, 2, 2) levers and (n, 2, 2) own noise of a sensor's measurements. from_m: where it stands, if that is known."""
        turn = np.zeros((len(places_m), 2, 2))
        if from_m is None:
            turn[:, 0, 0] = turn[:, 1, 1] = 1.0
        else:
            away = places_m - np.array(from_m)
            length = np.maximum(np.hypot(away[:, 0], away[:, 1]), 1e-9)
            cos, sin = away[:, 0] / length, away[:, 1] / length
            turn[:, 0, 0], turn[:, 0, 1], turn[:, 1, 0], turn[:, 1, 1] = cos, -sin, sin, cos
        c = turn.swapaxes(1, 2) @ covariances_m2 @ turn
        factor = np.zeros_like(c)
        factor[:, 0, 0] = np.sqrt(c[:, 0, 0])
        factor[:, 1, 0] = c[:, 0, 1] / factor[:, 0, 0]
        factor[:, 1, 1] = np.sqrt(np.maximum(c[:, 1, 1] - factor[:, 1, 0] ** 2, FLOOR_M2))
        factor = turn @ factor
        share = self._share[k]
        noise = (factor * share) @ factor.swapaxes(1, 2)
        noise[:, 0, 0] += FLOOR_M2
        noise[:, 1, 1] += FLOOR_M2
        lever = factor * np.sqrt(np.maximum(1.0 - share, 0.0))
        self._newest[k] = lever[-1]
        return lever, noise

    def whole(self, k: int, lever_m: Array) -> Array:
        """(2, 2): a factor of the whole covariance, offset and noise, of a measurement with that lever."""
        factor: Array = lever_m / np.sqrt(1.0 - self._share[k])
        return factor

    def mean_of(self, k: int) -> Array:
        mine: Array = self.mean[2 * k : 2 * k + 2]
        return mine

    def block(self, indices: npt.NDArray[np.int64]) -> Array:
        """(n, 2 s, 2 s) covariances of the offsets of (n, s) sensors; each sensor at most once in a row."""
        wide = (2 * indices[..., None] + np.arange(2)).reshape(len(indices), -1)
        found: Array = self.covariance[wide[:, :, None], wide[:, None, :]]
        at = np.arange(wide.shape[1])
        found[:, at, at] += np.where(wide > 1, PLACES_DIFFER**2, 0.0)
        return found

    # ------------------------------------------------------------------------------------------------------ learning

    def note_scatter(self, k: int, square: Array, factor: float) -> None:
        """A sensor's third position beside the line of the two before it: (2,) squares in units of its lever's whole
        deviation, of which `factor` times the noise's share was to be expected.
        """
        weight = NOISE_SHARE_WEIGHT + self._samples[k]
        self._samples[k] = min(self._samples[k] + 1.0, SAMPLES_LIMIT)
        # One wrong pairing must not undo a hundred good ones.
        sample = np.minimum(square / factor, 9.0 * self._share[k] + 0.1)
        self._share[k] = np.clip(self._share[k] + (sample - self._share[k]) / (weight + 1.0), *SHARE_LIMITS)

    def learn(self, a: int, lever_a: Array, b: int, lever_b: Array, differ_m: Array, noise_m2: Array) -> bool:
        """One object, seen at one moment by a and b, `differ_m` (2,) apart (b's place minus a's), with (2, 2) noise.

        Returns whether it was believed. Too far apart, ten times in a row: somebody has moved a camera, and both begin anew.
        """
        at = np.array([2 * a, 2 * a + 1, 2 * b, 2 * b + 1])
        measures = np.hstack([-lever_a, lever_b])
        spread = self.covariance[:, at] @ measures.T
        s = measures @ spread[at] + noise_m2 + (lever_a @ lever_a.T + lever_b @ lever_b.T) * (
            SAMPLES_OF_A_PLACE * PLACES_DIFFER**2
        )
        inverse, _ = inverse2(s)
        innovation = differ_m - measures @ self.mean[at]
        if float(innovation @ inverse @ innovation) > OUTLIER:
            for k in (a, b):
                self._outliers[k] += 1
            if min(self._outliers[a], self._outliers[b]) >= OUTLIERS_IN_A_ROW:
                self._begin_anew(a)
                self._begin_anew(b)
            return False
        self._outliers[a] = self._outliers[b] = 0
        gain = spread @ inverse
        self.mean += gain @ innovation
        self.covariance -= gain @ spread.T
        self.covariance = (self.covariance + self.covariance.T) / 2.0
        return True

    def shown(self, sensor: str) -> Offset | None:
        """What a person may see of it; None before two sensors have shared anything."""
        k = self._of.get(sensor, NOBODY)
        lever = self._newest.get(k)
        if lever is None or not self.mean_of(k).any():
            return None
        east, north = lever @ self.mean_of(k)
        covariance = lever @ self.covariance[2 * k : 2 * k + 2, 2 * k : 2 * k + 2] @ lever.T
        return Offset(round(float(east), 2), round(float(north), 2), round(math.sqrt(float(np.trace(covariance))), 2))

    # ---------------------------------------------------------------------------------------------------------- disk

    def to_state(self) -> OffsetsState:
        lower = np.tril_indices(len(self.mean) - 2)
        return OffsetsState(
            list(self._of), self.mean[2:].tolist(), self.covariance[2:, 2:][lower].tolist(),
            [(float(a), float(b)) for a, b in self._share[1:]], self._samples[1:], self._at_ns[1:], self._flying[1:],
        )

    def _recall(self, s: OffsetsState) -> None:
        for sensor, at_ns, flying in zip(s.sensors, s.at_ns, s.flying, strict=True):
            self._add(sensor, at_ns, flying)
        n = 2 * len(s.sensors)
        lower = np.zeros((n, n))
        lower[np.tril_indices(n)] = s.covariance
        self.mean[2:] = s.mean
        self.covariance[2:, 2:] = lower + lower.T - np.diag(np.diag(lower))
        self._share[1:] = np.array(s.share).reshape(-1, 2)
        self._samples[1:] = s.samples

    def _add(self, sensor: str, at_ns: int, flying: bool) -> int:
        k = self._of[sensor] = len(self._of) + 1
        wider = np.zeros((2 * k + 2, 2 * k + 2))
        wider[: 2 * k, : 2 * k] = self.covariance
        wider[2 * k :, 2 * k :] = np.eye(2)
        self.covariance = wider
        self.mean = np.concatenate([self.mean, np.zeros(2)])
        self._share = np.vstack([self._share, [NOISE_SHARE, NOISE_SHARE]])
        self._samples.append(0.0)
        self._at_ns.append(at_ns)
        self._flying.append(flying)
        self._outliers.append(0)
        return k

    def _begin_anew(self, k: int) -> None:
        mine = slice(2 * k, 2 * k + 2)
        self.mean[mine] = 0.0
        self.covariance[mine, :] = 0.0
        self.covariance[:, mine] = 0.0
        self.covariance[mine, mine] = np.eye(2)
        self._outliers[k] = 0
