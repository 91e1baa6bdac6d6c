"""Reports from Keras. Importing this imports tensorflow."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow as tf

from shoal.train.checkpoint import Checkpoint
from shoal.train.context import get_context, report
from shoal.train.exceptions import InvalidArgumentError

_EVENTS = (
    "train_begin",
    "train_end",
    "epoch_begin",
    "epoch_end",
    "train_batch_begin",
    "train_batch_end",
    "test_begin",
    "test_end",
    "test_batch_begin",
    "test_batch_end",
)


class ReportCheckpointCallback(tf.keras.callbacks.Callback):  # type: ignore[misc] # tensorflow's classes are untyped
    """Reports the metrics of Keras, and the model as a checkpoint with the file 'model.keras'.

    Args:
        checkpoint_on: the event, or events, on which the model is reported: 'epoch_end', 'train_batch_end', 'train_end', …
        report_metrics_on: the event, or events, on which metrics are reported.
        metrics: names of those that are reported, or a dict from the name to report to Keras's name; None for all.

    Raises:
        InvalidArgumentError: (a ValueError) there is no such event; when it happens, also that Keras has no metric of a name.

    Example:
        >>> from shoal.train.tensorflow.keras import ReportCheckpointCallback
        >>> callback = ReportCheckpointCallback(checkpoint_on="train_end", metrics=["loss"])
    """

    CHECKPOINT_NAME = "model.keras"

    def __init__(
        self,
        checkpoint_on: str | list[str] = "epoch_end",
        report_metrics_on: str | list[str] = "epoch_end",
        metrics: str | list[str] | Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self._saves = _events("checkpoint_on", checkpoint_on)
        # Keras gives a callback only the events that it has methods for, as each event of a batch takes time.
        for event in _events("report_metrics_on", report_metrics_on) | self._saves:
            setattr(self, f"on_{event}", partial(self._on, event))
        names = [metrics] if isinstance(metrics, str) else metrics
        self._names = names if isinstance(names, Mapping) or names is None else {name: name for name in names}

    @classmethod
    def get_model(cls, checkpoint: Checkpoint) -> tf.keras.Model:
        """Returns the model of a checkpoint that this reported."""
        with checkpoint.as_directory() as folder:
            return tf.keras.models.load_model(str(Path(folder) / cls.CHECKPOINT_NAME))

    def _on(self, event: str, *number_and_logs: Any, logs: Mapping[str, Any] | None = None) -> None:
        if logs is None and number_and_logs and isinstance(number_and_logs[-1], Mapping):
            logs = number_and_logs[-1]
        metrics = self._chosen(logs or {})
        if event not in self._saves:
            report(metrics)
            return
        with tempfile.TemporaryDirectory(prefix="shoal-keras-") as folder:
            # All ranks save: variables that are read in turn by all may be a collective operation. Rank 0's file counts.
            self.model.save(str(Path(folder) / self.CHECKPOINT_NAME))
            is_first = get_context().get_world_rank() == 0
            report(metrics, checkpoint=Checkpoint.from_directory(folder) if is_first else None)

    def _chosen(self, logs: Mapping[str, Any]) -> dict[str, Any]:
        names = self._names if self._names is not None else {name: name for name in logs}
        for name in names.values():
            if name not in logs:
                raise InvalidArgumentError(
                    f"metrics names {name!r}; Keras has {', '.join(map(repr, logs)) or 'none'} here: give some of these"
                )
        return {reported: logs[name] for reported, name in names.items()}


def _events(argument: str, given: str | list[str]) -> frozenset[str]:
    events = frozenset([given] if isinstance(given, str) else given)
    for event in sorted(events):
        if event not in _EVENTS:
            raise InvalidArgumentError(f"{argument} is {given!r}; give some of {', '.join(_EVENTS)}")
    return events
