"""Searchers by name."""

from __future__ import annotations

import importlib
from typing import Any

from shoal.tune.exceptions import InvalidArgumentError
from shoal.tune.search.searcher import Searcher
from shoal.tune.search.space_searcher import closest

_SEARCHERS = {
    "variant_generator": ("basic_variant", "BasicVariantGenerator"),
    "random": ("basic_variant", "BasicVariantGenerator"),
    "optuna": ("optuna", "OptunaSearch"),
    "hyperopt": ("hyperopt", "HyperOptSearch"),
    "nevergrad": ("nevergrad", "NevergradSearch"),
    "ax": ("ax", "AxSearch"),
    "bayesopt": ("bayesopt", "BayesOptSearch"),
    "zoopt": ("zoopt", "ZOOptSearch"),
    "bohb": ("bohb", "TuneBOHB"),
    "hebo": ("hebo", "HEBOSearch"),
    "sigopt": ("sigopt", "SigOptSearch"),
}


def create_searcher(search_alg: str, **kwargs: Any) -> Searcher:
    """Returns a new searcher.

    Args:
        search_alg: 'variant_generator' (or 'random'), 'optuna', 'hyperopt', 'nevergrad', 'ax', 'bayesopt', 'zoopt', 'bohb' or 'hebo'.
        kwargs: arguments of its class.

    Raises:
        InvalidArgumentError: (a ValueError) there is no searcher of this name.
        SearcherGoneError: there was one, which cannot be asked any more.
        ImportError: its library is missing; the text says what to install.

    Example:
        >>> from shoal.tune.search import create_searcher
        >>> searcher = create_searcher("random", random_state=1)
    """
    if search_alg not in _SEARCHERS:
        raise InvalidArgumentError(
            f"search_alg is {search_alg!r}, which is no searcher; {closest(str(search_alg), list(_SEARCHERS))}"
        )
    module, name = _SEARCHERS[search_alg]
    made = getattr(importlib.import_module(f"shoal.tune.search.{module}"), name)(**kwargs)
    assert isinstance(made, Searcher)
    return made
