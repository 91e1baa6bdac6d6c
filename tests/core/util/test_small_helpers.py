"""`shoal.util.debug` and `shoal.util.annotations`."""

from __future__ import annotations

import pytest

from shoal.util import debug
from shoal.util.annotations import Deprecated, DeveloperAPI, PublicAPI, ShoalDeprecationWarning


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debug, "_said", debug._Said())


def test_a_key_is_logged_once() -> None:
    assert debug.log_once("a")
    assert not debug.log_once("a")
    assert debug.log_once("b")
    debug.reset_log_once("a")
    assert debug.log_once("a")
    debug.disable_log_once_globally()
    assert not debug.log_once("c")


def test_marked_functions_still_work() -> None:
    @PublicAPI(stability="beta")
    def plain() -> int:
        """Gives one."""
        return 1

    @Deprecated(message="use plain", warning=True)
    def old() -> int:
        return 2

    assert plain() == 1
    assert (plain.__doc__ or "").endswith("PublicAPI (beta).")
    with pytest.warns(ShoalDeprecationWarning, match="use plain"):
        assert old() == 2


def test_marks_are_on_the_object() -> None:
    @DeveloperAPI
    class Marked:
        """A class."""

    assert Marked._annotated == "Marked"  # type: ignore[attr-defined]
    assert Marked._annotated_type == "DeveloperAPI"  # type: ignore[attr-defined]
    assert Marked.__doc__ == "A class.\n\nDeveloperAPI."
    with pytest.raises(ValueError, match="stability='rough'"):
        PublicAPI(stability="rough")


def test_a_deprecated_class_warns_when_an_instance_is_made() -> None:
    @Deprecated(message="use New", warning=True)
    class Old:
        def __init__(self, value: int) -> None:
            self.value = value

    with pytest.warns(ShoalDeprecationWarning, match="Old is deprecated: use New"):
        assert Old(2).value == 2
