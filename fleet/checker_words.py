"""The words of every refusal: here in English, in the station's language files in every language that it speaks.

A finding carries its key and its numbers, so that whoever reads it in another language reads the same.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from wire.flying import CheckFinding
from wire.units import GroundPosition

# What a finding is about; {leg} counts from 0, or is the number of a rally point.
PARTS: dict[str, str] = {
    "home": "home",
    "leg": "leg",
    "orbit": "the circle at the end of leg",
    "way_home": "the straight way home from leg",
    "rally": "rally point",
    "way_rally": "the straight way to a rally point from leg",
    "drone": "the drone",
}

WORDS: dict[str, str] = {
    "check.shape.order": "a plan starts with a take-off, goes somewhere and ends with a return",
    "check.shape.number": "waypoint {leg} has a position, height or speed that is no number",
    "check.shape.positive": "waypoint {leg}: height and speed are above 0",
    "check.shape.orbit": "waypoint {leg}: a circle has a radius of 1 to 255 m and at least a part of a turn",
    "check.shape.home": "home has a position that is no number",
    "check.shape.extra": "the fence, a rally point or the return height has numbers that cannot be",
    "check.border_line": "the border line is advisory ({source}, {as_of}); a live launch needs the agency's own line, with "
    "its source and date",
    "check.terrain_synthetic": "the terrain is synthetic; a live launch needs measured heights",
    "check.sector": "{part|part} {leg} leaves the sector",
    "check.border.crosses": "{part|part} {leg} crosses the border line",
    "check.border.near": "{part|part} {leg} comes within {distance_m} m of the border line; {needed_m} m are kept",
    "check.keep_out.enters": "{part|part} {leg} enters the keep-out {name}",
    "check.keep_out.near": "{part|part} {leg} comes within {distance_m} m of the keep-out {name}; {needed_m} m are kept",
    "check.fence.leaves": "{part|part} {leg} leaves the fence",
    "check.fence.near": "the fence reaches within {distance_m} m of the border line; {needed_m} m are kept, for what is "
    "blown over it",
    "check.terrain.home": "there is no terrain height at home",
    "check.terrain.unknown": "{part|part} {leg} leaves the known terrain",
    "check.terrain.low": "{part|part} {leg} is {height_m} m over the ground; {needed_m} m are asked for",
    "check.ceiling": "{part|part} {leg} is {height_m} m over the ground; {allowed_m} m are allowed",
    "check.wind.assumed": "nobody has measured or forecast the wind; a live launch needs it",
    "check.wind.strong": "a wind of {wind_m_s} m/s with gusts of {gust_m_s} m/s: this drone makes {airspeed_m_s} m/s at "
    "most, and would not come home against it",
    "check.energy": "in the worst case it would come home from the end of leg {leg} with {left_percent} % of its battery; "
    "{reserve_percent} % must be left",
    "check.energy.now": "in the worst case it would land with {left_percent} % of its battery; "
    "{reserve_percent} % must be left",
    "check.permit.ends": "the permit ends at {until_ns|time}",
    "check.permit.none": "there is no permit for this flight; a live launch needs one",
    "check.permit.drone": "permit {permit} does not name {drone}",
    "check.permit.window": "permit {permit} holds from {from_ns|time} to {until_ns|time}; the flight would not lie within",
    "check.permit.hours": "permit {permit} holds from {begin} to {end}, local time, and the flight would not lie within",
    "check.permit.area": "leg {leg} leaves the area of permit {permit}",
    "check.permit.night": "permit {permit} is for daylight, and the sun is down at {at_ns|time}",
    "check.traffic": "aircraft {aircraft} may come within {distance_m} m of {part|part} {leg} in the next {seconds} s; "
    "{needed_m} m are kept",
    "check.more": "and {count} more reasons",
}

_HOLE = re.compile(r"\{(\w+)(?:\|(\w+))?\}")


def in_english(key: str, params: dict[str, str | float | int]) -> str:
    """The sentence of a key with its parameters."""

    def fill(hole: re.Match[str]) -> str:
        name, way = hole.groups()
        value = params.get(name, "")
        if way == "part":
            return PARTS[str(value)]
        if way == "time":
            return utc_text(int(value))
        return str(value)

    return " ".join(_HOLE.sub(fill, WORDS[key]).split())


def utc_text(utc_ns: int) -> str:
    return f"{datetime.fromtimestamp(utc_ns / 1e9, UTC):%Y-%m-%d %H:%M} UTC"


def finding(
    rule: str, key: str, leg: int | None, where: GroundPosition | None, /, **params: str | float | int
) -> CheckFinding:
    """One reason. leg is put into its parameters unless it is None."""
    told: dict[str, str | float | int] = {**({} if leg is None else {"leg": leg}), **params}
    return CheckFinding(rule, leg, where, in_english(key, told), key, told)
