"""Reports from a training run that a trial starts by itself."""

from __future__ import annotations

from typing import Any

from shoal.train import Checkpoint, UserCallback
from shoal.train.user_callback import RunContext
from shoal.tune._internal.process.trial_session import TrialStopped
from shoal.tune.context import report
from shoal.tune.exceptions import TuneError

__all__ = ["CHECKPOINT_PATH_KEY", "TuneReportCallback"]

CHECKPOINT_PATH_KEY = "checkpoint_path"


class TuneReportCallback(UserCallback):
    """Hands what rank 0 of a training run reports on to the trial that has called the trainer's `fit`: give it to the trainer's
    `RunConfig(callbacks=[...])`.

    Checkpoints stay in the run's folder; the trial's reports have their paths as `checkpoint_path`. A trainer that is given to the Tuner
    itself needs none of this.

    Example:
        >>> from shoal.tune.integration.ray_train import TuneReportCallback
        >>> from shoal.train import RunConfig
        >>> run_config = RunConfig(callbacks=[TuneReportCallback()])
    """

    def after_report(
        self, run_context: RunContext, metrics: list[dict[str, Any]], checkpoint: Checkpoint | None
    ) -> None:
        path = {CHECKPOINT_PATH_KEY: checkpoint.path} if checkpoint is not None else {}
        try:
            report({**metrics[0], **path})
        except TrialStopped:
            # It would end the run's loop without a word to `fit`, which would wait; an error ends the run.
            raise TuneError("the search has ended the trial that this training run belongs to") from None
