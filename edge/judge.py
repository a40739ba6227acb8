"""From tracked and placed objects to detections: each with its place or bearing, and its corridors."""

from __future__ import annotations

import numpy as np

from cameras.pose import Pose
from edge.detector import CLASSES
from edge.geolocate import GroundEstimate
from edge.tracker import Tracked
from geofences.corridors import CorridorMap
from wire.messages import Box, Detection, Placement, PlacementBearing, PlacementPoint
from wire.units import Covariance2, GroundPosition

FOOT_MARGIN_PX = 2.0
FOOT_CUT_OFF = "the foot is below the picture"


def judge(
    tracked: Tracked, placed: GroundEstimate, pose: Pose, corridors: CorridorMap, height_px: int,
) -> tuple[Detection, ...]:
    """Row by row. What touches no corridor is marked so (corridors empty) and still sent; every bearing is kept.

    height_px: of the picture. A box that its lower edge cuts off has no foot in it, and so only a bearing.
    """
    if not len(tracked.ids):
        return ()
    cut_off = tracked.boxes[:, 3] >= height_px - FOOT_MARGIN_PX
    refused = placed.refused | cut_off
    touched: list[tuple[str, ...]] = [()] * len(refused)
    points = np.flatnonzero(~refused)
    found = corridors.touched(placed.position_enu_m[points], placed.covariance_m2[points])
    for point, ids in zip(points.tolist(), found, strict=True):
        touched[point] = ids
    *places, here = corridors.frame.from_enu(np.vstack([placed.position_enu_m, [[pose.east_m, pose.north_m]]])).tolist()
    ids, scores, boxes = tracked.ids.tolist(), tracked.scores.tolist(), tracked.boxes.round(1).tolist()
    classes, confirmed, covariances = tracked.classes.tolist(), tracked.confirmed.tolist(), placed.covariance_m2.tolist()
    detections = []
    for i, only_a_bearing in enumerate(refused.tolist()):
        placement: Placement
        if only_a_bearing:
            placement = PlacementBearing(
                GroundPosition(*here), float(placed.bearing_deg[i]), float(placed.bearing_sigma_deg[i]),
                FOOT_CUT_OFF if cut_off[i] else placed.reasons[i],
            )
        else:
            (ee, en), (_, nn) = covariances[i]
            placement = PlacementPoint(GroundPosition(*places[i]), Covariance2(ee, en, nn))
        detections.append(
            Detection(
                track=ids[i], object_class=CLASSES[classes[i]], score=round(scores[i], 4), box=Box(*boxes[i]),
                placement=placement, confirmed=confirmed[i], corridors=touched[i],
            )
        )
    return tuple(detections)
