"""Hours of a shift, played fast, leave next to nothing behind in the page; `bench screen` plays all eight."""

from __future__ import annotations

import pytest

from benchmarks.ingest_stage import running, write_station
from benchmarks.screen import PASSWORD
from benchmarks.screen_mind import telling
from benchmarks.screen_night import NIGHT_S, night
from benchmarks.screen_page import opened, until_up
from station.access import Role, add_person

LEAK_MB = 20.0                  # that eight hours may leave
PLAYED_S = NIGHT_S // 4


@pytest.mark.slow
def test_two_hours_of_a_shift_leave_their_share_of_memory_at_most(station_folder, browser):
    settings, _ = write_station(station_folder / "soak", 0)
    add_person(settings, "lan", Role.OPERATOR, PASSWORD)
    faults = []
    with telling(settings, 40) as mind, running(settings, "web"):
        until_up(settings)
        with opened(browser, settings) as sight:
            sight.page.on("pageerror", lambda error: faults.append(str(error)))
            sight.ready()
            seen = night(sight, mind, PLAYED_S)
    assert seen.leak_mb < LEAK_MB * PLAYED_S / NIGHT_S, seen
    assert seen.nodes < 500, "an alarm that was closed leaves no card behind"
    assert faults == []
