"""With an alarm's details open, on narrow screens and wide ones: nothing that is needed lies under a panel or is cut."""

from __future__ import annotations

import time

import msgspec
import pytest
from playwright.sync_api import expect

from station.alarms import SYSTEM
from station.picture import AlarmEventView, AlarmState
from station.store import INBOX, open_store, transaction
from tests.browser.test_page import candidates
from tests.scene import alarm, corridor_entry, scene
from wire.clock import WallClock
from wire.units import Realm

WIDTHS = [(1024, 768), (1200, 700), (1366, 768), (1920, 1080)]

CUT_BATTERIES = """() => [...document.querySelectorAll("#strip .chip-battery")].filter((battery) => {
  const it = battery.getBoundingClientRect(), strip = document.getElementById("strip").getBoundingClientRect();
  const above = document.elementFromPoint(it.left + it.width / 2, it.top + it.height / 2);
  return it.width < 10 || it.left < strip.left || it.right > strip.right
    || !above?.closest(".drone-chip")?.contains(battery);
}).map((battery) => battery.textContent)"""

# What lies over the place of the chosen contact, 12 px around it; nothing where only the map is there.
OVER_THE_CHOSEN = """async ([lat, lon]) => {
  const { onScreen } = await import("/static/map.js"), p = onScreen([lat, lon]);
  const { left, top } = document.getElementById("map").getBoundingClientRect();
  const near = [[0, 0], [-12, 0], [12, 0], [0, -12], [0, 12]];
  return near.map(([x, y]) => document.elementFromPoint(left + p.x + x, top + p.y + y))
    .filter((e) => !e?.closest("#map, .watermark, .ruler")).map((e) => e ? e.id || e.className : "outside");
}"""


def three_drones():
    quiet = scene()
    low = msgspec.structs.replace(quiet.drones[0].telemetry, battery_percent=24.0)
    more = [msgspec.structs.replace(quiet.drones[0], drone=name, telemetry=low) for name in ("drone-2", "uav-tram-3")]
    return msgspec.structs.replace(quiet, drones=(*quiet.drones, *more))


@pytest.mark.parametrize(("width", "height"), WIDTHS)
def test_every_battery_is_read_beside_the_drawer_in_both_languages(logged_in, watched, width, height):
    watched.set_viewport_size({"width": width, "height": height})
    logged_in(three_drones())
    expect(watched.locator("#strip .drone-chip")).to_have_count(3)
    for language in ("vi", "en"):
        if language == "en":
            watched.keyboard.press("l")
        expect(watched.locator("html")).to_have_attribute("lang", language)
        watched.locator(".card.open").first.click()
        expect(watched.locator("#drawer")).to_be_visible()
        assert watched.evaluate(CUT_BATTERIES) == []
        watched.keyboard.press("Escape")
        assert watched.evaluate(CUT_BATTERIES) == []


@pytest.mark.parametrize(("width", "height"), WIDTHS)
def test_no_panel_lies_over_who_is_chosen(logged_in, watched, width, height):
    watched.set_viewport_size({"width": width, "height": height})
    mind = logged_in(three_drones())
    watched.keyboard.press("v")
    watched.locator("#legend summary").click()
    for id_ in ("K-0412", "K-0398", "K-0415"):
        it = mind.values["contacts"][id_].position
        watched.evaluate("""async (id) => (await import("/static/state.js")).select("contact", id)""", id_)
        expect(watched.locator("#drawer")).to_be_visible()
        watched.wait_for_function("async () => !(await import('/static/map.js')).theMap().isMoving()")
        watched.wait_for_timeout(500)
        assert watched.evaluate(OVER_THE_CHOSEN, [it.lat_deg, it.lon_deg]) == [], id_


def test_a_phone_shows_who_is_chosen_above_the_details(logged_in, watched):
    watched.set_viewport_size({"width": 390, "height": 844})
    mind = logged_in(scene())
    watched.locator(".card.open .card-title").first.click()
    expect(watched.locator("#drawer")).to_be_visible()
    watched.wait_for_timeout(900)
    chosen = watched.evaluate("async () => (await import('/static/state.js')).selectedContact()?.id")
    it = mind.values["contacts"][chosen].position
    assert watched.evaluate(OVER_THE_CHOSEN, [it.lat_deg, it.lon_deg]) == []


def test_a_candidates_pictures_say_whose_they_are_and_of_when(logged_in, stage, watched):
    now = time.time_ns()
    db = open_store(stage.settings.inbox_db, INBOX, Realm.TRAINING, WallClock())
    with transaction(db):
        for n in (1, 2):
            db.execute("INSERT INTO arrivals(id, node, boot, sequence, kind, received_ns, payload) "
                       "VALUES (?, ?, 1, 1, 'snapshot', 1, x'00')", (n, f"gate-{n}"))
            values = (n, f"gate-{n}", f"gate-{n}", now, b"\xff\xd8")
            db.execute("INSERT INTO snapshots VALUES (?, ?, ?, 1, ?, '[]', ?)", values)
    db.close()
    mind = logged_in()
    told = candidates(now)
    matches = tuple(msgspec.structs.replace(m, snapshot=str(i)) for i, m in enumerate(told["matches"], 1))
    mind.say(**{**told, "matches": (*matches[:2], told["matches"][2])})
    watched.locator(".card.open").click()
    lines = watched.locator("#drawer .candidate-line")
    expect(lines.nth(0)).to_contain_text("gate-1 · ")
    expect(lines.nth(1)).to_contain_text("gate-2 · ")
    expect(watched.locator("#drawer .candidate-picture figcaption")).to_contain_text("gate-1 · ")
    lines.nth(1).click()
    expect(watched.locator("#drawer .candidate-picture figcaption")).to_contain_text("gate-2 · ")


def test_a_candidate_who_is_gone_is_not_shown_at_the_place_of_another_one(logged_in, watched):
    mind = logged_in()
    told = candidates(time.time_ns())
    mind.say(**{**told, "contacts": ()})
    watched.locator(".card.open").click()
    lines = watched.locator("#drawer .candidate-line")
    expect(watched.locator("#drawer")).to_contain_text("MGRS")         # of the first, about whom it was raised
    lines.nth(1).click()
    expect(watched.locator("#drawer .candidate.chosen")).to_contain_text("C-2")
    expect(watched.locator("#drawer")).not_to_contain_text("MGRS")


def test_a_closed_drawer_keeps_nothing(logged_in, watched):
    logged_in(scene())
    watched.locator(".card.open").first.click()
    expect(watched.locator("#drawer section").first).to_be_visible()
    watched.keyboard.press("Escape")
    expect(watched.locator("#drawer")).to_be_hidden()
    assert watched.evaluate("document.getElementById('drawer').childElementCount") == 0


def test_a_press_on_what_somebody_has_taken_already_says_who_has(logged_in, watched):
    now = time.time_ns()
    mind = logged_in()
    mind.say(alarms=(alarm("A-1", now, says=corridor_entry()),))
    watched.locator(".card.open").click()
    by_an = AlarmEventView(AlarmState.ACKNOWLEDGED, now, "an", "")
    it = mind.values["alarms"]["A-1"]
    joined = AlarmEventView(AlarmState.ACKNOWLEDGED, now + 1, SYSTEM, "joined C-000009")     # takes nobody's name off it
    mind.say(alarms=(msgspec.structs.replace(it, state=AlarmState.ACKNOWLEDGED, events=(*it.events, by_an, joined)),))
    expect(watched.locator(".card.done .by")).to_have_text("an đã tiếp nhận.")
    watched.keyboard.press("a")
    expect(watched.locator("#said")).to_contain_text("an đã tiếp nhận")
    assert mind.asked == []
