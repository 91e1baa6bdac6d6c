"""SigOpt was a service. It has closed, so there is nothing that its searcher could ask."""

from __future__ import annotations

from typing import Any

from shoal.tune.search.searcher import Searcher
from shoal.tune.search.searcher_gone import SearcherGoneError


class SigOptSearch(Searcher):
    """Raises SearcherGoneError: SigOpt's service has closed."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise SearcherGoneError(
            "SigOptSearch: SigOpt's service has closed, so there is nothing to ask. "
            "OptunaSearch(sampler=optuna.samplers.GPSampler()) or BayesOptSearch() search by Gaussian processes too, in this process"
        )
