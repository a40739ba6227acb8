"""What became of an order is the station's word: the page shows what the API says, and nothing that it worked out itself."""

from __future__ import annotations

import json
import time
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Route, expect

from station.access import Role
from tests.browser.conftest import enter
from tests.fleet_scene import KHE_DA, an_offer, fleet_scene
from wire.tasking import FlightKind, FlightWish

PATROL = FlightWish(FlightKind.CORRIDOR, corridor="khe-da")
WORDS = json.loads((Path(__file__).resolve().parents[2] / "station/static/language/vi.json").read_text(encoding="utf-8"))


@pytest.fixture
def piloting(stages, watched):
    stage = stages()
    stage.person("phi", Role.PILOT)
    now = time.time_ns()
    offer = an_offer(now, "o-1", "P-40", "drone-3", PATROL, list(reversed(KHE_DA[2:])))
    mind = stage.mind(fleet_scene(now, (offer,)))
    stage.start()
    enter(watched, stage, "phi")
    watched.locator(".pilot-link").click()
    watched.wait_for_selector("body.pilot[data-map=ready]")
    return mind, watched


def test_the_page_shows_what_the_station_says_of_an_order(piloting) -> None:
    _, page = piloting
    say = {"state": "waiting", "detail": "", "key": "", "params": {}}

    def answer(route: Route) -> None:
        body = {**route.fetch().json(), **say}
        route.fulfill(status=200, content_type="application/json", body=json.dumps(body))

    page.route("**/api/fleet/orders/*", answer)
    panel = page.locator("#pilot")
    page.keyboard.press("3")
    launch = panel.locator(".hold.launch")
    launch.focus()
    page.keyboard.down("Enter")
    expect(launch).to_be_disabled(timeout=15_000)       # held long enough, and ordered
    page.keyboard.up("Enter")
    line = panel.locator(".part-launch [role=status]")
    expect(line).to_contain_text("chờ dịch vụ đội bay")
    say.update(state="under_way")
    expect(line).to_contain_text(WORDS["order_state.under_way"])
    expect(launch).to_be_disabled()
    say.update(key="dispatch.expired")
    expect(line).to_contain_text(WORDS["dispatch.expired"])
    say.update(state="expired", key="")
    expect(line).to_contain_text(WORDS["order_now.late"])
    expect(launch).to_be_enabled()
    say.update(state="failed", key="dispatch.overtaken")
    expect(line).to_contain_text(WORDS["dispatch.overtaken"])
    assert page.seen["errors"] == []


def test_what_the_fleet_has_in_hand_is_told_by_the_station_and_so_by_the_page(piloting) -> None:
    mind, page = piloting
    panel = page.locator("#pilot")
    page.keyboard.press("2")
    with page.expect_response(lambda r: r.url.endswith("/api/fleet/orders") and r.request.method == "POST") as given:
        panel.locator("button.return").click()
    order_id = given.value.json()["id"]
    line = panel.locator(".act-said [role=status]")
    expect(line).to_contain_text("chờ dịch vụ đội bay")
    view = fleet_scene(time.time_ns()).fleets[0]
    mind.say(fleets=(msgspec.structs.replace(view, dispatch=msgspec.structs.replace(view.dispatch, in_hand=(order_id,))),))
    expect(line).to_contain_text(WORDS["order_state.under_way"])
    said = page.evaluate("async id => (await (await fetch(`/api/fleet/orders/${id}`)).json()).state", order_id)
    listed = page.evaluate("async () => (await (await fetch('/api/fleet/orders')).json())[0].state")
    assert (said, listed) == ("under_way", "under_way")
    assert page.seen["errors"] == []
