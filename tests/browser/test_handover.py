"""The end of a shift as two people play it: one makes out and signs the sheet, the other signs with a login of their own."""

from __future__ import annotations

import sqlite3

import pytest
from playwright.sync_api import expect

from station.access import Role, add_person
from tests.browser.accessibility import faults_in_both_lights
from tests.browser.whole_station import PASSWORD, enter_first, walk

NOTE = "Camera ở suối hay mờ <b>khi sương xuống</b>"


@pytest.fixture
def people(serving, watched, browser, browser_context_args):
    """The pages of "lan", who goes, and of "huong", who comes."""
    settings, one_time = serving
    enter_first(watched, settings, one_time)
    contexts = []

    def page_of(name):
        add_person(settings, name, Role.OPERATOR, PASSWORD)
        contexts.append(browser.new_context(**browser_context_args))
        page = contexts[-1].new_page()
        page.set_default_timeout(60_000)
        page.goto(f"http://127.0.0.1:{settings.web.port}")
        page.fill("#name", name)
        page.fill("#password", PASSWORD)
        page.press("#password", "Enter")
        page.wait_for_selector("body[data-map=ready]", timeout=120_000)
        return page

    yield settings, page_of("lan"), page_of("huong")
    for context in contexts:
        context.close()


@pytest.mark.slow
def test_a_shift_is_handed_over_by_two_signatures(people):
    settings, lan, huong = people
    here = f"http://127.0.0.1:{settings.web.port}"
    lan.goto(f"{here}/handover?lang=vi")
    lan.select_option("#receiver", "huong")
    lan.fill("#note", NOTE)
    lan.click("#open button")
    lan.wait_for_url("**/handover/*?lang=vi")
    sheet = lan.url
    signing = lan.locator("section.signing")
    expect(signing).to_contain_text(NOTE)
    expect(signing).to_contain_text("CHƯA KÝ")
    expect(lan.locator("#sign")).to_have_count(0)           # who goes cannot sign for who comes

    huong.goto(f"{here}/handover?lang=vi")
    huong.get_by_role("link", name="lan đã lập phiếu H-1 cho bạn").click()
    expect(huong).to_have_url(sheet)
    expect(huong.locator("section.signing b", has_text="lan")).to_be_visible()
    assert faults_in_both_lights(huong, "handover") == []
    huong.click("#sign")
    expect(huong.locator("#sign")).to_have_count(0)
    expect(huong.locator("section.signing")).not_to_contain_text("CHƯA KÝ")

    lan.reload()
    expect(lan.locator("section.signing")).not_to_contain_text("CHƯA KÝ")
    expect(lan.locator("section.log")).to_contain_text("huong")
    with sqlite3.connect(settings.mind_db) as mind:
        assert mind.execute("SELECT person FROM shift_log ORDER BY number").fetchall() == [("lan",), ("huong",)]


def test_an_incident_whose_alarms_are_closed_is_ended_on_the_sheet(serving, watched):
    settings, one_time = serving
    enter_first(watched, settings, one_time)
    walk(settings, 8)
    watched.locator(".card.open", has_text="Đường mòn Khe Đá").locator(".card-title").click()
    watched.keyboard.press("a")
    watched.click("#drawer [data-focus=incident]")
    watched.fill("#drawer .incident-form input", "Nhóm người ở Khe Đá")
    watched.click("#drawer .incident-form button")
    expect(watched.locator("#drawer .incident")).to_contain_text("I-1")
    watched.select_option("#drawer .closing select", "child")
    watched.click("#drawer .closing button")
    expect(watched.locator("#drawer .drawer-head")).to_contain_text("đã kết thúc")
    expect(watched.locator("#drawer .incident")).to_contain_text("I-1")        # it still says where it lies

    here = f"http://127.0.0.1:{settings.web.port}/handover?lang=vi"
    watched.goto(here)
    end = watched.locator(".end-incident")
    expect(end).to_contain_text("I-1")
    assert faults_in_both_lights(watched, "handover") == []
    end.locator("input").fill("Hai em nhỏ, đã đưa về nhà")
    end.locator("button").click()
    expect(end).to_have_count(0)
    expect(watched.locator("section.log")).to_contain_text("Kết thúc vụ việc I-1: Hai em nhỏ, đã đưa về nhà")
    assert watched.seen["errors"] == []
