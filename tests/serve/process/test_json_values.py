"""What deployments return, as JSON."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from shoal.serve._internal.process.json_values import jsonable
from shoal.serve._internal.process.user_code import response_of


class Model(BaseModel):
    number: int


@dataclasses.dataclass
class Answer:
    scores: Any


TABLE = pd.DataFrame({"a": [1, 2], "when": pd.to_datetime(["2020-01-01", "2020-01-02"])})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.arange(3), [0, 1, 2]),
        (np.float32(1.5), 1.5),
        ({"a": np.int64(3), "b": [np.bool_(True)]}, {"a": 3, "b": [True]}),
        (np.array(["2020-01-01"], dtype="datetime64[D]"), ["2020-01-01"]),
        (TABLE, [{"a": 1, "when": "2020-01-01T00:00:00"}, {"a": 2, "when": "2020-01-02T00:00:00"}]),
        (pd.Series([1.5]), [1.5]),
        (Answer(np.ones(2)), {"scores": [1.0, 1.0]}),
        (Model(number=3), {"number": 3}),
        ({datetime.date(2020, 1, 1)}, ["2020-01-01"]),
    ],
    ids=["array", "scalar", "nested", "times", "table", "column", "dataclass", "pydantic", "set"],
)
def test_what_becomes_of_values(value: Any, expected: Any) -> None:
    assert jsonable(value) == expected


def test_what_cannot_be_json_is_told() -> None:
    with pytest.raises(TypeError, match=r"<object object at .* cannot be made JSON; return text, bytes"):
        jsonable([object()])


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bytes_of_any_kind_are_bytes(kind: Any) -> None:
    code: Any = None
    response = response_of(kind(b"\xff"), code)
    assert (response.body, response.media_type) == (b"\xff", "application/octet-stream")
