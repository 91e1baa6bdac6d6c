"""Environments of tasks and actors."""

from __future__ import annotations

import os

import pytest

import shoal

pytestmark = pytest.mark.needs("runtime_env")


@pytest.fixture
def look():
    @shoal.remote
    def look(name):
        return os.environ.get(name)

    return look


def with_variables(**variables):
    return {"runtime_env": {"env_vars": variables}}


def test_variables_of_a_task(look) -> None:
    assert shoal.get(look.options(**with_variables(GREETING="hello")).remote("GREETING")) == "hello"
    assert shoal.get(look.remote("GREETING")) is None
    assert "GREETING" not in os.environ


def test_variables_of_an_actor() -> None:
    @shoal.remote(**with_variables(GREETING="hello"))
    class Actor:
        def __init__(self):
            self.greeting = os.environ.get("GREETING")

        def read(self):
            return self.greeting, os.environ.get("GREETING")

    assert shoal.get(Actor.remote().read.remote()) == ("hello", "hello")


@pytest.mark.session(runtime_env={"env_vars": {"OF_THE_JOB": "job", "BOTH": "job"}})
def test_variables_of_the_job_are_merged_with_those_of_the_task(look) -> None:
    assert shoal.get(look.remote("OF_THE_JOB")) == "job"
    own = look.options(**with_variables(BOTH="task"))
    assert shoal.get([own.remote("BOTH"), own.remote("OF_THE_JOB"), look.remote("BOTH")]) == ["task", "job", "job"]


def test_children_inherit(look) -> None:
    other = look.options(**with_variables(OTHER="child"))

    @shoal.remote
    def parent():
        return shoal.get([look.remote("GREETING"), other.remote("GREETING")])

    assert shoal.get(parent.options(**with_variables(GREETING="hello")).remote()) == ["hello", "hello"]


def test_bad_environments(look) -> None:
    for wrong in ("text", {"env_vars": {"A": 1}}, {"env_vars": "A=1"}):
        with pytest.raises((TypeError, ValueError)):
            look.options(runtime_env=wrong).remote("A")
