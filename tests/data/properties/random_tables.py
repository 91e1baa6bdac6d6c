"""Random tables in random blocks, and what a dataset of them is."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pyarrow as pa
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import shoal

SETTINGS = settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
"""Each example is some datasets, and each test runs in the driver and in tasks."""

KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "k": (pa.int64(), st.integers(0, 4) | st.none()),
    "i": (pa.int64(), st.integers(-(2**40), 2**40)),
    "f": (pa.float64(), st.floats(-1e6, 1e6) | st.none()),
    "s": (pa.string(), st.sampled_from(["", "a", "ä", "zz", "b c"]) | st.none()),
    "b": (pa.bool_(), st.booleans() | st.none()),
}
SCHEMA = pa.schema([(name, kind) for name, (kind, _) in KINDS.items()])


def rows() -> st.SearchStrategy[list[dict[str, Any]]]:
    return st.lists(st.fixed_dictionaries({name: values for name, (_, values) in KINDS.items()}), max_size=30)


@st.composite
def datasets(draw: st.DrawFn) -> tuple[list[dict[str, Any]], Any]:
    """Rows, and a dataset of them in up to five blocks, some of them empty."""
    drawn = draw(rows())
    cuts = sorted(draw(st.lists(st.integers(0, len(drawn)), max_size=4)))
    bounds = [0, *cuts, len(drawn)]
    blocks = [pa.Table.from_pylist(drawn[start:end], SCHEMA) for start, end in pairwise(bounds)]
    return drawn, shoal.data.from_arrow(blocks)
