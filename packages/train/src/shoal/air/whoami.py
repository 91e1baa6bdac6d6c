"""Which run or trial this program is in, for loggers that begin inside of one."""

from __future__ import annotations

from dataclasses import dataclass

from shoal.air import session


@dataclass(frozen=True)
class Whoami:
    """None for what there is not.

    Args:
        rank: of this worker.
        experiment: the run's or the search's name.
        trial: the trial's name.
    """

    rank: int | None = None
    experiment: str | None = None
    trial: str | None = None


def whoami() -> Whoami:
    """Returns it; nothing outside of a loop or a trial."""
    if not session.is_inside():
        return Whoami()
    return Whoami(session.get_world_rank(), session.get_experiment_name(), session.get_trial_name())
