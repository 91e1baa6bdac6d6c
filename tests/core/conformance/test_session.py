"""Beginning and ending sessions."""

from __future__ import annotations

import pytest

import shoal


@pytest.mark.no_session
def test_nothing_is_initialized_before_init() -> None:
    assert not shoal.is_initialized()


def test_init_makes_a_session() -> None:
    assert shoal.is_initialized()


def test_second_init_is_an_error() -> None:
    with pytest.raises(RuntimeError):
        shoal.init(num_cpus=1)


def test_second_init_may_be_ignored() -> None:
    context = shoal.init(num_cpus=1, ignore_reinit_error=True)
    assert context.address_info["node_id"] == shoal.get_runtime_context().get_node_id()
    assert shoal.cluster_resources()["CPU"] == 4


@pytest.mark.no_session
def test_shutdown_without_a_session_does_nothing() -> None:
    shoal.shutdown()
    shoal.shutdown()
    assert not shoal.is_initialized()


@pytest.mark.no_session
def test_a_session_can_follow_another(start) -> None:
    for cpus in (1, 2):
        start(num_cpus=cpus)
        assert shoal.cluster_resources()["CPU"] == cpus
        shoal.shutdown()
        assert not shoal.is_initialized()


@pytest.mark.no_session
def test_context_manager_ends_the_session(start) -> None:
    @shoal.remote
    def one() -> int:
        return 1

    with start(num_cpus=1):
        assert shoal.is_initialized()
        assert shoal.get(one.remote()) == 1
    assert not shoal.is_initialized()


@pytest.mark.no_session
def test_functions_and_classes_outlive_sessions(start) -> None:
    @shoal.remote
    def one() -> int:
        return 1

    @shoal.remote
    class Two:
        def two(self) -> int:
            return 2

    for _ in range(2):
        start(num_cpus=1)
        assert shoal.get(one.remote()) == 1
        assert shoal.get(Two.remote().two.remote()) == 2
        shoal.shutdown()


@pytest.mark.no_session
def test_shutdown_with_work_in_progress(start, new_gate) -> None:
    start(num_cpus=2)
    gate = new_gate()

    @shoal.remote
    def wait_for(gate):
        return shoal.get(gate.wait.remote())

    running = [wait_for.remote(gate) for _ in range(4)]
    shoal.get(gate.arrivals.remote(2))
    shoal.shutdown()
    assert not shoal.is_initialized()
    del running


@pytest.mark.shoal_only  # Ray raises a plain Exception
@pytest.mark.no_session
def test_actor_of_an_earlier_session_cannot_be_called(start, new_counter) -> None:
    start(num_cpus=1)
    counter = new_counter()
    assert shoal.get(counter.add.remote()) == 1
    shoal.shutdown()
    start(num_cpus=1)
    with pytest.raises(shoal.exceptions.RayError):
        shoal.get(counter.add.remote())


@pytest.mark.session(namespace="mine")
def test_namespace_of_the_session() -> None:
    assert shoal.get_runtime_context().namespace == "mine"


def test_anonymous_namespace_is_not_empty() -> None:
    assert shoal.get_runtime_context().namespace


def test_context_says_where_the_session_is() -> None:
    context = shoal.init(ignore_reinit_error=True)
    assert context.address_info["node_id"]
    assert context.python_version.count(".") == 2
