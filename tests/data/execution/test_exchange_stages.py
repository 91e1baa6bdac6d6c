"""What exchanges decide of sizes: how many blocks are split together, and how large partitions are."""

from __future__ import annotations

import pyarrow as pa
import pytest

from shoal.data._internal.exchange.exchange import Exchange
from shoal.data._internal.exchange.grouping import JoinExchange
from shoal.data._internal.exchange.reorder import ShuffleExchange
from shoal.data._internal.execution.bundle import Bundle
from shoal.data._internal.execution.exchange_stages import ExchangeStage, JoinStage, _Block, _Side
from shoal.data._internal.execution.input_estimate import InputEstimate
from shoal.data._internal.execution.remote_calls import Calls
from shoal.data._internal.plan.operators import Blocks, Join, RandomShuffle

BLOCK, SPLIT, DATA = 8, 32, 3200
NOTHING = Blocks((), (), (), None)


def bundle(size: int, progress: float | None = None) -> Bundle:
    return Bundle(object(), 1, size, pa.schema([]), progress)


def gathered(sizes: list[int], unseen: bool, growth: float) -> list[int]:
    """How many blocks are split by each task."""
    side = _Side(0, InputEstimate(1))
    for number, size in enumerate(sizes):
        side.arrive(_Block(number, bundle(size), unseen))
    return [len(split.blocks) for split in [*side.gather(SPLIT, growth), *side.rest()]]


def test_blocks_are_split_together_as_far_as_they_fit() -> None:
    assert gathered([BLOCK] * 10, unseen=False, growth=1.0) == [4, 4, 2]
    assert gathered([BLOCK, 100, BLOCK], unseen=False, growth=1.0) == [1, 1, 1]


def test_what_grows_when_it_is_prepared_counts_as_it_will_be() -> None:
    assert gathered([BLOCK] * 10, unseen=True, growth=2.0) == [2] * 5
    assert gathered([BLOCK] * 10, unseen=False, growth=2.0) == [4, 4, 2]


def test_what_shrinks_counts_as_it_is() -> None:
    assert gathered([BLOCK] * 10, unseen=True, growth=0.001) == [4, 4, 2]


def test_blocks_wait_for_those_before_them() -> None:
    side = _Side(0, InputEstimate(1))
    side.arrive(_Block(1, bundle(SPLIT), unseen=True))
    assert list(side.gather(SPLIT, 1.0)) == []
    side.arrive(_Block(0, bundle(SPLIT), unseen=True))
    assert [split.blocks[0].number for split in side.gather(SPLIT, 1.0)] == [0]


def planned(stage: ExchangeStage | JoinStage, sides: int) -> int:
    """Shows a stage the first blocks of more data than memory; returns how many partitions it makes."""
    blocks = DATA // BLOCK
    for number in range(SPLIT // BLOCK + 2):
        for side in range(sides):
            stage.take(bundle(BLOCK, (number + 1) / blocks), side)
    return int(stage._partitions)


@pytest.mark.parametrize("takes_much", [False, True])
def test_partitions_that_take_much_to_merge_are_as_small_as_blocks(
    takes_much: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Exchange, "takes_much_to_merge", takes_much)
    calls = Calls(BLOCK, 4 * SPLIT, SPLIT, 1, cpus_there=2, reserves_cpus=True)
    stage = ExchangeStage(ShuffleExchange(RandomShuffle(NOTHING, 0)), calls, BLOCK)
    assert planned(stage, 1) == -(-DATA // (BLOCK if takes_much else 3 * SPLIT // 4))


def test_partitions_of_joins_are_as_small_as_blocks() -> None:
    calls = Calls(BLOCK, 4 * SPLIT, SPLIT, 1, cpus_there=2, reserves_cpus=True)
    join = Join(NOTHING, NOTHING, "inner", ("k",), ("k",), "", "", None)
    assert planned(JoinStage(JoinExchange(join), calls, BLOCK), 2) == 2 * DATA // BLOCK
