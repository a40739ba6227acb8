"""A walk test: tracks from GPX, passes through corridors, and a real station's own history asked over its API."""

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest

from sim.demo_settings import filled, free_port
from sim.exercise_run import LockstepRun
from sim.exercise_scenario import LIBRARY, load_exercise
from sim.landscape_cache import cached_landscape
from sim.truth_log import read_courses
from sim.walktest import as_words, find_passes, read_gpx, walktest
from station.access import Role, add_person
from station.settings import load_station_settings
from tests.sim.test_exercise_run import for_so_long
from wire.settings import SettingsError

ROOT = Path(__file__).parents[2]
PASSWORD = "a long password of a test"
POINT = '<gpx><trk><trkseg><trkpt lat="{}" lon="106.5"><time>{}</time></trkpt></trkseg></trk></gpx>'


def gpx_of(points, sector):
    """A file as a phone writes it: (ns, east, north) to <trkpt>."""
    rows = []
    for ns, east, north in points:
        lat, lon = sector.frame.from_enu([[east, north]])[0]
        when = datetime.fromtimestamp(ns / 1e9, UTC).isoformat().replace("+00:00", "Z")
        rows.append(f'<trkpt lat="{lat:.7f}" lon="{lon:.7f}"><ele>160</ele><time>{when}</time></trkpt>')
    return ('<?xml version="1.0"?><gpx version="1.1" creator="test" xmlns="http://www.topografix.com/GPX/1/1"><trk><trkseg>'
            + "\n".join(rows) + "</trkseg></trk></gpx>")


@pytest.fixture(scope="module")
def exercise():
    return load_exercise(LIBRARY / "single-walker.toml")


def test_a_walk_in_and_out_again_is_two_passes(tmp_path, exercise):
    sector = exercise.sector
    ground = sector.corridors.grounds[0]
    line = ground.centre_line
    begin = 1_800_000_000_000_000_000
    places = [line.interpolate(d) for d in range(100, 200, 2)]
    points = [(begin + i * 10**9, p.x, p.y) for i, p in enumerate(places)]
    away = [(begin + (60 + i) * 10**9, places[-1].x, places[-1].y + 300.0) for i in range(90)]
    back = [(begin + (160 + i) * 10**9, p.x, p.y) for i, p in enumerate(reversed(places))]
    file = tmp_path / "walk.gpx"
    file.write_text(gpx_of([*points, *away, *back], sector), encoding="utf-8")
    passes = find_passes(read_gpx(file, sector), sector)
    assert [p.corridor for p in passes] == [ground.corridor.id] * 2
    assert passes[0].last_ns < passes[1].first_ns


@pytest.mark.parametrize(("text", "says"), [
    ("<gpx><trk>", r":1: not valid XML"),
    ('<gpx><trk><trkseg><trkpt lat="16.62" lon="106.59"/></trkseg></trk></gpx>', "point 1 has no <time>"),
    (POINT.format("x", "2026-11-24T10:00:00Z"), "point 1"),
    (POINT.format("16.6", "2026-11-24T10:00:00"), "give UTC"),
    ('<!DOCTYPE gpx [<!ENTITY a "b">]><gpx/>', "document type"),
    ("<gpx/>", "0 track points"),
])
def test_a_file_that_is_no_walk_is_refused_with_a_reason(tmp_path, exercise, text, says):
    file = tmp_path / "walk.gpx"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(SettingsError, match=says):
        read_gpx(file, exercise.sector)


@pytest.mark.slow
def test_a_walk_past_a_camera_is_found_in_a_real_stations_history_and_one_that_nobody_saw_is_not(tmp_path, exercise):
    landscape = cached_landscape(exercise.scenario)
    files = LockstepRun(for_so_long(exercise, 110.0), tmp_path / "run", landscape=landscape).run()
    walker = next(c for c in read_courses(files.truth) if c.role.value == "crosser")
    track = [(int(ns), e, n) for ns, (e, n, _) in zip(walker.at_ns, walker.place_m, strict=True)]
    settings_file = files.folder / "station.toml"
    port = free_port()
    settings_file.write_text(filled(settings_file, {("web", "port"): port}), encoding="utf-8")
    settings = load_station_settings(settings_file)
    add_person(settings, "trainer", Role.TRAINER, PASSWORD)
    walk, elsewhere = tmp_path / "walk.gpx", tmp_path / "elsewhere.gpx"
    walk.write_text(gpx_of(track, exercise.sector), encoding="utf-8")
    # The same way, ten hours before anybody was there to see it.
    elsewhere.write_text(gpx_of([(ns - 36_000 * 10**9, e, n) for ns, e, n in track], exercise.sector), encoding="utf-8")
    server = subprocess.Popen(
        [sys.executable, str(ROOT / "ground_station.py"), "serve", "--config", str(settings_file), "--only", "web"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=os.environ | {"YOLO_AUTOINSTALL": "false"},
    )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for_page(address, server)
        sector_file = files.folder / "sector/sector.toml"
        found = walktest(walk, address, "trainer", PASSWORD, sector_file, None, 60.0)
        (corridor,) = found.corridors
        assert (corridor.corridor, corridor.pd.hits, corridor.pd.of) == ("khe-da", 1, 1)
        assert corridor.error_p50_m < 6.0
        assert "1 of 1 passes detected" in as_words(found) and "say little" in as_words(found)
        missed = walktest(elsewhere, address, "trainer", PASSWORD, sector_file, "khe-da", 60.0)
        assert missed.corridors[0].pd.hits == 0 and "NO ALARM" in as_words(missed)
        with pytest.raises(SettingsError, match="may not log in"):
            walktest(walk, address, "trainer", "wrong", sector_file, None, 60.0)
        with pytest.raises(SettingsError, match="never goes through ben-song"):
            walktest(walk, address, "trainer", PASSWORD, sector_file, "ben-song", 60.0)
    finally:
        server.terminate()
        server.wait(30)


def wait_for_page(address, server):
    until = time.monotonic() + 120
    while time.monotonic() < until:
        assert server.poll() is None, server.stderr.read()
        try:
            if httpx.get(f"{address}/login", timeout=2.0).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise AssertionError("the page did not come")
