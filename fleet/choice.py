"""Which drone goes to look at a contact: whoever is there first, of those that can; and of each other one, why not.

Pure: drones as they stand in, plans and sentences out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from fleet.dispatch_words import Said, reasons, said
from fleet.offers import Drawn, Ground, WishError, checked
from fleet.planner import Maker, PatrolWish, PlanError, plan_point
from fleet.stand_off import (
    HEIGHT_LEAST_M,
    HEIGHT_M,
    LEAST_M,
    RADIUS_M,
    Room,
    next_place,
    room_of,
)
from fleet.standing import Standing
from geofences.geodesy import Array
from wire.clock import NS_PER_S
from wire.tasking import FlightWish, NotChosen, Target
from wire.units import Realm

LOOK_PLANNED_S = 180.0          # of looking, that its battery must have in it
OLD_S = 120.0                   # not seen for so long: there is no place to send anybody to
PREDICT_MOST_S = 45.0           # of walking on as he does; then he may be anywhere
PREDICTIONS = 2


@dataclass(frozen=True, slots=True)
class Chosen:
    """drawn, room: of the drone that goes. others: all others, and why not. layer_m: above the height that was wished."""

    standing: Standing
    drawn: Drawn
    room: Room
    radius_m: float
    height_m: float
    layer_m: float
    others: tuple[NotChosen, ...] = ()


def target_refusal(contact: str, target: Target | None, realm: Realm, now_ns: int) -> Said | None:
    """Why nobody can be sent to this contact."""
    if target is None:
        return said("dispatch.unknown_contact", contact=contact)
    if target.simulated is (realm is Realm.LIVE):
        return said("dispatch.realm", contact=contact)
    if target.gone:
        return said("dispatch.gone", contact=contact)
    seen_s = (now_ns - target.last_seen_ns) / NS_PER_S
    return said("dispatch.old", contact=contact, seconds=round(seen_s)) if seen_s > OLD_S else None


def busy(standing: Standing, priority: int) -> Said | None:
    """Why a drone that may be commanded is not to be taken for something of this priority."""
    if standing.refusal is not None:
        return standing.refusal
    if standing.paused_by:
        return said("dispatch.paused", drone=standing.drone, person=standing.paused_by)
    if standing.contact and priority >= standing.priority:
        return said("dispatch.looks", drone=standing.drone, contact=standing.contact)
    if standing.airborne and standing.plan is not None and priority > standing.priority:
        return said(
            "dispatch.busy", drone=standing.drone, plan=standing.plan.plan_id, priority=standing.priority, wanted=priority
        )
    if not standing.airborne and standing.percent is not None and standing.percent < standing.battery_least_percent:
        return said(
            "dispatch.battery", drone=standing.drone, percent=round(standing.percent),
            least_percent=round(standing.battery_least_percent),
        )
    return None


def choose(
    wish: FlightWish, target: Target, drones: Mapping[str, Standing], only: str, priority: int, ground: Ground, plan_id: str,
    layer_m: float = 0.0, flying: Mapping[str, Array] | None = None,
) -> Chosen:
    """only: this drone or none; "" for whoever is best. layer_m: higher, above another one. flying: where each drone in the
    air is, to be kept away from. Raises WishError.
    """
    others: list[NotChosen] = []
    able: list[Chosen] = []
    air = dict(flying or {})
    for name, standing in drones.items():
        if only and name != only:
            continue
        why = busy(standing, priority)
        if why is None:
            away = tuple(at for other, at in air.items() if other != name)
            try:
                found = _of(wish, target, standing, ground, plan_id, layer_m, away)
            except WishError as error:
                why = error.why
            else:
                if found.drawn.check.passed:
                    able.append(found)
                    continue
                why = said("dispatch.check", why=reasons(found.drawn.check.findings[:2]))
        others.append(NotChosen(name, why.sentence, why.key, why.params))
    if not able:
        if len(others) == 1:
            raise WishError(Said(others[0].sentence, others[0].key, others[0].params), tuple(others))
        why_not = tuple(Said(o.sentence, o.key, o.params) for o in others)
        raise WishError(said("dispatch.nobody", why=why_not), tuple(others))
    best = min(able, key=lambda c: (c.drawn.arrives_s, -c.drawn.left_percent))
    for c in able:
        if c is not best:
            later = said(
                "dispatch.slower", drone=c.standing.drone, seconds=round(c.drawn.arrives_s - best.drawn.arrives_s)
            )
            others.append(NotChosen(c.standing.drone, later.sentence, later.key, later.params))
    return replace(best, others=tuple(others))


def look_of(wish: FlightWish, standing: Standing) -> tuple[float, float]:
    """Level distance and height above the contact's ground, from which this drone looks. Never less than the least."""
    if not (math.isfinite(wish.radius_m) and math.isfinite(wish.height_m)):
        raise WishError(said("dispatch.cannot", why="distance or height is no number"))
    mount = standing.mount_pitch_deg
    if mount is None:
        return max(LEAST_M, wish.radius_m or RADIUS_M), max(HEIGHT_LEAST_M, wish.height_m or HEIGHT_M)
    # Where a fixed camera looks: as low as may be, for from higher up it looks farther away.
    height = max(HEIGHT_LEAST_M, wish.height_m)
    radius = height / math.tan(math.radians(-mount))
    return max(LEAST_M, radius), max(height, LEAST_M * math.tan(math.radians(-mount)))


def _of(
    wish: FlightWish, target: Target, standing: Standing, ground: Ground, plan_id: str, layer_m: float,
    away: tuple[Array, ...],
) -> Chosen:
    sector = ground.sector
    assert standing.identity is not None
    radius, height = look_of(wish, standing)
    height += layer_m
    speed = wish.speed_m_s or standing.habit.speed_m_s
    home = sector.frame.point(standing.home)
    room = room_of(sector, home, standing.limits, speed, height)
    if room.polygon.is_empty:
        raise WishError(said("dispatch.no_room", drone=standing.drone))
    here = standing.here if standing.airborne and standing.here is not None else home
    seen_at = sector.frame.point(target.position)
    velocity = np.array(target.velocity_m_s)
    age_s = max(0.0, (ground.made_ns - target.at_ns) / NS_PER_S)
    maker = Maker(sector, standing.identity, ground.made_ns, standing.limits)
    ahead_s = age_s
    for _ in range(PREDICTIONS):
        contact = seen_at + velocity * min(PREDICT_MOST_S, ahead_s)
        place, sides = next_place(contact, here, 0.0, radius, height, room, away)
        if place is None:
            key = "dispatch.pressed" if sides.pressed.any() and not sides.unreachable.all() else "dispatch.no_side"
            raise WishError(said(key, drone=standing.drone, contact=target.contact))
        patrol = PatrolWish(standing.drone, f"contact {target.contact}", standing.home, place.height_m, speed)
        hold_s = wish.hold_s if wish.hold_s > 30.0 else LOOK_PLANNED_S
        at = sector.frame.position(*(float(v) for v in place.at))
        try:
            plan = plan_point(patrol, maker, plan_id, at, hold_s)
        except PlanError as error:
            raise WishError(said("dispatch.cannot", why=f"{standing.drone}: {error}")) from None
        drawn = checked(plan, standing, ground, to_look=True)
        ahead_s = age_s + drawn.arrives_s
    return Chosen(standing, drawn, room, radius, height, layer_m)
