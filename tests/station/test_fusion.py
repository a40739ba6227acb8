"""Fusion: one walker is one contact, two are two, whatever the noise, the order and the number of cameras."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from geofences.sector import Sector, load_sector
from station.contacts import Contact, ContactState, contact_from, group_of
from station.fusion import Fusion
from station.fusion_frames import Seen, SensorFrame
from station.kalman import Estimate, Motion, place_at, predict
from station.views import contact_view
from wire.clock import NS_PER_S
from wire.units import Colour, ObjectClass, VehicleKind

T0 = 1_780_000_000 * NS_PER_S
FRAME_NS = 100_000_000


@pytest.fixture(scope="module")
def sector() -> Sector:
    return load_sector(Path(__file__).resolve().parents[2] / "configs" / "sectors" / "laobao" / "sector.toml")


def seen(place: np.ndarray, track: str, sigma_m: float = 2.0, object_class: ObjectClass = ObjectClass.PERSON) -> Seen:
    return Seen(track, object_class, 0.8, np.asarray(place, float), np.eye(2) * sigma_m**2, None)


def frame(sensor: str, at_ns: int, *detections: Seen, delay_s: float = 0.1) -> SensorFrame:
    return SensorFrame(sensor, at_ns, at_ns + round(delay_s * NS_PER_S), True, detections)


class Camera:
    """A sensor with a bias of its own (its pose) that drifts slowly, pixel noise, gaps, and track numbers that change."""

    def __init__(self, name: str, rng: np.random.Generator, sigma_m: float = 2.0) -> None:
        self.name, self.rng, self.sigma_m = name, rng, sigma_m
        self.bias = rng.normal(0, sigma_m * 0.8, 2)
        self.tracks: dict[int, int] = {}
        self.next = 1

    def look(self, at_ns: int, walkers: dict[int, np.ndarray], miss: float = 0.1, switch: float = 0.01) -> SensorFrame:
        self.bias = 0.999 * self.bias + self.rng.normal(0, self.sigma_m * 0.03, 2)
        detections = []
        for walker, place in walkers.items():
            if self.rng.random() < miss:
                continue
            if walker not in self.tracks or self.rng.random() < switch:
                self.tracks[walker] = self.next
                self.next += 1
            noisy = place + self.bias + self.rng.normal(0, 0.3, 2)
            detections.append(seen(noisy, f"{self.name}/{self.tracks[walker]}", self.sigma_m))
        return frame(self.name, at_ns, *detections)


def walk(start: tuple[float, float], velocity: tuple[float, float], step: int) -> np.ndarray:
    return np.array(start) + np.array(velocity) * step * FRAME_NS / 1e9


@pytest.mark.parametrize("seed", range(8))
def test_one_walker_in_one_camera_is_one_contact(sector, seed) -> None:
    rng = np.random.default_rng(seed)
    fusion, camera = Fusion(sector.corridors), Camera("a", rng)
    for i in range(600):
        turn = np.array([0.0, 6.0 * np.sin(i / 60)])
        fusion.observe(camera.look(T0 + i * FRAME_NS, {1: walk((0, 0), (1.2, 0), i) + turn}))
    assert fusion.next_number == 2
    (contact,) = fusion.contacts.values()
    truth = walk((0, 0), (1.2, 0), 599) + np.array([0.0, 6.0 * np.sin(599 / 60)])
    assert np.hypot(*(contact.estimate.mean[:2] - truth)) < 6.0
    assert contact.object_class is ObjectClass.PERSON


@pytest.mark.parametrize("seed", range(6))
def test_two_cameras_on_one_walker_make_one_contact_that_says_why(sector, seed) -> None:
    rng = np.random.default_rng(seed)
    fusion, cameras = Fusion(sector.corridors), [Camera("a", rng, 1.5), Camera("b", rng, 3.0)]
    for i in range(400):
        at_ns = T0 + i * FRAME_NS
        for k, camera in enumerate(cameras):
            # b sees it for the second half alone, 40 ms out of step, and its frames come later than a's next
            if k == 0 or i > 200:
                fusion.observe(camera.look(at_ns - k * 40_000_000, {1: walk((0, 0), (1.3, 0.2), i)}))
    live = list(fusion.contacts.values())
    assert len(live) == 1
    assert set(live[0].sights) == {"a", "b"}
    assert live[0].why and live[0].why[0].key in ("contact.why.joined", "contact.why.merged")


def test_the_ellipse_holds_the_truth_as_often_as_it_says(sector) -> None:
    """Bias that lasts must not be averaged away: the 99 % ellipse of the contact holds the walker in most runs."""
    inside = 0
    for seed in range(40):
        rng = np.random.default_rng(1000 + seed)
        fusion, camera = Fusion(sector.corridors), Camera("a", rng)
        for i in range(150):
            fusion.observe(camera.look(T0 + i * FRAME_NS, {1: walk((0, 0), (1.2, 0.4), i)}, miss=0.0, switch=0.0))
        (contact,) = fusion.contacts.values()
        error = contact.estimate.mean[:2] - walk((0, 0), (1.2, 0.4), 149)
        inside += float(error @ np.linalg.solve(contact.estimate.covariance[:2, :2], error)) <= 9.21
    assert inside >= 34


def test_two_walkers_side_by_side_stay_two(sector) -> None:
    rng = np.random.default_rng(3)
    fusion, cameras = Fusion(sector.corridors), [Camera("a", rng), Camera("b", rng)]
    for i in range(300):
        for camera in cameras:
            fusion.observe(
                camera.look(
                    T0 + i * FRAME_NS, {1: walk((0, 0), (1.2, 0), i), 2: walk((0, 1.5), (1.2, 0), i)}, miss=0.0, switch=0.0
                )
            )
    assert len(fusion.contacts) == 2


@hypothesis_settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(-50, 50)), min_size=2, max_size=6), st.integers(2, 12))
def test_detections_of_one_frame_never_share_a_contact(sector, places, frames) -> None:
    fusion = Fusion(sector.corridors)
    for i in range(frames):
        touched, _ = fusion.observe(
            frame("a", T0 + i * FRAME_NS, *(seen(np.array(p), f"t{k}") for k, p in enumerate(places)))
        )
        assert len({c.number for c in touched}) == len(places)
    assert len(fusion.contacts) == len(places)


def test_who_overtakes_another_does_not_go_on_as_that_ones_contact(sector) -> None:
    """The quick one hides the slow one for some pictures, and its new track is taken for the slow one: there is no other.

    As soon as both are seen again, the slow one's contact is whose track was there before.
    """
    fusion = Fusion(sector.corridors)
    third = NS_PER_S // 3
    slow, quick = np.array([0.0, 0.0]), np.array([-20.0, 0.0])
    for k in range(60):
        at_ns = T0 + k * third
        slow, quick = np.add(slow, (0.2, 0.0)), np.add(quick, (0.7, 0.0))
        apart = float(quick[0] - slow[0])
        found = [seen(slow, "c/1", 1.0)] if not -0.3 < apart < 3.2 else []
        if apart > -0.3:
            found.append(seen(quick, "c/2", 1.0))
        fusion.observe(frame("c", at_ns, *found))
    one, other = fusion.of_track("c/1"), fusion.of_track("c/2")
    assert one is not None and other is not None
    assert one.number == 1 and other.number != 1, "the slow one was there first"
    assert abs(one.estimate.mean[0] - slow[0]) < 1.0 and abs(other.estimate.mean[0] - quick[0]) < 1.0


def test_a_walker_hidden_for_eight_seconds_is_found_again(sector) -> None:
    rng = np.random.default_rng(5)
    fusion, camera = Fusion(sector.corridors), Camera("a", rng)
    for i in range(300):
        hidden = 100 <= i < 180
        if i == 180:
            camera.tracks.clear()        # the tracker has lost it as well
        fusion.observe(camera.look(T0 + i * FRAME_NS, {} if hidden else {1: walk((0, 0), (1.2, 0), i)}))
    assert fusion.next_number == 2


def test_a_vehicle_beside_a_walker_is_another_contact(sector) -> None:
    fusion = Fusion(sector.corridors)
    for i in range(10):
        fusion.observe(
            frame("a", T0 + i * FRAME_NS, seen(np.zeros(2), "1"), seen(np.ones(2), "2", object_class=ObjectClass.CAR))
        )
        fusion.observe(frame("b", T0 + i * FRAME_NS, seen(np.zeros(2), "9", object_class=ObjectClass.TRUCK)))
    assert sorted((c.group, c.detections) for c in fusion.contacts.values()) == [("person", 10), ("vehicle", 20)]


def test_two_contacts_that_turn_out_to_be_one_are_merged_and_say_so(sector) -> None:
    """b begins with a bad position (far outside the gate) and then comes to see the walker where a sees it."""
    fusion = Fusion(sector.corridors)
    gone: list[Contact] = []
    for i in range(240):
        at_ns, place = T0 + i * FRAME_NS, walk((0, 0), (1.2, 0), i)
        gone += fusion.observe(frame("a", at_ns, seen(place, "a/1")))[1]
        off = np.array([0.0, max(0.0, 20.0 - i * 0.2)])
        gone += fusion.observe(frame("b", at_ns, seen(place + off, "b/1")))[1]
    (contact,) = fusion.contacts.values()
    assert contact.number == 1
    assert [c.merged_into for c in gone] == [1]
    assert contact.detections == 480
    assert "contact.why.merged" in [w.key for w in contact.why]


def test_what_sensors_say_of_a_vehicle_is_counted_kept_on_the_disk_and_joined_when_contacts_are(sector) -> None:
    fusion = Fusion(sector.corridors)
    told = {"plate": "74C-123.45", "plate_confidence": (0.9,) * 8, "kind": VehicleKind.PICKUP, "colour": Colour.BLUE}
    for i in range(240):
        at_ns, place = T0 + i * FRAME_NS, walk((0, 0), (1.2, 0), i)
        off = np.array([0.0, max(0.0, 20.0 - i * 0.2)])
        a, b = (seen(p, t, object_class=ObjectClass.TRUCK) for p, t in ((place, "a/1"), (place + off, "b/1")))
        fusion.observe(frame("a", at_ns, replace(a, colour=Colour.WHITE) if i == 5 else a))
        fusion.observe(frame("b", at_ns, replace(b, **told) if i in (3, 6) else b))
    (contact,) = fusion.contacts.values()
    assert (contact.plate, contact.plates) == ("74C-123.45", {"74C-123.45": 2})
    assert contact.plate_confidence == {"74C-123.45": (0.9,) * 8}
    assert (contact.kind, contact.colour, contact.colours) == (VehicleKind.PICKUP, Colour.BLUE, {"blue": 2, "white": 1})
    state = msgspec.msgpack.decode(msgspec.msgpack.encode(contact.to_state()), type=ContactState)
    again = contact_from(state, contact.trail)
    assert (again.plate_confidence, again.kind, again.colour) == (contact.plate_confidence, contact.kind, contact.colour)


def test_the_same_frames_give_the_same_contacts_after_a_stop_in_the_middle(sector) -> None:
    def frames() -> list[SensorFrame]:
        rng = np.random.default_rng(11)
        cameras = [Camera("a", rng), Camera("b", rng)]
        return [
            camera.look(T0 + i * FRAME_NS, {1: walk((0, 0), (1.2, 0), i), 2: walk((30, 8), (-1, 0), i)})
            for i in range(120) for camera in cameras
        ]

    through = Fusion(sector.corridors)
    for f in frames():
        through.observe(f)
    first = Fusion(sector.corridors)
    for f in frames()[:130]:
        first.observe(f)
    stored = [
        (msgspec.msgpack.decode(msgspec.msgpack.encode(c.to_state()), type=type(c.to_state())), c.trail)
        for c in first.contacts.values()
    ]
    second = Fusion(
        sector.corridors, [contact_from(s, trail) for s, trail in stored], first.next_number, first.offsets.to_state()
    )
    for f in frames()[130:]:
        second.observe(f)
    assert second.contacts.keys() == through.contacts.keys()
    for number, contact in second.contacts.items():
        other = through.contacts[number]
        assert (contact.tracks, contact.detections) == (other.tracks, other.detections)
        # The frames of the last second before the stop cannot be filtered again: that may be seen, in centimetres.
        assert np.allclose(contact.estimate.mean, other.estimate.mean, atol=0.1)


def test_frames_that_come_late_belong_to_the_contact_they_saw(sector) -> None:
    """b's frames come 5 s after they were taken; they join a's contact and do not pull it back."""
    fusion = Fusion(sector.corridors)
    for i in range(200):
        fusion.observe(frame("a", T0 + i * FRAME_NS, seen(walk((0, 0), (1.5, 0), i), "a/1")))
        if i >= 80:
            fusion.observe(
                frame("b", T0 + (i - 50) * FRAME_NS, seen(walk((0, 0), (1.5, 0), i - 50), "b/1"), delay_s=5.0)
            )
    assert len(fusion.contacts) == 1
    (contact,) = fusion.contacts.values()
    assert contact.detections == 320
    assert np.hypot(*(contact.estimate.mean[:2] - walk((0, 0), (1.5, 0), 199))) < 1.0


def test_a_contact_ends_when_its_camera_looks_in_vain_or_nothing_arrives(sector) -> None:
    fusion = Fusion(sector.corridors)
    for i in (2, 1, 0):
        fusion.observe(frame("a", T0 - i * FRAME_NS, seen(np.zeros(2), "1")))
    assert fusion.observe(frame("a", T0 + 29 * NS_PER_S))[1] == []
    assert [c.number for c in fusion.observe(frame("a", T0 + 31 * NS_PER_S))[1]] == [1]
    fusion.observe(frame("a", T0 + 60 * NS_PER_S, seen(np.zeros(2), "1")))
    assert fusion.end_quiet(T0 + 80 * NS_PER_S) == []
    assert [c.number for c in fusion.end_quiet(T0 + 91 * NS_PER_S)] == [2]


def test_what_was_seen_once_or_twice_ends_soon_when_its_camera_sees_it_no_more(sector) -> None:
    fusion = Fusion(sector.corridors)
    fusion.observe(frame("a", T0, seen(np.zeros(2), "1")))
    assert fusion.observe(frame("a", T0 + 5 * NS_PER_S))[1] == []
    assert fusion.observe(frame("b", T0 + 6 * NS_PER_S))[1] == [], "another camera has not looked for it"
    assert [c.number for c in fusion.observe(frame("a", T0 + 6 * NS_PER_S))[1]] == [1]


# --------------------------------------------------------------------------------------------------------- the filter

WALKER = Motion(0.15, 1.5)


@given(
    st.floats(0.01, 30.0), st.floats(0.01, 30.0), st.floats(0.3, 20.0),
    st.lists(st.floats(-100, 100), min_size=4, max_size=4),
)
def test_predicting_in_two_steps_is_predicting_in_one(first_s, second_s, sigma_m, mean) -> None:
    e = Estimate(np.array(mean), np.diag([sigma_m**2, sigma_m**2, 2.0, 2.0]), T0)
    middle, end = T0 + round(first_s * 1e9), T0 + round((first_s + second_s) * 1e9)
    once, twice = predict(e, end, WALKER), predict(predict(e, middle, WALKER), end, WALKER)
    assert np.allclose(once.mean, twice.mean)
    assert np.allclose(once.covariance, twice.covariance, rtol=1e-6, atol=1e-6)


@given(st.floats(-30, 30))
def test_a_place_moves_with_the_velocity_and_gets_less_sure_both_ways(seconds) -> None:
    e = Estimate(np.array([0.0, 0.0, 1.0, -2.0]), np.eye(4) * 0.01, T0)
    place, covariance = place_at(e, T0 + round(seconds * 1e9), WALKER)
    assert np.allclose(place, [seconds, -2 * seconds], atol=1e-6)
    assert np.trace(covariance) >= 0.02 - 1e-9


@pytest.mark.parametrize("object_class", list(ObjectClass))
def test_every_class_has_a_group(object_class) -> None:
    assert group_of(object_class) in ("person", "vehicle", "boat")


def test_a_kind_of_another_class_than_the_contact_s_is_not_told(sector) -> None:
    fusion, said = Fusion(sector.corridors), []
    looks = [(ObjectClass.CAR, None), (ObjectClass.CAR, VehicleKind.CAR), *[(ObjectClass.TRUCK, None)] * 6]
    for i, (object_class, kind) in enumerate(looks):
        look = replace(seen(walk((0, 0), (5.0, 0), i * 25), "a/1", object_class=object_class), kind=kind)
        fusion.observe(frame("a", T0 + i * 25 * FRAME_NS, look))
        (contact,) = fusion.contacts.values()
        view = contact_view(contact, sector, T0 + i * 25 * FRAME_NS)
        assert (view.kind is None) == (view.kind_probability is None)
        said.append((view.object_class, view.kind))
    assert said[1] == (ObjectClass.CAR, VehicleKind.CAR)
    assert said[-1] == (ObjectClass.TRUCK, None), "a truck is no car, whatever its first looks were"


def test_the_screen_is_told_how_sure_class_kind_and_colour_are(sector) -> None:
    fusion, before = Fusion(sector.corridors), 0.0
    for i in range(8):
        look = replace(
            seen(walk((0, 0), (5.0, 0), i * 25), "a/1", object_class=ObjectClass.TRUCK),
            kind=VehicleKind.PICKUP if i else None, colour=Colour.BLUE if i > 3 else Colour.WHITE,
        )
        fusion.observe(frame("a", T0 + i * 25 * FRAME_NS, look))
        (contact,) = fusion.contacts.values()
        view = contact_view(contact, sector, T0 + i * 25 * FRAME_NS)
        assert 0.0 < view.class_probability <= 1.0 and view.class_probability >= before
        before = view.class_probability
        if not i:
            assert view.kind_probability is None
    assert view.kind_probability > 0.9, "seven looks that agree"
    assert view.colour_probability < 0.9, "four against four"
