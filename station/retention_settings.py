"""How long each kind of data is kept: `[retention]` of station.toml."""

from __future__ import annotations

from pathlib import Path

import msgspec

from wire.settings import refuse

LEAST_DAYS = 1.0                # a night and its hand-over must stay whole
MOST_DAYS = 36_500.0


class RetentionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Days, from the moment that is named; what an open alarm, incident or question needs stays as long as that is open.

    unmatched_days: detections, contacts, trails, snapshots and the journal of who raised no alarm and no question, from the
    end of the contact. The shortest of all that is about persons, and longer than the three days that a node keeps what it
    could not send. states_days: how nodes, sensors and drones were. footage_days: pictures and clips that persons ordered.
    alarms_days, matches_days: from the last word on them, with all that they are about. journal_days: what the screens
    showed (replay). orders_days: who ordered what of which node. The record (who looked, who decided) is kept for ever.
    """

    unmatched_days: float = 7.0
    states_days: float = 14.0
    footage_days: float = 90.0
    alarms_days: float = 730.0
    matches_days: float = 730.0
    journal_days: float = 90.0
    orders_days: float = 730.0


def check_retention(path: Path, r: RetentionSettings) -> None:
    """Raises SettingsError for what cannot be, and for a retention that keeps the unmatched longer than the matched."""
    for key in r.__struct_fields__:
        days = getattr(r, key)
        if not LEAST_DAYS <= days <= MOST_DAYS:
            raise refuse(
                path, ["retention", key], f"{days}: give {LEAST_DAYS:g} to {MOST_DAYS:g} days, for example "
                f"{RetentionSettings.__struct_defaults__[r.__struct_fields__.index(key)]:g}"
            )
    for key in ("footage_days", "alarms_days", "matches_days", "journal_days"):
        if getattr(r, key) < r.unmatched_days:
            raise refuse(
                path, ["retention", "unmatched_days"], f"{r.unmatched_days:g}: who matched nothing is kept the shortest; "
                f"{key} is {getattr(r, key):g}. Give less than that"
            )
