"""Which files of a folder to leave out, by the rules of .gitignore files (https://git-scm.com/docs/gitignore)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_CLASSES = {
    "alnum": "a-zA-Z0-9", "alpha": "a-zA-Z", "blank": " \\t", "cntrl": "\\x00-\\x1f\\x7f", "digit": "0-9",
    "graph": "\\x21-\\x7e", "lower": "a-z", "print": "\\x20-\\x7e", "punct": "!-/:-@\\[-`{-~",
    "space": " \\t\\n\\r\\f\\v", "upper": "A-Z", "xdigit": "0-9a-fA-F",
}  # fmt: skip


class _Rule(NamedTuple):
    ignores: bool
    """False for patterns that begin with '!'."""
    only_folders: bool
    matches: re.Pattern[str]
    """Of paths relative to the folder of the rule."""


class IgnoreRules:
    """The rules of one list of patterns, for paths below the folder that the list belongs to.

    Args:
        patterns: lines of a .gitignore file. Lines that git cannot make sense of match nothing, as with git.
    """

    __slots__ = ("_rules",)

    def __init__(self, patterns: Iterable[str]) -> None:
        self._rules = [rule for pattern in patterns if (rule := _rule(pattern)) is not None]

    def verdict(self, path: str, is_folder: bool) -> bool | None:
        """Returns True for what is ignored, False for what is said not to be, None where no rule speaks of it.

        What is in an ignored folder is ignored with it, and not asked about.

        Args:
            path: relative to the folder of the rules, without a slash at the end.
            is_folder: whether it is one.
        """
        for rule in reversed(self._rules):
            if (is_folder or not rule.only_folders) and rule.matches.fullmatch(path):
                return rule.ignores
        return None


def _rule(line: str) -> _Rule | None:
    pattern = _without_trailing_spaces(line.rstrip("\r\n"))
    if not pattern or pattern.startswith("#"):
        return None
    ignores = not pattern.startswith("!")
    if not ignores:
        pattern = pattern[1:]
    only_folders = pattern.endswith("/")
    if only_folders:
        pattern = pattern[:-1]
    anchored = "/" in pattern
    expression = _expression(pattern.removeprefix("/"))
    if not pattern or expression is None:
        return None
    return _Rule(ignores, only_folders, re.compile(expression if anchored else f"(?:.*/)?{expression}", re.DOTALL))


def _without_trailing_spaces(line: str) -> str:
    """Spaces at the end count only where a backslash is before them."""
    end = len(line)
    while end and line[end - 1] == " " and not line[: end - 1].endswith("\\"):
        end -= 1
    return line[:end]


def _expression(pattern: str) -> str | None:
    """Returns the regular expression of a pattern; None for one that matches nothing."""
    parts: list[str] = []
    place = 0
    while place < len(pattern):
        step = _double_star(pattern, place) or _single(pattern, place)
        if step is None:
            return None
        part, place = step
        parts.append(part)
    return "".join(parts)


def _double_star(pattern: str, place: int) -> tuple[str, int] | None:
    """Two stars or more mean folders where they stand alone between slashes; elsewhere they are as one."""
    end = place
    while pattern.startswith("*", end):
        end += 1
    if end < place + 2 or (place and pattern[place - 1] != "/"):
        return None
    if end == len(pattern):
        return ".+" if place else ".*", end
    return ("(?:.*/)?", end + 1) if pattern[end] == "/" else None


def _single(pattern: str, place: int) -> tuple[str, int] | None:
    letter = pattern[place]
    if letter == "*":
        return "[^/]*", place + 1
    if letter == "?":
        return "[^/]", place + 1
    if letter == "[":
        return _bracket(pattern, place)
    if letter == "\\":
        if place + 1 == len(pattern):
            return None
        return re.escape(pattern[place + 1]), place + 2
    return re.escape(letter), place + 1


def _bracket(pattern: str, place: int) -> tuple[str, int] | None:
    """A set of letters: '[a-z]', '[!a-z]', '[[:digit:]_]'."""
    start = at = place + 1
    negated = pattern[at : at + 1] in ("!", "^")
    if negated:
        start = at = at + 1
    members: list[str] = []
    while at < len(pattern):
        if pattern[at] == "]" and at > start:
            return f"(?!/)[{'^' if negated else ''}{''.join(members)}]", at + 1
        member = _class_member(pattern, at) or _range_member(pattern, at)
        if member is None:
            return None
        text, at = member
        members.append(text)
    return None


def _class_member(pattern: str, place: int) -> tuple[str, int] | None:
    end = pattern.find(":]", place)
    if not pattern.startswith("[:", place) or end < 0:
        return None
    letters = _CLASSES.get(pattern[place + 2 : end])
    return None if letters is None else (letters, end + 2)


def _range_member(pattern: str, place: int) -> tuple[str, int] | None:
    first = _letter(pattern, place)
    if first is None:
        return None
    letter, place = first
    if pattern[place : place + 1] == "-" and pattern[place + 1 : place + 2] not in ("", "]"):
        last = _letter(pattern, place + 1)
        if last is None:
            return None
        end, place = last
        # Of a range the wrong way round git takes the first letter.
        return (f"{re.escape(letter)}-{re.escape(end)}" if letter <= end else re.escape(letter)), place
    return re.escape(letter), place


def _letter(pattern: str, place: int) -> tuple[str, int] | None:
    if pattern[place] != "\\":
        return pattern[place], place + 1
    return (pattern[place + 1], place + 2) if place + 1 < len(pattern) else None
