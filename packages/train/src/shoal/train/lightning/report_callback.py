"""Reports from Lightning's epochs. Importing this imports lightning."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from shoal.train.checkpoint import Checkpoint
from shoal.train.context import get_context, report


class RayTrainReportCallback(Callback):
    """Reports after each epoch of training: the metrics that were logged, `epoch`, `step`, and Lightning's checkpoint.

    The checkpoint's file is 'checkpoint.ckpt': `trainer.fit(model, ckpt_path=f"{folder}/checkpoint.ckpt")`.

    Args:
        checkpoint_upload_mode: how `shoal.train.report` stores it; None for its default.
        validation: what `shoal.train.report` validates it with; False for nothing.

    Example:
        >>> from shoal.train.lightning import RayTrainReportCallback
        >>> def loop():
        ...     # trainer = lightning.Trainer(callbacks=[RayTrainReportCallback()], ...)
        ...     pass
    """

    CHECKPOINT_NAME = "checkpoint.ckpt"

    def __init__(self, checkpoint_upload_mode: Any = None, validation: Any = False) -> None:
        super().__init__()
        self._options: dict[str, Any] = {}
        if checkpoint_upload_mode is not None:
            self._options["checkpoint_upload_mode"] = checkpoint_upload_mode
        if validation is not False:
            self._options["validation"] = validation

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Reports. Raises OSError where the files cannot be written."""
        metrics = {name: value.item() for name, value in trainer.callback_metrics.items()}
        metrics |= {"epoch": trainer.current_epoch, "step": trainer.global_step}
        # Strategies that divide the model write from several ranks, into one folder: all are told rank 0's name for it.
        folder = trainer.strategy.broadcast(
            tempfile.mkdtemp(prefix="shoal-lightning-") if trainer.is_global_zero else ""
        )
        trainer.save_checkpoint(os.path.join(folder, self.CHECKPOINT_NAME), weights_only=False)
        trainer.strategy.barrier()
        # One rank of each machine has all that is on it.
        if get_context().get_local_rank() != 0 or not os.path.isdir(folder):
            report(metrics)
            return
        checkpoint = Checkpoint.from_directory(folder)
        report(metrics, checkpoint=checkpoint, delete_local_checkpoint_after_upload=True, **self._options)
