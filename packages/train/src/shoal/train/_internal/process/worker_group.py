"""The workers of one attempt: actors in a placement group, ranked by node."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import shoal
from shoal.train._internal.process.train_worker import TrainWorker
from shoal.train._internal.process.worker_session import Rank
from shoal.train.backend import Meeting
from shoal.train.configuration import ScalingConfig
from shoal.train.exceptions import TrainingFailedError
from shoal.util.placement_group import placement_group, remove_placement_group
from shoal.util.scheduling_strategies import PlacementGroupSchedulingStrategy


class WorkerGroup:
    """Started when made; `stop` ends it, and whatever it does.

    Args:
        scaling: how many, with what.
        timeout: seconds for all of them to be there.

    Raises:
        TrainingFailedError: they cannot be placed, or did not come in time.
        Exception: a worker died while it started.
    """

    def __init__(self, scaling: ScalingConfig, timeout: float) -> None:
        resources = dict(scaling.resources)
        bundles = [dict(resources) or {"CPU": 0.0} for _ in range(scaling.num_workers)]
        self._check(scaling)
        self._group = placement_group(bundles, strategy=scaling.placement_strategy)
        self.workers: list[Any] = []
        try:
            if not self._group.wait(timeout):
                raise TrainingFailedError(
                    f"{scaling.num_workers} workers with {resources} each could not be placed within {timeout:g} s; "
                    f"available now: {shoal.available_resources()}. Ask for less, or wait for other work to end."
                )
            self._start(scaling, resources)
        except BaseException:
            self.stop()
            raise

    @staticmethod
    def _check(scaling: ScalingConfig) -> None:
        there = shoal.cluster_resources()
        for name, amount in scaling.total_resources.items():
            if amount > there.get(name, 0.0):
                raise TrainingFailedError(
                    f"{scaling.num_workers} workers need {name}: {amount:g} in all, and the session has {there.get(name, 0.0):g}. "
                    f"Ask for fewer workers or less for each (ScalingConfig), or start the session with more."
                )

    def _start(self, scaling: ScalingConfig, resources: dict[str, float]) -> None:
        cpus, gpus = resources.pop("CPU", 0.0), resources.pop("GPU", 0.0)
        actor = shoal.remote(num_cpus=cpus, num_gpus=gpus, resources=resources or None, max_concurrency=2)(TrainWorker)
        self.workers = [
            actor.options(
                scheduling_strategy=PlacementGroupSchedulingStrategy(
                    placement_group=self._group, placement_group_bundle_index=index
                )
            ).remote()
            for index in range(scaling.num_workers)
        ]
        places = shoal.get([worker.where.remote() for worker in self.workers])
        # Ranks of one node follow one another.
        order = sorted(range(len(places)), key=lambda index: (places[index][0], index))
        self.workers = [self.workers[index] for index in order]
        nodes = [places[index][0] for index in order]
        sizes, node_ranks = Counter(nodes), {node: rank for rank, node in enumerate(dict.fromkeys(nodes))}
        locals_ = itertools.chain.from_iterable(range(size) for size in (sizes[node] for node in node_ranks))
        self.ranks = [
            Rank(world, len(nodes), local, sizes[node], node_ranks[node])
            for world, (node, local) in enumerate(zip(nodes, locals_, strict=True))
        ]
        self.meeting = Meeting(places[order[0]][1], shoal.get(self.workers[0].free_port.remote()))

    def stop(self) -> None:
        """Kills the workers, and gives back their resources."""
        for worker in self.workers:
            shoal.kill(worker)
        self.workers = []
        remove_placement_group(self._group)
