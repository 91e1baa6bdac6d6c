"""What engines say of themselves."""

from __future__ import annotations

import pytest

from shoal._core.schema.engine_limits import CAPABILITIES, INLINE, NATIVE, EngineLimits


def test_what_is_not_missing_is_there() -> None:
    limits = EngineLimits("small", {"spilling": "Keep objects small."})
    assert limits.capabilities == frozenset(CAPABILITIES) - {"spilling"}
    assert NATIVE.capabilities > INLINE.capabilities


def test_a_refusal_names_the_engine_and_the_alternative() -> None:
    error = EngineLimits("small", {"spilling": "Keep objects small."}).refusal("spilling", "object_spilling_directory=")
    assert str(error) == "object_spilling_directory= on the small engine is not supported. Keep objects small."
    assert (error.engine, error.alternative) == ("small", "Keep objects small.")


def test_names_of_capabilities_are_checked() -> None:
    with pytest.raises(ValueError, match="flying"):
        EngineLimits("small", {"flying": "Walk."})


@pytest.mark.parametrize("limits", [NATIVE, INLINE], ids=lambda limits: limits.engine)
def test_every_limit_says_what_to_do_instead(limits: EngineLimits) -> None:
    assert all(alternative.endswith(".") for alternative in limits.missing.values())
