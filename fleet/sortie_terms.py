"""What every sortie of a drone goes by, what ends one, and what a drone does in place of its mission."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from fleet.airspace_lookout import TrafficPicture
from fleet.checker import CheckLimits
from fleet.dispatch_words import Said
from fleet.energy import EnergyLearner
from fleet.passing import Passing
from wire.flying import TaskPhase
from wire.messages import UpBody
from wire.units import Realm

PAUSE_MODE = "BRAKE"            # stops and stays, whatever the sticks of an unattended remote control say
IN_HAND = ("AUTO", "GUIDED", PAUSE_MODE)     # modes in which it does what the fleet has told it
STARTED_LOOK_S = 0.02           # how often it is looked whether something has begun

Report = Callable[[UpBody], None]


class SortieError(Exception):
    """A sortie that cannot go on: what was not done, and why."""

    def __init__(self, why: Said) -> None:
        super().__init__(why.sentence)
        self.why = why


class SortieEnd(Exception):
    """A sortie that somebody has ended: who, and how."""

    def __init__(self, why: Said) -> None:
        super().__init__(why.sentence)
        self.why = why


class Errand(Protocol):
    """What a drone does in GUIDED in place of its mission, in steps. over: why it is at its end; None until then."""

    over: Said | None

    async def step(self) -> None: ...

    def pause(self) -> None:
        """It was told to stay where it is: the next step begins anew."""
        ...

    def end(self, why: Said) -> None:
        """It is over at its next step."""
        ...

    def finish(self, phase: TaskPhase, why: Said) -> None:
        """It will not be stepped any more."""
        ...

    def leaves(self) -> Passing | None:
        """Somebody who is not to be flown over when it is over; None where there is nobody, or nobody knows where."""
        ...


@dataclass(frozen=True, slots=True)
class SortieTerms:
    """What holds for every sortie of one drone.

    battery_least_percent: to take off with. battery_return_percent: at this charge it is called back from its patrol; an
    ArduCopter as it ships does nothing about its battery, and flies on until it falls. camera_pitch_deg: to which its gimbal
    is set on a patrol, against the horizon; None for a drone without one.
    """

    realm: Realm
    limits: CheckLimits
    battery_least_percent: float
    battery_return_percent: float = 25.0
    learner: EnergyLearner | None = None
    traffic: TrafficPicture | None = None
    camera_pitch_deg: float | None = None
