"""The addresses by which the ranks of LightGBM reach one another."""

from __future__ import annotations

import socket
from typing import Any

from shoal.train._internal.process.gathering import gather, own_address
from shoal.train._internal.process.worker_session import SESSION, Rank
from shoal.train.backend import Meeting


class Network:
    """This worker's; the only one in its process."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}

    def find(self, rank: Rank, meeting: Meeting) -> None:
        """Finds all ranks' addresses. Raises TrainingFailedError where some rank does not come."""
        with socket.socket() as listener:
            listener.bind(("", 0))
            port = listener.getsockname()[1]
            # Held until all ranks have theirs, so that two on one machine get two. LightGBM opens it again by itself.
            places = gather(rank, meeting, f"{own_address(meeting)}:{port}")
        self.params = {
            "machines": ",".join(places),
            "local_listen_port": port,
            "num_machines": rank.world_size,
            # LightGBM's default, "serial", has no use for a network: each rank would train for itself.
            "tree_learner": "data",
        }


NETWORK = Network()


def get_network_params() -> dict[str, Any]:
    """Returns what `lightgbm.train` has to be given besides its parameters, so that all ranks train one model on the rows of all.

    These are the ranks' addresses, and that the rows are divided among them (`tree_learner='data'`; another one may be put over it).
    Nothing where there is one rank, and outside of a training loop.

    For one training in each loop: LightGBM opens this rank's port for it, and the system does not give the same port again at once.

    Raises:
        RuntimeError: there are other ranks, and LightGBMTrainer did not start them.

    Example:
        >>> from shoal.train.lightgbm import get_network_params
        >>> {"objective": "regression", **get_network_params()}
        {'objective': 'regression'}
    """
    session = SESSION.session
    if session is not None and session.rank.world_size > 1 and not NETWORK.params:
        raise RuntimeError(
            f"get_network_params() in a loop of {session.rank.world_size} workers that another trainer started; run it by LightGBMTrainer"
        )
    return dict(NETWORK.params)
