"""Cars, pickups, trucks and buses: bodies lofted through stations, from the rear to the front.

Measures are those of common models of each kind, rounded: a small saloon, a double-cab pickup, a light six-wheel truck, a
coach.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geofences.geodesy import Array
from sim.solids import Rgb, Solid, mixed

GLASS: Rgb = (17, 21, 24)
GLASS_SKY: Rgb = (66, 78, 88)
BLACK: Rgb = (22, 22, 23)
UNDER: Rgb = (16, 16, 16)
CHROME: Rgb = (188, 190, 192)
TAIL: Rgb = (150, 20, 18)
LAMP: Rgb = (226, 228, 224)
DUST: Rgb = (142, 116, 88)


@dataclass(frozen=True, slots=True)
class Station:
    """A cross-section at y. sill, belt, top: heights; wide, belt_wide, top_wide: half widths there. Metres."""

    y: float
    sill: float
    belt: float
    top: float
    wide: float
    belt_wide: float
    top_wide: float


@dataclass(frozen=True, slots=True)
class Plates:
    """Where the plates go: y of the rear and front one, their heights, and the rear one's half width and height."""

    rear_y: float
    rear_z: float
    front_y: float
    front_z: float


SALOON = (
    Station(-2.20, 0.48, 0.74, 0.80, 0.72, 0.70, 0.60),
    Station(-2.10, 0.30, 0.88, 0.96, 0.80, 0.79, 0.66),
    Station(-1.75, 0.24, 0.93, 1.02, 0.85, 0.83, 0.70),
    Station(-1.38, 0.22, 0.95, 1.06, 0.86, 0.84, 0.68),
    Station(-0.78, 0.21, 0.94, 1.41, 0.865, 0.84, 0.56),
    Station(-0.26, 0.21, 0.93, 1.47, 0.865, 0.84, 0.57),
    Station(-0.18, 0.21, 0.93, 1.475, 0.865, 0.84, 0.57),
    Station(0.30, 0.21, 0.92, 1.43, 0.865, 0.84, 0.56),
    Station(1.02, 0.21, 0.90, 0.96, 0.865, 0.83, 0.70),
    Station(1.12, 0.21, 0.89, 0.95, 0.865, 0.83, 0.70),
    Station(1.55, 0.22, 0.82, 0.89, 0.85, 0.80, 0.66),
    Station(1.98, 0.26, 0.70, 0.77, 0.80, 0.75, 0.60),
    Station(2.16, 0.34, 0.58, 0.63, 0.70, 0.66, 0.54),
    Station(2.20, 0.42, 0.52, 0.55, 0.62, 0.60, 0.50),
)
ESTATE = (
    Station(-2.25, 0.52, 0.86, 0.92, 0.76, 0.74, 0.66),
    Station(-2.20, 0.38, 0.98, 1.10, 0.84, 0.82, 0.72),
    Station(-1.98, 0.30, 1.02, 1.66, 0.89, 0.86, 0.66),
    Station(-1.25, 0.28, 1.02, 1.73, 0.90, 0.87, 0.66),
    Station(-1.17, 0.28, 1.02, 1.735, 0.90, 0.87, 0.66),
    Station(-0.26, 0.28, 1.02, 1.74, 0.90, 0.87, 0.66),
    Station(-0.18, 0.28, 1.02, 1.74, 0.90, 0.87, 0.66),
    Station(0.42, 0.28, 1.02, 1.70, 0.90, 0.87, 0.64),
    Station(1.05, 0.28, 1.01, 1.09, 0.90, 0.86, 0.76),
    Station(1.15, 0.28, 1.01, 1.085, 0.90, 0.86, 0.76),
    Station(1.70, 0.29, 0.97, 1.03, 0.89, 0.84, 0.74),
    Station(2.10, 0.33, 0.86, 0.92, 0.84, 0.80, 0.70),
    Station(2.25, 0.42, 0.70, 0.74, 0.76, 0.72, 0.64),
)
PICKUP = (
    Station(-2.65, 0.56, 1.02, 1.03, 0.86, 0.86, 0.84),
    Station(-2.60, 0.48, 1.08, 1.09, 0.90, 0.90, 0.87),
    Station(-0.92, 0.44, 1.08, 1.09, 0.92, 0.90, 0.87),
    Station(-0.88, 0.40, 1.08, 1.72, 0.92, 0.89, 0.70),
    Station(-0.70, 0.40, 1.08, 1.78, 0.92, 0.89, 0.69),
    Station(0.02, 0.40, 1.08, 1.80, 0.92, 0.89, 0.69),
    Station(0.10, 0.40, 1.08, 1.80, 0.92, 0.89, 0.69),
    Station(0.62, 0.40, 1.08, 1.76, 0.92, 0.89, 0.68),
    Station(1.22, 0.40, 1.08, 1.15, 0.92, 0.88, 0.80),
    Station(1.32, 0.40, 1.08, 1.145, 0.92, 0.88, 0.80),
    Station(2.00, 0.42, 1.03, 1.10, 0.91, 0.86, 0.80),
    Station(2.50, 0.46, 0.94, 1.02, 0.88, 0.84, 0.78),
    Station(2.65, 0.54, 0.80, 0.84, 0.82, 0.78, 0.74),
)


def _ring(s: Station) -> Array:
    """The right half of a cross-section from below to the roof's middle, (8, 3)."""
    waist = s.sill + 0.45 * (s.belt - s.sill)
    edge = s.top - 0.06 * max(0.0, s.top - s.belt)
    return np.array(
        [
            (0.0, s.y, s.sill),
            (s.wide * 0.90, s.y, s.sill),
            (s.wide * 0.985, s.y, s.sill + 0.08),
            (s.wide, s.y, waist),
            (s.belt_wide, s.y, s.belt),
            (s.top_wide, s.y, edge),
            (s.top_wide * 0.86, s.y, s.top),
            (0.0, s.y, s.top + 0.012),
        ]
    )


def loft(solid: Solid, stations: tuple[Station, ...], paint: Rgb, *, bed: tuple[float, float] | None = None) -> None:
    """A body through stations. bed: from and to which y its top is a load bed."""
    rings = [_ring(s) for s in stations]
    for k in range(len(stations) - 1):
        rear, front = stations[k], stations[k + 1]
        tall_rear, tall_front = rear.top - rear.belt > 0.3, front.top - front.belt > 0.3
        pillar = front.y - rear.y < 0.12 and tall_rear and tall_front
        for i in range(7):
            quad = [rings[k][i], rings[k + 1][i], rings[k + 1][i + 1], rings[k][i + 1]]
            colour: Rgb | list[Rgb] = paint
            if i == 0:
                colour = UNDER
            elif i == 1:
                colour = mixed(BLACK, DUST, 0.25)
            elif i == 2:
                dirty = mixed(paint, DUST, 0.30)
                colour = [dirty, dirty, paint, paint]
            elif i == 4 and (tall_rear or tall_front) and not pillar:
                colour = [GLASS, GLASS, GLASS_SKY, GLASS_SKY] if tall_rear and tall_front else GLASS
            elif i >= 5 and tall_rear != tall_front:  # windscreen and rear window: the sky is in their upper half
                upper = mixed(GLASS, GLASS_SKY, 0.75)
                colour = [GLASS, upper, upper, GLASS] if tall_front else [upper, GLASS, GLASS, upper]
            elif i == 5 and tall_rear and tall_front:
                colour = mixed(paint, BLACK, 0.35)  # the gutter along the roof
            elif i >= 5 and not tall_rear and front.y - rear.y < 0.12 and rear.y > 0.0:
                colour = BLACK  # under the wipers
            elif i >= 5 and bed is not None and bed[0] <= rear.y and front.y <= bed[1]:
                colour = mixed(BLACK, DUST, 0.3)
            elif i >= 5 and not tall_rear and not tall_front:
                colour = mixed(paint, (255, 255, 255), 0.06)
            solid.polygon(np.array(quad)[::-1], colour if isinstance(colour, tuple) else colour[::-1])
            mirror = [np.array([-p[0], p[1], p[2]]) for p in quad]
            solid.polygon(np.array(mirror), colour)
    for ring, order in ((rings[0], 1), (rings[-1], -1)):
        outline = np.concatenate([ring, (ring * [-1.0, 1.0, 1.0])[::-1][1:-1]])
        solid.polygon(outline[::-1] if order < 0 else outline, mixed(paint, BLACK, 0.2))


def _wheels(solid: Solid, at_y: tuple[float, ...], x: float, radius: float, width: float, hub: Rgb) -> None:
    for y in at_y:
        for side in (-1.0, 1.0):
            solid.disc(side * (x + 0.002), y, radius, radius * 1.18, UNDER, lowest=radius * 0.62)
            solid.wheel(side * (x + 0.012), y, radius, width, hub)


def _details(
    solid: Solid, stations: tuple[Station, ...], paint: Rgb, front_seat_y: float, lamp_z: float, tail_z: float
) -> None:
    """Lamps, grille, bumpers, mirrors, doors, pillars beside the windscreen."""
    rear, front = stations[0], stations[-1]
    near = stations[-3]
    w = near.belt_wide
    solid.two_boxes((w - 0.30, near.y - 0.02, lamp_z), (w - 0.04, front.y - 0.03, lamp_z + 0.13), LAMP)
    solid.box((-0.42, front.y - 0.10, lamp_z - 0.03), (0.42, front.y + 0.012, lamp_z + 0.10), mixed(BLACK, CHROME, 0.25))
    solid.box(
        (-0.66, front.y - 0.16, front.sill - 0.06), (0.66, front.y + 0.03, front.sill + 0.10), mixed(paint, BLACK, 0.55)
    )
    solid.two_boxes((rear.wide - 0.24, rear.y - 0.015, tail_z), (rear.wide + 0.02, rear.y + 0.12, tail_z + 0.15), TAIL)
    solid.box(
        (-rear.wide, rear.y - 0.05, rear.sill - 0.10), (rear.wide, rear.y + 0.12, rear.sill + 0.08), mixed(paint, BLACK, 0.5)
    )
    belt = stations[len(stations) // 2]
    solid.two_boxes(
        (belt.wide - 0.02, front_seat_y, belt.belt - 0.02), (belt.wide + 0.17, front_seat_y + 0.09, belt.belt + 0.13), paint
    )
    for y in (front_seat_y - 0.02, front_seat_y - 0.98, front_seat_y - 1.80):  # gaps between the doors
        x = belt.wide + 0.004
        solid.both_sides(
            [(x, y, belt.sill + 0.1), (x, y + 0.018, belt.sill + 0.1), (x, y + 0.018, belt.belt), (x, y, belt.belt)], BLACK
        )


def car(solid: Solid, paint: Rgb, variant: int) -> Plates:
    """A saloon, or every third time a seven-seater."""
    if variant % 3 == 2:
        loft(solid, ESTATE, paint)
        _wheels(solid, (-1.35, 1.42), 0.905, 0.36, 0.22, CHROME)
        _details(solid, ESTATE, paint, 0.72, 0.76, 0.88)
        return Plates(-2.262, 0.80, 2.30, 0.52)
    loft(solid, SALOON, paint)
    _wheels(solid, (-1.32, 1.36), 0.87, 0.31, 0.20, CHROME)
    _details(solid, SALOON, paint, 0.72, 0.58, 0.72)
    return Plates(-2.262, 0.56, 2.25, 0.38)


def pickup(solid: Solid, paint: Rgb, variant: int) -> Plates:
    """A double cab with an open bed, or a load under a tarpaulin."""
    loft(solid, PICKUP, paint, bed=(-2.65, -0.9))
    for low, high in (((0.80, -2.58, 1.06), (0.90, -0.92, 1.16)),):
        solid.two_boxes(low, high, paint)
    solid.box((-0.86, -2.64, 1.02), (0.86, -2.56, 1.15), paint)
    if variant % 3 == 1:
        cloth: Rgb = ((46, 82, 122), (70, 92, 64), (120, 100, 72))[variant // 3 % 3]
        solid.box((-0.80, -2.50, 1.08), (0.80, -1.0, 1.62), cloth, top=(0.82, 0.86))
    elif variant % 3 == 2:
        solid.tube([(-0.78, -1.0, 1.1), (-0.66, -1.0, 1.72), (0.66, -1.0, 1.72), (0.78, -1.0, 1.1)], 0.035, BLACK)
    _wheels(solid, (-1.62, 1.72), 0.94, 0.39, 0.26, mixed(CHROME, BLACK, 0.2))
    _details(solid, PICKUP, paint, 0.95, 0.80, 0.86)
    return Plates(-2.712, 0.66, 2.70, 0.62)


def _cab(solid: Solid, paint: Rgb, back_y: float, front_y: float, half: float, floor: float, roof: float) -> None:
    """A cab over the engine: flat face, big windscreen."""
    belt = floor + 0.50 * (roof - floor)
    solid.box((-half, back_y, floor), (half, front_y, belt), paint)
    solid.box((-half, back_y, belt), (half, front_y, roof), paint, top=(0.90, 0.86), shift_y=-0.06)
    lean = 0.10
    solid.polygon(
        [
            (-half * 0.88, front_y + 0.012, belt + 0.06),
            (half * 0.88, front_y + 0.012, belt + 0.06),
            (half * 0.80, front_y - lean - 0.06, roof - 0.12),
            (-half * 0.80, front_y - lean - 0.06, roof - 0.12),
        ][::-1],
        [GLASS_SKY, GLASS_SKY, GLASS, GLASS],
    )
    x, top_x = half + 0.006, half * 0.92 + 0.006
    solid.both_sides(
        [
            (x, back_y + 0.35, belt + 0.06),
            (x, front_y - 0.12, belt + 0.06),
            (top_x, front_y - 0.30, roof - 0.14),
            (top_x, back_y + 0.35, roof - 0.14),
        ],
        [GLASS, GLASS, GLASS_SKY, GLASS_SKY],
    )
    solid.two_boxes((half - 0.36, front_y - 0.02, floor + 0.18), (half - 0.06, front_y + 0.02, floor + 0.36), LAMP)
    solid.box((-half + 0.42, front_y - 0.02, floor + 0.16), (half - 0.42, front_y + 0.015, floor + 0.42), BLACK)
    solid.box(
        (-half - 0.01, front_y - 0.12, floor - 0.14), (half + 0.01, front_y + 0.06, floor + 0.10), mixed(CHROME, BLACK, 0.45)
    )
    solid.two_boxes((half + 0.05, front_y - 0.10, belt + 0.05), (half + 0.20, front_y - 0.02, belt + 0.45), BLACK)
    solid.box((-half * 0.7, front_y - 0.42, roof - 0.01), (half * 0.7, front_y - 0.30, roof + 0.07), (206, 140, 40))
    solid.box((-half * 0.5, back_y + 0.30, roof - 0.01), (half * 0.5, back_y + 0.75, roof + 0.05), mixed(paint, BLACK, 0.4))


def truck(solid: Solid, paint: Rgb, variant: int) -> Plates:
    """Six wheels; a box, a tarpaulin over hoops, or open sides with sacks."""
    solid.box((-0.45, -3.9, 0.62), (0.45, 3.5, 0.86), BLACK)
    _cab(solid, paint, 2.25, 3.95, 1.08, 0.72, 2.45)
    if variant % 3 == 0:
        load: Rgb = ((226, 226, 222), (92, 112, 148), (196, 190, 172))[variant // 3 % 3]
        solid.box((-1.16, -3.95, 0.95), (1.16, 2.05, 3.02), load)
        for y in np.linspace(-3.4, 1.6, 6):  # ribs across the roof
            solid.box((-1.14, y, 3.02), (1.14, y + 0.06, 3.045), mixed(load, BLACK, 0.3))
        solid.two_boxes((1.10, -3.95, 2.94), (1.18, 2.05, 3.05), mixed(load, BLACK, 0.35))
        for y in np.linspace(-3.7, 1.8, 12):
            x = 1.164
            solid.both_sides(
                [(x, y, 1.05), (x, y + 0.04, 1.05), (x, y + 0.04, 2.95), (x, y, 2.95)], mixed(load, BLACK, 0.22)
            )
    else:
        wood: Rgb = ((62, 88, 120), (126, 64, 46), (72, 92, 66))[variant // 3 % 3]
        solid.box((-1.14, -3.95, 0.95), (1.14, 2.05, 1.55), wood)
        for z in (1.10, 1.25, 1.40):
            solid.both_sides(
                [(1.145, -3.95, z), (1.145, 2.05, z), (1.145, 2.05, z + 0.03), (1.145, -3.95, z + 0.03)],
                mixed(wood, BLACK, 0.45),
            )
        canvas: Rgb = ((72, 84, 66), (44, 78, 118), (150, 118, 70))[(variant // 3 + 1) % 3]
        if variant % 3 == 1:
            hoop = [(1.12, 1.55), (1.10, 2.30), (0.80, 2.80), (0.0, 2.98), (-0.80, 2.80), (-1.10, 2.30), (-1.12, 1.55)]
            ys = np.linspace(-3.92, 2.0, 7)
            rows = np.array([[(x, y, z - 0.05 * (k % 2)) for k, y in enumerate(ys)] for x, z in hoop])
            solid.sheet(rows, np.array([[mixed(canvas, (30, 30, 30), 0.05 * (j % 2)) for j in range(6)] for _ in range(6)]))
            for y, turn in ((-3.92, -1), (2.0, 1)):
                end = [(x, y, z) for x, z in hoop]
                solid.polygon(end if turn > 0 else end[::-1], mixed(canvas, BLACK, 0.3))
        else:
            solid.box((-1.02, -3.8, 1.5), (1.02, 1.9, 2.15), (178, 168, 146), top=(0.86, 0.94))
    for y, x in ((3.05, 1.09), (-2.05, 1.13), (-3.05, 1.13)):
        for side in (-1.0, 1.0):
            solid.disc(side * (x - 0.02), y, 0.48, 0.57, UNDER, lowest=0.40)
            solid.wheel(side * x, y, 0.48, 0.34, mixed(CHROME, BLACK, 0.35))
    solid.two_boxes((0.80, -3.99, 0.80), (1.10, -3.90, 0.94), TAIL)
    solid.box((-1.1, -3.98, 0.60), (1.1, -3.90, 0.78), BLACK)
    return Plates(-4.0, 0.72, 4.03, 0.72)


def bus(solid: Solid, paint: Rgb, variant: int) -> Plates:
    """A coach: windows in a band, a stripe, big glass in front."""
    half, low, belt, roof, rear, front = 1.23, 0.42, 1.55, 3.22, -5.0, 5.0
    stripe: Rgb = ((196, 60, 40), (40, 90, 150), (214, 160, 40))[variant % 3]
    profile = [
        (half * 0.97, low),
        (half, low + 0.25),
        (half, 1.05),
        (half, 1.22),
        (half, belt),
        (half * 0.96, 2.72),
        (half * 0.93, 3.0),
        (half * 0.80, roof),
        (0.0, roof + 0.05),
    ]
    ys = [rear, rear + 0.15, *np.linspace(rear + 0.7, front - 0.9, 7), front - 0.25, front]
    inset = [0.93, 1.0, *([1.0] * 7), 0.99, 0.93]
    rows = np.array([[(x * s, y, z) for y, s in zip(ys, inset, strict=True)] for x, z in profile])
    for i in range(len(profile) - 1):
        for j in range(len(ys) - 1):
            colour: Rgb | list[Rgb] = paint
            if i == 0:
                colour = mixed(paint, DUST, 0.4)
            elif i == 2:
                colour = stripe
            elif i == 4 and 0 < j < len(ys) - 2:
                colour = [GLASS, GLASS, GLASS_SKY, GLASS_SKY]
            quad = np.array([rows[i, j], rows[i, j + 1], rows[i + 1, j + 1], rows[i + 1, j]])
            solid.polygon(quad, colour)
            mirror = (quad * [-1.0, 1.0, 1.0])[::-1]
            solid.polygon(mirror, colour if isinstance(colour, tuple) else colour[::-1])
    for y in np.linspace(rear + 0.7, front - 0.9, 7):  # pillars between the panes
        x0, x1 = half + 0.006, half * 0.96 + 0.008
        solid.both_sides(
            [(x0, y - 0.05, belt), (x0, y + 0.05, belt), (x1, y + 0.05, 2.72), (x1, y - 0.05, 2.72)],
            mixed(paint, BLACK, 0.6),
        )
    for y, turn in ((front, 1), (rear, -1)):
        outline = [(x * 0.93, y, z) for x, z in profile] + [(-x * 0.93, y, z) for x, z in reversed(profile[:-1])]
        solid.polygon(outline[::-1] if turn < 0 else outline, paint)
        w, e = half * 0.86, 0.015 * turn
        pane = [
            (-w, y + e, 1.35 if turn > 0 else 1.9),
            (w, y + e, 1.35 if turn > 0 else 1.9),
            (w * 0.96, y + e, 2.82),
            (-w * 0.96, y + e, 2.82),
        ]
        solid.polygon(
            pane[::-1] if turn > 0 else pane,
            [GLASS_SKY, GLASS_SKY, GLASS, GLASS] if turn > 0 else [GLASS, GLASS, GLASS_SKY, GLASS_SKY],
        )
    solid.box((-0.70, -1.6, roof - 0.02), (0.70, 0.5, roof + 0.22), mixed(paint, BLACK, 0.25), top=(0.9, 0.92))
    for y in (-3.4, 2.4):  # hatches
        solid.box((-0.38, y, roof), (0.38, y + 0.7, roof + 0.10), mixed(paint, BLACK, 0.5))
    for y in np.linspace(rear + 0.6, front - 0.7, 9):  # ribs
        solid.box((-0.95, y, roof - 0.02), (0.95, y + 0.04, roof + 0.065), mixed(paint, BLACK, 0.3))
    solid.two_boxes((0.78, front - 0.02, 0.72), (1.06, front + 0.02, 0.92), LAMP)
    solid.two_boxes((0.95, rear - 0.02, 0.85), (1.10, rear + 0.02, 1.25), TAIL)
    solid.box((-1.1, front - 0.05, 0.36), (1.1, front + 0.04, 0.60), mixed(paint, BLACK, 0.6))
    solid.box((-1.1, rear - 0.04, 0.36), (1.1, rear + 0.05, 0.60), mixed(paint, BLACK, 0.6))
    solid.two_boxes((half, front - 0.25, 2.1), (half + 0.22, front - 0.12, 2.6), BLACK)
    solid.box((-half * 0.9, rear + 0.1, 0.30), (half * 0.9, front - 0.1, 0.45), UNDER)
    for y in (-2.9, 3.1):
        for side in (-1.0, 1.0):
            solid.disc(side * (half + 0.004), y, 0.50, 0.60, UNDER, lowest=0.36)
            solid.wheel(side * (half + 0.01), y, 0.50, 0.32, mixed(CHROME, BLACK, 0.3))
    return Plates(rear - 0.05, 0.74, front + 0.05, 0.66)
