"""Chance that depends on one seed and on whose it is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

RUNNER, EVAL_RUNNER, LEARNER, BUFFER, ALGORITHM = range(5)


def derived_seed(seed: int | None, kind: int, index: int = 0) -> int | None:
    """Returns a seed for one of many, so that no two have the same; None where there is none to begin with."""
    if seed is None:
        return None
    state = np.random.SeedSequence((int(seed), kind, index)).generate_state(2, np.uint32)
    return int(state[0]) << 31 ^ int(state[1])


class OwnChance:
    """torch's chance of one learner: whatever happens in `with chance:` draws from it, and leaves that of all others alone.

    Args:
        seed: where it starts; None for anywhere.
    """

    def __init__(self, seed: int | None) -> None:
        generator = torch.Generator()
        if seed is None:
            generator.seed()
        else:
            generator.manual_seed(seed)
        self._state = generator.get_state()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        before = torch.get_rng_state()
        torch.set_rng_state(self._state)
        try:
            yield
        finally:
            self._state = torch.get_rng_state()
            torch.set_rng_state(before)

    def get_state(self) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
        return self._state.numpy().copy()

    def set_state(self, state: np.ndarray[tuple[int], np.dtype[np.uint8]]) -> None:
        self._state = torch.from_numpy(state.copy())
