"""Why no patrol can be made of a wish: here in English, in the station's language files in all its languages."""

from __future__ import annotations

import re

from wire.flying import Plan

WORDS: dict[str, str] = {
    "plan_refused.corners": "an area has three corners or more, and some ground between them",
    "plan_refused.camera": "passes over an area need a camera, to know how far apart they are",
    "plan_refused.area": "no part of the area can be flown over: it is too near to the border or in a keep-out",
    "plan_refused.circle": "the circle comes too near to the border or a keep-out; choose a smaller one, or another place",
    "plan_refused.place": "the place, or the straight way home from it, is too near to the border or a keep-out",
    "plan_refused.no_stretch": "no stretch was asked for",
    "plan_refused.stretch": "metres {from_m} to {to_m} of {corridor} cannot be flown from this home: too near to the "
    "border, in a keep-out, or without a straight way home",
    "plan_refused.home": "{corridor}: home lies within {border_m} m of the border, in a keep-out or beyond the border",
    "plan_refused.checks": "the patrol {corridor} does not pass its checks: {why}",
    "plan_refused.home_height": "there is no terrain height at home",
    "plan_refused.waypoints": "{count} waypoints are more than the {most} of a plan; fly a part, or fewer times",
    "plan_refused.way_home": "the way home leaves the known terrain",
    "plan_refused.pixels": "from {height_m} m this camera has less than {pixels} pixels a metre of a person everywhere; fly "
    "lower, or ask for fewer",
    "plan_refused.begins": 'corridor "{corridor}" cannot be flown from this home: where it begins, or the straight way home '
    "from there, is too near to the border, in a keep-out or beyond the border; choose another corridor or home",
    "plan_refused.short": 'of corridor "{corridor}" less than {least_m} m can be flown from this home; choose another home',
    "plan_refused.debt_version": "the coverage debt was counted along another version of the corridors; ask for it anew",
    "plan_refused.debt": "no stretch of the debt can be flown: {why}",
}

_HOLE = re.compile(r"\{(\w+)\}")


class PlanError(ValueError):
    """No patrol can be made of this. Its text says why. plan: one that was laid, and does not pass its checks.

    key, params: the text in the station's language files; empty where it has none.
    """

    def __init__(
        self, text: str, plan: Plan | None = None, key: str = "", params: dict[str, str | float | int] | None = None
    ) -> None:
        super().__init__(text)
        self.plan, self.key, self.params = plan, key, params or {}


def refused(word: str, /, plan: Plan | None = None, **params: str | float | int) -> PlanError:
    """word: of the key, after `plan_refused.`."""
    key = f"plan_refused.{word}"
    return PlanError(_HOLE.sub(lambda hole: str(params[hole[1]]), WORDS[key]), plan, key, params)
