"""`watchlist explain` prints what the screen shows, from what the mind has kept; where nothing was asked, why not."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from geofences.sector import load_sector
from ground_station import main
from station.language import words
from station.picture import DecideMatch, Done, MatchState
from station.settings import MatchingSettings, StationSettings
from station.watchlist import WatchlistError, add_subject, expire_subject, report_subject
from station.watchlist_explain import explain, shown
from tests.station.test_questions import FIELDS, Station, drive, place
from wire.clock import NS_PER_S

LAOBAO = Path(__file__).resolve().parents[2] / "configs" / "sectors" / "laobao" / "sector.toml"


@pytest.fixture
def station(settings: StationSettings) -> Iterator[Station]:
    made = Station(settings, load_sector(LAOBAO))
    yield made
    made.close()


def said(station: Station, language: str):
    names = {c.id: c.name for c in station.sector.corridor_set.corridors}
    return words(language, names, station.sector.utc_offset_min)


def looks(station: Station) -> list[tuple[str, str]]:
    conn = sqlite3.connect(station.settings.record_db)
    try:
        rows = conn.execute("SELECT person, details FROM entries WHERE action = 'watchlist.looked' ORDER BY number")
        return [(p, str(d)) for p, d in rows]
    finally:
        conn.close()


@pytest.mark.parametrize("language", ["vi", "en"])
def test_a_question_is_printed_as_it_stands_on_the_screen_and_the_look_is_recorded(
    station, sender, frame, detection, language
) -> None:
    """tests/browser/test_match_explained.py holds the screen to the very same lines."""
    subject = station.list_subject(corridors="ben-song", hours="01:00-02:00", vehicles="75A-111.11")
    drive(station, sender(), frame, detection, "74C-I23.45")
    (match,) = station.mind._questions.matches.values()
    printed = explain(station.settings, "huong", "C-1", subject, language).split("\n")
    assert printed == shown(match, said(station, language))
    assert len(printed) == 4 + len(match.evidence), "question, head, strength, evidence, standing"
    (view,) = station.mind.picture().matches
    assert view.evidence == match.evidence and view.bits == match.bits, "and so does the screen"
    ((person, details),) = looks(station)
    assert person == "huong" and subject in details and "C-000001" in details


def test_the_answer_is_printed_too(station, sender, frame, detection) -> None:
    subject = station.list_subject()
    drive(station, sender(), frame, detection, "74C-123.45")
    (match,) = station.mind.picture().matches
    assert station.mind.answer(DecideMatch(match.id, MatchState.REJECTED, "lan", "the postman")) == Done()
    station.mind.commit()
    assert explain(station.settings, "lan", "C-000001", subject, "en").split("\n")[-1] == "An officer answered: no"


def test_where_nothing_was_asked_it_says_why_and_what_there_is(station, sender, frame, detection) -> None:
    other = station.list_subject(plates="74C-543.21")
    over = station.list_subject(plates="74C-123.45")
    expire_subject(station.settings, "lan", over)
    draft_only = add_subject(station.settings, "lan", station.draft(FIELDS))
    drive(station, sender(), frame, detection, "74C-123.45")
    assert station.mind.picture().matches == ()

    def why(subject: str) -> list[str]:
        return explain(station.settings, "lan", "C-1", subject, "en").split("\n")

    assert why(other) == [
        "No question was asked about C-1 and subject " + other + ".",
        "There is no identifier (a plate, a known vehicle, a report by name). Circumstance alone names nobody.",
    ]
    assert why(over)[1] == "The record has expired and matches nothing any more."
    assert why(draft_only.id)[1] == "The record was not approved by a second person and matches nothing yet."
    assert len(looks(station)) == 3, "every one of these looks"


def test_what_was_not_asked_weighs_as_matching_weighs_it(station, sender, frame, detection) -> None:
    """A report that several contacts have fitted says less of each; explain counts what the mind has counted."""
    subject = station.list_subject(category="missing_person", plates="")
    now_ns = time.time_ns()
    report_subject(
        station.settings, "lan", subject, now_ns - 1800 * NS_PER_S, now_ns + 1800 * NS_PER_S, "Mai", "khe-da"
    )
    station.mind._questions._matching = MatchingSettings(threshold_bits=99.0)
    node = sender()
    for track, along in enumerate((50, 90, 130), 1):
        for i in range(4):
            node.send(frame("gate-1", time.time_ns() + i, detection(place(station, along), track=track)))
        station.deliver(node)
    station.mind.commit()
    contacts = [c.id for c in station.mind.picture().contacts]
    assert len(contacts) == 3 and not station.mind.picture().matches
    for contact in contacts:
        printed = explain(station.settings, "lan", contact, subject, "en")
        assert "The evidence is not enough to ask." in printed and "; 3 contacts fit this" in printed


@pytest.mark.parametrize(
    ("contact", "subject", "sentence"),
    [("17", "S-000001", "is no contact"), ("C-99", "S-000001", "There is no contact C-000099"),
     ("C-1", "S-000009", 'There is no subject "S-000009"'), ("C-1", "x; DROP TABLE", "There is no subject")],
)
def test_what_is_not_there_is_said(station, sender, frame, detection, contact, subject, sentence) -> None:
    station.list_subject()
    drive(station, sender(), frame, detection, None)
    with pytest.raises(WatchlistError, match=sentence):
        explain(station.settings, "lan", contact, subject, "en")


def test_on_the_command_line(station, sender, frame, detection, capsys) -> None:
    subject = station.list_subject()
    drive(station, sender(), frame, detection, "74C-123.45")
    (match,) = station.mind._questions.matches.values()
    arguments = ["watchlist", "--config", str(station.settings.file), "explain", "C-1", subject, "--language", "en"]
    assert main(arguments) == 0
    assert capsys.readouterr().out.rstrip("\n").split("\n") == shown(match, said(station, "en"))
