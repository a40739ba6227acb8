"""What persons, and our own patrols, tell the mind about contacts."""

from __future__ import annotations

import msgspec

SIGMA_UNKNOWN_M = 10.0              # of a phone that does not say


class MergeContacts(msgspec.Struct, frozen=True, tag="merge_contacts"):
    """The two are one. contact, other: ids."""

    contact: str
    other: str
    person: str


class SplitContact(msgspec.Struct, frozen=True, tag="split_contact"):
    """What this sensor sees is somebody else."""

    contact: str
    sensor: str
    person: str


class PatrolPosition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a patrol of ours is. sigma_m: one standard deviation of an axis. people: how many walk with it."""

    patrol: str
    lat_deg: float
    lon_deg: float
    at_ns: int
    sigma_m: float = SIGMA_UNKNOWN_M
    people: int = 1


class NotePatrol(msgspec.Struct, frozen=True, tag="note_patrol"):
    """A position of a patrol, and who told it."""

    position: PatrolPosition
    person: str


ContactRequest = MergeContacts | SplitContact | NotePatrol
