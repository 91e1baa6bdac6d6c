"""Rules of .gitignore files, held against git itself."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shoal._core.system.ignore_rules import IgnoreRules

NAMES = ["a", "b", "ab", "a b", "x.py", "]", "-", "[", "*", "!", "B"]
PATHS = sorted({"/".join(parts) for parts in [(x,) for x in NAMES] + [(x, y) for x in NAMES for y in NAMES]})
PATHS += [f"{path}/x.py" for path in PATHS[::3]]
PIECES = [
    "a", "b", "*", "?", "/", "**/", "/**", "[a-b]", "[!a]", "[^b]", "[", "]", "\\", "!", " ", ".py", "-", "x", "#",
    "[[:alpha:]]", "[[:none:]]", "[]a]", "[b-a]", "[\\]]",
]  # fmt: skip


@pytest.mark.parametrize(
    ("pattern", "ignored", "kept"),
    [
        ("*.pyc", ["m.pyc", "a/m.pyc"], ["m.py"]),
        ("/build", ["build"], ["a/build"]),
        ("a/b", ["a/b"], ["c/a/b"]),
        ("**/b", ["b", "a/b", "a/c/b"], ["a/bb"]),
        ("a/**", ["a/b", "a/b/c"], ["a"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a/bb"]),
        ("# comment", [], ["# comment"]),
        ("\\#x", ["#x"], ["\\#x"]),
        ("\\!x", ["!x"], ["x"]),
        ("space\\ ", ["space "], ["space"]),
        ("trailing   ", ["trailing"], []),
        ("[0-9]?", ["1x"], ["x1", "1"]),
        ("[", [], ["["]),
    ],
)
def test_patterns(pattern: str, ignored: list[str], kept: list[str]) -> None:
    rules = IgnoreRules([pattern])
    assert [path for path in ignored + kept if rules.verdict(path, False)] == ignored


def test_later_lines_win_and_folders_are_told_from_files() -> None:
    rules = IgnoreRules(["*.bin\n", "!keep.bin\r\n", "logs/\n", "\n"])
    assert rules.verdict("x.bin", False) is True
    assert rules.verdict("keep.bin", False) is False
    assert rules.verdict("logs", False) is None
    assert rules.verdict("logs", True) is True


@pytest.fixture(scope="module")
def git_ignores(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[str]], set[str]]:
    """Which of PATHS git ignores by the lines of a .gitignore file."""
    if shutil.which("git") is None:
        pytest.skip("there is no git")
    folder = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)

    def ask(lines: list[str]) -> set[str]:
        Path(folder, ".gitignore").write_text("\n".join(lines) + "\n")
        command = [
            "git",
            "-C",
            str(folder),
            "-c",
            "core.ignoreCase=false",
            "check-ignore",
            "--no-index",
            "--stdin",
            "-z",
        ]
        done = subprocess.run(command, input="\0".join(PATHS) + "\0", capture_output=True, text=True, check=False)
        return set(filter(None, done.stdout.split("\0")))

    return ask


def _ignored(lines: list[str]) -> set[str]:
    rules = IgnoreRules(lines)

    def is_ignored(path: str) -> bool:
        parts = path.split("/")
        folders = ["/".join(parts[:end]) for end in range(1, len(parts))]
        return any(rules.verdict(folder, True) for folder in folders) or bool(rules.verdict(path, False))

    return {path for path in PATHS if is_ignored(path)}


def _is_clear(line: str) -> bool:
    """git takes two stars after plain letters for folders at times, against its own documentation."""
    return "//" not in line and not any(line[place - 1 : place] not in ("", "/") for place in _double_stars(line))


def _double_stars(line: str) -> list[int]:
    return [place for place in range(len(line)) if line.startswith("**", place) and line[place - 1 : place] != "*"]


LINES = st.lists(st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join).filter(_is_clear), max_size=3)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=LINES)
def test_as_git(git_ignores: Callable[[list[str]], set[str]], lines: list[str]) -> None:
    assert _ignored(lines) == git_ignores(lines)
