"""Makes of a run's checkpoint the file that is shipped: the averaged network in half precision, and nothing of the run.

    python -m models.training.publish --checkpoint RUN/kept/epoch-0030.pt --out models/trailwatch7n.pt

The optimizer stays behind: to train further, begin with the shipped file (`models.training.train --begin-with`). So do the
paths and settings of the machine that trained it, which ultralytics writes into every checkpoint.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from models.loading import in_words, keep_ultralytics_quiet
from models.registry import digest_of
from wire.settings import SettingsError

LICENCE = "AGPL-3.0-or-later"


def publish(checkpoint: Path, out: Path) -> str:
    """Write `out` and return its SHA-256. Raises SettingsError for what is no checkpoint of this program."""
    keep_ultralytics_quiet()
    import torch
    from ultralytics import __version__
    from ultralytics.utils import DEFAULT_CFG_DICT

    with in_words(checkpoint, "a checkpoint of a training run", ""):
        held: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=False)
        network = held.get("ema") or held["model"]
        size = int(held["train_args"]["imgsz"])
    network = network.half().to(memory_format=torch.contiguous_format).eval()
    network.criterion = None
    for parameter in network.parameters():
        parameter.requires_grad = False
    settings = {"imgsz": size, "task": "detect", "single_cls": False}
    network.args = {**DEFAULT_CFG_DICT, **settings}
    for name in ("pt_path", "yaml_file"):
        if hasattr(network, name):
            delattr(network, name)
    if isinstance(getattr(network, "yaml", None), dict):
        network.yaml["yaml_file"] = Path(str(network.yaml.get("yaml_file", ""))).name
    torch.save({
        "model": network, "ema": None, "optimizer": None, "epoch": -1, "train_args": settings, "license": LICENCE,
        "version": __version__,
    }, out)
    return digest_of(out)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m models.training.publish", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", type=Path, required=True, metavar="PT")
    parser.add_argument("--out", type=Path, required=True, metavar="PT")
    a = parser.parse_args()
    try:
        sys.stdout.write(f"{a.out}\nSHA-256 {publish(a.checkpoint, a.out)}\n")
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
