"""The tables of settings on the algorithms' pages are the code's, both ways."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig
from shoal.rllib.algorithms.registry import ALGORITHMS

DOCS = Path(__file__).parents[3] / "docs"
PAGES = {path.stem.removeprefix("rllib-").upper(): path for path in DOCS.glob("rllib-*.md")}
ROW = re.compile(r"^\| `(\w+)` \| `(.+?)` \| (.+) \|$", re.MULTILINE)
# Which class, which runners, and what a validation derives: no settings that a reader of the page makes.
NO_SETTINGS = {"algo_class"}


def settings_on(page: Path) -> dict[str, Any]:
    return {name: ast.literal_eval(value) for name, value, _ in ROW.findall(page.read_text())}


def settings_of(config: Any) -> set[str]:
    """What an algorithm's `training` adds, and what it sets otherwise than all algorithms do."""
    added: set[str] = set()
    for cls in type(config).__mro__:
        if cls is AlgorithmConfig:
            break
        if "training" in vars(cls):
            parameters = inspect.signature(vars(cls)["training"]).parameters
            added.update(name for name in parameters if name not in ("self", "others"))
    base = vars(AlgorithmConfig())
    changed = {name for name, value in vars(config).items() if name not in base or value != base[name]}
    return (added | changed) - NO_SETTINGS


def test_there_are_pages() -> None:
    assert {"PPO", "DQN", "SAC"} <= set(PAGES) <= set(ALGORITHMS)


@pytest.mark.parametrize("name", sorted(PAGES))
def test_each_setting_is_there_with_its_default(name: str) -> None:
    _, config = ALGORITHMS[name]()
    listed = settings_on(PAGES[name])
    assert sorted(settings_of(config) - set(listed)) == [], "the page lacks them"
    assert sorted(set(listed) - set(vars(config))) == [], "there are no such settings"
    for setting, value in listed.items():
        assert _plain(getattr(config, setting)) == _plain(value), setting


@pytest.mark.parametrize("name", sorted(PAGES))
def test_each_result_that_a_page_names_is_in_the_code(name: str) -> None:
    """`learners/default_policy` has what the page's last part says."""
    results = PAGES[name].read_text().partition("## Results")[2]
    named = [word for word in re.findall(r"`(\w+)`", results) if word != "default_policy"]
    code = "\n".join(path.read_text() for path in _sources())
    assert len(named) > 5
    assert [word for word in named if f'"{word}"' not in code] == []


def _sources() -> list[Path]:
    import shoal.rllib

    return list(Path(shoal.rllib.__file__).parent.rglob("*.py"))


def _plain(value: Any) -> Any:
    """Pairs of schedules may be lists or tuples."""
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else value
