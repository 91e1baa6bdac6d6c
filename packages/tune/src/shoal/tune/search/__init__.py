"""Suggest configurations: each searcher is asked for one, and told what came of it.

What may live here: one file for each searcher, named as its library, which is imported when a searcher is made; wrappers around
searchers; what they share (space_searcher, objective). No clock, file or process: the search's loop calls them.
"""

from shoal.tune.search.basic_variant import BasicVariantGenerator
from shoal.tune.search.concurrency_limiter import ConcurrencyLimiter
from shoal.tune.search.create_searcher import create_searcher
from shoal.tune.search.repeater import Repeater
from shoal.tune.search.search_algorithm import SearchAlgorithm, SearchGenerator
from shoal.tune.search.searcher import Searcher

__all__ = [
    "BasicVariantGenerator",
    "ConcurrencyLimiter",
    "Repeater",
    "SearchAlgorithm",
    "SearchGenerator",
    "Searcher",
    "create_searcher",
]
