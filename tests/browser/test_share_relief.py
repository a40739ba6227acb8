"""A corridor that several drones share, and a relief by hand: asked for with a press, flown with a hold, each by itself."""

from __future__ import annotations

import os
import time
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Page, expect

from station.access import Role
from tests.browser.accessibility import faults
from tests.browser.conftest import enter
from tests.browser.fleet_stage import orders
from tests.fleet_scene import KHE_DA, an_offer, fleet_scene, not_chosen
from tests.scene import BEN_SONG, along
from wire.tasking import FlightKind, FlightWish

SELECT = "async c => (await import('/static/state.js')).select('contact', c)"
HELD = "K-0412"                 # which drone-2 looks at


def shot(page: Page, name: str) -> None:
    if folder := os.environ.get("TRAILWATCH_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def hold(page: Page, button) -> None:
    """Until it is ordered: its own word, and not the machine's idea of a second and a half."""
    button.focus()
    page.keyboard.down("Enter")
    page.wait_for_timeout(1800)
    page.keyboard.up("Enter")


@pytest.fixture
def station(stages):
    stage = stages()
    stage.person("phi", Role.PILOT)
    stage.person("lan", Role.OPERATOR)
    now = time.time_ns()
    scene = fleet_scene(now)
    fleet = scene.fleets[0]
    alone = msgspec.structs.replace(fleet, dispatch=msgspec.structs.replace(fleet.dispatch, reliefs=()))
    mind = stage.mind(msgspec.structs.replace(scene, fleets=(alone,)))
    stage.start()
    return stage, mind, alone


def test_a_shared_corridor_is_asked_for_of_each_drone_and_each_share_is_launched_by_itself(station, watched) -> None:
    stage, mind, fleet = station
    page = watched
    enter(page, stage, "phi")
    page.locator(".pilot-link").click()
    page.wait_for_selector("body.pilot[data-map=ready]")
    panel = page.locator("#pilot")
    page.keyboard.press("3")
    panel.get_by_role("button", name="Chia hành lang").click()
    group = panel.get_by_role("group", name="Cùng bay với")
    own = group.get_by_role("button", name="drone-3")
    expect(own).to_be_disabled()
    expect(own).to_have_attribute("aria-pressed", "true")
    check = panel.get_by_role("button", name="Lập và kiểm tra")
    for name in ("drone-1", "drone-2", "drone-4"):
        group.get_by_role("button", name=name).click()
    expect(check).to_be_disabled()              # nobody shares with himself
    group.get_by_role("button", name="drone-1").click()
    shot(page, "share-form")
    assert faults(page) == []
    check.click()
    given = orders(stage, 2)
    assert sorted((o.action.value, o.drone) for o in given) == [("plan", "drone-1"), ("plan", "drone-3")]
    for order in given:
        assert order.wish is not None and order.wish.kind is FlightKind.SHARE and order.wish.corridor
        assert order.wish.drones == ("drone-1", "drone-3")
    now = time.time_ns()
    offers = tuple(
        an_offer(now, o.id, f"P-6{i}", o.drone, o.wish, list(reversed(KHE_DA[2:]))) for i, o in enumerate(given)
    )
    mind.say(fleets=(msgspec.structs.replace(fleet, offers=offers),))
    expect(panel.locator(".offer")).to_contain_text("Chia với drone-1")
    launch = panel.locator(".hold.launch")
    expect(launch).to_contain_text("drone-3")
    hold(page, launch)
    last = orders(stage, 3)[-1]
    mine = next(o for o in offers if o.drone == "drone-3")
    assert (last.action.value, last.drone, last.plan_id) == ("launch", "drone-3", mine.plan_id), "its own share alone"
    assert page.seen["errors"] == []


def test_a_pilot_relieves_a_drone_by_hand(station, watched) -> None:
    stage, mind, fleet = station
    page = watched
    enter(page, stage, "phi")
    page.evaluate(SELECT, HELD)
    section = page.locator("#drawer .investigate")
    section.get_by_role("button", name="Thay phiên drone-2").click()
    expect(section.locator(".relieve")).to_contain_text("Đang chọn UAV")
    (order,) = orders(stage, 1)
    assert (order.action.value, order.drone) == ("plan", "") and order.wish == FlightWish(FlightKind.RELIEF, contact=HELD)
    place = along(BEN_SONG, 0.44)[0]
    offer = an_offer(time.time_ns(), order.id, "P-70", "drone-1", order.wish, [place], others=not_chosen())
    mind.say(fleets=(msgspec.structs.replace(fleet, offers=(offer,)),))
    button = section.locator(".relieve .hold.launch")
    expect(button).to_contain_text("Giữ để cử drone-1 thay phiên")
    expect(section.locator("button.return")).to_be_visible()        # the first is called home with the same press as before
    shot(page, "relief-offered")
    assert faults(page) == []
    button.focus()
    page.keyboard.down("Space")
    page.wait_for_timeout(400)
    page.keyboard.up("Space")
    hold(page, button)
    expect(section.locator(".relieve [role=status]")).to_contain_text("chờ dịch vụ đội bay")
    last = orders(stage, 2)[-1]
    assert (last.action.value, last.drone, last.plan_id) == ("launch", "drone-1", "P-70"), "touched once, held once"
    working = msgspec.structs.replace(fleet.dispatch, reliefs=((HELD, "drone-2", "drone-1"),))
    mind.say(fleets=(msgspec.structs.replace(fleet, dispatch=working),))
    expect(section.locator(".relieve button")).to_have_count(0)
    expect(section).to_contain_text("drone-1")
    assert page.seen["errors"] == []


def test_an_operator_gets_no_button_for_a_relief(station, watched) -> None:
    stage, _, _ = station
    page = watched
    enter(page, stage, "lan")
    page.evaluate(SELECT, HELD)
    section = page.locator("#drawer .investigate")
    expect(section.locator("button.return")).to_be_visible()
    expect(section.locator(".relieve button")).to_have_count(0)
