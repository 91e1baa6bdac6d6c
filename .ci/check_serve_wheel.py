"""Checks shoal-serve as installed from its wheel: a quick start over HTTP."""

from __future__ import annotations

import importlib.metadata
import importlib.resources
import sys
import urllib.request
from pathlib import Path
from typing import Any

import shoal
from shoal import serve


def check_that_it_is_the_wheel() -> None:
    assert "site-packages" in Path(serve.__file__).parts, serve.__file__
    assert serve.__version__ == importlib.metadata.version("shoal-serve")
    assert importlib.resources.files("shoal.serve").joinpath("py.typed").is_file()


@serve.deployment
class Greeter:
    def __call__(self, request: Any) -> dict[str, str]:
        return {"hello": request.query_params["name"]}


def check_a_quick_start() -> None:
    with shoal.init(num_cpus=2):
        host, port = serve.start(http_options={"port": 0})
        serve.run(Greeter.bind())
        with urllib.request.urlopen(f"http://{host}:{port}/?name=Ada") as answer:
            assert answer.read() == b'{"hello":"Ada"}'
        serve.shutdown()


def main() -> int:
    check_that_it_is_the_wheel()
    check_a_quick_start()
    print("shoal-serve's wheel works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
