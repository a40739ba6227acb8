"""Ultralytics' own trainer, with what a small machine needs: bfloat16 on the processor, and fresh frames each epoch."""

from __future__ import annotations

import math
import shutil
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as together
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils import LOGGER
from ultralytics.utils.torch_utils import unwrap_model

from models.processor import has_bfloat16
from wire.settings import SettingsError

MEMORY_STEPS = 1_000            # of the running mean of weights; ultralytics' own 10,000 lag behind a run of hours
PARTNER_WAIT = timedelta(minutes=30)    # a machine that is busy otherwise makes a partner wait
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


class Partners:
    """Processes of one thread each that learn from different frames and share what they learn, step by step.

    On a processor that other work keeps busy, threads that wait for each other in every layer stand still for most of the
    time; processes that meet once a step do not. number: of this one; 0 is the one that keeps the checkpoints.
    """

    def __init__(self, number: int, count: int, meeting: Path) -> None:
        self.number, self.count = number, count
        if count > 1:
            together.init_process_group(
                "gloo", init_method=f"file://{meeting.resolve()}", rank=number, world_size=count, timeout=PARTNER_WAIT,
            )

    def average(self, model: torch.nn.Module) -> None:
        """Every gradient becomes the mean of all partners' gradients."""
        if self.count == 1:
            return
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        flat = torch.cat([g.flatten() for g in gradients])
        together.all_reduce(flat)
        flat /= self.count
        at = 0
        for gradient in gradients:
            gradient.copy_(flat[at:at + gradient.numel()].view_as(gradient))
            at += gradient.numel()


class ShardTrainer(DetectionTrainer):  # type: ignore[misc]  # ultralytics has no types
    """Each epoch sees the shards that were seen least, those made meanwhile among them.

    shards: a folder of YOLO folders. shards_an_epoch: how many of them an epoch sees, all partners together. kept: where a
    copy of every epoch's checkpoint goes.
    """

    model: Any
    epochs: int
    start_epoch: int
    train_loader: Any

    def __init__(
        self, overrides: dict[str, Any], shards: Path, shards_an_epoch: int, kept: Path, partners: Partners,
    ) -> None:
        self._partners = partners
        self._shards = shards
        self._shards_an_epoch = shards_an_epoch
        self._kept = kept
        self._seen: Counter[str] = Counter()
        super().__init__(overrides=overrides)
        self.add_callback("on_train_epoch_start", lambda _: self._take_fresh_shards())
        self.add_callback("on_model_save", lambda _: self._keep_checkpoint())

    def _setup_train(self) -> None:
        super()._setup_train()
        # As ultralytics' ModelEMA, with a shorter memory: the mean of the first steps is short, then it grows.
        self.ema.decay = lambda steps: (1 - 1 / MEMORY_STEPS) * (1 - math.exp(-steps / MEMORY_STEPS))
        self.model.criterion = FloatLoss(unwrap_model(self.model).init_criterion())
        if self.device.type == "cpu" and has_bfloat16():
            # Measured on Zen 4, one thread, 320 px: 52 ms an image instead of 121.
            self.model = self.model.to(memory_format=torch.channels_last)
            self.amp = True

    def _setup_scheduler(self) -> None:
        # Ultralytics tells from the hours how many epochs there will be, and forgets those before a run was resumed.
        if self.args.time and self.start_epoch:
            self.epochs = self.args.epochs = self.epochs + self.start_epoch
        super()._setup_scheduler()

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """The batch as ultralytics wants it, in the order of memory in which the processor is fast."""
        done: dict[str, Any] = super().preprocess_batch(batch)
        if self.device.type == "cpu":
            done["img"] = done["img"].contiguous(memory_format=torch.channels_last)
        return done

    def optimizer_step(self) -> None:
        """One step, the same for all partners."""
        self._partners.average(self.model)
        super().optimizer_step()

    def _take_fresh_shards(self) -> None:
        there = find_shards(self._shards)
        # Of those seen equally often, the youngest: nothing in them has been learnt by heart.
        there.reverse()
        chosen = sorted(there, key=lambda p: self._seen[p.name])[: self._shards_an_epoch]
        if len(chosen) < self._partners.count:
            raise SettingsError(
                f"{self._shards}: {len(there)} shards there, {self._partners.count} are needed at the least. "
                "Make one with: python -m sim.frames_write --out DIR/NAME"
            )
        self._seen.update(p.name for p in chosen)
        if self._partners.count > 1:
            chosen = self._agree(chosen)
        LOGGER.info(f"epoch {self.epoch + 1}: {', '.join(p.name for p in chosen)} of {len(there)} shards")
        frames = self._own_part([p for shard in chosen for p in sorted((shard / "images").iterdir())])
        listed = self.save_dir / "frames.txt"
        listed.write_text("".join(f"{p}\n" for p in frames))
        if hasattr(self.train_loader, "close"):
            self.train_loader.close()
        self.train_loader = self.get_dataloader(str(listed), batch_size=self.batch_size, rank=-1, mode="train")
        if self.args.close_mosaic and self.epoch >= self.epochs - self.args.close_mosaic:
            self._close_dataloader_mosaic()

    def _agree(self, chosen: list[Path]) -> list[Path]:
        """Begin the epoch as the first partner does: with his weights, his schedule and his choice."""
        his: list[Any] = [[p.name for p in chosen], self.epochs]
        together.broadcast_object_list(his, 0)
        for value in unwrap_model(self.model).state_dict().values():
            together.broadcast(value, 0)
        if self._partners.number > 0:
            self.epochs = self.args.epochs = his[1]
            super()._setup_scheduler()
            self.scheduler.last_epoch = self.epoch - 1
        return [self._shards / name for name in his[0]]

    def _own_part(self, frames: list[Path]) -> list[Path]:
        """As many frames for each partner, or one would wait for the other for ever; and from shards of its own, because
        ultralytics keeps what it has read of labels in a file beside them.
        """
        each = len(frames) // self._partners.count
        return frames[self._partners.number * each:(self._partners.number + 1) * each]

    def save_model(self) -> bool:
        """Write the checkpoint; the first partner's is everybody's."""
        return self._partners.number == 0 and bool(super().save_model())

    def _keep_checkpoint(self) -> None:
        self._kept.mkdir(parents=True, exist_ok=True)
        shutil.copy2(self.last, self._kept / f"epoch-{self.epoch + 1:04d}.pt")
