"""Runs cases of one backend in this process, and writes what they measured as lines of JSON.

Started by core.py with the backend's own interpreter, so that shoal and Ray need not be installed side by side:

    python run_cases.py '{"backend": "shoal", "cases": ["tasks_sync"], "quick": false, "cpus": 2}' OUTPUT_FD
"""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import core_cases
import floors
import pool_cases
from rows import Cases, Size

CASES: dict[str, Cases] = {
    "floors": floors.CASES,
    "pool": pool_cases.CASES,
    "ray": core_cases.CASES,
    "shoal": core_cases.CASES,
}


@contextmanager
def session(backend: str, cpus: int) -> Iterator[Any]:
    """What the backend's cases are called with."""
    if backend == "floors":
        yield None
    elif backend == "pool":
        with multiprocessing.get_context("fork").Pool(cpus) as pool:
            yield pool
    else:
        module = importlib.import_module(backend)
        module.init(num_cpus=cpus, include_dashboard=False, log_to_driver=False)
        yield module
        module.shutdown()


def main() -> None:
    request = json.loads(sys.argv[1])
    size = Size(quick=request["quick"], cpus=request["cpus"])
    with os.fdopen(int(sys.argv[2]), "w", buffering=1) as output, session(request["backend"], size.cpus) as target:
        for name in request["cases"]:
            case = CASES[request["backend"]].named(name)
            print(json.dumps({"started": name}), file=output)
            try:
                figures = case.run(target, size)
            except Exception as error:
                print(json.dumps({"failed": name, "error": f"{type(error).__name__}: {error}"}), file=output)
                continue
            values = [figures] if isinstance(figures, float) else list(figures)
            measured = {row.name: value for row, value in zip(case.rows, values, strict=True)}
            print(json.dumps({"measured": measured}), file=output)


if __name__ == "__main__":
    main()
