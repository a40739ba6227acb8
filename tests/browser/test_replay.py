"""Replay on a whole station: what was on the screen is there again, marked as the past, and nothing can be done in it."""

from __future__ import annotations

import os
import sqlite3
import time
from pathlib import Path

from playwright.sync_api import expect

from station.picture import Counts, Picture
from tests.browser.conftest import enter
from tests.browser.whole_station import enter_first, walk
from tests.scene import S
from wire.units import Realm

SHOTS = os.environ.get("TRAILWATCH_SCREENSHOTS")


def shot(page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def kept_until(page, address, at_ns, seconds=60.0):
    """Until the journal, which writes each ten seconds, has what the screen showed then."""
    until = time.monotonic() + seconds
    while (page.request.get(f"{address}/api/replay").json()["last_ns"] or 0) < at_ns:
        assert time.monotonic() < until
        time.sleep(0.2)


def test_what_the_screen_showed_is_shown_again_and_nothing_can_be_done_in_it(serving, watched) -> None:
    settings, one_time = serving
    enter_first(watched, settings, one_time)
    walk(settings, 60)
    expect(watched.locator(".card.open")).to_be_visible()
    watched.keyboard.press("a")
    expect(watched.locator(".card.done")).to_contain_text("admin")
    taken_ns = time.time_ns()
    kept_until(watched, f"http://127.0.0.1:{settings.web.port}", taken_ns)
    watched.locator("a.replay").click()
    watched.wait_for_selector("body[data-map=ready]", timeout=120_000)
    assert watched.url.endswith("/replay")
    bar = watched.locator(".replay-bar")
    expect(bar).to_contain_text("PHÁT LẠI")
    # Before the walker was seen there was no alarm; it comes up again as the past goes on.
    (raised_ns,) = sqlite3.connect(settings.mind_db).execute("SELECT raised_ns FROM alarms").fetchone()
    watched.select_option(".replay-bar select", "0.5")
    watched.evaluate(
        "async (at) => (await import('/static/feed.js')).tellStation({ seek_ns: at, paused: true })",
        raised_ns - 3_000_000_000,
    )
    expect(watched.locator(".replay-pause")).to_have_text("Phát tiếp")
    expect(watched.locator(".card")).to_have_count(0)
    watched.locator(".replay-pause").click()
    card = watched.locator(".card.open", has_text="Người trong hành lang Đường mòn Khe Đá")
    expect(card).to_be_visible()
    watched.locator(".replay-pause").click()
    expect(watched.locator(".replay-pause")).to_have_text("Phát tiếp")
    held = watched.locator(".replay-clock").text_content()
    card.click()
    expect(watched.locator("#drawer")).to_be_visible()
    shot(watched, "replay-paused-vi")
    time.sleep(2)
    assert watched.locator(".replay-clock").text_content() == held, "a replay that is paused stands still"
    # The past decides nothing: no button, no key, no request.
    expect(watched.locator("#drawer .decision")).to_have_count(0)
    events = "SELECT count(*) FROM alarm_events"
    before = sqlite3.connect(settings.mind_db).execute(events).fetchone()
    watched.keyboard.press("a")
    watched.keyboard.press("e")
    told = watched.evaluate(
        "async () => { const me = await (await fetch('/api/me?replay=yes')).json();"
        " const alarm = document.querySelector('.card').dataset.id ?? 'A-000001';"
        " const headers = { 'Content-Type': 'application/json', 'X-CSRF-Token': me.csrf };"
        " const body = JSON.stringify({ to: 'escalated', reason: '' });"
        " const answer = await fetch(`/api/alarms/${alarm}`, { method: 'POST', headers, body });"
        " return [me.decides, me.csrf, answer.status]; }"
    )
    assert told == [False, "", 403]
    assert sqlite3.connect(settings.mind_db).execute(events).fetchone() == before
    # Nothing sounds: not one tone was made, and no AudioContext.
    assert watched.evaluate("async () => (await import('/static/sound.js')).soundState()") != "on"
    # To the end, and back to where the walker was not there yet.
    watched.locator(".replay-pause").click()
    watched.select_option(".replay-bar select", "60")
    expect(watched.locator(".replay-said")).to_have_text("hết khoảng phát lại")
    expect(watched.locator(".card.done")).to_contain_text("admin")
    watched.select_option(".replay-bar select", "0.5")      # at 60x the walker is there again before anybody looks
    slider = watched.locator(".replay-bar input[type=range]")
    slider.fill("0")
    expect(watched.locator(".card")).to_have_count(0)
    # Dragged away and put back, which the browser does not call a change: it goes on showing where the past has got to.
    box = slider.bounding_box()
    at = box["x"] + 8, box["y"] + box["height"] / 2
    watched.mouse.move(*at)
    watched.mouse.down()
    before = slider.input_value()
    watched.mouse.move(at[0] + 60, at[1], steps=4)
    assert slider.input_value() != before
    watched.mouse.move(*at, steps=4)
    watched.mouse.up()
    put = slider.input_value()
    watched.wait_for_function("(put) => document.querySelector('.replay-bar input[type=range]').value !== put", arg=put)
    watched.keyboard.press("Escape")        # out of the slider
    watched.keyboard.press("l")
    expect(bar).to_contain_text("REPLAY")
    watched.locator(".replay-bar summary").click()
    expect(watched.locator(".replay-bar form")).to_be_visible()
    shot(watched, "replay-interval-en")
    # On the record, with the name of who looked.
    looks = sqlite3.connect(settings.record_db).execute(
        "SELECT person, details FROM entries WHERE action = 'replay.opened'"
    ).fetchall()
    assert [person for person, _ in looks] == ["admin"]
    assert watched.seen["errors"] == []
    assert [m for m in watched.seen["console"] if "Content Security Policy" in m] == []
    assert watched.locator(".replay-live").get_attribute("href") == "/"


def test_a_time_of_which_nothing_was_kept_is_said_and_not_invented(serving, watched) -> None:
    settings, one_time = serving
    enter_first(watched, settings, one_time)
    watched.goto(f"http://127.0.0.1:{settings.web.port}/replay?from=1000000000000000000&to=1000000060000000000")
    watched.wait_for_selector("body[data-map=ready]", timeout=120_000)
    expect(watched.locator(".replay-said")).to_have_text("không lưu dữ liệu của khoảng này")
    expect(watched.locator(".card")).to_have_count(0)


def test_of_a_time_before_anything_was_kept_it_is_said_so_and_nobody_is_told_to_add_a_node(stage, watched) -> None:
    now = time.time_ns()
    quiet = Picture(Realm.TRAINING, 0, now, (), (), (), (), (), (), Counts(0, 0, {}))
    mind = stage.mind(quiet)
    enter(watched, stage)
    expect(watched.locator(".queue .empty")).to_contain_text("trailwatch edge")     # of now it says what to do next
    watched.goto(f"{stage.address}/replay?from={now - 3600 * S}&to={now - 1800 * S}")
    empty, bar = watched.locator(".queue .empty"), watched.locator(".replay-bar")
    expect(empty).to_contain_text("Không lưu dữ liệu của khoảng này")
    expect(bar).to_contain_text("không lưu dữ liệu của khoảng này")
    assert "nodes.toml" not in watched.locator("body").inner_text() and "trailwatch edge" not in empty.inner_text()
    # From before the beginning into what is there: it begins where something was kept, and says when.
    mind.say(counts=Counts(1, 0, {}))
    kept_until(watched, stage.address, now)
    watched.goto(f"{stage.address}/replay?from={now - 3600 * S}&to={now + 3600 * S}&speed=0.5")
    expect(bar).to_contain_text("dữ liệu lưu từ ")
    expect(empty).to_contain_text("Lúc đó không có cảnh báo nào chờ")
    expect(empty).to_contain_text("Lúc đó chưa có camera nào báo về.")
    expect(watched.locator(".status .nodes")).to_have_text("Lúc đó chưa có nút nào")
    assert "nodes.toml" not in watched.locator("body").inner_text()
    assert watched.seen["errors"] == []
