"""What fusion costs with 300 contacts, and what it is worth against the simulated world's truth, beside Stone Soup.

Cost is the processor's time. Truth: two masts and a drone watch five walkers (sim.sightings); Stone Soup's two trackers get
the same detections, in the order of capture, which spares them what ours has to put right. For JPDA films are cut short: it
counts out every joint hypothesis, and takes minutes for one of them.
"""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import statistics
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
from scipy.stats import chi2

from benchmarks.form import Figure, Peer, figure
from benchmarks.fusion_load import CONTACTS, FPS, SECONDS, SENSORS, load
from geofences.sector import load_sector
from sim.fusion_score import FusionScore, score
from sim.gospa import gospa
from sim.landscape_cache import cached_landscape
from sim.sightings import Film, film, watched_scenario
from sim.world_scenario import load_scenario
from wire.settings import SettingsError

CONFIGS = Path(__file__).resolve().parents[1] / "configs"
LOAD_RUNS = 3
FILMS = range(121, 131)         # seeds; none of them was looked at while fusion was being made
NEIGHBOUR_FILMS = FILMS[:4]
FILM_S = 300.0
JPDA_FILMS, JPDA_S = range(201, 203), 45.0


@dataclass(frozen=True, slots=True)
class _Against:
    """Mean GOSPA, metres, of one film: ours, and one of Stone Soup's trackers."""

    ours: float
    theirs: float


def measure() -> dict[str, Figure]:
    if importlib.util.find_spec("stonesoup") is None:
        raise SettingsError('bench fusion: compares with Stone Soup, which is not here; .venv/bin/pip install -e ".[peers]"')
    # Read once, when numpy is loaded: so in a process of its own.
    os.environ.update({"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:
        loads = list(alone.map(_load, range(LOAD_RUNS)))
        scores = list(alone.map(_scored, FILMS))
        neighbour = list(alone.map(_against_neighbour, NEIGHBOUR_FILMS))
        jpda = list(alone.map(_against_jpda, JPDA_FILMS))
    return (
        _cost(loads) | _worth(scores)
        | _beside("gospa_ratio_gnn", "Stone Soup GNN, metres", neighbour, FILM_S)
        | _beside("gospa_ratio_jpda", "Stone Soup JPDA, metres", jpda, JPDA_S)
    )


def _cost(loads: list[tuple[float, int]]) -> dict[str, Figure]:
    how = f"{CONTACTS} walkers, {SENSORS} sensors, each walker in two, {FPS} Hz"
    return {
        "core_share": figure(
            [s for s, _ in loads], "share", f"of one core, processor time of station.fusion alone; {how}; {SECONDS} s",
            "<= 0.5",
        ),
        "contacts_for_300": figure([float(n) for _, n in loads], "", "contacts alive at the end of it"),
    }


def _worth(scores: list[FusionScore]) -> dict[str, Figure]:
    how = f"two masts and a drone, {len(scores)} films of {FILM_S:.0f} s from a cold start"
    one = [s.one / s.asked for s in scores]
    switches, walker_s = sum(s.switches for s in scores), sum(s.walker_s for s in scores)
    each = [s.switches / s.walker_s * 600.0 for s in scores]
    share = sum(s.one for s in scores) / sum(s.asked for s in scores)
    low, high = nees_bounds(len(scores))
    return {
        # Of all films together, not the median: one bad film is part of the time too.
        "one_contact_share": _spread(
            figure([share], "share", f"of seconds and walkers in sight with exactly one contact; {how}", ">= 0.95"), one
        ),
        "switches_per_10_min": _spread(
            figure([switches / walker_s * 600.0], "", f"identity switches in 10 min of a walker in sight; {how}", "<= 1"),
            each,
        ),
        "nees_above_low": figure(
            [nees(scores)], "", f"mean NEES of 2 degrees of freedom, a walker a film; lower 95 % bound {low:.3g}",
            f">= {low:.3f}",
        ),
        "nees_below_high": figure([nees(scores)], "", f"the same; upper 95 % bound {high:.3g}", f"<= {high:.3f}"),
        "error_m": figure([statistics.fmean(s.errors_m) for s in scores], "m", "mean distance of contact and walker"),
        "gospa_m": figure([statistics.fmean(s.gospa_m) for s in scores], "m", "mean GOSPA, cut off at 5 m, alpha 2, p 2"),
    }


def _spread(whole: Figure, each: list[float]) -> Figure:
    """A figure of all films together, with the least and greatest of them."""
    return msgspec.structs.replace(whole, spread=(float(f"{min(each):.4g}"), float(f"{max(each):.4g}")))


def nees(scores: list[FusionScore]) -> float:
    """Mean over the films of the mean of each: errors of one film share its sensors' offsets, films share nothing."""
    return statistics.fmean(statistics.fmean(q for squares in s.squares.values() for q in squares) for s in scores)


def nees_bounds(films: int) -> tuple[float, float]:
    """Two-sided 95 % bounds of a mean over independent films, each of one independent error of two degrees of freedom."""
    return float(chi2.ppf(0.025, 2 * films)) / films, float(chi2.ppf(0.975, 2 * films)) / films


def _beside(key: str, name: str, against: list[_Against], seconds: float) -> dict[str, Figure]:
    how = f"mean GOSPA, ours over theirs, {len(against)} films of {seconds:.0f} s"
    peer = Peer(name, float(f"{statistics.fmean(a.theirs for a in against):.4g}"))
    return {key: figure([a.ours / a.theirs for a in against], "ratio", how, "<= 1.1", peer)}


def _film(seed: int, seconds: float) -> Film:
    sector = load_sector(CONFIGS / "sectors/laobao/sector.toml")
    scenario = watched_scenario(load_scenario(CONFIGS / "worlds/dusk.toml", sector))
    return film(scenario, cached_landscape(scenario), sector, seed, seconds)


def _load(seed: int) -> tuple[float, int]:
    return load(load_sector(CONFIGS / "sectors/laobao/sector.toml").corridors, seed)


def _scored(seed: int) -> FusionScore:
    return score(_film(seed, FILM_S), load_sector(CONFIGS / "sectors/laobao/sector.toml").corridors)


def _against_neighbour(seed: int) -> _Against:
    return _against(seed, FILM_S, jpda=False)


def _against_jpda(seed: int) -> _Against:
    return _against(seed, JPDA_S, jpda=True)


def _against(seed: int, seconds: float, jpda: bool) -> _Against:
    from benchmarks.peers.stone_soup import tracked

    seen = _film(seed, seconds)
    ours = statistics.fmean(score(seen, load_sector(CONFIGS / "sectors/laobao/sector.toml").corridors).gospa_m)
    theirs = statistics.fmean(
        gospa(np.array(list(t.walkers.values())), np.array(list(places.values()))).distance_m
        for t, places in zip(seen.truths, tracked(seen, jpda), strict=True)
    )
    return _Against(ours, theirs)
