"""The watchlist: sealed on the disk, approved by a second person, imported line by line, every look recorded."""

from __future__ import annotations

import sqlite3

import pytest

from geofences.sector import load_sector
from station.nomination import make_draft
from station.record import public_key_file, verify
from station.settings import StationSettings
from station.store import StoreError
from station.subjects import Lane
from station.watchlist import (
    Draft,
    Watchlist,
    WatchlistError,
    add_subject,
    approve_subject,
    expire_subject,
    list_subjects,
    look_at_subject,
    report_subject,
)
from wire.clock import NS_PER_S, SteppedClock
from wire.settings import SettingsError
from wire.units import GroundPosition

NOW = 1_780_000_000 * NS_PER_S
GOOD = {
    "category": "courier", "label": "Blue van", "reason": "seen twice at the ford", "lawful_basis": "case 12/2026",
    "what_to_do": "stop and check", "expires": "2030-01-31", "plates": "74C-123.45; 74C-999.99",
    "vehicles": "75A-111.11/truck/blue", "corridors": "khe-da", "hours": "22:00-04:30", "party_size": "3",
}


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock(NOW)


def draft(settings: StationSettings, **changes: str) -> Draft:
    made, problems = make_draft(GOOD | changes, load_sector(settings.sector), NOW)
    assert made is not None, problems
    return made


def actions(settings: StationSettings) -> list[tuple[str, str]]:
    conn = sqlite3.connect(settings.record_db)
    try:
        return conn.execute("SELECT person, action FROM entries ORDER BY number").fetchall()
    finally:
        conn.close()


def test_a_record_matches_only_when_a_second_person_approved_it_and_until_it_expires(settings, clock) -> None:
    subject = add_subject(settings, "lan", draft(settings), clock)
    assert not subject.matches_at(NOW)
    with pytest.raises(WatchlistError, match="a second person has to approve it"):
        approve_subject(settings, "lan", subject.id, clock)
    approved = approve_subject(settings, "minh", subject.id, clock)
    assert approved.matches_at(NOW)
    assert not approved.matches_at(approved.expires_ns)
    with pytest.raises(WatchlistError, match="approved by minh already"):
        approve_subject(settings, "huong", subject.id, clock)
    expired = expire_subject(settings, "minh", subject.id, "case closed", clock)
    assert not expired.matches_at(NOW)


def test_every_look_is_in_the_record_with_its_person(settings, clock) -> None:
    subject = add_subject(settings, "lan", draft(settings), clock)
    approve_subject(settings, "minh", subject.id, clock)
    list_subjects(settings, "huong", clock)
    look_at_subject(settings, "tuan", subject.id, "contact C-000001", clock)
    report_subject(settings, "tuan", subject.id, NOW, NOW + 3600 * NS_PER_S, "village head Binh", "khe-da", clock=clock)
    expire_subject(settings, "lan", subject.id, clock=clock)
    assert actions(settings) == [
        ("lan", "watchlist.nominated"), ("minh", "watchlist.approved"), ("huong", "watchlist.listed"),
        ("tuan", "watchlist.looked"), ("tuan", "watchlist.reported"), ("lan", "watchlist.expired"),
    ]
    assert verify(settings.record_db, public_key_file(settings)).broken is None


def test_nothing_of_a_record_can_be_read_in_the_file(settings, clock) -> None:
    add_subject(settings, "lan", draft(settings, label="Nguyen Van Secret"), clock)
    files = [p for p in settings.data_dir.iterdir() if p.name.startswith("watchlist.db")]
    content = b"".join(p.read_bytes() for p in files)
    for secret in (b"Secret", b"74C", b"courier", b"ford"):
        assert secret not in content
    assert settings.watchlist_key.stat().st_mode & 0o777 == 0o600
    assert settings.watchlist_db.stat().st_mode & 0o777 == 0o600


def test_a_changed_or_exchanged_record_is_refused_in_words(settings, clock) -> None:
    for label in ("one", "two"):
        add_subject(settings, "lan", draft(settings, label=label), clock)
    conn = sqlite3.connect(settings.watchlist_db)
    conn.execute("UPDATE subjects SET sealed = (SELECT sealed FROM subjects WHERE id = 'S-000002') WHERE id = 'S-000001'")
    conn.commit()
    conn.close()
    with pytest.raises(StoreError, match=r"record S-000001 does not open with this station's key"):
        list_subjects(settings, "lan", clock)


def test_a_lost_key_is_never_replaced_by_a_new_one(settings, clock) -> None:
    add_subject(settings, "lan", draft(settings), clock)
    settings.watchlist_key.unlink()
    with pytest.raises(SettingsError, match="Put the key back from the backup"):
        list_subjects(settings, "lan", clock)
    assert not settings.watchlist_key.exists()


def test_another_process_notices_a_change(settings, clock) -> None:
    reader = Watchlist(settings, clock)
    before = reader.version()
    add_subject(settings, "lan", draft(settings), clock)
    assert reader.version() != before
    assert [s.label for s in reader.subjects()] == ["Blue van"]
    reader.close()


def test_the_welfare_lane_is_for_those_in_danger(settings, clock) -> None:
    lanes = {
        c: add_subject(settings, "lan", draft(settings, category=c), clock).lane
        for c in ("organiser_broker", "courier", "repeat_crosser", "missing_person", "at_risk")
    }
    assert [c for c, lane in lanes.items() if lane is Lane.WELFARE] == ["missing_person", "at_risk"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"reported_by": " ", "corridor": "khe-da"}, "an anonymous one names nobody"),
        ({"reported_by": "Binh"}, "either a corridor or a position"),
        ({"reported_by": "Binh", "corridor": "x"}, 'There is no corridor "x"'),
        ({"reported_by": "Binh", "position": GroundPosition(16.62, 106.59), "radius_m": 0.0}, "give 1 to 2000"),
        ({"reported_by": "Binh", "corridor": "khe-da", "until_ns": NOW - 1}, "end after it begins"),
        ({"reported_by": "Binh", "corridor": "khe-da", "until_ns": NOW + 80 * 3600 * NS_PER_S}, "no longer than 72 hours"),
    ],
)
def test_a_report_has_a_person_a_place_and_a_window(settings, clock, arguments, sentence) -> None:
    subject = add_subject(settings, "lan", draft(settings), clock)
    arguments = {"from_ns": NOW, "until_ns": NOW + 3600 * NS_PER_S} | arguments
    with pytest.raises(WatchlistError, match=sentence):
        report_subject(settings, "lan", subject.id, clock=clock, **arguments)


def test_a_look_for_what_is_not_there_says_so(settings, clock) -> None:
    with pytest.raises(WatchlistError, match='There is no subject "S-999999"'):
        look_at_subject(settings, "lan", "S-999999", clock=clock)
