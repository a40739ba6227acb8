"""The window follows the line: nothing is sent twice on a thin one, nothing waits for a fast one."""

import pytest

from wire.clock import NS_PER_S
from wire.flights import BYTES_LEAST, BYTES_LIMIT, MESSAGES_LIMIT, QUEUE_GOAL_S, RESEND_LONGEST_S, Flights

SIZE = 750


class Line:
    """A line of so many bytes a second, first in first out, with a round trip; driven in steps of 10 ms."""

    def __init__(self, bytes_per_s, round_trip_s):
        self.rate, self.trip_ns = bytes_per_s, round(round_trip_s * NS_PER_S)
        self.free_ns = 0
        self.answers = []

    def send(self, identity, now_ns):
        self.free_ns = max(self.free_ns, now_ns) + round(SIZE / self.rate * NS_PER_S)
        self.answers.append((self.free_ns + self.trip_ns, identity))

    def answered(self, now_ns):
        here = [i for at, i in self.answers if at <= now_ns]
        self.answers = self.answers[len(here):]
        return here


def drive(flights, line, seconds):
    """Send as much as goes. Returns messages answered, sent again, and the longest queue in the second half, seconds."""
    number, again, done, longest = 0, 0, 0, 0.0
    for now_ns in range(1, round(seconds * NS_PER_S), NS_PER_S // 20):
        answered = line.answered(now_ns)
        flights.answered(answered, now_ns)
        done += len(answered)
        on_way = flights.on_way(now_ns)
        again += len(flights.all()) > len(on_way)
        room, room_bytes = flights.room(on_way)
        while room > 0 and room_bytes > 0:
            number, room, room_bytes = number + 1, room - 1, room_bytes - SIZE
            flights.sent((1, number), SIZE, picture=False, now_ns=now_ns)
            line.send((1, number), now_ns)
        if now_ns > seconds * NS_PER_S / 2:
            longest = max(longest, (line.free_ns - now_ns) / NS_PER_S)
    return done, again, longest


@pytest.mark.parametrize("round_trip_s", [0.01, 0.1, 0.7])
@pytest.mark.parametrize("kbit_per_s", [16, 32, 64, 200, 1000])
def test_nothing_is_sent_twice_on_a_line_that_answers_and_the_queue_stays_short(kbit_per_s, round_trip_s):
    rate = kbit_per_s * 1000 / 8
    done, again, longest = drive(Flights(), Line(rate, round_trip_s), 60)
    assert again == 0
    assert longest < max(2 * QUEUE_GOAL_S, 2 * BYTES_LEAST / rate)
    assert done * SIZE > 0.7 * rate * 60


def test_a_fast_line_is_filled():
    flights = Flights()
    drive(flights, Line(1e8, 0.05), 5)
    assert flights.window_bytes > MESSAGES_LIMIT * SIZE
    assert flights.window_bytes <= BYTES_LIMIT
    assert flights.room(flights.all())[0] == 0


def test_without_answers_it_waits_longer_each_time_and_sends_less():
    flights = Flights()
    now_ns, waits = 0, []
    for _ in range(8):
        again = flights.sent((1, 1), SIZE, picture=False, now_ns=now_ns)
        assert again == bool(waits)
        begin_ns = now_ns
        while flights.on_way(now_ns):
            now_ns += NS_PER_S // 10
        waits.append((now_ns - begin_ns) / NS_PER_S)
    assert waits == sorted(waits) and waits[-1] == RESEND_LONGEST_S
    assert flights.window_bytes == BYTES_LEAST


def test_what_the_station_lost_is_sent_again_although_the_line_moves():
    flights = Flights()
    flights.sent((1, 0), SIZE, picture=False, now_ns=1)
    number, now_ns = 1, 1
    while flights.on_way(now_ns) >= {(1, 0)}:
        now_ns += NS_PER_S // 10
        flights.sent((1, number), SIZE, picture=False, now_ns=now_ns)
        flights.answered([(1, number)], now_ns + NS_PER_S // 20)
        number += 1
        assert now_ns < 20 * NS_PER_S


def test_a_new_connection_makes_everything_due_at_once():
    flights = Flights()
    flights.sent((1, 1), SIZE, picture=True, now_ns=0)
    assert flights.on_way(1) == {(1, 1)} and flights.pictures({(1, 1)}) == 1
    flights.line_lost(1)
    assert flights.on_way(1) == set()
    assert flights.knows((1, 1)) and not flights.knows((2, 1))


def test_a_picture_on_its_way_takes_no_room_from_what_is_urgent():
    flights = Flights()
    flights.sent((1, 1), 500_000, picture=True, now_ns=1)
    assert flights.room(flights.on_way(1)) == Flights().room(())
    flights.answered([(1, 1)], NS_PER_S // 2)
    assert flights.window_bytes == Flights().window_bytes


def test_answers_to_what_was_never_sent_change_nothing():
    flights = Flights()
    before = flights.window_bytes
    flights.answered([(9, 9)] * 1000, NS_PER_S)
    assert flights.window_bytes == before
