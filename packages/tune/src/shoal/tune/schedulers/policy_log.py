"""Writes down what population based training did, so that the schedule of a trial can be replayed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.experiment.trial import Trial


@dataclass(frozen=True)
class Exploitation:
    """One trial went on as a copy of another. Tags are those that the trials began with; iterations those that they had reported."""

    tag: str
    donor_tag: str
    iteration: int
    donor_iteration: int
    donor_config: Mapping[str, Any]
    new_config: Mapping[str, Any]


class PolicyLog(Protocol):
    """Who is told of exploitations."""

    def record(self, trial: Trial, donor: Trial, exploitation: Exploitation) -> None:
        """A trial went on as a copy of the donor."""


class NoPolicyLog:
    """Writes nothing."""

    def record(self, trial: Trial, donor: Trial, exploitation: Exploitation) -> None:
        """Does nothing."""


class PolicyFiles:
    """Writes JSON lists, one a line, into the folder of the search: all to pbt_global.txt, a trial's past to pbt_policy_<trial id>.txt."""

    def record(self, trial: Trial, donor: Trial, exploitation: Exploitation) -> None:
        if not trial.local_path:
            return
        folder = Path(trial.local_path).parent
        folder.mkdir(parents=True, exist_ok=True)
        line = encoded(exploitation) + "\n"
        with (folder / "pbt_global.txt").open("a") as file:
            file.write(line)
        own, donors = (folder / f"pbt_policy_{one.trial_id}.txt" for one in (trial, donor))
        # From here on, the trial's past is the donor's.
        if donors.exists():
            shutil.copyfile(donors, own)
        else:
            own.unlink(missing_ok=True)
        with own.open("a") as file:
            file.write(line)


def encoded(exploitation: Exploitation) -> str:
    """Returns an exploitation as a list in JSON."""
    fields = (
        exploitation.tag,
        exploitation.donor_tag,
        exploitation.iteration,
        exploitation.donor_iteration,
        exploitation.donor_config,
        exploitation.new_config,
    )
    return json.dumps(fields, default=_plain)


def decoded(line: str, source: str) -> Exploitation:
    """Returns what `encoded` wrote.

    Raises:
        InvalidArgumentError: it wrote something else.
    """
    try:
        tag, donor_tag, iteration, donor_iteration, donor_config, new_config = json.loads(line)
    except ValueError as error:
        raise InvalidArgumentError(
            f"{source} has the line {line.strip()[:80]!r}; give a pbt_policy_*.txt that PopulationBasedTraining wrote"
        ) from error
    return Exploitation(tag, donor_tag, iteration, donor_iteration, donor_config, new_config)


def _plain(value: Any) -> Any:
    item = getattr(value, "item", None)  # numbers of numpy and torch
    return item() if callable(item) and getattr(value, "size", 1) == 1 else str(value)
