"""Property tests that try to break fusion: order, doubles, lies, crowds, persons' decisions, restarts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geofences.sector import Sector, load_sector
from station.contacts import Contact, ContactState, contact_from
from station.fusion import Fusion
from station.fusion_frames import Seen, SensorFrame
from station.fusion_offsets import OffsetsState
from wire.clock import NS_PER_S
from wire.units import ObjectClass

T0 = 1_780_000_000 * NS_PER_S
FEW = settings(max_examples=25, deadline=None)
SENSORS = ("a", "b", "c")


@pytest.fixture(scope="module")
def sector() -> Sector:
    return load_sector(Path(__file__).resolve().parents[2] / "configs" / "sectors" / "laobao" / "sector.toml")


def seen(place: Sequence[float], track: str, sigma_m: float = 1.5) -> Seen:
    return Seen(track, ObjectClass.PERSON, 0.8, np.asarray(place, float), np.eye(2) * sigma_m**2, None)


def frame(sensor: str, at_ns: int, *detections: Seen, delay_ns: int = 100_000_000) -> SensorFrame:
    return SensorFrame(sensor, at_ns, at_ns + delay_ns, True, detections)


def film(seed: int, walkers: int = 2, sensors: int = 2, frames: int = 25, apart_m: float = 12.0) -> list[SensorFrame]:
    """Walkers side by side, each sensor with an offset and noise of its own, 5 frames a second."""
    rng = np.random.default_rng(seed)
    offsets = rng.normal(0, 1.0, (sensors, 2))
    found = []
    for i in range(frames):
        for k in range(sensors):
            at_ns = T0 + i * 200_000_000 + k * 40_000_000
            t = (at_ns - T0) / 1e9
            found.append(
                frame(
                    SENSORS[k], at_ns,
                    *(
                        seen(np.array([1.2 * t, w * apart_m]) + offsets[k] + rng.normal(0, 0.3, 2),
                             f"n/1/{SENSORS[k]}/{w}")
                        for w in range(walkers)
                    ),
                )
            )
    return found


def run(sector: Sector, frames: Sequence[SensorFrame]) -> Fusion:
    fusion = Fusion(sector.corridors)
    for f in frames:
        fusion.observe(f)
    return fusion


def through_the_disk(fusion: Fusion, sector: Sector) -> Fusion:
    contacts = [
        contact_from(msgspec.msgpack.decode(msgspec.msgpack.encode(c.to_state()), type=ContactState), list(c.trail))
        for c in fusion.contacts.values()
    ]
    offsets = msgspec.msgpack.decode(msgspec.msgpack.encode(fusion.offsets.to_state()), type=OffsetsState)
    return Fusion(sector.corridors, contacts, fusion.next_number, offsets)


def is_sound(contact: Contact) -> bool:
    c = contact.estimate.covariance
    return bool(
        np.isfinite(contact.estimate.mean).all() and np.allclose(c, c.T, atol=1e-6) and np.linalg.eigvalsh(c)[0] > 0.0
    )


@FEW
@given(st.integers(0, 10_000), st.randoms(use_true_random=False))
def test_the_order_of_arrival_within_the_lag_makes_no_other_contacts(sector, seed, chance) -> None:
    """Frames arrive up to two seconds late, each on its own; who is seen, how often and where stays the same."""
    frames = film(seed)
    late = sorted(frames, key=lambda f: f.captured_ns + chance.randrange(0, 2 * NS_PER_S))
    straight, mixed = run(sector, frames), run(sector, late)
    assert len(straight.contacts) == len(mixed.contacts) == 2
    for one in straight.contacts.values():
        other = min(
            mixed.contacts.values(), key=lambda c: float(np.hypot(*(c.estimate.mean[:2] - one.estimate.mean[:2])))
        )
        assert other.tracks.keys() == one.tracks.keys()
        assert other.detections == one.detections
        assert np.hypot(*(other.estimate.mean[:2] - one.estimate.mean[:2])) < 1.0


@FEW
@given(st.integers(0, 10_000), st.lists(st.integers(0, 49), min_size=1, max_size=20))
def test_a_frame_that_comes_twice_changes_nothing(sector, seed, doubled) -> None:
    frames = film(seed)
    again = [g for i, f in enumerate(frames) for g in ([f, f] if i in doubled else [f])]
    once, twice = run(sector, frames), run(sector, again)
    assert once.contacts.keys() == twice.contacts.keys()
    for number, contact in once.contacts.items():
        assert twice.contacts[number].detections == contact.detections
        assert np.array_equal(twice.contacts[number].estimate.mean, contact.estimate.mean)


@FEW
@given(
    st.integers(0, 10_000),
    st.lists(st.tuples(st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e300]), st.integers(0, 49)), min_size=1),
)
def test_an_impossible_detection_is_refused_and_harms_nobody(sector, seed, lies) -> None:
    frames = film(seed)
    for value, i in lies:
        if np.isfinite(value):
            bad = Seen("n/1/a/99", ObjectClass.PERSON, 0.8, np.zeros(2), np.array([[value, -value], [value, 0.0]]), None)
        else:
            bad = seen([value, 0.0], "n/1/a/99")
        frames[i] = replace(frames[i], seen=(*frames[i].seen, bad))
    fusion = run(sector, frames)
    assert all(is_sound(c) for c in fusion.contacts.values())
    assert sum(c.detections >= 25 for c in fusion.contacts.values()) == 2


@FEW
@given(st.integers(0, 10_000), st.integers(1, 10**9), st.integers(0, 49))
def test_a_frame_from_the_future_takes_no_contact_away(sector, seed, seconds, i) -> None:
    frames = film(seed)
    frames[i] = replace(frames[i], captured_ns=frames[i].captured_ns + seconds * NS_PER_S)
    fusion = run(sector, frames)
    last_ns = max(f.received_ns for f in frames)
    assert all(c.last_seen_ns <= last_ns + 10 * NS_PER_S for c in fusion.contacts.values())
    assert all(is_sound(c) for c in fusion.contacts.values())
    assert len([c for c in fusion.contacts.values() if c.detections > 10]) >= 2


@FEW
@given(st.integers(0, 10_000), st.floats(0.0, 3.0), st.integers(1, 3))
def test_two_in_one_frame_are_never_one(sector, seed, apart_m, sensors) -> None:
    """However near they are: whoever is in one picture beside another is not that other."""
    fusion = Fusion(sector.corridors)
    for f in film(seed, sensors=sensors, apart_m=apart_m):
        touched, _ = fusion.observe(f)
        assert len({c.number for c in touched}) == 2
    assert len(fusion.contacts) >= 2


@FEW
@given(st.lists(st.tuples(st.floats(-60, 60), st.floats(-60, 60), st.floats(0.001, 5000.0), st.floats(-1, 1)), min_size=1,
                max_size=40), st.lists(st.integers(-4_000, 4_000), min_size=40, max_size=40))
def test_covariances_stay_positive_definite_whatever_comes(sector, places, times_ms) -> None:
    fusion = Fusion(sector.corridors)
    for i, ((east, north, sigma, lean), ms) in enumerate(zip(places, times_ms, strict=False)):
        c = np.array([[sigma**2, lean * sigma], [lean * sigma, 1.0]])
        s = Seen(f"n/1/{SENSORS[i % 3]}/{i % 5}", ObjectClass.PERSON, 0.5, np.array([east, north]), c, None)
        fusion.observe(frame(SENSORS[i % 3], T0 + ms * 1_000_000, s))
        assert all(is_sound(contact) for contact in fusion.contacts.values())


@FEW
@given(st.integers(0, 10_000), st.booleans(), st.sampled_from(["a", "b"]))
def test_a_person_who_splits_is_obeyed_over_restarts(sector, seed, restart, sensor) -> None:
    """The two stay two although they are in one place, and each sensor goes on with its own."""
    frames = film(seed, walkers=1, frames=60)
    fusion = run(sector, frames[:50])
    (contact,) = fusion.contacts.values()
    made = fusion.split(contact, sensor, "an officer")
    assert made is not None
    numbers = {contact.number: contact.sights.keys(), made.number: made.sights.keys()}
    if restart:
        fusion = through_the_disk(fusion, sector)
    for f in frames[50:]:
        fusion.observe(f)
    assert {n: c.sights.keys() for n, c in fusion.contacts.items()} == numbers
    assert "contact.why.split" in [w.key for w in fusion.contacts[contact.number].why_apart]


@FEW
@given(st.integers(0, 10_000), st.booleans())
def test_a_person_who_merges_is_obeyed_over_restarts(sector, seed, restart) -> None:
    """One although the camera goes on seeing two side by side."""
    frames = film(seed, sensors=1, frames=40, apart_m=4.0)
    fusion = run(sector, frames[:20])
    one, other = fusion.contacts.values()
    fusion.merge(one, other, "an officer", frames[20].received_ns)
    if restart:
        fusion = through_the_disk(fusion, sector)
    for f in frames[20:]:
        fusion.observe(f)
    assert list(fusion.contacts) == [one.number]
    assert "contact.why.merged_by" in [w.key for w in fusion.contacts[one.number].why]


@FEW
@given(st.integers(0, 10_000), st.integers(5, 45), st.integers(1, 3))
def test_a_restart_between_two_frames_gives_the_same_contacts(sector, seed, stop, walkers) -> None:
    frames = film(seed, walkers=walkers)
    through, first = run(sector, frames), run(sector, frames[:stop])
    second = through_the_disk(first, sector)
    for f in frames[stop:]:
        second.observe(f)
    assert second.contacts.keys() == through.contacts.keys()
    assert second.next_number == through.next_number
    for number, contact in second.contacts.items():
        other = through.contacts[number]
        assert (contact.tracks, contact.detections) == (other.tracks, other.detections)
        assert np.hypot(*(contact.estimate.mean[:2] - other.estimate.mean[:2])) < 0.3


@FEW
@given(st.integers(0, 10_000), st.integers(1, 3), st.integers(1, 3))
def test_every_detection_is_counted_once_and_every_track_has_one_owner(sector, seed, walkers, sensors) -> None:
    frames = film(seed, walkers, sensors)
    fusion = run(sector, frames)
    assert sum(c.detections for c in fusion.contacts.values()) == sum(len(f.seen) for f in frames)
    tracks = [t for c in fusion.contacts.values() for t in c.tracks]
    assert len(tracks) == len(set(tracks))
    for contact in fusion.contacts.values():
        assert all(fusion.of_track(t) is contact for t in contact.tracks)


@FEW
@given(st.integers(0, 10_000))
def test_the_same_frames_give_the_same_contacts_to_the_bit(sector, seed) -> None:
    one, other = run(sector, film(seed)), run(sector, film(seed))
    assert [msgspec.msgpack.encode(c.to_state()) for c in one.contacts.values()] == [
        msgspec.msgpack.encode(c.to_state()) for c in other.contacts.values()
    ]


@FEW
@given(st.integers(0, 10_000))
def test_tracks_that_were_given_to_the_wrong_one_are_given_back(sector, seed) -> None:
    """b comes in with an error as large as the space between two, sees one of them first, and then both."""
    rng = np.random.default_rng(seed)
    fusion = Fusion(sector.corridors)
    for i in range(60):
        at_ns, x = T0 + i * 200_000_000, 0.24 * i
        places = [np.array([x, 0.0]), np.array([x - 2.0, 0.0])]
        fusion.observe(frame("a", at_ns, *(seen(p + rng.normal(0, 0.1, 2), f"n/1/a/{w}") for w, p in enumerate(places))))
        if i >= 20:
            shifted = [p + np.array([-2.0, 0.0]) + rng.normal(0, 0.1, 2) for p in places][: 1 if i < 24 else 2]
            fusion.observe(frame("b", at_ns + 1, *(seen(p, f"n/1/b/{w}", 2.0) for w, p in enumerate(shifted))))
    for w in (0, 1):
        owners = {fusion.of_track(f"n/1/{s}/{w}").number for s in ("a", "b")}
        assert len(owners) == 1, f"walker {w} is two contacts"
    assert len(fusion.contacts) == 2
