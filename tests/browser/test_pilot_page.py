"""The pilot's page and Investigate over a mind with a script: what is pressed, what is held, who may, and what is said."""

from __future__ import annotations

import contextlib
import re
import sqlite3
import time

import msgspec
import pytest
from playwright.sync_api import Page, expect

from station.access import Role
from station.fleet_picture import FleetAnswer
from tests.browser.accessibility import faults, faults_in_both_lights
from tests.browser.conftest import enter
from tests.browser.fleet_stage import orders
from tests.fleet_scene import KHE_DA, an_offer, fleet_scene, not_chosen, refusals
from tests.scene import BEN_SONG, along
from tests.web_stage import Stage
from wire.tasking import FleetOrder, FlightKind, FlightWish

SELECT = "async c => (await import('/static/state.js')).select('contact', c)"
PATROL = FlightWish(FlightKind.CORRIDOR, corridor="khe-da")


def ordered(stage: Stage, count: int) -> list[tuple[str, str, str]]:
    return [(o.action.value, o.drone, o.plan_id) for o in orders(stage, count)]


def hold(page: Page, selector: str, ms: int = 1800) -> None:
    page.locator(selector).hover()
    page.mouse.down()
    page.wait_for_timeout(ms)
    page.mouse.up()


@pytest.fixture
def piloting(stages, watched):
    """A pilot, "phi", before the page, and a fleet of four drones with an offer for one of them."""
    stage = stages()
    stage.person("phi", Role.PILOT)
    now = time.time_ns()
    good = an_offer(now, "o-1", "P-40", "drone-3", PATROL, list(reversed(KHE_DA[2:])))
    mind = stage.mind(fleet_scene(now, (good,)))
    stage.start()
    enter(watched, stage, "phi")
    watched.locator(".pilot-link").click()
    watched.wait_for_selector("body.pilot[data-map=ready]")
    return stage, mind, watched


def test_return_is_one_press_landing_and_launching_are_held_and_each_order_is_for_the_drone_that_is_chosen(piloting) -> None:
    stage, _, page = piloting
    panel = page.locator("#pilot")
    expect(page.locator(".drone-chip")).to_have_count(4)
    expect(panel.locator("h2")).to_contain_text("drone-1")
    page.keyboard.press("2")
    expect(panel.locator("h2")).to_contain_text("drone-2")
    panel.locator("button.return").click()
    expect(panel.locator(".fleet-progress", has_text="chờ dịch vụ đội bay")).to_be_visible()
    hold(page, ".hold.land", 500)
    page.wait_for_timeout(1300)
    assert ordered(stage, 1) == [("return", "drone-2", "")], "what was touched and let go lands nobody"
    hold(page, ".hold.land")
    expect(panel.locator(".part-acts")).to_contain_text("Hạ cánh tại chỗ: ")
    panel.get_by_role("button", name="Tạm dừng").click()
    page.keyboard.press("1")
    expect(panel.locator("h2")).to_contain_text("drone-1")
    page.keyboard.press("r")
    page.keyboard.press("3")
    launch = panel.locator(".hold.launch")
    expect(launch).to_contain_text("Giữ để cất cánh drone-3")
    expect(launch).to_contain_text("pin 92 % · về nhà còn 61 %")
    launch.focus()
    page.keyboard.down("Enter")
    page.wait_for_timeout(700)
    page.keyboard.up("Enter")
    page.wait_for_timeout(1200)
    page.keyboard.down("Enter")
    page.wait_for_timeout(1800)
    page.keyboard.up("Enter")
    expect(launch).to_be_disabled()         # it is on its way, and cannot be ordered twice
    assert ordered(stage, 5)[1:] == [
        ("land", "drone-2", ""), ("pause", "drone-2", ""), ("return", "drone-1", ""), ("launch", "drone-3", "P-40"),
    ]
    assert page.seen["errors"] == []


def test_a_plan_is_seen_checked_leg_by_leg_and_what_is_pointed_to_is_shown_on_the_map(piloting) -> None:
    stage, mind, page = piloting
    panel = page.locator("#pilot")
    page.keyboard.press("p")
    panel.get_by_role("button", name="Lập và kiểm tra").click()
    expect(panel.locator(".part-plan")).to_contain_text("Đang lập và kiểm tra")
    (order,) = orders(stage, 1)
    now = time.time_ns()
    bad = an_offer(now, order.id, "P-41", "drone-1", PATROL, list(reversed(KHE_DA[:-1])), refused=refusals())
    good = an_offer(now, "o-1", "P-40", "drone-3", PATROL, list(reversed(KHE_DA[2:])))
    mind.say(fleets=fleet_scene(now, (good, bad)).fleets)
    expect(panel.locator(".verdict")).to_have_text("✕Kế hoạch bị từ chối: 3 lý do")
    expect(panel.locator(".leg")).to_have_count(8)
    expect(panel.locator(".leg.bad")).to_have_count(2)
    reasons = panel.locator(".fleet-reasons li")
    expect(reasons.nth(0)).to_have_text("chặng 6 chỉ cách đường biên giới 88 m; phải giữ 161 m")
    reasons.nth(0).focus()
    expect(panel.locator(".leg.meant")).to_have_text("6✕ không đạt")
    features = page.evaluate(
        "async () => { const { theMap } = await import('/static/map.js');"
        " return (await theMap().getSource('offer-legs').getData()).features; }"
    )
    assert [f["properties"]["leg"] for f in features if f["properties"]["meant"]] == [5]
    assert sorted(f["properties"]["leg"] for f in features if f["properties"]["bad"]) == [5, 6]
    assert panel.locator(".hold.launch").count() == 0
    expect(panel.locator(".buffer")).to_contain_text("gió 3,0 m/s trong 29 giây")
    assert faults_in_both_lights(page, "plan-refused") == []
    page.keyboard.press("3")
    expect(panel.locator(".verdict")).to_have_text("✓Kế hoạch qua mọi kiểm tra")
    expect(panel.locator(".preflight li")).to_have_count(9)
    states = {panel.locator(".preflight li").nth(k).get_attribute("class") for k in range(9)}
    assert states == {"off", "pass", "warning", "running", "soft_failure", "failure", "error"}
    assert faults_in_both_lights(page, "plan-passed") == []
    page.keyboard.press("l")
    expect(panel.locator(".verdict")).to_have_text("✓The plan passes every check")
    assert "[" not in panel.inner_text(), "a text without words"
    assert page.seen["errors"] == []


def given(stage: Stage) -> list[FleetOrder]:
    """The orders themselves, the first given first."""
    with contextlib.closing(sqlite3.connect(stage.settings.orders_db)) as db:
        rows = db.execute("SELECT body FROM fleet_orders ORDER BY given_ns, rowid").fetchall()
    return [msgspec.msgpack.decode(body, type=FleetOrder) for (body,) in rows]


def test_a_refused_plan_names_one_charge_and_is_shortened_at_a_press(piloting) -> None:
    stage, mind, page = piloting
    panel = page.locator("#pilot")
    page.keyboard.press("p")
    expect(panel.get_by_label("Rút ngắn cho vừa mức pin")).to_be_checked()
    panel.get_by_label("Rút ngắn cho vừa mức pin").uncheck()
    panel.get_by_role("button", name="Lập và kiểm tra").click()
    orders(stage, 1)
    (order,) = given(stage)
    assert (order.wish, order.fit) == (PATROL, False), "its own corridor, all of it"
    now = time.time_ns()
    way = list(reversed(KHE_DA[:-1]))
    long = an_offer(now, order.order_id, "P-41", "drone-1", PATROL, way, refused=refusals()[2:])
    mind.say(fleets=fleet_scene(now, (long,)).fleets)
    expect(panel.locator(".offer h3")).to_contain_text("Kế hoạch bị từ chối")
    expect(panel.locator(".verdict")).to_have_text("✕Kế hoạch bị từ chối: 1 lý do")
    charges = re.findall(r"(\d+) %", panel.locator(".offer").inner_text())
    assert charges == ["22", "30"], "the worst case and what must be left, and no other charge beside them"
    page.keyboard.press("l")
    expect(panel.locator(".verdict")).to_have_text("✕The plan is refused: 1 reason")
    expect(panel.locator(".offer h3")).to_contain_text("Refused plan")
    assert faults_in_both_lights(page, "plan-too-long") == []
    panel.get_by_role("button", name="Shorten to fit").click()
    orders(stage, 2)
    again = given(stage)[-1]
    assert (again.wish, again.fit, again.drone) == (PATROL, True, "drone-1")
    short = msgspec.structs.replace(PATROL, reach_m=640.0)
    fits = msgspec.structs.replace(an_offer(now, again.order_id, "P-42", "drone-1", short, way), asked=PATROL)
    mind.say(fleets=fleet_scene(now, (fits,)).fleets)
    expect(panel.locator(".verdict")).to_have_text("✓The plan passes every check")
    expect(panel.locator(".offer h3")).to_contain_text("Offered flight")
    expect(panel.locator(".shortened")).to_have_text("Shortened to fit: only the first 640 m of the corridor.")
    expect(panel.locator(".offer-facts")).to_contain_text("lands with 61 %")
    expect(panel.locator(".shorten")).to_have_count(0)
    assert faults_in_both_lights(page, "plan-shortened") == []
    assert page.seen["errors"] == []


def test_a_simulated_drone_on_the_ground_gets_a_new_battery_at_a_press_and_no_real_one(piloting) -> None:
    stage, mind, page = piloting
    swap = page.locator("#pilot").get_by_role("button", name="Thay pin")
    expect(page.locator("#pilot h2")).to_contain_text("drone-1")
    expect(swap).to_have_count(0)           # it flies
    page.keyboard.press("3")
    swap.click()
    assert ordered(stage, 1) == [("swap_battery", "drone-3", "")]
    expect(page.locator("#pilot .part-acts .fleet-progress")).to_contain_text("Thay pin: ")
    expect(swap).to_be_disabled()
    assert faults(page) == []
    page.keyboard.press("4")                # its link is lost
    expect(page.locator("#pilot h2")).to_contain_text("drone-4")
    expect(swap).to_have_count(0)
    views = fleet_scene(time.time_ns()).drones
    real = msgspec.structs.replace(views[2], telemetry=msgspec.structs.replace(views[2].telemetry, simulated=False))
    mind.say(drones=(*views[:2], real, views[3]))
    page.keyboard.press("3")
    expect(page.locator("#pilot h2")).to_contain_text("drone-3")
    expect(page.locator("#pilot h2 .sim")).to_have_count(0)
    expect(swap).to_have_count(0)
    assert page.seen["errors"] == []


def test_what_was_begun_for_one_drone_is_not_offered_to_another_and_every_target_is_large(piloting) -> None:
    stage, mind, page = piloting
    panel = page.locator("#pilot")
    page.keyboard.press("3")
    panel.get_by_role("button", name="Lập kế hoạch khác").click()
    panel.get_by_role("button", name="Quét khu vực").click()
    for _ in range(3):
        panel.get_by_role("button", name="Lấy giữa bản đồ").click()
    expect(panel.locator(".places")).to_contain_text("3 góc")
    small = page.evaluate(
        "() => [...document.querySelectorAll('#pilot button, #pilot input, #pilot select, .drone-chip')]"
        ".filter(e => e.checkVisibility() && e.getBoundingClientRect().height < (e.type === 'checkbox' ? 24 : 36))"
        ".map(e => `${e.textContent || e.id} ${e.getBoundingClientRect().height}`)"
    )
    assert small == []
    assert faults(page) == []
    page.keyboard.press("4")
    expect(panel.locator(".kinds [aria-pressed=true]")).to_have_text("Dọc hành lang")
    page.keyboard.press("3")
    expect(panel.locator(".places")).to_contain_text("3 góc")
    panel.get_by_role("button", name="Lập và kiểm tra").click()
    expect(panel.locator(".part-plan")).to_contain_text("Đang lập và kiểm tra")
    (order,) = orders(stage, 1)
    assert order.drone == "drone-3" and order.wish is not None and len(order.wish.places) == 3
    # No plan comes of it: the form is there again, with the reason, and what was drawn is not lost.
    now = time.time_ns()
    answer = FleetAnswer(order.id, False, "no", now, "dispatch.no_place")
    view = msgspec.structs.replace(fleet_scene(now).fleets[0], answers=(answer,))
    mind.say(fleets=(view,))
    expect(panel.locator(".plan .fleet-trouble")).to_be_visible()
    expect(panel.locator(".places")).to_contain_text("3 góc")
    assert page.seen["errors"] == []


def test_an_operator_sends_a_drone_from_the_drawer_and_commands_nothing_on_the_pilots_page(stages, watched) -> None:
    stage = stages()
    stage.person("lan", Role.OPERATOR)
    now = time.time_ns()
    mind = stage.mind(fleet_scene(now))
    stage.start()
    page = watched
    enter(page, stage)
    expect(page.locator(".drone-chip")).to_have_count(4)
    page.evaluate(SELECT, "K-0398")
    section = page.locator("#drawer .investigate")
    expect(section.get_by_role("button")).to_have_count(1)
    page.keyboard.press("i")
    expect(section).to_contain_text("Đang chọn UAV")
    (order,) = orders(stage, 1)
    assert order.wish is not None and (order.action, order.drone, order.wish.contact) == ("plan", "", "K-0398")
    wish = FlightWish(FlightKind.INVESTIGATE, contact="K-0398")
    offer = an_offer(time.time_ns(), order.id, "P-50", "drone-1", wish, [along(BEN_SONG, 0.44)[0]], resumes="P-9",
                     others=not_chosen())
    mind.say(fleets=fleet_scene(now, (offer,)).fleets)
    button = section.locator(".hold.launch")
    expect(button).to_be_focused()          # the next thing that a person does
    for text in ("drone-1", "74 giây", "31 %", "bay tiếp tuần tra"):
        expect(section).to_contain_text(text)
    section.locator("summary").click()
    expect(section.locator(".not-chosen li")).to_have_count(2)
    assert faults_in_both_lights(page, "investigate") == []
    button.focus()
    page.keyboard.down("Space")
    page.wait_for_timeout(1800)
    page.keyboard.up("Space")
    expect(section).to_contain_text("chờ dịch vụ đội bay")
    assert ordered(stage, 2)[-1] == ("launch", "drone-1", "P-50")
    # One that a drone looks at: how far it is, and the way back; no second one is sent.
    page.evaluate(SELECT, "K-0412")
    expect(section.locator(".steps .done")).to_have_count(3)
    expect(section).to_contain_text("drone-2")
    section.locator("button.return").click()
    expect(section.locator(".fleet-progress")).to_be_visible()
    assert ordered(stage, 3)[-1] == ("return", "drone-2", "")
    page.goto(stage.address + "/pilot")
    page.wait_for_selector("body.pilot[data-map=ready]")
    expect(page.locator(".looks-only")).to_be_visible()
    assert page.locator("#pilot .return, #pilot .hold, #pilot .check, #pilot .plan-open").count() == 0
    assert faults(page) == []
    assert page.seen["errors"] == []


def test_where_no_drone_can_be_sent_it_is_said_and_there_is_no_dead_button(stages, watched) -> None:
    stage = stages("live")
    stage.person("chi", Role.SUPERVISOR)
    picture = fleet_scene(time.time_ns())
    real = msgspec.structs.replace(picture.contacts[1], simulated=False)
    contacts = (picture.contacts[0], real, *picture.contacts[2:])
    mind = stage.mind(msgspec.structs.replace(picture, realm="live", contacts=contacts))
    stage.start()
    page = watched
    enter(page, stage, "chi")
    section = page.locator("#drawer .investigate")
    page.evaluate(SELECT, "K-0398")
    expect(section).to_contain_text("trạm trực chiến không cử UAV tới")
    assert section.get_by_role("button").count() == 0
    page.evaluate(SELECT, "K-0413")
    expect(section.get_by_role("button")).to_have_count(1)
    silent = tuple(msgspec.structs.replace(n, silent=True) for n in picture.nodes if n.kind == "fleet")
    mind.say(nodes=silent)
    expect(section).to_contain_text("Dịch vụ đội bay fleet đã im lặng")
    assert section.get_by_role("button").count() == 0
    assert ordered(stage, 0) == []
