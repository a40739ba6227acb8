"""What somebody wears, and the surfaces it makes around a body at rest.

Garments are layers cut out of MakeHuman's tights: each is moved outward by its looseness, smoothed, and ends at a hem where
the next layer goes on beneath it. Everything follows from Looks; the random draws are in a fixed order, so a seed keeps its
meaning.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from geofences.geodesy import Array
from sim.world_state import Looks

Rgb = tuple[int, int, int]

SKIN: tuple[Rgb, ...] = ((201, 155, 122), (186, 140, 108), (172, 125, 94), (155, 110, 80), (136, 95, 68))
HAIR_BLACK: Rgb = (24, 21, 20)
HAIR_GREY: Rgb = (118, 116, 112)
# dark and worn, as people dress for the forest and the field, and a few that are neither
UPPER: tuple[Rgb, ...] = (
    (38, 40, 46), (52, 58, 70), (34, 46, 74), (66, 72, 62), (78, 66, 54), (92, 84, 74), (44, 62, 54), (110, 104, 96),
    (58, 34, 38), (120, 44, 40), (36, 74, 110), (150, 146, 138), (196, 192, 184), (88, 52, 84), (126, 98, 52), (44, 92, 88),
)
LOWER: tuple[Rgb, ...] = (
    (26, 27, 31), (34, 37, 46), (42, 50, 66), (56, 62, 74), (62, 58, 50), (80, 74, 62), (48, 52, 42), (94, 92, 90),
    (40, 32, 28),
)
UNIFORM: tuple[Rgb, ...] = ((76, 84, 58), (82, 90, 64), (70, 78, 54))
SHOES: tuple[Rgb, ...] = ((24, 23, 22), (44, 40, 38), (70, 58, 46), (40, 62, 44), (150, 146, 140))
PACKS: tuple[Rgb, ...] = ((30, 32, 34), (42, 48, 40), (48, 52, 66), (84, 74, 54), (70, 34, 32))
SACK: Rgb = (186, 180, 164)
WICKER: Rgb = (132, 100, 60)
STRAW: Rgb = (206, 186, 138)


@dataclass(frozen=True, slots=True)
class Outfit:
    """Lengths run along a limb: 0 at its root, 1 at elbow or knee, 2 at wrist or ankle. Looseness in metres."""

    skin: Rgb
    hair: Rgb
    hair_length: float          # 0 shorn, 1 short, 2 to the nape, 3 on the shoulders, 4 down the back
    bun: bool
    upper: Rgb
    upper2: Rgb                 # the other colour of its pattern
    pattern: str                # "plain", "stripes", "checks", "camouflage"
    sleeve: float
    hem: float                  # of the shirt, down the thigh
    lower: Rgb
    trouser: float
    skirt: bool
    shoes: Rgb | None           # None: sandals or bare feet
    upper_loose_m: float
    lower_loose_m: float
    headgear: str               # "", "cone", "cap", "brim", "helmet", "scarf"
    headgear_colour: Rgb
    load: str                   # "", "backpack", "sack", "basket"
    load_colour: Rgb
    seed: int


def _pick(chance: np.random.Generator, choices: tuple[Rgb, ...]) -> Rgb:
    """One of the colours, a little off."""
    base = choices[int(chance.integers(len(choices)))]
    light = chance.uniform(0.85, 1.18)
    r, g, b = (int(np.clip(channel * light + chance.uniform(-6, 6), 8, 235)) for channel in base)
    return r, g, b


def _between(one: Rgb, other: Rgb, share: float) -> Rgb:
    """A colour on the way from one to the other."""
    r, g, b = (int(a + (z - a) * share) for a, z in zip(one, other, strict=True))
    return r, g, b


def outfit_for(looks: Looks) -> Outfit:
    """What this one wears."""
    chance = np.random.default_rng([looks.seed & 0xFFFFFFFF, 7])
    female, child, old = looks.sex == "female", looks.age == "child", looks.age == "old"
    skin, upper, upper2, lower = _pick(chance, SKIN), _pick(chance, UPPER), _pick(chance, UPPER), _pick(chance, LOWER)
    shoes, pack_colour, cap_colour = _pick(chance, SHOES), _pick(chance, PACKS), _pick(chance, UPPER)
    hair_draw, pattern_draw, sleeve_draw, trouser_draw, skirt_draw, shoe_draw, hat_draw, load_draw = chance.random(8)
    looseness, hem = chance.uniform(0.0, 1.0), chance.uniform(0.06, 0.26)
    if looks.colour is not None:
        b, g, r = looks.colour
        upper = (r, g, b)
    if female:
        hair_length = 2.0 if hair_draw < 0.2 else 3.0 if hair_draw < 0.55 else 4.0 if hair_draw < 0.75 else 1.0
    else:
        hair_length = 0.4 if hair_draw < 0.2 else 1.0 if hair_draw < 0.9 else 2.0
    headgear = "" if hat_draw < (0.55 if female else 0.62) else "cap" if hat_draw < 0.82 else "brim"
    if female and hat_draw > 0.9:
        headgear = "scarf"
    outfit = Outfit(
        skin=skin,
        hair=_between(HAIR_BLACK, HAIR_GREY, float(hair_draw)) if old else HAIR_BLACK,
        hair_length=hair_length,
        bun=female and hair_draw >= 0.75,
        upper=upper,
        upper2=upper2,
        pattern="plain" if pattern_draw < 0.68 else "stripes" if pattern_draw < 0.82 else "checks",
        sleeve=1.85 if sleeve_draw < 0.55 else 0.75 if sleeve_draw < 0.88 else 1.3,
        hem=hem,
        lower=lower,
        trouser=1.93 if trouser_draw < 0.72 else 1.5 if trouser_draw < 0.84 else 0.85,
        skirt=female and skirt_draw < 0.3,
        shoes=shoes if shoe_draw < 0.7 else None,
        upper_loose_m=0.010 + 0.014 * looseness,
        lower_loose_m=0.008 + 0.016 * float(load_draw),
        headgear="cone" if looks.hat else headgear,
        headgear_colour=STRAW if looks.hat else cap_colour,
        load="" if not looks.pack else "backpack" if load_draw < 0.6 or child else "sack" if load_draw < 0.85 else "basket",
        load_colour=pack_colour if load_draw < 0.6 or child else SACK if load_draw < 0.85 else WICKER,
        seed=looks.seed,
    )
    if not looks.uniform:
        return outfit
    green = UNIFORM[looks.seed % len(UNIFORM)]
    return _in_uniform(outfit, green, looks)


def _in_uniform(outfit: Outfit, green: Rgb, looks: Looks) -> Outfit:
    """The same person as one of our own patrol."""
    dark = (green[0] - 26, green[1] - 26, green[2] - 18)
    return replace(
        outfit, upper=green, upper2=dark, pattern="camouflage" if looks.seed % 3 == 0 else "plain", lower=green, sleeve=1.9,
        hem=0.12, trouser=1.9, skirt=False, shoes=(30, 32, 26), upper_loose_m=0.02, lower_loose_m=0.02,
        hair_length=min(outfit.hair_length, 1.0), headgear="cone" if looks.hat else "helmet" if looks.seed % 2 else "brim",
        headgear_colour=STRAW if looks.hat else green, load="backpack" if looks.pack else "", load_colour=dark,
    )


def noise(points: Array, seed: int, wave_m: float) -> Array:
    """Smooth noise (n,) of about -1 to 1 at points (n, 3): eight plane waves of about one wavelength, in metres."""
    chance = np.random.default_rng([seed & 0xFFFFFFFF, 11])
    directions = chance.normal(size=(8, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    directions *= (2.0 * np.pi / wave_m) * chance.uniform(0.6, 1.6, (8, 1))
    return np.asarray(np.sin(points @ directions.T + chance.uniform(0, 2 * np.pi, 8)).sum(axis=1) / 2.8)


def paint(points: Array, colour: Rgb, seed: int, mottle: float = 0.08) -> Array:
    """Colours (n, 3) blue, green, red, floats, of a surface that is not quite even."""
    bgr = np.array(colour[::-1], dtype=np.float64)
    uneven = 1.0 + mottle * (0.6 * noise(points, seed, 0.16) + 0.6 * noise(points, seed + 1, 0.05))
    return np.asarray(bgr * uneven[:, None])


def cloth(points: Array, outfit: Outfit) -> Array:
    """Colours (n, 3) of the upper garment with its pattern."""
    base = paint(points, outfit.upper, outfit.seed + 3)
    other = paint(points, outfit.upper2, outfit.seed + 4)
    which: npt.NDArray[np.bool_]
    match outfit.pattern:
        case "stripes":
            which = np.mod(points[:, 2], 0.09) < 0.035
        case "checks":
            around = np.arctan2(points[:, 0], points[:, 1] - 0.02) * 0.16
            which = (np.mod(points[:, 2], 0.10) < 0.045) ^ (np.mod(around, 0.10) < 0.045)
        case "camouflage":
            which = noise(points, outfit.seed + 5, 0.17) > 0.25
        case _:
            return base
    return np.where(which[:, None], other, base)
