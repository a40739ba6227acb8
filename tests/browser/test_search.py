"""Search, measuring, and a phone: what a person reads out on the radio is found, and nothing needs a wide screen."""

from __future__ import annotations

import contextlib
import sqlite3

from playwright.sync_api import expect

from station.picture import AlarmState
from station.record import Record
from tests.browser.accessibility import faults
from tests.browser.conftest import enter
from tests.scene import scene
from wire.clock import WallClock


def found(page, text, title="", kind=""):
    page.fill("#search-field", text)
    row = page.locator("#search-list li", has_text=title or text).filter(has_text=kind).first
    expect(row).to_be_visible()
    return row


def test_places_plates_alarms_and_corridors_are_found_and_the_watchlist_is_asked_only_on_purpose(stage, watched) -> None:
    with contextlib.closing(Record(stage.settings, WallClock())) as record:
        record.append("somebody", "history.searched")
    stage.mind(scene())
    enter(watched, stage)
    watched.keyboard.press("/")
    expect(watched.locator("#search-field")).to_be_focused()
    for text, kind, title in (
        ("48q xd 70094 38269", "Vị trí", "16.62067°N"), ("16.62067, 106.59464", "Vị trí", "48Q XD 7009"),
        ("16°37'14.4\"N 106°35'40.7\"E", "Vị trí", "16.62067°N"), ("khe da", "Hành lang", "Đường mòn Khe Đá"),
        ("74ci", "Biển số", "74C-I23.45"), ("a-0206", "Cảnh báo", "A-206"), ("gate-2", "Camera", "gate-2"),
        ("drone-1", "UAV", "drone-1"),
    ):
        found(watched, text, title, kind)
    assert faults(watched) == []
    looks = "SELECT count(*) FROM entries WHERE action = 'watchlist.listed'"
    with contextlib.closing(sqlite3.connect(stage.settings.record_db)) as record:
        assert record.execute(looks).fetchone()[0] == 0
        found(watched, "nguyen").click()
        expect(watched.locator("#search-list .none")).to_be_visible()
        assert record.execute(looks).fetchone()[0] == 2, "a look at each lane that an operator may read"
    found(watched, "k-0415", "K-0415")
    watched.keyboard.press("Enter")
    expect(watched.locator("#drawer h2")).to_have_text("Xe tải K-0415")
    watched.keyboard.press("Escape")
    watched.keyboard.press("d")
    watched.mouse.click(500, 400)
    watched.mouse.click(600, 400)
    expect(watched.locator(".measure")).to_contain_text("hướng 090°")
    watched.keyboard.press("Escape")
    expect(watched.locator(".measure")).to_be_hidden()


def test_a_phone_shows_map_and_alarms_with_room_for_a_thumb(logged_in, watched) -> None:
    watched.set_viewport_size({"width": 390, "height": 844})
    logged_in(scene())
    card = watched.locator(".card.open").first
    expect(card).to_be_in_viewport()
    assert watched.evaluate("document.documentElement.scrollWidth <= innerWidth")
    card.locator(".card-title").click()
    take = watched.locator("#drawer .decision .primary")
    expect(take).to_be_in_viewport()
    small = watched.evaluate("""
      [...document.querySelectorAll('#status button, #status a, .actions button, .decision button')]
      .filter((e) => e.offsetParent && !e.matches('.node'))
      .map((e) => [e.textContent, e.getBoundingClientRect().height]).filter(([, h]) => h < 44)""")
    assert small == []
    take.click()
    expect(watched.locator('.card.done[data-id="A-0207"]')).to_be_attached()


def test_keys_are_about_the_alarm_of_the_contact_that_was_found_and_not_the_first_in_the_queue(logged_in, watched) -> None:
    mind = logged_in(scene())
    expect(watched.locator(".card.open").first).to_have_attribute("data-id", "A-0207")
    watched.keyboard.press("/")
    found(watched, "k-0415", "K-0415")
    watched.keyboard.press("Enter")
    expect(watched.locator("#drawer h2")).to_have_text("Xe tải K-0415")
    watched.keyboard.press("a")
    expect(watched.locator('.card.done[data-id="A-0206"]')).to_be_visible()
    expect(watched.locator("#said")).to_contain_text("Đã tiếp nhận")
    watched.keyboard.press("e")
    expect(watched.locator("#said")).to_contain_text("Đã chuyển cấp trên")
    expect(watched.locator('.card.open[data-id="A-0206"]')).to_be_visible()
    watched.keyboard.press("e")         # it has gone there already: that is said
    expect(watched.locator("#said")).to_contain_text("đã báo cấp trên")
    done = (AlarmState.ACKNOWLEDGED, AlarmState.ESCALATED)
    assert [(it.alarm, it.to) for it in mind.asked] == [("A-0206", to) for to in done]
    watched.keyboard.press("s")
    expect(watched.locator("#drawer .drawer-head")).to_contain_text("A-206")
    expect(watched.locator(".team-form input").first).to_be_focused()
