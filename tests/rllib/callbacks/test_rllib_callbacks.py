"""What is refused as a callback, and when."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.callbacks.callbacks import CallbackList, RLlibCallback
from shoal.rllib.utils.error import ConfigError


def note(into: list[Any], *, result: Any, **others: Any) -> None:
    into.append((result, sorted(others)))


def test_functions_and_classes_are_called_in_turn() -> None:
    calls: list[Any] = []

    class Saying(RLlibCallback):
        def on_train_result(self, *, algorithm: Any, metrics_logger: Any = None, result: Any, **kwargs: Any) -> None:
            calls.append(algorithm)

    config = PPOConfig().callbacks(Saying, on_train_result=[functools.partial(note, calls), lambda **kw: None])
    callbacks = CallbackList(config.callbacks_class, config.callbacks_functions)
    callbacks.call("on_train_result", algorithm=1, metrics_logger=2, result=3)
    assert calls == [1, (3, ["algorithm", "metrics_logger"])]


@pytest.mark.parametrize("given", [lambda algorithm, result: None, lambda: None, [print]])
def test_functions_that_cannot_be_called_are_refused_at_once(given: Any) -> None:
    with pytest.raises(ConfigError, match=r"on_train_result is called with .*metrics_logger.*add \*\*kwargs"):
        PPOConfig().callbacks(on_train_result=given)


def test_a_hook_of_a_class_is_refused_by_its_name() -> None:
    class Short(RLlibCallback):
        def on_episode_end(self, *, episode: Any) -> None:  # type: ignore[override]
            pass

    with pytest.raises(ConfigError, match=r"Short.on_episode_end takes .*episode.*add \*\*kwargs"):
        PPOConfig().callbacks(Short)
    with pytest.raises(ConfigError, match=r"Short\.on_episode_end"):
        PPOConfig().callbacks_class = Short


def test_a_hook_may_be_static() -> None:
    class Static(RLlibCallback):
        @staticmethod
        def on_sample_end(**kwargs: Any) -> None:  # type: ignore[override]
            pass

    assert PPOConfig().callbacks(Static).callbacks_class is Static
