"""Measures one case of serving on one backend: python serve_program.py BACKEND CASE FOLDER SIZES. Figures go to FOLDER/<row>.json.

The same applications run on shoal and on Ray. Bare FastAPI on uvicorn and LitServe have the cases of HTTP that they can have.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import statistics
import sys
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from serve_clients import asked_one_after_the_other, load, per_second, read_chunks, wrk
from serve_servers import (
    BATCH,
    BATCH_WAIT_SECONDS,
    MODEL_SECONDS,
    fastapi_app,
    free_port,
    model,
    subprocess_server,
)

BACKEND = sys.argv[1]
SERVE_OF = {"ray": "ray.serve", "shoal": "shoal.serve"}
serve: Any = importlib.import_module(SERVE_OF[BACKEND]) if BACKEND in SERVE_OF else None

Figures = dict[str, list[float]]
T = TypeVar("T")


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


# --- cases ----------------------------------------------------------------------------------------------------------------------


def on_a_loop(coroutine: Coroutine[Any, Any, T]) -> T:
    """Runs it on a loop that stays open: handles of Ray that were used on it need it again at the end."""
    return asyncio.new_event_loop().run_until_complete(coroutine)


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

    @serve.deployment(max_ongoing_requests=1000)
    class Alone:
        async def __call__(self, request: Any) -> str:
            return "2"

    with served(First.bind(Second.bind())) as port:
        url = f"http://127.0.0.1:{port}/"
        wrk(url, 32, seconds / 2)
        rate, both = wrk(url, 32, seconds).rate, wrk(url, 1, seconds).most
        serve.run(Alone.bind(), name="alone", route_prefix="/alone")
        wrk(f"{url}alone", 1, seconds / 2)
        return {"chain": [rate], "hop_p99": [both - wrk(f"{url}alone", 1, seconds).most]}


def bodies(seconds: float) -> Figures:
    with web_application() as port:
        url = f"http://127.0.0.1:{port}/body"
        rates = {f"body_{size}": [wrk(url, 8, seconds, size * 1_000_000, "POST").rate] for size in (1, 10)}
        return rates | {"answer_10": [wrk(f"http://127.0.0.1:{port}/answer?size=10000000", 8, seconds).rate]}


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
    """128 streams are open at any time, as of models that take their time for each token."""

    async def streams(port: int) -> list[float]:
        begins = time.perf_counter() + seconds / 2
        found: list[float] = []

        async def user(number: int) -> None:
            await asyncio.sleep(number / 128 * 10 * pause)
            while (now := time.perf_counter()) < begins + seconds:
                took = await read_chunks(port, 10, pause)
                if now >= begins:
                    found.append(took)

        await asyncio.gather(*(user(number) for number in range(128)))
        return found

    pause = 0.05
    with web_application() as port:
        return {"first_chunk": [1e3 * statistics.median(asyncio.run(streams(port)))]}


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

    async def both() -> Figures:
        inside = await serve.get_app_handle("default").remote(seconds)
        noop = serve.get_deployment_handle("Noop", "default")

        async def call() -> Any:
            return await noop.remote(1)

        return {"handles_inside": [inside], "handles": [await per_second(call, 128, seconds)]}

    with served(Caller.bind(Noop.bind(), per_second)):
        return on_a_loop(both())


def limit(seconds: float) -> Figures:
    """The script of Ray's issue 52609."""

    @serve.deployment(max_ongoing_requests=1)
    class Slow:
        async def __call__(self, request: Any) -> str:
            await asyncio.sleep(0.1)
            return ""

    with served(Slow.bind()) as port:
        url = f"http://127.0.0.1:{port}/"
        asked_one_after_the_other(url, 1, 2)
        count = round(12 * seconds)
        return {f"limit_{users}": [asked_one_after_the_other(url, users, count)] for users in (1, 5, 50)}


def overload(seconds: float) -> Figures:
    """As many users as there is room for, and ten times as many, who ask again at once when they are sent away."""

    @serve.deployment(max_ongoing_requests=8, max_queued_requests=8)
    class Slow:
        async def __call__(self, request: Any) -> str:
            await asyncio.sleep(0.02)
            return ""

    with served(Slow.bind()) as port:
        url = f"http://127.0.0.1:{port}/"
        wrk(url, 16, seconds / 2, may_shed=True)
        peak = wrk(url, 16, seconds, may_shed=True).rate
        return {"overload": [100 * wrk(url, 160, seconds, may_shed=True).rate / peak]}


def batched(seconds: float) -> Figures:
    if BACKEND in ("uvicorn", "litserve"):
        with subprocess_server(f"{BACKEND}-batched") as port:
            path, method = ("predict", "POST") if BACKEND == "litserve" else ("", "GET")
            wrk(f"http://127.0.0.1:{port}/{path}", 4 * BATCH, seconds / 2, method=method)
            return {"batched_http": [wrk(f"http://127.0.0.1:{port}/{path}", 4 * BATCH, seconds, method=method).rate]}

    from fastapi import FastAPI

    app = FastAPI()

    @serve.deployment(max_ongoing_requests=1000)
    @serve.ingress(app)
    class Model:
        @serve.batch(max_batch_size=BATCH, batch_wait_timeout_s=BATCH_WAIT_SECONDS)
        async def predict(self, values: list[int]) -> list[int]:
            return await asyncio.to_thread(model, values)

        @app.get("/")
        async def answer(self) -> int:
            answer: int = await self.predict(1)
            return answer

    with served(Model.bind()) as port:
        handle = serve.get_app_handle("default")

        async def call() -> Any:
            return await handle.predict.remote(1)

        rate = on_a_loop(per_second(call, 4 * BATCH, seconds))
        wrk(f"http://127.0.0.1:{port}/", 4 * BATCH, seconds / 2)
        over_http = wrk(f"http://127.0.0.1:{port}/", 4 * BATCH, seconds).rate
        return {"batched": [100 * rate * MODEL_SECONDS / BATCH], "batched_http": [over_http]}


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


SERVE = (noop, fastapi, chain, bodies, chunks, first_chunk, handles, limit, overload, batched, deploy, from_zero)
CASES = {
    "shoal": SERVE,
    "ray": SERVE,
    "uvicorn": (noop, fastapi, bodies, chunks, first_chunk, batched),
    "litserve": (noop, batched),
}
"""What each backend can do."""


def main() -> None:
    _, backend, case, where, sizes = sys.argv
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
