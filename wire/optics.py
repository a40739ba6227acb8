"""Through what a sensor sees and where to: with its place, all that is needed to work out what it can see."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class SensorKind(StrEnum):
    """day: needs daylight. low_light: a sensitive sensor, grey in the dark. thermal: needs no light."""

    DAY = "day"
    LOW_LIGHT = "low_light"
    THERMAL = "thermal"


class Optics(msgspec.Struct, frozen=True, array_like=True):
    """Lens, attitude and kind of a sensor at one moment.

    The lens is a pinhole with Brown-Conrady distortion, in OpenCV's order and meaning, in pixels of width_px by height_px.
    yaw_deg clockwise from north; pitch_deg positive looks up; roll_deg positive lowers the picture's right side.
    reach_m: the node places nothing beyond. turning_deg_s: how fast it turns, which smears its pictures.
    lamp_reach_m: how far its own infra-red lamp gives all the light that it needs; 0 for none.
    """

    kind: SensorKind
    width_px: int
    height_px: int
    fx: float
    fy: float
    cx: float
    cy: float
    yaw_deg: float
    pitch_deg: float
    reach_m: float
    roll_deg: float = 0.0
    k1: float = 0.0
    k2: float = 0.0
    p1: float = 0.0
    p2: float = 0.0
    k3: float = 0.0
    turning_deg_s: float = 0.0
    lamp_reach_m: float = 0.0
