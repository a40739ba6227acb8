"""The layer of coverage as an operator meets it: switched with a key, drawn, told in both languages; and the weather."""

from __future__ import annotations

import re
import time

import msgspec
import pytest
from playwright.sync_api import expect

from station.access import Role
from station.coverage import Coverage
from station.coverage_picture import SetWeather, Walked
from station.picture import SensorView
from tests.browser.conftest import enter
from tests.scene import scene
from tests.station.coverage_stage import SECTOR, beside, with_outline
from wire.clock import SteppedClock
from wire.messages import SensorState

HOUR_NS = 3600 * 10**9


def picture(stage, cameras):
    """What a mind tells of these cameras, and of a flight along Bến Sông two hours ago."""
    clock = SteppedClock(time.time_ns() - 2 * HOUR_NS)
    coverage = Coverage(stage.settings, SECTOR, clock)
    for at_m in range(100, 500, 40):
        seen = beside("ben-song", float(at_m), name="drone-1-eye", at_ns=clock.utc_ns(), kind="thermal")
        coverage.report("drone-1-eye", "d", seen, clock.utc_ns())
    clock.advance(7200)
    for report in cameras:
        coverage.report(report.sensor, report.sensor, msgspec.structs.replace(report, at_ns=clock.utc_ns()), clock.utc_ns())
    coverage.pass_time(0)
    views, whole = coverage.picture()
    coverage.close()
    now = clock.utc_ns()
    sensors = tuple(
        SensorView(r.sensor, r.sensor, r.position, with_outline(r).footprint, SensorState.SEEING, now, now, True, "")
        for r in cameras
    )
    return msgspec.structs.replace(
        scene(), contacts=(), alarms=(), matches=(), sensors=sensors, coverage=views, coverage_whole=whole
    )


@pytest.fixture
def cameras():
    return [
        beside("khe-da", 300.0, name="gate-1", kind="thermal"),
        beside("khe-da", 800.0, name="gate-2", kind="thermal", focal=4000.0),
    ]


def pixels(page):
    """How much of each colour of the layer is on the map: its picture, read by the page itself."""
    return page.evaluate("""async () => {
        const canvas = document.querySelector(".maplibregl-canvas");
        const map = await new Promise((done) => requestAnimationFrame(() => done(createImageBitmap(canvas))));
        const flat = new OffscreenCanvas(map.width, map.height), g = flat.getContext("2d");
        g.drawImage(map, 0, 0);
        const data = g.getImageData(0, 0, map.width, map.height).data, wanted = {
          detect: [0x6f, 0xb3, 0xa0], hours: [0xa8, 0x86, 0xd6], never: [0xf3, 0xf6, 0xf9] };
        const found = {};
        for (const [name, c] of Object.entries(wanted)) {
          found[name] = 0;
          for (let i = 0; i < data.length; i += 4) if (c.every((v, k) => Math.abs(data[i + k] - v) < 6)) found[name] += 1;
        }
        return found;
      }""")


def pixels_once(page, are_there):
    """The colours once the map has drawn all, or has come to rest without: what fades in passes through other colours."""
    for _ in range(40):
        page.wait_for_timeout(250)
        found = pixels(page)
        if all(found.values()) if are_there else not any(found.values()):
            break
    return found


def test_the_layer_draws_what_is_seen_and_what_is_owed_and_only_when_it_is_on(stage, logged_in, watched, cameras):
    logged_in(picture(stage, cameras))
    watched.wait_for_timeout(1000)
    sources = "() => document.body.classList.contains('coverage-shown')"
    assert not watched.evaluate(sources)
    switch = watched.locator(".coverage-switch")
    expect(switch).to_contain_text("Độ phủ đường mòn")
    expect(watched.locator(".coverage-panel")).to_have_count(0)
    before = watched.screenshot()
    watched.keyboard.press("v")
    expect(switch).to_have_attribute("aria-pressed", "true")
    panel = watched.locator(".coverage-panel")
    expect(panel.locator("tbody tr")).to_have_count(2)
    expect(panel).to_contain_text("chưa từng thấy")
    expect(panel).to_contain_text("Chưa biết cây cối")
    expect(panel.locator("tbody tr", has_text="Bến Sông")).to_contain_text("0 %")
    watched.wait_for_timeout(1500)
    assert watched.screenshot() != before
    watched.keyboard.press("l")
    expect(panel).to_contain_text("A metre counts as seen from the class “detect” on.")
    expect(panel.locator(".run.age-7")).to_be_visible()
    watched.reload()
    watched.wait_for_selector("body[data-map=ready]")
    expect(watched.locator(".coverage-panel")).to_be_visible()
    watched.click(".coverage-switch")
    expect(watched.locator(".coverage-panel")).to_have_count(0)
    assert watched.seen["errors"] == []


def test_its_colours_are_on_the_map(stage, logged_in, watched, cameras):
    logged_in(picture(stage, cameras))
    watched.wait_for_timeout(1500)
    without = pixels_once(watched, False)
    assert without["never"] == without["hours"] == without["detect"] == 0
    watched.keyboard.press("v")
    more = {name: n - without[name] for name, n in pixels_once(watched, True).items()}
    assert more["never"] > 40 and more["hours"] > 40, more
    assert more["detect"] > 4, more


def test_a_cameras_details_say_what_it_is_worth_on_the_trails(stage, logged_in, watched, cameras):
    lying = msgspec.structs.replace(with_outline(beside("khe-da", 300.0, name="gate-3", kind="thermal")), footprint=tuple(
        SECTOR.frame.position(e, n) for e, n in ((-4000, -4000), (4000, -4000), (0, 4000))
    ))
    logged_in(picture(stage, [*cameras, lying]))
    watched.evaluate("import('/static/state.js').then((s) => s.select('sensor', 'gate-2'))")
    expect(watched.locator("#drawer")).to_contain_text("tốt nhất là quan sát")
    expect(watched.locator("#drawer")).to_contain_text("camera nhiệt")
    watched.evaluate("import('/static/state.js').then((s) => s.select('sensor', 'gate-3'))")
    expect(watched.locator("#drawer")).to_contain_text("không khớp với ống kính")


def test_the_panel_shows_what_a_corridor_is_worth_by_its_walk_test_in_both_languages(stage, logged_in, watched, cameras):
    whole = picture(stage, cameras)
    told = Walked(49, 50, 0.8935, 0.9995, 2.5, time.time_ns(), "huong")
    coverage = tuple(msgspec.structs.replace(v, walked=told if v.corridor == "khe-da" else None) for v in whole.coverage)
    logged_in(msgspec.structs.replace(whole, coverage=coverage))
    watched.keyboard.press("v")
    tested = watched.locator(".coverage-panel tr.walked")
    expect(tested).to_have_count(1)         # nobody has walked the other corridor
    expect(tested).to_have_text("Đi thử: 98 % có cảnh báo (89 – 100 %), 50 lượt")
    expect(tested.locator("td")).to_have_attribute("title", re.compile("49 trên 50 lượt.*huong"))
    expect(watched.locator("tr:has(+ tr.walked)")).to_contain_text("Khe Đá")
    # It makes the table no wider than the panel is.
    fits = "() => { const p = document.querySelector('.coverage-panel'); return p.scrollWidth <= p.clientWidth; }"
    watched.wait_for_function(fits)
    watched.keyboard.press("l")
    expect(tested).to_have_text("Walk test: 98 % alarmed (89 – 100 %), 50 passes")
    expect(tested.locator("td")).to_have_attribute("title", re.compile("49 of 50 walked passes.*told by huong"))
    assert watched.seen["errors"] == []


def test_an_operator_says_the_weather_and_an_auditor_cannot(stage, watched, cameras):
    stage.person("kiem", Role.AUDITOR)
    mind = stage.mind(picture(stage, cameras))
    enter(watched, stage, "kiem")
    watched.keyboard.press("v")
    expect(watched.locator(".coverage-panel")).to_be_visible()
    expect(watched.locator("details.weather")).to_have_count(0)
    watched.context.clear_cookies()
    enter(watched, stage)
    watched.click("details.weather summary")
    watched.select_option("select[name=visibility_m]", "300")
    watched.select_option("select[name=rain_mm_h]", "2")
    watched.click("details.weather button")
    expect(watched.locator("#said")).to_contain_text("Đã tính theo thời tiết vừa báo")
    assert mind.asked == [SetWeather("lan", 300.0, 2.0, 1.0, 3.0)]
