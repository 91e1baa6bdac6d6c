"""What a replica writes: a line for each request where that is wanted, tracebacks of what failed, and who holds the event loop."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from shoal import serve
from shoal.serve._internal.logic.line_budget import LineBudget
from shoal.serve._internal.process.loop_watch import LoopWatch


@serve.deployment
class Logged:
    async def __call__(self, request: Any) -> str:
        if "fail" in request.query_params:
            raise KeyError("as asked")
        logging.getLogger("ray.serve").info("said %s", "something")
        return "fine"

    def add(self, x: int) -> int:
        return x + 1

    async def hold(self) -> None:
        time.sleep(1.3)  # noqa: ASYNC251 (the mistake that is to be named)


def lines(folder: Path) -> list[dict[str, Any]]:
    (file,) = folder.glob("*.log")
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_a_file_gets_a_line_for_each_request(url: str, tmp_path: Path) -> None:
    config = {"encoding": "JSON", "logs_dir": str(tmp_path), "additional_log_standard_attrs": ["process"]}
    handle = serve.run(Logged.options(logging_config=config).bind(), name="logged", route_prefix="/logged")
    assert httpx.get(f"{url}/logged", headers={"x-request-id": "mine"}).text == "fine"
    assert httpx.get(f"{url}/logged?fail", headers={"x-request-id": "bad"}).status_code == 500
    assert handle.add.remote(1).result() == 2
    serve.delete("logged")
    said, asked, failed, called = lines(tmp_path)
    assert said["message"] == "said something"
    assert said["request_id"] == asked["request_id"] == "mine"
    assert asked["status"] == "200"
    assert (asked["method"], asked["path"], asked["route"]) == ("GET", "/logged", "/logged")
    assert asked["deployment"] == "Logged"
    assert asked["process"] > 0
    assert "GET /logged 200" in asked["message"]
    assert failed["level"] == "ERROR"
    assert failed["request_id"] == "bad"
    assert "KeyError: 'as asked'" in failed["traceback"]
    assert called["method"] == "CALL"


def test_errors_and_who_holds_the_loop_are_on_stderr(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    import shoal

    serve.shutdown()
    shoal.shutdown()
    shoal.init(num_cpus=4, log_to_driver=True)
    host, port = serve.start(http_options={"port": 0})
    handle = serve.run(Logged.bind(), name="loud")
    answer = httpx.get(f"http://{host}:{port}/?fail", headers={"x-request-id": "told-of"})
    assert answer.status_code == 500
    handle.hold.remote().result()
    assert httpx.get(f"http://{host}:{port}/").text == "fine"
    serve.shutdown()
    shoal.shutdown()
    written = "".join(capfd.readouterr())
    assert "told-of" in written
    assert "KeyError: 'as asked'" in written
    assert written.count("Logged.hold") == 1
    assert "in hold" in written, "where it is"
    assert "GET / 200" not in written, "nobody asked for an access log"


def test_a_budget_counts_what_it_refuses() -> None:
    budget = LineBudget(per_second=10, burst=2)
    assert [budget.take(5.0) for _ in range(4)] == [0, 0, None, None]
    assert budget.take(5.11) == 2
    assert budget.take(5.12) is None
    assert [budget.take(9.0) for _ in range(3)] == [1, 0, None]


async def hold_the_loop() -> None:
    time.sleep(1.2)  # noqa: ASYNC251


def test_the_watch_names_a_coroutine_that_holds_the_loop_once() -> None:
    told: list[str] = []
    busy = True

    async def main() -> None:
        nonlocal busy
        watch = LoopWatch(lambda: busy, told.append)
        watch.arm()
        await asyncio.sleep(0)
        await hold_the_loop()
        busy = False
        watch.end()

    asyncio.run(main())
    assert "hold_the_loop" in told[0]
    assert sum("holds the event loop" in text for text in told) == 1
