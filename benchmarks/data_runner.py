"""Runs cases about data of one backend in this process, and writes what they took as lines of JSON.

Started by data.py with the backend's own interpreter:

    python data_runner.py '{"backend": "shoal", "cases": ["sort"], "folder": "/tmp/files", "rows": 4000000, "cpus": 2}' OUTPUT_FD
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import data_cases
import data_files
import data_peer_cases


def cases_of(backend: str, cpus: int) -> dict[str, Callable[[data_files.Files], Any]]:
    """Starts the backend, and returns its cases by row."""
    if backend in data_peer_cases.CASES:
        importlib.import_module(backend)
        if backend == "pyarrow":
            importlib.import_module("torch")
        return data_peer_cases.CASES[backend]
    module = importlib.import_module(backend)
    module.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False)
    data = importlib.import_module(f"{backend}.data")
    data.DataContext.get_current().enable_progress_bars = False
    # What is imported by the first who needs it would be measured as that row's time.
    with contextlib.suppress(ImportError):
        importlib.import_module("torch")
    # Workers are up before anything is measured: starting them is measured by core.py.
    data.range(1000, override_num_blocks=8).map_batches(lambda batch: batch, num_cpus=1).sum("id")
    data.range(10).map(lambda row: row).sum("id")
    return {name: functools.partial(function, data) for name, function in data_cases.CASES.items()}


def main() -> None:
    request = json.loads(sys.argv[1])
    files = data_files.prepare(Path(request["folder"]), request["rows"])
    with os.fdopen(int(sys.argv[2]), "w", buffering=1) as output:
        cases = cases_of(request["backend"], request["cpus"])
        for name in request["cases"]:
            if name not in cases:
                continue
            print(json.dumps({"started": name}), file=output)
            started = time.perf_counter()
            try:
                found = cases[name](files)
            except Exception as error:
                print(json.dumps({"failed": name, "error": f"{type(error).__name__}: {error}"[:300]}), file=output)
                continue
            seconds = time.perf_counter() - started
            answer, seconds = found if isinstance(found, tuple) else (found, seconds)
            print(json.dumps({"measured": name, "seconds": seconds, "answer": float(answer)}), file=output)


if __name__ == "__main__":
    main()
