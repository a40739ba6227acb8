"""Commands that change the watchlist are one person's decision, and that person has proved who they are."""

from __future__ import annotations

import contextlib
import os
import pwd
import sqlite3
import subprocess
import sys

import pytest

from station.access import Role, add_person
from station.settings import load_station_settings
from tests.station.conftest import ROOT, write_station

PASSWORDS = {"an": "an-has-a-long-password", "hoa": "hoa-has-a-long-password"}
ADD = (
    "add", "--category", "missing_person", "--label", "Lan H.", "--reason", "reported missing", "--lawful-basis", "case 12",
    "--what-to-do", "call the centre", "--expires", "2030-06-30", "--plate", "74C-123.45",
)


@pytest.fixture
def station(tmp_path):
    settings = load_station_settings(write_station(tmp_path))
    for name, password in PASSWORDS.items():
        add_person(settings, name, Role.SUPERVISOR, password)
    return settings


def watchlist(settings, *arguments, account=None, password=None, **environment):
    """Run the command without a terminal, as cron would; a password comes on standard input."""
    named = ("--as", account) if account else ()
    return subprocess.run(
        [sys.executable, str(ROOT / "ground_station.py"), "watchlist", "--config", str(settings.file), *named, *arguments],
        cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, start_new_session=True, timeout=60,
        input=f"{password}\n" if password else "",
    )


def recorded(settings):
    with contextlib.closing(sqlite3.connect(settings.record_db)) as record:
        return {person for (person,) in record.execute("SELECT person FROM entries")}


def test_one_person_with_two_names_cannot_nominate_and_approve(station):
    for name, arguments in (("alice", ADD), ("bob", ("approve", "S-000001"))):
        done = watchlist(station, *arguments, LOGNAME=name, USER=name)
        assert done.returncode == 2 and "--as NAME" in done.stderr and "Traceback" not in done.stderr, done.stderr
    done = watchlist(station, *ADD, account="an", password=PASSWORDS["an"])
    assert done.returncode == 0 and "S-000001 is nominated" in done.stdout, done.stderr
    own = watchlist(station, "approve", "S-000001", account="an", password=PASSWORDS["an"])
    assert own.returncode != 0 and "Traceback" not in own.stderr
    wrong = watchlist(station, "approve", "S-000001", account="hoa", password=PASSWORDS["an"])
    assert wrong.returncode == 2 and "--as hoa" in wrong.stderr
    done = watchlist(station, "approve", "S-000001", account="hoa", password=PASSWORDS["hoa"])
    assert done.returncode == 0 and "is approved" in done.stdout, done.stderr
    assert {"an", "hoa"} <= recorded(station) and not {"alice", "bob"} & recorded(station)


def test_a_look_is_recorded_under_the_user_of_the_machine_and_not_under_an_invented_name(station):
    done = watchlist(station, "list", LOGNAME="alice", USER="alice")
    assert done.returncode == 0, done.stderr
    people = recorded(station)
    assert f"{pwd.getpwuid(os.getuid()).pw_name} (command line)" in people
    assert not any("alice" in person for person in people)


def test_without_a_terminal_the_command_says_how_to_authenticate(station):
    done = watchlist(station, "list", account="an")
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "--as an: there is no terminal to ask for the password" in done.stderr
