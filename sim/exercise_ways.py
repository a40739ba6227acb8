"""A way that a station saw, as the script of an actor: along trails and roads, or from place to place, and when.

A contact's trail is a place every few metres with its time. It becomes few acts that are where the contact was when it was
there, to some seconds: a gait that is near enough, and waits where somebody was slower than that.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import shapely

from geofences.geodesy import Array
from geofences.sector import Sector
from sim.actors import COMFORTABLE_MPS, GAITS, OFF_TRAIL
from sim.exercise_build import Data
from sim.landscape_lines import lengths_along

SIMPLER_BY_M = 3.0                  # of a way: what a walker's contact errs by on a clear day
ON_LINE_M = 10.0                    # beside a trail or road, and on it
WHEELS_ON_LINE_M = 25.0
WAIT_FROM_S = 3.0
CAME_M, WENT_M = 30.0, 60.0          # out of sight, along the trail

Stop = tuple[float, str, float, tuple[float, float]]        # when, line or "", metres along it, latitude and longitude


def place_on(
    point: Array, lines: dict[str, tuple[Array, bool]], on_wheels: bool, sector: Sector
) -> tuple[str, float, tuple[float, float]]:
    best, found, along_m = WHEELS_ON_LINE_M if on_wheels else ON_LINE_M, "", 0.0
    for name, (line, is_road) in lines.items():
        if is_road and not on_wheels:
            continue            # people follow trails; on a road they go from place to place
        way = shapely.LineString(line)
        away = way.distance(shapely.Point(point))
        if away < best:
            best, found, along_m = away, name, float(way.project(shapely.Point(point)))
    lat, lon = (float(v) for v in sector.frame.from_enu([point])[0])
    return found, round(along_m, 1), (round(lat, 6), round(lon, 6))


def spot_of(stop: Stop) -> Data:
    return {"on": stop[1], "at_m": stop[2]} if stop[1] else {"position": list(stop[3])}


def script_of(stops: list[Stop], kind: str, way: Array) -> list[Data]:
    """Acts that are where the contact was, when it was there, to some seconds; waits make up for who was slower."""
    script: list[Data] = []
    clock_s = stops[0][0]
    for n, (a, b) in enumerate(pairwise(stops)):
        follows = bool(a[1]) and a[1] == b[1]
        metres = abs(b[2] - a[2]) if follows else float(np.hypot(*(way[min(n + 1, len(way) - 1)] - way[n])))
        took_s = max(b[0] - a[0], 0.1)
        if metres < 1.0:
            continue
        if kind not in ("person", "boat"):
            speed = min(max(metres / took_s * 3.6, 5.0), 90.0)
            act: Data = {"do": "drive", "road": b[1], "to_m": b[2], "speed_kmh": round(speed, 1)}
            own_mps = speed / 3.6
        elif kind == "boat":
            act, own_mps = {"do": "go_to", "to": {"position": list(b[3])}}, 1.6
        else:
            share = 1.0 if follows else OFF_TRAIL
            gait, own_mps = min(
                ((g, GAITS[g].speed_mps(COMFORTABLE_MPS["young"][0]) * share) for g in ("walk", "stroll", "hurry", "run")),
                key=lambda found: abs(math.log(found[1] * took_s / metres)),
            )
            act = {"do": "follow_trail", "trail": b[1], "to_m": b[2]} if follows else {"do": "go_to", "to": spot_of(b)}
            act["gait"] = gait
        early_s = a[0] - clock_s
        if early_s > WAIT_FROM_S:
            script.append({"do": "wait", "seconds": round(early_s, 1)})
            clock_s = a[0]
        clock_s += metres / own_mps
        same = script[-1] if script else {}
        if follows and same.get("do") == act["do"] and same.get("gait") == act.get("gait") and act["do"] == "follow_trail" \
                and same["trail"] == act["trail"] and _goes_on(script, act):
            same["to_m"] = act["to_m"]
        else:
            script.append(act)
    left_s = stops[-1][0] - clock_s
    if not script or left_s > WAIT_FROM_S:
        seconds = left_s if script else max(stops[-1][0] - stops[0][0], 1.0)
        script.append({"do": "wait", "seconds": round(seconds, 1)})
    return script


def _goes_on(script: list[Data], act: Data) -> bool:
    """Whether an act goes on the way of the last one, and does not turn back."""
    before = next((s["to_m"] for s in script[-2::-1] if s.get("trail") == act["trail"]), None)
    last = script[-1]["to_m"]
    return before is None or (last - before) * (act["to_m"] - last) > 0


def simplified(way: Array) -> list[int]:
    """Indices of the points that tell the way (Douglas and Peucker, 1973), and of those where somebody stood."""
    keep = {0, len(way) - 1}
    ahead = [(0, len(way) - 1)]
    while ahead:
        i, j = ahead.pop()
        if j - i < 2:
            continue
        a, d = way[i], way[j] - way[i]
        length = float(np.hypot(*d))
        off = way[i + 1:j] - a
        away = np.abs(off[:, 0] * d[1] - off[:, 1] * d[0]) / length if length > 0.5 else np.hypot(*off.T)
        k = int(np.argmax(away))
        if away[k] > SIMPLER_BY_M:
            keep.add(i + 1 + k)
            ahead += [(i, i + 1 + k), (i + 1 + k, j)]
    return sorted(keep)


def go_on_unseen(actor: Data, lines: dict[str, tuple[Array, bool]]) -> None:
    """Whoever was seen on a trail came along it and went on along it: nobody appears before a camera, or vanishes there."""
    script: list[Data] = actor["script"]
    first, last = script[0], next((a for a in reversed(script) if a["do"] != "wait"), script[0])
    if first["do"] == "follow_trail" and actor["at"].get("on") == first["trail"]:
        at_m, forwards = actor["at"]["at_m"], first["to_m"] >= actor["at"]["at_m"]
        pace = GAITS[first["gait"]].speed_mps(COMFORTABLE_MPS["young"][0])
        room = at_m if forwards else float(lengths_along(lines[first["trail"]][0])[-1]) - at_m
        lead_m = min(CAME_M, room, actor["enters_s"] * pace)
        actor["at"]["at_m"] = round(at_m - lead_m if forwards else at_m + lead_m, 1)
        actor["enters_s"] = round(actor["enters_s"] - lead_m / pace, 1)
    if last["do"] == "follow_trail":
        before = [a["to_m"] for a in script if a.get("trail") == last["trail"] and a is not last][-1:]
        came_from = before[0] if before else actor["at"].get("at_m", 0.0) if actor["at"].get("on") == last["trail"] else 0.0
        length = float(lengths_along(lines[last["trail"]][0])[-1])
        on_m = min(last["to_m"] + WENT_M, length) if last["to_m"] >= came_from else max(last["to_m"] - WENT_M, 0.0)
        if script[-1] is last:
            last["to_m"] = round(on_m, 1)
        else:
            script.append({**last, "to_m": round(on_m, 1)})
