"""[coverage] of a station's settings file."""

from __future__ import annotations

from pathlib import Path

import msgspec

from station.coverage_picture import Grade, SetWeather, Weather
from station.sentences import Sentence
from wire.settings import refuse

HOURS_LIMIT = 24        # a person's word about the weather; a fog that was forgotten must not last for days


class Growth(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Growth along one corridor: height_m of it, and how far one sees through it before half a person is hidden."""

    sight_m: float
    height_m: float = 4.0


class CoverageSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """counts_from: the least class at which a metre counts as seen: "monitor", "detect", "observe", "recognise", "identify".

    visibility_m (meteorological optical range), rain_mm_h, cloud (0 to 1): the weather as long as no person says another.
    weights: how much a metre of priority 1, 2 and 3 weighs in the debt. growth: by corridor; of a corridor that is not
    named here, nobody knows how far one sees through its growth, and the screen says so.
    """

    counts_from: str = "detect"
    visibility_m: float = 20_000.0
    rain_mm_h: float = 0.0
    cloud: float = 0.3
    weights: tuple[float, float, float] = (4.0, 2.0, 1.0)
    growth: dict[str, Growth] = {}

    @property
    def least_grade(self) -> Grade:
        return Grade[self.counts_from.upper()]

    @property
    def weather(self) -> Weather:
        return Weather(self.visibility_m, self.rain_mm_h, self.cloud)


def check_coverage(path: Path, c: CoverageSettings) -> None:
    """Raises wire.settings.SettingsError for what cannot be."""
    allowed = [g.name.lower() for g in Grade if g is not Grade.NONE]
    if c.counts_from not in allowed:
        raise refuse(path, ["coverage", "counts_from"], f'"{c.counts_from}": give one of {", ".join(allowed)}')
    for name, problem in weather_problems(c.weather).items():
        raise refuse(path, ["coverage", name], problem)
    if min(c.weights) <= 0:
        raise refuse(path, ["coverage", "weights"], f"{list(c.weights)}: give three numbers above 0, for example [4, 2, 1]")
    for corridor, growth in c.growth.items():
        if growth.sight_m <= 0 or growth.height_m <= 0:
            raise refuse(path, ["coverage", "growth"], f'"{corridor}": sight_m and height_m are metres above 0')


def weather_refusal(said: SetWeather) -> Sentence | None:
    """Why a person's word about the weather cannot be taken; None where it can."""
    problems = weather_problems(Weather(said.visibility_m, said.rain_mm_h, said.cloud))
    if problems or not 0 < said.hours <= HOURS_LIMIT:
        return Sentence("coverage.refused.weather", {"hours": HOURS_LIMIT})
    return None


def weather_problems(w: Weather) -> dict[str, str]:
    """By field, what no weather can be."""
    problems = {}
    if not 10 <= w.visibility_m <= 200_000:
        problems["visibility_m"] = f"{w.visibility_m}: give 10 to 200,000 m; fog is below 1,000"
    if not 0 <= w.rain_mm_h <= 300:
        problems["rain_mm_h"] = f"{w.rain_mm_h}: give 0 to 300 mm an hour; heavy rain is above 10"
    if not 0 <= w.cloud <= 1:
        problems["cloud"] = f"{w.cloud}: give the share of the sky, 0 to 1"
    return problems
