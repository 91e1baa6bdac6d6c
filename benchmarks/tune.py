"""Measures shoal's Tune, Ray Tune and Optuna alone with the same work in one sitting. See README.md beside this file.

python benchmarks/tune.py --ray-python /path/to/ray-venv/bin/python --markdown docs/benchmarks-tune.md
"""

from __future__ import annotations

import importlib.util
import sys
from importlib.metadata import version
from pathlib import Path

import sitting
import tune_cases
from backend import Backend
from tune_rows import ROWS

SITTING = sitting.Sitting(
    title="Benchmarks of Tune",
    description="Measures shoal's Tune beside Ray Tune and Optuna alone.",
    program="benchmarks/tune.py",
    page="docs/benchmarks-tune.md",
    rows=ROWS,
    cases=Path(__file__).with_name("tune_cases.py"),
    able=tune_cases.CASES,
    peers={"ray": "ray[tune]"},
    others=["optuna"] if importlib.util.find_spec("optuna") else [],
    settings=f"{tune_cases.SLOTS} slots",
    remarks=[
        "What is done: [tune_cases.py](../benchmarks/tune_cases.py); what it is held against: [tune_rows.py](../benchmarks/tune_rows.py)."
    ],
    versions=lambda backend: version("optuna") if backend.name == "optuna" else Backend.versions(backend),
)

if __name__ == "__main__":
    sys.exit(sitting.main(SITTING))
