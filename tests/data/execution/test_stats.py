"""What `Dataset.stats()` tells of a run."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

import shoal
from shoal.data import DataContext
from shoal.data._internal.execution.policy import OperatorView, blocked_on
from shoal.data._internal.execution.stage_stats import INPUT, MEMORY, PROCESSOR


def view(waiting: int, running: int = 0, cpus: float = 1.0, free_slots: int | None = None) -> OperatorView:
    return OperatorView(waiting, running, None, cpus, 1.0, 0, free_slots)


def test_an_operator_at_work_waits_for_nothing() -> None:
    assert blocked_on(view(3, running=1), 0.0) is None


def test_an_operator_without_blocks_waits_for_input() -> None:
    assert blocked_on(view(0), 2.0) == INPUT


def test_an_operator_that_could_run_waits_for_memory() -> None:
    assert blocked_on(view(2), 1.0) == MEMORY


@pytest.mark.parametrize("one", [view(2), view(2, free_slots=0)])
def test_an_operator_that_has_nowhere_to_run_waits_for_a_processor(one: OperatorView) -> None:
    assert blocked_on(one, 0.5) == PROCESSOR


@pytest.fixture
def tasks(shared_session: None) -> Iterator[None]:
    context = DataContext.get_current()
    before = context.small_data_size, context.columnar_data_size, context.target_min_block_size
    context.small_data_size = context.columnar_data_size = -1
    context.target_min_block_size = 1
    yield
    context.small_data_size, context.columnar_data_size, context.target_min_block_size = before


def test_the_report_has_a_line_a_stage(tasks: None) -> None:
    def same(batch: dict[str, Any]) -> dict[str, Any]:
        return batch

    dataset = shoal.data.range(1000, override_num_blocks=4).map_batches(same, batch_size=None, num_cpus=0.5)
    done = dataset.random_shuffle(seed=1).materialize()
    read, mapped, shuffled, total = done.stats().splitlines()
    assert read.startswith("1. ReadRange: 4 tasks, 4 blocks, 1000 rows, 7.8 KiB, ")
    assert mapped.startswith("2. MapBatches(same): 4 tasks, 4 blocks, 1000 rows")
    assert shuffled.startswith("3. RandomShuffle: ")
    for line in (read, mapped, shuffled):
        assert re.search(r"\d+\.\d{3} s at work in \d+\.\d{3} s, longest task \d+\.\d{3} s", line)
        assert re.search(r"up to \d+\.\d MiB a process", line)
    assert re.search(r"waited \d+\.\d{3} s for input", shuffled)
    assert re.fullmatch(r"Total: \d+\.\d{3} s, up to .*B of blocks between stages", total)


def test_a_run_in_the_driver_has_one_line(shared_session: None) -> None:
    lines = shoal.data.range(10).map(lambda row: row).materialize().stats().splitlines()
    assert lines[0] == "1. in the driver: 0 tasks, 1 blocks, 10 rows, 80 B"


def test_there_is_no_report_before_the_first_run() -> None:
    assert shoal.data.range(10).stats() == ""


def test_what_runs_is_told_where_that_is_asked_for(way: str, capsys: pytest.CaptureFixture[str]) -> None:
    context = DataContext.get_current()
    context.print_on_execution_start = context.enable_auto_log_stats = True
    try:
        ds = shoal.data.range(3).map(lambda row: row)
    finally:
        context.print_on_execution_start = context.enable_auto_log_stats = False
    ds.materialize()
    told = capsys.readouterr().err
    assert told.startswith("shoal.data: running Map(<lambda>)")
    assert "3 rows" in told


def test_a_dataset_that_has_run_travels_without_its_report(way: str) -> None:
    ds = shoal.data.range(3).map(lambda row: row)
    ds.materialize()

    @shoal.remote
    def summed(dataset: Any) -> Any:
        return dataset.sum("id"), dataset.count()

    assert shoal.get(summed.remote(ds)) == (3, 3)
