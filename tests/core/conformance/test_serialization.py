"""What travels, and how."""

from __future__ import annotations

import dataclasses
import enum

import pytest

import shoal


def round_trip(value):
    @shoal.remote
    def echo(x):
        return x

    return shoal.get(echo.remote(value))


@pytest.mark.short
def test_classes_defined_here() -> None:
    class Point:
        def __init__(self, x):
            self.x = x

        def double(self):
            return 2 * self.x

    assert round_trip(Point(3)).double() == 6


def test_dataclasses_and_enums() -> None:
    @dataclasses.dataclass
    class Record:
        name: str
        values: list

    class Colour(enum.Enum):
        RED = 1

    record = round_trip(Record("a", [1]))
    assert (record.name, record.values) == ("a", [1])
    assert round_trip(Colour.RED).name == "RED"


def test_functions_and_lambdas_are_values() -> None:
    factor = 3
    assert round_trip(lambda x: factor * x)(2) == 6


def test_types_and_modules_are_values() -> None:
    import json

    assert round_trip(int) is int
    assert round_trip(json) is json


@pytest.mark.needs("shared_parts")
@pytest.mark.shoal_only  # Ray does not pickle the arguments together
def test_shared_parts_stay_shared() -> None:
    part = [1]
    first, second = round_trip([part, part])
    assert first is second


def test_recursive_values() -> None:
    value = []
    value.append(value)
    again = round_trip(value)
    assert again[0] is again


def test_bytes_of_all_sizes() -> None:
    for size in (0, 1, 1_000, 100_000, 3_000_000):
        data = bytes(size)
        assert round_trip(data) == data
        assert bytes(round_trip(bytearray(data))) == data


def test_numpy() -> None:
    numpy = pytest.importorskip("numpy")
    for array in (
        numpy.arange(10),
        numpy.zeros((300, 400)),
        numpy.zeros((300, 400))[::2, ::3],
        numpy.asfortranarray(numpy.ones((50, 60))),
        numpy.array(["a", "bc"]),
        numpy.array([1, "a", None], dtype=object),
        numpy.float64(3.5),
        numpy.array(5),
    ):
        again = round_trip(array)
        assert again.dtype == array.dtype
        assert again.shape == array.shape
        assert (again == array).all()


def test_pandas() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert round_trip(frame).equals(frame)


def test_own_reduce_is_respected() -> None:
    class Custom:
        def __init__(self, x):
            self.x = x

        def __reduce__(self):
            return Custom, (self.x + 1,)

    assert shoal.get(shoal.put(Custom(1))).x == 2


@pytest.mark.needs("custom_serializers")
def test_registered_serializer() -> None:
    import threading

    class Holder:
        def __init__(self, x):
            self.x = x
            self.lock = threading.Lock()

    with pytest.raises(TypeError):
        shoal.put(Holder(1))
    shoal.util.register_serializer(Holder, serializer=lambda h: h.x, deserializer=lambda x: Holder(x))
    try:
        assert shoal.get(shoal.put(Holder(5))).x == 5

        @shoal.remote
        def look(holders):
            return holders[0].x

        assert shoal.get(look.remote([Holder(6)])) == 6
    finally:
        shoal.util.deregister_serializer(Holder)
    with pytest.raises(TypeError):
        shoal.put(Holder(1))


def test_inspect_serializability() -> None:
    import threading

    fine, failures = shoal.util.inspect_serializability([1, 2], "fine")
    assert fine
    assert not failures
    lock = threading.Lock()
    bad, failures = shoal.util.inspect_serializability(lambda: lock, "bad")
    assert not bad
    assert failures


def test_actor_state_is_not_shared_through_arguments() -> None:
    @shoal.remote
    class Keeper:
        def keep(self, values):
            self.values = values
            self.values.append("kept")

        def read(self):
            return self.values

    keeper = Keeper.remote()
    mine = shoal.put([1])
    shoal.get(keeper.keep.remote(mine))
    assert shoal.get(mine) == [1]
    assert shoal.get(keeper.read.remote()) == [1, "kept"]


def test_globals_of_tasks_are_not_the_drivers() -> None:
    state = {"count": 0}

    @shoal.remote
    def bump():
        state["count"] += 1
        return state["count"]

    shoal.get(bump.remote())
    assert state == {"count": 0}
