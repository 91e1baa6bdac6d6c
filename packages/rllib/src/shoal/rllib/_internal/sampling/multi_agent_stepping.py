"""Stepping several multi-agent environments, and checking what they answer."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from shoal.rllib._internal.sampling.answer_checks import check_form, check_reward, check_values
from shoal.rllib._internal.sampling.stepping import Infos, Steps, envs_as_bytes
from shoal.rllib.env.env_errors import StepFailedRecreateEnvError
from shoal.rllib.utils.error import MultiAgentEnvError

logger = logging.getLogger(__name__)

UNOBSERVED_STEPS = 1_000
"""After so many steps in which no agent is observed, and so none can act, there is a warning."""


class MultiAgentStepper:
    """Multi-agent environments of this process, one after the other. Resets take a step of their own, as in
    gymnasium's vector environments.

    Args:
        envs: the environments; those that are made anew replace what is in this list.
        name: how messages call environment n.
        recreate: makes environment n anew.
        restart_failed: whether any error has an environment made anew, rather than StepFailedRecreateEnvError alone.
        checked: whether answers are looked at.
    """

    def __init__(
        self,
        envs: list[Any],
        name: Callable[[int], str],
        recreate: Callable[[int], Any],
        restart_failed: bool,
        checked: bool,
    ) -> None:
        self._envs = envs
        self._name = name
        self._recreate = recreate
        self._restart_failed = restart_failed
        self._checked = checked
        self._steps = [0] * len(envs)
        self._unobserved = [0] * len(envs)
        self.failed: list[int] = []
        self.current: int | None = None

    def reset(self, seeds: Sequence[int | None]) -> tuple[list[Any], list[Infos]]:
        answers = [self._reset(n, seed) for n, seed in enumerate(seeds)]
        self.current = None
        return [observations for observations, _ in answers], [infos for _, infos in answers]

    def step(self, actions: Sequence[dict[Any, Any]], resetting: list[bool]) -> Steps:
        """Steps those that are not `resetting` with their agents' actions, and resets those that are."""
        self.failed = []
        steps = Steps([], [], [], [], [])
        for n, env in enumerate(self._envs):
            self.current = n
            answer: Any = None
            if not resetting[n]:
                try:
                    answer = env.step(actions[n])
                except Exception as error:
                    if not self._may_recreate(error):
                        raise MultiAgentEnvError(
                            f"{self._name(n)}: step({actions[n]!r}) raised {type(error).__name__} at step {self._steps[n]} of its "
                            f"episode: {error}"
                        ) from error
                    observations, infos = self._replace(n, error)
            if resetting[n]:
                observations, infos = self._reset(n, None)
            if answer is None:
                answer = observations, {}, {"__all__": False}, {"__all__": False}, infos
            else:
                self._steps[n] += 1
                self._check(n, answer)
            steps.observations.append(answer[0])
            steps.rewards.append(answer[1])
            steps.terminateds.append(answer[2])
            steps.truncateds.append(answer[3])
            steps.infos.append(answer[4])
        self.current = None
        return steps

    def get_state(self) -> bytes | None:
        return envs_as_bytes(self._envs, self._name(0))

    def set_state(self, state: bytes) -> None:
        import cloudpickle

        for old in self._envs:
            old.close()
        self._envs[:] = cloudpickle.loads(state)

    def _reset(self, n: int, seed: int | None) -> tuple[Any, Infos]:
        self.current = n
        self._steps[n] = self._unobserved[n] = 0
        try:
            answer = self._envs[n].reset(seed=seed)
        except Exception as error:
            if not self._may_recreate(error):
                raise MultiAgentEnvError(f"{self._name(n)}: reset() raised {type(error).__name__}: {error}") from error
            return self._replace(n, error)
        if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], dict)):
            raise MultiAgentEnvError(
                f"{self._name(n)}: reset() returned {answer!r}; return two dictionaries by agent: observations and infos"
            )
        if not answer[0]:
            raise MultiAgentEnvError(f"{self._name(n)}: reset() returned no observations: nobody could act")
        self._check_observations(n, answer[0], "reset()")
        return answer

    def _check(self, n: int, answer: Any) -> None:
        where = f"{self._name(n)}, step {self._steps[n] - 1} of its episode"
        if not (isinstance(answer, tuple) and len(answer) == 5 and all(isinstance(part, dict) for part in answer)):
            raise MultiAgentEnvError(
                f"{where}: step() returned {answer!r}; return five dictionaries by agent: observations, rewards, terminateds, "
                "truncateds and infos"
            )
        observations, rewards, terminateds, _, _ = answer
        if "__all__" not in terminateds:
            raise MultiAgentEnvError(
                f'{where}: terminateds is {terminateds!r}; it needs a key "__all__" for the whole episode'
            )
        self._check_observations(n, observations, where)
        self._unobserved[n] = 0 if observations else self._unobserved[n] + 1
        if self._unobserved[n] == UNOBSERVED_STEPS:
            logger.warning(
                "%s: no agent was observed in the last %d steps, so none can act; step() returns observations of those that act next, "
                'and sets terminateds["__all__"] at the end',
                where,
                UNOBSERVED_STEPS,
            )
        for agent, reward in rewards.items():
            check_reward(f"{where}: agent {agent!r}", reward)

    def _check_observations(self, n: int, observations: dict[Any, Any], where: str) -> None:
        if not self._checked:
            return
        env = self._envs[n]
        for agent, observation in observations.items():
            try:
                space = env.get_observation_space(agent)
            except (ValueError, KeyError) as error:
                raise MultiAgentEnvError(
                    f"{where}: {agent!r} is observed, but has no observation space: {error}"
                ) from error
            check_form(f"{where}: agent {agent!r}", space, observation, types_too=True)
            check_values(f"{where}: agent {agent!r}", space, observation)

    def _may_recreate(self, error: Exception) -> bool:
        return self._restart_failed or isinstance(error, StepFailedRecreateEnvError)

    def _replace(self, n: int, error: Exception) -> tuple[Any, Infos]:
        if not isinstance(error, StepFailedRecreateEnvError):
            logger.warning("%s raised %r; it is made anew and its episode cut off", self._name(n), error)
        try:
            self._envs[n].close()
        except Exception as close_error:  # it is broken already
            logger.info("%s could not be closed: %r", self._name(n), close_error)
        self.failed.append(n)
        self._steps[n] = 0
        self._envs[n] = self._recreate(n)
        try:
            answer: tuple[Any, Infos] = self._envs[n].reset()
        except Exception as again:
            raise MultiAgentEnvError(f"{self._name(n)}: reset() raised after it was made anew: {again}") from again
        return answer
