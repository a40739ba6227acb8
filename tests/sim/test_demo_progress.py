"""The demo's start says what it waits for, and its end says what to do."""

import io

from sim.demo_progress import THINGS_TO_TRY, Progress, boxed
from wire.clock import SteppedClock


def test_each_stage_carries_the_seconds_since_the_start():
    clock, out = SteppedClock(), io.StringIO()
    progress = Progress(clock, out)
    progress.stage("starting the station")
    clock.advance(12.4)
    progress.stage("every camera sends frames")
    assert out.getvalue().splitlines() == ["  [   0 s] starting the station", "  [  12 s] every camera sends frames"]


def test_the_box_holds_address_user_password_and_what_to_try_and_all_its_lines_are_equally_long():
    out = io.StringIO()
    Progress(SteppedClock(), out).ready("Demo of Lao Bảo", "http://127.0.0.1:8080", "admin", "pass-word", "/tmp/run")
    text = out.getvalue()
    for part in ("http://127.0.0.1:8080", "admin", "pass-word", "/tmp/run", *THINGS_TO_TRY):
        assert part in text
    assert text.count("pass-word") == 1
    assert len({len(line) for line in text.strip().splitlines()}) == 1


def test_a_box_is_as_wide_as_its_longest_line():
    assert boxed(["a", "long"]) == "+------+\n| a    |\n| long |\n+------+"
