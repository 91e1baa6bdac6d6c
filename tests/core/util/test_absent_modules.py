"""Modules of Ray's that shoal does not have."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest

import shoal
from shoal._core.api.absent_modules import ALTERNATIVES, UnsupportedModuleError


@pytest.mark.parametrize("name", sorted(ALTERNATIVES))
def test_importing_one_says_what_to_use_instead(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # As where the core alone is installed: some of them come with shoal-integrations.
    monkeypatch.setattr(shoal.util, "__path__", [path for path in shoal.util.__path__ if "integrations" not in path])
    monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(UnsupportedModuleError, match=name.replace(".", r"\.")) as caught:
        import_module(name)
    assert ALTERNATIVES[name] in str(caught.value)
    assert isinstance(caught.value, ImportError)
    assert isinstance(caught.value, NotImplementedError)


def test_as_attributes() -> None:
    with pytest.raises(UnsupportedModuleError):
        _ = shoal.cluster_utils
    with pytest.raises(UnsupportedModuleError):
        _ = shoal.util.collective
    assert "cluster_utils" not in dir(shoal)


def test_names_that_are_there_are_not_in_the_way() -> None:
    from shoal.util import annotations, check_serialize

    assert annotations.__name__ == "shoal.util.annotations"
    assert check_serialize.inspect_serializability is shoal.util.inspect_serializability
