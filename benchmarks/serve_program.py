"""Measures one case of serving on one backend: python serve_program.py BACKEND CASE FOLDER SIZES. Figures go to FOLDER/<row>.json.

The same applications run on shoal and on Ray. Bare FastAPI on uvicorn and LitServe have the cases of HTTP that they can have.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import re
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BACKEND = sys.argv[1]
SERVE_OF = {"ray": "ray.serve", "shoal": "shoal.serve"}
serve: Any = importlib.import_module(SERVE_OF[BACKEND]) if BACKEND in SERVE_OF else None

CHUNK = b"x" * 100
Figures = dict[str, list[float]]


# --- servers --------------------------------------------------------------------------------------------------------------------


def fastapi_app() -> Any:
    """The application of the cases of HTTP, on every backend that takes one."""
    from fastapi import FastAPI, Request
    from fastapi.responses import StreamingResponse

    app = FastAPI()

    async def noop() -> dict[str, str]:
        return {"hello": "world"}

    async def body(request: Request) -> int:
        return len(await request.body())

    async def chunks(count: int) -> StreamingResponse:
        async def parts() -> AsyncIterator[bytes]:
            for _ in range(count):
                yield CHUNK

        return StreamingResponse(parts())

    # Annotations are looked up in the module, which does not have them.
    body.__annotations__["request"] = Request
    chunks.__annotations__.update({"count": int, "return": None})
    app.get("/")(noop)
    app.post("/body")(body)
    app.get("/chunks", response_model=None)(chunks)
    return app


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def served(application: Any) -> Iterator[int]:
    """Runs an application of Serve; yields the port of HTTP."""
    port = free_port()
    serve.start(http_options={"port": port})
    serve.run(application)
    try:
        yield port
    finally:
        serve.shutdown()


def ingress_of_fastapi() -> Any:
    @serve.deployment(max_ongoing_requests=1000)
    @serve.ingress(fastapi_app())
    class Api:
        pass

    return Api.bind()


@contextmanager
def web_application() -> Iterator[int]:
    """FastAPI's application on this backend."""
    if BACKEND == "uvicorn":
        with subprocess_server("uvicorn") as port:
            yield port
    else:
        with served(ingress_of_fastapi()) as port:
            yield port


@contextmanager
def subprocess_server(kind: str) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, __file__, kind, "server", str(port), "{}"]
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


def run_server(kind: str, port: int) -> None:
    if kind == "uvicorn":
        import uvicorn

        uvicorn.run(fastapi_app(), host="127.0.0.1", port=port, access_log=False, log_level="error")
        return
    import litserve

    class Noop(litserve.LitAPI):  # type: ignore[misc]
        def setup(self, device: Any) -> None: ...

        def predict(self, given: Any) -> Any:
            return {"hello": "world"}

    litserve.LitServer(Noop(), accelerator="cpu").run(port=port, generate_client_file=False, log_level="error")


# --- clients --------------------------------------------------------------------------------------------------------------------


def wrk(url: str, connections: int, seconds: float, body_bytes: int = 0, method: str = "GET") -> tuple[float, float]:
    """Returns requests a second, and the median of their times in ms. Raises RuntimeError where one failed."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        script.write(f'wrk.method = "{method}"\n')
        if method == "POST":
            script.write('wrk.headers["Content-Type"] = "application/json"\n')
            script.write(f'wrk.body = string.rep("x", {body_bytes})\n' if body_bytes else 'wrk.body = "{}"\n')
        script.flush()
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", "--timeout=20s"]
        done = subprocess.run([*command, "-s", script.name, url], capture_output=True, text=True, check=True)
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(f"requests failed: {done.stdout}")
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    half = re.search(r"50%\s+([\d.]+)(us|ms|s)", done.stdout)
    assert rate is not None and half is not None, done.stdout
    return float(rate[1]), float(half[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[half[2]]


def load(url: str, name: str, seconds: float, method: str = "GET") -> Figures:
    """Requests a second at 32 connections, and the median time at one."""
    wrk(url, 32, seconds / 2, method=method)
    rate, _ = wrk(url, 32, seconds, method=method)
    _, half = wrk(url, 1, seconds, method=method)
    return {name: [rate], f"{name}_p50": [half]}


async def read_chunks(port: int, count: int) -> float:
    """Reads one stream to its end. Returns the seconds until its first chunk."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=2**20)
    start = time.perf_counter()
    writer.write(f"GET /chunks?count={count} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n".encode())
    await reader.readuntil(b"\r\n\r\n")
    first = await reader.readuntil(CHUNK)
    seconds = time.perf_counter() - start
    rest = await reader.read(-1)
    writer.close()
    if (first + rest).count(CHUNK) != count:
        raise RuntimeError("a stream is not whole")
    return seconds


async def per_second(call: Callable[[], Awaitable[Any]], users: int, seconds: float) -> float:
    """How many calls a second are answered, where so many are asked at a time; warmed up."""
    count, begins = 0, time.perf_counter() + seconds / 2
    ends = begins + seconds

    async def user() -> None:
        nonlocal count
        while (now := time.perf_counter()) < ends:
            await call()
            count += now >= begins

    await asyncio.gather(*(user() for _ in range(users)))
    return count / (time.perf_counter() - begins)


# --- cases ----------------------------------------------------------------------------------------------------------------------


def noop(seconds: float) -> Figures:
    if BACKEND == "litserve":
        with subprocess_server("litserve") as port:
            return load(f"http://127.0.0.1:{port}/predict", "noop", seconds, "POST")
    if BACKEND == "uvicorn":
        with subprocess_server("uvicorn") as port:
            return load(f"http://127.0.0.1:{port}/", "noop", seconds)

    @serve.deployment(max_ongoing_requests=1000)
    class Noop:
        async def __call__(self, request: Any) -> dict[str, str]:
            return {"hello": "world"}

    with served(Noop.bind()) as port:
        return load(f"http://127.0.0.1:{port}/", "noop", seconds)


def fastapi(seconds: float) -> Figures:
    with web_application() as port:
        return load(f"http://127.0.0.1:{port}/", "fastapi", seconds)


def chain(seconds: float) -> Figures:
    @serve.deployment(max_ongoing_requests=1000)
    class Second:
        async def __call__(self, value: int) -> int:
            return value + 1

    @serve.deployment(max_ongoing_requests=1000)
    class First:
        def __init__(self, second: Any) -> None:
            self.second = second

        async def __call__(self, request: Any) -> str:
            return str(await self.second.remote(1))

    with served(First.bind(Second.bind())) as port:
        url = f"http://127.0.0.1:{port}/"
        wrk(url, 32, seconds / 2)
        return {"chain": [wrk(url, 32, seconds)[0]]}


def bodies(seconds: float) -> Figures:
    with web_application() as port:
        url = f"http://127.0.0.1:{port}/body"
        return {f"body_{size}": [wrk(url, 8, seconds, size * 1_000_000, "POST")[0]] for size in (1, 10)}


def chunks(seconds: float) -> Figures:
    count = round(5000 * seconds)

    async def all_of_them(port: int) -> float:
        await read_chunks(port, 100)
        start = time.perf_counter()
        await asyncio.gather(*(read_chunks(port, count) for _ in range(8)))
        return 8 * count / (time.perf_counter() - start)

    with web_application() as port:
        return {"chunks": [asyncio.run(all_of_them(port))]}


def first_chunk(seconds: float) -> Figures:
    async def together(port: int) -> list[float]:
        return await asyncio.gather(*(read_chunks(port, 10) for _ in range(128)))

    with web_application() as port:
        asyncio.run(together(port))
        found = [value for _ in range(max(1, round(seconds))) for value in asyncio.run(together(port))]
        return {"first_chunk": [1e3 * statistics.median(found)]}


def handles(seconds: float) -> Figures:
    @serve.deployment(max_ongoing_requests=1000)
    class Noop:
        async def __call__(self, value: int) -> int:
            return value

    @serve.deployment(max_ongoing_requests=1000)
    class Caller:
        def __init__(self, noop: Any, measure: Any) -> None:
            self.noop = noop
            self.measure = measure

        async def __call__(self, seconds: float) -> float:
            rate: float = await self.measure(self.call, 128, seconds)
            return rate

        async def call(self) -> int:
            answer: int = await self.noop.remote(1)
            return answer

        async def nothing(self) -> None: ...

    with served(Caller.bind(Noop.bind(), per_second)):
        inside = serve.get_app_handle("default").remote(seconds).result()
        noop = serve.get_deployment_handle("Noop", "default")

        async def call() -> Any:
            return await noop.remote(1)

        return {"handles_inside": [inside], "handles": [asyncio.run(per_second(call, 128, seconds))]}


def limit(seconds: float) -> Figures:
    """The script of Ray's issue 52609."""

    @serve.deployment(max_ongoing_requests=1)
    class Slow:
        async def __call__(self, request: Any) -> str:
            await asyncio.sleep(0.1)
            return ""

    with served(Slow.bind()) as port:
        url = f"http://127.0.0.1:{port}/"
        wrk(url, 1, 1)
        # Long enough that the request which the end cuts off is little.
        return {f"limit_{users}": [wrk(url, users, max(seconds, 1))[0]] for users in (1, 5, 50)}


def batched(seconds: float) -> Figures:
    size, model_seconds = 16, 0.010

    @serve.deployment(max_ongoing_requests=1000)
    class Model:
        @serve.batch(max_batch_size=size, batch_wait_timeout_s=0.01)
        async def predict(self, values: list[int]) -> list[int]:
            time.sleep(model_seconds)  # noqa: ASYNC251 - a model computes, and nothing else runs meanwhile
            return values

        async def __call__(self, value: int) -> int:
            answer: int = await self.predict(value)
            return answer

    with served(Model.bind()):
        handle = serve.get_app_handle("default")

        async def call() -> Any:
            return await handle.remote(1)

        rate = asyncio.run(per_second(call, 4 * size, seconds))
        return {"batched": [100 * rate * model_seconds / size]}


def deploy(seconds: float) -> Figures:
    def noop_of(number: int) -> Any:
        @serve.deployment(name=f"Noop{number}", ray_actor_options={"num_cpus": 0.1})
        class Noop:
            async def __call__(self, request: Any) -> str:
                return ""

        return Noop.bind()

    found = []
    with served(noop_of(0)):
        for number in range(1, 2 + round(seconds)):
            start = time.perf_counter()
            serve.run(noop_of(number), name=f"app{number}", route_prefix=f"/{number}")
            found.append(time.perf_counter() - start)
        return {"deploy": [statistics.median(found)]}


def from_zero(seconds: float) -> Figures:
    def sleeping(number: int) -> Any:
        scaling = {"min_replicas": 0, "initial_replicas": 0, "max_replicas": 1, "metrics_interval_s": 0.1}

        @serve.deployment(name=f"Noop{number}", autoscaling_config=scaling, ray_actor_options={"num_cpus": 0.1})
        class Noop:
            async def __call__(self, request: Any) -> str:
                return ""

        return Noop.bind()

    from urllib.request import urlopen

    found = []
    with served(sleeping(0)) as port:
        for number in range(1, 2 + round(seconds)):
            serve.run(sleeping(number), name=f"app{number}", route_prefix=f"/{number}")
            start = time.perf_counter()
            urlopen(f"http://127.0.0.1:{port}/{number}", timeout=60).read()
            found.append(time.perf_counter() - start)
        return {"from_zero": [statistics.median(found)]}


SERVE = (noop, fastapi, chain, bodies, chunks, first_chunk, handles, limit, batched, deploy, from_zero)
CASES = {
    "shoal": SERVE,
    "ray": SERVE,
    "uvicorn": (noop, fastapi, bodies, chunks, first_chunk),
    "litserve": (noop,),
}
"""What each backend can do."""


def main() -> None:
    _, backend, case, where, sizes = sys.argv
    if case == "server":
        run_server(backend, int(where))
        return
    measure = next(one for one in CASES[backend] if one.__name__ == case)
    if backend in ("ray", "shoal"):
        ray: Any = importlib.import_module(backend)
        ray.init(num_cpus=8, log_to_driver=False)
    for row, values in measure(json.loads(sizes)["seconds"]).items():
        Path(where, f"{row}.json").write_text(json.dumps(values))
    if backend in ("ray", "shoal"):
        ray.shutdown()


if __name__ == "__main__":
    main()
