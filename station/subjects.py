"""A subject: one record of the watchlist, and a person's report about one."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from wire.units import GroundPosition, ObjectClass


class Category(StrEnum):
    ORGANISER_BROKER = "organiser_broker"
    COURIER = "courier"
    REPEAT_CROSSER = "repeat_crosser"
    MISSING_PERSON = "missing_person"
    AT_RISK = "at_risk"             # a person at risk of being trafficked


class Lane(StrEnum):
    """Which words, actions and access a record gets."""

    ENFORCEMENT = "enforcement"
    WELFARE = "welfare"


WELFARE_CATEGORIES = (Category.MISSING_PERSON, Category.AT_RISK)
# A yes here starts what cannot easily be taken back: an arrest for organised crime, or taking somebody out of a group.
GRAVE_CATEGORIES = (Category.ORGANISER_BROKER, Category.AT_RISK)
PRIORITY: dict[Category, int] = {
    Category.ORGANISER_BROKER: 1,
    Category.COURIER: 2,
    Category.REPEAT_CROSSER: 3,
    Category.MISSING_PERSON: 1,
    Category.AT_RISK: 1,
}


class KnownVehicle(msgspec.Struct, frozen=True):
    """A vehicle that the subject uses. object_class and colour are circumstance; the plate alone identifies."""

    plate: str
    object_class: ObjectClass | None = None
    colour: str = ""


class Extension(msgspec.Struct, frozen=True):
    """Somebody asks that a record last until expires_ns; until a second person agrees, the old end holds."""

    expires_ns: int
    asked_by: str
    asked_ns: int
    reason: str


class Subject(msgspec.Struct, frozen=True):
    """A watchlist record.

    plates, vehicles: identifiers. corridors, hours, days, party_size: habits, circumstance only; hours are (start, end)
    minutes of the local day, end may be below start; days are those on which the hours begin, 0 is Monday, none: every day.
    Times are UTC nanoseconds. Approved by a second person, or it matches nothing.
    """

    id: str
    category: Category
    label: str
    plates: tuple[str, ...]
    vehicles: tuple[KnownVehicle, ...]
    corridors: tuple[str, ...]
    hours: tuple[int, int] | None
    party_size: int | None
    reason: str
    lawful_basis: str
    what_to_do: str
    expires_ns: int
    nominated_by: str
    nominated_ns: int
    approved_by: str | None = None
    approved_ns: int | None = None
    days: tuple[int, ...] = ()
    extension: Extension | None = None      # that waits for a second person

    @property
    def all_plates(self) -> tuple[str, ...]:
        """Its own, and those of the vehicles it is known to use, each once."""
        return tuple(dict.fromkeys((*self.plates, *(v.plate for v in self.vehicles))))

    @property
    def lane(self) -> Lane:
        return Lane.WELFARE if self.category in WELFARE_CATEGORIES else Lane.ENFORCEMENT

    @property
    def is_grave(self) -> bool:
        return self.category in GRAVE_CATEGORIES

    def matches_at(self, now_ns: int) -> bool:
        """Whether it may match now: approved by a second person, and not expired."""
        return self.approved_by is not None and self.approved_by != self.nominated_by and now_ns < self.expires_ns


class Report(msgspec.Struct, frozen=True):
    """A person says that a subject is, was or will be at a place in a time window. One of corridor and position is given."""

    id: str
    subject: str
    reported_by: str
    corridor: str | None
    position: GroundPosition | None
    radius_m: float
    from_ns: int
    until_ns: int
    made_ns: int
    says: str = ""
