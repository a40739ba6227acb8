"""Shortens what is wanted of a drone until its plan passes every check with the charge that its battery has.

Fewer rounds first, then less of the corridor or of the area, fewer circles, or a shorter look. Nothing else changes: height,
speed and place stay as they were wanted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import msgspec
import numpy as np

from fleet.dispatch_words import reasons, said
from fleet.offers import Drawn, Ground, WishError, checked, draw
from fleet.planner import SHORTEST_M
from fleet.standing import Standing
from geofences.sector import Sector
from wire.coverage import CoverageDebt
from wire.tasking import FlightKind, FlightWish
from wire.units import GroundPosition

MARGIN_PERCENT = 3.0            # beside the reserve: the launch is checked again, and waiting for it takes some charge
REACH_STEP_M = 20.0
AREA_STEPS = 20                 # sizes of an area that are tried
HOLD_STEP_S, HOLD_LEAST_S = 5.0, 5.0


def draw_to_fit(
    wish: FlightWish, drones: Mapping[str, Standing], drone: str, ground: Ground, plan_id: str,
    debt: CoverageDebt | None = None,
) -> tuple[Drawn, FlightWish]:
    """The longest plan of one drone that passes, and the wish that it is the plan of: as wanted, or a shorter one.

    What no shortening helps, as a height that is not allowed, is drawn as wanted, with the reasons of its refusal. Raises
    WishError: as `draw` does, and with what to do about it where the battery is too empty for the shortest flight.
    """
    standing = drones[drone]
    _check_charge(standing)
    limits = replace(standing.limits, charge_percent=max(0.0, standing.limits.charge_percent - MARGIN_PERCENT))
    careful = {**drones, drone: replace(standing, limits=limits)}
    last = whole = draw(wish, careful, drone, ground, plan_id, debt)
    if whole.check.passed:
        return checked(whole.plan, standing, ground), wish
    shorter = shorter_wishes(wish, standing, ground.sector)
    best: tuple[Drawn, FlightWish] | None = None
    first, end = 0, len(shorter)            # the longest that passes lies there: what is shorter passes too
    while first < end:
        middle = (first + end) // 2
        try:
            last = draw(shorter[middle], careful, drone, ground, plan_id, debt)
        except WishError:
            first = middle + 1
            continue
        if last.check.passed:
            best, end = (last, shorter[middle]), middle
        else:
            first = middle + 1
    if best is not None:
        return checked(best[0].plan, standing, ground), best[1]
    findings = last.check.findings
    if all(f.rule == "energy" for f in findings):
        raise WishError(said("dispatch.fit_battery", drone=drone, why=reasons(findings)))
    return checked(whole.plan, standing, ground), wish


def shorter_wishes(wish: FlightWish, standing: Standing, sector: Sector) -> Sequence[FlightWish]:
    """The same with less to fly, the longest first; none of a kind that has nothing to leave out.

    Of a shared corridor only rounds: each drone is asked by itself, and the stretches of all have to fit together.
    """
    def changed(**values: object) -> FlightWish:
        return msgspec.structs.replace(wish, **values)

    rounds = [changed(rounds=n) for n in range(wish.rounds - 1, 0, -1)]
    match wish.kind:
        case FlightKind.SHARE:
            return rounds
        case FlightKind.CORRIDOR:
            length_m = sector.corridors.ground(wish.corridor).centre_line.length - wish.from_m
            whole_m = min(wish.reach_m, length_m) if wish.reach_m > 0 else length_m
            steps = max(0, math.ceil((whole_m - SHORTEST_M) / REACH_STEP_M))
            reaches = [SHORTEST_M + REACH_STEP_M * i for i in range(steps)]
            return [*rounds, *(changed(rounds=1, reach_m=m) for m in reversed(reaches))]
        case FlightKind.AREA:
            shares = [i / AREA_STEPS for i in range(AREA_STEPS - 1, 0, -1)]
            return [changed(places=_smaller(wish.places, standing, sector, share)) for share in shares]
        case FlightKind.ORBIT:
            return [changed(turns=float(n)) for n in range(math.ceil(wish.turns) - 1, 0, -1)]
        case FlightKind.POINT:
            steps = max(0, math.ceil((wish.hold_s - HOLD_LEAST_S) / HOLD_STEP_S))
            return [changed(hold_s=HOLD_LEAST_S + HOLD_STEP_S * i) for i in reversed(range(steps))]
    return ()


def _smaller(
    places: tuple[GroundPosition, ...], standing: Standing, sector: Sector, share: float
) -> tuple[GroundPosition, ...]:
    """The area with its sides that much shorter; the corner that is nearest to home stays."""
    corners = np.array([sector.frame.point(p) for p in places])
    nearest = corners[np.linalg.norm(corners - sector.frame.point(standing.home), axis=1).argmin()]
    return tuple(sector.frame.position(*(float(v) for v in nearest + share * (c - nearest))) for c in corners)


def _check_charge(standing: Standing) -> None:
    """Raises WishError for a drone on the ground that would not take off with anything."""
    percent, least = standing.percent, standing.battery_least_percent
    if not standing.airborne and percent is not None and percent < least:
        raise WishError(said(
            "dispatch.fit_charge", drone=standing.drone, percent=round(percent), least_percent=round(least)
        ))
