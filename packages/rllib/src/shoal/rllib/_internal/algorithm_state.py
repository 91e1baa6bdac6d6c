"""What an algorithm is, as it can be saved and made again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from shoal.rllib._internal.checkpoint_reading import read_class_and_arguments
from shoal.rllib._internal.config.changed_modules import with_modules
from shoal.rllib._internal.native_model_files import write_native_model_files
from shoal.rllib._internal.runners_checkpoint import RunnersCheckpoint
from shoal.rllib.core import (
    COMPONENT_ENV_RUNNER,
    COMPONENT_EVAL_ENV_RUNNER,
    COMPONENT_LEARNER,
    COMPONENT_LEARNER_GROUP,
    COMPONENT_METRICS_LOGGER,
    COMPONENT_RL_MODULE,
)
from shoal.rllib.utils.checkpoints import Checkpointable, Components, _local, wants
from shoal.rllib.utils.error import CheckpointError, close_matches
from shoal.rllib.utils.metrics.metrics_logger import MetricsLogger

if TYPE_CHECKING:
    from shoal.rllib._internal.evaluation import Evaluation
    from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig
    from shoal.rllib.core.learner.learner_group import LearnerGroup
    from shoal.rllib.env.env_runner_group import EnvRunnerGroup


@dataclass(frozen=True)
class SavedCheckpoint:
    """A checkpoint's folder."""

    path: str

    def __fspath__(self) -> str:
        return self.path


@dataclass(frozen=True)
class SavedResult:
    """What `save` made: the checkpoint, and the last result."""

    checkpoint: SavedCheckpoint
    metrics: dict[str, Any] | None

    def __fspath__(self) -> str:
        return self.checkpoint.path


class AlgorithmState(Checkpointable):
    """The state of an algorithm, in memory and in folders. `Algorithm` derives from it."""

    STATE_FILE_NAME = "algorithm_state"

    config: Any
    metrics: MetricsLogger
    iteration: int
    env_steps_sampled: int
    env_runner_group: EnvRunnerGroup | None
    eval_env_runner_group: EnvRunnerGroup | None
    learner_group: LearnerGroup
    last_result: dict[str, Any] | None
    callbacks: Any
    _evaluation: Evaluation | None
    _time_total: float
    _time_since_restore: float
    _iterations_since_restore: int

    def get_state(
        self, components: Components = None, *, not_components: Components = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Returns all that a second algorithm with this configuration needs to go on as this one would."""
        state: dict[str, Any] = {
            "training_iteration": self.iteration,
            "env_steps_sampled": self.env_steps_sampled,
            "time_total": self._time_total,
            "algorithm": self.get_algorithm_state(),
        }
        if self._evaluation is not None:
            state["evaluation"] = self._evaluation.get_state()
        if wants(COMPONENT_METRICS_LOGGER, components, not_components):
            state[COMPONENT_METRICS_LOGGER] = self.metrics.get_state()
        if wants(COMPONENT_LEARNER_GROUP, components, not_components):
            state[COMPONENT_LEARNER_GROUP] = self.learner_group.get_state()
        if self.env_runner_group is not None and wants(COMPONENT_ENV_RUNNER, components, not_components):
            state[COMPONENT_ENV_RUNNER] = self.env_runner_group.get_state()
        if self.eval_env_runner_group is not None and wants(COMPONENT_EVAL_ENV_RUNNER, components, not_components):
            state[COMPONENT_EVAL_ENV_RUNNER] = self.eval_env_runner_group.get_state()
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        self.iteration = state.get("training_iteration", self.iteration)
        self.env_steps_sampled = state.get("env_steps_sampled", self.env_steps_sampled)
        self._time_total = state.get("time_total", self._time_total)
        self._time_since_restore, self._iterations_since_restore = 0.0, 0
        if COMPONENT_METRICS_LOGGER in state:
            self.metrics.set_state(state[COMPONENT_METRICS_LOGGER])
        if COMPONENT_LEARNER_GROUP in state:
            self.learner_group.set_state(state[COMPONENT_LEARNER_GROUP])
        if COMPONENT_ENV_RUNNER in state and self.env_runner_group is not None:
            self.env_runner_group.set_state(state[COMPONENT_ENV_RUNNER])
        if COMPONENT_EVAL_ENV_RUNNER in state and self.eval_env_runner_group is not None:
            self.eval_env_runner_group.set_state(state[COMPONENT_EVAL_ENV_RUNNER])
        if "evaluation" in state and self._evaluation is not None:
            self._evaluation.set_state(state["evaluation"])
        if "algorithm" in state:
            self.set_algorithm_state(state["algorithm"])
        if self.env_runner_group is not None:
            self.env_runner_group.sync_weights(weights=self.learner_group.get_weights(inference_only=True))
        self.callbacks.call("on_checkpoint_loaded", algorithm=self)

    def get_algorithm_state(self) -> dict[str, Any]:
        """Returns what an algorithm has besides: a replay buffer, and the like."""
        return {}

    def set_algorithm_state(self, state: Mapping[str, Any]) -> None:
        """Takes what `get_algorithm_state` gave."""

    def get_checkpointable_components(self) -> list[tuple[str, Checkpointable]]:
        parts: list[tuple[str, Checkpointable]] = [(COMPONENT_LEARNER_GROUP, self.learner_group)]
        for name, group in (
            (COMPONENT_ENV_RUNNER, self.env_runner_group),
            (COMPONENT_EVAL_ENV_RUNNER, self.eval_env_runner_group),
        ):
            if group is not None:
                parts.append((name, RunnersCheckpoint(group)))
        return parts

    def _write(self, folder: Path, state: Mapping[str, Any]) -> None:
        if self.config.checkpoint_trainable_policies_only:
            state = _with_trained_modules(state, self.config.is_policy_to_train)
        super()._write(folder, state)
        if self.config.export_native_model_files:
            parts = (COMPONENT_LEARNER_GROUP, COMPONENT_LEARNER, COMPONENT_RL_MODULE)
            write_native_model_files(folder.joinpath(*parts), self.learner_group.get_weights())

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (), {"config": self.config}

    def _check_kind(self, folder: Path, component: str | None) -> None:
        super()._check_kind(folder, component)
        if component is not None:
            return
        kind, _, _ = read_class_and_arguments(folder)
        if not (issubclass(kind, type(self)) or issubclass(type(self), kind)):
            raise CheckpointError(
                f"{folder} has a checkpoint of {kind.__name__}, and this is {type(self).__name__}; use "
                f"{kind.__name__}.from_checkpoint(path). To take the networks' weights alone: "
                "restore_from_path(path + '/learner_group/learner/rl_module', component='learner_group/learner/rl_module')"
            )

    @classmethod
    def from_checkpoint(
        cls,
        path: Any,
        filesystem: Any = None,
        *,
        policy_ids: Collection[str] | None = None,
        policy_mapping_fn: Callable[..., str] | None = None,
        policies_to_train: Any = None,
        **kwargs: Any,
    ) -> Self:
        """Makes the algorithm that was saved, with runners and learners at work, as it stood.

        Args:
            path: a checkpoint's folder, also one of Tune's, as `result.checkpoint` is.
            filesystem: of `path`, a `pyarrow.fs.FileSystem`; None for the local one.
            policy_ids: policies that are wanted; None for all.
            policy_mapping_fn: another mapping of agents to policies.
            policies_to_train: other policies to train.
            **kwargs: `config`, for another configuration.

        Raises:
            CheckpointError: (a ValueError) it is no checkpoint, is damaged, or is one of something that is not this, or of a newer
                version.
        """
        if policy_ids is not None or policy_mapping_fn is not None or policies_to_train is not None:
            with _local(path, filesystem) as folder:
                saved: AlgorithmConfig = kwargs.get("config") or read_class_and_arguments(folder)[2]["config"]
            config = saved.copy(copy_frozen=False)
            if policy_ids is not None:
                given = config.policies if isinstance(config.policies, Mapping) else dict.fromkeys(config.policies)
                for name in policy_ids:
                    if name not in given:
                        raise CheckpointError(
                            f"policy_ids has {name!r}, and the checkpoint has {sorted(given)}.{close_matches(name, given)}"
                        )
                wanted = {name: given[name] for name in policy_ids}
                config = with_modules(config, wanted).copy(copy_frozen=False)
            if policy_mapping_fn is not None:
                config.policy_mapping_fn = policy_mapping_fn
            if policies_to_train is not None:
                config.policies_to_train = policies_to_train
            kwargs["config"] = config
        return super().from_checkpoint(path, filesystem, **kwargs)

    def save(self, checkpoint_dir: str | None = None) -> SavedResult:
        """Saves, as Tune's trainables do. Returns where (`.checkpoint.path`), and the last result."""
        return SavedResult(SavedCheckpoint(self.save_to_path(checkpoint_dir)), self.last_result)

    def restore(self, checkpoint_path: Any) -> None:
        """Takes the state that `save` or `save_to_path` made."""
        inner = getattr(checkpoint_path, "checkpoint", checkpoint_path)
        self.restore_from_path(getattr(inner, "path", inner))


def _with_trained_modules(state: Mapping[str, Any], is_trained: Callable[[str], bool]) -> dict[str, Any]:
    """Returns an algorithm's state without the weights of modules that are not trained."""
    group = dict(state.get(COMPONENT_LEARNER_GROUP, {}))
    learner = dict(group.get(COMPONENT_LEARNER, {}))
    if COMPONENT_RL_MODULE not in learner:
        return dict(state)
    modules = learner[COMPONENT_RL_MODULE]
    learner[COMPONENT_RL_MODULE] = {name: own for name, own in modules.items() if is_trained(name)}
    group[COMPONENT_LEARNER] = learner
    return {**state, COMPONENT_LEARNER_GROUP: group}
