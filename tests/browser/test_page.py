"""The page as an operator uses it: real Chromium, real web server, real sockets; the mind has a script."""

import re
import time

import msgspec
import pytest
from playwright.sync_api import expect

from station.access import Role, add_person
from station.picture import AlarmEventView, AlarmState, ChangeAlarm, ContactState, DecideMatch, MatchState, Sentence
from tests.browser.conftest import enter
from tests.scene import BEN_SONG, KHE_DA, alarm, contact, corridor_entry, scene
from tests.web_stage import PASSWORD
from wire.units import Colour, ObjectClass, Realm, VehicleKind

HOSTILE = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script>{corridor}'


def test_the_one_time_password_is_changed_at_the_door(stages, watched):
    stage = stages()
    word = add_person(stage.settings, "minh", Role.OPERATOR)
    stage.mind(scene())
    stage.start()
    watched.goto(stage.address)
    watched.fill("#name", "minh")
    watched.fill("#password", "not it at all")
    watched.press("#password", "Enter")
    expect(watched.locator(".problem")).to_have_text("Tên hoặc mật khẩu không đúng.")
    watched.fill("#password", word)
    watched.press("#password", "Enter")
    watched.fill("#old", word)
    watched.fill("#fresh", "ngan")
    watched.fill("#again", "ngan")
    watched.press("#again", "Enter")
    expect(watched.locator(".problem")).to_contain_text("12")
    watched.fill("#fresh", "cau mat khau rieng")
    watched.fill("#again", "cau mat khau khac")
    watched.press("#again", "Enter")
    expect(watched.locator(".problem")).to_contain_text("không giống nhau")
    watched.fill("#again", "cau mat khau rieng")
    watched.press("#again", "Enter")
    watched.wait_for_selector("body[data-map=ready]", timeout=60_000)
    assert watched.url == f"{stage.address}/"


def test_an_alarm_arrives_by_itself_and_is_taken_with_one_key(logged_in, watched):
    mind = logged_in()
    expect(watched.locator(".empty")).to_contain_text("Không có cảnh báo nào chờ")
    now = time.time_ns()
    walker = contact("K-7", KHE_DA, 0.4, now)
    mind.say(contacts=(walker,))
    mind.say(alarms=(alarm("A-1", now, contact_view=walker, says=corridor_entry(), ago_s=1),))
    card = watched.locator(".card.open")
    expect(card).to_contain_text("Người trong hành lang Đường mòn Khe Đá")
    expect(card).to_contain_text("412 m")
    watched.keyboard.press("a")
    expect(watched.locator(".card.done")).to_contain_text("lan đã tiếp nhận")
    expect(watched.locator(".card.open")).to_have_count(0)
    assert mind.asked == [ChangeAlarm("A-1", AlarmState.ACKNOWLEDGED, "lan")]


def test_who_was_second_reads_who_was_first(logged_in, watched):
    now = time.time_ns()
    mind = logged_in()
    mind.say(alarms=(alarm("A-1", now, says=corridor_entry()),))
    expect(watched.locator(".card.open")).to_have_count(1)
    # Somebody else takes it, and the change has not reached this page yet.
    with mind._lock:
        it = mind.values["alarms"]["A-1"]
        taken = AlarmEventView(AlarmState.ACKNOWLEDGED, now, "an", "")
        mind.values["alarms"]["A-1"] = msgspec.structs.replace(it, state=AlarmState.ACKNOWLEDGED, events=(*it.events, taken))
    watched.click(".card.open [data-action=acknowledge]")
    expect(watched.locator("#said")).to_contain_text("an đã làm việc này trước")


def test_the_page_asks_nobody_else_and_breaks_no_rule_of_its_policy(logged_in, stage, watched):
    logged_in(scene())
    watched.wait_for_timeout(1500)
    watched.keyboard.press("j")
    watched.wait_for_timeout(700)
    hosts = {h for h in watched.seen["hosts"] if h != f"127.0.0.1:{stage.port}"}
    assert {h for h in hosts if not h.startswith(("blob:", "data:"))} == set()
    assert [m for m in watched.seen["console"] if "Content Security Policy" in m or m.startswith("error")] == []
    assert watched.seen["errors"] == []


def test_hostile_names_are_text(logged_in, watched):
    now = time.time_ns()
    mind = logged_in()
    walker = msgspec.structs.replace(
        contact(HOSTILE, KHE_DA, 0.4, now, plate=HOSTILE, sensors=(HOSTILE,)),
        why_merged=(Sentence("contact.why.joined", {"sensor": HOSTILE, "others": HOSTILE, "distance_m": 1, "sigmas": 1}),),
    )
    event = AlarmEventView(AlarmState.ACKNOWLEDGED, now, HOSTILE, HOSTILE)
    mind.say(
        contacts=(walker,),
        alarms=(alarm("A-1", now, contact_view=walker, says=corridor_entry(corridor=HOSTILE)),
                alarm("A-2", now, says=Sentence(HOSTILE), events=(event,), state=AlarmState.ACKNOWLEDGED)),
        nodes=tuple(msgspec.structs.replace(n, node=HOSTILE) for n in scene().nodes[:1]),
        sensors=tuple(msgspec.structs.replace(s, id=HOSTILE, node=HOSTILE, detail=HOSTILE) for s in scene().sensors[:1]),
        matches=tuple(msgspec.structs.replace(m, contact=HOSTILE, subject=HOSTILE) for m in scene().matches),
    )
    expect(watched.locator(".card.open")).to_contain_text("<script>")
    for _ in range(3):
        watched.keyboard.press("j")
        watched.wait_for_timeout(300)
        expect(watched.locator("#drawer")).to_contain_text("<img")
    watched.click(".node")
    expect(watched.locator("#drawer h2")).to_contain_text("<img")
    assert watched.evaluate("window.pwned") is None
    assert watched.locator("#queue script, #drawer script, #status script, img[src=x]").count() == 0


def test_a_lost_feed_is_said_with_its_age_and_comes_back_with_the_whole_picture(logged_in, stage, watched):
    mind = logged_in(scene())
    expect(watched.locator(".card.open")).to_have_count(3)
    stage.stop()
    banner = watched.locator("#banner")
    expect(banner).to_contain_text("Mất kết nối với trạm", timeout=30_000)
    expect(banner).to_contain_text(re.compile(r"\d+ (giây|phút)"), timeout=30_000)
    watched.evaluate("import('/static/state.js').then(({ state }) => { state.feed.heardMs -= 3_600_000; })")
    expect(banner).to_contain_text("1 giờ 00")
    mind.say(alarms=(alarm("A-9", time.time_ns(), says=corridor_entry()),))
    stage.start()
    expect(banner).to_be_hidden(timeout=60_000)
    expect(watched.locator('.card[data-id="A-9"]')).to_be_visible()
    assert not watched.evaluate("document.body.classList.contains('stale')")


def test_a_silent_mind_is_said_and_a_decision_is_not_pretended(logged_in, watched):
    mind = logged_in(scene())
    expect(watched.locator(".card.open")).to_have_count(3)
    mind.answering = False
    expect(watched.locator("#banner")).to_contain_text("không trả lời", timeout=30_000)
    watched.keyboard.press("a")
    expect(watched.locator("#said")).to_contain_text("CHƯA được ghi", timeout=30_000)
    expect(watched.locator(".card.open")).to_have_count(3)
    mind.answering = True
    expect(watched.locator("#banner")).to_be_hidden(timeout=30_000)


def test_old_news_that_a_node_brings_is_counted_on_the_screen_until_it_is_judged(logged_in, watched):
    picture = scene()
    mind = logged_in(picture)
    feed = watched.locator("#status .feed")
    expect(feed).to_contain_text("Trực tiếp")
    mind.say(counts=msgspec.structs.replace(picture.counts, old_news=43_200))
    expect(feed).to_have_text("Tin cũ: 43.200")
    assert "không bị chậm" in feed.get_attribute("title")
    watched.set_viewport_size({"width": 1280, "height": 720})
    expect(feed).to_be_visible()
    assert feed.evaluate("e => getComputedStyle(e).fontSize") != "0px", "it is read on a small screen as well"
    mind.say(counts=msgspec.structs.replace(picture.counts, old_news=3))
    expect(feed).to_contain_text("Trực tiếp")
    assert watched.seen["errors"] == []


def test_an_ended_session_keeps_the_map_and_goes_on_with_what_was_pressed(logged_in, stage, watched):
    from station.access import set_password

    mind = logged_in(scene())
    expect(watched.locator(".card.open")).to_have_count(3)
    set_password(stage.settings, "lan", PASSWORD)       # ends all sessions
    watched.keyboard.press("a")
    again = watched.locator("#again")
    expect(again).to_contain_text("Phiên đăng nhập đã hết")
    expect(watched.locator(".card.open")).to_have_count(3)
    watched.fill("#again-password", "not it at all")
    watched.keyboard.press("Enter")
    expect(again.locator(".problem")).to_contain_text("không đúng")
    watched.fill("#again-password", PASSWORD)
    watched.keyboard.press("Enter")
    expect(watched.locator('.card.done[data-id="A-0207"]')).to_be_visible()
    assert watched.url == f"{stage.address}/"
    assert mind.asked == [ChangeAlarm("A-0207", AlarmState.ACKNOWLEDGED, "lan")]


def test_a_computer_with_a_wrong_clock_is_told_so_and_shows_the_stations_time(logged_in, watched):
    watched.add_init_script("{ const real = Date.now; Date.now = () => real() + 400_000; }")
    logged_in(scene())
    expect(watched.locator("#status .clock")).to_contain_text(re.compile("máy này nhanh 6 phút (39|40)"))
    shown = watched.locator("#status .clock b").inner_text().split(":")
    seconds = sum(int(n) * k for n, k in zip(shown, (3600, 60, 1), strict=True))
    assert abs((seconds - 7 * 3600 - time.time()) % 86_400 % 86_395) < 6, "the station's time, seven hours from UTC"


def test_the_language_switches_and_is_remembered(logged_in, stage, watched):
    logged_in(scene())
    expect(watched.locator("#queue h2")).to_have_text("Hàng đợi cảnh báo")
    watched.keyboard.press("j")
    watched.keyboard.press("l")
    expect(watched.locator("#queue h2")).to_have_text("Alarm queue")
    expect(watched.locator("#drawer")).to_contain_text("Error (90 %)")
    assert watched.evaluate("document.documentElement.lang") == "en"
    watched.reload()
    expect(watched.locator("#queue h2")).to_have_text("Alarm queue")


@pytest.mark.parametrize("where", ["/login", "/"])
def test_a_rehearsal_says_so_on_every_page(logged_in, stage, watched, where):
    logged_in(scene())
    if where == "/login":
        watched.context.clear_cookies()
        watched.goto(stage.address + "/login")
        watched.wait_for_selector("#name")
    mark = watched.locator(".watermark").first
    expect(mark).to_be_visible()
    expect(mark).to_contain_text("TRAINING / HUẤN LUYỆN")
    assert watched.evaluate("getComputedStyle(document.querySelector('.frame')).borderTopWidth") == "3px"
    # Over everything, and in nobody's way.
    assert watched.evaluate("document.elementFromPoint(1, 1) !== document.querySelector('.frame')")
    expect(watched.locator(".realm.training").first).to_be_visible()


def test_the_watermark_stands_without_any_script(stages, browser):
    stage = stages()
    stage.start()
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(stage.address + "/login")
    expect(page.locator(".watermark")).to_be_visible()


def test_a_live_station_has_no_watermark(stages, watched):
    stage = stages("live")
    stage.person()
    stage.mind(msgspec.structs.replace(scene(), realm=Realm.LIVE))
    stage.start()
    enter(watched, stage)
    expect(watched.locator(".watermark").first).to_be_hidden()
    expect(watched.locator(".realm")).to_have_text("THỰC")


def test_an_officer_answers_a_question_with_a_reason(logged_in, watched):
    mind = logged_in(scene())
    watched.click('.card[data-id="A-0206"]')
    question = watched.locator("#drawer .match")
    expect(question).to_contain_text("Câu hỏi cho cán bộ")
    expect(question).to_contain_text("+14,2")
    question.get_by_role("button", name="Không phải").click()
    expect(watched.locator("#said")).to_contain_text("căn cứ")
    assert mind.asked == []
    question.locator("input").fill("xe của bưu điện")
    mind.say(contacts=scene().contacts)         # the picture moves on while somebody types
    expect(question.locator("input")).to_have_value("xe của bưu điện")
    question.get_by_role("button", name="Không phải").click()
    expect(watched.locator("#drawer .match")).to_contain_text("Cán bộ trả lời: không phải")
    assert mind.asked == [DecideMatch("M-31", MatchState.REJECTED, "lan", "xe của bưu điện")]


def test_an_alarm_is_closed_with_a_code_and_a_note(logged_in, watched):
    mind = logged_in(scene())
    watched.click('.card[data-id="A-0198"]')
    watched.select_option("#drawer select", "animal")
    watched.fill("#drawer .closing input", "bò")
    watched.click("#drawer .closing button")
    expect(watched.locator("#drawer .history")).to_contain_text("động vật: bò")
    assert mind.asked == [ChangeAlarm("A-0198", AlarmState.CLOSED, "lan", "animal bò")]


def test_an_auditor_sees_no_button_that_would_be_refused(stage, watched):
    stage.person("kiem", Role.AUDITOR)
    stage.mind(scene())
    enter(watched, stage, "kiem")
    expect(watched.locator(".card.open")).to_have_count(3)
    watched.click('.card[data-id="A-0206"]')
    for forbidden in ("[data-action=acknowledge]", "#drawer .decision", "#drawer .answer", "#drawer .instructions button"):
        expect(watched.locator(forbidden)).to_have_count(0)


def test_the_keyboard_goes_through_the_queue_and_says_its_keys(logged_in, watched):
    logged_in(scene())
    expect(watched.locator(".card.open")).to_have_count(3)
    for chosen in ("A-0207", "A-0206", "A-0205"):
        watched.keyboard.press("j")
        expect(watched.locator(".card.chosen")).to_have_attribute("data-id", chosen)
    watched.keyboard.press("k")
    expect(watched.locator(".card.chosen")).to_have_attribute("data-id", "A-0206")
    watched.keyboard.press("Escape")
    expect(watched.locator("#drawer")).to_be_hidden()
    watched.keyboard.press("?")
    expect(watched.locator("dialog#keys")).to_contain_text("Tiếp nhận cảnh báo đang chọn")


def test_the_keyboard_keeps_its_place_on_a_card_that_is_built_again(logged_in, watched):
    mind = logged_in(scene())
    card = watched.locator('.card[data-id="A-0206"]')
    card.locator("[data-action=acknowledge]").focus()
    one = mind.values["alarms"]["A-0206"]
    mind.say(alarms=(msgspec.structs.replace(one, priority=2),))
    expect(watched.locator('.card.p2[data-id="A-0206"] [data-action=acknowledge]')).to_be_focused()
    watched.keyboard.press("Enter")
    expect(watched.locator('.card.done[data-id="A-0206"]')).to_be_visible()
    expect(card.locator(".card-title")).to_be_focused()


def test_a_vehicle_is_shown_with_its_kind_colour_and_plate(logged_in, watched):
    now = time.time_ns()
    mind = logged_in()
    pickup = msgspec.structs.replace(
        contact("K-4", KHE_DA, 0.5, now, kind=ObjectClass.TRUCK, plate="74C-123.45"), kind=VehicleKind.PICKUP,
        colour=Colour.BLUE,
    )
    mind.say(contacts=(pickup,), alarms=(alarm("A-1", now, contact_view=pickup, says=corridor_entry()),))
    watched.click(".card.open")
    expect(watched.locator("#drawer .facts")).to_contain_text("Xe bán tải, xanh dương")
    expect(watched.locator("#drawer .facts .plate")).to_have_text("74C-123.45")


def test_a_contact_that_is_not_seen_is_shown_so_with_its_age(logged_in, watched):
    now = time.time_ns()
    mind = logged_in()
    lost = contact("K-3", KHE_DA, 0.5, now, age_s=45, state=ContactState.COASTING)
    mind.say(contacts=(lost,), alarms=(alarm("A-1", now, contact_view=lost, says=corridor_entry()),))
    watched.click(".card.open")
    expect(watched.locator("#drawer .fact .stale")).to_contain_text(
        re.compile(r"((4[5-9]|5\d) giây|\d+ phút \d\d) trước"))


def test_the_page_is_small(logged_in, stage, watched):
    """Military symbols are fetched once the map is there, which may be before or after this looks."""
    logged_in(scene())
    sizes = dict(watched.evaluate(
        "[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]"
        ".map((e) => [e.name, e.transferSize])"
    ))
    later = sum(size for name, size in sizes.items() if "/milsymbol/" in name)
    assert 100_000 < sum(sizes.values()) - later < 700_000
    assert later < 250_000


def test_first_words_are_shown_when_nothing_is_there_yet(stage, watched):
    enter(watched, stage, "lan", PASSWORD)      # no mind at all
    expect(watched.locator("#banner")).to_contain_text("đang khởi động")
    expect(watched.locator(".empty")).to_contain_text("Không có cảnh báo nào chờ")


def candidates(now, answered=()):
    """Three walkers whom one report may mean, and the one alarm that asks about them."""
    walkers = [contact(f"C-00000{i}", KHE_DA, 0.3 + 0.02 * i, now) for i in (1, 2, 3)]
    question = scene().matches[0]
    matches = tuple(
        msgspec.structs.replace(
            question, id=f"M-00000{i}", contact=w.id, lane="welfare", subject="S-000001",
            state=MatchState.REJECTED if f"M-00000{i}" in answered else MatchState.QUESTION,
        )
        for i, w in enumerate(walkers, 1)
    )
    says = Sentence("alarm.watchlist_candidates", {
        "lane": "welfare", "contacts": 3, "candidates": ", ".join(w.id for w in walkers), "match": "M-000001",
        "contact": "C-000001",
    })
    asking = msgspec.structs.replace(
        alarm("A-000001", now, rule="watchlist_match", contact_view=walkers[0], match="M-000001", says=says),
        contacts=tuple(w.id for w in walkers), matches=tuple(m.id for m in matches),
    )
    return {"contacts": tuple(walkers), "matches": matches, "alarms": (asking,)}


def test_several_candidates_are_one_alarm_and_are_answered_one_by_one(logged_in, watched):
    mind = logged_in()
    mind.say(**candidates(time.time_ns()))
    card = watched.locator(".card.open")
    expect(card).to_contain_text("3 trường hợp (C-1, C-2, C-3)")
    card.click()
    lines = watched.locator("#drawer .candidate-line")
    expect(lines).to_have_count(3)
    expect(watched.locator("#drawer .candidate.chosen .candidate-line")).to_contain_text("Trường hợp 1/3: C-1")
    expect(watched.locator("#drawer .candidates-head")).to_contain_text("còn 3/3")
    lines.nth(1).click()
    body = watched.locator("#drawer .candidate.chosen")
    expect(body).to_contain_text("Trường hợp 2/3: C-2")
    expect(body.locator(".evidence li")).to_have_count(3)
    body.locator("input").fill("bà Hoa ở bản")
    body.get_by_role("button", name="Không phải").click()
    expect(watched.locator("#drawer .candidates-head")).to_contain_text("còn 2/3")
    expect(lines.nth(1)).to_contain_text("không")
    expect(watched.locator("#drawer .candidate.chosen .candidate-line")).to_contain_text("C-1")
    assert mind.asked == [DecideMatch("M-000002", MatchState.REJECTED, "lan", "bà Hoa ở bản")]


def test_arrows_choose_enter_opens_and_a_acknowledges(logged_in, watched):
    mind = logged_in(scene())
    expect(watched.locator(".card.open")).to_have_count(3)
    watched.keyboard.press("Enter")
    expect(watched.locator(".card.chosen")).to_have_attribute("data-id", "A-0207")
    watched.keyboard.press("ArrowDown")
    watched.keyboard.press("ArrowDown")
    watched.keyboard.press("ArrowUp")
    expect(watched.locator(".card.chosen")).to_have_attribute("data-id", "A-0206")
    watched.keyboard.press("Enter")
    expect(watched.locator("#drawer .decision .primary")).to_be_focused()
    outline = watched.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "whoever steers by keyboard sees where"
    watched.keyboard.press("a")
    expect(watched.locator('.card.done[data-id="A-0206"]')).to_be_visible()
    assert mind.asked == [ChangeAlarm("A-0206", AlarmState.ACKNOWLEDGED, "lan", "")]


COVERED = """() => [...document.querySelectorAll("#status button, #drawer button, #legend summary, .maplibregl-ctrl button")]
  .filter((e) => !e.disabled && e.offsetParent !== null).map((e) => [e, e.getBoundingClientRect()])
  .filter(([e, r]) => {
    const pane = e.closest("#drawer")?.getBoundingClientRect();      // what a person scrolls to is not covered
    return !pane || (r.top >= pane.top + 90 && r.bottom <= pane.bottom);
  })
  .filter(([e, r]) => r.width < 8 || r.left < 0 || r.right > innerWidth
    || !e.contains(document.elementFromPoint(r.left + r.width / 2, r.top + r.height / 2)))
  .map(([e]) => `${e.className}: ${e.textContent || e.title}`)"""


@pytest.mark.parametrize(("width", "height"), [(1280, 720), (1600, 1000)])
def test_nothing_lies_over_a_button_however_many_nodes_and_however_long_their_names(logged_in, watched, width, height):
    watched.set_viewport_size({"width": width, "height": height})
    quiet = scene()
    nodes = tuple(
        msgspec.structs.replace(quiet.nodes[0], node=f"camera-{i:02d}-" + "rat-dai-" * 6, silent=i == 17) for i in range(18)
    )
    logged_in(msgspec.structs.replace(quiet, nodes=nodes))
    expect(watched.locator(".card.open")).to_have_count(3)
    first = watched.locator("#status .node").first
    expect(first).to_contain_text("camera-17")
    expect(watched.locator("#status .more")).to_contain_text(re.compile(r"\+\d+ \(0 im lặng\)"))
    assert watched.evaluate("document.querySelector('#status').scrollWidth <= innerWidth")
    assert watched.evaluate(COVERED) == []
    watched.keyboard.press("j")
    expect(watched.locator("#drawer")).to_be_visible()
    # The drawer may lie over the zoom buttons.
    assert [c for c in watched.evaluate(COVERED) if "maplibregl" not in c] == []


def test_a_page_that_changes_its_size_still_shows_every_corridor(logged_in, watched):
    logged_in(scene())
    for size in ({"width": 1280, "height": 720}, {"width": 1000, "height": 900}):
        watched.set_viewport_size(size)
        watched.wait_for_function(
            """async (ends) => { const { onScreen } = await import("/static/map.js");
               const pane = document.getElementById("map");
               const isIn = (p) => p.x > 0 && p.y > 0 && p.x < pane.clientWidth && p.y < pane.clientHeight;
               return ends.map(onScreen).every(isIn); }""",
            arg=[list(KHE_DA[0]), list(KHE_DA[-1]), list(BEN_SONG[0]), list(BEN_SONG[-1])],
        )
