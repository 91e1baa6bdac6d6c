"""FastAPI on uvicorn, one process, for the benchmark of serving, and what its other servers serve, too: python serve_servers.py KIND PORT,
where KIND is `uvicorn` or `uvicorn-batched`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

CHUNK = b"x" * 100
BATCH, BATCH_WAIT_SECONDS, MODEL_SECONDS = 16, 0.010, 0.010


def fastapi_app() -> Any:
    """The application of the cases of HTTP, on every backend that takes one."""
    from fastapi import FastAPI, Request
    from fastapi.responses import Response, StreamingResponse

    app = FastAPI()

    async def noop() -> dict[str, str]:
        return {"hello": "world"}

    async def body(request: Request) -> int:
        return len(await request.body())

    async def answer(size: int) -> Response:
        return Response(bytes(size))

    async def chunks(count: int, pause: float = 0.0) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for number in range(count):
                if number and pause:
                    await asyncio.sleep(pause)
                yield CHUNK

        return StreamingResponse(parts())

    # Annotations are looked up in the module, which does not have them.
    body.__annotations__["request"] = Request
    answer.__annotations__.update({"size": int, "return": None})
    chunks.__annotations__.update({"count": int, "pause": float, "return": None})
    app.get("/")(noop)
    app.post("/body")(body)
    app.get("/answer", response_model=None)(answer)
    app.get("/chunks", response_model=None)(chunks)
    return app


def model(values: list[T]) -> list[T]:
    """Takes as long for a whole batch as for one."""
    time.sleep(MODEL_SECONDS)
    return values


class BatcherByHand:
    """What one writes without a library: a queue, and a task that takes lists from it while the model computes on a thread."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[int, asyncio.Future[int]]] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    async def predict(self, value: int) -> int:
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((value, future))
        return await future

    async def _run(self) -> None:
        while True:
            batch = [await self._queue.get()]
            deadline = time.monotonic() + BATCH_WAIT_SECONDS
            while len(batch) < BATCH:
                try:
                    async with asyncio.timeout(deadline - time.monotonic()):
                        batch.append(await self._queue.get())
                except TimeoutError:
                    break
            answers = await asyncio.to_thread(model, [value for value, _ in batch])
            for (_, future), answer in zip(batch, answers, strict=True):
                future.set_result(answer)


def batching_app() -> Any:
    """An application of FastAPI whose answers come from a model that is batched by hand."""
    from fastapi import FastAPI

    app, batcher = FastAPI(), BatcherByHand()

    async def batched() -> int:
        return await batcher.predict(1)

    app.get("/")(batched)
    return app


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def subprocess_server(kind: str) -> Iterator[int]:
    port = free_port()
    program = Path(__file__).with_name("serve_litserve.py" if kind.startswith("litserve") else "serve_servers.py")
    command = [sys.executable, str(program), kind, str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True) as one:
        try:
            wait_for_port(port)
            yield port
        finally:
            os.killpg(one.pid, signal.SIGKILL)


def wait_for_port(port: int) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def main() -> None:
    import uvicorn

    kind, port = sys.argv[1], int(sys.argv[2])
    app = batching_app() if kind == "uvicorn-batched" else fastapi_app()
    uvicorn.run(app, host="127.0.0.1", port=port, access_log=False, log_level="error")


if __name__ == "__main__":
    main()
