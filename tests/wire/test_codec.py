"""The wire takes what it knows, and refuses the rest with a reason."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire import codec
from wire.messages import (
    Acknowledgement,
    Box,
    Detection,
    DetectionBatch,
    Envelope,
    NodeHealth,
    PlacementBearing,
    PlacementPoint,
    Refusal,
    Snapshot,
)
from wire.units import Colour, Covariance2, GroundPosition, ObjectClass, TimeQuality, VehicleKind, is_vehicle

degrees = st.floats(-90, 90)
names = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)
counts = st.integers(0, 2**62)
placements = st.one_of(
    st.builds(
        PlacementPoint,
        st.builds(GroundPosition, degrees, degrees),
        st.builds(Covariance2, st.floats(0, 1e4), st.floats(-1e2, 1e2), st.floats(0, 1e4)),
    ),
    st.builds(
        PlacementBearing,
        st.builds(GroundPosition, degrees, degrees),
        st.floats(0, 360),
        st.floats(0, 10),
        st.text(max_size=30),
    ),
)
common = {
    "track": counts,
    "score": st.floats(0, 1),
    "box": st.builds(Box, *[st.floats(-10, 4000)] * 4),
    "placement": placements,
    "confirmed": st.booleans(),
    "corridors": st.lists(names, max_size=3).map(tuple),
}
plain = st.builds(Detection, object_class=st.sampled_from(ObjectClass), **common)
vehicles = st.builds(
    Detection,
    object_class=st.sampled_from([c for c in ObjectClass if is_vehicle(c)]),
    plate=st.none() | st.text(max_size=12),
    kind=st.none() | st.sampled_from(VehicleKind),
    colour=st.none() | st.sampled_from(Colour),
    **common,
)
detections = plain | vehicles
batches = st.builds(
    DetectionBatch, names, counts, st.sampled_from(TimeQuality), names, st.lists(detections, max_size=8).map(tuple)
)
envelopes = st.builds(Envelope, names, counts, counts, batches)


@given(envelopes)
def test_what_was_sent_is_what_arrives(envelope):
    assert codec.decode_envelope(codec.encode_envelope(envelope)) == envelope


@given(st.binary(max_size=400))
def test_random_bytes_are_refused_and_never_raise_anything_else(data):
    for decode in (codec.decode_envelope, codec.decode_down):
        with pytest.raises(codec.RefusedError):
            decode(data)


@given(envelopes, st.data())
def test_a_mutated_message_is_refused_or_still_a_whole_message(envelope, data):
    raw = bytearray(codec.encode_envelope(envelope))
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    del raw[data.draw(st.integers(1, len(raw))) :]
    try:
        assert isinstance(codec.decode_envelope(bytes(raw)), Envelope)
    except codec.RefusedError as refused:
        assert str(refused)


def test_deep_nesting_is_refused_and_does_not_exhaust_the_stack():
    with pytest.raises(codec.RefusedError):
        codec.decode_envelope(b"\x91" * 100_000 + b"\xc0")


def test_another_protocol_version_is_named_in_the_refusal():
    with pytest.raises(codec.RefusedError, match=r"protocol version 9, this station speaks 1: update the older"):
        codec.split_transport([b"TW\x09", b"anything"])


def test_a_stranger_s_protocol_is_refused():
    with pytest.raises(codec.RefusedError, match="not a Trailwatch message"):
        codec.split_transport([b"GET / HTTP/1.1"])
    with pytest.raises(codec.RefusedError, match="empty message"):
        codec.split_transport([])


def test_too_many_envelopes_in_one_message_are_refused():
    with pytest.raises(codec.RefusedError, match="65 envelopes"):
        codec.split_transport([codec.MAGIC, *[b"x"] * 65])


def test_only_a_snapshot_may_be_larger_than_a_detection_batch():
    big = b"\xff" * (codec.ENVELOPE_LIMIT_BYTES + 1)
    snapshot = Envelope("gate", 1, 1, Snapshot("gate", 1, 1, big, Box(0, 0, 1, 1)))
    assert codec.decode_envelope(codec.encode_envelope(snapshot)) == snapshot
    health = Envelope("gate", 1, 1, NodeHealth(0, 0, 0, 0, 0, {}, 0, 0, 0, 0, 0, TimeQuality.NTP, True, (big.hex(),)))
    with pytest.raises(codec.RefusedError, match="the limit for this kind is 65536"):
        codec.encode_envelope(health)
    with pytest.raises(codec.RefusedError, match="the limit"):
        codec.decode_envelope(msgspec.msgpack.encode(health))
    huge = Snapshot("gate", 1, 1, b"\xff" * (codec.SNAPSHOT_LIMIT_BYTES + 2048), Box(0, 0, 1, 1))
    with pytest.raises(codec.RefusedError):
        codec.decode_envelope(msgspec.msgpack.encode(Envelope("gate", 1, 1, huge)))


@pytest.mark.parametrize(
    ("node", "boot", "sequence"), [("", 1, 1), ("n" * 65, 1, 1), ("n", -1, 1), ("n", 1, -5), ("n", 2**63, 1)]
)
def test_an_impossible_identity_is_refused(node, boot, sequence):
    batch = DetectionBatch("s", 1, TimeQuality.NTP, "v", ())
    with pytest.raises(codec.RefusedError):
        codec.decode_envelope(msgspec.msgpack.encode(Envelope(node, boot, sequence, batch)))


def test_an_acknowledgement_travels_down():
    ack = Acknowledgement(((1, 2), (1, 3)), (Refusal(1, 4, "too large"),))
    assert codec.decode_down(codec.encode_down(ack)) == ack


def test_a_realm_cannot_be_claimed_by_a_message():
    assert not any("realm" in f.name for f in msgspec.structs.fields(Envelope))
    claimed = msgspec.to_builtins(Envelope("n", 1, 1, DetectionBatch("s", 1, TimeQuality.NTP, "v", ()))) | {"realm": "live"}
    assert not hasattr(codec.decode_envelope(msgspec.msgpack.encode(claimed)), "realm")


@pytest.mark.parametrize("object_class", [c for c in ObjectClass if not is_vehicle(c)])
@pytest.mark.parametrize("told", [{"plate": "74C-123.45"}, {"colour": Colour.BLUE}, {"kind": VehicleKind.CAR}])
def test_a_person_has_no_attributes_neither_here_nor_from_outside(object_class, told):
    place = PlacementPoint(GroundPosition(16.6, 106.6), Covariance2(1.0, 0.0, 1.0))
    seen = Detection(1, ObjectClass.CAR, 0.9, Box(0, 0, 1, 1), place, True, **told)
    with pytest.raises(ValueError, match="only vehicles"):
        msgspec.structs.replace(seen, object_class=object_class)
    envelope = Envelope("cam-1", 1, 1, DetectionBatch("cam-1", 1, TimeQuality.NTP, "v", (seen,)))
    raw = msgspec.msgpack.decode(codec.encode_envelope(envelope))
    raw["body"]["detections"][0]["object_class"] = object_class.value
    with pytest.raises(codec.RefusedError, match="only vehicles"):
        codec.decode_envelope(msgspec.msgpack.encode(raw))


@pytest.mark.parametrize("confidence", [(0.9,) * 7, (0.9,) * 9, (*(0.9,) * 7, 1.5), (*(0.9,) * 7, float("nan"))])
def test_a_plate_has_one_confidence_for_each_letter_or_digit(confidence):
    place = PlacementPoint(GroundPosition(16.6, 106.6), Covariance2(1.0, 0.0, 1.0))
    seen = Detection(1, ObjectClass.CAR, 0.9, Box(0, 0, 1, 1), place, True, (), "74C-123.45", (0.9,) * 8)
    with pytest.raises(ValueError, match="for each letter or digit"):
        msgspec.structs.replace(seen, plate_confidence=confidence)


class _HealthOfBefore(msgspec.Struct, frozen=True, tag="health"):
    """NodeHealth as a station reads it that knows no presets (and, for short, little else)."""

    at_ns: int
    uptime_s: float
    problems: tuple[str, ...] = ()


class _EnvelopeOfBefore(msgspec.Struct, frozen=True):
    node: str
    boot: int
    sequence: int
    body: _HealthOfBefore


def test_a_station_of_before_reads_a_health_with_presets_and_this_one_reads_a_health_without():
    health = NodeHealth(
        5, 1.0, 1, 0, 5.0, {}, 0, 0, 0, 1.0, 1.0, TimeQuality.NTP, True, profile="night", profiles=("day", "night"),
        preset="gate", presets=("gate", "bend"), turning_to="bend",
    )
    data = codec.encode_envelope(Envelope("n", 1, 1, health))
    assert codec.decode_envelope(data).body == health
    assert msgspec.msgpack.decode(data, type=_EnvelopeOfBefore).body.at_ns == 5
    raw = msgspec.msgpack.decode(data)
    for name in ("profile", "profiles", "preset", "presets", "turning_to"):
        del raw["body"][name]
    before = codec.decode_envelope(msgspec.msgpack.encode(raw)).body
    assert (before.at_ns, before.preset, before.presets, before.profiles) == (5, "", (), ())
