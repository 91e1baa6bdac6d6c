"""The error of searchers that there were."""

from __future__ import annotations

from shoal.tune.exceptions import TuneError


class SearcherGoneError(TuneError, NotImplementedError):
    """What a searcher asked exists no more, or not beside this package. The text says why, and names others."""
