"""Streams give the newest picture and nothing else, and what they cannot give they say in words."""

import contextlib
import re
import signal
import socket
import threading
import time

import cv2
import numpy as np
import pytest
import zmq

from cameras.sim_mark import burn
from edge.rendered import PROBATION_FRAMES, LabelledPictures, OnlyRealPictures
from edge.sources import RestartingSource, SourceError
from edge.streams import Pace, RtspSource, SimulatorSource, UsbSource, without_password
from wire.clock import NS_PER_S, SteppedClock, WallClock
from wire.frame_feed import TOPIC, FrameError, RenderedFrame, decode_frame, encode_frame

pytestmark = pytest.mark.together(75)


def textured(k, size=(640, 480)):
    """A picture with something in it, another for each k."""
    rng = np.random.default_rng(k)
    coarse = rng.integers(40, 200, (size[1] // 16, size[0] // 16, 3), dtype=np.uint8)
    return cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)


def frame(k, sensor="gate-1", picture=None, **changes):
    picture = textured(k, (64, 48)) if picture is None else picture
    fields = {
        "sensor": sensor, "sequence": k, "captured_ns": 1_000_000_000 * k, "width_px": picture.shape[1],
        "height_px": picture.shape[0], "simulated": True, "jpeg": cv2.imencode(".jpg", picture)[1].tobytes(),
    }
    return RenderedFrame(**fields | changes)


class Publisher:
    def __init__(self):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.PUB)
        self.endpoint = f"tcp://127.0.0.1:{self.socket.bind_to_random_port('tcp://127.0.0.1')}"
        self.send = self.socket.send


@pytest.fixture
def publisher():
    publisher = Publisher()
    try:
        yield publisher
    finally:
        publisher.context.destroy(linger=0)


@pytest.fixture
def watched(publisher):
    """The publisher with a source that is connected: the first picture has come through."""
    source = SimulatorSource(publisher.endpoint, "gate-1")
    end = time.monotonic() + 10
    while source.grab(0.05) is None:
        publisher.send(encode_frame(frame(0)))
        assert time.monotonic() < end
    while source.grab(0.2) is not None:
        pass
    yield publisher, source
    source.close()


# ------------------------------------------------------------------------------------------------------- the simulator


def test_the_newest_picture_comes_with_its_own_time_and_the_others_are_counted(watched):
    publisher, source = watched
    for k in range(1, 6):
        publisher.send(encode_frame(frame(k)))
    time.sleep(0.3)
    got = source.grab(1.0)
    assert got.captured_ns == 5_000_000_000
    assert np.abs(got.image.astype(int) - textured(5, (64, 48))).mean() < 8
    assert source.dropped == 4
    assert source.grab(0.05) is None


def test_a_simulators_source_is_simulated_and_nothing_can_change_that(publisher):
    source = SimulatorSource(publisher.endpoint, "gate-1")
    assert source.simulated
    assert RestartingSource(source, lambda: source, WallClock()).simulated
    source.close()


@pytest.mark.parametrize("spoilt", [
    b"", b"x" * 100, TOPIC, TOPIC + b"\xc1", encode_frame(frame(1))[:-40],
    encode_frame(frame(1, width_px=65)), encode_frame(frame(1, jpeg=b"")), encode_frame(frame(1, width_px=0)),
    encode_frame(frame(1, jpeg=b"\xff\xd8 not a picture")),
    TOPIC + encode_frame(frame(1))[len(TOPIC):].replace(b"\xc3", b"\xc2", 1),     # simulated: false
])
def test_what_is_no_picture_is_refused_and_the_next_one_comes(watched, spoilt):
    publisher, source = watched
    publisher.send(spoilt)
    time.sleep(0.2)
    assert source.grab(0.5) is None
    publisher.send(encode_frame(frame(7)))
    assert source.grab(5.0).captured_ns == 7_000_000_000
    assert source.refused == 1


def test_a_frame_that_says_it_is_real_does_not_decode():
    data = encode_frame(frame(1))
    assert decode_frame(data).simulated is True
    with pytest.raises(FrameError):
        decode_frame(TOPIC + data[len(TOPIC):].replace(b"\xc3", b"\xc2", 1))


def test_another_cameras_pictures_are_an_error(watched):
    publisher, source = watched
    publisher.send(encode_frame(frame(1, sensor="gate-2")))
    with pytest.raises(SourceError, match='shows the camera "gate-2", and this node is of "gate-1"'):
        source.grab(5.0)


def test_a_slower_rate_passes_pictures_over(publisher):
    source = SimulatorSource(publisher.endpoint, "gate-1", max_fps=0.5)
    end, got = time.monotonic() + 10, None
    while got is None:
        publisher.send(encode_frame(frame(1)))
        got = source.grab(0.05)
        assert time.monotonic() < end
    while source.grab(0.2) is not None:
        pass
    publisher.send(encode_frame(frame(2)))
    assert source.grab(1.0) is None
    publisher.send(encode_frame(frame(3)))
    assert source.grab(1.0).captured_ns == 3_000_000_000
    source.close()


# ---------------------------------------------------------------------------------------------------------------- RTSP


def frames_from(source, count, seconds=40.0):
    got, end = [], time.monotonic() + seconds
    while len(got) < count:
        frame_ = source.grab(0.5)
        if frame_ is not None:
            got.append(frame_)
        assert time.monotonic() < end, f"{len(got)} frames came in {seconds} s"
    return got


def test_a_real_stream_gives_its_pictures_newest_first(rtsp):
    shown = [textured(k) for k in range(4)]
    source = RtspSource(rtsp(shown), WallClock(), delay_s=0.25)
    before_ns = time.time_ns()
    got = frames_from(source, 3)
    assert got[0].captured_ns >= before_ns - 250_000_000
    assert got[1].captured_ns > got[0].captured_ns
    near = [min(np.abs(f.image.astype(int) - s).mean() for s in shown) for f in got]
    assert max(near) < 12
    time.sleep(2.0)
    assert source.dropped >= 5             # nobody asked for them, and nobody queued them
    late_ns = time.time_ns()
    assert frames_from(source, 1)[0].captured_ns > late_ns - 1_500_000_000
    assert source.simulated is False
    source.close()


def numbered(count):
    """Pictures that say their number by their brightness."""
    return [np.full((480, 640, 3), 30 + 7 * k, np.uint8) for k in range(count)]


def number_of(image):
    return round((image.mean() - 30) / 7)


def test_the_decoder_keeps_no_picture_back(rtsp):
    """Beside OpenCV as it opens a stream by itself on a machine with four processors: three pictures later at 5 a second."""
    url, shown, stop = rtsp(numbered(30), fps=5), {}, threading.Event()

    def look():
        capture = cv2.VideoCapture(url, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 4])
        while not stop.is_set() and capture.grab():
            shown["obvious"] = number_of(capture.retrieve()[1])
        capture.release()

    beside = threading.Thread(target=look)
    beside.start()
    source, ahead, end = RtspSource(url, WallClock()), [], time.monotonic() + 60
    try:
        while len(ahead) < 15:
            picture = source.grab(0.5)
            if picture is not None and "obvious" in shown:
                time.sleep(0.1)         # between two pictures
                ahead.append((number_of(picture.image) - shown["obvious"]) % 30)
            assert time.monotonic() < end
    finally:
        stop.set()
        beside.join(30)
        source.close()
    assert np.median(ahead) == 3, ahead


def test_a_stream_that_one_decoder_cannot_follow_gets_more_and_its_pictures_the_time_they_are_of(rtsp, monkeypatch, caplog):
    monkeypatch.setattr("edge.streams.DECODER_FULL", 0.0)       # whatever it takes is too much
    monkeypatch.setattr("edge.streams.DECODER_LOOK_S", 1.0)
    monkeypatch.setattr(cv2, "getNumberOfCPUs", lambda: 4)
    source, end = RtspSource(rtsp(numbered(30), fps=5), WallClock()), time.monotonic() + 60
    try:
        while "the stream is opened again with 4 decoders, which keep 3 pictures back" not in caplog.text:
            source.grab(0.2)
            assert time.monotonic() < end
        late_s = []
        while len(late_s) < 20:
            picture = source.grab(0.5)
            if picture is not None:
                late_s.append((time.time_ns() - picture.captured_ns) / 1e9)
            assert time.monotonic() < end
    finally:
        source.close()
    assert 0.4 < np.median(late_s[10:]) < 0.9, late_s           # three pictures at 5 a second
    assert caplog.text.count("opened again") == 1


def late_of(pace, clock, gaps):
    """Which of the pictures that come so far apart are late."""
    late = []
    for gap in gaps:
        clock.advance(gap)
        late.append(pace.is_late())
    return late


def a_known_pace(gap=0.1):
    clock = SteppedClock(1_800_000_000 * NS_PER_S)
    pace = Pace(clock)
    assert not any(late_of(pace, clock, [0.001] * 5 + [gap] * 40))
    return pace, clock


def test_pictures_that_waited_for_a_held_up_line_are_late_and_the_next_one_is_not():
    pace, clock = a_known_pace()
    assert late_of(pace, clock, [4.0, *[0.003] * 39, 0.1, 0.1]) == [True] * 40 + [False] * 2
    assert late_of(pace, clock, [0.25, 0.0, 0.1]) == [False] * 3        # what jitters is no break
    assert 80_000_000 < pace.gap_ns < 120_000_000


def test_a_camera_that_pauses_or_changes_its_pace_loses_one_picture_at_the_most():
    pace, clock = a_known_pace()
    assert late_of(pace, clock, [5.0, 0.1, 0.1]) == [True, False, False]
    assert sum(late_of(pace, clock, [1.0] * 30)) == 1
    assert not any(late_of(pace, clock, [0.04] * 100))
    pace, clock = a_known_pace(1.0)
    late = late_of(pace, clock, [5.0] + [0.04] * 1000)                  # a break, and from then on 25 a second and not one
    assert sum(late) <= 10.0 / 0.04 + 2 and not any(late[300:])


def test_a_line_that_is_held_up_gives_no_picture_the_time_of_another(rtsp):
    """Through a relay that holds everything for a second and a half; the numbers say of when each picture is."""
    rtsp(numbered(30))
    relay = Meddler(rtsp.port)
    source, given = RtspSource(f"rtsp://127.0.0.1:{relay.port}/gate", WallClock()), []

    def look_for(seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            picture = source.grab(0.2)
            if picture is not None:
                given.append((picture.captured_ns / 1e9, number_of(picture.image)))

    try:
        frames_from(source, 25)
        look_for(2.0)
        relay.holds = True
        look_for(1.5)
        relay.holds = False
        dropped = source.dropped
        look_for(3.0)
    finally:
        source.close()
        relay.stop()
    of_camera = [(at - 0.1 * number) % 3.0 for at, number in given]
    usual = np.median(of_camera)
    late = [(of - usual + 1.5) % 3.0 - 1.5 for of in of_camera]
    assert len(late) > 30 and max(late) < 0.4, late
    assert source.dropped - dropped >= 8


def test_a_camera_that_is_off_is_an_error_in_words_without_its_password():
    source = RtspSource("rtsp://admin:secret@127.0.0.1:9/gate", WallClock())
    with pytest.raises(SourceError, match=r"rtsp://admin:\*\*\*@127\.0\.0\.1:9/gate: no stream can be opened"):
        frames_from(source, 1)
    source.close()


@pytest.mark.parametrize(("url", "shown"), [
    ("rtsp://127.0.0.1/a", "rtsp://127.0.0.1/a"),
    ("rtsp://admin:p@ssw0rd@10.0.0.5/s", "rtsp://admin:***@10.0.0.5/s"),
    ("rtsp://admin:a:b@c@@10.0.0.5:554/s?t=1#x", "rtsp://admin:***@10.0.0.5:554/s?t=1#x"),
    ("rtsp://admin:@10.0.0.5/s", "rtsp://admin:***@10.0.0.5/s"),
    ("rtsp://:p@ss@10.0.0.5/s", "rtsp://:***@10.0.0.5/s"),
    ("rtsp://me@firm.example:secret@10.0.0.5/s", "rtsp://me@firm.example:***@10.0.0.5/s"),
    ("rtsp://admin:pw@10.0.0.5/s@2", "rtsp://admin:***@10.0.0.5/s@2"),
    ("rtsp://admin:pw@10.0.0.5?u=a@b", "rtsp://admin:***@10.0.0.5?u=a@b"),
    ("rtsp://admin:pw@10.0.0.5#a@b", "rtsp://admin:***@10.0.0.5#a@b"),
    ("rtsp://10.0.0.5:554/s?of=a@b", "rtsp://10.0.0.5:554/s?of=a@b"),
    ("rtsp://viewer@10.0.0.5:554/s@2", "rtsp://viewer@10.0.0.5:554/s@2"),
    ("rtsp://[fd00::5]:554/s@2", "rtsp://[fd00::5]:554/s@2"),
    ("rtsp://admin:pw@[fd00::5]:554/s", "rtsp://admin:***@[fd00::5]:554/s"),
    ("rtsp://admin:pa/ss@10.0.0.5/s", "rtsp://admin:***@10.0.0.5/s"),     # these open nothing, and are shown in a complaint
    ("rtsp://admin:pa?s@10.0.0.5/s", "rtsp://admin:***@10.0.0.5/s"),
    ("rtsp://admin:#1@10.0.0.5/s", "rtsp://admin:***@10.0.0.5/s"),
])
def test_whatever_signs_a_password_has_none_of_it_is_shown(url, shown):
    assert without_password(url) == shown


def test_a_camera_that_goes_off_and_on_is_found_again(rtsp):
    url = rtsp([textured(k) for k in range(4)])
    source = RestartingSource(RtspSource(url, WallClock()), lambda: RtspSource(url, WallClock()), WallClock())
    frames_from(source, 2)
    rtsp.stop()
    end = time.monotonic() + 30
    while not source.complaint:
        source.grab(0.2)
        assert time.monotonic() < end
    assert "the stream has ended" in source.complaint
    rtsp.begin()
    frames_from(source, 2, 60.0)
    assert source.restarts >= 1
    source.close()


def test_a_stream_that_stops_without_closing_is_said_and_found_again(rtsp):
    url = rtsp([textured(k) for k in range(4)])
    source = RestartingSource(RtspSource(url, WallClock()), lambda: RtspSource(url, WallClock()), WallClock())
    frames_from(source, 2)
    rtsp.running[-1].send_signal(signal.SIGSTOP)
    end = time.monotonic() + 40
    while not source.complaint:
        source.grab(0.2)
        assert time.monotonic() < end, "the silence is not noticed"
    assert "silent for" in source.complaint or "no stream can be opened" in source.complaint
    rtsp.running[-1].send_signal(signal.SIGCONT)
    frames_from(source, 2, 60.0)
    assert source.restarts >= 1
    source.close()


class Meddler:
    """Stands between a camera and its node, and spoils some bytes of what the camera sends, or holds it, once told to."""

    def __init__(self, port):
        self.spoils = self.holds = False
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self):
        while True:
            try:
                node = self._listener.accept()[0]
                camera = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                return
            threading.Thread(target=self._pass, args=(node, camera, False), daemon=True).start()
            threading.Thread(target=self._pass, args=(camera, node, True), daemon=True).start()

    def _pass(self, here, there, from_camera):
        chance = np.random.default_rng(1)
        try:
            while data := here.recv(65536):
                while from_camera and self.holds:
                    time.sleep(0.005)
                if from_camera and self.spoils:
                    spoilt = np.frombuffer(data, np.uint8).copy()
                    where = chance.random(len(spoilt)) < 0.003
                    spoilt[where] = chance.integers(0, 256, where.sum(), dtype=np.uint8)
                    data = spoilt.tobytes()
                there.sendall(data)
        except OSError:
            pass
        finally:
            for end in (here, there):
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def stop(self):
        self._listener.close()


def test_spoilt_packets_harm_pictures_and_nothing_else(rtsp):
    rtsp([textured(k) for k in range(4)])
    meddler = Meddler(rtsp.port)
    url = f"rtsp://127.0.0.1:{meddler.port}/gate"
    source = RestartingSource(RtspSource(url, WallClock()), lambda: RtspSource(url, WallClock()), WallClock())
    frames_from(source, 2)
    meddler.spoils = True
    end = time.monotonic() + 6
    while time.monotonic() < end:
        frame_ = source.grab(0.2)
        assert frame_ is None or frame_.image.shape[2] == 3
    meddler.spoils = False
    frames_from(source, 3, 60.0)
    source.close()
    meddler.stop()


# ----------------------------------------------------------------------------------------------------------------- USB


@pytest.mark.parametrize(("device", "says"), [
    ("/dev/video97", "/dev/video97: there is no such camera. Is it plugged in?"),
    ("97", "/dev/video97: there is no such camera"),
    ("/dev/null", "/dev/null: it cannot be opened as a camera"),
    (__file__, "not a video device"),
])
def test_a_usb_camera_that_is_not_there_is_an_error_in_words(device, says):
    source = UsbSource(device, WallClock())
    with pytest.raises(SourceError, match=re.escape(says)):
        frames_from(source, 1)
    assert source.simulated is False
    source.close()


def test_a_usb_camera_that_is_plugged_in_later_is_found(tmp_path):
    """Without such a camera in this machine: that it is asked for again and again, and why not is said."""
    source = RestartingSource(UsbSource("97", WallClock()), lambda: UsbSource("97", WallClock()), WallClock())
    end = time.monotonic() + 30
    while source.restarts < 2:
        assert source.grab(0.1) is None
        assert time.monotonic() < end
    assert "no such camera" in source.complaint
    source.close()


# ------------------------------------------------------------------------------------------------------ whose pixels?


def test_a_live_node_is_given_no_rendered_picture_over_real_rtsp(rtsp):
    url = rtsp([burn(textured(k), "2026-11-24 22:00:00 UTC") for k in range(4)])
    source, given = OnlyRealPictures(RtspSource(url, WallClock()), url), []
    end = time.monotonic() + 40
    with pytest.raises(SourceError, match="carry the mark SIM"):
        while time.monotonic() < end:
            frame_ = source.grab(0.5)
            given += [frame_] if frame_ is not None else []
    assert given == []
    source.close()


def test_a_live_node_is_given_a_real_cameras_pictures(rtsp):
    source = OnlyRealPictures(RtspSource(rtsp([textured(k) for k in range(4)], fps=25), WallClock()), "gate")
    assert len(frames_from(source, 3)) == 3
    source.close()


def test_a_stream_that_becomes_rendered_is_cut_at_that_picture():
    class Switched:
        simulated, dropped, ended, k = False, 0, False, 0

        def grab(self, timeout_s):
            from edge.sources import Frame

            self.k += 1
            picture = textured(self.k)
            return Frame(burn(picture, "") if self.k > PROBATION_FRAMES + 4 else picture, self.k)

        def close(self): ...

    source = OnlyRealPictures(Switched(), "gate")
    seen = [source.grab(0.1) for _ in range(PROBATION_FRAMES + 4)]
    assert [f.captured_ns for f in seen if f] == [PROBATION_FRAMES + k for k in range(1, 5)]
    for _ in range(3):
        with pytest.raises(SourceError, match="SIM"):
            source.grab(0.1)


def test_a_training_node_learns_from_the_pixels_that_its_stream_is_rendered(rtsp):
    url = rtsp([burn(textured(k), "x") for k in range(4)])
    source = RestartingSource(LabelledPictures(RtspSource(url, WallClock())), lambda: None, WallClock())
    assert not source.simulated
    frames_from(source, 2)
    assert source.simulated
    source.close()


def test_two_streams_can_be_read_at_once(rtsp):
    url = rtsp([textured(k) for k in range(4)])
    sources = [RtspSource(url, WallClock()) for _ in range(2)]
    threads = [threading.Thread(target=frames_from, args=(s, 2)) for s in sources]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not any(t.is_alive() for t in threads)
    for s in sources:
        s.close()
