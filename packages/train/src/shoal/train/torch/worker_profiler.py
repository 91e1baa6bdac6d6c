"""Ray's helper for torch's profiler, deprecated there."""

from __future__ import annotations

import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any

from shoal.train._internal.process.worker_session import SESSION


class TorchWorkerProfiler:
    """Gives `torch.profiler.profile(on_trace_ready=...)` a handler, and what it wrote as something to report.

    Args:
        trace_dir: folder for the traces; None for a temporary one.

    Example:
        >>> from shoal.train.torch import TorchWorkerProfiler
        >>> def loop():
        ...     import torch
        ...     with TorchWorkerProfiler() as profiler:
        ...         with torch.profiler.profile(on_trace_ready=profiler.trace_handler) as running:
        ...             running.step()
        ...     traces = profiler.get_and_clear_profile_traces()
    """

    WORKER_TRACE_DIR_NAME = "pytorch_profiler_worker_traces"

    def __init__(self, trace_dir: str | None = None) -> None:
        self.trace_dir = Path(trace_dir if trace_dir is not None else tempfile.mkdtemp(prefix="shoal-traces-"))
        self._written: list[Path] = []

    def __enter__(self) -> TorchWorkerProfiler:
        self.trace_dir.mkdir(parents=True, exist_ok=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return

    def trace_handler(self, profiler: Any) -> None:
        """Writes a trace (Chrome's format)."""
        rank = SESSION.running("torch.TorchWorkerProfiler").rank.world_rank
        path = self.trace_dir / f"worker_{rank}_epoch_{len(self._written)}.pt.trace.json"
        profiler.export_chrome_trace(str(path))
        self._written.append(path)

    def get_and_clear_profile_traces(self) -> dict[str, list[tuple[str, str]]]:
        """Returns names and contents of the traces since the last call, as a metric."""
        found = [(path.name, path.read_text()) for path in self._written]
        self._written = []
        return {self.WORKER_TRACE_DIR_NAME: found}
