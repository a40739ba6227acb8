"""Cameras that send by themselves: RTSP from a real one, frames from one of the simulated world.

Neither is opened before somebody asks for a frame: a camera that starts later than its node is no error.
"""

from __future__ import annotations

import logging
import os
import re
import threading

import cv2
import numpy as np
import zmq

from edge.sources import Frame, Image, SourceError
from wire.clock import NS_PER_S, Clock
from wire.frame_feed import FrameError, decode_frame

# Timeouts of FFmpeg, milliseconds. A camera behind a radio link takes its time to open; between frames it does not.
OPEN_TIMEOUT_MS = 8_000
READ_TIMEOUT_MS = 5_000
# TCP: a lost datagram would smear the picture until the next key frame. No buffering, and no waiting to analyse the stream.
FFMPEG_OPTIONS = "rtsp_transport;tcp|fflags;nobuffer|flags;low_delay|max_delay;0|probesize;200000|analyzeduration;500000"
LEAVE_S = 1.0                   # for the reading thread to end; longer than that it is in FFmpeg, and ends with its timeout

_log = logging.getLogger("trailwatch.edge")


class RtspSource:
    """A camera over RTSP, newest picture only: a thread decodes as fast as they come.

    delay_s: how long a picture is under way from lens to here, measured once for the camera; the time of capture is the time
    of arrival less this. max_fps: frames that come faster are passed over and not counted as dropped; 0 takes all.
    simulated: False, because the kind of source does not say. What the pictures themselves say is for edge.rendered.
    """

    def __init__(self, url: str, clock: Clock, *, delay_s: float = 0.0, max_fps: float = 0.0) -> None:
        self.simulated = False
        self.dropped = 0
        self.ended = False
        self._url = url
        self._clock = clock
        self._delay_ns = round(delay_s * NS_PER_S)
        self._least_gap_ns = round(NS_PER_S / max_fps * 0.9) if max_fps else 0
        self._given_ns = 0
        self._newest: Frame | None = None
        self._problem = ""
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def grab(self, timeout_s: float) -> Frame | None:
        """Raises SourceError when the camera cannot be opened, or has fallen silent."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._read, name="rtsp", daemon=True)
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

    def _read(self) -> None:
        # OpenCV reads this while it opens; it is the same for every stream of a process.
        os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = FFMPEG_OPTIONS
        capture = cv2.VideoCapture()
        try:
            opened = capture.open(self._url, cv2.CAP_FFMPEG, [
                cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, READ_TIMEOUT_MS,
            ])
            if not opened:
                self._say(f"{without_password(self._url)}: no stream can be opened there. Is the camera on, and are path, "
                          "user and password right?")
                return
            _log.info("%s: the stream is open", without_password(self._url))
            while not self._stop.is_set():
                if not capture.grab():
                    self._say(f"{without_password(self._url)}: the stream has ended, or been silent for "
                              f"{READ_TIMEOUT_MS // 1000} s")
                    return
                self._keep(capture)
        finally:
            capture.release()

    def _keep(self, capture: cv2.VideoCapture) -> None:
        now_ns = self._clock.utc_ns()
        if 0 <= now_ns - self._given_ns < self._least_gap_ns:
            return
        read, image = capture.retrieve()
        if not read or image is None:
            return
        self._given_ns = now_ns
        with self._changed:
            self.dropped += self._newest is not None
            self._newest = Frame(np.asarray(image, np.uint8), now_ns - self._delay_ns)
            self._changed.notify_all()

    def _say(self, problem: str) -> None:
        with self._changed:
            self._problem = problem
            self._changed.notify_all()


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
            raise SourceError(f'"{endpoint}": {error}. Give tcp://127.0.0.1:PORT, as the camera has it.') from None

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
            raise SourceError(f'{self._endpoint}: shows the camera "{frame.sensor}", and this node is of "{self._sensor}"')
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
    """A URL as it may be logged and shown."""
    return re.sub(r"//([^/@:]*):[^/@]*@", r"//\1:***@", url)


def _decoded(jpeg: bytes, width: int, height: int) -> Image | None:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR) if jpeg else None
    if image is None or image.shape[:2] != (height, width):
        return None
    return np.asarray(image, np.uint8)
