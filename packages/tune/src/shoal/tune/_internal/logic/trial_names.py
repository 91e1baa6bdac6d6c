"""Ids, tags and folders of trials. Functions of what they are given: the same search makes the same names."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from typing import Any

LONGEST = 120
"""Characters of a folder's name."""
_TAG = 80


def trial_id(search: str, number: int, taken: Collection[str]) -> str:
    """Returns eight characters that no other trial of the search has.

    Args:
        search: a text that no other search has.
        number: of the trial.
        taken: ids that there are.
    """
    for attempt in range(1 << 20):
        found = hashlib.blake2b(f"{search}/{number}/{attempt}".encode(), digest_size=4).hexdigest()
        if found not in taken:
            return found
    raise AssertionError("all ids are taken")


def experiment_tag(number: int, evaluated: Mapping[str, Any]) -> str:
    """Returns the trial's number and its parameters: '3_lr=0.0100,depth=4'."""
    if not evaluated:
        return str(number)
    parts = ",".join(f"{name.rpartition('/')[2]}={_text(value)}" for name, value in sorted(evaluated.items()))
    return f"{number}_{_shortened(parts, _TAG)}"


def folder_name(trial_name: str, tag: str, date: str) -> str:
    """Returns the name of a trial's folder: at most 120 characters, and none that a path may not have."""
    name = f"{_shortened(trial_name, LONGEST - len(date) - 12)}_{tag}"
    return clean_name(f"{_shortened(name, LONGEST - len(date) - 1)}_{date}")


def clean_name(name: str) -> str:
    """Returns a text as a name of a folder."""
    cleaned = "".join(
        character if character.isalnum() or character in "._-=,+@" else "_" for character in _shortened(name, LONGEST)
    )
    return cleaned if cleaned.strip(".") else "_"


def _shortened(text: str, length: int) -> str:
    """What is cut off is stood for by its digest, so that different texts stay different."""
    if len(text) <= length:
        return text
    digest = hashlib.blake2b(text.encode(), digest_size=4).hexdigest()
    return f"{text[: length - 9]}-{digest}"


def _text(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4f}" if 1e-3 <= abs(value) < 1e5 or value == 0 else f"{value:.4g}"
    return str(value)
