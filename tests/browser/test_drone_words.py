"""What the pages say of drones and faults: in the person's language, whole, once, and with no person where none is."""

from __future__ import annotations

import time

import msgspec
from playwright.sync_api import expect

from station.access import Role
from station.fleet_picture import FleetAnswer
from station.picture import AlarmEventView, AlarmState, NodeView, SensorView, Sentence
from station.store import INBOX, open_store, transaction
from tests.browser.conftest import enter
from tests.browser.fleet_stage import orders
from tests.fleet_scene import KHE_DA, an_offer, fleet_scene
from tests.scene import alarm, health, scene
from wire.clock import WallClock
from wire.flying import Preflight, PreflightItem, PreflightState, TaskPhase, TaskState
from wire.messages import SensorState
from wire.node_words import nested, node_text
from wire.tasking import FlightKind, FlightWish
from wire.units import HeightMsl, Position, Realm

PATROL = FlightWish(FlightKind.CORRIDOR, corridor="khe-da")
HIGH = "selector => [...document.querySelectorAll(selector)].map(e => Math.round(e.getBoundingClientRect().height))"


def pilot_of(stages, watched, picture):
    stage = stages()
    stage.person("phi", Role.PILOT)
    mind = stage.mind(picture)
    stage.start()
    enter(watched, stage, "phi")
    watched.goto(f"{stage.address}/pilot")
    watched.wait_for_selector("body.pilot[data-map=ready]")
    return stage, mind, watched


def with_drone(picture, number, **changes):
    drones = list(picture.drones)
    drones[number] = msgspec.structs.replace(drones[number], **changes)
    return msgspec.structs.replace(picture, drones=tuple(drones))


def test_the_drawer_of_a_drone_speaks_the_persons_language(logged_in, watched):
    now = time.time_ns()
    picture = with_drone(
        fleet_scene(now), 1,
        task=TaskState("T-9", "drone-2", "P-21", TaskPhase.EXECUTING, now,
                       "drone-2 goes on with khe-da beyond contact C-000001; it leaves out 99 m", key="passing.rejoined",
                       params={"drone": "drone-2", "corridor": "khe-da", "contact": "C-000001", "metres": 99}),
        preflight=Preflight("drone-2", now, PreflightState.PASS, (
            PreflightItem("fence", PreflightState.OFF, "the plan asks for none", key="preflight_says.no_fence"),)),
    )
    picture = with_drone(picture, 1, plan=msgspec.structs.replace(picture.drones[1].plan, corridor="contact C-000001"))
    logged_in(picture)
    watched.click("[data-drone=drone-2]")
    drawer = watched.locator("#drawer")
    expect(drawer).to_contain_text("Hàng rào bay: kế hoạch không yêu cầu")
    expect(drawer).to_contain_text("theo lệnh từng điểm · động cơ mở")
    said = drawer.inner_text()
    for english in ("goes on with", "the plan asks", "contact C-", "GUIDED", "fence:"):
        assert english not in said, said
    watched.click("[data-drone=drone-3]")
    expect(drawer).to_contain_text("ở mặt đất · động cơ khóa")


def test_a_drone_of_which_nobody_tells_any_more_is_not_said_to_be_well(logged_in, watched):
    now = time.time_ns()
    picture = scene(now)
    unheard = msgspec.structs.replace(picture.drones[0].telemetry, at_ns=now - 60 * 10**9)
    logged_in(with_drone(picture, 0, telemetry=unheard))
    chip = watched.locator("#strip .drone-chip")
    expect(chip).to_contain_text("mất dấu 1 phút")
    assert "lost" in chip.get_attribute("class").split()
    chip.click()
    expect(watched.locator("#drawer .drawer-head")).to_contain_text("mất dấu 1 phút")


def test_an_alarm_about_a_drone_shows_no_person_and_says_when_the_fault_is_over(logged_in, watched):
    now = time.time_ns()
    fault = alarm("A-0300", now, rule="drone_trouble", priority=2, corridor=None,
                  says=Sentence("alarm.drone_no_position", {"drone": "drone-1"}))
    mind = logged_in(msgspec.structs.replace(scene(now), alarms=(fault,)))
    card = watched.locator('.card[data-id="A-0300"]')
    sign = "async name => (await import('/static/dom.js')).glyph(name).innerHTML"
    person, drone = watched.evaluate(sign, "person"), watched.evaluate(sign, "drone")
    assert card.locator(".thumb svg").evaluate("e => e.innerHTML") == drone != person
    card.click()
    expect(watched.locator("#drawer .history")).to_be_visible()
    expect(watched.locator("#drawer .no-snapshot")).to_have_count(0)
    left = watched.evaluate("""() => ['.replay-link a', '.history h3', '[data-focus=incident]'].map(s => {
      const r = document.createRange();
      r.selectNodeContents(document.querySelector('#drawer ' + s));
      return Math.round(r.getBoundingClientRect().left); })""")
    assert max(left) - min(left) <= 2, f"one edge for what stands one below the other: {left}"
    expect(card.locator(".fault-over")).to_have_count(0)
    over = AlarmEventView(AlarmState.ACTIVE, time.time_ns(), "system", "recovered")
    mind.say(alarms=(msgspec.structs.replace(fault, events=(*fault.events, over)),))
    expect(card.locator(".fault-over")).to_have_text("Sự cố đã hết; tiếp nhận là xong")
    again = msgspec.structs.replace(over, at_ns=time.time_ns(), reason="again")
    mind.say(alarms=(msgspec.structs.replace(fault, events=(*fault.events, over, again)),))
    expect(card.locator(".fault-over")).to_have_count(0)


def test_an_alarm_says_why_in_the_persons_language_what_a_node_said_of_itself(logged_in, watched):
    now, word = time.time_ns(), node_text("gnss_jumped", metres=341)
    fault = alarm("A-0301", now, rule="position_untrusted", priority=3, corridor=None,
                  says=Sentence("alarm.position_untrusted", {"node": "gate-2", **nested("detail", str(word), word.worded)}))
    full = Sentence("alarm.store_trouble", {"file": "inbox.db", "detail": "full"})
    said = msgspec.structs.replace(fault, id="A-0302", says=full)
    logged_in(msgspec.structs.replace(scene(now), alarms=(fault, said)))
    watched.locator('.card[data-id="A-0301"]').click()
    expect(watched.locator("#drawer .reasons li")).to_have_text(["vị trí vệ tinh nhảy 341 m"])
    watched.locator('.card[data-id="A-0302"]').click()
    expect(watched.locator("#drawer .drawer-head")).to_contain_text("full")
    expect(watched.locator("#drawer .reasons li")).to_have_count(0)         # not twice


def test_a_drones_camera_has_no_second_name_beside_the_drones(logged_in, watched):
    now = time.time_ns()
    picture = scene(now)
    at = picture.drones[0].telemetry.position

    def eye(metres, state=SensorState.SEEING):
        where = Position(at.lat_deg + metres / 111_195, at.lon_deg, HeightMsl(210.0))
        return SensorView("drone-1-eye", "drone-1-eye", where, (), state, now, now, True, "")

    node = NodeView("drone-1-eye", "drone", now, False, health(now))
    named = "async () => (await import('/static/map.js')).theMarks().all.names.map(n => n.id)"
    mind = logged_in(msgspec.structs.replace(picture, sensors=(*picture.sensors, eye(15)), nodes=(*picture.nodes, node)))
    watched.wait_for_function(f"async () => (await ({named})()).includes('drone-1')")
    names = watched.evaluate(named)
    assert "drone-1-eye" not in names and "gate-1" in names
    mind.say(sensors=(eye(15, SensorState.BLIND),))
    watched.wait_for_function(f"async () => (await ({named})()).includes('drone-1-eye')")
    mind.say(sensors=(eye(400),))
    watched.wait_for_timeout(1500)
    assert "drone-1-eye" in watched.evaluate(named), "far from any drone it is known by its own name"


def test_a_speed_and_a_number_of_satellites_stay_on_one_line_however_old_they_are(stages, watched):
    now = time.time_ns()
    old = {"ground_speed_m_s": 186.0, "gps_fix": 0.1, "mode": 0.1}
    first = fleet_scene(now)
    telemetry = msgspec.structs.replace(
        first.drones[2].telemetry, ground_speed_m_s=7.0, gps_fix=1, gps_satellites=0, mode="LAND", ages_s=old)
    _, _, page = pilot_of(stages, watched, with_drone(first, 2, telemetry=telemetry))
    page.keyboard.press("3")
    facts = page.locator(".drone-facts")
    expect(facts).to_contain_text("chưa định vị được")
    expect(facts).to_contain_text(" phút ")
    expect(facts.locator("dd").first).to_contain_text("ở mặt đất")       # it has landed, whatever mode it landed in
    high = page.evaluate(HIGH, ".drone-facts dd")
    assert high[0] == high[3] < 30, "mode and satellites: one line each"
    speed = "document.querySelectorAll('.drone-facts dd')[2].firstChild.firstChild"
    rows = f"() => {{ const r = document.createRange(); r.selectNode({speed}); return r.getClientRects().length; }}"
    assert page.evaluate(rows) == 1, "7 m/s"


def test_a_drone_that_was_called_back_is_no_trouble_and_the_strip_says_first_what_it_does(stages, watched):
    now = time.time_ns()
    first = fleet_scene(now)
    _, mind, page = pilot_of(stages, watched, first)
    mind.say(drones=fleet_scene(time.time_ns()).drones[:1])        # told just now, however long the page took to open
    expect(page.locator("[data-drone=drone-1] small")).to_have_text("đang bay · Dọc hành lang · Đường mòn Khe Đá")
    page.keyboard.press("3")
    task = TaskState("T-3", "drone-3", "P-3", TaskPhase.CANCELLED, now, "called back")
    mind.say(drones=(msgspec.structs.replace(first.drones[2], task=task),))
    expect(page.locator(".doing .fleet-progress")).to_contain_text("■ đã hủy: called back")
    expect(page.locator(".doing .fleet-trouble")).to_have_count(0)
    mind.say(drones=(msgspec.structs.replace(first.drones[2], task=msgspec.structs.replace(task, phase=TaskPhase.FAILED)),))
    expect(page.locator(".doing .fleet-trouble")).to_contain_text("✕ không thành: called back")


def test_a_plan_that_cannot_be_is_refused_in_sight_and_one_that_can_shows_its_verdict(stages, watched):
    now = time.time_ns()
    stage, mind, page = pilot_of(stages, watched, fleet_scene(now))
    page.set_viewport_size({"width": 1366, "height": 768})
    page.keyboard.press("3")
    page.locator(".plan .check").click()
    (order,) = orders(stage, 1)
    no = FleetAnswer(order.id, False, "less than 30 m", now, "plan_refused.short", {"corridor": "x", "least_m": 30})
    mind.say(fleets=fleet_scene(now, (), (no,)).fleets)
    trouble = page.locator(".plan .fleet-trouble")
    expect(trouble).to_contain_text("chỉ bay được dưới 30 m")
    expect(trouble).to_be_in_viewport(ratio=1)
    page.get_by_role("button", name="Bay vòng").click()
    expect(trouble).to_have_count(0)        # it was about another plan
    page.get_by_role("button", name="Dọc hành lang", exact=True).click()
    page.locator(".plan .check").click()
    order = orders(stage, 2)[-1]
    good = an_offer(time.time_ns(), order.id, "P-41", "drone-3", PATROL, list(reversed(KHE_DA[2:])))
    mind.say(fleets=fleet_scene(now, (good,)).fleets)
    expect(page.locator(".verdict.passed")).to_be_in_viewport(ratio=1)
    expect(page.locator(".hold.launch")).to_be_in_viewport(ratio=1)
    covered = """() => { const r = document.querySelector('.verdict').getBoundingClientRect();
      return document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2).closest('.verdict') !== null; }"""
    assert page.evaluate(covered), "nothing lies over it"


def test_what_a_node_says_is_read_in_the_persons_language_and_of_an_older_node_as_it_came(logged_in, watched):
    """Also a reason within a sentence, and what was recorded before nodes sent keys."""
    logged_in(scene())
    say = """async ([text, words]) => (await import('/static/node_words.js')).nodeSays(text, words)"""
    lost = node_text("position_unchecked", seconds=70, why=node_text("no_receiver"))
    moved = node_text("gnss_moved", metres=41, side=node_text("compass_north_east"))
    for said, read in (
        (node_text("no_picture"), "không có hình"), (node_text("no_frame", seconds=20), "không có hình nào trong 20 s"),
        (lost, "vị trí không được kiểm tra 70 s: không có máy thu vệ tinh nào nối với gpsd"), (moved, "về phía đông bắc"),
    ):
        assert read in watched.evaluate(say, [str(said), msgspec.to_builtins(said.worded)])
    for words in (None, {"key": "", "params": {}}, {"key": "node_says.of_a_newer_node", "params": {}}):
        assert watched.evaluate(say, ["no such lens", words]) == "no such lens"
    problems = """async health => (await import('/static/node_words.js')).nodeProblems(health)"""
    known = msgspec.to_builtins(node_text("no_picture").worded)
    both = {"problems": ["no picture comes", "old words"], "problem_words": [known]}
    assert watched.evaluate(problems, both) == ["không có hình", "old words"]


def test_a_day_of_another_year_has_its_year(logged_in, watched):
    """What is kept for two years is erased on a day that looks like yesterday."""
    logged_in(scene())
    said = """async ([ns, now]) => (await import('/static/format.js')).timeElement(ns, now).textContent"""
    now_ms = 1_795_000_000_000
    day_ms = 86_400_000
    assert watched.evaluate(said, [(now_ms + 730 * day_ms) * 1_000_000, now_ms]).startswith("17/11/2028 ")
    assert watched.evaluate(said, [(now_ms + 7 * day_ms) * 1_000_000, now_ms]).startswith("25/11 ")
    assert len(watched.evaluate(said, [now_ms * 1_000_000, now_ms])) == 8


def test_a_picture_says_whose_it_is_and_of_when(logged_in, stage, watched):
    now = time.time_ns()
    db = open_store(stage.settings.inbox_db, INBOX, Realm.TRAINING, WallClock())
    with transaction(db):
        db.execute("INSERT INTO arrivals(id, node, boot, sequence, kind, received_ns, payload) "
                   "VALUES (9, 'drone-1-eye', 1, 1, 'snapshot', 1, x'00')")
        db.execute("INSERT INTO snapshots VALUES (9, 'drone-1-eye', 'drone-1-eye', 1, ?, '[]', ?)", (now, b"\xff\xd8"))
    db.close()
    logged_in(scene(now, ("9", None, None)))
    watched.click('.card[data-id="A-0207"]')
    shown = watched.locator("#drawer .snapshot figcaption")
    expect(shown).to_contain_text("drone-1-eye · ")
    assert len(shown.inner_text().split(" · ")[1]) == 8
