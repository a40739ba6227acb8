"""The copy of an exercise that lies in a run's folder: it reads the same, wherever the folder and its source go.

What it names (sector, landscape, nodes) stands there with whole paths; everything else, comments too, as it was written. So
somebody may go on working at the exercise while it runs, and a debrief reads what was run, not what became of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tomlkit

from sim.exercise_scenario import Exercise, load_exercise

KEPT = "exercise.toml"
SOURCE = "source.txt"          # where it came from, for whoever looks into the folder


def keep_exercise(exercise: Exercise, folder: Path) -> Path:
    """Write both into a run's folder; the path of the copy."""
    kept = folder / KEPT
    document = tomlkit.parse(exercise.file.read_text(encoding="utf-8"))
    with_whole_paths(document, exercise.file.parent)
    kept.write_text(tomlkit.dumps(document), encoding="utf-8")
    (folder / SOURCE).write_text(f"{exercise.file}\n", encoding="utf-8")
    return kept


def with_whole_paths(document: tomlkit.TOMLDocument, beside: Path) -> None:
    """Turn every path in an exercise, which counts from the folder `beside`, into a whole one."""
    places: list[tuple[Any, str]] = [(document, "sector"), (document, "landscape")]
    places += [(entry, "like") for kind in ("cameras", "drones") for entry in document.get(kind, [])]
    for table, key in places:
        if isinstance(table.get(key), str):
            comment = table[key].trivia.comment, table[key].trivia.comment_ws
            table[key] = str((beside / str(table[key])).resolve())
            table[key].trivia.comment, table[key].trivia.comment_ws = comment


def read_kept(run: Path) -> Exercise:
    """The exercise as it was run. Raises SettingsError where the copy, or what it names, cannot be read any more."""
    return load_exercise(run / KEPT)
