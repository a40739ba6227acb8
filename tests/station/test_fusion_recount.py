"""More contacts than any sensor sees people are counted anew, and only then."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from station.contacts import FOREVER, Contact, Sight
from station.fusion import Fusion
from station.fusion_lag import Step
from station.fusion_offsets import Offsets
from station.fusion_recount import Item, Recount, count
from tests.station.test_fusion import FRAME_NS, T0, frame, sector, seen
from wire.clock import NS_PER_S

assert sector       # a fixture
ONE, TWO = np.array([0.0, 0.0]), np.array([2.6, 0.0])
SHIFT = np.array([2.4, 0.1])        # of the second sensor: it shows the first of them where the second stands


HALF_HIDDEN = np.array([3.5, 3.5])


class Scene:
    """Two who stand on a trail, by two sensors ten times a second."""

    def __init__(self, sector, sigma_m=1.0):
        self.fusion, self.sigma_m, self.i, self.rng = Fusion(sector.corridors), sigma_m, 0, np.random.default_rng(7)
        self.gone = []

    def look(self, seconds, **who):
        """who: by sensor, its detections: {track: place}."""
        for _ in range(round(seconds * 10)):
            at_ns = T0 + self.i * FRAME_NS
            self.i += 1
            for k, (sensor, tracks) in enumerate(who.items()):
                found = [
                    seen(place + self.rng.normal(0, 0.15, 2), f"n/1/{sensor}/{track}", self.sigma_m)
                    for track, place in tracks.items()
                ]
                _, ended = self.fusion.observe(frame(sensor, at_ns + k * 20_000_000, *found))
                self.gone += ended

    def sees(self, place):
        return min(self.fusion.contacts.values(), key=lambda c: float(np.hypot(*(c.estimate.mean[:2] - place))))


def fooled(sector):
    """The second sensor took the first of the two for the second, and the second, half hidden at first, for somebody new."""
    it = Scene(sector)
    it.look(4, a={1: ONE, 2: TWO})
    it.look(4, a={1: ONE, 2: TWO}, b={1: ONE + SHIFT})
    for share in np.linspace(1.0, 0.0, 15):
        it.look(0.1, a={1: ONE, 2: TWO}, b={1: ONE + SHIFT, 2: TWO + SHIFT + HALF_HIDDEN * share})
    assert len(it.fusion.contacts) == 3
    return it


def test_two_whom_a_sensor_s_own_error_made_three_are_two_again_each_with_the_right_tracks(sector):
    it = fooled(sector)
    it.look(5, a={1: ONE, 2: TWO}, b={1: ONE + SHIFT, 2: TWO + SHIFT})
    assert len(it.fusion.contacts) == 2
    first, second = sorted(it.fusion.contacts.values(), key=lambda c: float(c.estimate.mean[0]))
    assert set(first.tracks) >= {"n/1/a/1", "n/1/b/1"} and set(second.tracks) >= {"n/1/a/2", "n/1/b/2"}
    assert set(first.sights) == set(second.sights) == {"a", "b"}
    said = [w for c in (first, second) for w in c.why if w.key == "contact.why.recounted"]
    assert said and said[0].params["count"] == 2
    assert [c.merged_into for c in it.gone] == [c.number for c in (first, second) if c.absorbed]
    for number, contact in ((1, first), (2, second)):
        assert it.fusion.of_track(f"n/1/b/{number}") is contact
        assert np.linalg.eigvalsh(contact.estimate.covariance).min() > 0.0
        assert abs(float(np.hypot(*contact.estimate.mean[2:]))) < 1.0        # they stand


def test_nobody_is_counted_anew_before_it_has_been_so_for_a_while(sector):
    it = fooled(sector)
    it.look(1.5, a={1: ONE, 2: TWO}, b={1: ONE + SHIFT, 2: TWO + SHIFT})
    assert len(it.fusion.contacts) == 3


def test_what_a_person_has_told_apart_stays_apart(sector):
    it = Scene(sector)
    it.look(4, a={1: ONE}, b={1: ONE})
    (contact,) = it.fusion.contacts.values()
    assert it.fusion.split(contact, "b", "lan") is not None
    it.look(8, a={1: ONE}, b={1: ONE})
    assert len(it.fusion.contacts) == 2


def test_three_whom_one_sensor_sees_at_once_stay_three(sector):
    it = fooled(sector)
    three = TWO + SHIFT * 1.1
    it.look(6, a={1: ONE, 2: TWO, 3: three}, b={1: ONE + SHIFT, 2: TWO + SHIFT})
    assert len(it.fusion.contacts) == 3


def test_places_that_no_error_explains_are_three_people(sector):
    it = Scene(sector, sigma_m=0.25)     # the same shift is five times what the two say of their errors
    it.look(2, a={1: ONE, 2: TWO})
    it.look(8, a={1: ONE, 2: TWO}, b={1: TWO, 2: TWO + SHIFT})
    assert len(it.fusion.contacts) == 3


def item(sensor, contact, place, offsets, noise_m=0.3, lever_m=1.0):
    k = offsets.index(sensor, T0, False)
    step = Step(T0, sensor, place, place, np.eye(2) * lever_m, np.eye(2) * noise_m**2, 0, np.zeros(1))
    return Item(
        sensor, contact, (step,), (f"n/1/{sensor}/{contact.number}",), Sight(10, T0, (1.0, 0.0, 1.0)), place,
        step.noise_m2, step.lever_m,
    ) if k else None


def contacts_of(n):
    return [Contact(i + 1, "person", None, T0, T0, T0, True) for i in range(n)]


@given(
    people=st.integers(1, 3), sensors=st.integers(2, 3), seed=st.integers(0, 2**32 - 1), data=st.data(),
)
def test_the_tracks_of_each_sensor_go_to_the_people_they_are_of(people, sensors, seed, data):
    rng = np.random.default_rng(seed)
    places = np.cumsum(rng.uniform(2.5, 4.0, (people, 2)), axis=0) * [1.0, -1.0]
    offsets, items, truth = Offsets(), [], {}
    contacts = contacts_of(people + 1)
    for s in range(sensors):
        shift = np.clip(rng.normal(0, 0.7, 2), -1.5, 1.5)
        order = data.draw(st.permutations(range(people + 1)))           # whose contacts its tracks were given to
        seen_by = range(people) if s == 0 else sorted(data.draw(st.sets(st.integers(0, people - 1), min_size=1)))
        for who in seen_by:
            found = item(f"s{s}", contacts[order[who]], places[who] + shift + rng.normal(0, 0.1, 2), offsets)
            truth[id(found)] = who
            items.append(found)
    counted = count(items, people, offsets)
    for person in counted:
        assert len({truth[id(i)] for i in person.items}) == 1
    if counted:
        assert sorted(truth[id(p.items[0])] for p in counted) == list(range(people))
        heirs = [p.heir.number for p in counted]
        assert len(set(heirs)) == people
        gone = [c.number for p in counted for c in p.absorbed]
        assert set(gone).isdisjoint(heirs)
        assert {i.contact.number for i in items} == {*heirs, *gone}


@pytest.mark.parametrize("decided", ["joined", "kept", "apart"])
def test_a_place_that_a_person_has_decided_about_is_left_alone(decided):
    offsets, (a, b, c) = Offsets(), contacts_of(3)
    for contact, place in ((a, ONE), (b, TWO), (c, TWO * 2)):
        contact.estimate = type("E", (), {"mean": np.array([*place, 0.0, 0.0])})()
    for sensor, first, second in (("x", a, b), ("y", b, c)):
        for contact, place in ((first, ONE), (second, TWO)):
            found = item(sensor, contact, place, offsets)
            contact.steps.append(found.steps[0])
            contact.sights[sensor] = found.sight
            contact.tracks[f"n/1/{sensor}/{contact.number}"] = T0
    recount = Recount()
    pair = [(a, b), (b, c)]
    recount.look(pair, set(), T0 - 3 * NS_PER_S, offsets)
    if decided == "joined":
        b.joined = ["n/1/x/2"]
    elif decided == "kept":
        b.kept_from = {"x": 1}
    else:
        a.apart[2] = FOREVER
    assert not any(recount.look(pair, set(), T0 + t * NS_PER_S // 10, offsets) for t in (0, 5, 9))
