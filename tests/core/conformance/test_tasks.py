"""Calling remote functions."""

from __future__ import annotations

import pytest

import shoal


def test_call_returns_a_reference_at_once(gate) -> None:
    @shoal.remote
    def blocked(gate):
        return shoal.get(gate.wait.remote())

    ref = blocked.remote(gate)
    assert isinstance(ref, shoal.ObjectRef)
    gate.open.remote()
    assert shoal.get(ref) == "open"


def test_positional_keyword_and_default_arguments() -> None:
    @shoal.remote
    def f(a, b=2, *rest, c, d=4, **more):
        return a, b, rest, c, d, more

    assert shoal.get(f.remote(1, c=3)) == (1, 2, (), 3, 4, {})
    assert shoal.get(f.remote(1, 20, 30, 40, c=3, e=5)) == (1, 20, (30, 40), 3, 4, {"e": 5})


def test_all_ways_to_decorate() -> None:
    def plain(x):
        return x + 1

    bare = shoal.remote(plain)
    with_options = shoal.remote(num_cpus=0)(plain)

    @shoal.remote(num_cpus=0.5, max_retries=0)
    def decorated(x):
        return x + 1

    assert shoal.get([bare.remote(1), with_options.remote(1), decorated.remote(1)]) == [2, 2, 2]


def test_lambda_and_closure() -> None:
    offset = 10
    assert shoal.get(shoal.remote(lambda x: x + offset).remote(1)) == 11


def test_options_leave_the_original_as_it_was() -> None:
    @shoal.remote
    def pair():
        return 1, 2

    first, second = pair.options(num_returns=2).remote()
    assert shoal.get([first, second]) == [1, 2]
    assert shoal.get(pair.remote()) == (1, 2)


def test_captured_variables_are_copied_at_the_first_call() -> None:
    values = [1]

    @shoal.remote
    def read():
        return values

    assert shoal.get(read.remote()) == [1]
    values.append(2)
    assert shoal.get(read.remote()) == [1]


def test_arguments_are_copies() -> None:
    @shoal.remote
    def append(values):
        values.append(1)
        return values

    mine = []
    assert shoal.get(append.remote(mine)) == [1]
    assert mine == []


def test_arguments_are_copied_at_the_call(gate) -> None:
    @shoal.remote
    def after(gate_opened, values):
        return values

    mine = [1]
    ref = after.remote(gate.wait.remote(), mine)
    mine.append(2)
    gate.open.remote()
    assert shoal.get(ref) == [1]


@pytest.mark.short
def test_top_level_reference_arrives_as_its_value() -> None:
    @shoal.remote
    def add(x, y):
        return x + y

    assert shoal.get(add.remote(shoal.put(1), y=shoal.put(2))) == 3
    assert shoal.get(add.remote(add.remote(1, 2), add.remote(3, y=add.remote(4, 5)))) == 15


def test_same_reference_twice_in_one_call() -> None:
    @shoal.remote
    def add(x, y, z):
        return x + y + z

    ref = shoal.put(2)
    assert shoal.get(add.remote(ref, ref, z=ref)) == 6


@pytest.mark.short
def test_nested_references_arrive_as_references() -> None:
    @shoal.remote
    def look(values, named):
        return [isinstance(values[0], shoal.ObjectRef), shoal.get(values[0]), shoal.get(named["key"])]

    ref = shoal.put("value")
    assert shoal.get(look.remote([ref], {"key": ref})) == [True, "value", "value"]


def test_reference_inside_an_object_of_the_users() -> None:
    class Box:
        def __init__(self, content):
            self.content = content

    @shoal.remote
    def unpack(box):
        return shoal.get(box.content)

    assert shoal.get(unpack.remote(Box(shoal.put(7)))) == 7


def test_task_waits_for_its_arguments(gate) -> None:
    @shoal.remote
    def echo(x):
        return x

    ref = echo.remote(gate.wait.remote())
    ready, not_ready = shoal.wait([ref], timeout=0)
    assert (ready, not_ready) == ([], [ref])
    gate.open.remote()
    assert shoal.get(ref) == "open"


def test_references_returned_by_a_task_stay_references() -> None:
    @shoal.remote
    def make():
        return [shoal.put(1), shoal.put(2)]

    refs = shoal.get(make.remote())
    assert all(isinstance(ref, shoal.ObjectRef) for ref in refs)
    assert shoal.get(refs) == [1, 2]


def test_reference_as_the_whole_result() -> None:
    @shoal.remote
    def outer():
        return shoal.put("inner")

    inner = shoal.get(outer.remote())
    assert isinstance(inner, shoal.ObjectRef)
    assert shoal.get(inner) == "inner"


@pytest.mark.short
def test_several_results() -> None:
    @shoal.remote(num_returns=3)
    def three():
        return [1, 2, 3]

    refs = three.remote()
    assert len(refs) == 3
    assert shoal.get(refs) == [1, 2, 3]


def test_no_result(gate) -> None:
    @shoal.remote(num_returns=0)
    def none(gate):
        shoal.get(gate.wait.remote())

    gate.open.remote()
    assert none.remote(gate) is None
    assert shoal.get(gate.arrivals.remote(1)) == 1


def test_tuple_is_one_result_by_default() -> None:
    @shoal.remote
    def pair():
        return 1, 2

    assert shoal.get(pair.remote()) == (1, 2)


@pytest.mark.parametrize("returned", [[1, 2], [1, 2, 3, 4], 5, None])
def test_wrong_number_of_results(returned) -> None:
    @shoal.remote(num_returns=3, max_retries=0)
    def wrong():
        return returned

    for ref in wrong.remote():
        with pytest.raises((ValueError, TypeError)):
            shoal.get(ref)


def test_tasks_call_tasks() -> None:
    @shoal.remote
    def fib(n):
        return n if n < 2 else sum(shoal.get([fib.remote(n - 1), fib.remote(n - 2)]))

    assert shoal.get(fib.remote(6)) == 8


@pytest.mark.needs("lends_cpus")
def test_nested_gets_do_not_use_up_the_cpus() -> None:
    @shoal.remote(num_cpus=4)
    def depth(n):
        return n if n == 0 else 1 + shoal.get(depth.remote(n - 1))

    assert shoal.get(depth.remote(3)) == 3


def test_many_tasks_keep_their_results_apart() -> None:
    @shoal.remote
    def square(x):
        return x * x

    assert shoal.get([square.remote(i) for i in range(200)]) == [i * i for i in range(200)]


def test_none_is_a_result() -> None:
    @shoal.remote
    def nothing():
        pass

    assert shoal.get(nothing.remote()) is None


def test_remote_function_as_argument() -> None:
    @shoal.remote
    def double(x):
        return 2 * x

    @shoal.remote
    def apply(f, x):
        return shoal.get(f.remote(x))

    assert shoal.get(apply.remote(double, 4)) == 8


@pytest.mark.short
def test_function_defined_inside_a_task() -> None:
    @shoal.remote
    def outer():
        @shoal.remote
        def inner(x):
            return x + 1

        return shoal.get(inner.remote(1))

    assert shoal.get(outer.remote()) == 2


@pytest.mark.shoal_only  # Ray shows its own class's docstring
def test_docstring_and_name_are_kept() -> None:
    @shoal.remote
    def documented():
        """What it does."""

    assert documented.__doc__ == "What it does."
    assert documented.__name__ == "documented"
