"""A landscape that was made once is read again: by the other processes of the same rehearsal, and by the next one.

A cache file is named by a digest of everything that the landscape follows from, the code included; a file that cannot be
read is made anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import scipy
import shapely

from geofences.geodesy import Array
from geofences.terrain import GridTerrain
from sim.world_scenario import Scenario
from sim.world_state import Landscape, Plants

KEPT = 4                        # landscapes, of some 60 MB each; the oldest goes
_PLANTS = ("species", "east_m", "north_m", "height_m", "crown_m", "seed")

_log = logging.getLogger("trailwatch.world")


def cache_folder() -> Path:
    """Where landscapes are kept: $XDG_CACHE_HOME/trailwatch/landscapes, by default under ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "trailwatch" / "landscapes"


def cached_landscape(scenario: Scenario, folder: Path | None = None) -> Landscape:
    """The landscape of a scenario: from the cache, or made and put there. A cache that cannot be written is done without."""
    folder = folder or cache_folder()
    file = folder / f"{digest(scenario)}.npz"
    if file.exists():
        try:
            return _read(file, scenario.landscape.seed)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            _log.warning("%s cannot be read (%s); the landscape is made anew", file, error)
    landscape = scenario.make_landscape()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _write(file, landscape)
        for old in sorted(folder.glob("*.npz"), key=lambda p: p.stat().st_mtime, reverse=True)[KEPT:]:
            old.unlink(missing_ok=True)
    except OSError as error:
        _log.warning("the landscape is not kept for the next time: %s", error)
    return landscape


def digest(scenario: Scenario) -> str:
    """Of the sector's geometry, the plan, the seed, and the code that makes a landscape of them."""
    sector = scenario.sector
    parts = [
        np.__version__.encode(), scipy.__version__.encode(), msgspec.msgpack.encode(scenario.landscape),
        msgspec.msgpack.encode(sector.corridor_set), shapely.to_wkb(sector.border.line), shapely.to_wkb(sector.box),
        shapely.to_wkb(sector.border.own_side), *(shapely.to_wkb(k.outline) for k in sector.keep_outs),
    ]
    parts += [source.read_bytes() for source in sorted(Path(__file__).parent.glob("landscape*.py"))]
    total = hashlib.sha256()
    for part in parts:
        total.update(len(part).to_bytes(8, "little") + part)
    return total.hexdigest()[:24]


def _write(file: Path, landscape: Landscape) -> None:
    """All or nothing: several processes may make the same landscape at once."""
    arrays: dict[str, Any] = {
        "heights": landscape.terrain.heights_msl_m, "cover": landscape.cover, "river": landscape.river,
        "water": landscape.water_msl_m,
        "numbers": np.array([*landscape.terrain.south_west_enu_m, landscape.terrain.step_m, *landscape.cover_south_west_m,
                             landscape.cover_step_m, landscape.river_width_m]),
    }
    arrays |= {f"trail/{name}": line for name, line in landscape.trails.items()}
    arrays |= {f"road/{name}": line for name, line in landscape.roads.items()}
    arrays |= {f"plants/{name}": getattr(landscape.plants, name) for name in _PLANTS}
    handle, name = tempfile.mkstemp(dir=file.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as out:
            np.savez(out, **arrays)
        Path(name).replace(file)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(name).unlink()
        raise


def _read(file: Path, seed: int) -> Landscape:
    with np.load(file, allow_pickle=False) as archive:
        n = archive["numbers"].tolist()

        def lines(kind: str) -> dict[str, Array]:
            return {key.removeprefix(kind): archive[key] for key in archive.files if key.startswith(kind)}

        return Landscape(
            seed=seed,
            terrain=GridTerrain(archive["heights"], (n[0], n[1]), n[2], 0.0, synthetic=True),
            cover=archive["cover"],
            cover_south_west_m=(n[3], n[4]),
            cover_step_m=n[5],
            plants=Plants(*(archive[f"plants/{name}"] for name in _PLANTS)),
            trails=lines("trail/"),
            roads=lines("road/"),
            river=archive["river"],
            river_width_m=n[6],
            water_msl_m=archive["water"],
        )
