"""What a handle's caller is told of a call that was cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from shoal.serve._internal.schema.requests import RequestMeta
from shoal.serve.exceptions import RequestCancelledError
from shoal.serve.handle import DeploymentResponse


class QuickRouter:
    """A router whose replica has ended the call before `cancel` returns."""

    def __init__(self) -> None:
        self.submitted: list[Any] = []
        self.cancelled: list[str] = []

    def submit(self, call: Any) -> None:
        self.submitted.append(call)

    def cancel(self, call: Any) -> None:
        self.cancelled.append(call.meta.call_id)
        call.done(None, asyncio.CancelledError())


def test_the_cancellation_is_what_is_told_however_soon_the_replica_ends() -> None:
    router = QuickRouter()
    response = DeploymentResponse(router, RequestMeta("request", "call", "app"), (), {})  # type: ignore[arg-type]
    response.cancel()
    assert router.cancelled == ["call"]
    assert response.cancelled()
    with pytest.raises(RequestCancelledError):
        response.result(timeout_s=5)


def test_what_is_cancelled_while_it_waits_for_an_argument_is_not_sent_when_that_comes() -> None:
    first, second = QuickRouter(), QuickRouter()
    argument = DeploymentResponse(first, RequestMeta("request", "argument", "app"), (), {})  # type: ignore[arg-type]
    response = DeploymentResponse(second, RequestMeta("request", "call", "app"), (argument,), {})  # type: ignore[arg-type]
    response.cancel()
    first.submitted[0].done(1, None)
    assert argument.result() == 1
    assert not second.submitted
