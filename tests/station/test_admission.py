"""The checks of a message's content before it is stored: ranges, lengths, counts, and the field that a reason names."""

from __future__ import annotations

import msgspec
import pytest

from station.admission import DETECTIONS_LIMIT, admit
from tests.station.conftest import frame_of, point_detection
from wire.clock import NS_PER_S
from wire.codec import RefusedError, encode_envelope
from wire.keys import AllowedNode, NodeKind
from wire.messages import Box, DetectionBatch, Envelope, PlacementBearing, Snapshot, UpBody
from wire.units import GroundPosition, ObjectClass

NOW_NS = 1_800_000_000 * NS_PER_S
PLACE = GroundPosition(16.6211, 106.5915)
CAMERA = AllowedNode("cam-1", NodeKind.CAMERA, None, "")
GOOD = point_detection(PLACE)


def refusal_of(body: UpBody) -> str:
    """Why the body is refused; empty where it is admitted."""
    try:
        admit(encode_envelope(Envelope("cam-1", 1, 1, body)), CAMERA, NOW_NS)
    except RefusedError as error:
        assert error.reason == "impossible_content"
        return str(error)
    return ""


def batch(**changes: object) -> DetectionBatch:
    return frame_of("gate-1", NOW_NS, msgspec.structs.replace(GOOD, **changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"score": 1.5}, "score 1.5: not within 0 to 1"),
        ({"score": -0.1}, "score -0.1"),
        ({"score": float("nan")}, "score nan"),
        ({"box": Box(10.0, 10.0, 10.0, 20.0)}, "box 10, 10, 10, 20: it has no size"),
        ({"box": Box(20.0, 10.0, 10.0, 20.0)}, "it has no size"),
        ({"box": Box(0.0, 0.0, 1e9, 20.0)}, "outside of any picture"),
        ({"box": Box(-1e9, 0.0, 10.0, 20.0)}, "outside of any picture"),
        ({"box": Box(0.0, 0.0, float("inf"), 20.0)}, "inf: not a number"),
        ({"corridors": ("x" * 65,)}, "corridors: 65 characters"),
        ({"corridors": ("x",) * 101}, "corridors: 101 of one detection"),
        ({"object_class": ObjectClass.CAR, "plate": "7" * 33}, "plate: 33 characters"),
        ({"placement": PlacementBearing(PLACE, 1e6, 1.0, "far")}, "bearing_deg 1000000.0"),
        ({"placement": PlacementBearing(PLACE, 10.0, 1.0, "x" * 2001)}, "reason: 2001 characters"),
    ],
)
def test_a_detection_out_of_range_is_refused_and_the_reason_names_the_field(changes, sentence) -> None:
    assert sentence in refusal_of(batch(**changes))


def test_a_box_that_reaches_a_little_beyond_the_picture_is_admitted() -> None:
    assert refusal_of(batch(box=Box(-3.5, 0.0, 60.0, 1084.2))) == ""
    assert refusal_of(batch(score=0.0)) == refusal_of(batch(score=1.0)) == ""


def test_a_frame_of_too_many_detections_and_a_name_without_end_are_refused() -> None:
    small = msgspec.structs.replace(GOOD, corridors=())
    most = frame_of("gate-1", NOW_NS, *(small,) * DETECTIONS_LIMIT)
    assert refusal_of(most) == ""
    too_many = msgspec.structs.replace(most, detections=(*most.detections, small))
    assert f"detections: {DETECTIONS_LIMIT + 1} in one frame" in refusal_of(too_many)
    assert "sensor: 65 characters" in refusal_of(frame_of("g" * 65, NOW_NS, GOOD))
    assert "sensor: 65" in refusal_of(Snapshot("g" * 65, 1, NOW_NS, b"\xff\xd8", Box(0, 0, 1, 1)))
    assert "outside of any picture" in refusal_of(Snapshot("gate-1", 1, NOW_NS, b"\xff\xd8", Box(0, 0, 1e9, 9)))
