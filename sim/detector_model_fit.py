"""Fits the detector model to what sim.detector_model_measure wrote down.

    python -m sim.detector_model_fit --rows FOLDER --out sim/assets/detector_model.json

Coefficients: logistic regression with a weak ridge (people: all features; vehicles: those that their few rows can tell). How
long misses last: the correlation of what the curve leaves over, one picture and RUN_S later, by the arcsine law for halves
(Sheppard 1899). Printed beside it: recall as measured and as the model has it, by height, so that a bad fit is seen.
"""

from __future__ import annotations

import argparse
import csv
import math
import sys
from collections import defaultdict
from itertools import pairwise
from pathlib import Path

import msgspec
import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from edge.tracker import HISTORY, HITS_LEAST
from geofences.geodesy import Array
from sim.detector_model import (
    BENT,
    FEATURES,
    LOW,
    THERMAL_GROUP,
    DetectorModel,
    FalseFind,
    GroupModel,
    Luck,
    Persistence,
    Sights,
    Stand,
    chances,
)
from sim.detector_model_measure import FPS
from sim.world_state import DETECTED_AS, Kind
from station.contacts import group_of

RIDGE = 0.15
THRESHOLD = 0.4                 # of the demo's nodes (configs/demo/world)
FOR_VEHICLES = ("one", "log_height", "log_height_squared", "hidden", "grey", "haze")
FOR_THERMAL = ("one", "log_height", "log_height_squared", "hidden", "haze", "rain", "depression", "low", "bent")
THERMAL_LEAST = 100             # finds, for a curve of its own
RUN_S = 3.0
SLOPE_RIDGE = 0.25              # of the scores' slope: few finds of much the same chance tell none
CONFIRMABLE = 6                 # pictures of somebody, at the least, to be asked about
BANDS_PX = (6, 12, 16, 24, 32, 48, 64, 96, 400)
PICTURE_PX = (960.0, 540.0)
ANIMALS = ("buffalo", "dog")

Row = dict[str, str]


def read_rows(folder: Path) -> list[Row]:
    rows: list[Row] = []
    for file in sorted(folder.glob("*.csv")):
        if not file.name.endswith(".false.csv"):
            with file.open(encoding="utf-8") as opened:
                rows += csv.DictReader(opened)
    return rows


def sights_of(rows: list[Row]) -> Sights:
    def column(name: str) -> Array:
        return np.array([float(r[name]) for r in rows])

    return Sights(
        column("high_px"), column("visible"), column("grey") > 0, column("distance_m"), column("visibility_m"),
        column("rain_mm_h"), column("depression_deg"), np.array([r["posture"] in LOW for r in rows], bool),
        np.array([r["posture"] in BENT for r in rows], bool),
    )


def fit_group(rows: list[Row], uses: tuple[str, ...]) -> GroupModel:
    """Of the rows that were looked at."""
    x, y = sights_of(rows).features(), np.array([r["found"] == "1" for r in rows], float)
    used = np.array([f in uses for f in FEATURES])

    def cost(w: Array) -> tuple[float, Array]:
        z = x[:, used] @ w
        p = expit(z)
        value = float(np.logaddexp(0, z).sum() - (y * z).sum() + RIDGE * (w[1:] ** 2).sum())
        slope = x[:, used].T @ (p - y) + 2 * RIDGE * np.concatenate([[0.0], w[1:]])
        return value, slope

    fitted = minimize(cost, np.zeros(int(used.sum())), jac=True, method="L-BFGS-B").x
    weights = np.zeros(len(FEATURES))
    weights[used] = fitted
    found = [r for r in rows if r["found"] == "1"]
    logit_p = sights_of(found).features() @ weights
    scores = np.clip([float(r["score"]) for r in found], 0.02, 0.98)
    logits = np.log(scores / (1 - scores))
    spread = float(np.var(logit_p))
    slope = float(np.cov(logit_p, logits)[0, 1]) / (spread + SLOPE_RIDGE)
    slope = min(max(slope, 0.0), 1.0)
    offset = float(np.mean(logits - slope * logit_p))
    sigma = float(np.std(logits - offset - slope * logit_p))
    high = np.array([float(r["high_px"]) for r in found])
    wide = np.array([float(r["wide_px"]) for r in found])
    return GroupModel(
        tuple(float(round(w, 4)) for w in weights), (round(float(offset), 4), round(float(slope), 4), round(sigma, 4)),
        _robust(np.array([float(r["foot_dy"]) for r in found]) / high),
        _robust(np.array([float(r["top_off"]) for r in found]) / high),
        _robust(np.array([float(r["foot_dx"]) for r in found]) / wide), len(rows), len(found),
    )


def _robust(values: Array) -> tuple[float, float]:
    """Mean and deviation without the wildest hundredth."""
    low, high = np.percentile(values, [0.5, 99.5])
    kept = values[(values >= low) & (values <= high)]
    return round(float(kept.mean()), 4), round(float(kept.std()), 4)


def correlations(rows: list[Row], p: Array) -> tuple[float, float, float]:
    """Of what the curve leaves over: after one picture, after RUN_S, after three times that."""
    left: dict[tuple[str, ...], dict[int, float]] = defaultdict(dict)
    for row, chance in zip(rows, p, strict=True):
        if 0.03 < chance < 0.97:
            key = (row["world"], row["camera"], row["lens"], row["actor"])
            spread = math.sqrt(chance * (1 - chance))
            left[key][round(float(row["t_s"]) * FPS)] = (float(row["found"]) - float(chance)) / spread
    out = []
    for lag in (1, round(RUN_S * FPS), round(3 * RUN_S * FPS)):
        pairs = [(v, series[k + lag]) for series in left.values() for k, v in series.items() if k + lag in series]
        out.append(float(np.mean([a * b for a, b in pairs])) if pairs else 0.0)
    return out[0], out[1], out[2]


def persistence_of(correlated: tuple[float, float, float]) -> Persistence:
    """From `correlations`. What has not faded at all after RUN_S, and is gone after three times that, lasts so long."""
    one, later, long = (math.sin(math.pi / 2 * max(v, 0.0)) for v in correlated)
    lasting = max(one - long, 0.0)
    ratio = (later - long) / lasting if lasting > 0.02 else 0.0
    lasting_s = (RUN_S - 1 / FPS) / -math.log(ratio) if 0.02 < ratio < 0.98 else 1.0 if ratio < 0.5 else 3 * RUN_S
    lasting = min(lasting * math.exp(1 / FPS / lasting_s), 0.98 - long)
    return Persistence(round(long, 4), round(lasting, 4), round(lasting_s, 3))


def wobble(rows: list[Row]) -> float:
    """Correlation of the foot's error from one picture to the next."""
    left: dict[tuple[str, ...], dict[int, float]] = defaultdict(dict)
    for r in rows:
        if r["found"] == "1":
            key = (r["world"], r["camera"], r["lens"], r["actor"])
            left[key][round(float(r["t_s"]) * FPS)] = float(r["foot_dy"]) / float(r["high_px"])
    pairs = np.array([(v, s[k + 1]) for s in left.values() for k, v in s.items() if k + 1 in s])
    return float(np.corrcoef(pairs.T)[0, 1]) if len(pairs) > 10 else 0.5


def stands_of(folder: Path, rows: list[Row]) -> tuple[Stand, ...]:
    light = {(r["world"], r["camera"], r["lens"]): (r["grey"] == "1", float(r["rain_mm_h"]) > 0.5) for r in rows}
    stands = []
    for file in sorted(folder.glob("*.pictures")):
        with (folder / f"{file.stem}.false.csv").open(encoding="utf-8") as opened:
            finds = list(csv.DictReader(opened))
        world, _, rest = file.stem.partition("-camera-")
        world, camera, lens = world.partition("~")[0].rstrip("+"), f"camera-{rest.split('-')[0]}", rest.split("-")[1]
        keys = [k for k in light if k[0] == world and k[1] == camera and float(k[2]) == float(lens)]
        grey, rain = light[keys[0]] if keys else (False, False)
        first = min((float(f["t_s"]) for f in finds), default=0.0)
        kept = tuple(
            FalseFind(
                round((float(f["t_s"]) - first) * FPS),
                (round(float(f["x1"]) / PICTURE_PX[0], 4), round(float(f["y1"]) / PICTURE_PX[1], 4),
                 round(float(f["x2"]) / PICTURE_PX[0], 4), round(float(f["y2"]) / PICTURE_PX[1], 4)),
                float(f["score"]), int(f["class"]),
            )
            for f in finds if not f["over"]
        )
        stands.append(Stand(file.stem, grey, rain, int(file.read_text(encoding="utf-8")), kept))
    return tuple(stands)


def thermal_groups(folder: Path) -> tuple[dict[str, GroupModel], tuple[Stand, ...], str]:
    """Of thermal cameras: curves of every group of which enough was found, what was found where nobody was, and a table."""
    every = read_rows(folder)
    groups: dict[str, list[Row]] = defaultdict(list)
    for r in every:
        what = DETECTED_AS[Kind(r["kind"])]
        if what is not None and r["looked"] == "1" and float(r["visible"]) > 0.05:
            groups["person" if group_of(what) == "person" else "vehicle"].append(r)
    models = {
        f"{name}{THERMAL_GROUP}": fit_group(rows, FOR_THERMAL if name == "person" else FOR_VEHICLES)
        for name, rows in groups.items() if sum(r["found"] == "1" for r in rows) >= THERMAL_LEAST
    }
    for name, model in models.items():
        rows = groups[name.removesuffix(THERMAL_GROUP)]
        lasts = persistence_of(correlations(rows, chances(model, sights_of(rows))))
        models[name] = msgspec.structs.replace(model, persistence=lasts)
    stands = tuple(msgspec.structs.replace(s, thermal=True) for s in stands_of(folder, every))
    return models, stands, table({n: groups[n.removesuffix(THERMAL_GROUP)] for n in models}, models)


def animal_of(folder: Path, rows: list[Row]) -> tuple[float, float, float]:
    """How often an animal is taken for somebody, in one picture, and the score's logit: mean and deviation."""
    seen = sum(1 for r in rows if r["kind"] in ANIMALS and float(r["high_px"]) >= 12 and float(r["visible"]) > 0.3)
    scores = []
    for file in sorted(folder.glob("*.false.csv")):
        with file.open(encoding="utf-8") as opened:
            scores += [float(f["score"]) for f in csv.DictReader(opened) if f["over"] in ANIMALS and f["class"] == "0"]
    logits = [math.log(s / (1 - s)) for s in scores if 0 < s < 1]
    mean, sigma = (float(np.mean(logits)), float(np.std(logits))) if logits else (-2.0, 0.5)
    return round(len(scores) / max(seen, 1), 5), round(mean, 3), round(sigma, 3)


def fit(
    folder: Path, vehicles: Path | None, weights: str, measured: str, thermal: Path | None = None
) -> tuple[DetectorModel, str]:
    """The model, and a table of how it fits. vehicles: more rows, of which the vehicles alone count. thermal: rows that were
    measured through thermal cameras.
    """
    every = read_rows(folder)
    more = [r for r in read_rows(vehicles) if DETECTED_AS[Kind(r["kind"])] is not None] if vehicles is not None else []
    more = [r for r in more if r["kind"] != Kind.PERSON.value]
    rows = [r for r in [*every, *more] if r["looked"] == "1" and float(r["visible"]) > 0.05]
    groups: dict[str, list[Row]] = defaultdict(list)
    for r in rows:
        what = DETECTED_AS[Kind(r["kind"])]
        if what is not None:
            groups["person" if group_of(what) == "person" else "vehicle"].append(r)
    models = {"person": fit_group(groups["person"], FEATURES), "vehicle": fit_group(groups["vehicle"], FOR_VEHICLES)}
    p = chances(models["person"], sights_of(groups["person"]))
    near, run, far = correlations(groups["person"], p)
    lasts = persistence_of((near, run, far))
    moves = wobble(groups["person"])
    stands = stands_of(folder, every)
    warm, warm_stands, warm_words = thermal_groups(thermal) if thermal is not None else ({}, (), "")
    stands += warm_stands
    model = DetectorModel(
        weights, 768, measured, sum(s.pictures for s in stands), FPS, models | warm, lasts.standing_share,
        lasts.lasting_share, lasts.lasting_s, round(min(max(moves, 0.0), 0.95), 3), 0.6, animal_of(folder, every), stands,
    )
    checked = "\n".join(
        f"confirmed, {light:6} pixels {hits} of {of}, model {expected:.1f}"
        for light, (hits, of, expected) in sorted(confirmations(groups["person"], model, THRESHOLD).items())
    )
    words = f"{table(groups, models)}\n{warm_words}\n{checked}"
    return model, f"{words}\ncorrelations {near:.3f} {run:.3f} {far:.3f}; foot {moves:.3f}"


def confirmations(
    rows: list[Row], model: DetectorModel, threshold: float, tries: int = 200
) -> dict[str, tuple[int, int, float]]:
    """By light: people whose track would be confirmed (three finds, median of the scores), of how many, and how many of them
    the model confirms on the very same pictures, in the mean of `tries` runs. The check of the model against pixels.
    """
    people: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for r in rows:
        people[r["world"], r["camera"], r["lens"], r["actor"]].append(r)
    chance = np.random.default_rng(5)
    group = model.groups["person"]
    out: dict[str, tuple[int, int, float]] = {}
    for seen in people.values():
        if len(seen) < CONFIRMABLE:
            continue
        first = seen[0]
        light = "night" if first["grey"] == "1" else "fog" if float(first["visibility_m"]) < 1500 else (
            "rain" if float(first["rain_mm_h"]) > 0.5 else "day")
        p = chances(group, sights_of(seen))
        times = [float(r["t_s"]) for r in seen]
        by_model = 0
        for _ in range(tries):
            luck = Luck(model, chance)
            drawn = [float(q) for q, t in zip(p, times, strict=True) if luck.draw(float(q), t, group.persistence)]
            by_model += _confirmed([luck.score(group, q) for q in drawn], threshold)
        hits, of, expected = out.get(light, (0, 0, 0.0))
        by_pixels = _confirmed([float(r["score"]) for r in seen if r["found"] == "1"], threshold)
        out[light] = (hits + by_pixels, of + 1, expected + by_model / tries)
    return out


def _confirmed(scores: list[float], threshold: float) -> bool:
    return any(
        k >= HITS_LEAST and float(np.median(scores[max(0, k - HISTORY):k])) >= threshold for k in range(1, len(scores) + 1)
    )


def table(groups: dict[str, list[Row]], models: dict[str, GroupModel]) -> str:
    """Recall as measured and as fitted, by height and light."""
    lines = []
    for name, rows in groups.items():
        sights = sights_of(rows)
        p = chances(models[name], sights)
        found = np.array([r["found"] == "1" for r in rows])
        light = np.array(["grey" if g else "fog" if v < 1500 else "rain" if r > 0.5 else "day" for g, v, r in
                          zip(sights.grey, sights.visibility_m, sights.rain_mm_h, strict=True)])
        for kind in np.unique(light):
            for low, high in pairwise(BANDS_PX):
                which = (light == kind) & (sights.high_px >= low) & (sights.high_px < high)
                if which.sum() >= 10:
                    lines.append(f"{name:8} {kind:5} {low:4}-{high:<4} n {which.sum():5} measured {found[which].mean():.3f} "
                                 f"model {p[which].mean():.3f}")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--vehicles", type=Path, help="a folder of more rows, of which the vehicles alone count")
    parser.add_argument("--thermal", type=Path, help="a folder of rows of thermal cameras")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--weights", default="yolo11n")
    parser.add_argument("--measured", default="", help="a line on when and on what it was measured")
    a = parser.parse_args()
    model, words = fit(a.rows, a.vehicles, a.weights, a.measured, a.thermal)
    a.out.write_bytes(msgspec.json.format(msgspec.json.encode(model), indent=1))
    print(words)        # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(main())
