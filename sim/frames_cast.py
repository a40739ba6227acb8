"""Who and what is in a training frame: a stock of meshes for a block of frames, and where each stands.

Making a body costs some 20 ms and drawing it 2: so the frames of one block share a stock, and the next block has another.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from geofences.geodesy import Array
from sim.frames_camera import View, ground_at
from sim.frames_decoys import card, decoy_mesh, foliage
from sim.frames_grounds import Backgrounds, cutout
from sim.landscape_plants import GROWTHS
from sim.mesh import Mesh
from sim.plant_meshes import VARIANTS, plant_mesh
from sim.raster import Placed
from sim.renderer_meshes import HEAT, actor_mesh
from sim.vehicles import vehicle_mesh
from sim.world_state import Actor, ActorState, Kind, Looks, Posture, Role, Species

PEOPLE, MACHINES, BEASTS, DECOYS, CARDS = 110, 7, 5, 60, 36      # of each in a stock; machines and beasts per kind
NEAR_PX_PER_M = 60.0            # the fine mesh is drawn for people larger than this
POSTURES = {
    Posture.STAND: 0.17, Posture.WALK: 0.36, Posture.RUN: 0.10, Posture.CROUCH: 0.08, Posture.CROUCH_WALK: 0.08,
    Posture.REST: 0.07, Posture.LIE: 0.06, Posture.WORK: 0.08,
}
WHEELED = (Kind.BICYCLE, Kind.MOTORCYCLE, Kind.CAR, Kind.PICKUP, Kind.TRUCK, Kind.BUS)
OBJECTS = {
    Kind.PERSON: 0.64, Kind.BICYCLE: 0.055, Kind.MOTORCYCLE: 0.075, Kind.CAR: 0.07, Kind.PICKUP: 0.03, Kind.TRUCK: 0.05,
    Kind.BUS: 0.035, Kind.BOAT: 0.045,
}
ANIMALS = (Kind.DOG, Kind.BUFFALO, Kind.BIRD)
RIDDEN_SHARE = 0.75             # of motorcycles and bicycles
PLANT_SHARE, TREE_M = 0.45, 4.5
LONG_M = {Kind.BICYCLE: 1.8, Kind.MOTORCYCLE: 1.9, Kind.CAR: 4.3, Kind.PICKUP: 5.1, Kind.TRUCK: 7.5, Kind.BUS: 10.5,
          Kind.BOAT: 6.0}


@dataclass(frozen=True, slots=True, eq=False)
class Body:
    """A mesh with what it is. coarse: for when it is small."""

    kind: Kind
    mesh: Mesh
    coarse: Mesh
    posture: Posture = Posture.STAND


@dataclass(frozen=True, slots=True, eq=False)
class Stock:
    """What the frames of one block draw from. riders: people astride, for motorcycles and bicycles."""

    people: tuple[Body, ...]
    riders: tuple[Body, ...]
    machines: dict[Kind, tuple[Body, ...]]
    beasts: tuple[Body, ...]
    decoys: tuple[Mesh, ...]
    cards: tuple[Mesh, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """One object of a frame. placed.id is its number in the frame, from 1; 0 for what is nobody."""

    kind: Kind
    placed: Placed


def make_stock(seed: int, found: Backgrounds) -> Stock:
    """All meshes for one block of frames."""
    chance = np.random.default_rng([seed, 101])
    postures, shares = list(POSTURES), np.array(list(POSTURES.values()))
    drawn = chance.choice(len(postures), size=PEOPLE, p=shares / shares.sum())
    people = tuple(_body(chance, Kind.PERSON, postures[int(k)]) for k in drawn)
    riders = tuple(_body(chance, Kind.PERSON, Posture.RIDE) for _ in range(10))
    machines = {kind: tuple(_body(chance, kind) for _ in range(MACHINES)) for kind in LONG_M}
    beasts = tuple(_body(chance, kind) for kind in ANIMALS for _ in range(BEASTS))
    cards: tuple[Mesh, ...] = ()
    if found.cutouts:
        chosen = chance.integers(len(found.cutouts), size=CARDS)
        cards = tuple(card(cutout(found.cutouts[int(i)]), 1.0) for i in chosen)
    return Stock(people, riders, machines, beasts, tuple(decoy_mesh(chance) for _ in range(DECOYS)), cards)


def _body(chance: np.random.Generator, kind: Kind, posture: Posture = Posture.STAND) -> Body:
    looks = draw_looks(chance)
    if kind in LONG_M:
        mesh = vehicle_mesh(kind, looks)
        return Body(kind, mesh, mesh)
    actor = Actor(1, kind, Role.TRAFFIC, looks)
    state = ActorState(actor, 0, 0, 0, 0, (0.0, 0.0), posture, float(chance.random()), carries_pack=looks.pack)
    return Body(kind, actor_mesh(state, 100.0), actor_mesh(state, 5.0), posture)


def draw_posture(chance: np.random.Generator) -> Posture:
    """How somebody on foot is held."""
    shares = np.array(list(POSTURES.values()))
    return list(POSTURES)[int(chance.choice(len(shares), p=shares / shares.sum()))]


def draw_looks(chance: np.random.Generator) -> Looks:
    """Somebody's, or some vehicle's."""
    return Looks(
        seed=int(chance.integers(2**31)), sex="male" if chance.random() < 0.6 else "female",
        age=str(chance.choice(["child", "young", "old"], p=[0.15, 0.65, 0.2])), pack=bool(chance.random() < 0.35),
        uniform=bool(chance.random() < 0.12), hat=bool(chance.random() < 0.3), plate=_plate(chance),
    )


def _plate(chance: np.random.Generator) -> str:
    digits = "".join(str(d) for d in chance.integers(0, 10, 5))
    return f"{int(chance.integers(11, 100))}{chr(int(chance.integers(65, 91)))}-{digits[:3]}.{digits[3:]}"


def kind_shares(people_share: float | None = None) -> Array:
    """(n,) of the kinds in OBJECTS, in their order, summing to 1. people_share: see draw_objects."""
    shares = np.array(list(OBJECTS.values()))
    if people_share is not None:
        shares[1:] *= (1.0 - people_share) / shares[1:].sum()
        shares[0] = people_share
    return np.asarray(shares / shares.sum())


def draw_objects(
    chance: np.random.Generator, stock: Stock, view: View, *, busy: bool = False, people_share: float | None = None
) -> list[Standing]:
    """People, machines and riders of one frame, on level ground. busy: many, anywhere in it.

    people_share: of what is drawn, instead of OBJECTS' own; the machines share the rest as they do there.
    """
    kinds, shares = list(OBJECTS), kind_shares(people_share)
    main = kinds[int(chance.choice(len(kinds), p=shares))]
    px_per_m = view.lens.fx / view.distance_m
    room = view.lens.width_px / px_per_m          # metres across the frame
    most = 10 if main is Kind.PERSON else 4
    count = int(chance.integers(5, 15)) if busy else min(int(chance.geometric(0.3)), most)
    count = max(1, min(count, int(room * room / (6.0 * LONG_M.get(main, 0.8))) + 1))
    places = _places(chance, view, count, party=not busy and main is Kind.PERSON and chance.random() < 0.55)
    heading = float(chance.uniform(0, 360))
    standing: list[Standing] = []
    for place in places:
        usual = 0.35 if busy else 0.75
        kind = main if chance.random() < usual else kinds[int(chance.choice(len(kinds), p=shares))]
        if LONG_M.get(kind, 1.0) > room * 1.3:
            kind = Kind.PERSON
        turn = heading + float(chance.normal(0, 25)) if chance.random() < 0.6 else float(chance.uniform(0, 360))
        standing += _stand(chance, stock, kind, place, turn, px_per_m, len(standing) + 1)
    return standing


def draw_animals(chance: np.random.Generator, stock: Stock, view: View) -> list[Standing]:
    """One kind of animal, alone or a few."""
    body = stock.beasts[int(chance.integers(len(stock.beasts)))]
    px_per_m = view.lens.fx / view.distance_m
    rise = float(chance.uniform(0.0, 0.35)) * view.pose.height_msl_m if body.kind is Kind.BIRD else 0.0
    return [
        Standing(body.kind, Placed.one(
            body.mesh if px_per_m > NEAR_PX_PER_M else body.coarse, (place[0], place[1], rise),
            float(chance.uniform(0, 360)), float(chance.uniform(0.85, 1.15)),
            heat=HEAT[body.kind] + float(chance.normal(0, 0.05)),
        ))
        for place in _places(chance, view, int(chance.integers(1, 4)), party=True)
    ]


def draw_decoys(chance: np.random.Generator, stock: Stock, view: View, before: list[Standing]) -> list[Placed]:
    """Things that are nobody, anywhere in the frame, and leaves between the lens and some of those who are somebody."""
    out = []
    px_per_m = view.lens.fx / view.distance_m
    for place in _places(chance, view, int(chance.poisson(3.0)), party=False):
        heat = float(chance.normal(0.32, 0.06))
        if stock.cards and chance.random() < 0.3 and view.depression_deg < 70:
            tall_px = float(np.exp(chance.uniform(np.log(10), np.log(160))))
            mesh, turn = stock.cards[int(chance.integers(len(stock.cards)))], float(chance.normal(0, 25))
            out.append(Placed.one(mesh, (place[0], place[1], 0.0), turn, tall_px / px_per_m, heat=heat))
            continue
        if chance.random() < PLANT_SHARE:
            out.append(_plant(chance, place))
            continue
        mesh = stock.decoys[int(chance.integers(len(stock.decoys)))]
        tint = tuple(float(v) for v in chance.uniform(0.7, 1.25, 3))
        out.append(Placed.one(
            mesh, (place[0], place[1], 0.0), float(chance.uniform(0, 360)), float(chance.uniform(0.6, 1.5)),
            tint=(tint[0], tint[1], tint[2]), heat=heat,
        ))
    out += [_before(chance, one.placed.position_m[0], view) for one in before if chance.random() < 0.22]
    return out


def _plant(chance: np.random.Generator, place: Array) -> Placed:
    """One of the landscape's own plants; low ones more often, or a crown would fill every frame from above."""
    species = tuple(Species)[int(chance.integers(len(Species)))]
    if GROWTHS[species].height_m[1] > TREE_M and chance.random() < 0.6:
        species = (Species.BUSH, Species.FERN, Species.GRASS_TUFT, Species.BANANA)[int(chance.integers(4))]
    growth = GROWTHS[species]
    tall = float(chance.uniform(*growth.height_m))
    mesh = plant_mesh(species, int(chance.integers(VARIANTS)))
    reach = max(float(np.abs(mesh.vertices[:, :2]).max()), 0.05)
    wide = max(tall * float(chance.uniform(*growth.crown)), growth.least_crown_m) / reach
    tint = np.clip(chance.normal(1.0, [0.06, 0.08, 0.11]) * chance.uniform(0.75, 1.15), 0.6, 1.3)
    return Placed.one(
        mesh, (float(place[0]), float(place[1]), 0.0), float(chance.uniform(0, 360)), (wide, wide, tall),
        tint=(float(tint[0]), float(tint[1]), float(tint[2])), heat=float(chance.normal(0.31, 0.03)),
    )


def _before(chance: np.random.Generator, at: Array, view: View) -> Placed:
    """Leaves that hide a part of what stands at (3,) `at`."""
    toward = view.pose.position - at - np.array([0.0, 0.0, 0.8])
    toward /= np.linalg.norm(toward)
    side = np.cross(toward, [0.0, 1.0, 0.1])
    side /= np.linalg.norm(side)
    middle = at + np.array([0.0, 0.0, chance.uniform(0.0, 1.0)])
    middle += toward * float(chance.uniform(0.5, 2.2)) + side * float(chance.normal(0, 0.45))
    tall = float(chance.uniform(0.3, 1.1))
    mesh = foliage(chance, tall * float(chance.uniform(0.4, 0.9)), tall, 0.0)
    return Placed.one(mesh, (middle[0], middle[1], max(float(middle[2]) - tall / 2, 0.0)), heat=0.31)


def _stand(
    chance: np.random.Generator, stock: Stock, kind: Kind, place: Array, heading: float, px_per_m: float, number: int,
) -> list[Standing]:
    heat = HEAT[kind] + float(chance.normal(0, 0.05))
    if kind is Kind.PERSON:
        return [_one(chance, stock.people, place, heading, px_per_m, number, heat)]
    out = [_one(chance, stock.machines[kind], place, heading, px_per_m, number, heat)]
    if kind in (Kind.MOTORCYCLE, Kind.BICYCLE) and chance.random() < RIDDEN_SHARE:
        out.append(_one(chance, stock.riders, place, heading, px_per_m, number + 1, HEAT[Kind.PERSON]))
    return out


def _one(
    chance: np.random.Generator, among: tuple[Body, ...], place: Array, heading: float, px_per_m: float, number: int,
    heat: float,
) -> Standing:
    body = among[int(chance.integers(len(among)))]
    tint = np.clip(chance.normal(1.0, 0.12) * chance.normal(1.0, 0.08, 3), 0.6, 1.5)
    return Standing(body.kind, Placed.one(
        body.mesh if px_per_m > NEAR_PX_PER_M else body.coarse, (float(place[0]), float(place[1]), 0.0), heading,
        tint=(float(tint[0]), float(tint[1]), float(tint[2])), id=number, heat=heat,
    ))


def _places(chance: np.random.Generator, view: View, count: int, *, party: bool) -> Array:
    """(count or fewer, 2) east, north: scattered over the frame, or a party a few steps apart."""
    side = view.lens.width_px
    if party and count > 1:
        first = ground_at(view, chance.uniform(0.15, 0.85, (1, 2)) * side)[0]
        if not np.isfinite(first).all():
            first = np.zeros(2)
        step = float(chance.uniform(0.5, 2.5))
        way = float(chance.uniform(0, 2 * np.pi))
        along = np.arange(count) * step + chance.normal(0, 0.2, count)
        across = chance.normal(0, 0.5, count)
        e, n = along * np.sin(way) + across * np.cos(way), along * np.cos(way) - across * np.sin(way)
        places = first + np.column_stack([e, n])
    else:
        places = ground_at(view, chance.uniform(0.02, 0.98, (count * 3, 2)) * side)
    away = np.linalg.norm(np.column_stack([places, np.zeros(len(places))]) - view.pose.position, axis=1)
    # Nearer or farther than this, somebody is much larger or smaller than the frame was drawn for.
    fits = np.isfinite(places).all(axis=1) & (away > view.distance_m * 0.45) & (away < view.distance_m * 1.8)
    return np.asarray(places[fits][:count])
