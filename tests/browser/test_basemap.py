"""The base map below everything, its switches, and a map that is exchanged or damaged while a page is open."""

from __future__ import annotations

import shapely
from playwright.sync_api import expect

from geofences.sector import load_sector
from sim.landscape_map import SOURCE
from station.basemap import BaseMapKind
from station.basemap_write import MapFeature, write_vector
from tests.browser.conftest import enter
from tests.scene import scene
from tests.web_stage import SECTOR

BOX = load_sector(SECTOR).corridors.grounds[0].centre_line
MIDDLE = load_sector(SECTOR).frame.position(*BOX.centroid.coords[0])
WATER = (0x14, 0x3A, 0x52)


def lake(stage, side_deg=0.004):
    """A lake over the middle of a corridor."""
    folder = stage.settings.basemap_dir
    folder.mkdir(exist_ok=True)
    shape = shapely.Point(MIDDLE.lon_deg, MIDDLE.lat_deg).buffer(side_deg)
    write_vector(folder / BaseMapKind.VECTOR.file, [MapFeature("water", shape), MapFeature("road", shape.boundary)], SOURCE)


def blue(page):
    """How many pixels of the map have the colour of water."""
    return page.evaluate("""async (wanted) => {
        const canvas = document.querySelector(".sheet");
        if (!canvas) return 0;
        const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        let found = 0;
        for (let i = 0; i < data.length; i += 4) if (wanted.every((v, k) => Math.abs(data[i + k] - v) < 6)) found += 1;
        return found;
      }""", list(WATER))


def drawn(page, wanted):
    for _ in range(40):
        found = blue(page)
        if (found > 500) is wanted:
            return found
        page.wait_for_timeout(250)
    return found


def test_the_base_map_is_drawn_marked_as_invented_and_switched_part_by_part(stage, watched):
    stage.mind(scene())
    lake(stage)
    enter(watched, stage)
    assert drawn(watched, True) > 500
    expect(watched.locator("#notes")).to_contain_text("Bản đồ nền giả định")
    expect(watched.locator(".maplibregl-ctrl-attrib")).to_contain_text("Invented for an exercise")
    watched.click(".legend summary")
    switches = watched.locator(".layers")
    expect(switches).to_contain_text("Đường và lối mòn")
    expect(switches).not_to_contain_text("Bóng địa hình")          # there is none
    road = switches.locator("label", has_text="Đường và lối mòn").locator("input")
    expect(road).to_be_checked()
    shown = "() => import('/static/basemap.js').then((b) => b.isOn('way'))"
    road.uncheck()
    assert watched.evaluate(shown) is False
    watched.reload()
    watched.wait_for_selector("body[data-map=ready]")
    assert watched.evaluate(shown) is False
    assert watched.seen["errors"] == []


def test_without_a_base_map_and_with_a_broken_one_the_map_is_as_it_was(stage, watched):
    stage.mind(scene())
    stage.settings.basemap_dir.mkdir()
    (stage.settings.basemap_dir / BaseMapKind.VECTOR.file).write_bytes(b"PMTiles\x03" + b"\xff" * 200)
    enter(watched, stage)
    expect(watched.locator("#notes")).not_to_contain_text("Bản đồ nền")
    watched.click(".legend summary")
    expect(watched.locator(".layers")).to_have_count(0)
    assert watched.seen["errors"] == []


def test_tiles_are_for_people_who_are_logged_in(stage, watched):
    stage.mind(scene())
    lake(stage)
    enter(watched, stage)
    version = watched.evaluate("fetch('/api/basemap').then((a) => a.json()).then((s) => s.vector.version)")
    tile = f"{stage.address}/api/basemap/vector/{version}/9/407/232"
    answer = watched.request.get(tile)
    assert answer.status == 200 and "immutable" in answer.headers["cache-control"]
    assert watched.request.get(f"{stage.address}/api/basemap/roof/{version}/9/407/232").status == 404
    assert watched.request.get(f"{stage.address}/api/basemap/vector/{version}/9/1/1").status == 204
    watched.context.clear_cookies()
    assert watched.request.get(tile).status == 401
