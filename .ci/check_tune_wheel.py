"""Checks shoal-tune as installed from its wheel, without torch: a quick start."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import importlib.util
import sys
import tempfile
from pathlib import Path
from typing import Any

import shoal
from shoal import tune


def check_that_it_is_the_wheel() -> None:
    assert "site-packages" in Path(tune.__file__).parts, tune.__file__
    assert tune.__version__ == importlib.metadata.version("shoal-tune")
    assert importlib.resources.files("shoal.tune").joinpath("py.typed").is_file()
    assert importlib.util.find_spec("torch") is None, "torch came along with shoal-tune"


def score(config: dict[str, Any]) -> dict[str, float]:
    return {"loss": (config["x"] - 3) ** 2}


def check_a_quick_start() -> None:
    with shoal.init(num_cpus=2), tempfile.TemporaryDirectory() as folder:
        tuner = tune.Tuner(
            score,
            param_space={"x": tune.grid_search([1, 3, 5])},
            tune_config=tune.TuneConfig(metric="loss", mode="min"),
            run_config=tune.RunConfig(storage_path=folder),
        )
        assert tuner.fit().get_best_result().config == {"x": 3}


def main() -> int:
    check_that_it_is_the_wheel()
    check_a_quick_start()
    print("shoal-tune's wheel works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
