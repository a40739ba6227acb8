"""The login leads to the page that was asked for, and to none but our own."""

import sqlite3
from urllib.parse import quote

import pytest
from playwright.sync_api import expect

from station.access import Role, add_person
from tests.scene import scene
from tests.web_stage import PASSWORD

ELSEWHERE = [
    "//elsewhere.example/x", "https://elsewhere.example/", "/\\elsewhere.example", "\\\\elsewhere.example",
    "/\t/elsewhere.example", "/.//elsewhere.example", "javascript:window.pwned=1", "data:text/html,x", "///",
    "elsewhere.example", "/login?to=/login", "/api/picture",
]


def say_who(page, password=PASSWORD, name="lan"):
    page.fill("#name", name)
    page.fill("#password", password)
    page.press("#password", "Enter")


@pytest.fixture
def chief(stage):
    add_person(stage.settings, "chi", Role.SUPERVISOR, PASSWORD)
    stage.mind(scene())
    return stage


def test_the_page_that_was_asked_for_comes_after_a_wrong_password_and_after_a_session_that_ended(chief, watched):
    watched.goto(f"{chief.address}/admin#people")
    say_who(watched, "not it at all", "chi")
    expect(watched.locator(".problem")).to_have_text("Tên hoặc mật khẩu không đúng.")
    say_who(watched, name="chi")
    watched.wait_for_url(f"{chief.address}/admin#people")
    watched.wait_for_selector(".section h2")
    with sqlite3.connect(chief.settings.people_db) as db:
        db.execute("DELETE FROM sessions")
    watched.goto(f"{chief.address}/replay?speed=2")
    say_who(watched, name="chi")
    watched.wait_for_url(f"{chief.address}/replay?speed=2")
    watched.wait_for_selector(".replay-bar")


def test_whoever_chooses_a_password_first_comes_to_the_page_that_was_asked_for_too(chief, watched):
    word = add_person(chief.settings, "minh", Role.OPERATOR)
    watched.goto(f"{chief.address}/watchlist")
    say_who(watched, word, "minh")
    watched.fill("#old", word)
    for field in ("#fresh", "#again"):
        watched.fill(field, "cau mat khau rieng")
    watched.press("#again", "Enter")
    watched.wait_for_url(f"{chief.address}/watchlist")


def test_a_login_leads_nowhere_but_to_a_page_of_our_own(chief, watched):
    """Who has a session is led on at once, so that one login tries them all."""
    watched.goto(f"{chief.address}/login")
    say_who(watched)
    watched.wait_for_url(f"{chief.address}/")
    asked_for = set()
    watched.on("request", lambda request: asked_for.add(request.url.split("/")[2]))
    for to in ELSEWHERE:
        watched.goto(f"{chief.address}/login?to={quote(to, safe='')}")
        watched.wait_for_url(f"{chief.address}/")
    assert watched.evaluate("window.pwned") is None
    assert asked_for == {chief.address.split("/")[2]}
