"""Objects: put, get, their errors, and how long objects live."""

from __future__ import annotations

import pytest

import shoal
from shoal.exceptions import GetTimeoutError


@pytest.mark.parametrize("value", [None, 0, 1.5, "text", b"bytes", [1, [2]], {"a": {"b": 1}}, (1, 2), {1, 2}, 2**100])
def test_put_and_get(value) -> None:
    assert shoal.get(shoal.put(value)) == value


@pytest.mark.short
def test_get_keeps_order_and_length() -> None:
    refs = [shoal.put(i) for i in range(5)]
    assert shoal.get([refs[4], refs[0], refs[4], refs[2]]) == [4, 0, 4, 2]


def test_get_of_an_empty_list() -> None:
    assert shoal.get([]) == []


def test_objects_are_copies() -> None:
    mine = [1]
    ref = shoal.put(mine)
    mine.append(2)
    first = shoal.get(ref)
    assert first == [1]
    first.append(3)
    assert shoal.get(ref) == [1]


def test_put_of_a_reference_is_an_error() -> None:
    with pytest.raises(TypeError):
        shoal.put(shoal.put(1))


@pytest.mark.parametrize("wrong", [1, "ref", None, {1: 2}, [1, 2], [None]])
def test_get_takes_references_only(wrong) -> None:
    with pytest.raises((ValueError, TypeError)):
        shoal.get(wrong)


@pytest.mark.short
def test_get_is_shallow() -> None:
    inner = shoal.put(1)
    value = shoal.get(shoal.put({"inner": inner, "list": [inner]}))
    assert value["inner"] == inner
    assert shoal.get(value["list"][0]) == 1


@pytest.mark.short
def test_get_in_time(gate) -> None:
    ref = gate.wait.remote()
    gate.open.remote()
    assert shoal.get(ref, timeout=60) == "open"


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_get_out_of_time(gate, timeout) -> None:
    ref = gate.wait.remote()
    for kind in (GetTimeoutError, TimeoutError):
        with pytest.raises(kind):
            shoal.get(ref, timeout=timeout)
    with pytest.raises(GetTimeoutError):
        shoal.get([shoal.put(1), ref], timeout=timeout)
    gate.open.remote()
    assert shoal.get(ref) == "open"


def test_get_without_waiting_finds_what_is_there() -> None:
    assert shoal.get(shoal.put(1), timeout=0) == 1


def test_first_error_is_raised_without_waiting_for_the_rest(gate) -> None:
    @shoal.remote
    def fail():
        raise ValueError("early")

    with pytest.raises(ValueError, match="early"):
        shoal.get([fail.remote(), gate.wait.remote()])


def test_references_are_values_of_dicts_and_sets() -> None:
    ref = shoal.put(1)
    same = shoal.get(shoal.put([ref]))[0]
    assert ref == same
    assert hash(ref) == hash(same)
    assert len({ref, same, shoal.put(1)}) == 2


def test_reference_has_an_id() -> None:
    ref = shoal.put(1)
    assert ref.hex() == ref.binary().hex()
    assert not ref.is_nil()
    assert ref.hex() in repr(ref)
    assert ref.task_id().hex()


def test_reference_is_not_iterable_by_mistake() -> None:
    with pytest.raises(TypeError):
        list(shoal.put([1, 2]))


def test_object_put_by_a_task_is_had_by_the_driver() -> None:
    @shoal.remote
    def make():
        return [shoal.put("from the task")]

    assert shoal.get(shoal.get(make.remote())[0]) == "from the task"


def test_object_lives_while_another_object_holds_it() -> None:
    outer = shoal.put([shoal.put([shoal.put("deep")])])
    assert shoal.get(shoal.get(shoal.get(outer)[0])[0]) == "deep"


def test_reference_kept_by_an_actor_keeps_the_object(log) -> None:
    ref = shoal.put("kept")
    shoal.get(log.note.remote([ref]))
    del ref
    [held] = shoal.get(log.read.remote())[0]
    assert shoal.get(held) == "kept"


def test_reference_in_a_closure() -> None:
    ref = shoal.put("captured")

    @shoal.remote
    def read():
        return shoal.get(ref)

    assert shoal.get(read.remote()) == "captured"


def test_big_objects() -> None:
    numpy = pytest.importorskip("numpy")

    @shoal.remote
    def double(x):
        return 2 * x

    array = numpy.arange(1_000_000)
    result = shoal.get(double.remote(array))
    assert (result == 2 * array).all()
    assert (shoal.get(shoal.put(array)) == array).all()


@pytest.mark.needs("zero_copy")
def test_arrays_are_read_only_when_got() -> None:
    numpy = pytest.importorskip("numpy")
    array = shoal.get(shoal.put(numpy.zeros(1_000_000)))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_pickled_reference_can_be_rebuilt() -> None:
    ref = shoal.put("value")
    data = shoal.cloudpickle.dumps(ref)
    again = shoal.cloudpickle.loads(data)
    assert again == ref
    assert shoal.get(again) == "value"


def test_other_threads_use_the_session() -> None:
    from concurrent.futures import ThreadPoolExecutor

    @shoal.remote
    def square(x):
        return x * x

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda x: shoal.get(square.remote(x)), range(8))) == [x * x for x in range(8)]
