"""Chance that depends on a seed and the position of a row in its dataset alone, never on blocks, workers or timing.

Philox is a counter-based generator (Salmon et al., *Parallel random numbers: as easy as 1, 2, 3*, SC'11): the n-th number can be made
without those before it.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_LANES = 4
"""Numbers that Philox makes for each value of its counter."""


def numbers_at(seed: int, stream: int, first: int, count: int) -> npt.NDArray[np.uint64]:
    """Returns the numbers of positions `first` to `first + count - 1`, each uniform over 64 bits.

    Args:
        seed: any integer.
        stream: keeps uses of one seed apart.
        first: position of the first row in its dataset.
        count: how many.
    """
    key = np.array([seed % (1 << 64), stream], dtype=np.uint64)
    generator = np.random.Philox(key=key)
    generator.advance(first // _LANES)
    skipped = first % _LANES
    return generator.random_raw(count + skipped)[skipped:]
