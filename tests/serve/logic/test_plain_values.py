"""Which values are the same wherever they are made again."""

from __future__ import annotations

from collections import OrderedDict
from enum import IntEnum
from typing import Any

import pytest

from shoal.serve._internal.logic.plain_values import LONGEST, MOST_LEVELS, MOST_MEMBERS, is_plain


class Colour(IntEnum):
    RED = 1


def nested(levels: int) -> Any:
    return [nested(levels - 1)] if levels else 1


@pytest.mark.parametrize(
    "value",
    [None, True, 1, 1.5, "text", b"bytes", (), [], {}, (1, "a"), {"a": [1, {"b": None}]}, {1: 2}, nested(MOST_LEVELS)],
)
def test_plain(value: Any) -> None:
    assert is_plain(value)


@pytest.mark.parametrize(
    "value",
    [
        object(),
        {1, 2},
        Colour.RED,
        OrderedDict(),
        bytearray(b"x"),
        memoryview(b"x"),
        [object()],
        {"a": (object(),)},
        {(1, object()): 1},
        "x" * (LONGEST + 1),
        [1] * (MOST_MEMBERS + 1),
        nested(MOST_LEVELS + 1),
    ],
)
def test_not_plain(value: Any) -> None:
    assert not is_plain(value)
