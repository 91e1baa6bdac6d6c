"""Modules of Ray's that shoal, or its core alone, does not have: importing them says what to use or to install instead."""

from __future__ import annotations

from typing import NoReturn

from shoal.exceptions import UnsupportedError

ALTERNATIVES: dict[str, str] = {
    "shoal.autoscaler": "A session has the machine that it was started on; more machines come later.",
    "shoal.cluster_utils": "A session is one node; shoal.init(resources=..., labels=...) stands for others in tests.",
    "shoal.job_submission": "Run the program itself: shoal.init('auto') joins the session that `shoal start --head` has begun.",
    "shoal.util.actor_group": "Keep the handles in a list: [actor.method.remote() for actor in actors].",
    "shoal.util.collective": "Call torch.distributed.init_process_group inside of your actors, or pass arrays as objects.",
    "shoal.util.dask": 'It comes with shoal-integrations: pip install "shoal-integrations[dask]".',
    "shoal.util.iter": "Use tasks that are generators (num_returns='streaming'), or shoal.util.map_unordered.",
    "shoal.util.joblib": 'It comes with shoal-integrations: pip install "shoal-integrations[joblib]".',
    "shoal.util.multiprocessing": "It comes with shoal-integrations: pip install shoal-integrations.",
    "shoal.util.rpdb": "Run the program with shoal.init(local_mode=True): breakpoint() works there in tasks and actors, too.",
    "shoal.util.spark": "Start a session where the program runs: shoal.init(), or `shoal start --head`.",
    "shoal.util.tracing": "shoal.timeline() and `shoal timeline` tell what ran where and when.",
}


class UnsupportedModuleError(UnsupportedError, ImportError):
    """A module of Ray's that shoal does not have. (An ImportError as well: `try: import …` falls back.)"""


def refuse_import(stand_in: str) -> NoReturn:
    """Raises UnsupportedModuleError.

    Args:
        stand_in: `__name__` of the module that stands for the missing one.
    """
    raise UnsupportedModuleError(f"The module {stand_in}", ALTERNATIVES[stand_in])
