"""A service of gRPC, called with a real client: messages, streams, statuses, cancellation, health and reflection."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from sums_pb2 import Number
from sums_pb2_grpc import SumsStub

import shoal
from shoal import serve
from shoal.serve.exceptions import InvalidArgumentError, gRPCStatusError

SERVICE = "sums_pb2_grpc.add_SumsServicer_to_server"


@serve.deployment(max_ongoing_requests=10)
class Sums:
    def __init__(self, factor: int = 2) -> None:
        self.factor = factor
        self.cancelled = 0

    async def Double(self, request: Number, grpc_context: Any) -> Number:
        if request.text == "wait":
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.cancelled += 1
                raise
        if request.text == "code":
            grpc_context.set_code(grpc.StatusCode.DATA_LOSS)
            grpc_context.set_details("all gone")
        if request.text == "status":
            raise gRPCStatusError(ValueError("no"), grpc.StatusCode.RESOURCE_EXHAUSTED, "too much")
        if request.text == "raise":
            raise KeyError("as asked")
        grpc_context.set_trailing_metadata([("by", grpc_context.application())])
        about = f"{grpc_context.multiplexed_model_id()} {grpc_context.request_id()}"
        assert serve.get_multiplexed_model_id() == grpc_context.multiplexed_model_id()
        return Number(value=self.factor * request.value, text=about)

    def Count(self, request: Number) -> Iterator[Number]:
        for value in range(request.value):
            yield Number(value=value)
        if request.text == "raise":
            raise KeyError("after all")

    async def Sum(self, requests: AsyncIterator[Number]) -> Number:
        return Number(value=sum([one.value async for one in requests]))

    async def Running(self, requests: AsyncIterator[Number]) -> AsyncIterator[Number]:
        total = 0
        async for one in requests:
            total += one.value
            yield Number(value=total)

    def how_many_cancelled(self) -> int:
        return self.cancelled


@pytest.fixture(scope="module")
def address(url: str) -> str:
    serve.start(grpc_options={"port": 0, "grpc_servicer_functions": [SERVICE], "request_timeout_s": 2})
    return serve.status().addresses["grpc"]


@pytest.fixture(scope="module")
def channel(address: str) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(address) as channel:
        yield channel


@pytest.fixture(scope="module")
def sums(channel: grpc.Channel) -> Iterator[SumsStub]:
    serve.run(Sums.bind(), name="sums", route_prefix="/sums")
    yield SumsStub(channel)
    serve.delete("sums")


def test_messages_and_streams(sums: SumsStub) -> None:
    assert sums.Double(Number(value=4)).value == 8
    assert [one.value for one in sums.Count(Number(value=1000))] == list(range(1000))
    assert sums.Sum(Number(value=n) for n in range(10)).value == 45
    assert [one.value for one in sums.Running(Number(value=n) for n in range(5))] == [0, 1, 3, 6, 10]


def test_metadata_goes_both_ways(sums: SumsStub) -> None:
    metadata = (("application", "sums"), ("multiplexed_model_id", "m1"), ("request_id", "mine"))
    answer, call = sums.Double.with_call(Number(value=4), metadata=metadata)
    assert answer.text == "m1 mine"
    assert dict(call.trailing_metadata()) == {"by": "sums", "request_id": "mine"}


@pytest.mark.parametrize(
    ("text", "code", "details"),
    [
        ("code", grpc.StatusCode.DATA_LOSS, "all gone"),
        ("status", grpc.StatusCode.RESOURCE_EXHAUSTED, "too much"),
        ("raise", grpc.StatusCode.INTERNAL, "KeyError: 'as asked'"),
        ("wait", grpc.StatusCode.DEADLINE_EXCEEDED, "no answer within 2 s"),
    ],
)
def test_statuses(sums: SumsStub, text: str, code: grpc.StatusCode, details: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        sums.Double(Number(text=text))
    assert caught.value.code() is code
    assert caught.value.details() == details


def test_a_stream_that_fails_gives_what_it_had(sums: SumsStub) -> None:
    found: list[int] = []
    with pytest.raises(grpc.RpcError, match="KeyError: 'after all'"):
        found.extend(one.value for one in sums.Count(Number(value=3, text="raise")))
    assert found == [0, 1, 2]


def test_who_is_not_there(sums: SumsStub) -> None:
    with pytest.raises(grpc.RpcError, match="there is no application 'other'; there are: sums") as caught:
        sums.Double(Number(), metadata=(("application", "other"),))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    with pytest.raises(grpc.RpcError, match="Sums has no method 'Missing'") as caught:
        sums.Missing(Number())
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_client_that_goes_cancels_its_handler(sums: SumsStub) -> None:
    handle = serve.get_app_handle("sums")
    before = handle.how_many_cancelled.remote().result()
    call = sums.Double.future(Number(text="wait"))
    asked = threading.Event()
    threading.Thread(target=lambda: (sums.Double(Number()), asked.set())).start()
    assert asked.wait(10), "the first one has arrived when a later one is answered"
    call.cancel()
    while handle.how_many_cancelled.remote().result() == before:
        pass
    with pytest.raises(grpc.RpcError) as caught:
        sums.Double(Number(text="wait"), timeout=0.2)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    while handle.how_many_cancelled.remote().result() == before + 1:
        pass


@pytest.fixture
def to_small(sums: SumsStub) -> Iterator[tuple[tuple[str, str], ...]]:
    """Metadata that names another application, which takes one call at a time."""
    serve.run(Sums.options(max_ongoing_requests=1, max_queued_requests=0).bind(), name="small", route_prefix=None)
    yield (("application", "small"),)
    serve.delete("small")


def test_too_many_are_refused(sums: SumsStub, to_small: tuple[tuple[str, str], ...]) -> None:
    assert sums.Double(Number(value=1), metadata=to_small).value == 2
    waiting = [sums.Double.future(Number(text="wait"), metadata=to_small) for _ in range(3)]
    codes = [call.code() for call in waiting]
    assert sorted(code.name for code in codes) == ["DEADLINE_EXCEEDED", "UNAVAILABLE", "UNAVAILABLE"]
    with pytest.raises(
        grpc.RpcError, match="several applications; name one in the metadata 'application': small, sums"
    ):
        sums.Double(Number())


def test_health_and_reflection(channel: grpc.Channel, sums: SumsStub) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    for service in ("", "shoal.tests.Sums"):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=service))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    (listed,) = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(asked)
    assert "shoal.tests.Sums" in {one.name for one in listed.list_services_response.service}


def test_the_page_of_metrics_has_them(url: str, sums: SumsStub) -> None:
    sums.Double(Number(value=1))
    page = httpx.get(f"{url}/metrics").text
    assert "shoal_serve_num_grpc_requests_total{" in page
    assert 'method="/shoal.tests.Sums/Double",application="sums",status_code="OK"' in page
    assert 'error_code="NOT_FOUND"' in page or "shoal_serve_num_grpc_error_requests_total" in page


def test_a_killed_proxy_listens_again(sums: SumsStub) -> None:
    shoal.kill(shoal.get_actor("SERVE_GRPC_PROXY_ACTOR", namespace="serve"))
    calls: list[grpc.Future] = []
    # The first ones may have been on their way to the one that died.
    while not calls or calls[-1].code() is grpc.StatusCode.UNAVAILABLE:
        calls.append(sums.Double.future(Number(value=4), wait_for_ready=True))
    assert calls[-1].result().value == 8


def test_a_service_may_have_a_method_that_is_called_as_a_deployment_is() -> None:
    from shoal.serve._internal.process.grpc_proxy import Servicer

    assert (Servicer().__call__, Servicer().Double) == ("__call__", "Double")


def test_a_service_that_cannot_be_imported_is_named(url: str) -> None:
    from shoal.serve._internal.process.grpc_proxy import service_functions

    with pytest.raises(InvalidArgumentError, match=r"'nowhere\.add_it', which cannot be imported"):
        service_functions(["nowhere.add_it"])
