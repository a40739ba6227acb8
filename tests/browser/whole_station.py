"""What tests of a whole station in a browser share: entering it for the first time, and a walker whom a camera tells of."""

from __future__ import annotations

import socket
import time

import cv2
import numpy as np

from geofences.sector import load_sector
from tests.station.conftest import SECTOR, Sender, allow, frame_of, point_detection
from wire.messages import Box, SensorReport, SensorState, Snapshot
from wire.units import HeightMsl, Position

PASSWORD = "mot cau dai de nho"


def enter_first(page, settings, one_time: str) -> None:
    until = time.monotonic() + 120
    while socket.socket().connect_ex(("127.0.0.1", settings.web.port)):
        assert time.monotonic() < until, "the web server did not come up in 120 s"
        time.sleep(0.1)
    page.goto(f"http://127.0.0.1:{settings.web.port}")
    page.fill("#name", "admin")
    page.fill("#password", one_time)
    page.press("#password", "Enter")
    page.fill("#old", one_time)
    page.fill("#fresh", PASSWORD)
    page.fill("#again", PASSWORD)
    page.press("#again", "Enter")
    page.wait_for_selector("body[data-map=ready]", timeout=120_000)


def walk(settings, steps: int) -> None:
    """Somebody in the corridor Khe Đá, as a camera beside it tells: steps of 0.3 m, five a second, and a picture."""
    sector = load_sector(SECTOR)
    line = sector.corridors.ground("khe-da").centre_line
    camera = Sender(settings, allow(settings, "cam-1"))
    at = line.interpolate(120.0)
    ground = sector.frame.position(at.x, at.y + 40)
    now_ns = time.time_ns()
    mast = Position(ground.lat_deg, ground.lon_deg, HeightMsl(171.0))
    camera.send(SensorReport("gate-1", now_ns, mast, (), SensorState.SEEING, now_ns, False, ""))
    for i in range(steps):
        p = line.interpolate(120.0 + 0.3 * i)
        camera.send(frame_of("gate-1", time.time_ns(), point_detection(sector.frame.position(p.x, p.y), track=5)))
        camera.listen(0.2)
    camera.send(Snapshot("gate-1", 5, time.time_ns(), a_picture(), Box(0, 0, 90, 120)))
    camera.finish(30)
    assert not camera.waiting, "the inbox acknowledges what it has on the disk"
    camera.close()


def a_picture() -> bytes:
    image = np.full((120, 90, 3), 60, np.uint8)
    cv2.rectangle(image, (30, 20), (60, 110), (40, 160, 220), -1)
    done, data = cv2.imencode(".jpg", image)
    assert done
    return data.tobytes()
