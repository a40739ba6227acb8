"""Cameras that send by themselves: RTSP or USB from a real one, frames from one of the simulated world.

None is opened before somebody asks for a frame: a camera that starts later than its node is no error.
"""

from __future__ import annotations

import logging
import os
import re
import threading
import time
from abc import ABC, abstractmethod
from pathlib import Path

import cv2
import numpy as np
import zmq

from edge.sources import Frame, Image, SourceError
from wire.clock import NS_PER_S, Clock
from wire.frame_feed import FrameError, decode_frame
from wire.node_words import NO_TEXT, NodeText, node_text

# Timeouts of FFmpeg, milliseconds. A camera behind a radio link takes its time to open; between frames it does not.
OPEN_TIMEOUT_MS = 8_000
READ_TIMEOUT_MS = 5_000
# TCP: a lost datagram would smear the picture until the next key frame. No buffering, and no waiting to analyse the stream.
FFMPEG_OPTIONS = "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay|max_delay;0|probesize;200000|analyzeduration;500000"
FFMPEG_VARIABLE = "OPENCV_FFMPEG_CAPTURE_OPTIONS"       # OpenCV reads it while it opens whatever it opens
_OPENING = threading.Lock()
# A stream has one decoder. FFmpeg by itself takes one for each processor, and each beyond the first keeps a picture back: of
# 10 pictures/s 0.09 s for two, 0.29 s for four, 0.69 s for eight (measured). Only what one cannot follow gets more.
DECODER_FULL = 0.85             # of a core, by the thread that reads and decodes
DECODER_LOOK_S = 10.0
# A break between pictures, after which those that waited are late: so long, and longer than so many usual gaps.
BREAK_S, BREAK_GAPS, BREAK_OVER_S = 0.5, 3, 10.0
PACE_KNOWN = 20                 # pictures; those that waited while the stream was opened come at once
LEAVE_S = 1.0                   # for the reading thread to end; longer than that it is in FFmpeg, and ends with its timeout

_log = logging.getLogger("trailwatch.edge")


class _LiveCapture(ABC):
    """A camera that OpenCV opens, newest picture only: a thread takes them as fast as they come.

    delay_s: how long a picture is under way from lens to here, measured once for the camera; the time of capture is the time
    of arrival less this. max_fps: frames that come faster are passed over and not counted as dropped; 0 takes all.
    simulated: False, because the kind of source does not say. What the pictures themselves say is for edge.rendered.
    """

    def __init__(self, name: str, gone: NodeText, clock: Clock, delay_s: float, max_fps: float) -> None:
        self.simulated = False
        self.dropped = 0
        self.ended = False
        self._name = name
        self._gone = gone
        self._clock = clock
        self._delay_ns = round(delay_s * NS_PER_S)
        self._least_gap_ns = round(NS_PER_S / max_fps * 0.9) if max_fps else 0
        self._given_ns = 0
        self._decoders = 1              # each beyond the first holds a picture back
        self._newest: Frame | None = None
        self._problem = NO_TEXT
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def grab(self, timeout_s: float) -> Frame | None:
        """Raises SourceError when the camera cannot be opened, or has fallen silent."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, name="camera", daemon=True)
            self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._problem, timeout_s)
            frame, self._newest = self._newest, None
            if frame is not None:
                return frame
            if self._problem:
                raise SourceError(self._problem)
            return None

    def close(self) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join(LEAVE_S)

    @abstractmethod
    def _open(self, capture: cv2.VideoCapture) -> NodeText:
        """Open it; empty when it is open, otherwise what is wrong."""

    def _read(self) -> None:
        capture = cv2.VideoCapture()
        try:
            while not self._stop.is_set():
                refusal = self._open(capture)
                if refusal:
                    self._say(refusal)
                    return
                _log.info("%s: the camera is open", self._name)
                if not self._take(capture):
                    self._say(self._gone)
                    return
        except cv2.error as error:
            # A thread that died of it would leave a camera that is merely silent.
            self._say(node_text("opencv_ended", camera=self._name, error=str(error.err or error)))
        finally:
            capture.release()

    def _take(self, capture: cv2.VideoCapture) -> bool:
        """Pictures until there are no more (False), or until this is over or the camera has to be opened anew (True)."""
        pace, load = Pace(self._clock), _Load(self._clock)
        while not self._stop.is_set():
            if not capture.grab():
                return False
            if pace.is_late():
                with self._changed:
                    self.dropped += 1
            else:
                self._keep(capture, (self._decoders - 1) * pace.gap_ns)
            if load.is_full() and self._wants_more_decoders():
                return True
        return True

    def _wants_more_decoders(self) -> bool:
        """Whether to open the camera anew because reading it takes all of a core."""
        return False

    def _keep(self, capture: cv2.VideoCapture, held_ns: int) -> None:
        now_ns = self._clock.utc_ns()
        if 0 <= now_ns - self._given_ns < self._least_gap_ns:
            return
        read, image = capture.retrieve()
        if not read or image is None:
            return
        self._given_ns = now_ns
        with self._changed:
            self.dropped += self._newest is not None
            self._newest = Frame(np.asarray(image, np.uint8), now_ns - self._delay_ns - held_ns)
            self._changed.notify_all()

    def _say(self, problem: NodeText) -> None:
        with self._changed:
            self._problem = problem
            self._changed.notify_all()


class Pace:
    """How far apart pictures come, and which were held up on their way.

    TCP loses nothing: after a break come all pictures that waited, at once, and none says of when it is. The first after a
    break may be one of them, and each that follows faster than the camera takes pictures is.

    gap_ns: the usual time between two, over the last dozen or so.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._last_ns = clock.monotonic_ns()
        self._broken_ns: int | None = None      # since then those come that waited
        self._seen = 0
        self.gap_ns = 0

    def is_late(self) -> bool:
        """To be asked with each picture."""
        now_ns = self._clock.monotonic_ns()
        gap_ns, self._last_ns = now_ns - self._last_ns, now_ns
        self._seen += 1
        is_break = gap_ns > max(BREAK_S * NS_PER_S, BREAK_GAPS * self.gap_ns) and self._seen > PACE_KNOWN
        if self._broken_ns is None:
            if is_break:
                self._broken_ns = now_ns
                return True
        elif gap_ns < self.gap_ns / 2 and now_ns - self._broken_ns < BREAK_OVER_S * NS_PER_S:
            return True
        elif is_break or gap_ns < self.gap_ns / 2:      # nothing had waited: the camera itself has another pace now
            self.gap_ns = gap_ns
        self._broken_ns = None
        self.gap_ns += round((gap_ns - self.gap_ns) / min(self._seen, 12))
        return False


class _Load:
    """How much of a core the calling thread takes, looked at every DECODER_LOOK_S."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since_ns = clock.monotonic_ns()
        self._spent_ns = time.thread_time_ns()

    def is_full(self) -> bool:
        passed_ns = self._clock.monotonic_ns() - self._since_ns
        if passed_ns < DECODER_LOOK_S * NS_PER_S:
            return False
        spent_ns = time.thread_time_ns()
        full = spent_ns - self._spent_ns > DECODER_FULL * passed_ns
        self._since_ns, self._spent_ns = self._since_ns + passed_ns, spent_ns
        return full


class RtspSource(_LiveCapture):
    """A camera over RTSP, by TCP."""

    def __init__(self, url: str, clock: Clock, *, delay_s: float = 0.0, max_fps: float = 0.0) -> None:
        shown = without_password(url)
        gone = node_text("stream_ended", camera=shown, seconds=READ_TIMEOUT_MS // 1000)
        super().__init__(shown, gone, clock, delay_s, max_fps)
        self._url = url

    def _open(self, capture: cv2.VideoCapture) -> NodeText:
        with _OPENING:
            os.environ[FFMPEG_VARIABLE] = FFMPEG_OPTIONS
            try:
                opened = capture.open(self._url, cv2.CAP_FFMPEG, [
                    cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS,
                    cv2.CAP_PROP_N_THREADS, self._decoders,
                ])
            finally:
                del os.environ[FFMPEG_VARIABLE]     # a file that is opened after it would begin with its second picture
        return NO_TEXT if opened else node_text("no_stream", camera=self._name)

    def _wants_more_decoders(self) -> bool:
        more = cv2.getNumberOfCPUs()
        if more <= self._decoders:
            return False
        _log.warning(
            "%s: decoding takes all of a processor, so that pictures would come later and later; the stream is opened again "
            "with %d decoders, which keep %d pictures back. A smaller picture, or fewer a second, would not need that.",
            self._name, more, more - 1,
        )
        self._decoders = more
        return True


class UsbSource(_LiveCapture):
    """A camera on USB, or any other that Linux shows as a video device (V4L2). device: "/dev/video0", or its number.

    size: width and height to ask for; a camera gives the nearest that it has. None leaves it at its own. The driver itself
    gives up on a frame after ten seconds (OPENCV_VIDEOIO_V4L_SELECT_TIMEOUT).
    """

    def __init__(
        self, device: str, clock: Clock, *, size: tuple[int, int] | None = None, delay_s: float = 0.0, max_fps: float = 0.0
    ) -> None:
        path = Path(f"/dev/video{device}" if device.isdigit() else device)
        super().__init__(str(path), node_text("camera_gone", camera=str(path)), clock, delay_s, max_fps)
        self._path = path
        self._size = size

    def _open(self, capture: cv2.VideoCapture) -> NodeText:
        if not self._path.exists():
            there = ", ".join(sorted(str(p) for p in Path("/dev").glob("video*"))) or node_text("no_video_devices")
            return node_text("no_camera", camera=self._name, there=there)
        if not self._path.is_char_device():
            return node_text("no_video_device", camera=self._name)
        if not os.access(self._path, os.R_OK | os.W_OK):
            return node_text("camera_closed", camera=self._name)
        if not capture.open(str(self._path), cv2.CAP_V4L2):
            return node_text("camera_busy", camera=self._name)
        # Motion JPEG: raw pictures of a useful size do not fit through USB 2 at a useful rate.
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        if self._size is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, self._size[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, self._size[1])
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        return NO_TEXT


class SimulatorSource:
    """A camera of the simulated world. Always simulated: a fact of the kind of source, no setting changes it.

    sensor: the camera's id; a simulator that shows another one is an error, for every place would be wrong.
    refused: messages that were no pictures.
    """

    simulated = True

    def __init__(self, endpoint: str, sensor: str, *, max_fps: float = 0.0) -> None:
        self.dropped = 0
        self.refused = 0
        self.ended = False
        self._endpoint = endpoint
        self._sensor = sensor
        self._least_gap_ns = round(NS_PER_S / max_fps * 0.9) if max_fps else 0
        self._last: tuple[int, int] | None = None       # sequence, captured_ns
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.CONFLATE, 1)
        self._socket.setsockopt(zmq.SUBSCRIBE, b"")
        self._socket.setsockopt(zmq.RECONNECT_IVL, 200)
        try:
            self._socket.connect(endpoint)
        except zmq.ZMQError as error:
            self.close()
            raise SourceError(node_text("no_endpoint", endpoint=endpoint, error=str(error))) from None

    def grab(self, timeout_s: float) -> Frame | None:
        """Raises SourceError when the simulator shows another camera."""
        if not self._socket.poll(round(timeout_s * 1000)):
            return None
        data = self._socket.recv()
        try:
            frame = decode_frame(data)
        except FrameError as error:
            self.refused += 1
            _log.warning("%s: not a picture of a simulated camera: %s", self._endpoint, error)
            return None
        if frame.sensor != self._sensor:
            raise SourceError(node_text("other_camera", endpoint=self._endpoint, shown=frame.sensor, sensor=self._sensor))
        if self._last is not None and 0 <= frame.captured_ns - self._last[1] < self._least_gap_ns:
            return None
        image = _decoded(frame.jpeg, frame.width_px, frame.height_px)
        if image is None:
            self.refused += 1
            return None
        # A camera that was started again counts from nought.
        if self._last is not None and frame.sequence > self._last[0]:
            self.dropped += frame.sequence - self._last[0] - 1
        self._last = (frame.sequence, frame.captured_ns)
        return Frame(image, frame.captured_ns)

    def close(self) -> None:
        self._context.destroy(linger=0)


def without_password(url: str) -> str:
    """A URL as it may be logged and shown.

    FFmpeg takes the last @ before the first of /?# for the end of the password. One with such a sign in it opens nothing,
    and must not be shown in the complaint either: then it ends with the last @ of all, unless it is a port.
    """
    return re.sub(r"//([^/?#:\[]*):(?:[^/?#]*|(?!\d+[/?#]).*)@", r"//\1:***@", url)


def _decoded(jpeg: bytes, width: int, height: int) -> Image | None:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if image is None or image.shape[:2] != (height, width):
        return None
    return np.asarray(image, np.uint8)
