"""Recordings play on whether or not anybody looks, and what cannot be read says so."""

import random
import time

import cv2
import numpy as np
import pytest

from edge.rendered import PROBATION_FRAMES, OnlyRealPictures
from edge.sources import Frame, ReplaySource, RestartingSource, SourceError
from wire.clock import SteppedClock, WallClock


def number(frame):
    """Which picture of write_video this is, by where its first block stands."""
    return round((np.flatnonzero(frame.image[125, :, 0] > 200)[0] - 20) / 3)


def test_every_frame_comes_in_order_at_its_own_rate(video):
    clock = SteppedClock()
    source = ReplaySource(video, clock, loop=False)
    begin = clock.utc_ns()
    frames = [source.grab(1.0) for _ in range(30)]
    assert [number(f) for f in frames] == list(range(30))
    assert [round((f.captured_ns - begin) / 1e8) for f in frames] == list(range(30))
    assert source.grab(1.0) is None and source.ended
    assert source.dropped == 0


def test_late_frames_are_dropped_and_counted_and_never_queued(video):
    clock = SteppedClock()
    source = ReplaySource(video, clock, loop=False)
    assert number(source.grab(1.0)) == 0
    clock.advance(0.95)                         # ten frames were due meanwhile; the newest is the tenth
    late = source.grab(1.0)
    assert number(late) == 9
    assert late.captured_ns == clock.utc_ns()
    assert source.dropped == 8
    assert number(source.grab(1.0)) == 10


def test_a_lower_rate_takes_every_second_frame_and_calls_none_dropped(video):
    source = ReplaySource(video, SteppedClock(), loop=False, max_fps=5.0)
    assert [number(source.grab(1.0)) for _ in range(15)] == list(range(0, 30, 2))
    assert source.dropped == 0


def test_a_loop_begins_again_without_a_hole(video):
    clock = SteppedClock()
    source = ReplaySource(video, clock, loop=True)
    frames = [source.grab(1.0) for _ in range(75)]
    assert [number(f) for f in frames] == [i % 30 for i in range(75)]
    assert np.ptp(np.diff([f.captured_ns for f in frames])) < 1e6
    assert not source.ended and source.dropped == 0


def test_waiting_is_never_longer_than_asked_for(video):
    source = ReplaySource(video, WallClock(), loop=True, max_fps=1.0)
    source.grab(1.0)
    begin = time.monotonic()
    assert source.grab(0.1) is None
    assert time.monotonic() - begin < 0.3


def test_a_replay_is_simulated_and_nothing_can_change_that(video, tmp_path):
    cv2.imwrite(str(tmp_path / "one.png"), np.zeros((10, 10, 3), np.uint8))
    assert ReplaySource(video, SteppedClock(), loop=True).simulated is True
    assert ReplaySource(tmp_path, SteppedClock(), loop=True).simulated is True


def test_a_folder_of_images_is_shown_by_name_and_a_broken_one_is_passed_over(tmp_path):
    for i in (2, 0, 1, 3):
        cv2.imwrite(str(tmp_path / f"{i}.png"), np.full((10, 10, 3), 10 * i, np.uint8))
    (tmp_path / "1.png").write_bytes(b"not a picture")
    (tmp_path / "notes.txt").write_text("nor this")
    source = ReplaySource(tmp_path, SteppedClock(), loop=False)
    frames = []
    while not source.ended:
        frame = source.grab(1.0)
        if frame is not None:
            frames.append(int(frame.image[0, 0, 0]))
    assert frames == [0, 20, 30]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "no such video"), (b"", "empty"), (b"\x00" * 5000, "not a video"),
        (b"RIFF____AVI LIST" + b"x" * 500, "video|picture"),
    ],
)
def test_what_is_not_a_video_is_refused_in_words(tmp_path, content, says):
    path = tmp_path / "bad.avi"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SourceError, match=says):
        ReplaySource(path, SteppedClock(), loop=False).grab(1.0)


def test_an_empty_folder_is_refused_in_words(tmp_path):
    with pytest.raises(SourceError, match="holds no image"):
        ReplaySource(tmp_path, SteppedClock(), loop=False)


@pytest.mark.parametrize("part", [0.5, 0.9])
def test_a_truncated_video_gives_what_it_has_and_then_begins_again(video, part):
    data = video.read_bytes()
    video.write_bytes(data[: int(len(data) * part)])
    source = ReplaySource(video, SteppedClock(), loop=True)
    numbers = [number(source.grab(1.0)) for _ in range(60)]
    assert numbers[:10] == list(range(10))
    assert numbers.count(0) >= 2


@pytest.mark.parametrize(("name", "code"), [("noise.avi", "MJPG"), ("noise.mp4", "mp4v")])
def test_a_video_with_rubbish_in_its_middle_plays_on_behind_it(tmp_path, name, code):
    path = tmp_path / name
    chance = np.random.default_rng(0)
    ground = cv2.resize(chance.integers(0, 255, (24, 32, 3), dtype=np.uint8), (320, 240))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*code), 10.0, (320, 240))
    for k in range(60):
        picture = ground.copy()
        cv2.rectangle(picture, (20 + 3 * k, 100), (40 + 3 * k, 150), (255, 255, 255), -1)
        writer.write(picture)
    writer.release()
    data = bytearray(path.read_bytes())
    spoilt = slice(int(len(data) * 0.4), int(len(data) * 0.5))
    data[spoilt] = chance.integers(0, 255, spoilt.stop - spoilt.start, dtype=np.uint8).tobytes()
    path.write_bytes(data)
    source = ReplaySource(path, SteppedClock(), loop=False)
    frames = []
    while not source.ended:
        frame = source.grab(1.0)
        frames += [frame] if frame is not None else []
    assert 40 <= len(frames) <= 60
    assert np.abs(frames[-1].image.astype(int) - picture).mean() < 25


def test_pictures_of_other_sizes_come_as_they_are(tmp_path):
    sizes = [(320, 240), (640, 480), (320, 180), (320, 240)]
    for k, (width, height) in enumerate(sizes):
        cv2.imwrite(str(tmp_path / f"{k}.png"), np.full((height, width, 3), 90, np.uint8))
    source = ReplaySource(tmp_path, SteppedClock(), loop=False)
    assert [source.grab(1.0).image.shape[1::-1] for _ in sizes] == sizes


def test_a_stream_whose_pictures_change_their_size_keeps_the_first_one_with_all_of_each_picture(tmp_path):
    """FFmpeg, behind OpenCV, scales what comes later: the same shape stays true, another is stretched (test_blindness)."""
    ground = np.random.default_rng(0).integers(0, 255, (6, 8, 3), np.uint8)
    ground = cv2.resize(ground, (640, 480), interpolation=cv2.INTER_CUBIC)
    sizes = [(320, 240)] * 5 + [(640, 480)] * 5 + [(160, 120)] * 5 + [(320, 180)] * 5
    path = tmp_path / "street.mjpeg"
    path.write_bytes(b"".join(cv2.imencode(".jpg", cv2.resize(ground, size))[1].tobytes() for size in sizes))
    clock = SteppedClock()
    source = ReplaySource(path, clock, loop=False)
    frames = []
    while not source.ended:
        frame = source.grab(1.0)
        frames += [frame.image] if frame is not None else []
    assert len(frames) == len(sizes)
    assert {f.shape for f in frames} == {(240, 320, 3)}
    whole = cv2.resize(ground, (320, 240)).astype(int)
    assert max(np.abs(f.astype(int) - whole).mean() for f in frames) < 6.0


class Camera:
    """A source that can fail; it stands for an RTSP camera, which step by step can."""

    simulated, ended = False, False

    def __init__(self, clock, frames=10**9, fails=False, gap_s=0.2):
        self.clock, self.left, self.fails, self.dropped, self.closed = clock, frames, fails, 0, False
        self.gap_s = gap_s

    def grab(self, timeout_s):
        if self.fails:
            raise SourceError("the plug is out")
        self.clock.sleep(min(timeout_s, self.gap_s))
        if self.left <= 0:
            return None
        self.left -= 1
        return Frame(np.zeros((4, 4, 3), np.uint8), self.clock.utc_ns())

    def close(self):
        self.closed = True


def test_a_source_without_a_frame_for_20_s_is_closed_and_opened_again():
    clock = SteppedClock()
    first, second = Camera(clock, frames=3), Camera(clock)
    source = RestartingSource(first, lambda: second, clock)
    grabbed = [source.grab(0.2) for _ in range(102)]
    assert [f is not None for f in grabbed[:4]] == [True, True, True, False]
    assert not first.closed
    while source.restarts == 0:
        source.grab(0.2)
    assert first.closed
    assert clock.monotonic_ns() / 1e9 == pytest.approx(0.6 + 20 + 1, abs=1.5)
    assert source.grab(0.2) is not None


def test_restarts_back_off_with_jitter_and_a_frame_ends_that():
    waits = set()
    for seed in range(5):
        clock = SteppedClock()
        times = []

        def make(clock=clock, times=times):
            times.append(clock.monotonic_ns() / 1e9)
            if len(times) < 8:
                raise SourceError("nobody there")
            return Camera(clock)

        source = RestartingSource(Camera(clock, fails=True), make, clock, chance=random.Random(seed))
        while source.grab(0.25) is None:
            pass
        gaps = np.diff(times)
        assert gaps[4] > 2 * gaps[0] and gaps.max() <= 45.0
        waits.add(round(gaps[0], 3))
        assert source.complaint == ""
    assert len(waits) == 5


def test_while_it_waits_a_source_says_why(video):
    clock = SteppedClock()
    source = RestartingSource(Camera(clock, fails=True), lambda: Camera(clock), clock)
    assert source.grab(0.2) is None
    assert source.complaint == "the plug is out"


def test_a_camera_that_is_away_for_a_day_is_tried_until_it_is_back():
    clock = SteppedClock()
    source = RestartingSource(Camera(clock, fails=True), lambda: Camera(clock, fails=source.restarts < 3_000), clock)
    while source.grab(60.0) is None:
        assert clock.monotonic_ns() / 1e9 <= 45.0 * 3_000
    assert source.restarts == 3_000 and clock.monotonic_ns() / 1e9 > 86_400


def live(first, second, clock):
    """As a live node reads a stream."""
    return RestartingSource(OnlyRealPictures(first, "gate"), lambda: OnlyRealPictures(second, "gate"), clock)


@pytest.mark.parametrize("gap_s", [0.2, 0.8, 1.0, 5.0, 15.0])
def test_a_slow_camera_of_a_live_node_is_looked_at_for_25_pictures_and_not_restarted_meanwhile(gap_s):
    clock = SteppedClock()
    source = live(Camera(clock, gap_s=gap_s), Camera(clock), clock)
    for _ in range(PROBATION_FRAMES):
        assert source.grab(20.0) is None
        assert source.complaint == "pictures come: the first 25 are searched for the mark SIM before any is used"
    assert source.grab(20.0) is not None
    assert source.restarts == 0 and source.complaint == ""


def test_a_camera_that_falls_silent_while_its_first_pictures_are_looked_at_is_restarted_20_s_later():
    clock = SteppedClock()
    silent = Camera(clock, frames=10, gap_s=1.0)
    source = live(silent, Camera(clock), clock)
    while not silent.closed:
        assert source.grab(1.0) is None
    assert clock.monotonic_ns() / 1e9 == pytest.approx(10 + 20, abs=1.5)
    assert source.complaint == "no frame for 20 s"
    while source.grab(1.0) is None:
        pass
    assert source.restarts == 1


def test_what_was_wrong_with_a_camera_is_not_said_any_more_while_its_first_pictures_are_looked_at():
    clock = SteppedClock()
    source = live(Camera(clock, fails=True), Camera(clock), clock)
    source.grab(0.2)
    assert source.complaint == "the plug is out"
    while source.restarts == 0:
        source.grab(0.2)
    assert "pictures come" in source.complaint


def test_a_camera_that_never_gets_through_its_first_pictures_is_tried_less_and_less_often():
    clock, opened = SteppedClock(), []

    def make():
        opened.append(clock.monotonic_ns() / 1e9)
        return OnlyRealPictures(Camera(clock, frames=5), "gate")

    source = RestartingSource(make(), make, clock)
    while len(opened) < 9:
        assert source.grab(0.2) is None
    assert np.diff(opened)[-3:].min() > 1.0 + 20.0 + 15.0 - 0.5
