"""Writes frames as a YOLO folder: images/, labels/, data.yaml, and frames.jsonl beside them with what labels cannot say.

    python -m sim.frames_write --out DIR --count 2000 --seed 0 --backgrounds BACKGROUNDS --processes 2
    python -m sim.frames_write --out DIR --count 300 --seed 9000000 --condition night

A folder that is there is gone on with: frames it has are not made again.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import msgspec
import numpy as np

from sim.frames import BLOCK, Frame, FrameMaker, FrameSettings
from sim.frames_arguments import add_arguments
from sim.frames_grounds import find_backgrounds
from wire.settings import SettingsError
from wire.units import ObjectClass

SIDECAR = "frames.jsonl"
DATA = "data.yaml"
SHEET_COLUMNS = 8
CLASSES = tuple(ObjectClass)


@dataclass(frozen=True, slots=True)
class Order:
    """What to write: frames of seeds first_seed to first_seed + count, into folder."""

    folder: Path
    first_seed: int
    count: int
    settings: FrameSettings
    backgrounds: Path | None


def write_frames(order: Order, processes: int) -> None:
    """Write all of an order, by blocks, in several processes. Raises SettingsError for backgrounds that cannot be used."""
    find_backgrounds(order.backgrounds)
    for part in ("images", "labels", "meta"):
        (order.folder / part).mkdir(parents=True, exist_ok=True)
    ends = range(order.first_seed, order.first_seed + order.count)
    blocks = sorted({seed // BLOCK for seed in ends})
    ranges = [(max(b * BLOCK, ends.start), min((b + 1) * BLOCK, ends.stop)) for b in blocks]
    if processes == 1:
        for begin, end in ranges:
            _write_block(order, begin, end)
    else:
        # A fresh process each block: what a graphics driver keeps is given back.
        with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=8) as pool:
            pool.starmap(_write_block, [(order, b, e) for b, e in ranges], chunksize=1)
    write_data_files(order.folder)


def write_data_files(folder: Path) -> None:
    """The files that say what a folder holds, when all its frames are there."""
    lines = [p.read_bytes() for p in sorted((folder / "meta").glob("*.json"))]
    (folder / SIDECAR).write_bytes(b"\n".join(lines) + b"\n")
    names = "\n".join(f"  {k}: {c.value}" for k, c in enumerate(CLASSES))
    path = msgspec.json.encode(str(folder.resolve())).decode()      # in quotes: a colon in it is none of YAML's
    (folder / DATA).write_text(f"path: {path}\ntrain: images\nval: images\nnames:\n{names}\n", encoding="utf-8")


def _write_block(order: Order, begin: int, end: int) -> None:
    os.environ.setdefault("LP_NUM_THREADS", "0")    # of the software rasterizer: it draws in this thread
    cv2.setNumThreads(1)
    missing = [s for s in range(begin, end) if not (order.folder / "meta" / f"{_name(s)}.json").exists()]
    if not missing:
        return
    maker = FrameMaker(order.settings, find_backgrounds(order.backgrounds))
    for seed in missing:
        write_frame(order.folder, maker.make(seed))
    maker.close()


def write_frame(folder: Path, frame: Frame) -> None:
    """One frame: picture, then labels, then the line that says it is whole."""
    name = _name(frame.seed)
    done, data = cv2.imencode(".jpg", frame.image, [cv2.IMWRITE_JPEG_QUALITY, frame.quality])
    assert done, "a picture in memory can always be encoded"
    (folder / "images" / f"{name}.jpg").write_bytes(data.tobytes())
    (folder / "labels" / f"{name}.txt").write_text("".join(f"{line}\n" for line in label_lines(frame)))
    (folder / "meta" / f"{name}.json").write_bytes(msgspec.json.encode(about(frame, name)))


def label_lines(frame: Frame) -> list[str]:
    """Class, middle and size as shares of the frame, as YOLO writes them."""
    height, width = frame.image.shape[:2]
    lines = []
    for label in frame.labels:
        left, top, right, bottom = label.box_px
        lines.append(
            f"{CLASSES.index(label.object_class)} {(left + right) / 2 / width:.6f} {(top + bottom) / 2 / height:.6f} "
            f"{(right - left) / width:.6f} {(bottom - top) / height:.6f}"
        )
    return lines


def about(frame: Frame, name: str) -> dict[str, object]:
    """The sidecar's line. objects are in the order of the labels."""
    return {
        "name": name, "seed": frame.seed, "condition": frame.condition, "rain": frame.rain, "fog": frame.fog,
        "height_m": round(frame.height_m, 2), "depression_deg": round(frame.depression_deg, 2), "simulated": True,
        "objects": [
            {"class": o.object_class.value, "kind": o.kind.value, "visible": round(o.visible, 3),
             "depression_deg": round(o.depression_deg, 2), "long_px": round(o.long_px, 1)}
            for o in frame.labels
        ],
    }


def contact_sheet(folder: Path, count: int, out: Path) -> None:
    """A picture of the first `count` frames with their boxes, for a person to judge."""
    tiles = []
    for path in sorted((folder / "images").glob("*.jpg"))[:count]:
        picture = cv2.imread(str(path))
        assert picture is not None, f"{path} cannot be read"
        side = picture.shape[0]
        for line in (folder / "labels" / f"{path.stem}.txt").read_text().splitlines():
            number, x, y, w, h = (float(v) for v in line.split())
            corner = (int((x - w / 2) * side), int((y - h / 2) * side)), (int((x + w / 2) * side), int((y + h / 2) * side))
            cv2.rectangle(picture, *corner, (0, 255, 255) if number == 0 else (255, 120, 0), 1)
            cv2.putText(picture, CLASSES[int(number)].value, corner[0], cv2.FONT_HERSHEY_SIMPLEX, 0.3, (255, 255, 255), 1)
        tiles.append(picture)
    while len(tiles) % SHEET_COLUMNS:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.hstack(tiles[k:k + SHEET_COLUMNS]) for k in range(0, len(tiles), SHEET_COLUMNS)]
    cv2.imwrite(str(out), np.vstack(rows))


def _name(seed: int) -> str:
    return f"sim-{seed:09d}"


def run(a: argparse.Namespace) -> int:
    """Carry out `models frames`."""
    if not 96 <= a.side <= 2048 or a.side % 32:
        raise SettingsError(f"--side {a.side}: give a multiple of 32 between 96 and 2048, for example 416")
    settings = FrameSettings(a.side, a.empty, a.busy, a.people, a.condition, None if a.rain is None else a.rain == "yes")
    write_frames(Order(a.out, a.seed, a.count, settings, a.backgrounds), max(1, a.processes))
    if a.sheet is not None:
        contact_sheet(a.out, 40, a.sheet)
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m sim.frames_write", description=__doc__)
    add_arguments(parser)
    try:
        return run(parser.parse_args())
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
