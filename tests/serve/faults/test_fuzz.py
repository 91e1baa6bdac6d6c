"""What a stranger may send: requests that a schema allows and forbids, and bytes that are hardly HTTP. Nothing crashes, nothing hangs."""

from __future__ import annotations

import runpy
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

import httpx
import pandas as pd
import pytest
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from pydantic import BaseModel, Field

from shoal import serve
from shoal.util.state import list_actors

EXAMPLE = Path(__file__).parents[3] / "examples" / "serve_model.py"
LONGEST_S = 20.0


class House(BaseModel):
    rooms: Annotated[float, Field(ge=0)] | None = None
    proximity: Literal["INLAND", "NEAR BAY"]


@pytest.fixture
def small_houses(url: str) -> Iterator[str]:
    """URL of an application like the example's, which guesses."""
    app = FastAPI()

    @serve.deployment(ray_actor_options={"num_cpus": 0.1})
    @serve.ingress(app)
    class Houses:
        @app.post("/predict")
        async def predict(self, house: House) -> float:
            return house.rooms or 0.0

    serve.run(Houses.bind(), name="houses", route_prefix="/houses")
    yield f"{url}/houses"
    serve.delete("houses")


@pytest.fixture(scope="module")
def houses(url: str) -> Iterator[str]:
    """URL of the example's application, with a model of few houses."""
    example = runpy.run_path(str(EXAMPLE), run_name="houses")
    numbers = range(60)
    table = pd.DataFrame(
        {
            "rooms": [float(number % 7) for number in numbers],
            "proximity": [("INLAND", "NEAR BAY")[number % 2] for number in numbers],
            "median_house_value": [float(number) for number in numbers],
        }
    )
    serve.run(
        example["application"](example["trained"](table), example["schema_of"](table)),
        name="houses",
        route_prefix="/houses",
    )
    yield f"{url}/houses"
    serve.delete("houses")


def check_the_schema(houses: str, examples: int) -> None:
    import schemathesis
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

    # FastAPI answers what is no text with a 400, of which its schemas do not tell.
    checks = [not_a_server_error, content_type_conformance, response_schema_conformance]
    schema = schemathesis.openapi.from_url(f"{houses}/openapi.json")
    operations = [found.ok() for found in schema.get_all_operations()]
    assert [one.path for one in operations] == ["/predict"]
    modes = [schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE]
    for operation in operations:
        for mode in modes:

            @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case: Any) -> None:
                case.call_and_validate(checks=checks, timeout=LONGEST_S)

            check()


def actors() -> set[tuple[str, int]]:
    return {(one.name, one.pid) for one in list_actors(filters=[("state", "=", "ALIVE")])}


LINES = some.one_of(
    some.sampled_from(
        [
            b"GET /houses/docs HTTP/1.1",
            b"POST /houses/predict HTTP/1.1",
            b"POST /houses/predict HTTP/1.0",
            b"GET /houses/../houses/%2e%2e/%00 HTTP/1.1",
            b"OPTIONS * HTTP/1.1",
            b"GET http://[::1/houses HTTP/1.1",
            b"BREW /houses HTTP/1.1",
            b"GET /-/routes",
            b"PRI * HTTP/2.0",
        ]
    ),
    some.binary(max_size=60),
)
NUMBERS = some.sampled_from([b"0", b"2", b"-1", b"99999999999999999999", b"0x10", b"", b"1, 2"])
HEADERS = some.one_of(
    NUMBERS.map(lambda number: b"content-length: " + number),
    some.sampled_from(
        [
            b"transfer-encoding: chunked",
            b"transfer-encoding: gzip, chunked",
            b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: x",
            b"connection: keep-alive, close",
            b"expect: 100-continue",
            b"content-type: application/json; charset=\xff",
            b"content-encoding: gzip",
            b"x-request-id: \xff\xfe",
            b"serve_multiplexed_model_id: \x80",
            b" folded: line",
            b"no colon",
        ]
    ),
    some.binary(max_size=40),
)
BODIES = some.one_of(
    some.sampled_from(
        [b"", b"{}", b'5\r\n{"a":\r\n', b"zz\r\nabc\r\n", b"0\r\n\r\n", b"[" * 2000, b"\x81\xfe\xff\xff"]
    ),
    some.binary(max_size=200),
)
FRAMES = some.builds(
    lambda line, headers, body: b"\r\n".join([line, b"host: here", *headers, b"", b""]) + body,
    LINES,
    some.lists(HEADERS, max_size=4),
    BODIES,
)


def answer_to(url: str, parts: list[bytes]) -> bytes:
    """Sends bytes in parts, and no more. Returns all that comes until the connection ends, which it has to."""
    _, _, address = url.partition("//")
    host, _, port = address.partition("/")[0].partition(":")
    answer = b""
    with socket.create_connection((host, int(port)), timeout=LONGEST_S) as client:
        try:
            for part in parts:
                client.sendall(part)
            client.shutdown(socket.SHUT_WR)
            while more := client.recv(1 << 16):
                answer += more
        except TimeoutError:
            raise
        except OSError:
            pass  # What has been refused is not read to its end.
    return answer


def check_frames(houses: str, examples: int) -> None:
    before = actors()

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(frames=some.lists(FRAMES, min_size=1, max_size=3), cut=some.integers(0, 100))
    def check(frames: list[bytes], cut: int) -> None:
        wire = b"".join(frames)
        answer = answer_to(houses, [part for part in (wire[:cut], wire[cut:]) if part])
        assert not answer or answer.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")), answer[:200]
        assert not answer.startswith(b"HTTP/1.1 5"), answer[:400]

    check()
    assert actors() == before
    asked = httpx.post(f"{houses}/predict", json={"rooms": 3, "proximity": "INLAND"})
    assert asked.status_code == 200, asked.text


Check = Callable[[str, int], None]
# What is made by a schema takes its time to be made.
FEW = pytest.mark.parametrize(("check", "examples"), [(check_the_schema, 20), (check_frames, 40)])
MANY = pytest.mark.parametrize(("check", "examples"), [(check_the_schema, 500), (check_frames, 2000)])


@FEW
def test_nothing_that_is_sent_does_harm(small_houses: str, check: Check, examples: int) -> None:
    check(small_houses, examples)


@pytest.mark.slow
@pytest.mark.timeout(600)
@MANY
def test_much_that_is_sent_does_no_harm(houses: str, check: Check, examples: int) -> None:
    check(houses, examples)
