"""The line to the station is lost for an hour: the page says since when, pretends nothing, and then has it all again."""

from __future__ import annotations

import os
import re
import signal
import time

import msgspec
import pytest
from playwright.sync_api import expect

from station.picture import AlarmState, ChangeAlarm
from tests.browser.conftest import enter
from tests.scene import alarm, corridor_entry, scene

HEARD = """() => {
  window.heard = [];
  const real = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...all) {
    window.heard.push(this.frequency.value);
    return real.apply(this, all);
  };
}"""
SOUND = "async () => (await import('/static/sound.js')).soundState()"
FIRST, SECOND, DEAF = 880, 660, 330         # the higher of two tones, hertz; 880 is followed by 660


def quiet_scene():
    """The same night with nothing that sounds by itself."""
    whole = scene()
    return msgspec.structs.replace(whole, alarms=tuple(a for a in whole.alarms if a.priority != 1))


def heard(page):
    return page.evaluate("window.heard.splice(0)")


@pytest.mark.parametrize("how", ["the station is away", "nothing comes through"])
def test_an_hour_without_a_line_is_told_as_such_and_then_all_is_there_again(stage, watched, how):
    mind = stage.mind(quiet_scene())
    watched.clock.install()             # the page's own time, so that an hour of it can pass; the station keeps the real one
    watched.add_init_script(f"({HEARD})()")
    enter(watched, stage)
    waiting = sum(a.state is AlarmState.ACTIVE for a in quiet_scene().alarms)
    assert waiting
    expect(watched.locator(".card.open")).to_have_count(waiting)
    watched.keyboard.press("j")
    watched.wait_for_function(f"async () => await ({SOUND})() === 'on'")
    banner, status = watched.locator("#banner"), watched.locator("#status .feed")
    expect(banner).to_be_hidden()
    heard(watched)
    lost_s = time.time()
    if how == "the station is away":
        stage.stop()
    else:
        os.kill(stage.process.pid, signal.SIGSTOP)      # as with a cable that is out: nobody answers, and nobody refuses
    try:
        expect(banner).to_contain_text("Mất kết nối với trạm")
        since = re.search(r"từ (\d\d):(\d\d):(\d\d)", banner.inner_text())
        assert since, banner.inner_text()
        told_s = int(since[1]) * 3600 + int(since[2]) * 60 + int(since[3]) - 7 * 3600
        assert abs((told_s - lost_s + 43_200) % 86_400 - 43_200) < 15, "it says since when"
        for minutes in (20, 40, 60):
            watched.clock.fast_forward("20:00")
            age = "1 giờ 0" if minutes == 60 else f"{minutes} phút"
            expect(banner).to_contain_text(age)
            expect(banner).to_contain_text(since[0])
            expect(status).to_have_class("feed lost")
            assert watched.evaluate("document.body.classList.contains('stale')")
        assert DEAF in heard(watched), "a page that stands still is heard"
        expect(watched.locator("#drawer .fact .stale").first).to_contain_text("1 giờ 0")
        expect(watched.locator("#status .node").first).to_contain_text("1 giờ 0")

        # Who decides something is told what became of it, and the screen does not pretend.
        watched.keyboard.press("a")
        expect(watched.locator("#said")).to_contain_text(re.compile("CHƯA (được ghi|biết)"))
        expect(watched.locator(".card.open")).to_have_count(waiting)
        assert mind.asked == []
        heard(watched)

        now = time.time_ns()
        missed = [alarm(f"A-90{i}", now, priority=1 + i % 2, says=corridor_entry()) for i in range(4)]
        mind.say(alarms=tuple(missed))
    finally:
        if how == "the station is away":
            stage.start()
        else:
            os.kill(stage.process.pid, signal.SIGCONT)
    expect(banner).to_be_hidden(timeout=60_000)
    for one in missed:
        expect(watched.locator(f'.card.open[data-id="{one.id}"]')).to_be_visible()
    assert not watched.evaluate("document.body.classList.contains('stale')")
    for part in ("#drawer .facts", "#status .nodes", "#status .feed"):
        expect(watched.locator(part)).not_to_contain_text("1 giờ")
    watched.wait_for_function(f"() => window.heard.includes({FIRST})")
    watched.wait_for_timeout(1000)
    tones = heard(watched)
    assert tones.count(520) == 1, f"two of priority 2 that come together sound once: {tones}"
    assert DEAF not in tones
    watched.locator(f'.card[data-id="{missed[0].id}"]').click()
    watched.keyboard.press("a")
    expect(watched.locator(f'.card.done[data-id="{missed[0].id}"]')).to_be_visible()
    assert ChangeAlarm(missed[0].id, AlarmState.ACKNOWLEDGED, "lan") in mind.asked
    assert watched.seen["errors"] == []


def test_the_language_is_switched_and_no_panel_covered_while_the_line_is_lost(stage, watched):
    stage.mind(quiet_scene())
    with watched.expect_response("**/static/language/en.json"):
        enter(watched, stage)
    stage.stop()
    banner = watched.locator("#banner")
    expect(banner).to_contain_text("Mất kết nối với trạm")
    watched.keyboard.press("j")
    watched.keyboard.press("l")
    expect(banner).to_contain_text("No connection to the station")
    box = banner.bounding_box()
    for other in ("#search", "#strip .drone-chip", "#drawer"):
        it = watched.locator(other).first.bounding_box()
        apart = (it["x"] >= box["x"] + box["width"] or it["x"] + it["width"] <= box["x"]
                 or it["y"] >= box["y"] + box["height"] or it["y"] + it["height"] <= box["y"])
        assert apart, other
