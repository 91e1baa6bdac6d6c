"""Modules of Ray's that are not there say what to use instead."""

from __future__ import annotations

import importlib
import re

import pytest

from shoal.rllib._internal.absent_modules import ALTERNATIVES


@pytest.mark.parametrize("name", ALTERNATIVES)
def test_importing_them_says_what_to_use_instead(name: str) -> None:
    with pytest.raises(ModuleNotFoundError, match=re.escape(ALTERNATIVES[name])):
        importlib.import_module(f"shoal.rllib.{name}")


def test_what_is_below_them_says_so_too() -> None:
    with pytest.raises(ModuleNotFoundError, match="old API stack"):
        importlib.import_module("shoal.rllib.models.torch.misc")
