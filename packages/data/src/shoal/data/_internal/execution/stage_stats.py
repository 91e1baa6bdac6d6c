"""What a stage did: for progress lines and `Dataset.stats()`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class StageStats:
    """Counts of one stage. Times in seconds, sizes in bytes."""

    name: str
    tasks: int = 0
    blocks: int = 0
    rows: int = 0
    bytes: int = 0
    busy_seconds: float = 0.0
    """Of all tasks together."""
    longest_task: float = 0.0
    failed_blocks: int = 0
    wall_seconds: float = 0.0
    """From its first task's start to its last one's end."""
    first_start: float = 0.0
