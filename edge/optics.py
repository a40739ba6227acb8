"""What a node tells of its lens and of where it looks, so that the station can work out what trail it sees."""

from __future__ import annotations

import math

from cameras.camera import Camera
from cameras.pose import PoseEstimate
from edge.camera_settings import CameraSettings
from wire.optics import Optics


def optics_of(camera: Camera, estimate: PoseEstimate, settings: CameraSettings) -> Optics:
    """camera: as its pictures come. estimate: of the moment that the report speaks of."""
    lens, pose, rates = camera.lens, estimate.pose, estimate.rates
    # A turn about the vertical moves what a camera sees the less, the steeper it looks down.
    turning = math.hypot(rates.yaw_deg_s * math.cos(math.radians(pose.pitch_deg)), rates.pitch_deg_s, rates.roll_deg_s)
    return Optics(
        settings.kind, lens.width_px, lens.height_px, lens.fx, lens.fy, lens.cx, lens.cy,
        round(pose.yaw_deg, 4), round(pose.pitch_deg, 4), camera.reach_m, round(pose.roll_deg, 4),
        lens.k1, lens.k2, lens.p1, lens.p2, lens.k3, round(turning, 2), settings.lamp_reach_m,
    )
