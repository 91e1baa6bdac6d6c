"""The reference page says what the docstrings say."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
MODULES = (
    "shoal.train.data_parallel_trainer",
    "shoal.train.torch",
    "shoal.train.xgboost",
    "shoal.train.lightgbm",
    "shoal.train.sklearn",
    "shoal.train.tensorflow",
    "shoal.train.collective",
    "shoal.train.backend",
    "shoal.train.predictor",
    "shoal.train.batch_predictor",
    "shoal.train.exceptions",
    "shoal.air.session",
    "shoal.air.callback",
    "shoal.air.integrations.mlflow",
    "shoal.air.integrations.wandb",
    "shoal.air.integrations.comet",
    "shoal.air.integrations.tensorboard",
    "shoal.air.exceptions",
)


def test_the_page_is_up_to_date(tmp_path: Path) -> None:
    for library in ("xgboost", "lightgbm"):
        pytest.importorskip(library)  # The callbacks are classes of theirs.
    made = tmp_path / "page.md"
    command = [sys.executable, ".ci/reference.py", "shoal.train", str(made), *MODULES]
    subprocess.run(command, cwd=ROOT, check=True)
    page = ROOT / "docs" / "reference-train.md"
    assert page.read_text() == made.read_text(), f"write it anew: {' '.join(command).replace(str(made), str(page))}"
