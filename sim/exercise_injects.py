"""When each inject of an exercise is due, and which were done: at their time, on their condition, or by hand."""

from __future__ import annotations

from dataclasses import dataclass

from geofences.geodesy import Array
from sim.desk_words import refused
from sim.exercise_settings import AnyInject, CameraInject, DroneInject, ExerciseSettings, When
from sim.world_paths import Path as WorldPath
from sim.world_state import ActorState
from wire.messages import SensorState

FAULTS = {
    "blind": SensorState.BLIND, "covered": SensorState.COVERED, "dark": SensorState.DARK,
    "defocused": SensorState.DEFOCUSED, "frozen": SensorState.FROZEN, "moved": SensorState.MOVED,
}
BY_HAND = "by hand"             # who did an inject that the trainer gave at the desk
ON_TRAIL_M = 30.0               # beside a trail, and still on it


@dataclass(frozen=True, slots=True)
class Done:
    """An inject that was done. by: "time", "condition" or who did it by hand."""

    inject: AnyInject
    at_s: float
    by: str


@dataclass(frozen=True, slots=True)
class Over:
    """A fault that is over."""

    inject: CameraInject | DroneInject
    at_s: float


class Injects:
    """Of one run."""

    def __init__(self, settings: ExerciseSettings, lines: dict[str, WorldPath]) -> None:
        self._waiting = {j.id: j for j in settings.injects}
        self._all = {j.id: j for j in settings.injects}
        self._lines = lines
        self._names: dict[int, str] = {}
        self.done: dict[str, Done] = {}
        self._faults: list[tuple[float, CameraInject | DroneInject]] = []

    def waiting(self) -> list[AnyInject]:
        return list(self._waiting.values())

    def by_hand(self, inject_id: str, at_s: float, who: str) -> Done:
        """Do one now; it may be done again. Raises SettingsError for one that there is not."""
        inject = self._all.get(inject_id)
        if inject is None:
            raise refused("no_inject", id=inject_id, there=", ".join(self._all) or "none")
        return self._note(inject, at_s, who)

    def due(self, at_s: float, alarms: int, states: tuple[ActorState, ...], names: dict[str, list[int]]) -> list[Done]:
        """What is to be done now. alarms: raised so far. names: ids of actors by their names in the file."""
        found = []
        for inject in list(self._waiting.values()):
            if inject.at_s is not None and at_s >= inject.at_s:
                found.append(self._note(inject, at_s, "time"))
            elif inject.when is not None and self._holds(inject.when, at_s, alarms, states, names):
                found.append(self._note(inject, at_s, "condition"))
        return found

    def over(self, at_s: float) -> list[Over]:
        """Faults whose time has passed."""
        ended = [Over(inject, at_s) for until_s, inject in self._faults if until_s <= at_s]
        self._faults = [f for f in self._faults if f[0] > at_s]
        return ended

    def _note(self, inject: AnyInject, at_s: float, by: str) -> Done:
        self._waiting.pop(inject.id, None)
        done = self.done[inject.id] = Done(inject, at_s, by)
        if isinstance(inject, CameraInject | DroneInject) and inject.for_s > 0:
            self._faults.append((at_s + inject.for_s, inject))
        return done

    def _holds(
        self, w: When, at_s: float, alarms: int, states: tuple[ActorState, ...], names: dict[str, list[int]]
    ) -> bool:
        if w.after:
            done = self.done.get(w.after)
            return done is not None and at_s >= done.at_s + w.wait_s
        if w.alarms:
            return alarms >= w.alarms
        path = self._lines.get(w.on)
        if path is None:
            return False
        there = set(names.get(w.actor, ()))
        for state in states:
            if state.actor.id in there:
                s = path.nearest_m(state.east_m, state.north_m)
                near = _apart(path.at(s, 0.0), state) <= ON_TRAIL_M
                if near and (s <= w.beyond_m if w.towards_border else s >= w.beyond_m):
                    return True
        return False


def _apart(place: tuple[float, float] | Array, state: ActorState) -> float:
    return float(((place[0] - state.east_m) ** 2 + (place[1] - state.north_m) ** 2) ** 0.5)
