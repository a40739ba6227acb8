"""Layers of the agency's own, beside the base map: each a folder with its tiles and a sheet that says where it is from."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from station.basemap import BaseMapKind, BaseMaps, BaseMapSheet
from station.layer_check import Checked
from station.sentences import Sentence
from station.settings import StationSettings

FILE_LIMIT_BYTES = 110_000_000      # an agency's file of 100 MB, and what its form adds
LAYERS_MOST = 20
CHECK_S = 150                       # of the clock; the process gives itself less of the processor
SHEET, STAGED = "layer.json", ".staged"
ID = re.compile(r"L-[0-9a-f]{8}")


class OwnLayer(msgspec.Struct, frozen=True):
    """kind: vector or hillshade. added_by, added_ns: who took it, and when. sha256: of the file as it was given."""

    id: str
    name: str
    attribution: str
    as_of: str
    kind: BaseMapKind
    form: str
    features: int
    sha256: str
    added_by: str
    added_ns: int
    sheet: BaseMapSheet | None = None


class LayerStore:
    """The folder `own` beside the base map's files. Whatever stands in it half-made is under STAGED, and is no layer."""

    def __init__(self, settings: StationSettings) -> None:
        self._settings = settings
        self._folder = settings.basemap_dir / "own"
        self._maps: dict[str, BaseMaps] = {}

    def layers(self) -> tuple[OwnLayer, ...]:
        found = []
        for path in sorted(self._folder.glob(f"L-*/{SHEET}")):
            with contextlib.suppress(OSError, msgspec.DecodeError):
                layer = msgspec.json.decode(path.read_bytes(), type=OwnLayer)
                sheets = self._map(layer.id).sheets()
                sheet = sheets.vector if layer.kind is BaseMapKind.VECTOR else sheets.hillshade
                found.append(msgspec.structs.replace(layer, sheet=sheet))
        return tuple(sorted(found, key=lambda layer: layer.added_ns))

    def tile(self, layer: str, kind: BaseMapKind, version: str, zoom: int, x: int, y: int) -> tuple[bytes, str] | None:
        return self._map(layer).tile(kind, version, zoom, x, y) if ID.fullmatch(layer) else None

    def _map(self, layer: str) -> BaseMaps:
        return self._maps.setdefault(layer, BaseMaps(self._folder / layer))

    def stage(self) -> Path:
        """A new folder for a file that comes; what was staged before is gone: one is looked at at a time."""
        shutil.rmtree(self._folder / STAGED, ignore_errors=True)
        folder = self._folder / STAGED / secrets.token_hex(4)
        folder.mkdir(parents=True)
        return folder

    def check(self, file: Path, sha256: str, name: str) -> Checked:
        """Look at a staged file, in a process of its own; what it says is kept beside it, by the file's digest."""
        out = file.parent
        arguments = (str(file), str(out), str(self._settings.sector), name, name, "")
        try:
            done = subprocess.run(
                [sys.executable, "-m", "station.layer_check", *arguments],
                capture_output=True, timeout=CHECK_S, cwd=Path(__file__).resolve().parents[1], check=False,
                preexec_fn=_kindly,
            )
            found = msgspec.json.decode(done.stdout, type=Checked)
        except (subprocess.TimeoutExpired, msgspec.DecodeError):
            # Killed at its limits, or it did not come to an end.
            found = Checked(refused=Sentence("layer.refused.too_heavy"))
        file.unlink(missing_ok=True)
        (out / "checked.json").write_bytes(msgspec.json.encode({"sha256": sha256, "found": found}))
        return found

    def take(self, sha256: str, name: str, attribution: str, as_of: str, person: str, now_ns: int) -> OwnLayer | None:
        """Make a layer of the file that was looked at last; None where that was another one, or could not be taken."""
        for path in (self._folder / STAGED).glob("*/checked.json"):
            told = msgspec.json.decode(path.read_bytes(), type=_Staged)
            if told.sha256 != sha256 or told.found.refused is not None:
                continue
            kind = next(k for k in BaseMapKind if (path.parent / k.file).exists())
            layer = OwnLayer(
                f"L-{secrets.token_hex(4)}", name, attribution, as_of, kind, told.found.form, told.found.features, sha256,
                person, now_ns,
            )
            path.unlink()
            sheet = path.parent / SHEET
            with sheet.open("wb") as file:
                file.write(msgspec.json.encode(layer))
                file.flush()
                os.fsync(file.fileno())
            path.parent.rename(self._folder / layer.id)
            return layer
        return None

    def remove(self, layer: str) -> OwnLayer | None:
        found = next((it for it in self.layers() if it.id == layer), None)
        if found is not None:
            gone = self._folder / STAGED / f"gone-{secrets.token_hex(4)}"
            gone.parent.mkdir(exist_ok=True)
            (self._folder / layer).rename(gone)     # at once, and whole
            shutil.rmtree(gone, ignore_errors=True)
            self._maps.pop(layer, None)
        return found


class _Staged(msgspec.Struct):
    sha256: str
    found: Checked


def _kindly() -> None:
    """The station's own work goes first."""
    os.nice(10)
