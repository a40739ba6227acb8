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
from wire.flying import TaskPhase, TaskState
from wire.tasking import FlightKind, FlightWish

PATROL = FlightWish(FlightKind.CORRIDOR, corridor="khe-da")
WORDS = json.loads((Path(__file__).resolve().parents[2] / "station/static/language/vi.json").read_text(encoding="utf-8"))

COUNT_QUESTIONS = """() => {
    window.asks = 0;
    new MutationObserver(() => { if (document.querySelector('#pilot .investigate-ask')) window.asks += 1; })
        .observe(document.querySelector('#pilot'), { childList: true, subtree: true });
}"""


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


def test_an_offer_that_comes_after_the_word_that_it_is_done_has_the_keyboard_and_no_second_question_stands_before_it(
    piloting,
) -> None:
    mind, page = piloting

    def done(route: Route) -> None:
        body = {**route.fetch().json(), "state": "done", "key": ""}
        route.fulfill(status=200, content_type="application/json", body=json.dumps(body))

    page.route("**/api/fleet/orders/*", done)
    page.evaluate("async () => (await import('/static/state.js')).select('contact', 'K-0398')")
    section = page.locator("#pilot .investigate")
    with (
        page.expect_response(lambda r: r.url.endswith("/api/fleet/orders") and r.request.method == "POST") as given,
        page.expect_response("**/api/fleet/orders/*"),
    ):
        section.get_by_role("button").click()
    page.evaluate(COUNT_QUESTIONS)
    page.wait_for_timeout(1500)                         # as long as a picture may lag behind
    expect(section).to_contain_text(WORDS["investigate.asked"])
    now = time.time_ns()
    wish = FlightWish(FlightKind.INVESTIGATE, contact="K-0398")
    offer = an_offer(now, given.value.json()["id"], "P-50", "drone-1", wish, [KHE_DA[2]])
    mind.say(fleets=fleet_scene(now, (offer,)).fleets)
    expect(section.locator(".hold.launch")).to_be_focused()
    assert page.evaluate("window.asks") == 0
    assert page.seen["errors"] == []


def test_the_keyboard_stays_on_a_button_whose_box_is_filled_anew(piloting) -> None:
    mind, page = piloting
    page.keyboard.press("3")
    launch = page.locator("#pilot .part-launch .hold.launch")
    launch.focus()
    now = time.time_ns()
    busy = msgspec.structs.replace(fleet_scene(now).drones[1], drone="drone-3")
    mind.say(drones=tuple(busy if d.drone == "drone-3" else d for d in fleet_scene(now).drones))
    expect(page.locator("#pilot .part-launch .switch")).to_be_visible()     # built again, with what is asked of a busy drone
    expect(launch).to_be_focused()
    assert page.seen["errors"] == []


def test_a_look_that_is_over_says_so_where_the_drone_flies_its_patrol_again(piloting) -> None:
    """What came of a launch is not "the flight begins" for ever."""
    mind, page = piloting

    def done(route: Route) -> None:
        body = {**route.fetch().json(), "state": "done", "key": ""}
        route.fulfill(status=200, content_type="application/json", body=json.dumps(body))

    page.route("**/api/fleet/orders/*", done)
    now = time.time_ns()
    after = TaskState("T-1", "drone-3", "P-20", TaskPhase.EXECUTING, now, "", key="task.after", params={
        "why": "contact K-0398 is gone", "why|key": "look.gone", "why|contact": "K-0398",
        "drone": "drone-3", "corridor": "khe-da"})
    mind.say(drones=tuple(msgspec.structs.replace(d, task=after) for d in fleet_scene(now).drones if d.drone == "drone-3"))
    page.evaluate("""async () => {
      (await import('/static/state.js')).select('contact', 'K-0398');
      const wanted = { action: 'launch', drone: 'drone-3', plan_id: 'P-40', priority: 1 };
      await (await import('/static/fleet.js')).command(wanted, 'launch:K-0398'); }""")
    section = page.locator("#pilot .investigate")
    expect(section).to_contain_text(WORDS["order_now.begins"])
    expect(section).to_contain_text("K-0398 không còn nữa", timeout=25_000)
    expect(section).not_to_contain_text(WORDS["order_now.begins"])
    expect(section.locator(".investigate-ask")).to_be_visible()
