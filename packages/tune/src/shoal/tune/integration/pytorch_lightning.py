"""Reports from Lightning's hooks in a trial that trains by itself."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from shoal.train import Checkpoint
from shoal.tune.context import report
from shoal.tune.exceptions import InvalidArgumentError

__all__ = ["TuneReportCallback", "TuneReportCheckpointCallback"]


class TuneReportCheckpointCallback(Callback):
    """Reports what was logged, and Lightning's checkpoint, at some of its hooks.

    Args:
        metrics: a name, names, or a dict from the name to report to Lightning's name; None for all that were logged.
        filename: of the checkpoint's file.
        save_checkpoints: whether reports come with a checkpoint.
        on: hooks without their 'on_': 'validation_end', or several.

    Raises:
        InvalidArgumentError: (a ValueError) Lightning has no such hook.
    """

    def __init__(
        self,
        metrics: str | Sequence[str] | Mapping[str, str] | None = None,
        filename: str = "checkpoint",
        save_checkpoints: bool = True,
        on: str | Sequence[str] = "validation_end",
    ) -> None:
        super().__init__()
        names = [metrics] if isinstance(metrics, str) else metrics
        self._names = dict(names) if isinstance(names, Mapping) else {name: name for name in names or ()}
        self._filename = filename
        self._saves = save_checkpoints
        for hook in [on] if isinstance(on, str) else on:
            name = hook if hook.startswith("on_") else f"on_{hook}"
            if not hasattr(Callback, name):
                raise InvalidArgumentError(f"on is {hook!r}; Lightning's callbacks have no {name}")
            setattr(self, name, self._hook)

    def _hook(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.sanity_checking:
            return
        logged = {name: value.item() for name, value in trainer.callback_metrics.items()}
        found = (
            {shown: logged[name] for shown, name in self._names.items() if name in logged} if self._names else logged
        )
        if not found:
            return
        if not self._saves:
            report(found)
            return
        with tempfile.TemporaryDirectory(prefix="shoal-lightning-") as folder:
            trainer.save_checkpoint(str(Path(folder) / self._filename), weights_only=False)
            report(found, checkpoint=Checkpoint.from_directory(folder))


class TuneReportCallback(TuneReportCheckpointCallback):
    """Reports what was logged, without checkpoints. Arguments as above."""

    def __init__(
        self,
        metrics: str | Sequence[str] | Mapping[str, str] | None = None,
        on: str | Sequence[str] = "validation_end",
    ) -> None:
        super().__init__(metrics, save_checkpoints=False, on=on)
