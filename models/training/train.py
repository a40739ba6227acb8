"""Trains a detector for the seven classes from ultralytics' architecture file, from nobody's weights.

    python -m models.training.train --frames DIR --run DIR --hours 1.3       # from nothing
    python -m models.training.train --frames DIR --run DIR --resume          # go on with a run that was interrupted
    python -m models.training.train --frames DIR --run DIR --begin-with models/trailwatch7n.pt --hours 4

--frames holds `train/NAME/` (shards, as many as you like, more may come while it runs) and `val/`, all made by
sim.frames_write. It uses a GPU when there is one. A run can be stopped at any time; what it had at the end of the last epoch
is in DIR/weights/last.pt and, epoch by epoch, in DIR/kept.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from wire.settings import SettingsError
from wire.units import ObjectClass

ARCHITECTURE = "yolo11n.yaml"       # shipped with ultralytics: layers, no weights
SEED = 20261124


def data_file(frames: Path) -> Path:
    """Write and return the YAML that ultralytics wants. Raises SettingsError where frames are missing."""
    from models.training.trainer import find_shards

    shards = find_shards(frames / "train")
    if not shards or not (frames / "val" / "images").is_dir():
        raise SettingsError(
            f"--frames {frames}: needs train/NAME/images and val/images. Make them with: python -m sim.frames_write"
        )
    names = "\n".join(f"  {k}: {c.value}" for k, c in enumerate(ObjectClass))
    path = frames / "training.yaml"
    path.write_text(f"path: {frames.resolve()}\ntrain: {shards[0].resolve()}/images\nval: val/images\nnames:\n{names}\n")
    return path


def settings(a: argparse.Namespace, data: Path) -> dict[str, Any]:
    """Ultralytics' settings for a new run."""
    return {
        "model": str(a.begin_with or ARCHITECTURE), "pretrained": bool(a.begin_with), "data": str(data), "task": "detect",
        "epochs": a.epochs, "time": a.hours, "imgsz": a.side, "batch": a.batch, "nbs": a.batch, "device": a.device,
        "workers": 1, "amp": False, "optimizer": a.optimizer, "momentum": 0.9, "lr0": a.rate, "lrf": 0.02, "cos_lr": True,
        "weight_decay": 0.0005,
        "warmup_epochs": 0.3 if a.begin_with else 1.0, "warmup_bias_lr": 0.0, "patience": 0, "seed": SEED, "val": False,
        "plots": False, "save": True, "project": str(a.run.parent.resolve()), "name": a.run.name, "exist_ok": True,
        # The generator varies light, scale and place already: little is left to do here.
        "mosaic": a.mosaic, "close_mosaic": a.close_mosaic, "mixup": 0.0, "scale": 0.2, "translate": 0.1, "degrees": 0.0,
        "fliplr": 0.5, "flipud": 0.0, "hsv_h": 0.02, "hsv_s": 0.4, "hsv_v": 0.3, "erasing": 0.0, "auto_augment": None,
    }


def run(a: argparse.Namespace) -> int:
    """Train until the time is over."""
    os.environ.setdefault("YOLO_AUTOINSTALL", "false")
    os.environ.setdefault("YOLO_OFFLINE", "true")
    import torch

    from models.training.trainer import Partners, ShardTrainer

    data = data_file(a.frames)
    last = a.run / "weights" / "last.pt"
    if a.resume and not last.exists():
        raise SettingsError(f"--resume: {last} is not there; begin a new run without --resume")
    overrides = settings(a, data)
    if a.resume:
        overrides = {"model": str(last), "resume": str(last), "data": str(data), "time": a.hours, "device": a.device,
                     "close_mosaic": a.close_mosaic, "save_dir": str(a.run.resolve())}
    if a.partner > 0:
        # Its own folder: the checkpoints of the first are those that count.
        own = f"{a.run.name}-partner-{a.partner}"
        overrides |= {"name": own, "save_dir": str(a.run.resolve().with_name(own)), "save": False, "time": 10 * a.hours}
    partners = Partners(a.partner, a.partners, a.run.parent / f"{a.run.name}.meeting")
    trainer = ShardTrainer(overrides, a.frames / "train", a.shards_an_epoch, a.run / "kept", partners)
    # Here, because ultralytics sets its own number while it looks for a device.
    torch.set_num_threads(a.threads)
    try:
        trainer.train()
    except RuntimeError as error:
        if a.partner == 0:
            raise
        # The first partner decides when it is over; for the others that is a meeting to which he does not come.
        sys.stderr.write(f"partner {a.partner} ends with the first: {str(error).splitlines()[0]}\n")
    return 0


def main() -> int:
    p = argparse.ArgumentParser(prog="python -m models.training.train", description=__doc__,
                                formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--frames", type=Path, required=True, metavar="DIR")
    p.add_argument("--run", type=Path, required=True, metavar="DIR", help="where checkpoints and the log go")
    p.add_argument("--resume", action="store_true")
    p.add_argument("--begin-with", type=Path, metavar="PT", help="weights of an earlier run of this program")
    p.add_argument("--hours", type=float, default=1.3, help="the learning rate falls so that it is low at their end")
    p.add_argument("--epochs", type=int, default=30, help="a first guess; --hours decides")
    p.add_argument("--shards-an-epoch", type=int, default=8)
    p.add_argument("--side", type=int, default=320, metavar="PX")
    p.add_argument("--batch", type=int, default=16)
    p.add_argument("--rate", type=float, default=0.0015)
    p.add_argument("--optimizer", choices=("AdamW", "MuSGD"), default="AdamW")
    p.add_argument("--mosaic", type=float, default=0.4)
    p.add_argument("--close-mosaic", type=int, default=4)
    p.add_argument("--threads", type=int, default=max(1, os.cpu_count() or 1))
    p.add_argument("--partners", type=int, default=1, help="processes that train together; start each of them")
    p.add_argument("--partner", type=int, default=0, metavar="NUMBER", help="which of them this is, from 0")
    p.add_argument("--device", default=None, help="cpu, or the number of a GPU; chosen when not given")
    try:
        return run(p.parse_args())
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
