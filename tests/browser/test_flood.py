"""In a flood the queue is still a queue: grouped, the most urgent first, and what is chosen is in sight."""

from __future__ import annotations

import time

import msgspec
import pytest
from playwright.sync_api import expect

from station.picture import AlarmRate, Counts, FloodGroup, Sentence
from tests.scene import alarm, corridor_entry, scene


def a_flood(now_ns: int):
    picture = scene(now_ns)
    told = [
        alarm(f"A-{900 + i:06d}", now_ns, priority=1 if i < 3 else 2, ago_s=20 + i, corridor="khe-da", says=corridor_entry())
        for i in range(6)
    ]
    silent = Sentence("alarm.node_silent", {"node": "gate-9", "seconds": 10})
    low = alarm("A-000990", now_ns, rule="node_silent", priority=3, corridor=None, ago_s=5, says=silent)
    group = FloodGroup("khe-da", now_ns - 60 * 10**9, now_ns, 1, tuple(a.id for a in told), 6)
    rate = AlarmRate(12, 12, 4.0, 12, 1.0, True, (group,))
    return msgspec.structs.replace(picture, alarms=(*told, low), counts=Counts(0, 0, {}, alarms=rate))


def test_a_flood_is_grouped_most_urgent_first_and_the_chosen_alarm_is_in_sight(logged_in, watched) -> None:
    logged_in(a_flood(time.time_ns()))
    queue = watched.locator("#queue")
    group = queue.locator("details.flood-group")
    expect(group).to_have_count(1)
    expect(group).not_to_have_attribute("open", "")
    assert "[object" not in queue.inner_text()
    order = watched.evaluate(
        "[...document.querySelectorAll('#queue .queue-body > *')].map((e) => e.className).filter((c) => c !== 'flood')"
    )
    assert order[0] == "flood-group", "three of priority 1 stand above one of priority 3"
    group.locator("summary").click()
    expect(group.locator(".card")).to_have_count(6)
    group.locator("summary").click()
    expect(group.locator(".card").first).not_to_be_visible()
    watched.evaluate("document.activeElement.blur()")
    watched.keyboard.press("j")
    expect(queue.locator(".card.chosen")).to_be_visible()
    assert watched.seen["errors"] == []


def test_a_narrow_status_line_shows_all_of_itself_in_a_flood_and_at_least_one_node_by_name(logged_in, watched) -> None:
    watched.set_viewport_size({"width": 1280, "height": 720})
    logged_in(a_flood(time.time_ns()))
    expect(watched.locator("#status .rate.flood")).to_be_visible()
    right = watched.evaluate(
        "Math.max(...[...document.querySelectorAll('#status > *')].map((e) => e.getBoundingClientRect().right))"
    )
    assert right <= 1280
    name = watched.locator("#status .node span").first
    expect(name).to_be_visible()
    assert name.evaluate("(e) => e.scrollWidth <= e.clientWidth + 1 && e.clientWidth > 20"), "its name is whole"


def test_a_nodes_button_stays_the_same_one_when_it_falls_silent_and_while_its_age_is_counted(logged_in, watched) -> None:
    """Else what is pressed is gone before it is let go, and the keyboard's place with it."""
    now = time.time_ns()
    picture = scene(now)
    mind = logged_in(picture)
    button = watched.locator("#status .node").first
    expect(button).to_be_visible()
    name = button.get_attribute("data-node")
    button.evaluate("(e) => { window.kept = e; e.focus(); }")
    nodes = {n.node: n for n in picture.nodes}
    nodes[name] = msgspec.structs.replace(nodes[name], silent=True, last_heard_ns=now - 20 * 10**9)
    mind.say(nodes=tuple(nodes.values()))
    expect(watched.locator(f'#status .node.silent[data-node="{name}"]')).to_be_visible()
    age = button.locator("em")
    first = age.inner_text()
    expect(age).not_to_have_text(first)
    assert watched.evaluate("window.kept.isConnected && document.activeElement === window.kept")
    assert watched.seen["errors"] == []


CUT_OFF = """() => {
  const line = document.querySelector("#status .nodes").getBoundingClientRect();
  const isIn = (b) => b.left >= line.left - 1 && b.right <= line.right + 1 && b.right <= innerWidth;
  return [...document.querySelectorAll("#status .nodes > *")].filter((e) => !isIn(e.getBoundingClientRect())
    || [...e.querySelectorAll("span")].some((s) => s.scrollWidth > s.clientWidth + 1)).map((e) => e.textContent);
}"""


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 800), (1920, 1080)])
def test_no_nodes_chip_is_cut_off_and_those_without_room_are_counted(logged_in, watched, width, height) -> None:
    watched.set_viewport_size({"width": width, "height": height})
    picture = scene()
    nodes = tuple(msgspec.structs.replace(picture.nodes[0], node=f"camera-{i}", silent=i == 5) for i in range(12))
    logged_in(msgspec.structs.replace(picture, nodes=nodes))
    chips = watched.locator("#status .node")
    expect(chips.first).to_contain_text("camera-5")         # who needs somebody stands first
    expect(watched.locator("#status .nodes .more")).to_contain_text("+")
    shown, counted = watched.evaluate("""[document.querySelectorAll("#status .node").length,
      parseInt(document.querySelector("#status .nodes .more").textContent.slice(1))]""")
    assert shown + counted == 12
    assert watched.evaluate(CUT_OFF) == []
