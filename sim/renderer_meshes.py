"""The mesh of an actor as he stands now, as finely as his size in the picture asks for."""

from __future__ import annotations

from functools import lru_cache

from sim.animals import animal_mesh
from sim.mesh import Mesh
from sim.people import person_mesh
from sim.vehicles import vehicle_mesh
from sim.world_state import ActorState, Kind, Looks, Posture

PHASES = 24                     # a stride has this many pictures
ANIMALS = frozenset({Kind.DOG, Kind.BUFFALO, Kind.BIRD})
FAR_PX_PER_M = 30.0             # below this many pixels a metre the coarse mesh does

# How bright an actor is to a thermal camera, 0 to 1.
HEAT = {Kind.PERSON: 0.86, Kind.DOG: 0.80, Kind.BUFFALO: 0.82, Kind.BIRD: 0.6, Kind.MOTORCYCLE: 0.62, Kind.CAR: 0.52,
        Kind.PICKUP: 0.54, Kind.TRUCK: 0.55, Kind.BUS: 0.55, Kind.BOAT: 0.36, Kind.BICYCLE: 0.34}


def actor_mesh(state: ActorState, px_per_m: float) -> Mesh:
    """What is to be drawn for an actor who covers px_per_m pixels a metre."""
    looks = state.actor.looks
    if state.actor.kind is Kind.PERSON:
        phase = round(state.phase * PHASES) % PHASES
        if looks.pack and not state.carries_pack:
            looks = Looks(looks.seed, looks.sex, looks.age, False, looks.uniform, looks.hat, looks.plate, looks.colour)
        return _person(looks, state.posture, phase, "near" if px_per_m > FAR_PX_PER_M else "far")
    if state.actor.kind in ANIMALS:
        return animal_mesh(state.actor.kind, looks, state.phase)
    return vehicle_mesh(state.actor.kind, looks)


@lru_cache(maxsize=512)
def _person(looks: Looks, posture: Posture, phase: int, detail: str) -> Mesh:
    return person_mesh(looks, posture, phase / PHASES, detail)
