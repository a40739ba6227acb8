"""The whole station as an administrator starts it, a camera node with its key, and a browser in front of them."""

from __future__ import annotations

import sqlite3

from playwright.sync_api import expect

from tests.browser.accessibility import faults
from tests.browser.whole_station import enter_first, walk


def test_a_walker_is_seen_and_taken_at_a_station_just_installed(serving, watched) -> None:
    settings, one_time = serving
    enter_first(watched, settings, one_time)
    expect(watched.locator(".empty")).to_contain_text("Không có cảnh báo nào chờ")

    walk(settings, 8)
    card = watched.locator(".card.open", has_text="Người trong hành lang Đường mòn Khe Đá")
    expect(card).to_be_visible()
    picture = card.locator("img")
    expect(picture).to_be_visible()
    watched.wait_for_function("() => document.querySelector('.card.open img').naturalWidth === 90")
    expect(watched.locator("#status .node")).to_contain_text("cam-1")
    watched.keyboard.press("ArrowDown")
    expect(watched.locator("#drawer")).to_contain_text("C-1")
    watched.keyboard.press("a")
    done = watched.locator(".card.done")
    expect(done).to_contain_text("admin")
    events = sqlite3.connect(settings.mind_db).execute(
        "SELECT state, person FROM alarm_events WHERE person <> 'system'"
    ).fetchall()
    assert events == [("acknowledged", "admin")]

    # The end of the shift: the sheet says what was taken and by whom, and can be read by day and by night.
    watched.goto(f"http://127.0.0.1:{settings.web.port}/handover?lang=vi")
    expect(watched.locator("main")).to_contain_text("Người trong hành lang Đường mòn Khe Đá")
    assert faults(watched) == []
    watched.evaluate("localStorage.setItem('trailwatch.night', 'on')")
    watched.reload()
    expect(watched.locator("html[data-night]")).to_have_count(1)
    assert faults(watched) == []
    watched.evaluate("localStorage.setItem('trailwatch.night', 'off')")
    watched.goto(f"http://127.0.0.1:{settings.web.port}/")
    watched.wait_for_selector("body[data-map=ready]", timeout=120_000)

    watched.keyboard.press("l")
    expect(watched.locator("#queue h2")).to_have_text("Alarm queue")
    expect(done).to_contain_text("acknowledged by admin")
    assert {h for h in watched.seen["hosts"] if not h.startswith(("blob:", "data:"))} == {f"127.0.0.1:{settings.web.port}"}
    assert watched.seen["errors"] == []
    assert [m for m in watched.seen["console"] if "Content Security Policy" in m] == []
