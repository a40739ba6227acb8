"""How a drone stands at one moment, as far as planning is concerned: a value, so that plans can be made beside the loop."""

from __future__ import annotations

from dataclasses import dataclass

from fleet.checker import CheckLimits
from fleet.dispatch_words import Said
from fleet.routes_camera import CameraView
from geofences.geodesy import Array
from mavlink.ardupilot import Identity
from wire.flying import Plan
from wire.tasking import FlightKind
from wire.units import GroundPosition


@dataclass(frozen=True, slots=True)
class Habit:
    """What a drone flies where nobody says otherwise: metres above home, metres a second."""

    height_m: float = 40.0
    speed_m_s: float = 9.0


@dataclass(frozen=True, slots=True)
class Standing:
    """One drone.

    refusal: why it is not to be commanded now, whatever is wanted of it. here: (2,) metres, and height_m above home; None
    where it does not say. plan, kind, contact, priority: of what it flies; kind None for a patrol by its settings.
    limits: by which a plan for now is checked. mount_pitch_deg: of a camera without a gimbal, against the nose.
    velocity_m_s: east, north, over the ground.
    """

    drone: str
    home: GroundPosition
    identity: Identity | None
    limits: CheckLimits
    view: CameraView | None
    habit: Habit
    refusal: Said | None
    airborne: bool
    here: Array | None
    height_m: float
    percent: float | None
    battery_least_percent: float
    battery_return_percent: float
    mount_pitch_deg: float | None = None
    plan: Plan | None = None
    kind: FlightKind | None = None
    contact: str = ""
    priority: int = 3
    paused_by: str = ""
    velocity_m_s: tuple[float, float] = (0.0, 0.0)
