"""A shift of three drones, start to end: real processes, real sockets, the pilot's own pages, and two faults in between."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
STORY = [
    "ready", "refused", "patrol", "patrol", "on_patrol", "contact", "investigate", "there", "held", "relief", "relieved",
    "resumed", "link_cut", "held_alone", "return", "link_lost", "link_back", "all_down",
]


def shift(*arguments, timeout):
    out = subprocess.run(
        [sys.executable, "ground_station.py", "demo", "--shift", "--headless", "--json", *map(str, arguments)],
        cwd=ROOT, capture_output=True, text=True, timeout=timeout, env=os.environ | {"YOLO_AUTOINSTALL": "false"},
    )
    assert out.stdout, out.stderr
    return out, json.loads(out.stdout.splitlines()[-1])


def said(report, drone):
    return [e["says"] for e in report["events"] if e["drone"] == drone]


def at_s(report, drone, begins):
    """When a drone first said something that begins so."""
    return next(e["at_s"] for e in report["events"] if e["drone"] == drone and e["says"].startswith(begins))


@pytest.mark.slow(170)
def test_three_drones_fly_a_shift_and_are_all_accounted_for(tmp_path):
    out, report = shift("--keep", tmp_path / "kept", timeout=360)
    told = "\n".join(f"{s['at_s']} {s['name']}: {s['says']}" for s in report["steps"])
    assert out.returncode == 0 and report["complete"], f"{told}\n{out.stderr[-3000:]}"
    steps = [s["name"] for s in report["steps"]]
    assert [s for s in steps if s != "gps_lost"] == STORY and "gps_lost" in steps, told
    assert "drawn from the truth" in report["sees"] and "no pixels" in report["sees"]
    assert report["restarts"] == report["messages_refused"] == 0
    assert report["detections_stored"] > 20

    # What may not be flown was not offered, and why not is told.
    assert "too near to the border" in report["refused"][0]

    # Both drones looked, from there, with their true attitudes.
    first, second = report["looks"]
    assert (first["kind"], second["kind"]) == ("investigate", "relief")
    for look in (first, second):
        assert look["in_picture_share"] >= 0.95 and look["in_middle_share"] >= 0.9, look
        assert look["nearest_m"] > 35.0
        assert abs(look["arrives_s"] - look["arrives_predicted_s"]) < 0.6 * look["arrives_predicted_s"], look
    assert first["press_to_take_off_s"] is None and first["press_to_begin_s"] < 5.0      # from its patrol
    assert second["press_to_take_off_s"] < 15.0

    # Make before break: the walker is in a picture all the time, and the first leaves because the second holds him.
    relief = report["relief"]
    assert (relief["first"], relief["second"]) == (first["drone"], second["drone"])
    assert relief["overlap_s"] > 2.0 and relief["overlap_there_s"] > 2.0 and relief["unwatched_s"] <= 1.0, relief
    left_s = at_s(report, relief["first"], f"executing: {relief['second']} holds contact {report['contact']}")
    assert at_s(report, relief["second"], "executing: " + relief["second"] + " has taken off") < left_s
    assert "goes on with khe-da" in "".join(said(report, relief["first"])), "where it was, or beyond the walker"

    # One loses its satellites and lands where it is; one its link, and comes home by its own failsafe; one is called home.
    by_name = {d["drone"]: d for d in report["drones"]}
    assert len(by_name) == 3 and all(d["landed"] for d in by_name.values()), by_name
    assert "mode AUTO -> LAND" in said(report, "drone-2") and by_name["drone-2"]["from_home_m"] > 20.0
    assert '"EKF Failsafe"' in said(report, "drone-2")
    lost = said(report, relief["first"])
    assert lost.index("link late -> lost") < lost.index("link lost -> connected", 2) and "mode AUTO -> RTL" in lost
    assert by_name[relief["first"]]["from_home_m"] < 5.0 and "its link was lost" in by_name[relief["first"]]["how"]
    assert by_name[relief["second"]]["from_home_m"] < 5.0
    assert "ordered to return by shift-pilot" in by_name[relief["second"]]["how"]

    # Nobody came near the line: truly, and not as the drones believed.
    assert report["crossed"] == report["in_buffer"] == []
    assert all(d["nearest_line_m"] > d["buffer_m"] > report["sector_buffer_m"] for d in by_name.values())
    # What a flight takes is told in whole percent, and a plan's forecast is of the flight as it was planned.
    for d in by_name.values():
        forecast = d["predicted_percent"] * d["flown_s"] / d["predicted_s"]
        assert abs(d["used_percent"] - forecast) <= 3.0 + 0.4 * forecast, d


@pytest.mark.slow
def test_a_shift_that_is_broken_off_says_what_is_missing_and_fails():
    out, report = shift("--seconds", 12, timeout=240)
    assert out.returncode == 1 and not report["complete"]
    assert [s for s in report["steps"] if not s["done"]]
    assert "all_down" not in [s["name"] for s in report["steps"]]
