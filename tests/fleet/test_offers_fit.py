"""A wish is shortened until its plan passes; where nothing fits, the sentence says what to do."""

from __future__ import annotations

import math
from dataclasses import replace

import msgspec
import pytest

from cameras.lens import Lens
from fleet.checker import CheckLimits
from fleet.offers import Drawn, Ground, WishError, draw
from fleet.offers_fit import draw_to_fit, shorter_wishes
from fleet.routes_camera import CameraView
from fleet.standing import Habit, Standing
from fleet.wind import Wind
from geofences.sector import Sector
from mavlink.ardupilot import Identity
from wire.tasking import FlightKind, FlightWish
from wire.units import GroundPosition, Realm

HOME = GroundPosition(16.62270, 106.60060)
FAR_HOME = GroundPosition(16.61520, 106.61000)     # a kilometre from where the corridor begins
WHOLE = FlightWish(FlightKind.CORRIDOR, corridor="khe-da")
PLACE = GroundPosition(16.6213, 106.5968)
VIEW = CameraView(Lens(960, 540, 1600.0, 1600.0, 479.5, 269.5), -35.0, 150.0, 20.0)
AREA = FlightWish(FlightKind.AREA, places=tuple(
    GroundPosition(16.6205 + north, 106.5965 + east) for north, east in ((0, 0), (0.0025, 0), (0.0025, 0.0045), (0, 0.0045))
), height_m=30.0)
CIRCLES = FlightWish(FlightKind.ORBIT, places=(PLACE,), radius_m=60.0, turns=20.0)
LONG_LOOK = FlightWish(FlightKind.POINT, places=(PLACE,), hold_s=600.0)


def standing(percent: float = 96.0, **changes: object) -> Standing:
    wind = Wind(2.4, 0.8, None, assumed=False)
    limits = CheckLimits(880.0, wind=wind, charge_percent=percent)
    known = Identity(1, "a1", "4.7.0", simulated=True)
    one = Standing("d1", HOME, known, limits, VIEW, Habit(), None, False, None, 0.0, percent, 50.0, 25.0)
    return replace(one, **changes)      # type: ignore[arg-type]


def plain(sector: Sector, wish: FlightWish, drone: Standing) -> Drawn:
    return draw(wish, {"d1": drone}, "d1", Ground(sector, Realm.TRAINING, 1), "plan-1")


def fitted(sector: Sector, wish: FlightWish, drone: Standing) -> tuple[Drawn, FlightWish]:
    return draw_to_fit(wish, {"d1": drone}, "d1", Ground(sector, Realm.TRAINING, 1), "plan-1")


@pytest.mark.parametrize(
    ("wish", "shortened"),
    [
        (WHOLE, "reach_m"), (msgspec.structs.replace(WHOLE, rounds=9, reach_m=200.0), "rounds"), (AREA, "places"),
        (CIRCLES, "turns"), (LONG_LOOK, "hold_s"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.kind.value,
)
def test_what_is_too_long_is_shortened_until_it_passes_and_no_more(sector: Sector, wish: FlightWish, shortened: str) -> None:
    assert not plain(sector, wish, standing()).check.passed, "as it was wished for it is refused"
    drawn, fitting = fitted(sector, wish, standing())
    assert drawn.check.passed
    changed = [f for f in wish.__struct_fields__ if getattr(fitting, f) != getattr(wish, f)]
    assert changed == [shortened]
    # The next longer one would not have come home with the reserve and the margin.
    candidates = [wish, *shorter_wishes(wish, standing(), sector)]
    longer = candidates[candidates.index(fitting) - 1]
    assert not plain(sector, longer, standing(93.0)).check.passed


def test_a_plan_that_fits_stays_as_it_was_wished_for(sector: Sector) -> None:
    short = msgspec.structs.replace(WHOLE, reach_m=200.0)
    drawn, fitting = fitted(sector, short, standing())
    assert fitting == short and drawn.plan == plain(sector, short, standing()).plan


def test_what_was_shortened_still_passes_when_some_charge_was_used_up_before_the_launch(sector: Sector) -> None:
    _, fitting = fitted(sector, WHOLE, standing())
    assert plain(sector, fitting, standing(94.0)).check.passed


def test_a_drone_in_the_air_gets_what_fits_from_where_it_is(sector: Sector) -> None:
    here = sector.frame.point(GroundPosition(16.6222, 106.5990))
    flying = standing(70.0, airborne=True, here=here, height_m=40.0)
    drawn, fitting = fitted(sector, WHOLE, flying)
    assert drawn.check.passed and 0.0 < fitting.reach_m < math.inf


@pytest.mark.parametrize(
    ("wish", "drone", "key", "says"),
    [
        (WHOLE, standing(44.0), "dispatch.fit_charge", "takes off with 50 % or more: swap or charge the battery"),
        (WHOLE, standing(70.0, home=FAR_HOME), "dispatch.fit_battery", "Swap or charge the battery"),
        (msgspec.structs.replace(WHOLE, corridor="nowhere"), standing(), "dispatch.no_corridor", "no corridor"),
    ],
)
def test_where_nothing_fits_the_sentence_says_what_to_do(
    sector: Sector, wish: FlightWish, drone: Standing, key: str, says: str
) -> None:
    with pytest.raises(WishError) as refused:
        fitted(sector, wish, drone)
    assert refused.value.why.key == key and says in refused.value.why.sentence


def test_what_no_shortening_helps_is_drawn_as_it_was_wished_for_with_its_reasons(sector: Sector) -> None:
    high = msgspec.structs.replace(WHOLE, height_m=150.0)
    drawn, fitting = fitted(sector, high, standing())
    assert fitting == high and {f.rule for f in drawn.check.findings} >= {"ceiling"}
    assert drawn.plan == plain(sector, high, standing()).plan


def test_of_a_shared_corridor_only_rounds_are_left_out(sector: Sector) -> None:
    share = msgspec.structs.replace(WHOLE, kind=FlightKind.SHARE, drones=("d1", "d2"), rounds=3)
    assert [(w.rounds, w.reach_m) for w in shorter_wishes(share, standing(), sector)] == [(2, 0.0), (1, 0.0)]


def test_a_worst_case_beyond_an_empty_battery_is_told_as_nothing_left(sector: Sector) -> None:
    findings = plain(sector, WHOLE, standing(60.0, home=FAR_HOME)).check.findings
    assert [f.params["left_percent"] for f in findings if f.rule == "energy"] == [0]
