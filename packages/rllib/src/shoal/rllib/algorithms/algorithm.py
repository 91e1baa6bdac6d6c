"""An algorithm at work: env runners, learners, and iterations of both."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self

from shoal.rllib._internal.algorithm_state import SavedCheckpoint as SavedCheckpoint
from shoal.rllib._internal.algorithm_state import SavedResult as SavedResult
from shoal.rllib._internal.evaluation import Evaluation
from shoal.rllib._internal.learning.threads import threads_for
from shoal.rllib._internal.module_changes import ModuleChanges
from shoal.rllib._internal.surroundings import set_log_level, system_usage
from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig
from shoal.rllib.callbacks.callbacks import make_callbacks
from shoal.rllib.core import DEFAULT_MODULE_ID
from shoal.rllib.env.env_runner_group import EnvRunnerGroup
from shoal.rllib.utils.error import ConfigError, StoppedError, close_matches
from shoal.rllib.utils.metrics import (
    ENV_RUNNER_RESULTS,
    ENV_RUNNER_SAMPLING_TIMER,
    EVALUATION_ITERATION_TIMER,
    EVALUATION_RESULTS,
    FAULT_TOLERANCE_STATS,
    LEARNER_UPDATE_TIMER,
    NUM_ENV_STEPS_SAMPLED_LIFETIME,
    NUM_TRAINING_STEP_CALLS_PER_ITERATION,
    SYNCH_WORKER_WEIGHTS_TIMER,
    TIMERS,
    TRAINING_ITERATION_TIMER,
    TRAINING_STEP_TIMER,
)
from shoal.rllib.utils.metrics.metrics_logger import MetricsLogger

if TYPE_CHECKING:
    from shoal.rllib.core.learner.learner_group import LearnerGroup
    from shoal.rllib.core.rl_module.rl_module import RLModule

_GONE = {
    "get_policy": "get_module(module_id) returns the policy's module",
    "add_policy": "add_module(module_id, module_spec) adds one",
    "remove_policy": "remove_module(module_id) removes one",
    "export_policy_model": "get_module(module_id).save_to_path(path) saves one; checkpointing(export_native_model_files=True) adds "
    "weights that torch loads alone",
    "export_policy_checkpoint": "get_module(module_id).save_to_path(path) saves one",
    "import_policy_model_from_h5": "get_module(module_id).restore_from_path(path) reads one",
    "evaluation_workers": "it is eval_env_runner_group",
}
"""What to use in place of methods that there are no more."""


class Algorithm(ModuleChanges):
    """Trains policies. Made by a configuration's `build_algo()`; one of your own derives from this and defines `training_step`.

    Args:
        config: a configuration, or a dict of settings over the algorithm's own.
        env: as of `AlgorithmConfig.environment`, where the configuration has none.
        logger_creator: accepted for Ray's sake.

    Raises:
        ConfigError: (a ValueError) settings that cannot work.
        EnvError: (a ValueError) the environment does not do what its spaces say.

    Example:
        >>> from shoal.rllib.algorithms.ppo import PPOConfig
        >>> algo = PPOConfig().environment("CartPole-v1").env_runners(num_env_runners=0).build_algo()
        >>> result = algo.train()
        >>> path = algo.save_to_path()
        >>> algo.stop()
    """

    # Whether an algorithm has environments to sample from.
    needs_env_runners: ClassVar[bool] = True

    def __init__(
        self,
        config: AlgorithmConfig | Mapping[str, Any] | None = None,
        env: Any = None,
        logger_creator: Any = None,
        **_: Any,
    ) -> None:
        base = self.get_default_config()
        if config is None:
            config = base
        elif isinstance(config, AlgorithmConfig):
            config = config.copy(copy_frozen=False)
        else:
            config = base.update_from_dict(config)
        if env is not None:
            config.environment(env)
        if config.algo_class is None:
            config.algo_class = type(self)
        if config._validate_config:
            config.validate()
        config.freeze()
        self.config: Any = config
        self.metrics = MetricsLogger(root=True, stats_cls_lookup=config.custom_stats_cls_lookup)
        self.iteration = 0
        self.env_steps_sampled = 0
        self.env_runner_group: EnvRunnerGroup | None = None
        self.eval_env_runner_group: EnvRunnerGroup | None = None
        self.learner_group: LearnerGroup = None  # type: ignore[assignment]
        self.offline_data: Any = None
        self.last_result: dict[str, Any] | None = None
        self._evaluation: Evaluation | None = None
        self._time_total = self._time_since_restore = 0.0
        self._iterations_since_restore = 0
        self._stopped = False
        os.environ.update(config.extra_python_environs_for_driver)
        set_log_level(config.log_level)
        self.callbacks: Any = make_callbacks(config)
        try:
            self.setup(config)
        except BaseException:
            self.stop()
            raise
        self.callbacks.call("on_algorithm_init", algorithm=self, metrics_logger=self.metrics)

    # --- what an algorithm may define ---------------------------------------------------------------------------------------------

    @classmethod
    def get_default_config(cls) -> AlgorithmConfig:
        """Returns the configuration that the algorithm has where none is given."""
        return AlgorithmConfig(algo_class=cls)

    def setup(self, config: AlgorithmConfig) -> None:
        """Makes the runners and the learners."""
        spaces = None
        if (self.needs_env_runners and config.env is not None) or config.env_runner_cls is not None:
            self.env_runner_group = EnvRunnerGroup(config, local_env_runner=config.create_local_env_runner)
            spaces = self.env_runner_group.spaces
        elif config.observation_space is None or config.action_space is None:
            raise ConfigError(
                'there is no environment: call environment("CartPole-v1"), or give its observation_space and action_space'
            )
        self._spaces = spaces
        self.learner_group = config.build_learner_group(spaces=spaces)
        if config.evaluation_interval or config.evaluation_num_env_runners:
            self._make_evaluation()
        self.sync_weights()

    def training_step(self) -> Any:
        """Samples, learns, and hands the new weights on. One iteration has one or more of these; it logs through `self.metrics`."""
        raise NotImplementedError(f"{type(self).__name__} has no training_step(); define it")

    def cleanup(self) -> None:
        """Lets go of what `setup` made."""
        for group in (self.env_runner_group, self.eval_env_runner_group):
            if group is not None:
                group.stop()
        if self.learner_group is not None:
            self.learner_group.shutdown()

    @classmethod
    def validate_env(cls, env: Any, env_context: Any) -> None:
        """Is asked about each environment; raises where it does not suit the algorithm."""

    @classmethod
    def default_resource_request(cls, config: Any) -> Any:
        """Returns what a trial needs in Tune, as a PlacementGroupFactory: the algorithm, its learners, and its runners."""
        from shoal.rllib._internal.trial_resources import trial_resources

        settings = config if isinstance(config, AlgorithmConfig) else cls.get_default_config().update_from_dict(config)
        return trial_resources(settings)

    @classmethod
    def as_trainable(cls) -> type[Any]:
        """Returns the algorithm as a class that Tune runs."""
        from shoal.rllib._internal.tune_trainable import trainable_of

        made: type[Any] = trainable_of(cls)  # type: ignore[arg-type]
        return made

    # --- iterations ---------------------------------------------------------------------------------------------------------------

    def train(self) -> dict[str, Any]:
        """Makes an iteration: training steps, and an evaluation where one is due.

        Returns:
            The results, nested: `env_runners`, `learners`, `evaluation`, `timers`, `fault_tolerance`, ....

        Raises:
            EnvError: (a ValueError) an environment raised, hung, or answered with what its spaces do not have.
            NonFiniteLossError: a loss came out infinite, or as no number.
            StoppedError: it was stopped.
        """
        self._check_goes_on()
        began = time.perf_counter()
        result = self.step()
        seconds = time.perf_counter() - began
        self.iteration += 1
        self._iterations_since_restore += 1
        self._time_total += seconds
        self._time_since_restore += seconds
        now = time.time()
        result.update(
            training_iteration=self.iteration,
            time_this_iter_s=seconds,
            time_total_s=self._time_total,
            time_since_restore=self._time_since_restore,
            iterations_since_restore=self._iterations_since_restore,
            timestamp=int(now),
            date=time.strftime("%Y-%m-%d_%H-%M-%S", time.localtime(now)),
            pid=os.getpid(),
            hostname=platform.node(),
            trial_id="default",
            done=False,
            config=self.config.to_dict(),
        )
        if self.config.log_sys_usage:
            result["perf"] = system_usage()
        self.callbacks.call("on_train_result", algorithm=self, metrics_logger=self.metrics, result=result)
        self.last_result = result
        return result

    def step(self) -> dict[str, Any]:
        """Makes an iteration. Returns its results alone; `train` adds numbers of iterations and times."""
        due = self._evaluation is not None and self._evaluation.is_due(self.iteration + 1)
        parallel = due and self.config.evaluation_parallel_to_training
        if due:  # what this one does not find is not the last one's
            self.metrics.delete(EVALUATION_RESULTS, key_error=False)
        with self.metrics.log_time((TIMERS, TRAINING_ITERATION_TIMER)):
            if parallel and self._evaluation is not None:
                with self._evaluation.beside(self) as evaluated:
                    self._training_steps()
                self._log_evaluation(evaluated())
            else:
                self._training_steps()
        if due and not parallel:
            self._log_evaluation(self._evaluated())
        self._log_fault_tolerance()
        result = self.metrics.compile()
        result[NUM_ENV_STEPS_SAMPLED_LIFETIME] = self.env_steps_sampled
        return result

    def _training_steps(self) -> None:
        config, began, first = self.config, time.perf_counter(), self.env_steps_sampled
        calls = 0
        while True:
            with self.metrics.log_time((TIMERS, TRAINING_STEP_TIMER)):
                results = self.training_step()
            if results:
                self.metrics.log_dict(results, window=1)
            calls += 1
            enough_time = time.perf_counter() - began >= (config.min_time_s_per_iteration or 0)
            enough_samples = self.env_steps_sampled - first >= (config.min_sample_timesteps_per_iteration or 0)
            if (
                enough_time
                and enough_samples
                and self._trained_since(first) >= (config.min_train_timesteps_per_iteration or 0)
            ):
                break
        self.metrics.log_value(NUM_TRAINING_STEP_CALLS_PER_ITERATION, calls, reduce="sum")

    def _trained_since(self, first: int) -> int:
        """How many steps were learned from since so many had been sampled. Algorithms that replay override it."""
        return self.env_steps_sampled - first

    def _log_fault_tolerance(self) -> None:
        for runners, evaluating in ((self.env_runner_group, False), (self.eval_env_runner_group, True)):
            if runners is not None and runners.recreated:
                self.callbacks.call(
                    "on_env_runners_recreated",
                    algorithm=self,
                    env_runner_group=runners,
                    env_runner_indices=list(runners.recreated),
                    is_evaluation=evaluating,
                )
                runners.recreated.clear()
        group = self.env_runner_group
        if group is not None:
            values = {
                "num_healthy_workers": group.num_healthy_remote_env_runners(),
                "num_remote_worker_restarts": group.num_remote_worker_restarts(),
            }
            self.metrics.log_dict(values, key=FAULT_TOLERANCE_STATS, window=1)

    # --- parts that training steps are made of --------------------------------------------------------------------------------------

    @property
    def runners(self) -> EnvRunnerGroup:
        """The env runners. Raises ConfigError where there are none."""
        if self.env_runner_group is None:
            raise ConfigError(f"{type(self).__name__} has no env runners: the configuration has no environment")
        return self.env_runner_group

    def sample_batch(self, min_timesteps: int | None = None, **arguments: Any) -> list[Any]:
        """Has all runners sample until there are enough steps. Returns episodes in an order that does not depend on timing.

        Args:
            min_timesteps: steps that are enough; None for one round.
            **arguments: of runners' `sample`.
        """
        with self.sampling_timer():
            sampled = self.runners.sample_all(
                min_timesteps=min_timesteps, timesteps=self.env_steps_sampled, **arguments
            )
        return self.take_samples(sampled)

    @contextmanager
    def sampling_timer(self) -> Iterator[None]:
        """Times sampling. A runner in this process has as many threads as suit its module."""
        runner: Any = self.env_runner if self.runners.num_env_runners == 0 else None
        module: Any = getattr(runner, "module", None)
        parameters = module.parameters() if module is not None and hasattr(module, "parameters") else ()
        with self.metrics.log_time((TIMERS, ENV_RUNNER_SAMPLING_TIMER)), threads_for(parameters):
            yield

    def take_samples(self, sampled: list[Any]) -> list[Any]:
        """Counts what runners sampled, takes their metrics in, and returns their episodes (or references to them)."""
        self.metrics.aggregate([one.metrics for one in sampled], key=ENV_RUNNER_RESULTS)
        self.env_steps_sampled += sum(one.steps for one in sampled)
        episodes: list[Any] = []
        for one in sampled:
            if isinstance(one.episodes, list):
                episodes.extend(one.episodes)
            else:
                episodes.append(one.episodes)
        return episodes

    @contextmanager
    def learner_timer(self) -> Iterator[None]:
        """Times learning."""
        with self.metrics.log_time((TIMERS, LEARNER_UPDATE_TIMER)):
            yield

    def sync_weights(self, module_ids: Collection[str] | None = None) -> None:
        """Has the runners go by the learners' weights, and shares what their connectors have seen."""
        if self.env_runner_group is None:
            return
        with self.metrics.log_time((TIMERS, SYNCH_WORKER_WEIGHTS_TIMER)):
            self.env_runner_group.sync_env_runner_states(timesteps=self.env_steps_sampled)
            self.env_runner_group.sync_weights(weights=self.learner_group.get_weights(module_ids, inference_only=True))

    # --- evaluation ---------------------------------------------------------------------------------------------------------------

    def _make_evaluation(self) -> Evaluation:
        evaluation = Evaluation(self.config, self._spaces)
        self.eval_env_runner_group = evaluation.group
        self._evaluation = evaluation
        return evaluation

    def evaluate(self, parallel_train_future: Any = None) -> dict[str, Any]:
        """Evaluates the policies as they are.

        Args:
            parallel_train_future: accepted for Ray's sake.

        Returns:
            The results, under `env_runners`.

        Raises:
            EnvError: (a ValueError) an environment raised, hung, or answered with what its spaces do not have.
            StoppedError: it was stopped.
        """
        self._check_goes_on()
        return self._evaluated()

    def _evaluated(self) -> dict[str, Any]:
        evaluation = self._evaluation or self._make_evaluation()
        with self.metrics.log_time((TIMERS, EVALUATION_ITERATION_TIMER)):
            return evaluation.run(self)

    def _log_evaluation(self, results: dict[str, Any]) -> None:
        self.metrics.log_dict(results, key=EVALUATION_RESULTS, reduce="item")

    def evaluate_offline(self) -> dict[str, Any]:
        """Evaluates the policies on recorded data: that of `evaluation_config`'s `input_`, or else what is learned from.

        Returns:
            The results, under `offline_eval_runners`: by module, `total_eval_loss`.

        Raises:
            ConfigError: (a ValueError) it does not learn from recorded data, or there is none.
        """
        raise ConfigError(
            f"{type(self).__name__} samples from environments, and has no loss of recorded steps; evaluate() is what it has. BC, MARWIL, "
            "CQL and IQL evaluate on recorded data"
        )

    @property
    def eval_env_runner(self) -> Any:
        """The runner in this process that evaluates, where there is one."""
        return None if self.eval_env_runner_group is None else self.eval_env_runner_group.local_env_runner

    # --- what it has --------------------------------------------------------------------------------------------------------------

    @property
    def env_runner(self) -> Any:
        """The runner in this process, where there is one."""
        return None if self.env_runner_group is None else self.env_runner_group.local_env_runner

    @property
    def training_iteration(self) -> int:
        return self.iteration

    @property
    def workers(self) -> EnvRunnerGroup | None:
        """The old name of `env_runner_group`."""
        return self.env_runner_group

    def get_config(self) -> Any:
        return self.config

    def get_module(self, module_id: str = DEFAULT_MODULE_ID) -> RLModule:
        """Returns a policy's module, as trained so far, with its value function. Where learners are actors it is a copy.

        Args:
            module_id: which.

        Raises:
            ConfigError: (a ValueError) there is no such module.
        """
        made = self.learner_group.get_module(module_id)
        if made is None:
            raise ConfigError(f"there is no module {module_id!r}; there are {list(self.learner_group.get_weights())}")
        return made

    def get_weights(self, policies: Collection[str] | None = None) -> dict[str, Any]:
        """Returns weights as arrays, by module and name."""
        return self.learner_group.get_weights(policies)

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Gives modules these weights, in learners and runners. Raises ConfigError where there is no such module."""
        if strange := [name for name in weights if name not in self.config.policies]:
            raise ConfigError(
                f"weights are of {strange[0]!r}, and modules are {sorted(self.config.policies)}."
                + close_matches(str(strange[0]), self.config.policies)
            )
        self.learner_group.set_weights(weights)
        self.sync_weights()

    def compute_single_action(
        self, observation: Any, *, explore: bool | None = None, policy_id: str = DEFAULT_MODULE_ID, **_: Any
    ) -> Any:
        """Returns an action for one observation, of a module without a memory. Deprecated in Ray; `get_module` gives the module itself."""
        return self.compute_actions({0: observation}, explore=explore, policy_id=policy_id)[0]

    def compute_actions(
        self,
        observations: Mapping[Any, Any],
        *,
        explore: bool | None = None,
        policy_id: str = DEFAULT_MODULE_ID,
        **_: Any,
    ) -> dict[Any, Any]:
        """Returns actions for observations, by their keys, as the environment takes them. Deprecated in Ray."""
        from shoal.rllib._internal.sampling.acting_alone import actions_of

        return actions_of(self.get_module(policy_id), observations, self.config, explore)

    # --- beginnings and ends --------------------------------------------------------------------------------------------------------

    def reset(self, new_config: AlgorithmConfig | Mapping[str, Any], logger_creator: Any = None, **_: Any) -> bool:
        """Begins anew with another configuration, as Tune's trainables do: what was learned is gone.

        Args:
            new_config: a configuration, or a dict of settings over the algorithm's own.
            logger_creator: accepted for Ray's sake.

        Returns:
            True.

        Raises:
            ConfigError: (a ValueError) settings that cannot work; the algorithm then is as it was.
            EnvError: (a ValueError) the environment does not do what its spaces say.
        """
        config = new_config
        if not isinstance(config, AlgorithmConfig):
            config = self.get_default_config().update_from_dict(config)
        if config._validate_config:
            config.validate()
        self.stop()
        type(self).__init__(self, config=config)
        return True

    def _check_goes_on(self) -> None:
        if self._stopped:
            name = type(self).__name__
            raise StoppedError(
                f"this {name} was stopped, and its runners and learners are gone; build another one, or {name}.from_checkpoint(path)"
            )

    def __getattr__(self, name: str) -> Any:
        if hasattr(type(self), name):  # a property that raised: what it raised
            return object.__getattribute__(self, name)
        text = f"{type(self).__name__!r} object has no attribute {name!r}"
        if name in _GONE:
            raise AttributeError(f"{text}, which is of Ray's old API stack; {_GONE[name]}")
        raise AttributeError(f"{text}.{close_matches(name, [*vars(self), *dir(type(self))])}")

    def stop(self) -> None:
        """Ends runners and learners. May be called twice."""
        if not self._stopped:
            self._stopped = True
            self.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(env={self.config.env!r}, iteration={self.iteration})"
