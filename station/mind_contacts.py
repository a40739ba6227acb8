"""What persons decide about contacts, and what patrols say: done, and on the disk, before it is answered."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from station.contact_requests import ContactRequest, MergeContacts, NotePatrol, SplitContact
from station.contacts import Contact
from station.patrols import Patrols, position_refusal
from station.picture import Answer, Done, Refused, Sentence

if TYPE_CHECKING:
    from station.mind_requests import MindParts


class ContactRequests:
    def __init__(self, patrols: Patrols) -> None:
        self._patrols = patrols

    def answer(self, request: ContactRequest, parts: MindParts) -> Answer:
        """Raises sqlite3.Error where the disk refuses; what was decided stands, and is written with the next commit."""
        match request:
            case MergeContacts():
                return self._merge(request, parts)
            case SplitContact():
                return self._split(request, parts)
            case NotePatrol():
                return self._note_patrol(request, parts)

    def _merge(self, r: MergeContacts, parts: MindParts) -> Answer:
        one, other = (live_contact(name, parts.fusion.contacts) for name in (r.contact, r.other))
        for name, contact in ((r.contact, one), (r.other, other)):
            if contact is None:
                return Refused(Sentence("contact.refused.not_live", {"contact": name}))
        assert one is not None and other is not None
        if one is other:
            return Refused(Sentence("contact.refused.itself"))
        if one.group != other.group:
            return Refused(Sentence("contact.refused.other_kind"))
        parts.record.append(r.person, "contact.merge", {"contact": one.id, "other": other.id})
        gone = parts.fusion.merge(one, other, r.person, parts.clock.utc_ns())
        parts.touch(one if gone is other else other)
        parts.note_ended([gone])
        parts.commit()
        return Done()

    def _split(self, r: SplitContact, parts: MindParts) -> Answer:
        contact = live_contact(r.contact, parts.fusion.contacts)
        if contact is None:
            return Refused(Sentence("contact.refused.not_live", {"contact": r.contact}))
        if r.sensor not in contact.sights:
            return Refused(Sentence("contact.refused.not_seen_by", {"contact": contact.id, "sensor": r.sensor}))
        parts.record.append(r.person, "contact.split", {"contact": contact.id, "sensor": r.sensor})
        made = parts.fusion.split(contact, r.sensor, r.person)
        if made is None:
            return Refused(Sentence("contact.refused.one_sensor", {"contact": contact.id}))
        parts.touch(contact)
        parts.touch(made)
        parts.commit()
        return Done()

    def _note_patrol(self, r: NotePatrol, parts: MindParts) -> Answer:
        refused = position_refusal(r.position, parts.clock.utc_ns())
        if refused is not None:
            return Refused(refused)
        changed = self._patrols.note(r.position, parts.fusion.contacts.values())
        for contact in changed:
            parts.record.append(r.person, "contact.patrol", {"contact": contact.id, "patrol": contact.own_patrol or "-"})
            parts.touch(contact)
        if changed:
            parts.commit()
        return Done()


def live_contact(name: str, contacts: Mapping[int, Contact]) -> Contact | None:
    """One that may still be seen, by any of its ids: it may have been found to be another's since."""
    number = name.removeprefix("C-")
    found = contacts.get(int(number)) if number.isdecimal() else None
    return found or next((c for c in contacts.values() if name in c.ids), None)
