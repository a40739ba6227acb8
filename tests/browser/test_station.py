"""The whole station as an administrator starts it, a camera node with its key, and a browser in front of them."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from playwright.sync_api import expect

from geofences.sector import load_sector
from station.settings import load_station_settings
from tests.station.conftest import ROOT, SECTOR, Sender, allow, frame_of, point_detection, write_station
from wire.messages import Box, SensorReport, SensorState, Snapshot
from wire.units import HeightMsl, Position

PASSWORD = "mot cau dai de nho"


@pytest.fixture
def serving(station_folder):
    """`serve` with its three processes; gives its settings and the one-time password that it printed."""
    settings = load_station_settings(write_station(station_folder))
    child = subprocess.Popen(
        [sys.executable, str(ROOT / "ground_station.py"), "serve", "--config", str(settings.file)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )
    line = child.stdout.readline()
    found = re.search(r"one-time password (\S+)", line)
    assert found, f"serve printed {line!r} first"
    yield settings, found[1]
    child.terminate()
    child.wait(60)


@pytest.fixture
def station_folder():
    import shutil
    import tempfile
    from pathlib import Path

    folder = Path(tempfile.mkdtemp(prefix="tw-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def a_picture() -> bytes:
    image = np.full((120, 90, 3), 60, np.uint8)
    cv2.rectangle(image, (30, 20), (60, 110), (40, 160, 220), -1)
    done, data = cv2.imencode(".jpg", image)
    assert done
    return data.tobytes()


def test_a_walker_is_seen_and_taken_at_a_station_just_installed(serving, watched) -> None:
    settings, one_time = serving
    address = f"http://127.0.0.1:{settings.web.port}"
    for _ in range(600):
        try:
            watched.goto(address)
            break
        except Exception as error:  # noqa: BLE001 - Playwright's own; the web process is not up yet
            assert "ERR_CONNECTION_REFUSED" in str(error)
            time.sleep(0.1)
    watched.fill("#name", "admin")
    watched.fill("#password", one_time)
    watched.press("#password", "Enter")
    watched.fill("#old", one_time)
    watched.fill("#fresh", PASSWORD)
    watched.fill("#again", PASSWORD)
    watched.press("#again", "Enter")
    watched.wait_for_selector("body[data-map=ready]", timeout=120_000)
    expect(watched.locator(".empty")).to_contain_text("Không có cảnh báo nào chờ")

    sector = load_sector(SECTOR)
    line = sector.corridors.ground("khe-da").centre_line
    camera = Sender(settings, allow(settings, "cam-1"))
    at = line.interpolate(120.0)
    ground = sector.frame.position(at.x, at.y + 40)
    now_ns = time.time_ns()
    mast = Position(ground.lat_deg, ground.lon_deg, HeightMsl(171.0))
    camera.send(SensorReport("gate-1", now_ns, mast, (), SensorState.SEEING, now_ns, False, ""))
    for i in range(8):
        p = line.interpolate(120.0 + 0.3 * i)
        camera.send(frame_of("gate-1", time.time_ns(), point_detection(sector.frame.position(p.x, p.y), track=5)))
        camera.listen(0.2)
    camera.send(Snapshot("gate-1", 5, time.time_ns(), a_picture(), Box(0, 0, 90, 120)))
    camera.listen(30)
    assert not camera.waiting, "the inbox acknowledges what it has on the disk"
    camera.close()

    card = watched.locator(".card.open", has_text="Người trong hành lang Đường mòn Khe Đá")
    expect(card).to_be_visible()
    picture = card.locator("img")
    expect(picture).to_be_visible()
    watched.wait_for_function("() => document.querySelector('.card.open img').naturalWidth === 90")
    expect(watched.locator("#status .node")).to_contain_text("cam-1")
    watched.keyboard.press("ArrowDown")
    expect(watched.locator("#drawer")).to_contain_text("C-1")
    watched.keyboard.press("a")
    done = watched.locator(".card.done")
    expect(done).to_contain_text("admin")
    events = sqlite3.connect(settings.mind_db).execute(
        "SELECT state, person FROM alarm_events WHERE person <> 'system'"
    ).fetchall()
    assert events == [("acknowledged", "admin")]

    watched.keyboard.press("l")
    expect(watched.locator("#queue h2")).to_have_text("Alarm queue")
    expect(done).to_contain_text("acknowledged by admin")
    assert {h for h in watched.seen["hosts"] if not h.startswith(("blob:", "data:"))} == {f"127.0.0.1:{settings.web.port}"}
    assert watched.seen["errors"] == []
    assert [m for m in watched.seen["console"] if "Content Security Policy" in m] == []
