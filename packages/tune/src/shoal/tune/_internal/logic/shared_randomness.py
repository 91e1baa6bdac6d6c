"""The generators that `random` and `numpy.random` share in a process, lent to one call: seeded before it, as they were after it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np


class SharedRandomness:
    """A stream of chance for code that knows only the shared generators.

    Args:
        seed: of the stream.
    """

    def __init__(self, seed: int) -> None:
        self._python: Any = random.Random(seed).getstate()
        self._numpy: Any = np.random.RandomState(seed % 2**32).get_state(legacy=False)

    @contextmanager
    def lent(self) -> Iterator[None]:
        """The code inside draws from this stream; whoever draws outside does not notice."""
        python, numpy = random.getstate(), np.random.get_state(legacy=False)
        random.setstate(self._python)
        np.random.set_state(self._numpy)
        try:
            yield
        finally:
            self._python, self._numpy = random.getstate(), np.random.get_state(legacy=False)
            random.setstate(python)
            np.random.set_state(numpy)
