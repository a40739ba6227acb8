"""Notifiers against a real mail server and a real serial line: told once, tried again, and never a record's content."""

from __future__ import annotations

import email
import email.policy
import os
import pty
import sqlite3
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiosmtpd.controller import Controller

from geofences.sector import load_sector
from station.alarms import Decision, decide
from station.mind import Mind
from station.mind_faults import STARTING_NS
from station.notifier import (
    FIRST_PAUSE_S,
    NOTICES,
    Collector,
    NotifyError,
    Teller,
    make_notifier,
    try_notifiers,
    waiting_notices,
)
from station.notifier_health import CHECK_EVERY_S, CHECK_FAILING_EVERY_S, NotifierWatch, patience_ns
from station.picture import AlarmState, AlarmView, ChangeAlarm, Done
from station.record import Record, public_key_file, verify
from station.settings import StationSettings, load_station_settings
from station.store import open_store
from tests.station.conftest import ROOT, SECTOR, free_port, write_station
from wire.clock import NS_PER_S, SteppedClock, WallClock
from wire.settings import SettingsError


class Mailbox:
    """A real SMTP server on this machine. refusing: the answer to every message, while set."""

    def __init__(self) -> None:
        self.messages: list[email.message.EmailMessage] = []
        self.refusing: str | None = None
        self.port = free_port()
        self.controller = Controller(self, hostname="127.0.0.1", port=self.port)
        self.controller.start()

    async def handle_DATA(self, server, session, envelope):
        if self.refusing is not None:
            return self.refusing
        self.messages.append(email.message_from_bytes(envelope.content, policy=email.policy.default))
        return "250 taken"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    made = Mailbox()
    yield made
    made.controller.stop()


def with_notifiers(folder: Path, text: str) -> StationSettings:
    file = write_station(folder)
    file.write_text(file.read_text().replace("required = false", "required = true") + text)
    settings = load_station_settings(file)
    settings.make_folders()
    return settings


def email_section(port: int, more: str = "") -> str:
    return (
        f'[[notifiers]]\nkind = "email"\nname = "duty officer"\nhost = "127.0.0.1"\nport = {port}\ntls = "none"\n'
        f'sender = "tram@example.org"\nto = ["chihuy@example.org"]\n{more}'
    )


class Stage:
    """A mind whose time stands in the test's hand, and one notifier."""

    def __init__(self, settings: StationSettings) -> None:
        self.settings, self.clock = settings, SteppedClock(1_780_000_000 * NS_PER_S)
        self.mind = Mind(settings, load_sector(SECTOR), self.clock)
        self.db = open_store(settings.notices_db, NOTICES, settings.realm, self.clock)
        self.record = Record(settings, self.clock)
        self.collector = Collector(settings, self.clock, self.db)
        wanted = settings.notifiers[0]
        self.teller = Teller(
            settings, self.clock, self.db, self.record, wanted.name, make_notifier(settings, wanted, self.clock)
        )

    def pass_time(self, seconds: float) -> None:
        for _ in range(max(1, round(seconds))):
            self.clock.advance(min(1.0, seconds))
            self.mind.pass_time()
        self.mind.commit()

    def tell(self) -> int:
        self.collector.look()
        told = 0
        while self.teller.work():
            told += 1
        return told

    def close(self) -> None:
        self.mind.close()
        self.collector.close()
        self.db.close()
        self.record.close()


@pytest.fixture
def stage(station_folder: Path, mailbox: Mailbox) -> Iterator[Stage]:
    made = Stage(with_notifiers(station_folder, email_section(mailbox.port)))
    yield made
    made.close()


def test_a_station_that_nobody_watches_is_told_by_mail_once(stage: Stage, mailbox: Mailbox) -> None:
    stage.pass_time(59)
    stage.tell()
    assert mailbox.messages == []
    stage.pass_time(2)
    stage.tell()
    stage.tell()
    (message,) = mailbox.messages
    assert message["To"] == "chihuy@example.org"
    assert "Không có ai trực màn hình" in message["Subject"] and "TRAINING" in message["Subject"]
    body = message.get_content()
    assert "A-1, mức 1" in body and "Nobody watches a screen with sound" in body
    stage.pass_time(60)         # and then nobody answers that alarm either
    stage.tell()
    assert len(mailbox.messages) == 2 and "chưa có ai trả lời" in mailbox.messages[1]["Subject"]


def test_a_refused_mail_is_tried_again_with_growing_pauses_and_a_restart_forgets_nothing(stage, mailbox) -> None:
    mailbox.refusing = "451 later, please"
    stage.pass_time(61)
    assert stage.tell() == 1
    assert stage.tell() == 0, "not before its pause is over"
    stage.clock.advance(FIRST_PAUSE_S)
    assert stage.tell() == 1
    stage.clock.advance(FIRST_PAUSE_S)
    assert stage.tell() == 0, "the second pause is longer"
    ((name, count, error),) = waiting_notices(stage.settings, stage.clock)
    assert (name, count) == ("duty officer", 1) and "451" in error
    mailbox.refusing = None
    stage.db.close()
    stage.db = open_store(stage.settings.notices_db, NOTICES, stage.settings.realm, stage.clock)
    stage.collector = Collector(stage.settings, stage.clock, stage.db)
    stage.teller._db = stage.db
    stage.clock.advance(2 * FIRST_PAUSE_S)
    stage.tell()
    assert len(mailbox.messages) == 1
    assert [bool(e) for (e,) in stage.db.execute("SELECT error FROM tries ORDER BY number")] == [True, True, False]
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        stage.db.execute("DELETE FROM tries")
    actions = sqlite3.connect(stage.settings.record_db).execute("SELECT action FROM entries").fetchall()
    assert ("notice.told",) in actions
    assert verify(stage.settings.record_db, public_key_file(stage.settings)).broken is None


def test_what_was_answered_meanwhile_is_not_told(stage: Stage, mailbox: Mailbox) -> None:
    mailbox.refusing = "451 later"
    stage.pass_time(61)
    stage.tell()
    alarm = next(iter(stage.mind._desk.open.values()))
    assert stage.mind.answer(ChangeAlarm(alarm.id, AlarmState.ACKNOWLEDGED, "lan")) == Done()
    mailbox.refusing = None
    stage.clock.advance(FIRST_PAUSE_S)
    stage.tell()
    assert mailbox.messages == []
    assert stage.db.execute("SELECT done FROM notices").fetchall() == [("settled",)]


def test_a_mail_about_a_watchlist_question_says_nothing_of_the_record(stage: Stage, mailbox: Mailbox) -> None:
    from tests.station.test_rules import a_contact

    now_ns = stage.clock.utc_ns()
    stage.mind._desk.match_question("M-000077", "S-000042", a_contact(9, now_ns), "welfare", 1, now_ns)
    stage.mind.commit()
    stage.pass_time(60)
    stage.tell()
    question = next(m for m in mailbox.messages if "mức 1" in m["Subject"] and "câu hỏi" in m.get_content())
    told = question.as_string() + question.get_content()
    for secret in ("S-000042", "S-42", "M-000077", "M-77", "welfare", "C-000009", "C-9", "giúp đỡ"):
        assert secret not in told


def test_the_test_button_tells_through_each_notifier_and_says_which_failed(station_folder, mailbox) -> None:
    second = email_section(free_port()).replace("duty officer", "unreachable")
    settings = with_notifiers(station_folder, email_section(mailbox.port) + second)
    told = try_notifiers(settings, "lan", SteppedClock())
    assert told["duty officer"] == "" and "127.0.0.1" in told["unreachable"]
    assert "Thử kênh thông báo" in mailbox.messages[0]["Subject"]
    lines = sqlite3.connect(settings.record_db).execute("SELECT person, action FROM entries").fetchall()
    assert lines == [("lan", "notice.test")] * 2


def test_a_siren_is_switched_on_held_and_switched_off(station_folder: Path) -> None:
    ours, theirs = pty.openpty()
    tty.setraw(ours)
    port = os.ttyname(theirs)
    settings = with_notifiers(
        station_folder, f'[[notifiers]]\nkind = "siren"\nname = "roof"\nport = "{port}"\nseconds = 7.0\n'
    )
    heard: list[bytes] = []
    reader = threading.Thread(target=lambda: heard.extend([os.read(ours, 4), os.read(ours, 4)]))
    reader.start()
    stage = Stage(settings)
    try:
        stage.pass_time(61)
        before_ns = stage.clock.utc_ns()
        stage.tell()
        reader.join(5)
        assert heard == [bytes.fromhex("A00101A2"), bytes.fromhex("A00100A1")]
        assert stage.clock.utc_ns() - before_ns == 7 * NS_PER_S
    finally:
        stage.close()
        os.close(ours)
        os.close(theirs)


def test_a_siren_that_is_not_there_says_so(station_folder: Path) -> None:
    settings = with_notifiers(
        station_folder, '[[notifiers]]\nkind = "siren"\nname = "roof"\nport = "/dev/no-such-relay"\n'
    )
    assert "/dev/no-such-relay" in try_notifiers(settings, "lan", SteppedClock())["roof"]


@pytest.mark.parametrize(
    ("section", "line", "says"),
    [
        (email_section(25, 'tells = []\n'), "tells", "nobody_watching"),
        (email_section(25).replace("127.0.0.1", "mail.example.org"), "tls", "only to this machine"),
        (email_section(25).replace('["chihuy@example.org"]', '["a\\nb@example.org"]'), "to", "addresses"),
        ('[[notifiers]]\nkind = "siren"\nname = "roof"\nport = "/dev/ttyUSB0"\non = "zz"\n', "on", "hex"),
        (email_section(25, 'user = "lan"\n'), "user", "password_file"),
    ],
)
def test_a_notifier_that_cannot_be_is_refused_with_file_line_and_key(station_folder, section, line, says) -> None:
    with pytest.raises(SettingsError) as refused:
        with_notifiers(station_folder, section)
    text = str(refused.value)
    assert "station.toml:" in text and f"notifiers.0.{line}" in text and says in text


def test_only_events_that_matter_are_told() -> None:
    from station.notifier import _what
    from station.notifier_settings import Tells

    assert _what("nobody_watching", 0, "active", "system", "") is Tells.NOBODY_WATCHING
    assert _what("nobody_watching", 3, "active", "system", "again") is Tells.NOBODY_WATCHING
    assert _what("corridor_entry", 0, "active", "system", "") is None
    assert _what("corridor_entry", 1, "escalated", "system", "unanswered") is Tells.UNANSWERED
    assert _what("corridor_entry", 2, "escalated", "system", "unanswered_still 2") is Tells.UNANSWERED
    assert _what("corridor_entry", 2, "escalated", "system", "joined C-000002") is None
    assert _what("corridor_entry", 2, "escalated", "lan", "") is Tells.UNANSWERED
    assert _what("watchlist_match", 2, "escalated", "lan", "candidate_no C-000002") is None


def test_an_alarm_that_a_person_escalates_is_told(stage: Stage, mailbox: Mailbox) -> None:
    stage.mind._desk.node_fault("gate", True, True, stage.clock.utc_ns())
    alarm = next(iter(stage.mind._desk.open.values()))
    assert decide(alarm, Decision(AlarmState.ESCALATED, "lan", "please look"), stage.clock.utc_ns()) is None
    stage.mind.commit()
    stage.tell()
    (message,) = mailbox.messages
    assert "một nút mất liên lạc" in message.get_content() or "nút mất liên lạc" in message.get_content()


# ----------------------------------------------------------------------------------------- a notifier that tells nobody


def dead(stage: Stage) -> list[AlarmView]:
    return [a for a in stage.mind.picture().alarms if a.rule == "notifier_dead"]


def live_on(stage: Stage, seconds: float) -> None:
    """The notifiers' process and the mind, side by side."""
    for _ in range(round(seconds / 10)):
        stage.teller.look_after()
        stage.pass_time(10)


def test_a_mail_server_that_is_gone_is_an_alarm_before_anything_has_to_be_told_and_over_when_it_is_back(
    stage: Stage, mailbox: Mailbox
) -> None:
    live_on(stage, 300)
    assert dead(stage) == []
    mailbox.controller.stop()
    live_on(stage, CHECK_EVERY_S + 90)
    (alarm,) = dead(stage)
    assert (alarm.state, alarm.priority, alarm.says.key) == (AlarmState.ACTIVE, 2, "alarm.notifier_failing")
    assert alarm.says.params["notifier"] == "duty officer" and str(mailbox.port) in alarm.says.params["detail"]
    assert mailbox.messages == [], "trying is not telling"
    mailbox.controller = Controller(mailbox, hostname="127.0.0.1", port=mailbox.port)
    mailbox.controller.start()
    live_on(stage, CHECK_FAILING_EVERY_S + 20)
    (alarm,) = dead(stage)
    assert alarm.events[-1].reason == "recovered"


def test_a_notifiers_process_that_died_is_an_alarm_and_not_before_it_could_have_started(stage: Stage) -> None:
    stage.pass_time(STARTING_NS / NS_PER_S + 30)
    assert dead(stage) == []
    stage.pass_time(60)
    (alarm,) = dead(stage)
    assert alarm.says.key == "alarm.notifier_silent"
    live_on(stage, 30)
    assert dead(stage)[0].events[-1].reason == "recovered"
    stage.pass_time(patience_ns(stage.settings.notifiers[0]) / NS_PER_S + 120)
    assert dead(stage)[0].events[-1].reason == "again"


def test_a_notice_that_could_not_be_told_is_an_alarm_though_the_server_is_there(stage: Stage, mailbox: Mailbox) -> None:
    live_on(stage, 130)
    mailbox.refusing = "550 no such person"
    stage.pass_time(61)
    for _ in range(30):
        stage.tell()
        stage.pass_time(10)
    (alarm,) = dead(stage)
    assert "550" in alarm.says.params["detail"]


def test_a_clock_that_is_set_back_makes_no_notifier_dead(stage: Stage) -> None:
    live_on(stage, 200)
    stage.clock.step_utc(-7200.0)
    live_on(stage, 200)
    assert dead(stage) == []


def test_a_relay_that_was_unplugged_is_found_by_trying(station_folder: Path) -> None:
    ours, theirs = pty.openpty()
    tty.setraw(ours)
    port = os.ttyname(theirs)
    settings = with_notifiers(station_folder, f'[[notifiers]]\nkind = "siren"\nname = "roof"\nport = "{port}"\n')
    siren = make_notifier(settings, settings.notifiers[0], SteppedClock())
    siren.check()
    assert os.read(ours, 8) == bytes.fromhex("A00100A1"), "off, which changes nothing, and never on"
    os.close(ours)
    os.close(theirs)
    with pytest.raises(NotifyError, match=port):
        siren.check()


def test_the_notifiers_process_that_is_killed_becomes_an_alarm_of_the_real_station(station_folder: Path, mailbox) -> None:
    """The process itself: it notes by its own that it lives and that its server answers."""
    settings = with_notifiers(station_folder, email_section(mailbox.port))
    child = subprocess.Popen(
        [sys.executable, str(ROOT / "ground_station.py"), "serve", "--only", "notify", "--config", str(settings.file)],
        stderr=subprocess.DEVNULL,
    )
    watch = NotifierWatch(settings, NOTICES, WallClock())
    try:
        deadline = time.monotonic() + 60
        while (found := watch._read()) == {} and time.monotonic() < deadline:
            time.sleep(0.2)
    finally:
        child.kill()
        child.wait()
    health = found["duty officer"]
    assert health.error == "" and watch.look(health.alive_ns)["duty officer"] == (True, "")
    long_after_ns = health.alive_ns + patience_ns(settings.notifiers[0]) + NS_PER_S
    assert watch.look(long_after_ns)["duty officer"] == (False, "")
    watch.close()
