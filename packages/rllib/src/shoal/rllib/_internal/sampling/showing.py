"""An environment that is seen as it steps."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from shoal.rllib._internal.sampling.stepping import Infos, Stepper, Steps
from shoal.rllib.utils.error import EnvError


def draws_itself(env: Any, name: str) -> bool:
    """Whether an environment draws itself as it steps. Raises EnvError where what it draws cannot be seen."""
    mode = getattr(env, "render_mode", None)
    if mode not in (None, "human"):
        raise EnvError(
            f"{name} is to be shown (render_env=True), and its render_mode is {mode!r}, which makes pictures and shows none: make it "
            "with render_mode='human'. Videos are recorded by gymnasium.wrappers.RecordVideo, without render_env"
        )
    return mode == "human"


class ShowingStepper:
    """Has something be drawn after each step.

    Args:
        inner: what steps.
        draw: is called then.
    """

    def __init__(self, inner: Stepper, draw: Callable[[], Any]) -> None:
        self._inner, self._draw = inner, draw

    @property
    def failed(self) -> list[int]:
        """As of the inner one."""
        return self._inner.failed

    @property
    def current(self) -> int | None:
        """As of the inner one."""
        return self._inner.current

    def reset(self, seeds: Sequence[int | None]) -> tuple[list[Any], list[Infos]]:
        answer = self._inner.reset(seeds)
        self._draw()
        return answer

    def step(self, actions: Any, resetting: list[bool]) -> Steps:
        steps = self._inner.step(actions, resetting)
        self._draw()
        return steps

    def get_state(self) -> bytes | None:
        return self._inner.get_state()

    def set_state(self, state: bytes) -> None:
        self._inner.set_state(state)
