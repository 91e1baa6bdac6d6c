"""`python -m shoal.as_ray program.py [arguments]`, or `python -m shoal.as_ray -m module [arguments]`."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from shoal.as_ray import install

USAGE = "usage: python -m shoal.as_ray program.py [arguments], or python -m shoal.as_ray -m module [arguments]"


def main() -> None:
    arguments = sys.argv[1:]
    as_module = arguments[:1] == ["-m"]
    if as_module:
        arguments = arguments[1:]
    if not arguments or arguments[0] in ("-h", "--help"):
        sys.exit(USAGE)
    install()
    sys.argv = arguments
    if as_module:
        runpy.run_module(arguments[0], run_name="__main__", alter_sys=True)
    else:
        if not Path(arguments[0]).exists():
            sys.exit(f"there is no program {arguments[0]!r}; {USAGE}")
        sys.path[0] = str(Path(arguments[0]).resolve().parent)
        runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    main()
