"""torch has more than one thread where layers are large, and what it had before afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from shoal.rllib._internal.learning.threads import threads_for


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("layer", "expected"), [((64, 64), 1), ((256, 256), 1), ((1024, 512), 2)])
def test_threads_follow_from_the_largest_layer(layer: tuple[int, int], expected: int) -> None:
    with threads_for([torch.empty(64), torch.empty(layer)]):
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == 2


def test_a_program_that_wants_one_thread_has_one() -> None:
    torch.set_num_threads(1)
    with threads_for([torch.empty(4096, 4096)]):
        assert torch.get_num_threads() == 1


def test_nothing_to_train_is_no_work() -> None:
    with threads_for([]):
        assert torch.get_num_threads() == 1
