"""The examples in docstrings, run as they are printed."""

from __future__ import annotations

import doctest
from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest

import shoal
from shoal._core.api.runtime import SESSION

MODULES = [
    f"shoal._core.api.{name}"
    for name in (
        "actor_class",
        "actor_handle",
        "cluster_info",
        "context",
        "generator",
        "method_decorator",
        "named_actors",
        "object_api",
        "placement_group",
        "remote_decorator",
        "remote_function",
        "runtime",
        "runtime_context",
        "scheduling_strategies",
    )
]
EXAMPLES = [
    pytest.param(test, id=test.name.removeprefix("shoal._core.api."))
    for name in [*MODULES, "shoal.dag", "shoal.util.helpers"]
    for test in doctest.DocTestFinder(exclude_empty=True).find(import_module(name))
    if test.examples
]

MUST_HAVE_ONE = (
    shoal.init, shoal.remote, shoal.get, shoal.put, shoal.wait, shoal.cancel, shoal.kill, shoal.method, shoal.get_actor,
    shoal.nodes, shoal.cluster_resources, shoal.available_resources, shoal.get_runtime_context,
    shoal.util.placement_group, shoal.actor.ActorHandle,
)  # fmt: skip


@pytest.fixture(autouse=True)
def sessions_in_this_process(no_session: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sessions that begin by themselves do so in this process, which is faster."""
    monkeypatch.setattr(SESSION, "_start", lambda: shoal.init(local_mode=True))
    yield
    shoal.shutdown()


@pytest.mark.parametrize("example", EXAMPLES)
def test_example(example: doctest.DocTest) -> None:
    output: list[str] = []
    results = doctest.DocTestRunner().run(example, out=output.append)
    assert results.failed == 0, "".join(output)


@pytest.mark.parametrize("name", MUST_HAVE_ONE, ids=lambda item: item.__name__)
def test_what_everybody_uses_has_an_example(name: Any) -> None:
    assert "Example:" in name.__doc__
