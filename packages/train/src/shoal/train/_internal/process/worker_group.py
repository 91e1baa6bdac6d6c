"""The workers of one attempt: actors in a placement group, ranked by node."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import shoal
from shoal.train._internal.process.train_worker import Place, TrainWorker
from shoal.train._internal.process.worker_session import Rank
from shoal.train.backend import Meeting
from shoal.train.configuration import ScalingConfig
from shoal.train.exceptions import TrainingFailedError
from shoal.train.worker_group import Worker, WorkerMetadata
from shoal.train.worker_group import WorkerGroup as BackendWorkerGroup
from shoal.util.placement_group import PlacementGroup, placement_group, remove_placement_group
from shoal.util.scheduling_strategies import PlacementGroupSchedulingStrategy

LOOPBACK = "127.0.0.1"


class NoRoomError(TrainingFailedError):
    """Workers could not be placed in time."""


class Reservation:
    """Resources for so many workers; they outlive the workers of one attempt.

    Args:
        scaling: what each of them has.
        workers: how many.
    """

    def __init__(self, scaling: ScalingConfig, workers: int) -> None:
        self.workers = workers
        bundles = [dict(scaling.resources) or {"CPU": 0.0} for _ in range(workers)]
        labels = [dict(scaling.label_selector)] * workers if scaling.label_selector else None
        self.group: PlacementGroup = placement_group(
            bundles, strategy=scaling.placement_strategy, bundle_label_selector=labels
        )

    async def ready(self) -> None:
        """Returns when all are reserved. Raises where they can never be."""
        await self.group.ready()

    def release(self) -> None:
        """Gives them back; ends what runs on them."""
        remove_placement_group(self.group)


def check_that_fit(scaling: ScalingConfig) -> None:
    """Raises TrainingFailedError: the session has less than the fewest workers need."""
    there = shoal.cluster_resources()
    for name, amount in scaling.resources.items():
        needed = amount * scaling.min_workers
        if needed > there.get(name, 0.0):
            raise TrainingFailedError(
                f"{scaling.min_workers} workers need {name}: {needed:g} in all, and the session has {there.get(name, 0.0):g}. "
                f"Ask for fewer workers or less for each (ScalingConfig), or start the session with more."
            )


def capacity(resources: Mapping[str, float], available: Mapping[str, float], most: int) -> int:
    """Returns how many workers fit into what is available, up to `most`.

    Args:
        resources: of one worker.
        available: by resource.
        most: where nothing bounds them.
    """
    fits = [int(available.get(name, 0.0) / amount + 1e-9) for name, amount in resources.items() if amount > 0]
    return min([most, *fits])


class RankedWorkers:
    """The actors by rank. `start` makes them; `stop` ends them, whatever they do.

    Args:
        actors: by rank.
        places: where they are, by rank.
    """

    def __init__(self, actors: Sequence[Any], places: Sequence[Place]) -> None:
        self.actors = list(actors)
        self.places = list(places)
        self.ranks = _ranks([place.node_id for place in places])

    @staticmethod
    async def start(
        scaling: ScalingConfig,
        reservation: Reservation,
        runtime_env: Mapping[str, Any] | None,
        limit: float,
        start_limit: float,
    ) -> RankedWorkers:
        """Starts a worker in each place of a reservation.

        Args:
            scaling: what each of them has.
            reservation: where.
            runtime_env: the environment of each; None for the session's.
            limit: seconds for all of them to be placed.
            start_limit: seconds for their processes to be there afterwards.

        Raises:
            NoRoomError: they could not be placed in time.
            ShoalError: a worker died while it started.
        """
        try:
            async with asyncio.timeout(limit):
                await reservation.ready()
        except shoal.exceptions.InfeasibleResourcesError as error:
            raise TrainingFailedError(
                f"{reservation.workers} workers can be placed nowhere: {error}. "
                f"ScalingConfig says what each of them has, and which nodes may be used."
            ) from error
        except TimeoutError:
            raise NoRoomError(
                f"{reservation.workers} workers with {dict(scaling.resources)} each could not be placed within {limit:g} s; "
                f"available now: {shoal.available_resources()}. Ask for less, or wait for other work to end; "
                f"SHOAL_TRAIN_WORKER_GROUP_START_TIMEOUT_S says how long to wait."
            ) from None
        actors = _actors(scaling, reservation, runtime_env)
        try:
            async with asyncio.timeout(start_limit):
                places: list[Place] = [await ref for ref in [actor.place.remote() for actor in actors]]
        except TimeoutError:
            _kill(actors)
            raise TrainingFailedError(
                f"{reservation.workers} workers are placed, and not all of them have started within {start_limit:g} s; "
                f"SHOAL_TRAIN_WORKER_GROUP_START_TIMEOUT_S says how long to wait"
            ) from None
        except BaseException:
            _kill(actors)
            raise
        # Ranks of one node follow one another, and on a node they are in the order of its devices.
        order = sorted(range(len(actors)), key=lambda index: (places[index].node_id, places[index].gpus, index))
        return RankedWorkers([actors[index] for index in order], [places[index] for index in order])

    async def meet(self) -> Meeting:
        """Returns where the ranks meet: rank 0 listens there from now on."""
        is_alone = len({place.node_id for place in self.places}) == 1
        address = LOOPBACK if is_alone else self.places[0].address
        return Meeting(address, await self.actors[0].listen.remote(address))

    def environment(self, shares_gpus: bool) -> list[dict[str, str]]:
        """Returns variables to set, by rank."""
        is_alone = len({place.node_id for place in self.places}) == 1
        found: list[dict[str, str]] = []
        for place in self.places:
            variables = {"GLOO_SOCKET_IFNAME": "lo"} if is_alone else {}
            if shares_gpus and place.gpus:
                mates = [other.gpus for other in self.places if other.node_id == place.node_id]
                devices = list(dict.fromkeys(itertools.chain.from_iterable(mates)))
                variables["CUDA_VISIBLE_DEVICES"] = ",".join(devices)
            found.append(variables)
        return found

    def for_backend(self) -> BackendWorkerGroup:
        """Returns the group as a backend sees it."""
        return BackendWorkerGroup(
            [
                Worker(
                    actor,
                    WorkerMetadata(place.node_id, place.address, place.hostname, {"GPU": list(place.gpus)}, place.pid),
                )
                for actor, place in zip(self.actors, self.places, strict=True)
            ]
        )

    def stop(self) -> None:
        """Kills the workers."""
        _kill(self.actors)
        self.actors = []


def _actors(scaling: ScalingConfig, reservation: Reservation, runtime_env: Mapping[str, Any] | None) -> list[Any]:
    resources = dict(scaling.resources)
    cpus, gpus = resources.pop("CPU", 0.0), resources.pop("GPU", 0.0)
    options: dict[str, Any] = {"runtime_env": dict(runtime_env)} if runtime_env else {}
    # One thread follows the loop; the others answer questions meanwhile.
    actor = shoal.remote(num_cpus=cpus, num_gpus=gpus, resources=resources or None, max_concurrency=4, **options)(
        TrainWorker
    )
    return [
        actor.options(
            scheduling_strategy=PlacementGroupSchedulingStrategy(
                placement_group=reservation.group, placement_group_bundle_index=index
            )
        ).remote()
        for index in range(reservation.workers)
    ]


def _kill(actors: Sequence[Any]) -> None:
    for actor in actors:
        shoal.kill(actor)


def _ranks(nodes: Sequence[str]) -> list[Rank]:
    """Returns ranks of workers that are sorted by node."""
    sizes, node_ranks = Counter(nodes), {node: rank for rank, node in enumerate(dict.fromkeys(nodes))}
    local = itertools.chain.from_iterable(range(sizes[node]) for node in node_ranks)
    return [
        Rank(world, len(nodes), local_rank, sizes[node], node_ranks[node])
        for world, (node, local_rank) in enumerate(zip(nodes, local, strict=True))
    ]
