"""What a drone would fly for what is wanted of it: a plan of the wanted kind, and its check, as a person gets to see them.

Pure, and slow for its many polygons: the dispatcher has it done in a thread, beside the loop that keeps the heartbeat.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from fleet.checker import check_plan
from fleet.checker_air import check_from_here
from fleet.dispatch_words import Said, said
from fleet.planner import (
    Maker,
    PatrolWish,
    PlanError,
    plan_area,
    plan_orbit,
    plan_patrol,
    plan_point,
    share_corridor,
)
from fleet.planner_debt import plan_debt
from fleet.promise import Promise, promise
from fleet.standing import Standing
from geofences.sector import Sector
from wire.coverage import CoverageDebt
from wire.flying import CheckResult, Plan
from wire.tasking import FlightKind, FlightWish, NotChosen
from wire.units import GroundPosition, Realm

ORBIT_RADIUS_M = 60.0           # where none is wanted


class WishError(ValueError):
    """What is wanted cannot be planned, and why; of a choice, each drone with its reason."""

    def __init__(self, why: Said, others: tuple[NotChosen, ...] = ()) -> None:
        super().__init__(why.sentence)
        self.why, self.others = why, others


@dataclass(frozen=True, slots=True)
class Ground:
    """Where, when, and in which realm it is planned."""

    sector: Sector
    realm: Realm
    made_ns: int


@dataclass(frozen=True, slots=True)
class Drawn:
    """A plan with its check, and what is to be expected of it."""

    plan: Plan
    check: CheckResult
    promise: Promise
    left_percent: float

    @property
    def arrives_s(self) -> float:
        return self.promise.arrives_s


def draw(
    wish: FlightWish, drones: Mapping[str, Standing], drone: str, ground: Ground, plan_id: str,
    debt: CoverageDebt | None = None,
) -> Drawn:
    """The plan of one drone for a wish that needs no contact. drones: all of the fleet. Raises WishError."""
    standing = drones[drone]
    if standing.identity is None:
        raise WishError(said("dispatch.unknown_aircraft", drone=drone))
    try:
        plan = _plan(wish, drones, standing, ground, plan_id, debt)
    except PlanError as error:
        if error.plan is not None:      # so that a person sees which legs, and why
            return checked(error.plan, standing, ground)
        words = Said(str(error), error.key, error.params) if error.key else said("dispatch.cannot", why=str(error))
        raise WishError(words) from None
    return checked(plan, standing, ground)


def checked(plan: Plan, standing: Standing, ground: Ground, *, to_look: bool = False) -> Drawn:
    """Check a plan for a drone as it stands: on the ground, or in the air from where it is. to_look: at a contact."""
    charge = standing.limits.charge_percent
    if standing.airborne and standing.here is not None:
        here = ground.sector.frame.position(*(float(v) for v in standing.here))
        result = check_from_here(plan, here, standing.height_m, ground.sector, ground.realm, standing.limits)
    else:
        result = check_plan(plan, ground.sector, ground.realm, standing.limits)
    if any(f.rule == "shape" for f in result.findings):
        return Drawn(plan, result, Promise(), charge)
    told = promise(plan, standing, ground.sector, to_look=to_look)
    return Drawn(plan, result, told, max(0.0, charge - told.energy_percent))


def _plan(
    wish: FlightWish, drones: Mapping[str, Standing], standing: Standing, ground: Ground, plan_id: str,
    debt: CoverageDebt | None,
) -> Plan:
    assert standing.identity is not None
    sector = ground.sector
    maker = Maker(sector, standing.identity, ground.made_ns, standing.limits)
    if wish.kind in (FlightKind.CORRIDOR, FlightKind.SHARE):
        if wish.corridor not in {c.id for c in sector.corridor_set.corridors}:
            raise WishError(said("dispatch.no_corridor", corridor=wish.corridor))
        wanted = patrol_wish(wish, standing)
        if wish.kind is FlightKind.SHARE:
            wanted = _share(wish, drones, standing, sector)
        return plan_patrol(wanted, sector, standing.identity, plan_id, ground.made_ns, standing.limits)
    wanted = patrol_wish(wish, standing)
    if wish.kind is FlightKind.DEBT:
        if debt is None:
            raise WishError(said("dispatch.no_debt"))
        return plan_debt(wanted, maker, plan_id, debt)[0]
    place = wish.places[0] if wish.places else None
    if place is None:
        raise WishError(said("dispatch.no_place"))
    match wish.kind:
        case FlightKind.AREA:
            return plan_area(patrol_wish(wish, standing, by_camera=True), maker, plan_id, wish.places)
        case FlightKind.ORBIT:
            return plan_orbit(wanted, maker, plan_id, place, wish.radius_m or ORBIT_RADIUS_M, wish.turns)
        case FlightKind.POINT:
            return plan_point(wanted, maker, plan_id, place, wish.hold_s)
    raise WishError(said("dispatch.cannot", why=wish.kind.value))


def patrol_wish(wish: FlightWish, standing: Standing, *, by_camera: bool = False) -> PatrolWish:
    """With the drone's habit where nothing was said. Where no corridor is flown its name is the kind's."""
    if not all(math.isfinite(v) for v in (wish.height_m, wish.speed_m_s, wish.from_m, wish.reach_m, wish.overlap)):
        raise WishError(said("dispatch.cannot", why="height, speed, reach or overlap is no number"))
    if not 1 <= wish.rounds <= 50 or not 0.0 <= wish.overlap <= 0.9 or min(wish.from_m, wish.reach_m) < 0:
        raise WishError(said("dispatch.cannot", why="rounds are 1 to 50, overlap 0 to 0.9, from and reach 0 or more"))
    return PatrolWish(
        standing.drone, wish.corridor or wish.kind.value, standing.home, wish.height_m or standing.habit.height_m,
        wish.speed_m_s or standing.habit.speed_m_s, wish.reach_m, wish.from_m, wish.rounds, wish.follow_ground,
        standing.view if by_camera or wish.by_camera else None, wish.overlap,
    )


def _share(wish: FlightWish, drones: Mapping[str, Standing], standing: Standing, sector: Sector) -> PatrolWish:
    names = list(dict.fromkeys(wish.drones))
    if standing.drone not in names or any(n not in drones for n in names):
        raise WishError(said("dispatch.no_share", drone=standing.drone))
    shares = share_corridor([patrol_wish(wish, drones[n]) for n in names], sector)
    return shares[names.index(standing.drone)]


def place_of(standing: Standing, sector: Sector) -> GroundPosition:
    """Where it is; home where it does not say."""
    return sector.frame.position(*(float(v) for v in standing.here)) if standing.here is not None else standing.home
