"""Helpers for tests of programs that use shoal."""

from __future__ import annotations

import asyncio
import inspect
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import shoal


class _SignalActor:
    """A signal that many can wait for: `wait()` ends once somebody has called `send()`."""

    def __init__(self) -> None:
        self._ready = asyncio.Event()
        self._waiters = 0

    async def send(self, clear: bool = False) -> None:
        self._ready.set()
        if clear:
            self._ready.clear()

    async def wait(self, should_wait: bool = True) -> None:
        if should_wait:
            self._waiters += 1
            try:
                await self._ready.wait()
            finally:
                self._waiters -= 1

    async def cur_num_waiters(self) -> int:
        return self._waiters


class _Semaphore:
    """A semaphore for tasks and actors: `acquire()`, `release()`, `locked()`."""

    def __init__(self, value: int = 1) -> None:
        self._semaphore = asyncio.Semaphore(value=value)

    async def acquire(self) -> None:
        await self._semaphore.acquire()

    async def release(self) -> None:
        self._semaphore.release()

    async def locked(self) -> bool:
        return self._semaphore.locked()


SignalActor = shoal.remote(num_cpus=0)(_SignalActor)
Semaphore = shoal.remote(num_cpus=0)(_Semaphore)


def wait_for_condition(
    condition_predictor: Callable[..., bool],
    timeout: float = 10,
    retry_interval_ms: float = 100,
    raise_exceptions: bool = False,
    **kwargs: Any,
) -> None:
    """Returns when a condition holds.

    Args:
        condition_predictor: returns whether it does; called with kwargs.
        timeout: seconds to wait at most.
        retry_interval_ms: milliseconds between two calls.
        raise_exceptions: False to take an exception for "not yet".

    Raises:
        RuntimeError: it did not hold in time.
    """
    deadline = time.monotonic() + timeout
    last: BaseException | None = None
    while True:
        try:
            if condition_predictor(**kwargs):
                return
        except Exception as error:
            if raise_exceptions:
                raise
            last = error
        if time.monotonic() > deadline:
            raise RuntimeError(_not_met(last, timeout)) from last
        time.sleep(retry_interval_ms / 1000)


async def async_wait_for_condition(
    condition_predictor: Callable[..., Any],
    timeout: float = 10,  # noqa: ASYNC109 - as Ray has it
    retry_interval_ms: float = 100,
    **kwargs: Any,
) -> None:
    """Returns when a condition holds; as `wait_for_condition`, without blocking the event loop."""
    deadline = time.monotonic() + timeout
    last: BaseException | None = None
    while True:
        try:
            answer = condition_predictor(**kwargs)
            if await answer if inspect.isawaitable(answer) else answer:
                return
        except Exception as error:
            last = error
        if time.monotonic() > deadline:
            raise RuntimeError(_not_met(last, timeout)) from last
        await asyncio.sleep(retry_interval_ms / 1000)


def _not_met(last: BaseException | None, timeout: float) -> str:
    why = f" The last error: {last!r}" if last is not None else ""
    return f"The condition was not met within {timeout} s.{why}"


def run_string_as_driver(
    driver_script: str, env: Mapping[str, str] | None = None, encode: str = "utf-8", timeout: float | None = 120
) -> str:
    """Runs a program in a process of its own and returns its output.

    Args:
        driver_script: the program's text.
        env: its environment variables; this process's by default.
        encode: encoding of the text.
        timeout: seconds to let it run.

    Raises:
        subprocess.CalledProcessError: it ended with an error; `output` has what it wrote.
        subprocess.TimeoutExpired: it did not end in time.
    """
    run = subprocess.run(
        [sys.executable, "-"],
        input=driver_script.encode(encode),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(env) if env is not None else dict(os.environ),
        timeout=timeout,
        check=False,
    )
    output = run.stdout.decode(encode, errors="replace")
    if run.returncode:
        raise subprocess.CalledProcessError(run.returncode, run.args, output)
    return output


def fetch_prometheus(prom_addresses: list[str]) -> dict[str, str]:
    """Returns what metrics endpoints (host:port) serve, as text by address."""
    from urllib.request import urlopen

    pages = {}
    for address in prom_addresses:
        with urlopen(f"http://{address}/metrics", timeout=10) as answer:
            pages[address] = answer.read().decode()
    return pages
