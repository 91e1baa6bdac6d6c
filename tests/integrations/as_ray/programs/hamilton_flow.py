"""Functions of a Hamilton flow."""

from __future__ import annotations

import os

import pandas as pd
from hamilton.function_modifiers import extract_columns
from hamilton.htypes import Collect, Parallelizable


@extract_columns("spend", "signups")
def table() -> pd.DataFrame:
    return pd.DataFrame({"spend": [10.0, 10.0, 20.0, 40.0], "signups": [1.0, 10.0, 50.0, 100.0]})


def mean_spend(spend: pd.Series) -> float:
    return float(spend.mean())


def spend_per_signup(spend: pd.Series, signups: pd.Series) -> pd.Series:
    return spend / signups


def spend_over_mean(spend: pd.Series, mean_spend: float) -> pd.Series:
    return spend / mean_spend


def process_of_table(table: pd.DataFrame) -> int:
    return os.getpid()


def part(count: int) -> Parallelizable[int]:
    yield from range(count)


def square(part: int) -> int:
    return part * part


def sum_of_squares(square: Collect[int]) -> int:
    return sum(square)
