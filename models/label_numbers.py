"""What the class numbers of a labelled folder mean: what its data.yaml says, and our own order where there is none.

Tools that label number classes in their own way, by the alphabet for one: taken for ours, people would be cars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from models.loading import CLASSES, in_words, our_class, told
from wire.settings import SettingsError

DATA = "data.yaml"
EXAMPLE = "Give names: [person, car], in the order of their numbers."


@dataclass(frozen=True, slots=True)
class Numbering:
    """names: of each number that a label may have. ours: of those that are ours, the index into CLASSES. said_by: the file
    that says so; None where nobody does, and our own order is assumed.
    """

    names: Mapping[int, str]
    ours: Mapping[int, int]
    said_by: Path | None

    @property
    def words(self) -> str:
        numbered = told(f"{number} {name}" for number, name in self.names.items())
        if self.said_by is None:
            return f"classes of the labels: no {DATA}, so they are taken for {numbered}"
        left_out = told(name for number, name in self.names.items() if number not in self.ours)
        return f"classes of the labels, by {self.said_by}: {numbered}" + (f"; left out: {left_out}" if left_out else "")


def numbering_of(folder: Path) -> Numbering:
    """By `folder`'s data.yaml, or by that of the folder around it, where YOLO's data sets have it. Raises SettingsError."""
    said_by = next((path for path in (folder / DATA, folder.resolve().parent / DATA) if path.is_file()), None)
    names = {k: c.value for k, c in enumerate(CLASSES)} if said_by is None else _names(said_by)
    ours = {number: k for number, name in names.items() if (k := our_class(name)) is not None}
    if not ours:
        raise SettingsError(f"{said_by}: knows {told(names.values())}, and none of {', '.join(CLASSES)}. {EXAMPLE}")
    return Numbering(names, ours, said_by)


def _names(path: Path) -> dict[int, str]:
    with in_words(path, "YAML that can be read", EXAMPLE):
        held = yaml.safe_load(path.read_bytes())
    names = held.get("names") if isinstance(held, dict) else None
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict) or not names:
        raise SettingsError(f"{path}: says no names, so nobody knows what the numbers of its labels mean. {EXAMPLE}")
    with in_words(path, "names by their numbers", EXAMPLE):
        return {int(number): str(name) for number, name in names.items()}
