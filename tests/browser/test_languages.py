"""Every page in Vietnamese and in English: no text is the same in both but names, times, units and what somebody wrote."""

from __future__ import annotations

import time

import pytest
from playwright.sync_api import expect

from station.access import Role
from station.subjects import Category, KnownVehicle
from station.watchlist import Draft, add_subject, approve_subject
from tests.browser.both_languages import in_one_language
from tests.browser.conftest import enter
from tests.fleet_scene import KHE_DA, an_offer, fleet_scene, refusals
from tests.scene import scene
from wire.clock import WallClock
from wire.tasking import FlightKind, FlightWish
from wire.units import ObjectClass

NOTE = "Đã báo tổ kỹ thuật"             # in the scene an operator wrote it
SECTIONS = ("people", "nodes", "tokens", "health", "backups", "retention", "layers", "record")
DAY_NS = 86_400 * 10**9


def test_the_door_and_what_it_says_to_a_wrong_password(stage, watched):
    watched.goto(stage.address + "/login")
    watched.wait_for_selector("#name")
    assert in_one_language(watched) == []
    watched.fill("#name", "lan")
    watched.fill("#password", "it is not this")
    watched.press("#password", "Enter")
    expect(watched.locator("[role=alert]").first).not_to_be_empty()
    assert in_one_language(watched) == []


def test_the_map_every_drawer_its_dialogs_and_the_replay(logged_in, stage, watched):
    logged_in(scene())
    watched.wait_for_selector(".card")
    found = {"map": in_one_language(watched, "lan", NOTE)}
    for n in range(watched.locator(".card").count()):
        watched.locator(".card").nth(n).click()
        expect(watched.locator("#drawer")).to_be_visible()
        found[f"alarm {n}"] = in_one_language(watched, "lan", NOTE)
    for name in ("gate-1", "gate-3", "gate-4", "drone-1", "K-0412", "K-0416"):
        watched.fill("#search-field", name)
        watched.wait_for_selector("#search-list [role=option]")
        watched.keyboard.press("Enter")
        found[name] = in_one_language(watched, "lan", NOTE)

    def keys():
        watched.keyboard.press("Escape")
        watched.keyboard.press("?")
        watched.wait_for_selector("#keys[open]")

    keys()
    found["keys"] = in_one_language(watched, "lan", NOTE, draw=keys)
    watched.goto(stage.address + "/replay")
    watched.wait_for_selector(".replay-bar")
    watched.wait_for_selector("body[data-map=ready]")
    found["replay"] = in_one_language(watched, "lan")
    assert {where: texts for where, texts in found.items() if texts} == {}


def test_the_pilots_page_with_its_drones_offers_and_refusals(stages, watched):
    stage, now = stages(), time.time_ns()
    stage.person("phi", Role.PILOT)
    wish = FlightWish(FlightKind.CORRIDOR, corridor="khe-da")
    offer = an_offer(now, "O-7", "P-77", "P-77", wish, KHE_DA, refused=refusals())
    stage.mind(fleet_scene(now, (offer,)))
    stage.start()
    enter(watched, stage, "phi")
    watched.goto(stage.address + "/pilot")
    watched.wait_for_selector("body.pilot[data-map=ready]")
    found = {"pilot": in_one_language(watched, "phi")}
    for drone in watched.locator("[data-drone]").all():
        name = drone.get_attribute("data-drone")
        drone.click()
        found[name] = in_one_language(watched, "phi", "AHRS: waiting for home")      # the autopilot's own words
    assert {where: texts for where, texts in found.items() if texts} == {}


@pytest.fixture
def office(stages):
    stage = stages()
    stage.person("chi", Role.SUPERVISOR)
    stage.mind(scene())
    draft = Draft(
        category=Category.COURIER, label="Trần Văn Mẫu", reason="Ba người khai", lawful_basis="123/QĐ",
        what_to_do="Gọi trực ban", expires_ns=time.time_ns() + 100 * DAY_NS, plates=("74C-123.45",),
        vehicles=(KnownVehicle("74C-123.45", ObjectClass.TRUCK, "blue"),), corridors=("ben-song",), party_size=3,
    )
    subject = add_subject(stage.settings, "an", draft, WallClock())
    approve_subject(stage.settings, "huong", subject.id, WallClock())
    add_subject(stage.settings, "an", draft, WallClock())
    stage.start()
    return stage


COLUMNS = (
    "category", "label", "reason", "lawful_basis", "what_to_do", "expires", "plates", "vehicles", "corridors", "party_size",
    "hours", "days",
)
SENT = "\n".join((
    ",".join(COLUMNS), "courier,Xe A,Khai,QĐ,Hỏi,2020-01-01,,,,,,", "spy,Xe B,Khai,QĐ,Hỏi,2031-01-01,,,,,,",
    "courier,Xe C,Khai,,Hỏi,2031-01-01,74C-123.45,,nowhere,many,late,never",
    "courier,Xe D,Khai,QĐ,Hỏi,2031-01-01,74C-999.99,,,,,",
)).encode()
PEOPLE = ("chi", "an", "huong", "Trần Văn Mẫu", "Ba người khai", "123/QĐ", "Gọi trực ban")


def test_the_watchlist_and_the_administration(office, watched):
    enter(watched, office, "chi")
    found = {}
    watched.goto(office.address + "/watchlist#enforcement")
    watched.wait_for_selector("#head h1")
    found["watchlist"] = in_one_language(watched, *PEOPLE)
    watched.click(".record-row >> nth=0")
    watched.wait_for_selector(".record-buttons")
    found["a record"] = in_one_language(watched, *PEOPLE)

    def import_form():
        watched.keyboard.press("Escape")
        watched.click(".tools >> text=/^(Nhập tệp|Import a file)$/")
        watched.wait_for_selector("#import-file")

    import_form()
    found["import"] = in_one_language(watched, *PEOPLE, *COLUMNS, draw=import_form)

    def import_preview():
        import_form()
        watched.set_input_files("#import-file", {"name": "neighbours.csv", "mimeType": "text/csv", "buffer": SENT})
        watched.wait_for_selector(".import tbody tr")

    import_preview()
    found["import, looked into"] = in_one_language(watched, *PEOPLE, *COLUMNS, "neighbours", draw=import_preview)
    watched.keyboard.press("Escape")
    for section in SECTIONS:
        watched.goto("about:blank")
        watched.goto(f"{office.address}/admin#{section}")
        watched.wait_for_selector("#head h1")
        watched.wait_for_timeout(500)
        found[section] = in_one_language(watched, *PEOPLE)
    assert {where: texts for where, texts in found.items() if texts} == {}
