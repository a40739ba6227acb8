"""What goes wrong with a simulated camera: a file beside it names the fault, and whoever directs the exercise writes it.

A fault is in the picture, or there is no picture: the node has to find out by itself, as it would outside.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from cameras.pose import Pose
from cameras.sim_mark import burn
from wire.clock import NS_PER_S, Clock

Image = npt.NDArray[np.uint8]
LOOK_EVERY_NS = NS_PER_S // 2
MOVED_DEG = 4.0
BLUR_PX = 14.0
BAG_GREY = 34
JPEG_QUALITY = 85
FAULT_LINE = "fault"


class CameraFaults:
    """Of one camera. file: None for one that never fails."""

    def __init__(self, file: Path | None, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._looked_ns = -LOOK_EVERY_NS
        self._fault = ""
        self._frozen: bytes | None = None

    def now(self) -> str:
        """The fault of now; empty for none."""
        now_ns = self._clock.monotonic_ns()
        if self._file is not None and now_ns - self._looked_ns >= LOOK_EVERY_NS:
            self._looked_ns = now_ns
            try:
                self._fault = self._file.read_text(encoding="utf-8").strip()
            except OSError:
                self._fault = ""
        return self._fault

    def pose(self, pose: Pose) -> Pose:
        """Where a camera looks that somebody has knocked."""
        return replace(pose, yaw_deg=pose.yaw_deg + MOVED_DEG) if self.now() == "moved" else pose

    def jpeg(self, image: Image, jpeg: bytes) -> bytes | None:
        """What comes out of it in place of a picture; None for nothing at all."""
        fault = self.now()
        if fault != "frozen":
            self._frozen = None
        match fault:
            case "blind":
                return None
            case "frozen":
                self._frozen = self._frozen or jpeg
                return self._frozen
            case "covered":
                return encoded(np.full_like(image, BAG_GREY))
            case "dark":
                return encoded((image * 0.02).astype(np.uint8))
            case "defocused":
                return encoded(np.asarray(cv2.GaussianBlur(image, (0, 0), BLUR_PX), np.uint8))
            case _:
                return jpeg


def encoded(image: Image) -> bytes:
    """With its mark: what a fault makes of a rendered picture is no less simulated."""
    _, data = cv2.imencode(".jpg", burn(image, FAULT_LINE), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return data.tobytes()
