"""Accounts, sessions, and the brake on guessing."""

import time

import argon2
import pytest

from station import access
from station.access import AccessError, People, Role, add_person, ensure_administrator, list_people, set_password
from wire.clock import SteppedClock
from wire.settings import SettingsError
from wire.units import Realm

QUICK = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)     # what is tested here is what stands around it
PASSWORD = "ba con vit ngoi ben song"


@pytest.fixture
def clock():
    return SteppedClock()


@pytest.fixture
def people(settings, clock):
    it = People(settings.people_db, settings.realm, clock, QUICK)
    yield it
    it.close()


@pytest.fixture
def lan(people):
    people.add("lan", Role.OPERATOR, PASSWORD)
    return "lan"


def test_the_first_start_makes_an_administrator_once(settings):
    word = ensure_administrator(settings)
    assert word is not None and len(word) >= 16
    assert ensure_administrator(settings) is None
    assert [(p.name, p.role, p.must_change_password) for p in list_people(settings)] == [("admin", Role.ADMINISTRATOR, True)]


def test_neither_password_nor_token_stand_in_the_file(settings, people, lan):
    session = people.log_in(lan, PASSWORD, "10.0.0.1")
    people.close()
    content = b"".join(p.read_bytes() for p in settings.data_dir.glob("people.db*"))
    assert PASSWORD.encode() not in content and session.token.encode() not in content
    assert b"$argon2id$" in content


def test_the_file_is_its_owners_alone(settings, people):
    assert settings.people_db.stat().st_mode & 0o077 == 0


def test_a_right_password_opens_a_session_and_a_logout_ends_it(people, lan):
    session = people.log_in(lan, PASSWORD, "10.0.0.1")
    assert people.session(session.token).person.name == "lan"
    people.log_out(session.token)
    assert people.session(session.token) is None


@pytest.mark.parametrize("name, password", [("lan", "wrong"), ("nobody", PASSWORD), ("", ""), ("lan", "x" * 100_000)])
def test_a_wrong_name_and_a_wrong_password_read_the_same(people, lan, name, password):
    with pytest.raises(AccessError) as error:
        people.log_in(name, password, "10.0.0.1")
    assert error.value.says.key == "refused.login"


def test_a_name_that_does_not_exist_takes_as_long_as_a_wrong_password(settings, clock):
    people = People(settings.people_db, settings.realm, clock, argon2.PasswordHasher(parallelism=1))
    people.add("lan", Role.OPERATOR, PASSWORD)

    def seconds(name, address):
        took = []
        for i in range(3):
            start = time.process_time()
            with pytest.raises(AccessError):
                people.log_in(name, "wrong password", f"{address}.{i}")
            took.append(time.process_time() - start)
        return sorted(took)[1]

    known, unknown = seconds("lan", "10.0.1"), seconds("stranger", "10.0.2")
    assert unknown > known / 2
    assert known > 0.01, "argon2 was not asked at all"
    people.close()


def test_a_session_ends_when_nobody_uses_it(people, lan, clock):
    token = people.log_in(lan, PASSWORD, "10.0.0.1").token
    for _ in range(5):
        clock.advance(access.IDLE_S - 1)
        assert people.session(token) is not None
    clock.advance(access.IDLE_S + 1)
    assert people.session(token) is None


def test_a_session_ends_after_a_shift_however_much_it_is_used(people, lan, clock):
    token = people.log_in(lan, PASSWORD, "10.0.0.1").token
    for _ in range(access.ABSOLUTE_S // 1800 - 1):
        clock.advance(1800)
        assert people.session(token) is not None
    clock.advance(1801)
    assert people.session(token) is None


def test_a_session_survives_a_restart(settings, people, lan, clock):
    token = people.log_in(lan, PASSWORD, "10.0.0.1").token
    people.close()
    again = People(settings.people_db, settings.realm, clock, QUICK)
    assert again.session(token).person.name == "lan"
    again.close()


def test_guessing_is_braked_and_a_restart_does_not_lift_the_brake(settings, people, lan, clock):
    for _ in range(access.FAILURES_HERE):
        with pytest.raises(AccessError, match="wrong"):
            people.log_in(lan, "guess", "10.0.0.1")
    people.close()
    again = People(settings.people_db, settings.realm, clock, QUICK)
    with pytest.raises(AccessError, match="too many") as error:
        again.log_in(lan, PASSWORD, "10.0.0.1")
    assert error.value.retry_after_s == access.FAILURE_WINDOW_S
    assert again.log_in(lan, PASSWORD, "10.0.0.2").person.name == "lan", "a stranger must not lock out lan elsewhere"
    clock.advance(access.FAILURE_WINDOW_S + 1)
    assert again.log_in(lan, PASSWORD, "10.0.0.1").person.name == "lan"
    again.close()


def test_one_address_cannot_try_everybody(people, clock):
    for i in range(access.FAILURES_OF_ADDRESS):
        with pytest.raises(AccessError, match="wrong"):
            people.log_in(f"person-{i}", "guess", "10.0.0.1")
    with pytest.raises(AccessError, match="too many"):
        people.log_in("yet another", "guess", "10.0.0.1")


def test_right_logins_do_not_wear_out_the_brake(people, lan):
    for _ in range(access.FAILURES_HERE + 3):
        people.log_in(lan, PASSWORD, "10.0.0.1")


def test_a_one_time_password_must_be_changed_and_the_change_ends_other_sessions(people):
    word = people.add("minh", Role.PILOT)
    other, mine = people.log_in("minh", word, "10.0.0.1"), people.log_in("minh", word, "10.0.0.2")
    assert mine.person.must_change_password
    fresh = people.change_password(mine, word, PASSWORD, "10.0.0.2")
    assert not fresh.person.must_change_password
    assert people.session(other.token) is None and people.session(mine.token) is None
    assert people.session(fresh.token) is not None
    with pytest.raises(AccessError):
        people.log_in("minh", word, "10.0.0.3")


@pytest.mark.parametrize("new, key", [("short", "refused.password_length"), (PASSWORD, "refused.same_password"),
                                      ("x" * 257, "refused.password_length")])
def test_a_new_password_is_long_enough_and_new(people, lan, new, key):
    session = people.log_in(lan, PASSWORD, "10.0.0.1")
    with pytest.raises(AccessError) as error:
        people.change_password(session, PASSWORD, new, "10.0.0.1")
    assert error.value.says.key == key
    assert people.session(session.token) is not None


def test_a_stolen_session_cannot_set_a_password_without_the_present_one(people, lan):
    session = people.log_in(lan, PASSWORD, "10.0.0.1")
    with pytest.raises(AccessError) as error:
        people.change_password(session, "guess", "a long new password", "10.0.0.1")
    assert error.value.says.key == "refused.old_password"


def test_a_password_set_on_the_command_line_ends_the_sessions(settings, people, lan):
    token = people.log_in(lan, PASSWORD, "10.0.0.1").token
    word = set_password(settings, "lan")
    assert people.session(token) is None
    assert people.log_in("lan", word, "10.0.0.1").person.must_change_password


def test_names_are_taken_once_and_have_to_be_names(settings):
    add_person(settings, "lan", Role.OPERATOR, PASSWORD)
    with pytest.raises(AccessError, match="has an account already"):
        add_person(settings, "lan", Role.PILOT)
    for bad in ("", " lan", "x" * 65, "a\nb"):
        with pytest.raises(AccessError, match="a name has"):
            add_person(settings, bad, Role.PILOT)
    with pytest.raises(AccessError, match="no account"):
        set_password(settings, "nobody")


def test_people_of_the_other_realm_are_refused_in_words(settings, people):
    people.close()
    with pytest.raises(SettingsError, match="training realm"):
        People(settings.people_db, Realm.LIVE, SteppedClock())
