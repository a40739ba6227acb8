"""What a rehearsal does with a process that dies again and again."""

import time

from sim.crew import Crew
from wire.clock import WallClock


def test_a_process_that_died_thousands_of_times_is_still_started_again(tmp_path):
    crew = Crew(tmp_path, WallClock())
    crew.start("camera", "--help")          # leaves by itself
    crew._members["camera"].restarts = 5_000            # 21 hours, of 15 s each
    end = time.monotonic() + 30
    while crew._members["camera"].due_ns == 0:
        crew.watch()
        assert time.monotonic() < end
        time.sleep(0.01)
    assert crew._members["camera"].due_ns - time.monotonic_ns() <= 15e9
    crew.stop()
