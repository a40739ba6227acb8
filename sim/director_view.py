"""What a director says of a running exercise to whoever leads it: how far it is, what is to come, who runs, and the truth.

It travels as JSON over the order socket (sim.director_orders), which belongs to whoever may read the run's folder. No
station has it, and none could ask for it: the truth reaches the trainer's desk on no road that a trainee has.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from geofences.sector import Sector
from sim.exercise_injects import Done
from sim.exercise_settings import (
    AnyInject,
    InLanguages,
    When,
)
from sim.world_state import Moment


class Phase(StrEnum):
    """starting: not everybody sees yet. ready: waits for the trainer's word. going, standing: after it. ending: the last."""

    STARTING = "starting"
    READY = "ready"
    GOING = "going"
    STANDING = "standing"
    ENDING = "ending"


class InjectView(msgspec.Struct, frozen=True):
    """One prepared inject. about: the camera, drone, party or words that it is about, in English; about_in: by language.

    at_s, when: as the file has them. done_s: when it was done last, and by: time, condition, by hand.
    """

    id: str
    do: str
    about: str
    at_s: float | None
    when: When | None
    done_s: float | None
    by: str
    about_in: dict[str, str] = {}


class ProcessView(msgspec.Struct, frozen=True):
    name: str
    alive: bool


class SaidView(msgspec.Struct, frozen=True):
    """says: in English; says_in: by language."""

    at_s: float
    says: str
    says_in: dict[str, str] = {}


class MapContact(msgspec.Struct, frozen=True):
    """A contact as the trainees' map shows it now."""

    id: str
    lat_deg: float
    lon_deg: float
    object_class: str


class AlarmNow(msgspec.Struct, frozen=True):
    """An alarm as the trainees' queue has it. corridor: empty for none."""

    id: str
    rule: str
    priority: int
    state: str
    corridor: str
    raised_s: float


class DirectorView(msgspec.Struct, frozen=True):
    """accounts: of the training station, with the one-time passwords that they began with. missing: who does not see yet."""

    exercise: str
    phase: Phase
    at_s: float
    seconds: float
    pace: float
    frozen: bool
    can_change_pace: bool
    address: str
    accounts: dict[str, str]
    missing: tuple[str, ...]
    injects: tuple[InjectView, ...]
    processes: tuple[ProcessView, ...]
    said: tuple[SaidView, ...]
    alarms: tuple[AlarmNow, ...]
    contacts: tuple[MapContact, ...]
    starts_ns: int
    title: str
    words: InLanguages


class ActorNow(msgspec.Struct, frozen=True):
    """One actor as it really is. name: as the exercise's file calls it; party: 0 for alone."""

    id: int
    name: str
    kind: str
    role: str
    party: int
    posture: str
    lat_deg: float
    lon_deg: float
    heading_deg: float


class TruthNow(msgspec.Struct, frozen=True):
    """None of the actors before the world has begun."""

    at_s: float
    actors: tuple[ActorNow, ...]


def inject_view(inject: AnyInject, about: dict[str, str], done: Done | None) -> InjectView:
    tag = str(type(inject).__struct_config__.tag)
    return InjectView(
        inject.id, tag, about["en"], inject.at_s, inject.when, done.at_s if done is not None else None,
        done.by if done is not None else "", about,
    )


def truth_of(moment: Moment | None, at_s: float, names: dict[int, str], sector: Sector) -> TruthNow:
    """The world at a moment, in degrees. names: of actors in the exercise's file, by id."""
    if moment is None or not moment.actors:
        return TruthNow(at_s, ())
    places = sector.frame.from_enu([(s.east_m, s.north_m) for s in moment.actors])
    return TruthNow(at_s, tuple(
        ActorNow(
            s.actor.id, names.get(s.actor.id, ""), s.actor.kind.value, s.actor.role.value, s.actor.party, s.posture.value,
            round(float(lat), 7), round(float(lon), 7), round(s.heading_deg, 1),
        )
        for s, (lat, lon) in zip(moment.actors, places, strict=True)
    ))
