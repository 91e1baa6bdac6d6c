"""What a stage did: for progress lines and `Dataset.stats()`."""

from __future__ import annotations

from dataclasses import dataclass, field

INPUT, PROCESSOR, MEMORY = "input", "a processor", "memory"


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
    skipped_files: list[str] = field(default_factory=list)
    """Passed over, because they cannot be read."""
    wall_seconds: float = 0.0
    """From its first task's start to its last one's end."""
    first_start: float = 0.0
    process_peak: int = 0
    """Of the processes that its tasks ran in: the most memory that one of them has had so far."""
    blocked: dict[str, float] = field(default_factory=dict)
    """Seconds in which none of its tasks ran, by what it waited for: `INPUT`, `PROCESSOR` or `MEMORY`."""
