"""What passes here, counted: the density of the traffic over corridors and hours, and how often each plate comes.

Each contact counts once, when it has ended. No plate is kept, and no time: a plate is a keyed hash beside a count, an hour
is one of the 168 of a week. The counts are a proposal's material (station.watchlist_learning); matching uses those that
somebody has accepted, and these do nothing by themselves.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from station.contacts import Contact
from station.matching_plates import PlateCounts, clean_plate, plate_parts
from station.matching_weights import HOURS_OF_WEEK, Traffic
from wire.clock import NS_PER_S

TEXTS_LIMIT = 60_000        # different plates held; then all counts are halved, and those of one fall away
OFTEN_FROM = 3              # contacts from which a plate's own count is worth keeping in the weights
OFTEN_LIMIT = 5_000
PREFIXES_LIMIT = 2_000


class TrafficState(msgspec.Struct):
    """As it stands in mind.db. since_ns: of counting."""

    since_ns: int = 0
    last_ns: int = 0
    contacts: int = 0
    by_hour: dict[str, list[int]] = {}
    plate_contacts: int = 0
    plates: dict[int, int] = {}
    prefixes: dict[str, int] = {}


class TrafficCounter:
    """Counts contacts as they end. state: everything it knows."""

    def __init__(self, key: Callable[[str], int], utc_offset_min: int, state: TrafficState | None = None) -> None:
        self._key = key
        self._offset_min = utc_offset_min
        self.state = state or TrafficState()

    def count(self, contact: Contact) -> None:
        """One that has ended, and was not merged into another."""
        s = self.state
        s.contacts += 1
        s.since_ns = min(s.since_ns, contact.first_seen_ns) if s.since_ns else contact.first_seen_ns
        s.last_ns = max(s.last_ns, contact.last_seen_ns)
        hour = minute_of_week(contact.first_seen_ns, self._offset_min) // 60
        for corridor in {*contact.corridors, *contact.visits}:
            counts = s.by_hour.setdefault(corridor, [0] * HOURS_OF_WEEK)
            counts[hour] += 1
        text = clean_plate(contact.plate or "")
        if text:
            self.count_plate(text)

    def count_plate(self, text: str) -> None:
        s = self.state
        s.plate_contacts += 1
        key = self._key(text)
        s.plates[key] = s.plates.get(key, 0) + 1
        prefix, _ = plate_parts(text)
        s.prefixes[prefix] = s.prefixes.get(prefix, 0) + 1
        if len(s.plates) > TEXTS_LIMIT:
            s.plates = {k: n // 2 for k, n in s.plates.items() if n >= 2}
            s.prefixes = {p: n // 2 for p, n in s.prefixes.items() if n >= 2}
            s.plate_contacts //= 2


def traffic_of(state: TrafficState) -> Traffic:
    """The counts as weights hold them."""
    often = sorted(((n, k) for k, n in state.plates.items() if n >= OFTEN_FROM), reverse=True)[:OFTEN_LIMIT]
    prefixes = sorted(((n, p) for p, n in state.prefixes.items()), reverse=True)[:PREFIXES_LIMIT]
    return Traffic(
        state.contacts, max(0.0, (state.last_ns - state.since_ns) / (3600 * NS_PER_S)),
        {corridor: tuple(counts) for corridor, counts in sorted(state.by_hour.items())},
        PlateCounts(
            state.plate_contacts, len(state.plates), {k: n for n, k in often}, {p: n for n, p in prefixes}
        ),
    )


def minute_of_week(at_ns: int, utc_offset_min: int) -> int:
    """Of the local week, from Monday 00:00. 1970-01-01 was a Thursday."""
    minutes = at_ns // (60 * NS_PER_S) + utc_offset_min
    return (minutes + 3 * 1440) % (7 * 1440)
