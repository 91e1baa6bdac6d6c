"""What users do at certain moments of an algorithm's life."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


class RLlibCallback:
    """Base of users' callbacks: override what you need. All arguments come by keyword, and all hooks take `**kwargs`.

    Hooks about episodes, environments and samples run in the process of the env runner; the others where the algorithm runs. An
    instance is made for each runner and for the algorithm. `metrics_logger` logs into the results.

    Hooks about episodes cost time at each step: runners that have none keep no episodes while they sample.

    Example:
        >>> class Angles(RLlibCallback):
        ...     def on_episode_end(self, *, episode, metrics_logger, **kwargs):
        ...         metrics_logger.log_value("largest_angle", abs(episode.get_observations()[:, 2]).max(), reduce="max")
    """

    # Of algorithms.

    def on_algorithm_init(self, *, algorithm: Any, metrics_logger: Any = None, **kwargs: Any) -> None:
        """The algorithm has been made."""

    def on_train_result(
        self, *, algorithm: Any, metrics_logger: Any = None, result: dict[str, Any], **kwargs: Any
    ) -> None:
        """An iteration is over; `result` may be changed."""

    def on_checkpoint_loaded(self, *, algorithm: Any, **kwargs: Any) -> None:
        """The algorithm's state was restored."""

    def on_evaluate_start(self, *, algorithm: Any, metrics_logger: Any = None, **kwargs: Any) -> None:
        """Evaluation begins."""

    def on_evaluate_end(
        self, *, algorithm: Any, metrics_logger: Any = None, evaluation_metrics: dict[str, Any], **kwargs: Any
    ) -> None:
        """Evaluation is over; `evaluation_metrics` may be changed."""

    def on_evaluate_offline_start(self, *, algorithm: Any, metrics_logger: Any = None, **kwargs: Any) -> None:
        """Offline evaluation begins."""

    def on_evaluate_offline_end(
        self, *, algorithm: Any, metrics_logger: Any = None, evaluation_metrics: dict[str, Any], **kwargs: Any
    ) -> None:
        """Offline evaluation is over."""

    def on_env_runners_recreated(
        self,
        *,
        algorithm: Any,
        env_runner_group: Any,
        env_runner_indices: list[int],
        is_evaluation: bool,
        **kwargs: Any,
    ) -> None:
        """Runners that failed were replaced."""

    def on_offline_eval_runners_recreated(
        self, *, algorithm: Any, offline_eval_runner_group: Any, offline_eval_runner_indices: list[int], **kwargs: Any
    ) -> None:
        """Runners of offline evaluation that failed were replaced."""

    # Of env runners.

    def on_environment_created(
        self, *, env_runner: Any, metrics_logger: Any = None, env: Any, env_context: Any, **kwargs: Any
    ) -> None:
        """A runner has made its (vector) environment."""

    def on_episode_created(
        self,
        *,
        episode: Any,
        env_runner: Any = None,
        metrics_logger: Any = None,
        env: Any = None,
        env_index: int,
        rl_module: Any = None,
        **kwargs: Any,
    ) -> None:
        """An episode has been made; its environment has not been reset yet."""

    def on_episode_start(
        self,
        *,
        episode: Any,
        env_runner: Any = None,
        metrics_logger: Any = None,
        env: Any = None,
        env_index: int,
        rl_module: Any = None,
        **kwargs: Any,
    ) -> None:
        """An episode has its first observation."""

    def on_episode_step(
        self,
        *,
        episode: Any,
        env_runner: Any = None,
        metrics_logger: Any = None,
        env: Any = None,
        env_index: int,
        rl_module: Any = None,
        **kwargs: Any,
    ) -> None:
        """An episode has one step more."""

    def on_episode_end(
        self,
        *,
        episode: Any,
        prev_episode_chunks: list[Any] | None = None,
        env_runner: Any = None,
        metrics_logger: Any = None,
        env: Any = None,
        env_index: int,
        rl_module: Any = None,
        **kwargs: Any,
    ) -> None:
        """An episode is over. `prev_episode_chunks` are those of its chunks that earlier calls of sample() returned."""

    def on_sample_end(
        self, *, env_runner: Any = None, metrics_logger: Any = None, samples: list[Any], **kwargs: Any
    ) -> None:
        """A call of sample() is over; `samples` are its episodes."""

    # Of RLlib's older API: accepted, never called.

    def on_sub_environment_created(self, **kwargs: Any) -> None:
        """Never called: use on_environment_created."""

    def on_create_policy(self, **kwargs: Any) -> None:
        """Never called: there are no policies, but modules."""

    def on_postprocess_trajectory(self, **kwargs: Any) -> None:
        """Never called: use a learner connector."""

    def on_learn_on_batch(self, **kwargs: Any) -> None:
        """Never called: use a learner connector."""


DefaultCallbacks = RLlibCallback

EPISODE_HOOKS = ("on_episode_created", "on_episode_start", "on_episode_step", "on_episode_end")


class CallbackList:
    """All callbacks of a configuration, as one.

    Args:
        callbacks_class: a class, several, or None.
        functions: functions (or lists of them) by the names of hooks.
    """

    def __init__(self, callbacks_class: Any, functions: dict[str, Any]) -> None:
        classes = (
            []
            if callbacks_class is None
            else callbacks_class
            if isinstance(callbacks_class, list | tuple)
            else [callbacks_class]
        )
        self.callbacks = [cls() for cls in classes]
        self._hooks: dict[str, list[Callable[..., Any]]] = {}
        for callback in self.callbacks:
            for name in HOOKS:
                if getattr(type(callback), name, None) is not getattr(RLlibCallback, name):
                    self._hooks.setdefault(name, []).append(getattr(callback, name))
        for name, function in functions.items():
            if function is not None:
                several = list(function) if isinstance(function, Iterable) else [function]
                self._hooks.setdefault(name, []).extend(several)

    def has(self, *names: str) -> bool:
        """Returns whether any of the hooks does something."""
        return any(name in self._hooks for name in names)

    def call(self, name: str, **arguments: Any) -> None:
        """Calls a hook of all callbacks, in their order."""
        for hook in self._hooks.get(name, ()):
            hook(**arguments)


HOOKS = tuple(name for name in vars(RLlibCallback) if name.startswith("on_"))


def make_callbacks(config: Any) -> CallbackList:
    """Returns the callbacks of a configuration, made anew."""
    return CallbackList(getattr(config, "callbacks_class", None), getattr(config, "callbacks_functions", None) or {})
