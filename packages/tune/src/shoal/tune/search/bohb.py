"""HpBandSter, the library behind BOHB, is not kept up: it calls what ConfigSpace 1 has not, so it cannot be asked."""

from __future__ import annotations

from typing import Any

from shoal.tune.search.searcher import Searcher
from shoal.tune.search.searcher_gone import SearcherGoneError


class TuneBOHB(Searcher):
    """Raises SearcherGoneError: hpbandster does not run on a ConfigSpace that runs on numpy 2."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise SearcherGoneError(
            "TuneBOHB: hpbandster 0.7.4, its last release, calls Configuration.get_dictionary, which ConfigSpace 1 has not, "
            "and ConfigSpace 0.7 does not run on numpy 2. "
            "OptunaSearch() with ASHAScheduler or HyperBandScheduler models results by Parzen estimators too, and ends bad trials early"
        )
