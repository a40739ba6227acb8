"""The trainer's desk in a browser, with a real exercise: prepared, led, ended, debriefed; and one built on the map."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from playwright.sync_api import expect

from sim.demo_settings import free_port
from sim.exercise_scenario import LIBRARY, load_exercise
from tests.browser.accessibility import faults, faults_in_both_lights
from tests.browser.both_languages import in_one_language
from tests.station.conftest import ROOT

PASSWORD = "mot cau dai de nho"
# What stands in the short exercise's own file, which has it in one language; names of accounts, actors and processes, as
# files and terminals have them.
QUOTED = ("A short one", "Everything, quickly.", "Somebody may come.", "secret-walker", "bag", "trainer", "operator",
          "pilot", "supervisor", "auditor", "station", "world", "fleet", "second-walker", "walker", "farmer")
SECRET = "secret-walker"
SHORT = """
name = "short"
seed = 5
sector = "{configs}/sectors/laobao/sector.toml"
landscape = "{configs}/worlds/landscapes/laobao.toml"
starts = 2026-11-24T14:30:00+07:00
[exercise]
title = "A short one"
teaches = "Everything, quickly."
seconds = 400.0
[trainees]
brief = "Somebody may come."
[[actors]]
name = "secret-walker"
kind = "person"
role = "crosser"
enters_s = 2.0
at = {{ on = "khe-da", at_m = 318.0 }}
script = [{{ do = "follow_trail", trail = "khe-da", to_m = 1250.0 }}]
[[cameras]]
id = "camera-1"
like = "{configs}/demo/world/camera-1.toml"
[[injects]]
id = "bag"
do = "camera"
camera = "camera-1"
fault = "covered"
for_s = 5.0
"""


@pytest.fixture(scope="module")
def desk():
    """A desk's process: its address, its folder, and the one-time password that it printed."""
    folder, port = Path(tempfile.mkdtemp(prefix="tw-")), free_port()
    (folder / "exercises").mkdir()
    (folder / "exercises" / "short.toml").write_text(SHORT.format(configs=LIBRARY.parent), encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "ground_station.py"), "exercise", "desk", "--folder", str(folder), "--port", str(port)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ | {"YOLO_AUTOINSTALL": "false"},
    )
    word = re.search(r"one-time password (\S+)", process.stdout.readline())[1]
    assert "trainer's desk is at" in process.stdout.readline()
    yield f"http://127.0.0.1:{port}", folder, word
    for pid in directors(folder):
        os.kill(pid, signal.SIGTERM)
    process.terminate()
    process.wait(60)
    shutil.rmtree(folder, ignore_errors=True)


def directors(folder):
    found = []
    for proc in Path("/proc").iterdir():
        if proc.name.isdigit():
            try:
                line = (proc / "cmdline").read_bytes().decode("utf-8", "replace")
            except OSError:
                continue
            if f"{folder}/runs" in line and "\0run\0" in line:
                found.append(int(proc.name))
    return found


def enter(page, address, name, word):
    """At the first login with the one-time password, which is changed; later with the new one."""
    page.goto(f"{address}/login")
    for password in (word, PASSWORD):
        page.fill("#name", name)
        page.fill("#password", password)
        with page.expect_response("**/api/login") as answer:
            page.press("#password", "Enter")
        if answer.value.ok:
            break
    page.wait_for_selector("#old, #main > *, #map")
    if page.locator("#old").count():
        page.fill("#old", word)
        page.fill("#fresh", PASSWORD)
        page.fill("#again", PASSWORD)
        page.press("#again", "Enter")


def save_as(page, folder, name):
    """The settings of the exercise that the builder shows, saved under that name."""
    page.fill("#build-name", name)
    page.keyboard.press("Tab")
    expect(page.locator(".verdict .good")).to_be_visible()
    page.click(".build-bar .primary")
    expect(page.locator("#said")).to_contain_text(name)
    return load_exercise(folder / "exercises" / f"{name}.toml").settings


def test_an_exercise_is_built_on_the_map_and_saved_as_a_file_that_runs(desk, watched):
    address, folder, word = desk
    page = watched
    enter(page, address, "trainer", word)
    page.wait_for_selector(".exercise-detail h2")
    assert page.locator("nav a[aria-current=page]").all_inner_texts() == ["Bài tập"]
    expect(page.locator(".exercise-detail .facts")).to_contain_text(re.compile(r"\d\d/\d\d/20\d\d \d\d:\d\d"))
    assert faults_in_both_lights(page, "exercises") == []
    assert in_one_language(page, *QUOTED) == []
    title, brief = page.locator(".exercise-detail h2").first, page.locator(".exercise-detail blockquote")
    expect(title).to_have_text("Một người đi lẻ ban ngày")
    expect(brief).to_contain_text("Một buổi chiều bình thường")
    page.click("text=English")
    expect(title).to_have_text("A single walker by day")
    expect(brief).to_contain_text("An ordinary afternoon")
    page.click("text=Tiếng Việt")
    expect(page.locator(".exercise-list")).to_contain_text("Cảnh báo dồn dập")
    page.goto(f"{address}/builder")
    page.wait_for_selector(".map[data-map=ready]", timeout=120_000)
    assert page.evaluate("new Set([...document.querySelectorAll('[role=tab]')].map(e => e.offsetTop)).size") == 1, "one line"
    page.click("role=tab >> nth=1")
    page.click(".add-row button")
    canvas = page.locator(".maplibregl-canvas")
    expect(page.locator(".map-hint")).to_be_visible()
    box = canvas.bounding_box()
    for x, y in ((0.19, 0.2), (0.36, 0.2), (0.62, 0.3)):       # beside the trail in the north, and off it
        page.mouse.click(box["x"] + box["width"] * x, box["y"] + box["height"] * y)
        page.wait_for_timeout(400)
    expect(page.locator(".acts li")).to_have_count(3)           # two acts, and the row that adds more
    page.keyboard.press("Escape")
    page.get_by_label(re.compile("Số người trong nhóm")).fill("4")
    page.keyboard.press("Tab")
    expect(page.locator(".verdict .good")).to_be_visible()
    assert faults_in_both_lights(page, "builder") == []
    page.get_by_label(re.compile("Xuất hiện sau")).fill("9000")
    page.keyboard.press("Tab")
    expect(page.locator(".verdict .problem")).to_contain_text(re.compile(r"my-exercise\.toml:\d+: actors\.0\.enters_s"))
    expect(page.locator(".build-bar .primary")).to_be_disabled()
    page.click(".build-bar >> text=Hoàn tác")
    page.click("role=tab >> nth=2")
    page.click(".add-row button >> nth=0")
    page.mouse.click(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.45)
    expect(page.locator(".verdict .good")).to_be_visible()
    found = {}
    for tab in range(6):
        page.click(f"role=tab >> nth={tab}")
        assert faults(page) == []
        found[tab] = in_one_language(page, *QUOTED, "people-1", "camera-1.toml", "camera-2.toml")
    assert {tab: texts for tab, texts in found.items() if texts} == {}
    page.click(".build-bar .primary")
    expect(page.locator("#said")).to_contain_text("my-exercise")
    made = load_exercise(folder / "exercises" / "my-exercise.toml").settings
    assert made.actors[0].count == 4 and len(made.actors[0].script) == 2 and len(made.cameras) == 3
    assert made.cameras[2].position is not None
    assert watched.seen["errors"] == []


def test_what_an_inject_says_in_another_language_goes_with_its_name_and_with_it(desk, watched):
    address, folder, word = desk
    page = watched
    enter(page, address, "trainer", word)
    page.wait_for_selector(".exercise-detail h2")
    page.goto(f"{address}/builder#sabotage")
    page.wait_for_selector(".map[data-map=ready]", timeout=120_000)
    library = load_exercise(LIBRARY / "sabotage.toml").settings
    vietnamese = library.words.vi.says["farmer-calls"]
    page.click("role=tab >> nth=4")

    def rename(was, to):
        page.click(f".build-form button >> text={was}")
        page.get_by_role("region", name=was).get_by_label("Tên", exact=True).fill(to)
        page.keyboard.press("Tab")
        expect(page.get_by_role("region", name=to)).to_be_visible()

    rename("bag-over-camera-1", "bag")
    rename("farmer-calls", "farmer-rings")
    expect(page.get_by_role("region", name="farmer-rings").locator("textarea")).to_have_value(vietnamese)
    expect(page.locator(".verdict .good")).to_be_visible()
    saved = save_as(page, folder, "sabotage-renamed")
    (rings,) = [i for i in saved.injects if i.id == "farmer-rings"]
    assert rings.when.after == "bag", "who waits for an inject waits for its new name"
    assert saved.words.vi.says == {"farmer-rings": vietnamese}
    page.get_by_role("listitem").filter(has_text="farmer-rings").get_by_label("Bỏ").click()
    saved = save_as(page, folder, "sabotage-without")
    assert [i.id for i in saved.injects if i.id.startswith("farmer")] == [] and saved.words.vi.says == {}
    assert watched.seen["errors"] == []


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_exercise_is_prepared_led_and_debriefed_and_no_trainee_gets_the_truth(desk, watched, browser):
    address, _, word = desk
    page = watched
    enter(page, address, "trainer", word)
    expect(page.locator(".exercise-detail button.primary")).to_be_enabled()
    page.click(".exercise >> text=A short one")
    page.click(".exercise-detail button.primary")       # at once: it is that one's, or not there yet
    expect(page.locator(".lead-clock .chip")).to_have_text("sẵn sàng", timeout=500_000)
    expect(page.locator(".station code")).to_have_count(4)
    accounts = dict(zip(page.locator(".station th").all_inner_texts(), page.locator(".station code").all_inner_texts(),
                        strict=True))
    map_address = page.locator(".station a").get_attribute("href")
    trainee = browser.new_context().new_page()
    trainee.set_default_timeout(120_000)
    heard = []
    trainee.on("websocket", lambda socket: socket.on("framereceived", lambda frame: heard.append(str(frame))))
    enter(trainee, map_address, "operator", accounts["operator"])
    trainee.wait_for_selector("body[data-map=ready]")
    with page.expect_response("**/api/desk/truth") as truth:
        page.click("[data-order=start]")
    assert truth.value.ok
    expect(page.locator("[data-order=pause]")).to_be_visible()
    page.wait_for_selector(".map[data-map=ready]", timeout=120_000)
    page.wait_for_function("async () => (await (await fetch('/api/desk/truth')).text()).includes('secret-walker')")
    expect(page.locator(".lead-side .lines .p1 >> nth=0")).to_be_visible(timeout=120_000)      # the trainees' alarm
    expect(trainee.locator(".card >> nth=0")).to_be_visible()

    # What the trainee has: the station's answers and its feed, and no address that says more.
    for path in ("/api/desk/truth", "/api/truth", "/truth", "/api/desk/running", "/truth.db", "/static/truth.db"):
        assert trainee.request.get(map_address + path).status == 404
    for path in ("truth", "running", "score"):
        assert trainee.request.get(f"{address}/api/desk/{path}").status == 401
    said = trainee.request.get(f"{map_address}/api/picture").text()
    assert '"contacts":[{' in said and SECRET not in said and "crosser" not in said
    assert heard and not [frame for frame in heard if SECRET in frame or "crosser" in frame]

    assert faults_in_both_lights(page, "exercise-running") == []
    page.click(".injects button")
    expect(page.locator(".injects .done")).to_have_count(1)
    assert in_one_language(page, *QUOTED) == []
    page.click("[data-order=freeze]")
    expect(page.locator(".lead-clock .chip")).to_have_text("dừng để trao đổi")
    page.click("[data-order=resume]")
    expect(page.locator(".score .facts")).to_be_visible()
    page.click(".lead-buttons .danger")
    page.click("#dialog .primary")
    expect(page.locator(".debrief-side h2")).to_have_text("A short one", timeout=120_000)
    expect(page.locator(".moments li >> nth=0")).to_be_visible()
    page.wait_for_selector(".debrief .map[data-map=ready]", timeout=120_000)
    assert faults_in_both_lights(page, "debrief") == []
    assert in_one_language(page, *QUOTED) == []
    expect(page.locator(".debrief-time")).to_contain_text("đưa vào bằng tay")
    with page.expect_download() as download:
        page.click("a >> text=PDF")
    assert Path(download.value.path()).read_bytes().startswith(b"%PDF")
    with page.context.expect_page(timeout=120_000) as opened:       # a station's pages start for it
        page.click(".moments button:not(.at) >> nth=0")
    expect(page.locator(".review code")).to_be_visible()
    replay = opened.value
    replay.wait_for_load_state()
    assert "/login" in replay.url or "/replay" in replay.url
    review, _, moment = page.locator(".review a").get_attribute("href").partition("/replay")
    assert re.fullmatch(r"\?from=\d{19}&to=\d{19}", moment), "the link leads to the moment, where no window opens"
    enter(replay, review, page.locator(".review b").inner_text(), page.locator(".review code").inner_text())
    replay.wait_for_selector("body[data-map=ready]")
    replay.goto(f"{review}/replay{moment}")
    replay.wait_for_selector(".replay-bar")
    assert watched.seen["errors"] == []
