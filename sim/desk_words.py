"""What the direction and the desk refuse to a trainer: as an error of the command line, and as a sentence of the pages.

What is wrong with a file is not here: that comes with line and key, in the program's own words.
"""

from __future__ import annotations

from station.templates import Templates
from wire.settings import SettingsError

REFUSED = Templates({
    "desk.refused.not_begun": "the exercise has not begun",
    "desk.refused.own_pace": "a drone flies in this exercise, at its own pace; pause and freeze work",
    "desk.refused.fastest": "{pace} times is the fastest",
    "desk.refused.slowest": "{pace} times is the slowest",
    "desk.refused.no_inject": 'there is no inject "{id}"; there are {there}',
    "desk.refused.no_answer": "{run}: the exercise does not answer; it may have ended",
    "desk.refused.not_there": "{link}: no exercise is running there. Give the folder that `exercise run` printed.",
    "desk.refused.no_station": "there is no station {name}",
    "desk.refused.no_run": "there is no run {run}",
    "desk.refused.no_exercise": "there is no {name} here",
    "desk.refused.running": "{run} is running; end it first. One machine leads one exercise.",
    "desk.refused.none_running": "none is running",
    "desk.refused.not_over": "it is not over yet",
    "desk.refused.another": "another one is running; its station comes first",
    "desk.refused.nobody_went": "nobody went any way there; choose another incident, or more time",
    "desk.refused.nobody_left": "nobody is left whose way could be gone; choose another incident, or more time",
    "desk.refused.times": "the time begins after it ends",
    "desk.refused.no_incident": "there is no incident {incident}",
}, before=r"(?:exercise(?: say [^:]*)?: )?")


def refused(key: str, *, before: str = "", **values: str | int | float) -> SettingsError:
    return SettingsError(before + REFUSED.text(f"desk.refused.{key}", **values))
