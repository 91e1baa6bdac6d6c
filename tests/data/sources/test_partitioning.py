"""Columns in paths."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from shoal.data.datasource import Partitioning, PartitionStyle, PathPartitionFilter, PathPartitionParser
from shoal.data.exceptions import InvalidArgumentError


def test_hive() -> None:
    parse = PathPartitionParser.of()
    assert parse("bucket/year=2024/plain/month=01/a=b.csv") == {"year": "2024", "month": "01"}
    assert parse("bucket/a.csv") == {}
    assert parse("k=a%2Fb%3D/n=/x=__HIVE_DEFAULT_PARTITION__/=3/a.csv") == {"k": "a/b=", "n": "", "x": None}


def test_only_below_the_base() -> None:
    parse = PathPartitionParser.of("hive", "/data/run=3")
    assert parse.scheme.normalized_base_dir == "/data/run=3/"
    assert parse("/data/run=3/year=2024/a.csv") == {"year": "2024"}
    assert parse("/data/run=33/year=2024/a.csv") == {}


def test_types() -> None:
    parse = PathPartitionParser.of(field_types={"i": int, "f": float, "b": bool, "d": pa.date32(), "s": str})
    values = parse("i=007/f=1.5/b=true/d=2024-02-29/s=01/a.csv")
    assert values.pop("d").isoformat() == "2024-02-29"
    assert values == {"i": 7, "f": 1.5, "b": True, "s": "01"}
    with pytest.raises(InvalidArgumentError, match=r"i=x/a\.csv.*'i'.*int64.*'x'"):
        parse("i=x/a.csv")


def test_directories() -> None:
    parse = PathPartitionParser(Partitioning(PartitionStyle.DIRECTORY, "/pets", ["kind", "year"], {"year": int}))
    assert parse("/pets/dog/2024/a.png") == {"kind": "dog", "year": 2024}
    assert parse("/pets/a.png") == parse("/plants/oak/2024/a.png") == {}
    with pytest.raises(InvalidArgumentError, match=r"/pets/dog/a\.png.*\['kind', 'year'\].*\['dog'\]"):
        parse("/pets/dog/a.png")


def test_names_of_hive_are_checked_where_they_are_given() -> None:
    parse = PathPartitionParser.of(field_names=["year", "month"])
    assert parse("year=1/month=2/a.csv") == {"year": "1", "month": "2"}
    assert parse("a.csv") == {}
    for path in ("month=2/year=1/a.csv", "year=1/a.csv"):
        with pytest.raises(InvalidArgumentError, match="year"):
            parse(path)


def test_filter() -> None:
    late = PathPartitionFilter.of(lambda values: values.get("year", 0) > 2023, field_types={"year": int})
    assert late(["year=2023/a", "b", "year=2024/c"]) == ["year=2024/c"]
    assert late.parser.scheme.style == "hive"
    with pytest.raises(InvalidArgumentError, match="filter_fn=3"):
        PathPartitionFilter.of(3)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("tree",), "style='tree'"),
        (("dir",), "field_names"),
        (("hive", None, "year"), "field_names='year'"),
        (("hive", None, None, {"year": list}), "'year'.*list"),
        (("hive", None, ["month"], {"year": int}), "'year' is not in"),
    ],
)
def test_arguments(arguments: tuple[Any, ...], text: str) -> None:
    with pytest.raises(InvalidArgumentError, match=text):
        Partitioning(*arguments)
