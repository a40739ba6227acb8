"""What draws what: the ground is a picture that the camera moves, and who walks on it does not have it painted again."""

from __future__ import annotations

import time

import msgspec
from playwright.sync_api import expect

from station.picture import ContactView
from tests.browser.conftest import enter
from tests.scene import KHE_DA, contact, scene
from wire.units import GroundPosition

COUNTED = """() => {
  const real = CanvasRenderingContext2D.prototype.putImageData;
  window.painted = 0;
  CanvasRenderingContext2D.prototype.putImageData = function (...all) {
    if (this.canvas.className === "sheet") window.painted += 1;
    return real.apply(this, all);
  };
}"""
SHOWN = """async () => {
  const { theMap } = await import("/static/map.js"), { on } = await import("/static/state.js");
  window.map = theMap();
  window.turn = -1;
  on("drawn", (turn) => { window.turn = turn; });
}"""
MOVED = """(() => { const m = new DOMMatrix(document.querySelector(".sheet").style.transform);
  return Math.abs(m.a - 1) > 1e-3 || Math.abs(m.e) > 1 || Math.abs(m.f) > 1; })()"""
SHARP = f"() => map.areTilesLoaded() && !map.isMoving() && window.painted > 0 && !{MOVED}"      # painted where the camera is


def opened(stage, page):
    mind = stage.mind(scene())
    page.add_init_script(f"({COUNTED})()")
    enter(page, stage)
    page.evaluate(SHOWN)
    page.wait_for_function(SHARP)
    return mind


def still(page):
    """The number of pictures when no more come: nothing was painted, nor is being painted, for some seconds."""
    known, since = -1, 0
    while since < 6:
        page.wait_for_timeout(500)
        count, busy = page.evaluate(
            "[window.painted, !map.loaded() || document.querySelector('.sheet').dataset.painting === 'yes']"
        )
        since = since + 1 if count == known and not busy else 0
        known = count
    return known


def test_who_walks_does_not_have_the_ground_painted_again(stage, watched):
    mind = opened(stage, watched)
    before = still(watched)
    walker = next(iter(mind.values["contacts"].values()))
    for step in range(1, 6):
        at = GroundPosition(walker.position.lat_deg + step * 1e-5, walker.position.lon_deg)
        moved: ContactView = msgspec.structs.replace(walker, position=at)
        mind.say(contacts=(moved,))
        watched.wait_for_function("(turn) => window.turn >= turn", arg=mind.turn)
    assert watched.evaluate("window.painted") == before
    assert watched.seen["errors"] == []


def test_a_dragged_map_is_the_old_picture_moved_and_then_a_new_one(stage, watched):
    opened(stage, watched)
    before = still(watched)
    watched.mouse.move(500, 450)
    watched.mouse.down()
    for step in range(1, 8):
        watched.mouse.move(500 + 4 * step, 450 + 3 * step)
    watched.wait_for_function(f"() => {MOVED}")
    watched.mouse.up()
    watched.wait_for_function(f"() => window.painted > {before}")
    watched.wait_for_function(SHARP)


def test_a_contact_is_chosen_where_it_is_drawn(stage, watched):
    mind = opened(stage, watched)
    lorry = mind.values["contacts"]["K-0415"]
    at = watched.evaluate(
        """async ([lat, lon]) => { const { onScreen } = await import("/static/map.js"), p = onScreen([lat, lon]);
           const { left, top } = document.getElementById("map").getBoundingClientRect();
           return [p.x + left, p.y + top]; }""",
        [lorry.position.lat_deg, lorry.position.lon_deg],
    )
    watched.mouse.click(*at)
    expect(watched.locator("#drawer")).to_contain_text("74C-I23.45")


# Beside the first letter of a corridor's name, so that a contact's own name would stand across it: [lat, lon].
LEFT_OF_A_NAME = """() => {
  const { clientWidth, clientHeight } = map.getCanvas();
  for (let x = 360; x < clientWidth - 260; x += 6) for (let y = 120; y < clientHeight - 160; y += 6) {
    if (!map.queryRenderedFeatures([x, y], { layers: ["corridor-names"] }).length) continue;
    const at = map.unproject([x - 14, y]);
    return [at.lat, at.lng];
  }
  return null;
}"""
OVER_A_NAME = """async (id) => {
  const { theMarks } = await import("/static/map.js");
  const [a, b, c, d] = theMarks().boxes.find((it) => it.id === id).box;
  const all = map.queryRenderedFeatures([[a, b], [c, d]], { layers: ["corridor-names"] });
  return all.map((f) => f.properties.name);
}"""


def test_a_contacts_name_gives_way_to_the_name_of_its_corridor(stage, watched):
    mind = opened(stage, watched)
    lat, lon = KHE_DA[len(KHE_DA) // 2]
    watched.evaluate("([lon, lat]) => map.jumpTo({ center: [lon, lat], zoom: 16.8 })", [lon, lat])
    watched.wait_for_function(SHARP)
    still(watched)
    beside = watched.evaluate(LEFT_OF_A_NAME)
    assert beside is not None, "the corridor has its name on the map"
    walker = contact("K-9000", KHE_DA, 0.5, time.time_ns())
    walker = msgspec.structs.replace(walker, position=GroundPosition(*beside), trail=())
    mind.say(contacts=(walker,))
    watched.wait_for_function("(turn) => window.turn >= turn", arg=mind.turn)
    assert watched.evaluate(OVER_A_NAME, "K-9000") == []


# Work in pieces of 10 ms, half a minute of it, or until some of them were done after a key.
WORK = """async () => {
  const { inPieces } = await import("/static/presses.js");
  window.pieces = [];
  document.addEventListener("keydown", () => {
    if (!pieces.length || pieces.includes("key")) return;
    pieces.push("key");
    requestAnimationFrame(() => pieces.push("frame"));
  });
  function* work() {
    for (let i = 0; i < 3000 && pieces.at(-20) !== "frame"; i += 1) {
      for (const until = performance.now() + 10; performance.now() < until;);
      pieces.push(i);
      yield;
    }
  }
  setTimeout(() => inPieces(work(), () => pieces.push("done")), 0);
}"""


def test_a_press_in_the_middle_of_drawing_is_answered_first(stage, watched):
    opened(stage, watched)
    watched.evaluate(WORK)
    watched.wait_for_timeout(300)           # it has begun
    for _ in range(3):
        watched.keyboard.press("x")
    watched.wait_for_function("() => window.pieces?.at(-1) === 'done'")
    pieces = watched.evaluate("window.pieces")
    count = [it for it in pieces if isinstance(it, int)]
    assert len(count) < 3000, "the key did not wait for the end"
    assert pieces[pieces.index("key") + 1] == "frame", "its frame came before the next piece"
    assert count == list(range(len(count))), "nothing is left out, and nothing done twice"


ORDER = """() => {
  window.order = [];
  map.on("render", () => window.order.push("map"));
  document.addEventListener("keydown", () => {
    window.order.push("press");
    requestAnimationFrame(() => requestAnimationFrame(() => window.order.push("answered")));
  }, { capture: true });
  const [lon, lat] = map.getCenter().toArray();
  map.easeTo({ center: [lon + 0.01, lat], duration: 60_000 });
}"""


def test_a_moving_map_waits_while_a_press_is_answered_and_then_goes_on(stage, watched):
    opened(stage, watched)
    watched.keyboard.press("j")
    expect(watched.locator(".card.chosen")).to_have_count(1)
    watched.wait_for_function(SHARP)
    watched.evaluate(ORDER)
    watched.wait_for_function("() => window.order.length > 3")
    watched.keyboard.press("?")
    watched.wait_for_function(
        "() => window.order.includes('answered') && window.order.lastIndexOf('map') > window.order.indexOf('answered')"
    )
    order = watched.evaluate("window.order")
    assert order[order.index("press") : order.index("answered")] == ["press"], order
