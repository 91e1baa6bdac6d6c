"""The table of names in `docs/coming-from-ray-train.md` tells the truth, both ways."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "coming-from-ray-train.md"
SOURCE = ROOT / "packages" / "train" / "src" / "shoal" / "train"
ROW = re.compile(r"^\| `([^`]+)` \| [AB] \| (.+) \|$", re.MULTILINE)
TRAINER = "shoal.train.data_parallel_trainer.DataParallelTrainer"
NEEDED = {
    "ray.train.lightning": "lightning",
    "ray.train.huggingface": "transformers",
    "ray.train.tensorflow.keras": "keras",
}
"""Libraries that a module cannot be imported without."""


def home(name: str) -> str:
    if name.startswith("ray."):
        return "shoal" + name.removeprefix("ray")
    owner, _, rest = name.partition(".")
    return f"{TRAINER}.{rest}" if owner == "Trainer" else f"shoal.train.{name}"


def resolves(path: str) -> bool:
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for name in parts[length:]:
            if not hasattr(found, name) and name not in getattr(found, "__dataclass_fields__", ()):
                return False
            found = getattr(found, name, None)
        return True
    return False


def is_read(variable: str) -> bool:
    """Whether the source asks for the environment variable."""
    name = f'"{variable.removeprefix("RAY_TRAIN_")}"'
    return any(name in path.read_text() for path in SOURCE.rglob("*.py"))


def test_the_table_is_read() -> None:
    assert len(ROW.findall(PAGE.read_text())) > 65


@pytest.mark.filterwarnings("ignore")  # of the libraries
@pytest.mark.parametrize(("name", "state"), ROW.findall(PAGE.read_text()), ids=lambda value: value.partition(":")[0])
def test_each_name_is_where_the_page_says(name: str, state: str) -> None:
    for module, library in NEEDED.items():
        if name.startswith(module):
            pytest.importorskip(library)
    found = is_read(name) if name.startswith("RAY_") else resolves(home(name))
    assert found == state.startswith("there")
