"""Which drone goes to look at a contact, and why each other one does not."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.checker import CheckLimits
from fleet.choice import Chosen, busy, choose, look_of, target_refusal
from fleet.dispatch_words import said
from fleet.offers import Ground, WishError
from fleet.stand_off import HEIGHT_LEAST_M, LEAST_M, RADIUS_M
from fleet.standing import Habit, Standing
from fleet.wind import Wind
from geofences.sector import Sector
from mavlink.ardupilot import Identity
from wire.clock import NS_PER_S
from wire.flying import Plan
from wire.tasking import FlightKind, FlightWish, Target
from wire.units import Covariance2, GroundPosition, ObjectClass, Realm

NOW = 1_000 * NS_PER_S
WIND = Wind(2.0, 0.5, None, assumed=False)
WISH = FlightWish(FlightKind.INVESTIGATE, contact="c1")
TARGET = Target(
    "c1", NOW, ObjectClass.PERSON, GroundPosition(16.62075, 106.59560), Covariance2(4, 0, 4), (1.2, 0.2), NOW,
    simulated=True,
)
NEAR, FAR = GroundPosition(16.6220, 106.5990), GroundPosition(16.62225, 106.60230)


def standing(name: str, home: GroundPosition = FAR, **changes: object) -> Standing:
    percent = changes.get("percent", 90.0)
    limits = CheckLimits(1200.0, wind=WIND, charge_percent=percent if isinstance(percent, float) else 100.0)
    known = Identity(int(name[-1]), f"a{name[-1]}", "4.7.0", simulated=True)
    one = Standing(
        name, home, known, limits, None, Habit(30.0, 8.0), None, False, None, 0.0, 90.0, 50.0, 25.0,
    )
    return replace(one, **changes)      # type: ignore[arg-type]


def flying(sector: Sector, name: str, at: GroundPosition, **changes: object) -> Standing:
    plan = Plan(f"patrol-of-{name}", name, int(name[-1]), f"a{name[-1]}", "khe-da", FAR, (), 0)
    return standing(name, airborne=True, here=sector.frame.point(at), height_m=30.0, plan=plan, **changes)


def chosen(sector: Sector, *drones: Standing, only: str = "", wish: FlightWish = WISH, priority: int = 2) -> Chosen:
    ground = Ground(sector, Realm.TRAINING, NOW)
    return choose(wish, TARGET, {d.drone: d for d in drones}, only, priority, ground, "plan-1")


def test_whoever_is_there_first_goes_and_the_others_are_told_why_not(sector: Sector) -> None:
    found = chosen(
        sector, standing("d1"), flying(sector, "d2", NEAR), standing("d3", percent=40.0),
        standing("d4", refusal=said("dispatch.link", drone="d4", link="lost")),
        flying(sector, "d5", NEAR, contact="c9", priority=2), flying(sector, "d6", NEAR, paused_by="Lan"),
    )
    assert found.standing.drone == "d2" and found.drawn.check.passed
    reasons = {o.drone: o.key for o in found.others}
    assert reasons == {
        "d1": "dispatch.slower", "d3": "dispatch.battery", "d4": "dispatch.link", "d5": "dispatch.looks",
        "d6": "dispatch.paused",
    }
    assert all(o.sentence for o in found.others)


def test_the_plan_holds_at_a_stand_off_from_where_he_will_be(sector: Sector) -> None:
    found = chosen(sector, standing("d1"))
    place = sector.frame.point(found.drawn.plan.waypoints[1].position)
    soon = sector.frame.point(TARGET.position) + np.array(TARGET.velocity_m_s) * min(45.0, found.drawn.arrives_s)
    assert np.linalg.norm(place - soon) == pytest.approx(RADIUS_M, abs=3.0)
    assert found.drawn.plan.waypoints[1].hold_s >= 120.0, "looking takes battery, and is planned for"
    assert found.drawn.plan.hardware_id == "a1"


def test_nobody_can_and_each_says_why(sector: Sector) -> None:
    with pytest.raises(WishError) as error:
        chosen(sector, standing("d1", percent=20.0), standing("d2", refusal=said("dispatch.position", drone="d2")))
    assert error.value.why.key == "dispatch.nobody" and len(error.value.others) == 2
    assert "20 %" in str(error.value) and "does not know where it is" in str(error.value)


def test_a_battery_that_would_not_bring_it_home_is_a_reason(sector: Sector) -> None:
    weak = standing("d1", percent=52.0)
    with pytest.raises(WishError) as error:
        chosen(sector, replace(weak, limits=replace(weak.limits, endurance_s=500.0)))
    assert error.value.why.key == "dispatch.check" and "battery" in str(error.value)


def test_what_flies_with_more_priority_is_not_taken_away_silently(sector: Sector) -> None:
    urgent = flying(sector, "d1", NEAR, priority=1)
    assert busy(urgent, 2) is not None and busy(urgent, 2).key == "dispatch.busy"      # type: ignore[union-attr]
    assert busy(urgent, 1) is None
    looking = flying(sector, "d1", NEAR, priority=2, contact="c9")
    assert busy(looking, 2) is not None, "one contact is not left for another of the same priority"
    assert busy(looking, 1) is None


def test_contacts_and_drones_of_two_realms_are_not_mixed() -> None:
    assert target_refusal("c1", TARGET, Realm.TRAINING, NOW) is None
    real = msgspec.structs.replace(TARGET, simulated=False)
    assert target_refusal("c1", TARGET, Realm.LIVE, NOW).key == "dispatch.realm"       # type: ignore[union-attr]
    assert target_refusal("c1", real, Realm.TRAINING, NOW).key == "dispatch.realm"     # type: ignore[union-attr]
    assert target_refusal("c1", real, Realm.LIVE, NOW) is None
    assert target_refusal("c1", None, Realm.LIVE, NOW).key == "dispatch.unknown_contact"    # type: ignore[union-attr]
    gone = msgspec.structs.replace(TARGET, gone=True)
    assert target_refusal("c1", gone, Realm.TRAINING, NOW).key == "dispatch.gone"      # type: ignore[union-attr]
    assert target_refusal("c1", TARGET, Realm.TRAINING, NOW + 300 * NS_PER_S).key == "dispatch.old"    # type: ignore[union-attr]


def test_a_fixed_camera_looks_from_where_it_points_and_nobody_looks_from_too_near() -> None:
    near = FlightWish(FlightKind.INVESTIGATE, contact="c1", radius_m=5.0, height_m=3.0)
    assert look_of(near, standing("d1")) == (LEAST_M, HEIGHT_LEAST_M)
    for mount in (-15.0, -25.0, -50.0):
        radius, height = look_of(near, standing("d1", mount_pitch_deg=mount))
        assert math.degrees(math.atan2(height, radius)) == pytest.approx(-mount)
        assert radius >= LEAST_M and height >= HEIGHT_LEAST_M
    with pytest.raises(WishError):
        look_of(FlightWish(FlightKind.INVESTIGATE, contact="c1", radius_m=math.nan), standing("d1"))


drones = st.lists(
    st.tuples(
        st.booleans(), st.floats(10.0, 100.0), st.integers(1, 3), st.booleans(), st.floats(-200, 300), st.floats(-100, 100),
    ),
    min_size=1, max_size=4,
)


@settings(max_examples=25)
@given(drones, st.integers(1, 3))
def test_the_choice_is_always_the_first_there_of_those_that_can(sector: Sector, fleet: list[tuple], priority: int) -> None:
    home = sector.frame.point(FAR)
    made = []
    for i, (airborne, percent, theirs, refused, east, north) in enumerate(fleet, 1):
        at = sector.frame.position(float(home[0] - 300.0 + east), float(home[1] - 30.0 + north))
        one = standing(f"d{i}", percent=percent)
        if airborne:
            one = flying(sector, f"d{i}", at, percent=percent, priority=theirs)
        made.append(replace(one, refusal=said("dispatch.position", drone=one.drone)) if refused else one)
    alone: dict[str, float] = {}
    for one in made:
        try:
            alone[one.drone] = chosen(sector, one, priority=priority).drawn.arrives_s
        except WishError:
            continue
    try:
        found = chosen(sector, *made, priority=priority)
    except WishError as error:
        assert not alone, "somebody could have gone"
        assert {o.drone for o in error.others} == {d.drone for d in made}
        return
    assert found.drawn.arrives_s == pytest.approx(min(alone.values()))
    assert {o.drone for o in found.others} | {found.standing.drone} == {d.drone for d in made}
    assert found.standing.refusal is None and busy(found.standing, priority) is None
