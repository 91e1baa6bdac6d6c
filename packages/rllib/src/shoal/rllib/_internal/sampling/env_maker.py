"""The environments of a runner: how each is made, called, checked and put beside the others."""

from __future__ import annotations

from typing import Any

import gymnasium as gym

from shoal.rllib._internal.sampling.showing import ShowingStepper, draws_itself
from shoal.rllib._internal.sampling.stepping import Stepper, SyncStepper, VectorStepper
from shoal.rllib.env.env_context import EnvContext
from shoal.rllib.env.multi_agent_env import MultiAgentEnv
from shoal.rllib.env.registration import EnvCreator, is_gymnasium_id, name_of, resolve_env
from shoal.rllib.utils.error import ConfigError, EnvError


class EnvMaker:
    """Makes a runner's environments.

    Args:
        config: of the algorithm.
        worker_index: of the runner.
        num_workers: how many remote runners there are.
        recreated: whether the runner replaces one that failed.
    """

    def __init__(self, config: Any, worker_index: int, num_workers: int, recreated: bool) -> None:
        self._config = config
        self._worker_index = worker_index
        self._num_workers = num_workers
        self._recreated = recreated
        self._creator: EnvCreator | None = None

    @property
    def kind(self) -> str:
        """What messages call environments of this kind."""
        return f"env {name_of(self._config.env)!r}"

    def name(self, n: int) -> str:
        """Returns what messages call environment n."""
        return f"{self.kind} (runner {self._worker_index}, environment {n})"

    def context(self, vector_index: int) -> EnvContext:
        """Returns what an environment is told."""
        return EnvContext(
            self._config.env_config,
            worker_index=self._worker_index,
            vector_index=vector_index,
            num_workers=self._num_workers,
            recreated_worker=self._recreated,
        )

    @property
    def is_to_be_checked(self) -> bool:
        """Whether a copy of the environment is looked at: by the first runner that has one, and not where failures are expected."""
        config = self._config
        expected = config.disable_env_checking or config.restart_failed_sub_environments or self._recreated
        looked_at = self._mode in ("sync", "async")
        return looked_at and self._is_first and not expected and not getattr(config, "in_evaluation", False)

    @property
    def _mode(self) -> str:
        mode = self._config.gym_env_vectorize_mode
        return str(getattr(mode, "value", mode))

    @property
    def _is_first(self) -> bool:
        """Whether no runner with environments comes before it."""
        return self._worker_index == (1 if self._num_workers else 0)

    def _is_shown(self, vector_index: int) -> bool:
        """Whether an environment is seen as it steps."""
        return bool(self._config.render_env) and self._is_first and vector_index == 0

    def make(self, vector_index: int) -> gym.Env[Any, Any]:
        """Returns an environment.

        Raises:
            EnvError: there is no such environment, or it cannot be made. What `validate_env` of the algorithm raises.
        """
        context = self.context(vector_index)
        if self._is_shown(vector_index) and is_gymnasium_id(self._config.env, self._luggage):
            context.set_defaults({"render_mode": "human"})
        try:
            env = self._resolved()(context)
        except EnvError:
            raise
        except Exception as error:
            raise EnvError(f"{self.name(vector_index)} cannot be made: {type(error).__name__}: {error}") from error
        if not isinstance(env, gym.Env):
            raise EnvError(f"{self.name(vector_index)} is {env!r}, which is no gymnasium.Env{_wrapper_for(env)}")
        algorithm: Any = getattr(self._config, "algo_class", None)
        if algorithm is not None:
            algorithm.validate_env(env, context)
        return env

    def make_single(self, vector_index: int) -> gym.Env[Any, Any]:
        """Returns an environment of a single agent. Raises EnvError, also where it has several."""
        env = self.make(vector_index)
        if isinstance(env, MultiAgentEnv):
            raise EnvError(
                f"{self.name(vector_index)} has several agents, and the configuration has one policy for one agent: call "
                "multi_agent(policies={...}, policy_mapping_fn=lambda agent_id, episode, **kwargs: ...)"
            )
        return env

    def _resolved(self) -> EnvCreator:
        if self._creator is None:
            self._creator = resolve_env(self._given, self._luggage)
        return self._creator

    @property
    def _luggage(self) -> Any:
        return getattr(self._config, "_luggage", None)

    @property
    def _given(self) -> Any:
        if self._config.env is None:
            raise EnvError('there is no environment: call config.environment(env=...), for instance with "CartPole-v1"')
        return self._config.env

    def vector(self) -> tuple[Any, Stepper]:
        """Returns all environments of a runner as one, and what steps it. Raises EnvError."""
        config, mode = self._config, self._mode
        n = config.num_envs_per_env_runner
        makers = [lambda i=i: self.make_single(i) for i in range(n)]
        env: Any
        if mode == "sync":
            env = gym.vector.SyncVectorEnv(makers)
            restart = bool(config.restart_failed_sub_environments)
            return env, self.shown(SyncStepper(env, self.name, self.make, restart), env.envs)
        if mode == "async":
            env = gym.vector.AsyncVectorEnv(makers)
        elif mode == "envpool":
            from shoal.rllib.env.wrappers.envpool_env import EnvPoolVectorEnv

            env = EnvPoolVectorEnv(self._given, n, **config.env_config)
        else:
            env = gym.make_vec(self._given, num_envs=n, vectorization_mode=mode, **config.env_config)
        return env, VectorStepper(env, self.name)

    def check_spaces(self, env: Any) -> None:
        """Raises ConfigError where the configuration has other spaces than the environments. Evaluation after recorded data may."""
        if getattr(self._config, "in_evaluation", False):
            return
        for name in ("observation_space", "action_space"):
            given, own = getattr(self._config, name), getattr(env, f"single_{name}")
            if given is not None and given != own:
                raise ConfigError(
                    f"{name} is {given}, and {self.kind} has {own}; leave it out, or change the environment's by a wrapper "
                    "(gymnasium.wrappers.TransformObservation, TransformAction) or a connector"
                )

    def shown(self, stepper: Any, envs: list[Any]) -> Any:
        """Returns what steps environments, and shows the first of them where that is wanted."""
        if not self._is_shown(0) or draws_itself(envs[0], self.name(0)):
            return stepper
        return ShowingStepper(stepper, lambda: envs[0].render())


def _wrapper_for(env: Any) -> str:
    """Returns what makes an environment of a kind that is known one that can be used."""
    if not type(env).__module__.startswith("pettingzoo."):
        return ""
    kind = "PettingZooEnv" if hasattr(env, "agent_iter") else "ParallelPettingZooEnv"
    return f"; wrap it by shoal.rllib.env.wrappers.pettingzoo_env.{kind}"
