"""A turn in space, as a unit quaternion: what a drone's attitude needs, in plain numbers.

scipy.spatial.transform does the same, and costs every node 40 MB of resident memory; the tests hold this to it.
Formulas: Shoemake (1985), "Animating rotation with quaternion curves"; Diebel (2006), "Representing attitude", 5.6 and 6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from geofences.geodesy import Array

Quaternion = tuple[float, float, float, float]      # w, x, y, z, as MAVLink writes it

STILL = 1e-12                   # half of an angle, in radians, that is none


@dataclass(frozen=True, slots=True)
class Turn:
    """q: of length one; q and -q are the same turn. A product turns by its right factor first."""

    q: Quaternion

    @classmethod
    def of(cls, q: Sequence[float]) -> Turn:
        """From w, x, y, z of any length but nought. Raises ValueError for that, and for what is no number."""
        w, x, y, z = (float(v) for v in q)
        length = math.sqrt(w * w + x * x + y * y + z * z)
        if not 0.0 < length < math.inf:
            raise ValueError(f"{(w, x, y, z)} is no quaternion of a turn: its length is {length}")
        return cls((w / length, x / length, y / length, z / length))

    @classmethod
    def by_angles(cls, yaw: float, pitch: float, roll: float) -> Turn:
        """About z, then about the y that came of it, then about that x, in radians: how aircraft tell their attitude."""
        (sy, cy), (sp, cp), (sr, cr) = ((math.sin(a / 2.0), math.cos(a / 2.0)) for a in (yaw, pitch, roll))
        return cls((
            cr * cp * cy + sr * sp * sy, sr * cp * cy - cr * sp * sy,
            cr * sp * cy + sr * cp * sy, cr * cp * sy - sr * sp * cy,
        ))

    @classmethod
    def by_degrees(cls, yaw_deg: float, pitch_deg: float, roll_deg: float) -> Turn:
        """As by_angles, in degrees."""
        return cls.by_angles(math.radians(yaw_deg), math.radians(pitch_deg), math.radians(roll_deg))

    def __mul__(self, first: Turn) -> Turn:
        w, x, y, z = self.q
        a, b, c, d = first.q
        return Turn((
            w * a - x * b - y * c - z * d, w * b + x * a + y * d - z * c, w * c - x * d + y * a + z * b,
            w * d + x * c - y * b + z * a,
        ))

    def back(self) -> Turn:
        """The turn that undoes this one."""
        w, x, y, z = self.q
        return Turn((w, -x, -y, -z))

    def part(self, share: float) -> Turn:
        """So much of it, about its own axis and along its shorter way; below 0 backwards, above 1 beyond."""
        w, x, y, z = self.q if self.q[0] >= 0.0 else tuple(-v for v in self.q)
        length = math.sqrt(x * x + y * y + z * z)
        if length < STILL:
            return Turn((1.0, 0.0, 0.0, 0.0))
        half = math.atan2(length, w) * share
        along = math.sin(half) / length
        return Turn((math.cos(half), x * along, y * along, z * along))

    def matrix(self) -> Array:
        """(3, 3) that takes a vector to where the turn takes it."""
        w, x, y, z = self.q
        return np.array([
            [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y - w * z), 2.0 * (x * z + w * y)],
            [2.0 * (x * y + w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z - w * x)],
            [2.0 * (x * z - w * y), 2.0 * (y * z + w * x), 1.0 - 2.0 * (x * x + y * y)],
        ])


def between(a: Turn, b: Turn, part: float) -> Turn:
    """At a constant rate along the shorter way from a (0) to b (1), and beyond; Shoemake (1985)."""
    return a * (a.back() * b).part(part)
