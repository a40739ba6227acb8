"""What the map and the API say of coverage: how each corridor is seen now, and what has not been seen for how long."""

from __future__ import annotations

from enum import IntEnum, StrEnum

import msgspec

from wire.optics import SensorKind


class Grade(IntEnum):
    """IEC EN 62676-4:2015, 6.7: monitor, detect, observe, recognise, identify."""

    NONE = 0
    MONITOR = 1
    DETECT = 2
    OBSERVE = 3
    RECOGNISE = 4
    IDENTIFY = 5


class Weather(msgspec.Struct, frozen=True):
    """visibility_m: meteorological optical range. cloud: 0 to 1."""

    visibility_m: float = 20_000.0
    rain_mm_h: float = 0.0
    cloud: float = 0.3


class SeesNothing(StrEnum):
    """Why a sensor counts for no metre of trail."""

    NO_OPTICS = "no_optics"         # its node does not tell lens and attitude
    IMPLAUSIBLE = "implausible"     # there is no such lens
    NOT_HERE = "not_here"           # a simulated sensor at a live station
    BLIND = "blind"                 # by its own word
    SILENT = "silent"               # nothing new of it
    TURNING = "turning"
    NO_TRAIL = "no_trail"           # it sees, and no trail
    CONDITIONS = "conditions"       # too dark, or too thick the air
    NONE = ""


class CoverageRun(msgspec.Struct, frozen=True, array_like=True):
    """Metres of a corridor of which one thing can be said. Counted along the centre line.

    grade: a Grade, now. age: 0 seen now, else a step of station.coverage_runs.AGES_S, or NEVER. sensor: the best one now.
    oldest_ns: when that metre of it was last seen which waits longest; 0 for never, or where it is seen now. width: the
    share of the corridor's width that is seen now, on average.
    """

    from_m: int
    to_m: int
    grade: int
    age: int
    sensor: str
    oldest_ns: int
    width: float


class Walked(msgspec.Struct, frozen=True):
    """What walk tests of a corridor say: hits of `of` passes raised an alarm; low, high: of the share, 95 %.

    wait_p50_s: from the entry to the alarm, in the middle. last_ns: the newest pass, and by: who told it.
    """

    hits: int
    of: int
    low: float
    high: float
    wait_p50_s: float | None
    last_ns: int
    by: str


class CoverageView(msgspec.Struct, frozen=True):
    """One corridor. grades_m: metres that are seen now at each grade, six numbers. watched_m: seen well enough to count.

    seen_ns: when any metre of it was last seen well enough; 0 for never. oldest_ns: the same of its longest waiting metre.
    since_ns: since when it is counted. debt_mh: metres times the hours that each has not been seen. weight: of its priority.
    walked: None where nobody has walked it for a test.
    """

    corridor: str
    priority: int
    length_m: int
    at_ns: int
    runs: tuple[CoverageRun, ...]
    grades_m: tuple[int, ...]
    watched_m: int
    never_m: int
    seen_ns: int
    oldest_ns: int
    since_ns: int
    debt_mh: float
    weight: float
    walked: Walked | None = None


class SensorCoverage(msgspec.Struct, frozen=True):
    """What one sensor is worth now. watched_m: of trail, well enough to count. grade: its best.

    doubtful: the outline that it draws is not the one of its lens; what is counted is what its lens gives.
    """

    sensor: str
    kind: SensorKind | None
    watched_m: int
    grade: int
    why: SeesNothing
    doubtful: bool


class CoverageWhole(msgspec.Struct, frozen=True):
    """The sector. debt_mh: not weighted; weighted_mh: each corridor's times its weight.

    counts_from: the least grade that counts.
    lux: on the ground, clouds counted in. weather_by: a person, or empty for the settings file; weather_until_ns: how long
    that person's word holds. growth: corridors whose vegetation is counted in; of all others it is not known.
    """

    at_ns: int
    length_m: int
    watched_m: int
    never_m: int
    debt_mh: float
    weighted_mh: float
    counts_from: int
    sun_deg: float
    lux: float
    visibility_m: float
    rain_mm_h: float
    cloud: float
    weather_by: str
    weather_until_ns: int
    growth: tuple[str, ...]
    sensors: tuple[SensorCoverage, ...]


class SetWeather(msgspec.Struct, frozen=True, tag="set_weather"):
    """A person says what the weather is, for so many hours; after them the settings file's holds again."""

    person: str
    visibility_m: float
    rain_mm_h: float
    cloud: float
    hours: float


class WalkedPass(msgspec.Struct, frozen=True):
    """One pass of a walk test. seconds: inside the corridor. alarm: empty where none stood for it, and wait_s None then."""

    corridor: str
    entered_ns: int
    seconds: float
    alarm: str = ""
    wait_s: float | None = None
    error_m: float | None = None


class TellWalk(msgspec.Struct, frozen=True, tag="tell_walk"):
    """A person tells what came of a walk test."""

    person: str
    passes: tuple[WalkedPass, ...]
