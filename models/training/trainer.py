"""Ultralytics' own trainer, with what a small machine needs: bfloat16 on the processor, and fresh frames each epoch."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import LOGGER
from ultralytics.utils.torch_utils import unwrap_model

from wire.settings import SettingsError

COMPLETE = "data.yaml"          # a shard is whole once it has this; the frame writer writes it last


def find_shards(folder: Path) -> list[Path]:
    """Whole shards of frames under a folder, oldest name first."""
    return sorted(p.parent for p in folder.glob(f"*/{COMPLETE}"))


class FloatLoss:
    """The loss in full precision, however the network ran: in bfloat16 a box would be known to 2 pixels only."""

    def __init__(self, loss: Any) -> None:
        self._loss = loss

    def __call__(self, predictions: Any, batch: dict[str, Any]) -> Any:
        with torch.autocast(batch["img"].device.type, enabled=False):
            return self._loss(_float(predictions), batch)


def _float(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.float() if value.is_floating_point() else value
    if isinstance(value, dict):
        return {k: _float(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_float(v) for v in value)
    return value


class ShardTrainer(DetectionTrainer):  # type: ignore[misc]  # ultralytics has no types
    """Each epoch sees the shards that were seen least, those made meanwhile among them.

    shards: a folder of YOLO folders. shards_an_epoch: how many of them an epoch sees. kept: where a copy of every epoch's
    checkpoint goes.
    """

    def __init__(self, overrides: dict[str, Any], shards: Path, shards_an_epoch: int, kept: Path) -> None:
        self._shards = shards
        self._shards_an_epoch = shards_an_epoch
        self._kept = kept
        self._seen: Counter[str] = Counter()
        super().__init__(overrides=overrides)
        self.add_callback("on_train_epoch_start", lambda _: self._take_fresh_shards())
        self.add_callback("on_model_save", lambda _: self._keep_checkpoint())

    def _setup_train(self) -> None:
        super()._setup_train()
        self.model.criterion = FloatLoss(unwrap_model(self.model).init_criterion())
        if self.device.type == "cpu" and has_bfloat16():
            # Measured on Zen 4, one thread, 320 px: 52 ms an image instead of 121.
            self.model = self.model.to(memory_format=torch.channels_last)
            self.amp = True

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The batch as ultralytics wants it, in the order of memory in which the processor is fast."""
        done: dict[str, Any] = super().preprocess_batch(batch)
        if self.device.type == "cpu":
            done["img"] = done["img"].contiguous(memory_format=torch.channels_last)
        return done

    def _take_fresh_shards(self) -> None:
        there = find_shards(self._shards)
        if not there:
            raise SettingsError(f"{self._shards}: no shard there. Make one with: python -m sim.frames_write --out DIR/NAME")
        # Of those seen equally often, the youngest: nothing in them has been learnt by heart.
        there.reverse()
        chosen = sorted(there, key=lambda p: self._seen[p.name])[: self._shards_an_epoch]
        self._seen.update(p.name for p in chosen)
        LOGGER.info(f"epoch {self.epoch + 1}: {', '.join(p.name for p in chosen)} of {len(there)} shards")
        paths = [str(p / "images") for p in chosen]
        if hasattr(self.train_loader, "close"):
            self.train_loader.close()
        self.train_loader = self.get_dataloader(paths, batch_size=self.batch_size, rank=-1, mode="train")
        if self.args.close_mosaic and self.epoch >= self.epochs - self.args.close_mosaic:
            self._close_dataloader_mosaic()

    def _keep_checkpoint(self) -> None:
        self._kept.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self.last, self._kept / f"epoch-{self.epoch + 1:04d}.pt")


def has_bfloat16() -> bool:
    """Whether this processor multiplies in bfloat16 itself; where it only pretends to, full precision is faster."""
    flags = Path("/proc/cpuinfo")
    text = flags.read_text(encoding="utf-8", errors="replace") if flags.exists() else ""
    return "avx512_bf16" in text or "amx_bf16" in text
