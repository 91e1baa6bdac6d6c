"""All of an algorithm's env runners: one in this process, or several as actors."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shoal.rllib._internal.runners.runner_actors import RunnerActors, Sampled, counted_steps
from shoal.rllib.core import (
    COMPONENT_ENV_TO_MODULE_CONNECTOR,
    COMPONENT_MODULE_TO_ENV_CONNECTOR,
    COMPONENT_RL_MODULE,
)
from shoal.rllib.env.env_runner import EnvRunner
from shoal.rllib.utils.error import ConfigError, EnvError, EnvRunnerLostError

if TYPE_CHECKING:
    from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig


class EnvRunnerGroup:
    """All env runners of an algorithm, and what keeps them going: deadlines, replacements, weights.

    Answers come in the order of the runners' indices, whichever is done first.

    Args:
        config: of the algorithm.
        local_env_runner: whether there is a runner in this process, besides those that are actors. Without actors there always is.
        num_env_runners: how many actors; None: as configured.
        spaces: of the environments and the modules, where they are known.

    Raises:
        EnvError: (a ValueError) the environment cannot be made, or does not do what its spaces say.

    Example:
        >>> from shoal.rllib.algorithms.ppo import PPOConfig
        >>> group = EnvRunnerGroup(PPOConfig().environment("CartPole-v1").env_runners(num_env_runners=0))
        >>> sum(sampled.steps for sampled in group.sample_all(num_timesteps=100))
        100
        >>> group.stop()
    """

    def __init__(
        self,
        config: AlgorithmConfig | None = None,
        *,
        local_env_runner: bool = True,
        num_env_runners: int | None = None,
        spaces: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        if config is None:
            raise EnvError("config=None: give an AlgorithmConfig")
        self._config = config
        self.num_env_runners = config.num_env_runners if num_env_runners is None else num_env_runners
        self._class: type[Any] = config.env_runner_cls or default_env_runner_class(config)
        self._timesteps: int | None = None
        self._actors = RunnerActors(config, self._class, self.num_env_runners)
        self._calls: list[tuple[int, Any]] = []
        self._asked_states: list[Any] = []
        self.spaces = spaces
        self.local_env_runner: EnvRunner | None = None
        try:
            self._start(local_env_runner)
        except BaseException:
            self.stop()
            raise

    def _start(self, local_env_runner: bool) -> None:
        setups = {index: self._actors.make(index, False) for index in range(1, self.num_env_runners + 1)}
        if self.num_env_runners == 0 or (local_env_runner and self._config.create_env_on_local_worker):
            self._make_local()
        wanted = local_env_runner and self.local_env_runner is None
        everybody = self._config.validate_env_runners_after_construction
        for index, setup in setups.items():
            if everybody or self.spaces is None:
                spaces = self._actors.set_up(index, setup)
                self.spaces = self.spaces or spaces
            if wanted and self.local_env_runner is None:
                self._make_local()

    def _make_local(self) -> None:
        runner = self._class(config=self._config, worker_index=0, num_workers=self.num_env_runners, spaces=self.spaces)
        self.local_env_runner = runner
        self.spaces = self.spaces or runner.get_spaces()

    # What it is made of.

    @property
    def local_runner(self) -> EnvRunner:
        """The runner in this process.

        Raises:
            EnvError: there is none.
        """
        if self.local_env_runner is None:
            raise EnvError(
                "this group has no local env runner: set create_local_env_runner=True in config.env_runners()"
            )
        return self.local_env_runner

    @property
    def weights_version(self) -> int:
        """What counts the weights that were synchronised."""
        return self._actors.version

    @property
    def recreated(self) -> list[int]:
        """Which runners were replaced since this list was emptied last."""
        return self._actors.recreated

    def healthy_env_runner_ids(self) -> list[int]:
        """Returns the indices of the actors that go on."""
        return self._actors.going_on()

    def num_remote_env_runners(self) -> int:
        """Returns how many actors there are."""
        return len(self._actors)

    num_remote_workers = num_remote_env_runners

    def num_healthy_remote_env_runners(self) -> int:
        """Returns how many actors go on."""
        return len(self.healthy_env_runner_ids())

    def num_healthy_env_runners(self) -> int:
        """Returns how many runners go on, the local one counted."""
        return self.num_healthy_remote_env_runners() + (self.local_env_runner is not None)

    def num_remote_worker_restarts(self) -> int:
        """Returns how often actors were replaced."""
        return self._actors.restarts

    num_remote_env_runner_restarts = num_remote_worker_restarts

    def num_in_flight_async_reqs(self) -> int:
        """Returns how many calls of sample_async() have not been answered."""
        return len(self._actors.requests)

    # Sampling, all at once.

    def sample_all(
        self,
        *,
        min_timesteps: int | None = None,
        timesteps: int | None = None,
        **arguments: Any,
    ) -> list[Sampled]:
        """Samples with all runners at once, and again until there is enough. Waits for the slowest.

        Args:
            min_timesteps: so many steps of all runners together, at least, as `count_steps_by` counts; None: one call of each.
            timesteps: how many steps were sampled so far, for schedules of exploration.
            arguments: of the runners' sample(): num_timesteps, num_episodes, explore, random_actions, force_reset.

        Returns:
            What they sampled, by rounds, and in each in the order of their indices.

        Raises:
            EnvError: an environment raised, hung, or answered with what cannot be.
            EnvRunnerLostError: a runner died and may not be replaced.
        """
        if timesteps is not None:
            self._timesteps = timesteps
        results: list[Sampled] = []
        total = 0
        while True:
            answers = self._sample_round(arguments)
            results.extend(answers)
            steps = sum(answer.steps for answer in answers)
            total += sum(answer.counted for answer in answers)
            if min_timesteps is None or total >= min_timesteps:
                return results
            if not steps:
                raise EnvRunnerLostError("no env runner brought any steps; see the log for why they are left out")
            if self._timesteps is not None:
                self._timesteps += steps

    def _sample_round(self, arguments: dict[str, Any]) -> list[Sampled]:
        if not self._actors:
            return [self._sample_locally(arguments)]
        self._actors.bring_back()
        requests = [self._actors.ask(index, self._timesteps, arguments) for index in self._actors.going_on()]
        answers: dict[int, Sampled] = {}
        while requests:
            ready, requests = self._actors.wait(requests, all_of_them=True)
            for request in ready:
                answer = self._actors.answer(request, by_reference=False)
                if answer is not None:
                    answers[request.index] = answer
                elif request.index in self._actors.going_on():
                    requests.append(self._actors.ask(request.index, self._timesteps, arguments))
        return [answers[index] for index in sorted(answers)]

    def _sample_locally(self, arguments: dict[str, Any]) -> Sampled:
        runner = self.local_runner
        if self._timesteps is not None and hasattr(runner, "set_global_timesteps"):
            runner.set_global_timesteps(self._timesteps)
        episodes = runner.sample(**arguments)
        steps, counted = counted_steps(self._config, episodes)
        return Sampled(0, episodes, steps, runner.get_metrics(), runner.weights_version, counted)

    # Sampling, each at its own pace.

    def sample_async(
        self,
        *,
        timeout_s: float | None = None,
        by_reference: bool = False,
        timesteps: int | None = None,
        **arguments: Any,
    ) -> list[Sampled]:
        """Returns what runners have sampled since the last call, and has them go on with the newest weights. Never waits for the slowest.

        Args:
            timeout_s: how long to wait for a first answer; None: as long as `sample_timeout_s` allows.
            by_reference: episodes stay where they are; a reference to them comes.
            timesteps: how many steps were sampled so far, for schedules of exploration.
            arguments: of the runners' sample().

        Returns:
            What is there, in the order of the runners' indices: nothing, if no runner answered in time.

        Raises:
            EnvError, EnvRunnerLostError: as sample_all().
        """
        if timesteps is not None:
            self._timesteps = timesteps
        if not self._actors:
            return [self._sample_locally(arguments)]
        self._actors.bring_back()
        actors = self._actors
        self._ask_all(arguments)
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            ready, actors.requests = actors.wait(actors.requests, all_of_them=False, deadline=deadline)
            ready.sort(key=lambda request: request.index)
            answers = [answer for request in ready if (answer := actors.answer(request, by_reference)) is not None]
            self._ask_all(arguments)
            if answers or (deadline is not None and time.monotonic() >= deadline):
                return answers
            if not actors.requests:
                raise EnvRunnerLostError("no env runner is left; see the log for why")

    def _ask_all(self, arguments: dict[str, Any]) -> None:
        actors, most = self._actors, max(1, self._config.max_requests_in_flight_per_env_runner)
        for index in actors.going_on():
            there = sum(request.index == index for request in actors.requests)
            actors.requests.extend(actors.ask(index, self._timesteps, arguments) for _ in range(most - there))

    def probe_unhealthy_env_runners(self) -> list[int]:
        """Replaces runners that were left out, whether or not their time has come. Returns their indices."""
        return self._actors.bring_back_all()

    # Weights and states.

    def sync_weights(
        self,
        policies: Any = None,
        from_worker_or_learner_group: Any = None,
        to_worker_indices: Sequence[int] | None = None,
        global_vars: Any = None,
        timeout_seconds: float | None = None,
        inference_only: bool = True,
        *,
        weights: dict[str, Any] | None = None,
    ) -> None:
        """Has all runners act by new weights from their next call on.

        The weights are stored once, whatever the number of runners.

        Args:
            policies: the ids of the modules that changed; None for all.
            from_worker_or_learner_group: whose weights: a learner group or an env runner, by its get_weights(). None: the local runner's.
            to_worker_indices: accepted for RLlib's sake: all are told.
            global_vars: accepted for RLlib's sake.
            timeout_seconds: accepted for RLlib's sake: nothing is waited for.
            inference_only: whether only what computes actions travels.
            weights: weights by module id, in place of all that.
        """
        if weights is None:
            source = from_worker_or_learner_group or self.local_runner
            weights = _weights_of(source, inference_only)
        if policies is not None:
            weights = {key: value for key, value in weights.items() if key in policies}
        self._actors.version += 1
        if self._actors:
            import shoal

            self._actors.weights = shoal.put(weights)
        if self.local_env_runner is not None and self.local_env_runner is not from_worker_or_learner_group:
            self.local_env_runner.set_weights(weights, self._actors.version)

    def sync_env_runner_states(self, *, config: Any = None, timesteps: int | None = None, **kwargs: Any) -> None:
        """Merges the states of the runners' connectors and gives all of them the result, as `merge_env_runner_states` and
        `broadcast_env_runner_states` say."""
        if timesteps is not None:
            self._timesteps = timesteps
        local: Any = self.local_env_runner
        if not self._actors or local is None or not getattr(local, "has_connector_states", False):
            return
        parts = [COMPONENT_ENV_TO_MODULE_CONNECTOR, COMPONENT_MODULE_TO_ENV_CONNECTOR]
        evaluating = getattr(self._config, "in_evaluation", False)
        merge = self._config.merge_env_runner_states
        if merge is True or (merge == "training_only" and not evaluating):
            states = self.foreach_env_runner("get_state", kwargs={"components": parts}, local_env_runner=False)
            local.merge_connector_states([state for state in states if state])
        if self._config.broadcast_env_runner_states:
            self._actors.runner_state = local.get_state(components=parts)
            self.foreach_env_runner("set_state", kwargs={"state": self._actors.runner_state}, local_env_runner=False)

    def exchange_env_runner_states(self, *, timesteps: int | None = None) -> None:
        """Does what sync_env_runner_states() does, in turns and without waiting: a call asks all runners; the first one that finds all
        answers there merges them and sends the result."""
        if timesteps is not None:
            self._timesteps = timesteps
        local: Any = self.local_env_runner
        merge = self._config.merge_env_runner_states in (True, "training_only")
        if not self._actors or not merge or local is None or not getattr(local, "has_connector_states", False):
            return
        import shoal

        parts = [COMPONENT_ENV_TO_MODULE_CONNECTOR, COMPONENT_MODULE_TO_ENV_CONNECTOR]
        actors = [self._actors[index] for index in self._actors.going_on()]
        asked = self._asked_states
        if not asked:
            self._asked_states = [actor.call.remote("get_state", {"components": parts}) for actor in actors]
            return
        ready, _ = shoal.wait(asked, num_returns=len(asked), timeout=0)
        if len(ready) < len(asked):
            return
        self._asked_states, states = [], []
        for reference in asked:
            try:
                states.append(shoal.get(reference))
            except shoal.exceptions.ActorError:
                continue  # its process has ended; sampling comes upon that, and replaces it
        if states:
            local.merge_connector_states(states)
        if self._config.broadcast_env_runner_states:
            self._actors.runner_state = local.get_state(components=parts)
            for actor in actors:
                actor.call.remote("set_state", {"state": self._actors.runner_state})

    def get_state(self) -> dict[str, Any]:
        """Returns the states of all runners, for another group of as many."""
        local = self.local_env_runner
        without = [COMPONENT_RL_MODULE]
        remote = self.foreach_env_runner("get_state", kwargs={"not_components": without}, local_env_runner=False)
        return {
            "local": None if local is None else local.get_state(not_components=without),
            "remote": dict(zip(self.healthy_env_runner_ids(), remote, strict=True)),
            "runner_state": self._actors.runner_state,
            "timesteps": self._timesteps,
            "version": self._actors.version,
        }

    def set_state(self, state: dict[str, Any]) -> None:
        """Takes over the states of another group's runners. What it has for runners that are not here is left out."""
        self._timesteps = state["timesteps"]
        # Runners know weights of this number: the next have another.
        self._actors.version = max(self._actors.version, state["version"])
        self._actors.runner_state = state["runner_state"]
        if self.local_env_runner is not None and state["local"] is not None:
            self.local_env_runner.set_state(state["local"])
        for index, own in state["remote"].items():
            if index in self._actors:
                self.foreach_env_runner(
                    "set_state", kwargs={"state": own}, local_env_runner=False, remote_worker_ids=[index]
                )

    # Anything else.

    def foreach_env_runner(
        self,
        func: str | Callable[..., Any],
        *,
        kwargs: dict[str, Any] | None = None,
        local_env_runner: bool = True,
        healthy_only: bool = True,
        remote_worker_ids: Sequence[int] | None = None,
        timeout_seconds: float | None = None,
        return_obj_refs: bool = False,
        mark_healthy: bool = False,
    ) -> list[Any]:
        """Calls a function of each runner, or a method by its name.

        Args:
            func: takes a runner and `kwargs`; or a method's name.
            kwargs: for it.
            local_env_runner: whether the one in this process is among them.
            healthy_only: whether runners that are left out stay so; otherwise they are made again first.
            remote_worker_ids: which actors; None for all.
            timeout_seconds: how long to wait; what has not come by then is left out. None: without end.
            return_obj_refs: whether actors' references come in place of results.
            mark_healthy: accepted for RLlib's sake.

        Returns:
            What the functions returned: the local runner's first, then the actors' in the order of their indices.

        Raises:
            EnvRunnerLostError: an actor died and may not be replaced. What a function raises is raised.
        """
        arguments = dict(kwargs or {})
        results: list[Any] = []
        if local_env_runner and self.local_env_runner is not None:
            results.append(_call(self.local_env_runner, func, arguments))
        if not self._actors:
            return results
        if not healthy_only:
            self.probe_unhealthy_env_runners()
        chosen = [i for i in self.healthy_env_runner_ids() if remote_worker_ids is None or i in remote_worker_ids]
        references = {index: self._actors.call(index, func, arguments) for index in chosen}
        if return_obj_refs:
            return [*results, *references.values()]
        return [*results, *(value for _, value in self._actors.collect(func, arguments, references, timeout_seconds))]

    def reconfigure(self, config: AlgorithmConfig) -> None:
        """Has all runners, and those that take their places, go by another configuration from now on: its modules came or went."""

        def take(runner: Any, config: AlgorithmConfig) -> None:
            runner.config = config

        self._config = config
        self._actors.reconfigure(config)
        self.foreach_env_runner(take, kwargs={"config": config})

    def work_through(
        self, func: Callable[..., Any], work: Mapping[int, Sequence[dict[str, Any]]], *, timeout_s: float | None
    ) -> tuple[list[Any], list[int]]:
        """Calls a function of each actor, one call after the other. One that dies is replaced, and its work goes on.

        Args:
            func: takes a runner and keyword arguments.
            work: by actor, the arguments of each call.
            timeout_s: after how many seconds it ends, whoever has died meanwhile; None: when all is done. Actors that are late are ended,
                and left out from then on.

        Returns:
            What calls returned, in the order of the actors' indices and of their calls; and which actors were late.

        Raises:
            EnvRunnerLostError: an actor died and may not be replaced. What the function raises is raised.
        """
        return self._actors.work_through(func, work, None if timeout_s is None else time.monotonic() + timeout_s)

    def allow_work(self) -> None:
        """Takes back `abandon_work`."""
        self._actors.allow_work()

    def abandon_work(self) -> None:
        """Has `work_through`, in another thread, return at once, also where it has not begun; those who were at work are ended, and left
        out from then on."""
        self._actors.abandon_work()

    def foreach_env_runner_async(
        self,
        func: str | Callable[..., Any],
        *,
        kwargs: dict[str, Any] | None = None,
        healthy_only: bool = True,
        remote_worker_ids: Sequence[int] | None = None,
        **_: Any,
    ) -> int:
        """Calls a function of each actor and does not wait: fetch_ready_async_reqs() brings results. Returns how many were called."""
        chosen = [i for i in self.healthy_env_runner_ids() if remote_worker_ids is None or i in remote_worker_ids]
        for index in chosen:
            self._calls.append((index, self._actors.call(index, func, dict(kwargs or {}))))
        return len(chosen)

    def fetch_ready_async_reqs(
        self, *, timeout_seconds: float | None = 0.0, return_obj_refs: bool = False, **_: Any
    ) -> list[tuple[int, Any]]:
        """Returns pairs of indices and results of what foreach_env_runner_async() began and is done."""
        if not self._calls:
            return []
        import shoal

        references = [reference for _, reference in self._calls]
        ready, _rest = shoal.wait(references, num_returns=len(references), timeout=timeout_seconds)
        there = set(ready)
        done = [(index, reference) for index, reference in self._calls if reference in there]
        self._calls = [(index, reference) for index, reference in self._calls if reference not in there]
        if return_obj_refs:
            return done
        results = []
        for index, reference in done:
            try:
                results.append((index, shoal.get(reference)))
            except shoal.exceptions.ActorError as error:
                if index in self._actors.going_on():
                    self._actors.failed(index, error)
        return results

    def foreach_env(self, func: Callable[[Any], Any]) -> list[list[Any]]:
        """Calls a function of each environment. Returns lists of results, one for each runner."""

        def of_each(runner: Any) -> list[Any]:
            env = runner.env
            if env is None:
                return []
            return [func(one) for one in getattr(env, "envs", [env])]

        return self.foreach_env_runner(of_each)

    def stop(self) -> None:
        """Closes all environments and ends all actors."""
        if self.local_env_runner is not None:
            self.local_env_runner.stop()
            self.local_env_runner = None
        self._calls = []
        self._actors.stop()


def default_env_runner_class(config: Any) -> type[EnvRunner]:
    """Returns the class of runners that a configuration asks for."""
    if config.is_multi_agent:
        from shoal.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner

        if config.output is not None:
            raise ConfigError(
                f"output is {config.output!r}, and there are several policies; what is recorded is what one agent does: leave output None"
            )
        return MultiAgentEnvRunner
    if config.output is not None:
        from shoal.rllib.offline.offline_env_runner import OfflineSingleAgentEnvRunner

        return OfflineSingleAgentEnvRunner
    from shoal.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

    return SingleAgentEnvRunner


def _call(runner: Any, func: str | Callable[..., Any], arguments: dict[str, Any]) -> Any:
    return func(runner, **arguments) if callable(func) else getattr(runner, func)(**arguments)


def _weights_of(source: Any, inference_only: bool) -> dict[str, Any]:
    try:
        weights = source.get_weights(inference_only=inference_only)
    except TypeError:
        weights = source.get_weights()
    found: dict[str, Any] = weights
    return found
