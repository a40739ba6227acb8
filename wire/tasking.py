"""What people ask of the fleet, what it offers, and whom it is to look at.

An order goes from the station to the fleet, as one to a camera does: sent again until it is answered (`OrderResult`) or its
time is over, and carried out once. Nothing flies that was not offered first: PLAN and INVESTIGATE make an `Offer`, with the
plan and its check as the person sees them, and LAUNCH names the offer's plan. The fleet alone decides whether it may fly.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec

from wire.coverage import CoverageDebt
from wire.flying import CheckFinding, CheckResult, Plan
from wire.units import Covariance2, GroundPosition, ObjectClass


class FlightKind(StrEnum):
    CORRIDOR = "corridor"           # along a corridor, out and back
    SHARE = "share"                 # this drone's share of a corridor that several fly
    AREA = "area"                   # parallel passes over `places`
    ORBIT = "orbit"                 # round places[0]
    POINT = "point"                 # to places[0], look, and back
    DEBT = "debt"                   # what has not been seen for longest
    INVESTIGATE = "investigate"     # to a contact, and keep it in view
    RELIEF = "relief"               # take over the contact that another drone holds


class FlightWish(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is wanted. height_m: above home, or the ground where follow_ground. Height and speed 0: the drone's own habit.

    contact: of INVESTIGATE and RELIEF. drones: of SHARE, who fly it together, this one among them.
    """

    kind: FlightKind
    corridor: str = ""
    places: tuple[GroundPosition, ...] = ()
    height_m: float = 0.0
    speed_m_s: float = 0.0
    from_m: float = 0.0
    reach_m: float = 0.0
    rounds: int = 1
    follow_ground: bool = False
    by_camera: bool = False
    overlap: float = 0.2
    radius_m: float = 0.0
    turns: float = 1.0
    hold_s: float = 20.0
    contact: str = ""
    drones: tuple[str, ...] = ()


class FleetAction(StrEnum):
    PLAN = "plan"                   # make, check and offer; nothing flies
    LAUNCH = "launch"               # the plan that was offered; of a drone in the air, in place of what it flies
    WITHDRAW = "withdraw"           # an offer that nobody will take, or a task that waits
    PAUSE = "pause"                 # stay where it is
    RESUME = "resume"               # go on where it was
    RETURN = "return"
    LAND = "land"                   # here, at once
    SWAP_BATTERY = "swap_battery"   # of a simulated drone that has landed and disarmed


class FleetOrder(msgspec.Struct, frozen=True, tag="fleet_order", omit_defaults=True):
    """drone: empty with PLAN of INVESTIGATE and RELIEF: the fleet chooses. plan_id: of LAUNCH and WITHDRAW.

    person: who ordered it. action: a FleetAction's value; text, so that a fleet can refuse what only a newer station knows.
    priority: of the task in the queue, 1 before 3. wait: LAUNCH may wait in the queue until its drone is free.
    debt: with PLAN of DEBT, as the station counts it now; the fleet does not know it otherwise. fit: PLAN may shorten the
    wish until the plan passes its checks.
    """

    order_id: str
    action: str
    person: str
    drone: str = ""
    wish: FlightWish | None = None
    plan_id: str = ""
    priority: int = 2
    wait: bool = False
    expires_ns: int = 0
    debt: CoverageDebt | None = None
    fit: bool = False


class Target(msgspec.Struct, frozen=True, tag="target"):
    """A contact that a drone looks at or is to look at, as the station has it now; once or twice a second, while one does.

    at_ns: of position and velocity (east, north). last_seen_ns: newest detection. held_by: drones that saw it in the last
    few seconds. gone: it is a contact no longer, and this is the last word of it.
    """

    contact: str
    at_ns: int
    object_class: ObjectClass
    position: GroundPosition
    covariance: Covariance2
    velocity_m_s: tuple[float, float]
    last_seen_ns: int
    simulated: bool
    held_by: tuple[str, ...] = ()
    gone: bool = False


class NotChosen(msgspec.Struct, frozen=True):
    """A drone that could not, or is not the best, and why."""

    drone: str
    sentence: str
    key: str = ""
    params: dict[str, str | float | int] = {}


class Offer(msgspec.Struct, frozen=True, tag="offer"):
    """What came of a PLAN: which drone, and what it would fly. It may be launched when `check.passed`, until expires_ns.

    arrives_s: from the launch until the place, or the corridor's beginning, is in its camera. energy_percent: what all of
    it takes of a full battery, as is to be expected; left_percent: what it then lands with. resumes: the plan that is
    taken up again afterwards. asked: what was wished for, where it was shortened to `wish`. plan and check are None where
    nothing could be planned; `sentence`, `key` and `findings` then say why.
    """

    order_id: str
    plan_id: str
    drone: str
    wish: FlightWish
    made_ns: int
    expires_ns: int
    plan: Plan | None = None
    check: CheckResult | None = None
    arrives_s: float | None = None
    energy_percent: float | None = None
    left_percent: float | None = None
    airborne: bool = False              # it would go from where it is now
    resumes: str = ""
    others: tuple[NotChosen, ...] = ()
    sentence: str = ""
    key: str = ""
    params: dict[str, str | float | int] = {}
    findings: tuple[CheckFinding, ...] = ()
    arrives_spread_s: float | None = None       # either way, two sigma; so with the others
    duration_s: float | None = None             # from arming, or from here, to the ground; the check's is at the worst
    duration_spread_s: float | None = None
    energy_spread_percent: float | None = None
    asked: FlightWish | None = None


class QueuedTask(msgspec.Struct, frozen=True):
    plan_id: str
    drone: str
    kind: FlightKind
    priority: int
    since_ns: int
    person: str
    contact: str = ""


class Dispatch(msgspec.Struct, frozen=True, tag="dispatch"):
    """What the dispatcher has in hand: whenever it changes. looking: contact of each drone that looks at one, by drone.
    in_view: whether it is in that drone's picture now, as far as the drone's own attitude and the target say.
    reliefs: contact, drone that holds it, drone that is to take over. in_hand: orders that are being carried out.
    avoiding: by drone, a contact that it has looked at and does not fly over.
    """

    at_ns: int
    waiting: tuple[QueuedTask, ...] = ()
    looking: dict[str, str] = {}
    in_view: dict[str, bool] = {}
    reliefs: tuple[tuple[str, str, str], ...] = ()
    in_hand: tuple[str, ...] = ()
    avoiding: dict[str, str] = {}
