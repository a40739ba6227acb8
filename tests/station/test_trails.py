"""Trails told by their growth come out whole, whatever becomes of them on the way."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from station.contacts import TRAIL_LIMIT
from station.picture import Delta, TrailPoint
from station.trails import TrailTeller, joined, whole
from tests.scene import KHE_DA, contact
from wire.clock import NS_PER_S

VIEW = contact("C-1", KHE_DA, 0.5, 1_800_000_000 * NS_PER_S, trail_s=0)


def trail_of(seconds) -> tuple[TrailPoint, ...]:
    return tuple(TrailPoint(16.62 + s * 1e-5, 106.59, 1_800_000_000 * NS_PER_S + s * NS_PER_S) for s in seconds)


TRAILS = st.lists(st.integers(0, 60), unique=True).map(sorted).map(trail_of)


@hypothesis_settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(("C-1", "C-2")), st.sampled_from(("grows", "another", "same", "goes")), TRAILS)))
def test_whoever_hears_every_delta_has_every_trail(told) -> None:
    teller, known, truth = TrailTeller(), {}, {}
    for turn, (name, becomes, trail) in enumerate(told, start=1):
        before = truth.get(name, ())
        if becomes == "goes":
            truth.pop(name, None)
            known.pop(name, None)
            teller.told(Delta(turn, turn, contacts_gone=(name,)))
            continue
        if becomes == "grows":
            last_ns = before[-1].at_ns if before else 0
            trail = (*before, *(p for p in trail if p.at_ns > last_ns))[-TRAIL_LIMIT:]
        elif becomes == "same":
            trail = before
        truth[name] = trail
        heard = teller.told(Delta(turn, turn, (msgspec.structs.replace(VIEW, id=name, trail=trail),)))
        heard = msgspec.msgpack.decode(msgspec.msgpack.encode(heard), type=Delta)
        for c in whole(heard, known).contacts:
            known[c.id] = c
        assert known[name].trail == trail


@given(TRAILS, st.integers(0, 60), st.integers(0, 60))
def test_a_picture_that_is_newer_than_the_last_delta_hears_no_point_twice(trail, has, hears_from) -> None:
    known = trail[:has]
    told = trail[min(has, hears_from):]
    assert joined(known, told) == trail


def test_a_delta_of_long_trails_is_a_fraction_as_long() -> None:
    teller = TrailTeller()
    view = msgspec.structs.replace(VIEW, trail=trail_of(range(TRAIL_LIMIT)))
    first = teller.told(Delta(1, 1, (view,)))
    second = teller.told(Delta(2, 2, (msgspec.structs.replace(view, trail=(*view.trail[1:], *trail_of([TRAIL_LIMIT]))),)))
    assert second.grown == ("C-1",) and second.contacts[0].trail == trail_of([TRAIL_LIMIT])
    assert len(msgspec.json.encode(second)) * 6 < len(msgspec.json.encode(first))
