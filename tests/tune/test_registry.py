"""Names that travel to the processes of trials."""

from __future__ import annotations

import pickle
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.registry import Registry, packed_environments, register_env


class Unpicklable:
    def __call__(self, context: Any) -> Any:
        return None

    def __reduce__(self) -> Any:
        raise TypeError("it holds a lock")


def test_what_was_registered_is_known_where_it_is_carried_to() -> None:
    here, there, beyond = (Registry("environment", "register_env(...)") for _ in range(3))
    here.add("made", lambda context: ("made", context))
    here.add("stuck", Unpicklable())
    there.add("own", 1)
    there.carry(pickle.loads(pickle.dumps(here.packed())))
    assert there.get("made")("x") == ("made", "x") and "made" in there
    assert sorted(there.names()) == ["made", "own", "stuck"]
    with pytest.raises(InvalidArgumentError, match=r"'stuck' was registered in the program.*it holds a lock"):
        there.get("stuck")
    beyond.carry(there.packed())  # and from there on, as a trial's own searches do
    assert beyond.get("made")("y") == ("made", "y") and beyond.get("own") == 1
    # What is registered there goes before; what arrives later goes before what arrived.
    there.add("made", 2)
    beyond.carry({"own": pickle.dumps(3)})
    assert (there.get("made"), beyond.get("own")) == (2, 3)


def test_environments_of_rllib_come_along(monkeypatch: pytest.MonkeyPatch) -> None:
    register_env("of tune", lambda context: "tune")
    module = SimpleNamespace(registered_creators=lambda: {"of rllib": len})
    monkeypatch.setitem(sys.modules, "shoal.rllib.env.registration", module)
    assert packed_environments().keys() >= {"of tune", "of rllib"}
    monkeypatch.delitem(sys.modules, "shoal.rllib.env.registration")
    assert "of rllib" not in packed_environments()
