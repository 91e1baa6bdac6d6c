"""Measures other libraries' parallel APIs on shoal, on Ray and on what they bring themselves, in one sitting.

See README.md beside this file.

python benchmarks/integrations.py --ray-python /path/to/ray-venv/bin/python --markdown docs/benchmarks-integrations.md
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import integrations_cases
import sitting
from integrations_rows import ROWS

SITTING = sitting.Sitting(
    title="Benchmarks of the integrations",
    description="Measures parallel APIs on shoal, Ray and what they bring themselves.",
    program="benchmarks/integrations.py",
    page="docs/benchmarks-integrations.md",
    rows=ROWS,
    cases=Path(__file__).with_name("integrations_cases.py"),
    able=integrations_cases.CASES,
    peers={"ray": "ray, joblib, scikit-learn and dask"},
    others=["own"],
    settings=f"{integrations_cases.SLOTS} slots",
    remarks=[
        "Less is better. `own` is what the API itself brings: multiprocessing, ProcessPoolExecutor, loky, Dask's processes.",
        "What is done: [integrations_cases.py](../benchmarks/integrations_cases.py); what it is held against:",
        "[integrations_rows.py](../benchmarks/integrations_rows.py).",
    ],
    libraries={name: version(name) for name in ("joblib", "dask", "scikit-learn")},
    floor_backend="own",
)

if __name__ == "__main__":
    sys.exit(sitting.main(SITTING))
