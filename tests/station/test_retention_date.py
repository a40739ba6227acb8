"""A date that is wrong erases nothing: what is erased by age waits for an hour, and for a person where it must."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from geofences.sector import load_sector
from station.alarms import Decision, decide
from station.journal import Gatherer, JournalFile
from station.mind import Mind
from station.own_key import ensure_station_key
from station.picture import AlarmState, AlarmView, Counts, Delta, Picture
from station.retention_inbox import InboxRetention
from station.retention_journal import JournalRetention
from station.retention_mind import MindRetention
from station.retention_show import read_retention
from station.store import INBOX, MIND, open_store
from station.store_command import run_retention
from tests.station.conftest import frame_of, point_detection
from tests.station.stored import DAY_NS, NOW_NS, a_contact, an_alarm, fill_inbox, fill_mind, look
from wire.clock import NS_PER_S, SteppedClock
from wire.messages import NodeHealth
from wire.settings import SettingsError
from wire.units import GroundPosition, TimeQuality

WAY = [(16.62115, 106.59110), (16.62090, 106.59260)]
YEARS_S = 19.6 * 365 * 86_400       # GPS counts its weeks in 10 bits
EVERYTHING = {"arrivals": 3, "contacts": 2, "alarms": 1, "blocks": 1}
NOTHING = dict.fromkeys(EVERYTHING, 0)


class Post:
    """Who erases at a station, on one clock: the mind, the inbox and the web server, over restarts.

    There are: an alarm that is closed, the contact that it is about, one that raised nothing, the messages that made them,
    a node's health, and a block of the journal.
    """

    def __init__(self, settings) -> None:
        self.settings = settings
        ensure_station_key(settings)
        walker, nobody = (a_contact(k, WAY, tracks=[f"cam-1/1/gate/{k}"]) for k in (1, 2))
        alarm = an_alarm(1, walker)
        assert decide(alarm, Decision(AlarmState.CLOSED, "lan", "animal"), NOW_NS + NS_PER_S) is None
        seen = [frame_of("gate", NOW_NS, point_detection(GroundPosition(*WAY[0]), track=k)) for k in (1, 2)]
        health = NodeHealth(NOW_NS, 1.0, 1, 0, 1.0, {}, 0, 0, 0, 1.0, 1.0, TimeQuality.NTP, True)
        fill_inbox(settings, *((NOW_NS, body) for body in (*seen, health)))
        fill_mind(settings, [walker, nobody], [alarm], place=3)
        self.clock = SteppedClock(utc_ns=NOW_NS)
        file, gatherer = JournalFile(settings, self.clock), Gatherer()
        gatherer.begin(Picture(settings.realm, 0, NOW_NS, (), (), (), (), (), (), Counts(0, 0, {})))
        gatherer.take(Delta(1, NOW_NS + NS_PER_S))
        file.write(gatherer.block(), True)
        file.close()
        self._open: list[contextlib.closing] = []
        self.start()

    def start(self) -> None:
        """All processes, which did not run before or have ended."""
        self.close()
        s, clock = self.settings, self.clock
        self._open = [JournalFile(s, clock), *(open_store(p, x, s.realm, clock) for p, x in
                                               ((s.inbox_db, INBOX), (s.mind_db, MIND)))]
        journal, inbox, mind = self._open
        self.mind = MindRetention(mind, s.retention, clock)
        self._others = (InboxRetention(inbox, s, clock), JournalRetention(journal.db, s, clock))

    def close(self) -> None:
        for file in self._open:
            file.close()
        self._open = []

    def run(self, minutes: float) -> None:
        for _ in range(round(minutes)):
            self.clock.advance(60)
            self.mind.step(())
            for one in self._others:
                one.step()

    def off_for(self, days: float) -> None:
        """Switched off, and started again; the monotonic clock knows nothing of that."""
        self.clock.step_utc(days * 86_400)
        self.start()

    def there(self) -> dict[str, int]:
        s = self.settings
        of = {"arrivals": s.inbox_db, "contacts": s.mind_db, "alarms": s.mind_db, "blocks": s.journal_db}
        return {table: look(file, f"SELECT count(*) FROM {table}")[0][0] for table, file in of.items()}

    def last(self) -> int | None:
        """The date that is kept as the last right one."""
        rows = look(self.settings.mind_db, "SELECT looked_until FROM retention WHERE kind = 'date'")
        return rows[0][0] if rows else None

    def say(self, today: str = "") -> str:
        return run_retention(self.settings, "lan", SimpleNamespace(today=today), self.clock)


@pytest.fixture
def post(settings) -> Iterator[Post]:
    made = Post(settings)
    yield made
    made.close()


def test_ten_minutes_with_a_date_that_is_decades_ahead_erase_nothing(post) -> None:
    post.run(90)
    post.clock.step_utc(YEARS_S)
    post.run(10)
    post.clock.step_utc(-YEARS_S)
    post.run(90)
    assert post.there() == EVERYTHING and post.mind.date_off_days == 0


def test_ten_minutes_with_a_date_that_is_eight_days_ahead_erase_nothing(post) -> None:
    post.run(90)
    post.clock.step_utc(8 * 86_400)
    post.run(10)
    post.clock.step_utc(-8 * 86_400)
    post.run(90)
    assert post.there() == EVERYTHING


def test_what_is_over_goes_when_the_date_has_run_on_for_an_hour_and_not_before(post) -> None:
    post.run(90)
    post.off_for(20)
    post.run(55)
    assert post.there() == EVERYTHING, "it has not yet run on for an hour"
    post.run(15)
    assert post.there() == {"arrivals": 1, "contacts": 1, "alarms": 1, "blocks": 1}, "three weeks off: it goes on by itself"


def test_a_date_that_is_years_ahead_waits_for_a_person_however_long_it_runs(post) -> None:
    post.run(90)
    right_ns = post.last()
    post.clock.step_utc(YEARS_S)
    post.run(300)
    post.start()
    post.run(300)
    assert post.there() == EVERYTHING and post.last() == right_ns, "a wrong date is not learnt"
    assert post.mind.date_off_days == 7154
    assert "the date is 7154 days ahead of the last time that this station ran" in post.say()
    assert {v.date_off_days for v in read_retention(post.settings)} == {7154, 0}
    post.clock.step_utc(-YEARS_S)
    post.run(2)
    assert post.mind.date_off_days == 0 and "NOTHING IS ERASED" not in post.say()
    post.run(90)
    assert post.there() == EVERYTHING and post.last() > right_ns


def test_a_station_that_was_off_for_years_goes_on_when_somebody_says_which_day_it_is(post) -> None:
    post.run(90)
    post.off_for(1000)
    post.run(90)
    assert post.there() == EVERYTHING
    with pytest.raises(SettingsError, match="this machine's date is 2029-10-11"):
        post.say("2027-01-16")
    with pytest.raises(SettingsError, match="give it as year-month-day"):
        post.say("11.10.2029")
    post.run(5)
    assert post.there() == EVERYTHING
    assert "that is on the record" in post.say("2029-10-11")
    post.run(5)
    assert post.there() == NOTHING and post.mind.date_off_days == 0
    assert look(post.settings.record_db, "SELECT person, action, details FROM entries") == [
        ("lan", "retention.date_confirmed", '{"off_days": 1000}')
    ]


def test_a_date_of_a_clock_that_was_never_set_is_not_learnt_and_is_told(post) -> None:
    post.run(90)
    right_ns, back_s = post.last(), NOW_NS / NS_PER_S
    post.clock.step_utc(-back_s)
    post.run(90)
    assert post.last() == right_ns and post.mind.date_off_days < -20_000
    with pytest.raises(SettingsError, match="Set that right first"):
        post.say("1970-01-01")
    post.clock.step_utc(back_s)
    post.run(90)
    assert post.there() == EVERYTHING and post.last() > right_ns and post.mind.date_off_days == 0


def test_a_date_that_was_confirmed_wrongly_can_be_confirmed_again(post) -> None:
    post.run(90)
    post.clock.step_utc(400 * 86_400)
    post.say("2028-02-19")
    post.clock.step_utc(-400 * 86_400)
    post.run(90)
    assert post.mind.date_off_days == -400 and "400 days behind" in post.say()
    post.say("2027-01-15")
    post.run(90)
    assert post.mind.date_off_days == 0 and abs(post.last() - post.clock.utc_ns()) < DAY_NS


def test_a_station_that_really_ran_for_months_without_a_look_needs_nobody(post) -> None:
    post.run(90)
    post.clock.advance(100 * 86_400)
    post.run(90)
    assert post.mind.date_off_days == 0 and post.there()["blocks"] == 0


def test_a_date_that_waits_for_a_person_is_one_alarm_until_somebody_has_said_that_it_is_right(settings) -> None:
    ensure_station_key(settings)
    clock = SteppedClock(utc_ns=NOW_NS)
    mind = Mind(settings, load_sector(settings.sector), clock)

    def dated(after_s: float) -> list[AlarmView]:
        for _ in range(round(after_s / 61)):
            clock.advance(61)
            mind.pass_time()
        mind.commit(force=True)
        mind.delta()
        return [a for a in mind.picture().alarms if a.says.key.startswith("alarm.date")]

    assert dated(4000) == []
    clock.step_utc(YEARS_S)
    assert dated(1800) == []
    (alarm,) = dated(4000)
    assert (alarm.rule, alarm.says.key, alarm.says.params) == ("clock_wrong", "alarm.date_ahead", {"days": 7154})
    run_retention(settings, "lan", SimpleNamespace(today="2046-08-17"), clock)
    (alarm,) = dated(122)
    assert alarm.events[-1].reason == "recovered"
    mind.close()
