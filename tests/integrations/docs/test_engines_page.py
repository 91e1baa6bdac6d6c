"""The page about engines says of each what it says of itself."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from shoal._core.process.client import Client
from shoal._core.process.inline.engine import InlineEngine

REPOSITORY = Path(__file__).parents[3]


def program() -> Any:
    spec = importlib.util.spec_from_file_location("engines_table", REPOSITORY / ".ci" / "engines_table.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_table_is_what_engines_say_of_themselves() -> None:
    page = (REPOSITORY / "docs" / "engines.md").read_text()
    assert program().rewritten(page) == page, "run: python .ci/engines_table.py"


def test_it_is_made_of_what_engines_publish() -> None:
    limits = program().engines()
    assert limits["native"].capabilities == Client.capabilities
    assert limits["inline"].capabilities == InlineEngine.capabilities
    assert limits.keys() == {"native", "inline", "ray", "ray://", "dask"}


def test_a_page_that_is_not_true_is_noticed() -> None:
    page = (REPOSITORY / "docs" / "engines.md").read_text()
    table = program()
    wrong = page.replace("| yes |", "| no |", 1)
    assert wrong != page
    assert table.rewritten(wrong) == page
