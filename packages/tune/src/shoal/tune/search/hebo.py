"""HEBO's releases and this package want different versions of numpy and pandas, so it cannot be asked."""

from __future__ import annotations

from typing import Any

from shoal.tune.search.searcher import Searcher
from shoal.tune.search.searcher_gone import SearcherGoneError


class HEBOSearch(Searcher):
    """Raises SearcherGoneError: no release of HEBO runs on the numpy and pandas that shoal-tune needs."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise SearcherGoneError(
            "HEBOSearch: no release of HEBO runs beside shoal-tune, which needs numpy >= 1.26 and pandas >= 2.1: "
            "HEBO 0.3.5 and 0.3.6, its last, require numpy < 1.25; 0.3.2 and earlier call DataFrame.append, which pandas 2.0 removed. "
            "OptunaSearch(sampler=optuna.samplers.GPSampler()) and AxSearch() search by Gaussian processes too"
        )
