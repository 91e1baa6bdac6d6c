"""The algorithms by name are those that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from shoal.rllib import algorithms
from shoal.rllib.algorithms import registry
from shoal.rllib.utils.error import ConfigError, NotThereYetError


@pytest.mark.parametrize("name", sorted(registry.ALGORITHMS))
def test_each_name_stands_for_an_algorithm_and_its_configuration(name: str) -> None:
    algorithm, config = registry.get_algorithm_class(name, return_config=True)
    assert algorithm.__name__ == name
    assert config.algo_class is algorithm
    config.get_default_learner_class()
    assert getattr(algorithms, name) is algorithm
    assert getattr(algorithms, f"{name}Config") is type(config)


def test_each_algorithm_has_a_name() -> None:
    folder = Path(registry.__file__).parent
    configurations = {
        (path.stem, name)
        for path in folder.glob("*/*.py")
        for name in re.findall(r"^class (\w+)Config\(", path.read_text(), re.MULTILINE)
    }
    assert {(name.lower(), name) for name in registry.ALGORITHMS} == {
        (file, name) for file, name in configurations if name.lower() == file
    }


def test_a_name_that_is_none_is_refused_with_those_that_look_like_it() -> None:
    with pytest.raises(ConfigError, match=r"no algorithm 'IMPALAA'.*IMPALA"):
        registry.get_algorithm_class("IMPALAA")


def test_an_algorithm_that_waits_says_so() -> None:
    from shoal.rllib.algorithms.dreamerv3 import DreamerV3, DreamerV3Config

    for ask in (lambda: registry.get_algorithm_class("DreamerV3"), DreamerV3Config, DreamerV3):
        with pytest.raises(NotThereYetError, match="DreamerV3 is not there yet"):
            ask()
