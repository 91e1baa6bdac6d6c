"""What ranks failed with, as it is told."""

from __future__ import annotations

from collections.abc import Mapping

import shoal
from shoal.train._internal.logic.progress import waits
from shoal.train.exceptions import WorkerGroupError


def original(error: BaseException) -> BaseException:
    """Returns the error that the loop raised, with its traceback in the worker as a note; other errors as they are."""
    if isinstance(error, shoal.exceptions.TaskError) and error.cause is not None:
        cause: BaseException = error.cause
        cause.add_note(f"In the worker:\n{error.traceback_str}")
        return cause
    return error


def is_death(error: BaseException) -> bool:
    """Returns whether the worker's process is gone."""
    return isinstance(error, shoal.exceptions.ActorDiedError)


def sorted_by_cause(failures: Mapping[int, BaseException]) -> dict[int, BaseException]:
    """Returns causes before consequences: dead processes, errors of loops, and at last what collective operations raised in the others."""
    return dict(sorted(failures.items(), key=lambda item: (_weight(item[1]), item[0])))


def _weight(error: BaseException) -> int:
    if is_death(error):
        return 0
    return 2 if any(waits(note) for note in getattr(error, "__notes__", ())) else 1


def explained(failures: Mapping[int, BaseException], restarts: int) -> WorkerGroupError:
    """Returns the error that `fit` raises."""
    causes = sorted_by_cause(failures)
    ranks = "\n".join(f"rank {rank}: {type(error).__name__}: {error}" for rank, error in causes.items())
    again = f" after {restarts} restart{'s' if restarts > 1 else ''}" if restarts else ""
    first = next(iter(causes.values()))
    notes = "\n".join(getattr(first, "__notes__", ()))
    error = WorkerGroupError(
        f"Training failed{again}. {ranks}\n{notes}{chr(10) if notes else ''}"
        f"FailureConfig(max_failures=n) starts the workers again from the last checkpoint.",
        causes,
    )
    error.__cause__ = first
    return error
