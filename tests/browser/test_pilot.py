"""A pilot at a whole station with the real fleet service: from plan to landing, through an investigation and a return."""

from __future__ import annotations

import json
import os
import sqlite3
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.accessibility import faults
from tests.browser.fleet_stage import flying, walking
from tests.browser.whole_station import enter_first

SHOTS = os.environ.get("TRAILWATCH_SCREENSHOTS")
LONG_MS = 90_000                # a flight, on a machine that has other things to do


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=str(Path(SHOTS) / f"{name}.png"))


def click_place(page: Page, lat: float, lon: float) -> None:
    at = page.evaluate("async p => { const { onScreen } = await import('/static/map.js'); const { x, y } = onScreen(p);"
                       " return { x, y }; }", [lat, lon])
    box = page.locator("#map").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + at["x"], box["y"] + at["y"])


def press_for(page: Page, button: Locator, ms: int) -> None:
    button.scroll_into_view_if_needed()
    button.hover()
    page.mouse.down()
    page.wait_for_timeout(ms)
    page.mouse.up()


def hold_key(page: Page, button: Locator) -> None:
    button.focus()
    page.keyboard.down("Space")
    page.wait_for_timeout(2500)
    page.keyboard.up("Space")


def orders(settings) -> list[str]:
    rows = sqlite3.connect(settings.record_db).execute(
        "SELECT details FROM entries WHERE action = 'fleet.ordered' ORDER BY number"
    )
    return [json.loads(details)["action"] for (details,) in rows]


@pytest.mark.timeout(900)       # a station, a fleet, two drones and a browser, where others want the processor as well
def test_a_pilot_flies_from_plan_to_landing_through_an_investigation_and_a_return(serving, watched) -> None:
    settings, one_time = serving
    page = watched
    page.set_viewport_size({"width": 1280, "height": 800})
    enter_first(page, settings, one_time)
    page.goto(f"http://127.0.0.1:{settings.web.port}/pilot")
    page.wait_for_selector("body[data-map=ready]", timeout=120_000)
    panel = page.locator("#pilot")
    expect(panel).to_contain_text("Chưa có dịch vụ đội bay nào kết nối"), "nothing to press where nobody is there"
    assert panel.get_by_role("button").count() == 0
    assert faults(page) == []

    with flying(settings) as log:
        expect(page.locator(".drone-chip")).to_have_count(2, timeout=LONG_MS)
        page.get_by_role("button", name="drone-1").click()
        expect(panel.locator("h2")).to_contain_text("drone-1")

        # A place beside the border line is no plan at all; one that is too high is drawn, with a reason for its legs.
        panel.get_by_role("button", name="Đến một điểm").click()
        expect(page.locator("#drawing")).to_be_visible()
        check = panel.get_by_role("button", name="Lập và kiểm tra")
        expect(check).to_be_disabled()
        click_place(page, 16.6206, 106.5905)
        check.click()
        expect(panel.locator(".plan .fleet-trouble")).to_be_visible(timeout=LONG_MS)
        click_place(page, 16.6222, 106.6005)
        panel.get_by_role("textbox", name="Độ cao").fill("300")
        check.click()
        expect(panel.locator(".verdict.refused")).to_be_visible(timeout=LONG_MS)
        reason = panel.locator(".fleet-reasons li[data-leg]").first
        expect(reason).to_contain_text("được phép")
        reason.hover()
        expect(panel.locator(".leg.bad.meant")).to_have_count(1)
        assert panel.locator(".hold.launch").count() == 0, "what was refused cannot be launched"
        shot(page, "pilot-refused")

        # Lower, it passes; a touch does not launch it, and a hold does.
        panel.get_by_role("button", name="Lập kế hoạch khác").click()
        panel.get_by_role("textbox", name="Độ cao").fill("40")
        check.click()
        expect(panel.locator(".verdict.passed")).to_be_visible(timeout=LONG_MS)
        launch = panel.locator(".hold.launch")
        expect(launch).to_contain_text("Giữ để cất cánh drone-1")
        expect(launch).to_contain_text("về nhà còn")
        shot(page, "pilot-passed")
        assert faults(page) == []
        press_for(page, launch, 400)
        page.wait_for_timeout(1500)
        assert orders(settings).count("launch") == 0
        press_for(page, launch, 2500)
        expect(panel.locator(".phases .now")).to_have_text("đang bay", timeout=LONG_MS)
        assert orders(settings).count("launch") == 1, log.read_text()
        expect(panel.locator(".preflight li.pass").first).to_be_visible()
        shot(page, "pilot-flying")

        with walking(settings, 850.0):
            # Somebody is seen: the second drone goes and looks, beside the first one's flight, and the screen follows it.
            page.keyboard.press("2")
            expect(panel.locator("h2")).to_contain_text("drone-2")
            contact = page.evaluate(
                "async () => { const { state } = await import('/static/state.js');"
                " for (;;) { const c = [...state.contacts.values()].find(c => c.state === 'live'); if (c) return c.id;"
                " await new Promise(r => setTimeout(r, 100)); } }"
            )
            page.evaluate("async id => (await import('/static/state.js')).select('contact', id)", contact)
            section = panel.locator(".investigate")
            section.get_by_role("button", name="Cử UAV đi xem").click()
            send = section.locator(".hold.launch")
            expect(send).to_contain_text("Giữ để cử drone-2", timeout=LONG_MS)
            expect(section).to_contain_text("Tốn pin")
            expect(send).to_be_focused()
            shot(page, "investigate-offered")
            hold_key(page, send)
            expect(section.locator(".steps .done")).to_have_count(3, timeout=LONG_MS)
            shot(page, "investigate-in-view")
            assert faults(page) == []
            section.locator("button.return").click()
            expect(section.locator(".fleet-ended, .fleet-progress").first).to_be_visible(timeout=LONG_MS)

        # And home: both are on the ground again.
        for key in ("1", "2"):
            page.keyboard.press(key)
            expect(panel.locator(".on-ground")).to_have_text("Đang ở mặt đất, động cơ khóa.", timeout=LONG_MS)
        shot(page, "pilot-home")
    assert orders(settings)[-3:] == ["plan", "launch", "return"]
    assert watched.seen["errors"] == []
    assert [m for m in watched.seen["console"] if "Content Security Policy" in m] == []
