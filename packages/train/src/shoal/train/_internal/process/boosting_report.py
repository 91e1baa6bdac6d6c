"""What the report callbacks of libraries of boosted trees share: which metrics they report, and after which rounds the model."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from shoal.train.checkpoint import Checkpoint
from shoal.train.context import get_context, report
from shoal.train.exceptions import InvalidArgumentError

Metrics = str | list[str] | Mapping[str, str] | None


class BoostingReport:
    """Reports rounds of boosting.

    Args:
        metrics: names of those that are reported, or a dict from the name to report to the library's name; None for all.
        filename: of the model in its checkpoint.
        frequency: rounds from one checkpoint to the next; 0 for none on the way.
        checkpoint_at_end: report the model after the last round.
        results_postprocessing_fn: from the metrics by name to those that are reported; None for no change.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.
    """

    def __init__(
        self,
        metrics: Metrics,
        filename: str,
        frequency: int,
        checkpoint_at_end: bool,
        results_postprocessing_fn: Callable[[dict[str, Any]], dict[str, Any]] | None,
    ) -> None:
        if frequency < 0:
            raise InvalidArgumentError(f"frequency is {frequency!r}; give a number of rounds, or 0 for no checkpoints")
        if not filename or Path(filename).name != filename:
            raise InvalidArgumentError(f"filename is {filename!r}; give the name of a file, without a folder")
        self._names = _by_reported_name(metrics)
        self._filename = filename
        self._frequency = frequency
        self.checkpoint_at_end = checkpoint_at_end
        self._change = results_postprocessing_fn

    def is_due(self, rounds: int) -> bool:
        """Returns whether the model is reported after this many rounds."""
        return self._frequency > 0 and rounds % self._frequency == 0

    def send(self, found: Mapping[str, Any], save: Callable[[str], object] | None = None) -> None:
        """Reports metrics, and the model where `save` is given: the ranks have the same one, so rank 0's counts.

        Args:
            found: all metrics, by the library's names.
            save: writes the model to a path.

        Raises:
            InvalidArgumentError: (a ValueError) a metric that was asked for is not there.
            RuntimeError: outside of a training loop.
            OSError: the model could not be written.
        """
        chosen = self._chosen(found)
        if save is None or get_context().get_world_rank() != 0:
            report(chosen)
            return
        with tempfile.TemporaryDirectory(prefix="shoal-model-") as folder:
            save(str(Path(folder) / self._filename))
            report(chosen, checkpoint=Checkpoint.from_directory(folder))

    def _chosen(self, found: Mapping[str, Any]) -> dict[str, Any]:
        names = self._names if self._names is not None else {name: name for name in found}
        for name in names.values():
            if name not in found:
                raise InvalidArgumentError(
                    f"metrics names {name!r}; training has {', '.join(map(repr, found)) or 'none'}: give some of these"
                )
        chosen = {reported: found[name] for reported, name in names.items()}
        return chosen if self._change is None else self._change(chosen)


def _by_reported_name(metrics: Metrics) -> Mapping[str, str] | None:
    if metrics is None or isinstance(metrics, Mapping):
        return metrics or None
    return {name: name for name in ([metrics] if isinstance(metrics, str) else metrics)} or None
