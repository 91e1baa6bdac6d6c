"""Functions of text, lists, structs, maps, times and numbers mean what Python means."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import shoal
from shoal.data._internal.expressions.nodes import Expr
from shoal.data.exceptions import InvalidArgumentError
from shoal.data.expressions import col


def values(expr: Expr, column: Any) -> list[Any]:
    """The values over a column `x` of two chunks, the second one a slice."""
    array = column if isinstance(column, pa.Array) else pa.array(column)
    half = len(array) // 2
    chunks = [array.slice(0, half), array.slice(half)]
    found = expr.evaluate(pa.table({"x": pa.chunked_array(chunks, array.type)}))
    return found.to_pylist()  # type: ignore[no-any-return]


X = col("x")
WORDS = ["", "héllo World", " a,b ,c ", "ABC", None, "12"]
TEXT: dict[str, tuple[Expr, Callable[[str], Any]]] = {
    "len": (X.str.len(), len),
    "byte_len": (X.str.byte_len(), lambda s: len(s.encode())),
    "lower": (X.str.lower(), str.lower),
    "upper": (X.str.upper(), str.upper),
    "title": (X.str.title(), str.title),
    "capitalize": (X.str.capitalize(), str.capitalize),
    "swapcase": (X.str.swapcase(), str.swapcase),
    "reverse": (X.str.reverse(), lambda s: s[::-1]),
    "strip": (X.str.strip(), str.strip),
    "lstrip of characters": (X.str.lstrip(" a"), lambda s: s.lstrip(" a")),
    "rstrip": (X.str.rstrip(), str.rstrip),
    "pad": (X.str.pad(8, "."), lambda s: s.ljust(8, ".")),
    "lpad": (X.str.lpad(8), lambda s: s.rjust(8)),
    "rpad": (X.str.rpad(8, "*"), lambda s: s.ljust(8, "*")),
    "slice": (X.str.slice(1, 4), lambda s: s[1:4]),
    "repeat": (X.str.repeat(2), lambda s: s * 2),
    "replace": (X.str.replace("l", "L"), lambda s: s.replace("l", "L")),
    "replace one": (X.str.replace("l", "L", 1), lambda s: s.replace("l", "L", 1)),
    "replace_regex": (X.str.replace_regex("[A-Z]", "_"), lambda s: "".join("_" if "A" <= c <= "Z" else c for c in s)),
    "split": (X.str.split(","), lambda s: s.split(",")),
    "contains": (X.str.contains("b"), lambda s: "b" in s),
    "contains, any case": (X.str.contains("B", ignore_case=True), lambda s: "b" in s.lower()),
    "match": (X.str.match("%o%"), lambda s: "o" in s),
    "match_regex": (X.str.match_regex("^[0-9]+$"), lambda s: s.isdecimal()),
    "starts_with": (X.str.starts_with("A"), lambda s: s.startswith("A")),
    "ends_with": (X.str.ends_with("d"), lambda s: s.endswith("d")),
    "count": (X.str.count("l"), lambda s: s.count("l")),
    "is_alnum": (X.str.is_alnum(), str.isalnum),
    "is_digit": (X.str.is_digit(), str.isdigit),
    "is_upper": (X.str.is_upper(), str.isupper),
    "is_ascii": (X.str.is_ascii(), str.isascii),
}


@pytest.mark.parametrize(("expr", "python"), TEXT.values(), ids=TEXT)
def test_text(expr: Expr, python: Callable[[str], Any]) -> None:
    assert values(expr, WORDS) == [None if word is None else python(word) for word in WORDS]


def test_text_in_parts() -> None:
    assert values(X.str.extract(r"(?P<first>\w)-(?P<rest>\w+)"), ["a-bc", "?"]) == [{"first": "a", "rest": "bc"}, None]
    assert values(X.str.split_whitespace(), ["a  b"]) == [["a", "b"]]
    assert values(X.str.find("l"), ["hello", "x"]) == [2, -1]
    assert values(X.str.center(5, "-"), ["a"]) == ["--a--"]
    assert values(X.str.pad(3, side="left"), ["a"]) == ["  a"]
    assert values(X.str.replace_slice(1, 3, "_"), ["abcd"]) == ["a_d"]
    with pytest.raises(InvalidArgumentError, match="side='up'"):
        X.str.pad(3, side="up")


LISTS = st.lists(st.none() | st.lists(st.none() | st.integers(-9, 9), max_size=4), max_size=8)


@given(LISTS, st.integers(-5, 5))
def test_items_of_lists(lists: list[Any], index: int) -> None:
    expected = []
    for items in lists:
        inside = items is not None and -len(items) <= index < len(items)
        expected.append(items[index] if inside else None)
    assert values(X.list.get(index), pa.array(lists, pa.list_(pa.int64()))) == expected


@given(LISTS)
def test_lists_in_order(lists: list[Any]) -> None:
    column = pa.array(lists, pa.list_(pa.int64()))

    def ordered(items: list[Any], down: bool, nulls_first: bool) -> list[Any]:
        full = sorted((item for item in items if item is not None), reverse=down)
        nulls = [None] * (len(items) - len(full))
        return nulls + full if nulls_first else full + nulls

    for down, first in ((False, False), (True, False), (False, True)):
        expr = X.list.sort("descending" if down else "ascending", "at_start" if first else "at_end")
        assert values(expr, column) == [None if items is None else ordered(items, down, first) for items in lists]


@given(st.lists(st.none() | st.lists(st.lists(st.integers(0, 9), max_size=3), max_size=3), max_size=6))
def test_lists_of_lists(lists: list[Any]) -> None:
    column = pa.array(lists, pa.list_(pa.list_(pa.int64())))
    expected = [None if outer is None else [item for inner in outer for item in inner] for outer in lists]
    assert values(X.list.flatten(), column) == expected


def test_other_functions_of_lists() -> None:
    assert values(X.list.len(), [[1, 2], [], None]) == [2, 0, None]
    assert values(X.list.slice(1, 3), [[1, 2, 3, 4], [1]]) == [[2, 3], []]
    assert values(X.list[0], [[1], [2, 3]]) == [1, 2]
    fixed = pa.array([[1, 2], None], pa.list_(pa.int64(), 2))
    assert values(X.arr.to_list(), fixed) == [[1, 2], None]
    assert values(X.arr.get(-1), fixed) == [2, None]


def test_structs_and_maps() -> None:
    structs = [{"a": 1, "b": "x"}, {"a": 2, "b": None}]
    assert values(X.struct.field("a"), structs) == [1, 2]
    assert values(X.struct["b"], structs) == ["x", None]
    assert values(X.struct[0], structs) == [1, 2]
    maps = pa.array([[("k", 1), ("l", 2)], None, []], pa.map_(pa.string(), pa.int64()))
    assert values(X.map.keys(), maps) == [["k", "l"], None, []]
    assert values(X.map.values(), maps) == [[1, 2], None, []]
    assert values(X.map.get("l"), maps) == [2, None, None]


MOMENTS = [dt.datetime(2024, 2, 29, 23, 59, 58), None, dt.datetime(1999, 12, 31, 12, 30)]  # noqa: DTZ001  as they stand
TIMES: dict[str, tuple[Expr, Callable[[dt.datetime], Any]]] = {
    "year": (X.dt.year(), lambda t: t.year),
    "month": (X.dt.month(), lambda t: t.month),
    "day": (X.dt.day(), lambda t: t.day),
    "hour": (X.dt.hour(), lambda t: t.hour),
    "minute": (X.dt.minute(), lambda t: t.minute),
    "second": (X.dt.second(), lambda t: t.second),
    "day_of_week": (X.dt.day_of_week(), lambda t: t.weekday()),
    "day_of_year": (X.dt.day_of_year(), lambda t: t.timetuple().tm_yday),
    "week": (X.dt.week(), lambda t: t.isocalendar().week),
    "quarter": (X.dt.quarter(), lambda t: (t.month + 2) // 3),
    "strftime": (X.dt.strftime("%Y/%m/%d"), lambda t: t.strftime("%Y/%m/%d")),
    "floor": (X.dt.floor("day"), lambda t: t.replace(hour=0, minute=0, second=0)),
    "ceil": (X.dt.ceil("hour"), lambda t: t.replace(minute=0, second=0) + dt.timedelta(hours=1)),
}


@pytest.mark.parametrize(("expr", "python"), TIMES.values(), ids=TIMES)
def test_times(expr: Expr, python: Callable[[dt.datetime], Any]) -> None:
    column = pa.array(MOMENTS, pa.timestamp("us"))
    assert values(expr, column) == [None if moment is None else python(moment) for moment in MOMENTS]


NUMBERS = [0.5, -1.5, None, 2.0]
MATHEMATICS: dict[str, tuple[Expr, Callable[[float], float]]] = {
    "abs": (X.abs(), abs),
    "ceil": (X.ceil(), math.ceil),
    "floor": (X.floor(), math.floor),
    "round": (X.round(), round),
    "trunc": (X.trunc(), math.trunc),
    "sign": (X.sign(), lambda x: math.copysign(1, x)),
    "negate": (X.negate(), lambda x: -x),
    "power": (X.power(2), lambda x: x**2),
    "exp": (X.exp(), math.exp),
    "sin": (X.sin(), math.sin),
    "atan": (X.atan(), math.atan),
    "ln": (X.abs().ln(), lambda x: math.log(abs(x))),
    "log2": (X.abs().log2(), lambda x: math.log2(abs(x))),
}


@pytest.mark.parametrize(("expr", "python"), MATHEMATICS.values(), ids=MATHEMATICS)
def test_mathematics(expr: Expr, python: Callable[[float], float]) -> None:
    found = values(expr, NUMBERS)
    assert found == [None if number is None else pytest.approx(python(number)) for number in NUMBERS]


def test_in_a_dataset() -> None:
    people = shoal.data.from_items(
        [{"name": "ada l", "born": dt.date(1815, 12, 10)}, {"name": "alan t", "born": dt.date(1912, 6, 23)}]
    )
    made = people.with_column("initial", col("name").str.split(" ").list.get(1).str.upper())
    assert [row["initial"] for row in made.filter(expr=col("born").dt.year() < 1900).take_all()] == ["L"]
    assert made.schema().types[-1] == pa.string()
    assert repr(col("name").str.upper()) == "utf8_upper(col('name'))"
