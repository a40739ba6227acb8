"""A person clicks points on the calibration page in Chromium, and the points file has them."""

import threading

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect

from edge.calibration import PointsFile, Request
from edge.calibration_page import Page
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


def test_what_is_clicked_and_typed_is_in_the_points_file(desk, watched, tmp_path):
    watched.goto(desk.address)
    for i, (x, y) in enumerate([(120, 400), (620, 330)]):
        watched.click("#sheet", position={"x": x + 0.5, "y": y + 0.5})
        watched.fill("#position", f"16.62{i}, 106.593924")
        watched.fill("#name", f"stone {i + 1}")
        watched.click("text=Add")
        expect(watched.locator("#list li")).to_have_count(i + 1)
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
