"""Reports from the Trainer of transformers. Importing this imports transformers."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from torch import distributed
from transformers.trainer_callback import TrainerCallback, TrainerControl, TrainerState
from transformers.training_args import TrainingArguments

from shoal.train.checkpoint import Checkpoint
from shoal.train.context import get_context, report


class RayTrainReportCallback(TrainerCallback):
    """Reports each time the Trainer saves: the step and the latest value of each metric that was logged, and what was saved as a
    checkpoint.

    The checkpoint has the Trainer's folder under the name 'checkpoint': `trainer.train(resume_from_checkpoint=f"{folder}/checkpoint")`.

    Example:
        >>> from shoal.train.huggingface.transformers import RayTrainReportCallback, prepare_trainer
        >>> def loop():
        ...     # trainer = transformers.Trainer(model, arguments, train_dataset=rows)
        ...     # trainer.add_callback(RayTrainReportCallback())
        ...     # prepare_trainer(trainer).train()
        ...     pass
    """

    CHECKPOINT_NAME = "checkpoint"

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Reports. Raises OSError where the files cannot be written."""
        metrics: dict[str, Any] = {}
        for logged in state.log_history:
            metrics |= logged
        metrics |= {"step": state.global_step, "epoch": state.epoch}
        if distributed.is_initialized():
            # Each rank writes files of its own into the folder.
            distributed.barrier()
        # transformers says that there may be no folder, and makes one up where none was given.
        saved = Path(str(args.output_dir), f"checkpoint-{state.global_step}")
        # One rank of each machine has all that is on it.
        if get_context().get_local_rank() != 0 or not saved.is_dir():
            report(metrics)
            return
        # Beside it, on the same disk: links instead of copies, for the files are large and the report copies them anyway.
        with tempfile.TemporaryDirectory(prefix="shoal-", dir=saved.parent) as folder:
            shutil.copytree(saved, Path(folder, self.CHECKPOINT_NAME), copy_function=_link)
            report(metrics, checkpoint=Checkpoint.from_directory(folder))


def _link(file: str, name: str) -> None:
    try:
        os.link(file, name)
    except OSError:
        # Not all disks have links.
        shutil.copy2(file, name)
