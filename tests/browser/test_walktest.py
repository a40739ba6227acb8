"""A walk test from end to end: a walker before a camera, a phone's GPX, the command, the station's answer, and the map."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from playwright.sync_api import expect

from geofences.sector import load_sector
from sim.walktest import WalkTest
from tests.browser.accessibility import faults
from tests.browser.whole_station import PASSWORD, enter_first, walk
from tests.station.conftest import ROOT, SECTOR

AN_HOUR_S, OFF_M = 3600.0, 6.0          # a pass nobody saw was so long ago; a phone under trees is so far off


def receiver(begins_s: float, ends_s: float) -> str:
    """What a phone wrote of a walk along Khe Đá, once a second, somewhat beside where its owner was."""
    sector = load_sector(SECTOR)
    line = sector.corridors.ground("khe-da").centre_line
    points = []
    for at_s in range(int(begins_s) - 2, int(ends_s) + 3):
        p = line.interpolate(120.0 + 0.3 * max(0.0, min(at_s - begins_s, ends_s - begins_s)) / 0.2)
        ground = sector.frame.position(p.x + OFF_M, p.y)
        when = datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        points.append(f'<trkpt lat="{ground.lat_deg:.7f}" lon="{ground.lon_deg:.7f}"><time>{when}</time></trkpt>')
    return f"<trkseg>{''.join(points)}</trkseg>"


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "ground_station.py"), "walktest", *arguments], capture_output=True, text=True,
        timeout=300, env=os.environ | {"YOLO_AUTOINSTALL": "false"}, check=False,
    )


def test_a_walk_goes_from_the_phones_file_to_the_map_of_the_station(serving, watched, tmp_path: Path) -> None:
    settings, one_time = serving
    page, address = watched, f"http://127.0.0.1:{settings.web.port}"
    enter_first(page, settings, one_time)
    begins_s = time.time()
    walk(settings, 60)
    ends_s = begins_s + 60 * 0.2
    expect(page.locator(".card.open", has_text="Khe Đá")).to_be_visible()

    gpx, password = tmp_path / "walk.gpx", tmp_path / "password"
    missed = receiver(begins_s - AN_HOUR_S, ends_s - AN_HOUR_S)      # the same way, with nobody's eyes on it
    gpx.write_text(
        '<?xml version="1.0"?><gpx version="1.1" creator="phone" xmlns="http://www.topografix.com/GPX/1/1"><trk>'
        f"{missed}{receiver(begins_s, ends_s)}</trk></gpx>", encoding="utf-8",
    )
    password.write_text(PASSWORD, encoding="utf-8")
    how = [str(gpx), "--station", address, "--name", "admin", "--sector", str(SECTOR), "--password-file", str(password)]
    said = command(*how, "--keep", "--json")
    assert said.returncode == 0, said.stderr
    (khe_da,) = msgspec.json.decode(said.stdout, type=WalkTest).corridors
    assert (khe_da.corridor, khe_da.pd.hits, khe_da.pd.of) == ("khe-da", 1, 2)
    assert khe_da.error_p50_m is not None and khe_da.error_p50_m < 2 * OFF_M

    again = command(*how, "--keep")                     # told twice, counted once
    assert again.returncode == 0 and "khe-da: 1 of 2 passes detected" in again.stdout and "NO ALARM" in again.stdout
    walked = {c["corridor"]: c.get("walked") for c in page.request.get(f"{address}/api/picture").json()["coverage"]}
    assert (walked["khe-da"]["hits"], walked["khe-da"]["of"], walked["khe-da"]["by"]) == (1, 2, "admin")
    assert walked["khe-da"]["low"] == round(khe_da.pd.low, 4) and not walked["ben-song"]

    page.keyboard.press("v")
    row = page.locator("tr.walked")
    expect(row).to_have_count(1)
    expect(row).to_contain_text("50")                   # per cent of two, and the interval
    expect(row).to_contain_text(f"{100 * khe_da.pd.low:.0f}")
    assert faults(page) == []
    assert page.seen["errors"] == []

    refused = command(*how[:-1], str(gpx))              # a file with another word in it
    assert refused.returncode != 0 and "may not log in" in refused.stderr
