"""What a trial's process says to the search. Its module loads nothing, so that a process begins at once."""

from __future__ import annotations

from typing import Any, NamedTuple


class Report(NamedTuple):
    """One report of a trial, as its process sent it."""

    metrics: dict[str, Any]
    seconds: float
    """Since the report before, or the start."""
    timestamp: float
    """In seconds since 1970."""
    checkpoint: int | None = None
    """Number of the checkpoint that came with it."""
    is_last: bool = False
    """Its own words, or a criterion that the process knew, end the trial here."""


class Frame(NamedTuple):
    """What an executor answers: reports, and whether the trial is over."""

    reports: list[Report]
    ended: bool
    saved: int | None = None
    """Number of a checkpoint that was made without a report."""
    pid: int = 0
    hostname: str = ""
    node_ip: str = ""
    is_waiting: bool = False
    """There is nothing to say yet: ask again."""
    reusable: bool = True
    """Whether the process can run another trial."""
