"""Checks shoal-train as installed from its wheel, without torch: a quick start, in the driver and in workers."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import importlib.util
import sys
import tempfile
from pathlib import Path

import shoal
from shoal import train
from shoal.train.data_parallel_trainer import DataParallelTrainer


def check_that_it_is_the_wheel() -> None:
    assert "site-packages" in Path(train.__file__).parts, train.__file__
    assert train.__version__ == importlib.metadata.version("shoal-train")
    assert importlib.resources.files("shoal.train").joinpath("py.typed").is_file()
    assert importlib.util.find_spec("torch") is None, "torch is installed: the check says nothing"


def loop() -> None:
    context = train.get_context()
    train.report({"rank": context.get_world_rank(), "size": context.get_world_size()})


def check_a_quick_start() -> None:
    with shoal.init(num_cpus=2), tempfile.TemporaryDirectory() as folder:
        for workers in (0, 2):
            result = DataParallelTrainer(
                loop,
                scaling_config=train.ScalingConfig(num_workers=workers),
                run_config=train.RunConfig(storage_path=folder),
            ).fit()
            assert result.metrics == {"rank": 0, "size": max(1, workers)}, result


def main() -> int:
    check_that_it_is_the_wheel()
    check_a_quick_start()
    print("shoal-train's wheel works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
