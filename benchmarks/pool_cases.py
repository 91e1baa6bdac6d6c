"""The rows that `multiprocessing.Pool` can do as well."""

from __future__ import annotations

from multiprocessing.pool import Pool

import core_cases
from rows import Case, Cases, Row, Size
from timing import per_second, seconds

CASES = Cases()


def row(name: str) -> Row:
    case: Case = core_cases.CASES.named(name)
    return case.rows[0]


@CASES.measures(row("tasks_sync"))
def tasks_sync(pool: Pool, size: Size) -> float:
    return per_second(lambda: pool.apply(task), 1, size)


@CASES.measures(row("tasks_async"))
def tasks_async(pool: Pool, size: Size) -> float:
    def batch() -> None:
        for result in [pool.apply_async(task) for _ in range(1_000)]:
            result.get()

    return per_second(batch, 1_000, size)


@CASES.measures(row("tasks_50000"))
def tasks_50000(pool: Pool, size: Size) -> float:
    count = size.count(50_000, 10_000)

    def run() -> None:
        for result in [pool.apply_async(task) for _ in range(count)]:
            result.get()

    return seconds(run) * 50_000 / count


def task() -> bytes:
    return b"ok"
