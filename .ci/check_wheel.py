"""Checks shoal-core as installed from its wheel, in an environment with nothing else.

It imports little, carries its types and its command, and does the core of examples/housing.py without any library: one hundred linear
models on random splits of a table, sequentially and in parallel, with the same result.
"""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

import shoal

HEAVY = ("asyncio", "cloudpickle", "grpc", "multiprocessing", "numpy", "pandas", "pyarrow", "torch")

Table = list[tuple[float, float]]


def check_that_the_import_is_light() -> None:
    program = "import json, sys, shoal; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.check_output([sys.executable, "-I", "-c", program]))
    assert set(HEAVY).isdisjoint(loaded), f"import shoal loads {sorted(set(HEAVY).intersection(loaded))}"


def check_that_it_is_the_wheel() -> None:
    assert "site-packages" in Path(shoal.__file__).parts, shoal.__file__
    assert shoal.__version__ == importlib.metadata.version("shoal-core")
    assert importlib.resources.files("shoal").joinpath("py.typed").is_file()


def check_that_the_command_is_there() -> None:
    command = Path(sys.executable).with_name("shoal")
    subprocess.run([command, "--help"], check=True, stdout=subprocess.DEVNULL)


def check_one_hundred_models() -> None:
    draw = random.Random(0)
    table = [(x, 3 * x + draw.gauss(0, 1)) for x in (draw.uniform(0, 10) for _ in range(2_000))]
    sequential = [train(table, seed) for seed in range(100)]

    with shoal.init(num_cpus=2):
        remote_train = shoal.remote(train)
        table_ref = shoal.put(table)
        refs = [remote_train.remote(table_ref, seed) for seed in range(100)]
        pending = refs
        while pending:
            _, pending = shoal.wait(pending)
        parallel = shoal.get(refs)

    assert parallel == sequential
    assert min(sequential) > 0.9
    left = psutil.Process().children(recursive=True)
    assert not left, f"processes are left after shutdown: {left}"


def train(table: Table, seed: int) -> float:
    """Fits y = a + b x to four fifths of the rows by least squares, and returns its R² on the others."""
    rows = random.Random(seed).sample(table, len(table))
    fitted, tested = rows[len(rows) // 5 :], rows[: len(rows) // 5]
    mean_x = sum(x for x, _ in fitted) / len(fitted)
    mean_y = sum(y for _, y in fitted) / len(fitted)
    slope = sum((x - mean_x) * (y - mean_y) for x, y in fitted) / sum((x - mean_x) ** 2 for x, _ in fitted)
    tested_mean = sum(y for _, y in tested) / len(tested)
    unexplained = sum((y - mean_y - slope * (x - mean_x)) ** 2 for x, y in tested)
    return 1 - unexplained / sum((y - tested_mean) ** 2 for _, y in tested)


CHECKS: tuple[Callable[[], None], ...] = (
    check_that_the_import_is_light,
    check_that_it_is_the_wheel,
    check_that_the_command_is_there,
    check_one_hundred_models,
)

if __name__ == "__main__":
    for check in CHECKS:
        check()
        print(check.__name__.replace("_", " "))
