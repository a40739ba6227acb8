"""Motorcycles, bicycles and river boats. Riders sit where people_pose.SEAT_* says and hold on at GRIP_M."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from sim.people_pose import SEAT_AHEAD_M, SEAT_UP_M
from sim.solids import Rgb, Solid, mixed

BLACK: Rgb = (24, 24, 25)
STEEL: Rgb = (150, 152, 154)
GRIP_M = (0.31, 0.36, 1.00)  # of the right hand's grip: beside, ahead, above
WHEEL_M = 0.30


def motorcycle(solid: Solid, paint: Rgb, variant: int) -> tuple[float, float, float]:
    """A step-through of 110 cc as most people ride; returns the middle of its plate."""
    rear, front = -0.62, 0.64
    for y in (rear, front):
        solid.ring(y, WHEEL_M, 0.045, BLACK)
        for side in (-1.0, 1.0):
            solid.disc(side * 0.02, y, WHEEL_M, 0.21, mixed(STEEL, BLACK, 0.55))
            solid.disc(side * 0.05, y, WHEEL_M, 0.07, STEEL)
    solid.box((-0.05, front - 0.24, WHEEL_M + 0.26), (0.05, front + 0.22, WHEEL_M + 0.34), paint)  # mudguards
    solid.box((-0.06, rear - 0.30, WHEEL_M + 0.20), (0.06, rear + 0.05, WHEEL_M + 0.32), BLACK, shift_y=0.06)
    for side in (-1.0, 1.0):
        solid.tube([(side * 0.07, front, WHEEL_M), (side * 0.06, 0.42, 0.86)], 0.022, STEEL, 5)
        solid.tube([(side * 0.09, rear, WHEEL_M), (side * 0.11, -0.42, 0.68)], 0.025, BLACK, 5)
    # leg shield, body, engine
    solid.box((-0.23, 0.18, 0.34), (0.23, 0.34, 0.86), paint, top=(0.62, 0.6), shift_y=0.10)
    solid.box((-0.10, -0.45, 0.36), (0.10, 0.24, 0.55), mixed(paint, BLACK, 0.7))
    solid.box((-0.13, -0.22, 0.22), (0.13, 0.12, 0.42), mixed(STEEL, BLACK, 0.4))
    solid.box((-0.13, -0.82, 0.48), (0.13, -0.02, 0.70), paint, top=(0.9, 0.92), shift_y=-0.04)
    # saddle and carrier
    top = SEAT_UP_M
    solid.box((-0.13, SEAT_AHEAD_M - 0.46, top - 0.08), (0.13, SEAT_AHEAD_M + 0.26, top), BLACK, top=(0.85, 0.95))
    solid.box((-0.11, -0.98, 0.70), (0.11, -0.64, 0.73), STEEL)
    # steering, lamp, mirrors
    x, y, z = GRIP_M
    solid.tube([(-x, y, z), (-0.12, y + 0.10, z - 0.03), (0.12, y + 0.10, z - 0.03), (x, y, z)], 0.02, BLACK, 5)
    solid.box((-0.11, 0.40, 0.84), (0.11, 0.58, 1.02), paint, top=(0.8, 0.7), shift_y=-0.03)
    solid.box((-0.075, 0.56, 0.86), (0.075, 0.60, 0.98), (232, 232, 222))
    for side in (-1.0, 1.0):
        solid.tube([(side * 0.22, y + 0.03, z), (side * 0.33, y + 0.06, z + 0.17)], 0.008, BLACK, 4)
        solid.box((side * 0.35 - 0.05, y + 0.05, z + 0.14), (side * 0.35 + 0.05, y + 0.07, z + 0.22), BLACK)
    # silencer, pegs, tail lamp
    solid.tube([(0.14, 0.10, 0.26), (0.16, -0.25, 0.22), (0.17, -0.85, 0.34)], [0.025, 0.03, 0.055], STEEL, 7)
    solid.tube([(-0.30, 0.12, 0.27), (0.30, 0.12, 0.27)], 0.018, BLACK, 5)
    solid.box((-0.08, -0.96, 0.60), (0.08, -0.88, 0.69), (160, 24, 20))
    if variant % 3 == 2:  # a load behind the rider
        solid.box(
            (-0.30, -1.02, 0.73),
            (0.30, -0.62, 1.12),
            ((150, 120, 80), (70, 84, 110), (176, 168, 150))[variant // 3 % 3],
            top=(0.9, 0.9),
        )
    return (0.0, -1.0, 0.50)


def bicycle(solid: Solid, paint: Rgb) -> None:
    """An upright bicycle with a carrier."""
    rear, front, radius = -0.56, 0.56, 0.34
    for y in (rear, front):
        solid.ring(y, radius, 0.022, BLACK, 20)
        for k in range(6):
            a = k * np.pi / 6
            dy, dz = 0.30 * float(np.cos(a)), 0.30 * float(np.sin(a))
            solid.tube([(0.0, y - dy, radius - dz), (0.0, y + dy, radius + dz)], 0.005, STEEL, 3)
    crank, seat, head = (0.0, -0.06, 0.30), (0.0, SEAT_AHEAD_M - 0.02, SEAT_UP_M - 0.06), (0.0, 0.38, 0.84)
    for path in (
        [crank, seat],
        [crank, (0.0, 0.40, 0.72)],
        [(0.0, SEAT_AHEAD_M - 0.01, 0.66), head],
        [head, (0.0, 0.44, 0.62), (0.0, front, radius)],
        [(0.0, rear, radius), seat],
        [(0.0, rear, radius), crank],
        [head, (0.0, 0.36, 0.98)],
    ):
        solid.tube(path, 0.020, paint, 6)
    x, y, z = GRIP_M
    solid.tube([(-x, y - 0.04, z), (-0.10, y + 0.03, z), (0.10, y + 0.03, z), (x, y - 0.04, z)], 0.016, BLACK, 5)
    solid.box((-0.10, SEAT_AHEAD_M - 0.16, SEAT_UP_M - 0.06), (0.10, SEAT_AHEAD_M + 0.12, SEAT_UP_M), BLACK, top=(0.6, 0.9))
    solid.box((-0.07, rear - 0.16, 0.70), (0.07, rear + 0.22, 0.73), STEEL)
    solid.tube([(-0.20, crank[1], 0.30), (0.20, crank[1], 0.30)], 0.02, STEEL, 5)


# of a river boat, from stern to bow: y, half width at the rail and at the bottom, height of the rail and of the bottom
HULL = (
    (-3.90, 0.52, 0.34, 0.62, -0.02),
    (-3.30, 0.66, 0.46, 0.54, -0.14),
    (-1.60, 0.78, 0.58, 0.48, -0.18),
    (0.40, 0.80, 0.60, 0.48, -0.18),
    (2.10, 0.68, 0.48, 0.56, -0.14),
    (3.10, 0.44, 0.26, 0.74, -0.02),
    (3.70, 0.20, 0.10, 0.94, 0.18),
    (4.00, 0.05, 0.02, 1.10, 0.50),
)
INSIDE_M = 0.08  # height of the floor boards over the water
TRIMS: tuple[Rgb, ...] = ((196, 186, 160), (150, 46, 36), (208, 170, 70), (92, 70, 50))


def boat(solid: Solid, paint: Rgb, variant: int) -> None:
    """A planked river boat of eight metres with a small engine, half of them with a mat roof; the water is at z = 0."""
    hull = np.array(HULL)
    trim = TRIMS[variant % len(TRIMS)]
    wet = mixed(paint, (34, 40, 30), 0.6)
    wood: Rgb = (128, 100, 70)

    def edge(s: np.ndarray, share: float, side: float) -> tuple[float, float, float]:
        """A point of a cross-section, share of the way up from the bottom to the rail."""
        return (side * float(s[2] + (s[1] - s[2]) * share), float(s[0]), float(s[4] + (s[3] - s[4]) * share))

    for a, b in pairwise(hull):
        for side in (1.0, -1.0):
            turn = 1 if side > 0 else -1
            for low, high, colour in ((0.0, 0.45, wet), (0.45, 0.82, paint), (0.82, 1.0, trim)):
                plank = [edge(a, low, side), edge(b, low, side), edge(b, high, side), edge(a, high, side)]
                solid.polygon(plank[::turn], colour)
            rail = [edge(a, 1.0, side), edge(b, 1.0, side)]
            inner = [(0.90 * x, y, z) for x, y, z in rail]
            solid.polygon([rail[0], rail[1], inner[1], inner[0]][::turn], wood)
            foot = [(0.9 * edge(s, 0.4, side)[0], float(s[0]), max(INSIDE_M, float(s[4]))) for s in (a, b)]
            solid.polygon([inner[0], inner[1], foot[1], foot[0]][::turn], mixed(wood, BLACK, 0.35))
        floor = max(INSIDE_M, float(a[4])), max(INSIDE_M, float(b[4]))
        left, right = -0.9 * a[2], 0.9 * a[2]
        far_left, far_right = -0.9 * b[2], 0.9 * b[2]
        solid.polygon(
            [(left, a[0], floor[0]), (right, a[0], floor[0]), (far_right, b[0], floor[1]), (far_left, b[0], floor[1])],
            mixed(wood, BLACK, 0.18),
        )
    y, rail_half, bottom_half, rail_z, bottom_z = HULL[0]
    stern = [(-bottom_half, y, bottom_z), (bottom_half, y, bottom_z), (rail_half, y, rail_z), (-rail_half, y, rail_z)]
    solid.polygon(stern, paint)
    for y in (-2.5, -0.6, 1.2, 2.6):
        half = float(np.interp(y, hull[:, 0], hull[:, 1])) * 0.93
        solid.box((-half, y - 0.14, 0.34), (half, y + 0.14, 0.39), mixed(wood, (196, 170, 126), 0.5))
    if variant % 2 == 0:  # a mat roof amidships
        arch = [(0.76, 0.48), (0.74, 1.0), (0.46, 1.32), (0.0, 1.42), (-0.46, 1.32), (-0.74, 1.0), (-0.76, 0.48)]
        ys = np.linspace(-1.8, 1.0, 5)
        mat: Rgb = (124, 104, 72)
        rows = np.array([[(x, y, z) for y in ys] for x, z in arch])
        solid.sheet(rows, np.array([[mixed(mat, BLACK, 0.12 * ((i + j) % 2)) for j in range(4)] for i in range(6)]))
    solid.box((-0.16, -3.80, 0.56), (0.16, -3.42, 0.74), (88, 92, 96), top=(0.8, 0.8))
    solid.tube([(0.0, -3.7, 0.64), (0.0, -4.08, 0.10)], 0.03, BLACK, 5)
