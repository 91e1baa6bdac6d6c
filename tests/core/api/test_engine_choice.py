"""Which engine a process that says nothing is a worker of."""

from __future__ import annotations

import importlib.metadata
import sys
import types
from typing import Any

import pytest

from shoal._core.api.engine_choice import SURROUNDING_GROUP, surrounding_engine


class Entry:
    def __init__(self, name: str, is_worker: bool) -> None:
        self.name = name
        self._is_worker = is_worker

    def load(self) -> Any:
        return lambda: self._is_worker


def install(monkeypatch: pytest.MonkeyPatch, *entries: Entry) -> list[str]:
    """Makes these the installed engines. Returns the groups that were asked for, as they are asked for."""
    asked: list[str] = []

    def entry_points(*, group: str) -> tuple[Entry, ...]:
        asked.append(group)
        return entries

    monkeypatch.setattr(importlib.metadata, "entry_points", entry_points)
    return asked


def test_where_no_engine_is_loaded_nothing_is_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "ray", raising=False)
    monkeypatch.delitem(sys.modules, "distributed", raising=False)
    asked = install(monkeypatch, Entry("ray", is_worker=True))
    assert surrounding_engine() is None
    assert asked == []


@pytest.mark.parametrize(("is_worker", "expected"), [(True, "ray"), (False, None)])
def test_the_engine_says_whether_this_is_a_worker(
    monkeypatch: pytest.MonkeyPatch, is_worker: bool, expected: str | None
) -> None:
    monkeypatch.setitem(sys.modules, "ray", types.ModuleType("ray"))
    asked = install(monkeypatch, Entry("other", is_worker=True), Entry("ray", is_worker))
    assert surrounding_engine() == expected
    assert asked == [SURROUNDING_GROUP]
