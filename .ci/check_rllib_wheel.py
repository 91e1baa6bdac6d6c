"""Checks shoal-rllib as installed from its wheel: a quick start."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import sys
from pathlib import Path

from shoal import rllib


def check_that_it_is_the_wheel() -> None:
    assert "site-packages" in Path(rllib.__file__).parts, rllib.__file__
    assert rllib.__version__ == importlib.metadata.version("shoal-rllib")
    assert importlib.resources.files("shoal.rllib").joinpath("py.typed").is_file()


def main() -> int:
    check_that_it_is_the_wheel()
    print("shoal-rllib's wheel works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
