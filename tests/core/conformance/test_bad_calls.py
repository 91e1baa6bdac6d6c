"""Calls that are wrong are errors in the caller, at once."""

from __future__ import annotations

import pytest

import shoal


def test_direct_call_of_a_remote_function() -> None:
    @shoal.remote
    def f():
        return 1

    with pytest.raises(TypeError, match="remote"):
        f()


def test_direct_call_of_an_actor_class() -> None:
    @shoal.remote
    class A:
        pass

    with pytest.raises(TypeError, match="remote"):
        A()


def test_direct_call_of_an_actor_method(counter) -> None:
    with pytest.raises(TypeError, match="remote"):
        counter.add()


@pytest.mark.parametrize("arguments", [((), {}), ((1, 2, 3), {}), ((1,), {"unknown": 2}), ((1,), {"a": 2})])
def test_arguments_are_checked_at_the_call(arguments) -> None:
    @shoal.remote
    def f(a, b=1):
        return a + b

    args, kwargs = arguments
    with pytest.raises(TypeError):
        f.remote(*args, **kwargs)


def test_method_arguments_are_checked_at_the_call(counter) -> None:
    with pytest.raises(TypeError):
        counter.add.remote(1, 2, 3)


def test_constructor_arguments_are_checked_at_the_call() -> None:
    @shoal.remote
    class A:
        def __init__(self, x):
            self.x = x

    with pytest.raises(TypeError):
        A.remote()


def test_unknown_method(counter) -> None:
    with pytest.raises(AttributeError):
        counter.nonsense.remote()


@pytest.mark.parametrize(
    "options",
    [
        {"unknown_option": 1},
        {"num_cpus": -1},
        {"num_gpus": -1},
        {"num_gpus": 1.5},
        {"num_returns": -5},
        {"max_retries": -2},
        {"resources": {"CPU": 1}},
        {"resources": {"GPU": 1}},
        {"max_concurrency": 2},
    ],
)
def test_bad_task_options(options) -> None:
    def f():
        return 1

    with pytest.raises(ValueError):
        shoal.remote(**options)(f).remote()
    with pytest.raises(ValueError):
        shoal.remote(f).options(**options).remote()


@pytest.mark.parametrize(
    "options",
    [
        {"unknown_option": 1},
        {"num_cpus": -1},
        {"max_restarts": -2},
        {"max_task_retries": -2},
        {"max_retries": 1},
        {"lifetime": "eternal"},
    ],
)
def test_bad_actor_options(options) -> None:
    class A:
        pass

    with pytest.raises(ValueError):
        shoal.remote(**options)(A).remote()
    with pytest.raises(ValueError):
        shoal.remote(A).options(**options).remote()


@pytest.mark.parametrize("options", [{"name": ""}, {"name": 3}, {"get_if_exists": True}])
def test_bad_actor_names(options) -> None:
    @shoal.remote
    class A:
        pass

    with pytest.raises((ValueError, TypeError)):
        A.options(**options).remote()


def test_remote_takes_functions_and_classes_only() -> None:
    with pytest.raises((TypeError, AssertionError)):
        shoal.remote(3)


def test_decorated_class_cannot_be_subclassed() -> None:
    @shoal.remote
    class Base:
        pass

    with pytest.raises(TypeError):

        class Child(Base):
            pass


@pytest.mark.short
def test_argument_that_cannot_be_pickled() -> None:
    import threading

    @shoal.remote
    def f(x):
        return x

    with pytest.raises(TypeError, match=r"(?i)pickle|serial"):
        f.remote(threading.Lock())


def test_result_that_cannot_be_pickled() -> None:
    @shoal.remote(max_retries=0)
    def f():
        import threading

        return threading.Lock()

    with pytest.raises(TypeError, match=r"(?i)pickle|serial"):
        shoal.get(f.remote())


def test_function_that_cannot_be_pickled() -> None:
    import threading

    lock = threading.Lock()

    @shoal.remote
    def f():
        return lock

    with pytest.raises(TypeError, match=r"(?i)pickle|serial"):
        f.remote()


def test_coroutine_functions_are_no_tasks() -> None:
    with pytest.raises(ValueError):

        @shoal.remote
        async def f():
            return 1

        f.remote()


def test_kill_takes_an_actor() -> None:
    with pytest.raises(ValueError):
        shoal.kill("not an actor")


def test_cancel_takes_a_reference() -> None:
    with pytest.raises(TypeError):
        shoal.cancel("not a reference")
