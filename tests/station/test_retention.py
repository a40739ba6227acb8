"""What is erased when its time is over, what stays and why, and that nothing of it is silent."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from station.alarms import Decision, decide
from station.matching import Match
from station.picture import AlarmState
from station.retention_inbox import InboxRetention
from station.retention_mind import MindRetention
from station.retention_settings import RetentionSettings
from station.settings import load_station_settings
from station.store import INBOX, MIND, open_store
from tests.station.conftest import frame_of, point_detection, write_station
from tests.station.stored import DAY_NS, NOW_NS, a_contact, an_alarm, believe_date, fill_inbox, fill_mind, look
from wire.clock import NS_PER_S, SteppedClock
from wire.messages import Box, NodeHealth, Snapshot
from wire.settings import SettingsError
from wire.units import GroundPosition, TimeQuality

HERE = GroundPosition(16.62115, 106.59110)
WAY = [(16.62115, 106.59110), (16.62090, 106.59260)]
HOUR_NS = 3600 * NS_PER_S


def closed(number, contact=None, at_ns=NOW_NS):
    alarm = an_alarm(number, contact, at_ns)
    assert decide(alarm, Decision(AlarmState.CLOSED, "lan", "animal"), at_ns + NS_PER_S) is None
    return alarm


def question(number: int, contact: str, at_ns: int = NOW_NS) -> Match:
    return Match(number, contact, "S-000001", "enforcement", 1, at_ns, 12.0, "plate", ())


def tend_mind(settings, days: float, in_incidents=(), steps: int = 8) -> None:
    """As a mind would that looks so many days after NOW_NS, and has not been off for long before that."""
    clock = SteppedClock(utc_ns=NOW_NS + round(days * DAY_NS) - HOUR_NS)
    believe_date(settings, clock.utc_ns())
    conn = open_store(settings.mind_db, MIND, settings.realm, clock)
    retention = MindRetention(conn, settings.retention, clock)
    clock.advance(3600)
    for _ in range(steps):
        clock.advance(61)
        retention.step(in_incidents)
    conn.close()


def tend_inbox(settings, days: float, steps: int = 12) -> None:
    clock = SteppedClock(utc_ns=NOW_NS + round(days * DAY_NS) - HOUR_NS)
    if settings.mind_db.exists():
        believe_date(settings, clock.utc_ns())
    conn = open_store(settings.inbox_db, INBOX, settings.realm, clock)
    retention = InboxRetention(conn, settings, clock)
    clock.advance(3600)
    for _ in range(steps):
        clock.advance(61)
        retention.step()
    conn.close()


def ids(settings, table="contacts", column="id"):
    return [r[0] for r in look(settings.mind_db, f"SELECT {column} FROM {table} ORDER BY 1")]


def test_who_raised_nothing_goes_first_with_everything_and_who_raised_an_alarm_stays(settings) -> None:
    nobody, somebody = a_contact(1, WAY, tracks=["cam-1/1/gate/1"], corridors=["khe-da"]), a_contact(2, WAY, tracks=["x"])
    fill_mind(settings, [nobody, somebody], [closed(1, somebody)])
    tend_mind(settings, 6.9)
    assert ids(settings) == ["C-000001", "C-000002"], "not yet"
    tend_mind(settings, 7.1)
    assert ids(settings) == ["C-000002"]
    for table in ("trail", "contact_tracks"):
        assert set(ids(settings, table, "contact")) == {"C-000002"}
    assert ids(settings, "contact_place") == [2] and ids(settings, "contact_corridors", "contact") == []
    assert look(settings.mind_db, "SELECT kind, count FROM erased WHERE count > 0") == [("contacts", 1)]


def test_an_alarm_goes_with_its_events_and_its_contact_when_its_own_time_is_over(settings) -> None:
    walker = a_contact(1, WAY)
    fill_mind(settings, [walker], [closed(1, walker)])
    tend_mind(settings, 729)
    assert ids(settings, "alarms") == ["A-000001"]
    tend_mind(settings, 731)
    for table in ("alarms", "alarm_events", "alarm_contacts", "contacts", "trail", "erasing"):
        assert look(settings.mind_db, f"SELECT count(*) FROM {table}") == [(0,)], table
    assert dict(look(settings.mind_db, "SELECT kind, count FROM erased")) == {"alarms": 1, "contacts": 1}


def test_nothing_goes_that_an_open_alarm_an_incident_or_a_question_needs(settings) -> None:
    people = [a_contact(k, WAY) for k in range(1, 6)]
    asked = closed(4, people[3])
    asked.matches, asked.match = ["M-000001"], "M-000001"
    fill_mind(
        settings, people,
        [an_alarm(1, people[0]), closed(2, people[1]), closed(3, people[2]), asked],
        [question(1, "C-000004"), question(2, "C-000005")],
    )
    tend_mind(settings, 10_000, in_incidents=["A-000002"])
    assert ids(settings, "alarms") == ["A-000001", "A-000002", "A-000004"]
    assert ids(settings) == ["C-000001", "C-000002", "C-000004", "C-000005"]
    assert ids(settings, "matches") == ["M-000001", "M-000002"]


def test_a_contact_stays_while_the_one_it_was_merged_into_stays(settings) -> None:
    kept, into_kept, alone = a_contact(1, WAY), a_contact(2, WAY), a_contact(3, WAY)
    into_kept.merged_into, alone.merged_into = 1, 9
    fill_mind(settings, [kept, into_kept, alone], [an_alarm(1, kept)])
    tend_mind(settings, 8)
    assert ids(settings) == ["C-000001", "C-000002"]


def test_who_is_still_there_is_never_erased(settings) -> None:
    fill_mind(settings, [a_contact(1, WAY, ended=False)])
    tend_mind(settings, 10_000)
    assert ids(settings) == ["C-000001"]


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_is_stored_exactly_the_unneeded_of_before_the_limit_goes(settings, data) -> None:
    settings.mind_db.unlink(missing_ok=True)
    count = data.draw(st.integers(0, 12))
    ages = data.draw(st.lists(st.integers(0, 12), min_size=count, max_size=count))
    alarmed = data.draw(st.sets(st.integers(1, max(1, count))))
    contacts = [a_contact(k + 1, WAY[:1], at_ns=NOW_NS - age * DAY_NS) for k, age in enumerate(ages)]
    fill_mind(settings, contacts, [an_alarm(k, contacts[k - 1]) for k in sorted(alarmed) if k <= count])
    tend_mind(settings, 0.5)
    assert ids(settings) == [
        c.id for c, age in zip(contacts, ages, strict=True) if c.number in alarmed or age + 0.5 <= 7.0
    ]


# ------------------------------------------------------------------------------------------------------------- the inbox


def frame(track: int, at_ns: int = NOW_NS):
    return at_ns, frame_of("gate", at_ns, point_detection(HERE, track=track))


def health(at_ns: int = NOW_NS):
    return at_ns, NodeHealth(at_ns, 1.0, 1, 0, 1.0, {}, 0, 0, 0, 1.0, 1.0, TimeQuality.NTP, True)


def test_detections_follow_the_contacts_that_they_made_and_states_have_a_time_of_their_own(settings) -> None:
    snapshot = Snapshot("gate", 1, NOW_NS, b"\xff\xd8old", Box(1.0, 1.0, 2.0, 2.0))
    needed, *_ = fill_inbox(settings, frame(1), frame(2), health(), (NOW_NS, snapshot), frame(3, NOW_NS + 9 * DAY_NS))
    somebody = a_contact(1, WAY, tracks=["cam-1/1/gate/1"])
    fill_mind(settings, [somebody], [an_alarm(1, somebody)], place=5)
    tend_inbox(settings, 8)
    assert [r[0] for r in look(settings.inbox_db, "SELECT id FROM arrivals")] == [1, 3, 4, 5], "only track 2 made nothing"
    assert look(settings.inbox_db, "SELECT arrival FROM detections") == [(1,), (5,)]
    assert look(settings.inbox_db, "SELECT arrival FROM kept") == [(1,), (4,)]
    tend_inbox(settings, 15)
    assert look(settings.inbox_db, "SELECT kind FROM arrivals WHERE kind = 'health'") == []
    assert needed == 1 and dict(look(settings.inbox_db, "SELECT kind, count FROM erased")) == {"detections": 1, "health": 1}


def test_what_was_kept_for_an_alarm_goes_when_the_alarm_has_gone(settings) -> None:
    fill_inbox(settings, frame(1))
    somebody = a_contact(1, WAY, tracks=["cam-1/1/gate/1"])
    fill_mind(settings, [somebody], [closed(1, somebody)], place=1)
    tend_inbox(settings, 8)
    assert look(settings.inbox_db, "SELECT count(*) FROM detections") == [(1,)]
    tend_mind(settings, 731)
    tend_inbox(settings, 731)
    for table in ("arrivals", "detections", "kept"):
        assert look(settings.inbox_db, f"SELECT count(*) FROM {table}") == [(0,)], table


def test_nothing_goes_that_the_mind_has_not_read_and_nothing_without_its_word(settings) -> None:
    fill_inbox(settings, frame(1), frame(2))
    tend_inbox(settings, 100)
    assert look(settings.inbox_db, "SELECT count(*) FROM arrivals") == [(2,)], "there is no mind"
    fill_mind(settings, place=1)
    tend_inbox(settings, 100)
    assert look(settings.inbox_db, "SELECT id FROM arrivals") == [(2,)]


def test_an_id_never_comes_back_after_the_newest_was_erased(settings) -> None:
    fill_inbox(settings, frame(1), frame(2))
    fill_mind(settings, place=2)
    tend_inbox(settings, 100)
    assert fill_inbox(settings, frame(3)) == [3]


def test_what_is_erased_leaves_no_trace_in_the_file(settings) -> None:
    fill_inbox(settings, (NOW_NS, Snapshot("gate", 1, NOW_NS, b"\xff\xd8" + b"a face " * 3000, Box(1.0, 1.0, 2.0, 2.0))))
    fill_mind(settings, place=1)
    assert b"a face a face" in settings.inbox_db.read_bytes()
    tend_inbox(settings, 8)
    look(settings.inbox_db, "PRAGMA wal_checkpoint(TRUNCATE)")
    assert b"a face a face" not in settings.inbox_db.read_bytes()


# ----------------------------------------------------------------------------------------------------------- the settings


@pytest.mark.parametrize(("line", "said"), [
    ("unmatched_days = 0.5", "retention.unmatched_days: 0.5: give 1 to 36500 days, for example 7"),
    ("unmatched_days = 100", "who matched nothing is kept the shortest; footage_days is 90"),
    ("journal_days = 3", "journal_days is 3. Give less than that"),
    ("allarms_days = 3", "retention.allarms_days"),
])
def test_a_retention_that_cannot_be_is_refused_in_words(station_folder, line, said) -> None:
    file = write_station(station_folder)
    file.write_text(file.read_text() + f"\n[retention]\n{line}\n")
    with pytest.raises(SettingsError) as refused:
        load_station_settings(file)
    assert said in str(refused.value)


def test_without_settings_the_unmatched_are_kept_longer_than_a_node_without_a_link_keeps_them(settings) -> None:
    assert settings.retention == RetentionSettings() and settings.retention.unmatched_days > 3
    assert json.loads(json.dumps(settings.retention.unmatched_days)) == 7.0
