"""Whom a sortie has looked at, and where what is left of its way leads by him."""

from __future__ import annotations

import asyncio

from fleet.drone import Drone
from fleet.look_terms import place_now
from fleet.mission import MissionItem
from fleet.passing import AHEAD_M, Bypass, Passing, Stop, stops_of
from geofences.geodesy import Array, LocalFrame
from wire.flying import Plan

PASSING_S = 1.0                 # between two looks at whether its way leads over somebody
ROUND_PERCENT = 10.0            # of the battery beside what the way home takes: for the way round somebody


class WayPast:
    """Of one sortie. passing: whom it has looked at; None for nobody, and once nobody knows where he is.

    items: of the mission that is in the drone. left_at: where its patrol was left for something else. goes_on_at: the item
    at which it was taken up again, which the drone itself tells only later.
    """

    def __init__(self, plan: Plan, drone: Drone, frame: LocalFrame) -> None:
        self.passing: Passing | None = None
        self.items: tuple[MissionItem, ...] = ()
        self.left_at: Array | None = None
        self.goes_on_at = 0
        self._plan, self._drone, self._frame = plan, drone, frame
        self._looked_s = 0.0

    @property
    def home(self) -> Array:
        return self._frame.point(self._plan.home)

    def leave_patrol(self) -> None:
        """From here, for something else."""
        self.left_at = place_now(self._drone, self._frame)

    def stops(self) -> list[Stop]:
        """What is left of the patrol, from where it is; or from where it was left, while it flies something else."""
        item = self._drone.mission_item
        here = place_now(self._drone, self._frame) if self._drone.mode() == "AUTO" or self.left_at is None else self.left_at
        if here is None or item is None:
            return []
        height_m = self._drone.height_m.value if self._drone.height_m is not None else 0.0
        seq = max(item.value, self.goes_on_at)
        return stops_of(self.items, seq, Stop(seq, here, height_m), self._frame, self._plan.home)

    def is_blocked(self, stops: list[Stop] | None) -> bool:
        """Whether the straight way from here to what is next leads over him. stops: what is left; None: home alone."""
        here = self.passing.here() if self.passing is not None else None
        if self.passing is None or here is None:
            return False
        return self.passing.blocks([here, stops[1].at if stops is not None and len(stops) > 1 else self.home])

    def round(self, stops: list[Stop] | None) -> Bypass:
        assert self.passing is not None
        return Bypass(self.passing, self.home, self._plan.corridor, stops)

    def coming_up(self) -> list[Stop] | None:
        """What is left of a patrol whose next stretch leads by him again, as on its way back; None where none does.

        Looked at once a second, in AUTO.
        """
        now_s = asyncio.get_running_loop().time()
        if self.passing is None or now_s - self._looked_s < PASSING_S:
            return None
        self._looked_s = now_s
        if self.passing.at() is None:
            self.passing = None         # nobody knows any more where he is
        elif self._drone.mode() == "AUTO":
            stops = self.stops()
            if len(stops) > 1 and self.passing.blocks([s.at for s in stops], AHEAD_M):
                self.left_at = stops[0].at
                return stops
        return None
