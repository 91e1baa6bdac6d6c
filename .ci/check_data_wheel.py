"""Checks shoal-data as installed from its wheel beside shoal-core's: a quick start, in the driver and in tasks, and files in and out."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import shoal


def check_that_it_is_the_wheel() -> None:
    assert "site-packages" in Path(shoal.data.__file__).parts, shoal.data.__file__
    assert shoal.data.__version__ == importlib.metadata.version("shoal-data")
    assert importlib.resources.files("shoal.data").joinpath("py.typed").is_file()


def check_that_the_core_does_not_load_it() -> None:
    program = "import json, sys, shoal; print(json.dumps(sorted(sys.modules)))"
    loaded = json.loads(subprocess.check_output([sys.executable, "-I", "-c", program]))
    assert not [name for name in loaded if name.startswith("shoal.data") or name == "pyarrow"]


def check_a_quick_start() -> None:
    squares = shoal.data.range(1000).map_batches(lambda batch: {"square": batch["id"] ** 2})
    assert squares.sum("square") == 332_833_500
    with shoal.init(num_cpus=2), tempfile.TemporaryDirectory() as folder:
        many = shoal.data.range(1000, override_num_blocks=4).map(lambda row: {"key": row["id"] % 3, "value": row["id"]})
        many.write_parquet(folder)
        back = shoal.data.read_parquet(folder)
        assert back.count() == 1000
        assert back.groupby("key").sum("value").sort("key").take(1) == [{"key": 0, "sum(value)": 166_833}]
        assert back.random_shuffle(seed=1).sort("value").take(2)[1]["value"] == 1


def main() -> int:
    check_that_it_is_the_wheel()
    check_that_the_core_does_not_load_it()
    check_a_quick_start()
    print("shoal-data's wheel works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
