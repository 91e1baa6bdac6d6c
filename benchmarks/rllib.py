"""Measures shoal's RLlib, Ray's, stable-baselines3 and a single file of torch with the same work in one sitting. See README.md.

python benchmarks/rllib.py --ray-python /ray-venv/bin/python --sb3-python /sb3-venv/bin/python --markdown docs/benchmarks-rllib.md
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import rllib_cases
import sitting
from backend import Backend
from rllib_rows import ROWS


def versions(backend: Backend) -> str:
    """The versions of a backend, of its torch, and of stable-baselines3 where it is that."""
    program = "import importlib.metadata as m; print('torch ' + m.version('torch')"
    program += " + ', stable-baselines3 ' + m.version('stable-baselines3'))" if backend.name == "sb3" else ")"
    done = subprocess.run(
        [backend.python, "-c", program], env=backend.environment(), capture_output=True, text=True, check=True
    )
    return f"{backend.versions()}, {done.stdout.strip()}"


SITTING = sitting.Sitting(
    title="Benchmarks of RLlib",
    description="Measures shoal's RLlib beside Ray's, stable-baselines3 and a single file of torch.",
    program="benchmarks/rllib.py",
    page="docs/benchmarks-rllib.md",
    rows=ROWS,
    cases=Path(__file__).with_name("rllib_cases.py"),
    able=rllib_cases.CASES,
    peers={"ray": "ray[rllib]", "sb3": "stable-baselines3"},
    others=["single", "products"],
    settings="threads of torch as each chooses, but one for SB3 and the single file where layers are small (it is faster)",
    remarks=[
        "What is done: [rllib_cases.py](../benchmarks/rllib_cases.py) and [rllib_single_file.py](../benchmarks/rllib_single_file.py);",
        "what it is held against: [rllib_rows.py](../benchmarks/rllib_rows.py). `products` is the floor: the products of matrices that",
        "the gradients consist of, on all processors, without environments, activations, losses and the optimizer.",
    ],
    patience=400.0,
    versions=versions,
    floor_backend="products",
)

if __name__ == "__main__":
    sys.exit(sitting.main(SITTING))
