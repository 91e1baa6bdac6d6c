"""How a run went, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from shoal.data._internal.execution.run import Run


def stats_report(run: Run) -> str:
    """Returns one line a stage: tasks, blocks, rows, bytes, time at work, longest task, memory, and what it waited for."""
    lines = []
    for number, stage in enumerate(run.stats(), 1):
        line = f"{number}. {stage.name}: {stage.tasks} tasks, {stage.blocks} blocks, {stage.rows} rows, {_size(stage.bytes)}"
        if stage.busy_seconds:
            line += f", {stage.busy_seconds:.3f} s at work in {stage.wall_seconds:.3f} s, longest task {stage.longest_task:.3f} s"
        if stage.process_peak:
            line += f", up to {_size(stage.process_peak)} a process"
        waits = ", ".join(f"{seconds:.3f} s for {what}" for what, seconds in stage.blocked.items() if seconds >= 0.001)
        if waits:
            line += f", waited {waits}"
        if stage.failed_blocks:
            line += f", {stage.failed_blocks} blocks failed and were left out"
        lines.append(line)
    held = f", up to {_size(run.peak_bytes)} of blocks between stages" if run.peak_bytes else ""
    skipped = run.skipped_files
    left_out = f", {len(skipped)} files passed over that cannot be read: {', '.join(skipped[:3])}" if skipped else ""
    left_out += ", …" if len(skipped) > 3 else ""
    lines.append(f"Total: {run.wall_seconds:.3f} s{held}{left_out}")
    return "\n".join(lines)


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
