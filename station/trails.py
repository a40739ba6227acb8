"""Trails on their way from the mind to the pages: only what they have grown by, since nine tenths of a delta were trails."""

from __future__ import annotations

import msgspec

from station.contacts import TRAIL_LIMIT
from station.picture import ContactView, Delta, TrailPoint

Trail = tuple[TrailPoint, ...]


class TrailTeller:
    """Makes deltas small for those who have heard all before. One for each stream of deltas.

    `Delta.grown` names the contacts whose trail is only what is new. Who has a newer picture than the last delta drops what
    it has (`joined`); a trail that did not simply grow, as after a merge, is told whole.
    """

    def __init__(self) -> None:
        self._told: dict[str, Trail] = {}

    def told(self, delta: Delta) -> Delta:
        contacts, grown = [], []
        for c in delta.contacts:
            had, self._told[c.id] = self._told.get(c.id), c.trail
            new = None if had is None else _growth(had, c.trail)
            if new is None:
                contacts.append(c)
            else:
                contacts.append(msgspec.structs.replace(c, trail=new))
                grown.append(c.id)
        for gone in delta.contacts_gone:
            self._told.pop(gone, None)
        return msgspec.structs.replace(delta, contacts=tuple(contacts), grown=tuple(grown)) if grown else delta


def _growth(had: Trail, trail: Trail) -> Trail | None:
    """The points at the end of a trail that were not in it; None where it is another trail."""
    if not had or not trail:
        return None
    new = 0
    while new < len(trail) and trail[-1 - new].at_ns > had[-1].at_ns:
        new += 1
    same = len(trail) - new
    if not 0 < same <= len(had) or trail[same - 1] != had[-1] or trail[0] != had[-same]:
        return None
    return trail[same:]


def joined(known: Trail, told: Trail) -> Trail:
    """A trail with what it has grown by; points that are known already change nothing."""
    new = tuple(p for p in told if not known or p.at_ns > known[-1].at_ns)
    return (*known, *new)[-TRAIL_LIMIT:] if new else known


def whole(delta: Delta, contacts: dict[str, ContactView]) -> Delta:
    """A delta with whole trails again, for whoever keeps the contacts of before."""
    if not delta.grown:
        return delta
    grown = set(delta.grown)
    return msgspec.structs.replace(delta, grown=(), contacts=tuple(
        msgspec.structs.replace(c, trail=joined(contacts[c.id].trail, c.trail)) if c.id in grown and c.id in contacts else c
        for c in delta.contacts
    ))
