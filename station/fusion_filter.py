"""The filter of many contacts at once: two models of motion, and errors that one sensor makes again and again.

Motion: interacting multiple models (Blom & Bar-Shalom, "The interacting multiple model algorithm for systems with Markovian
switching coefficients", 1988), both of constant velocity with white-noise acceleration: one for going on, one for turning,
stopping and starting.

Errors of a sensor: what it measures is place + lever @ offset + noise. The offset (two numbers, see fusion_bias) is the same
for all that the sensor sees, and is estimated elsewhere. Here each contact carries its sensitivity: by how much its estimate
moves when an offset's does (Friedland, "Treatment of bias in recursive filtering", 1969). With it the gain and the error
count what is not known of the offsets without their being estimated once more in each contact (Schmidt, "Application of
state-space methods to navigation problems", 1966: "consider" states). Two sensors that see the same walker have two errors;
one sensor that sees him a hundred times has one.

Shapes: n contacts, 2 models, state of 4 (east, north in metres; the same in metres a second), SLOTS sensors a contact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from station.kalman import Array

SLOTS = 4                           # sensors that a contact remembers the errors of; a fifth takes the place of the oldest
OFFSETS = 2 * SLOTS
BODY = 4 + 16 + 4 * OFFSETS         # numbers of one model
WIDTH = 2 * BODY + 2
FLOOR_M2 = 1e-4                     # of a measurement's own noise: nobody knows a foot to better than a centimetre
_CUBE, _SQUARE, _LINE = np.zeros((4, 4)), np.zeros((4, 4)), np.zeros((4, 4))
for _i in (0, 1):
    _CUBE[_i, _i] = 1.0 / 3.0
    _SQUARE[_i, _i + 2] = _SQUARE[_i + 2, _i] = 0.5
    _LINE[_i + 2, _i + 2] = 1.0


@dataclass(frozen=True, slots=True)
class Motions:
    """How a group of objects moves.

    intensity: of the white-noise acceleration while going on, and while manoeuvring, m^2/s^3. leave_per_s: how often either
    ends. speed_sigma_m_s: of a speed before it was seen.
    """

    intensity: tuple[float, float]
    leave_per_s: tuple[float, float]
    speed_sigma_m_s: float

    @property
    def usual(self) -> tuple[float, float]:
        """The shares of time that are spent in either model."""
        a, b = self.leave_per_s
        return b / (a + b), a / (a + b)

    @property
    def mean_intensity(self) -> float:
        return float(np.dot(self.usual, self.intensity))


@dataclass(frozen=True, slots=True)
class Measured:
    """n measurements, one a contact. place_m: (n, 2), freed of the offset as far as that is known. noise_m2: (n, 2, 2), its
    own. lever_m: (n, 2, 2), what one unit of the sensor's offset moves it by. slots: (n,) of the sensor in its contact.
    """

    place_m: Array
    noise_m2: Array
    lever_m: Array
    slots: npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Mixture:
    """What n contacts are believed to be, over both models. mean: (n, 4). covariance: (n, 4, 4), without the offsets' part.

    sensitivity: (n, 4, OFFSETS).
    """

    mean: Array
    covariance: Array
    sensitivity: Array

    def total(self, offsets: Array) -> Array:
        """(n, 4, 4): the whole covariance, where the offsets' own is (n, OFFSETS, OFFSETS)."""
        whole: Array = self.covariance + self.sensitivity @ offsets @ self.sensitivity.swapaxes(-1, -2)
        return whole


def begin(measured: Measured, motions: Motions) -> Array:
    """Rows (n, WIDTH) from a first measurement each."""
    n = len(measured.place_m)
    rows = np.zeros((n, WIDTH))
    rows[:, -2:] = motions.usual
    _, mean, covariance, sensitivity = _parts(rows)
    mean[:, :, :2] = measured.place_m[:, None]
    covariance[:, :, :2, :2] = measured.noise_m2[:, None]
    covariance[:, :, 2, 2] = covariance[:, :, 3, 3] = motions.speed_sigma_m_s**2
    sensitivity[:, :, :2, :] = -_spread(measured)[:, None]
    return rows


def advance(rows: Array, dt_s: Array, motions: Motions) -> Array:
    """The rows dt_s (n,) seconds later, 0 or more: the models mix, and each goes its way."""
    a, b = motions.leave_per_s
    stays = np.exp(-(a + b) * dt_s)
    chance = np.empty((len(rows), 2, 2))        # from model i to model j
    to_second, to_first = motions.usual[1] * (1.0 - stays), motions.usual[0] * (1.0 - stays)
    chance[:, 0, 0], chance[:, 0, 1], chance[:, 1, 0], chance[:, 1, 1] = 1 - to_second, to_second, to_first, 1 - to_first
    joint = rows[:, -2:, None] * chance
    shares = joint.sum(axis=1)
    weights = (joint / shares[:, None, :]).swapaxes(1, 2)      # (n, j, i)
    old = rows[:, :-2].reshape(-1, 2, BODY)
    out = np.empty_like(rows)
    out[:, -2:] = shares
    body, mean, covariance, sensitivity = _parts(out)
    np.matmul(weights, old, out=body)
    differ = old[:, 0, :4] - old[:, 1, :4]
    both = (weights[:, :, 0] * weights[:, :, 1])[..., None, None]
    covariance += both * (differ[:, None, :, None] * differ[:, None, None, :])
    dt = dt_s[:, None, None]
    mean[:, :, :2] += dt * mean[:, :, 2:]
    dt = dt[..., None]
    covariance[:, :, :2, :] += dt * covariance[:, :, 2:, :]
    covariance[:, :, :, :2] += dt * covariance[:, :, :, 2:]
    sensitivity[:, :, :2, :] += dt * sensitivity[:, :, 2:, :]
    grown = dt**3 * _CUBE + dt**2 * _SQUARE + dt * _LINE
    covariance += np.array(motions.intensity)[None, :, None, None] * grown
    return out


def correct(rows: Array, measured: Measured, offsets: Array) -> Array:
    """Take one measurement a row, at the rows' own time. offsets: (n, OFFSETS, OFFSETS), covariance of the sensors' offsets.

    The gain minimises the whole error, offsets included; the covariance is Joseph's form, which holds for any gain.
    """
    out = rows.copy()
    _, mean, covariance, sensitivity = _parts(out)
    lever = _spread(measured)[:, None]
    carried = sensitivity[:, :, :2] + lever                     # what the offsets do to the innovation
    shaped = carried @ offsets[:, None]
    noise = measured.noise_m2[:, None]
    s = covariance[:, :, :2, :2] + shaped @ carried.swapaxes(-1, -2) + noise
    inverse, det = inverse2(s)
    gain = (covariance[..., :2] + sensitivity @ shaped.swapaxes(-1, -2)) @ inverse
    innovation = measured.place_m[:, None] - mean[:, :, :2]
    pulled = inverse @ innovation[..., None]
    square = (innovation[:, :, None] @ pulled)[..., 0, 0]
    mean += (gain @ innovation[..., None])[..., 0]
    kept = covariance - gain @ covariance[..., :2, :]
    turned = gain.swapaxes(-1, -2)
    kept = kept - kept[..., :2] @ turned + gain @ noise @ turned
    covariance[:] = (kept + kept.swapaxes(-1, -2)) / 2.0
    sensitivity -= gain @ carried
    log = -0.5 * (square + np.log(det)) + np.log(np.maximum(out[:, -2:], 1e-12))
    likely = np.exp(log - log.max(axis=1, keepdims=True))
    out[:, -2:] = likely / likely.sum(axis=1, keepdims=True)
    return out


def mixture(rows: Array) -> Mixture:
    """Both models' estimates as one, with the spread between them."""
    body, mean, _, _ = _parts(rows)
    shares = rows[:, -2:]
    joined = (shares[:, None, :] @ body)[:, 0]
    differ = mean[:, 0] - mean[:, 1]
    both = (shares[:, 0] * shares[:, 1])[:, None, None]
    whole = joined[:, 4:20].reshape(-1, 4, 4) + both * (differ[:, :, None] * differ[:, None, :])
    return Mixture(joined[:, :4], whole, joined[:, 20:].reshape(-1, 4, OFFSETS))


def forget_slot(row: Array, slot: int, offset_covariance: Array) -> Array:
    """A row (WIDTH,) whose slot is free: what its sensor's offset, unsure by (2, 2), did to it is error like any now."""
    out = row.copy()
    _, _, covariance, sensitivity = _parts(out[None])
    part = sensitivity[..., 2 * slot : 2 * slot + 2]
    covariance += part @ offset_covariance @ part.swapaxes(-1, -2)
    part[:] = 0.0
    return out


def inverse2(s: Array) -> tuple[Array, Array]:
    """Inverses (..., 2, 2) of symmetric matrices of that shape, and their determinants (...)."""
    a, b, d = s[..., 0, 0], s[..., 0, 1], s[..., 1, 1]
    det = a * d - b * b
    inverse = np.empty_like(s)
    inverse[..., 0, 0], inverse[..., 1, 1] = d / det, a / det
    inverse[..., 0, 1] = inverse[..., 1, 0] = -b / det
    return inverse, det


def _spread(measured: Measured) -> Array:
    """(n, 2, OFFSETS): each lever in the place of its slot."""
    n = len(measured.place_m)
    wide = np.zeros((n, 2, SLOTS, 2))
    wide[np.arange(n), :, measured.slots] = measured.lever_m
    return wide.reshape(n, 2, OFFSETS)


def _parts(rows: Array) -> tuple[Array, Array, Array, Array]:
    """Views into rows, for an axis that is split needs no copy: (n, 2, BODY), and in it (n, 2, 4), (n, 2, 4, 4),
    (n, 2, 4, OFFSETS).
    """
    n = len(rows)
    body = rows[:, :-2].reshape(n, 2, BODY)
    return body, body[..., :4], body[..., 4:20].reshape(n, 2, 4, 4), body[..., 20:].reshape(n, 2, 4, OFFSETS)
