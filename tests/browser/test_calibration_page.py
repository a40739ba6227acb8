"""A person clicks points on the calibration page in Chromium, and the points file has them."""

import threading

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect

from edge.calibration import PointsFile, Request
from edge.calibration_page import Page
from tests.clicked import clicked_points
from tests.edge.conftest import ROOT
from wire.settings import load_settings


@pytest.fixture
def desk(tmp_path):
    picture = tmp_path / "picture.png"
    cv2.imwrite(str(picture), np.full((540, 960, 3), 90, np.uint8))
    made = Page(Request(ROOT / "configs/demo/world/camera-1.toml", tmp_path / "points.toml", picture=picture))
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    yield made
    made.close()
    thread.join()


@pytest.fixture
def true_desk(tmp_path):
    """With eight points of a camera that stands elsewhere than its settings say; its settings, and the points' pixels."""
    node, points, pixels = clicked_points(tmp_path)
    picture = tmp_path / "picture.png"
    cv2.imwrite(str(picture), np.full((720, 960, 3), 90, np.uint8))
    made = Page(Request(node, points, picture=picture))
    thread = threading.Thread(target=made.serve, daemon=True)
    thread.start()
    yield made, node, pixels
    made.close()
    thread.join()


def click_points(page, *pixels):
    for i, (x, y) in enumerate(pixels):
        page.click("#sheet", position={"x": x + 0.5, "y": y + 0.5})
        page.fill("#position", f"16.62{i}, 106.593924")
        page.fill("#name", f"stone {i + 1}")
        page.click("[data-say=add]")
        expect(page.locator("#list li")).to_have_count(i + 1)


def test_what_is_clicked_and_typed_is_in_the_points_file(desk, watched, tmp_path):
    watched.goto(desk.address)
    watched.click("text=English")
    click_points(watched, (120, 400), (620, 330))
    points = load_settings(tmp_path / "points.toml", PointsFile)
    assert points.picture_px == (960, 540)
    assert [p.name for p in points.points] == ["stone 1", "stone 2"]
    assert points.points[0].pixel == pytest.approx((120, 400), abs=1.0)
    assert points.points[1].position == (16.621, 106.593924)
    watched.click("text=Solve")
    expect(watched.locator("#said")).to_contain_text("at least 4 are needed")
    watched.click("#list li:first-child >> text=Remove")
    expect(watched.locator("#list li")).to_have_count(1)
    assert watched.seen["errors"] == [] and watched.seen["hosts"] == {desk.address.split("/")[2]}


def test_it_speaks_the_language_of_the_browser_and_the_other_when_that_is_chosen(desk, watched):
    watched.goto(desk.address)
    expect(watched.locator("html")).to_have_attribute("lang", "vi")
    expect(watched.locator("[data-say=add]")).to_have_text("Thêm")
    click_points(watched, (120, 400), (620, 330))
    watched.click("[data-say=solve]")
    expect(watched.locator("#said")).to_contain_text("cần ít nhất 4 điểm")
    watched.fill("#position", "106.593924, 16.62")
    watched.click("#sheet", position={"x": 10, "y": 10})
    watched.click("[data-say=add]")
    expect(watched.locator("#said")).to_contain_text("vĩ độ trước, kinh độ sau: 106.593924, 16.62")
    shown = watched.inner_text("body")
    watched.click("text=English")
    expect(watched.locator("#said")).to_contain_text("latitude, then longitude: 106.593924, 16.62")
    other = watched.inner_text("body")
    same = {line for line in shown.splitlines() if line.strip()} & {line for line in other.splitlines() if line.strip()}
    assert same <= {"Tiếng Việt", "English"}, "what reads alike in both is not translated"
    assert watched.seen["errors"] == []


def test_a_good_fit_shows_where_the_camera_sees_each_point_and_is_written_at_a_press(true_desk, watched):
    desk, node, pixels = true_desk
    watched.goto(desk.address)
    watched.click("text=English")
    expect(watched.locator("#list li")).to_have_count(len(pixels))
    expect(watched.locator("#write")).to_be_disabled()
    watched.click("#solve")
    expect(watched.locator("#said")).to_contain_text("yaw_deg = ")
    where = "all => all.map((e) => [parseFloat(e.style.left), parseFloat(e.style.top)])"
    rings = watched.locator(".seen").evaluate_all(where)
    clicked = (np.array(pixels) + 0.5) * 960 / 768          # the lens has 768 pixels, the picture 960
    assert np.array(rings) == pytest.approx(clicked, abs=2.0), "as honest clicks are off"
    before = node.read_text()
    watched.click("#write")
    expect(watched.locator("#said")).to_contain_text("written; what it was before is in")
    expect(watched.locator("#write")).to_be_disabled()
    assert node.read_text() != before
    watched.click("#list li:first-child >> text=Remove")
    expect(watched.locator(".seen")).to_have_count(0)
    assert watched.seen["errors"] == []
