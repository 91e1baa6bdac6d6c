"""The processes of a search: actors, each with what a trial needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import shoal
from shoal.tune._internal.logic.slots import Bundles
from shoal.tune._internal.process.trial_executor import QUESTIONS, TrialExecutor
from shoal.tune._internal.process.trial_session import Assignment
from shoal.util.placement_group import placement_group, remove_placement_group
from shoal.util.scheduling_strategies import PlacementGroupSchedulingStrategy


class Executors:
    """Those that there are, by number.

    Args:
        settings: a reference to what is the same for all trials.
        strategy: of placement groups, for trials of several bundles.
        reserves: whether trials get their resources here; else they take them themselves, as trainers do.
    """

    def __init__(self, settings: shoal.ObjectRef[Any], strategy: str, reserves: bool) -> None:
        self._settings = settings
        self._strategy = strategy
        self._reserves = reserves
        self._actors: dict[int, Any] = {}
        self._groups: dict[int, Any] = {}
        self._plain: dict[Any, Any] = {}
        self._going_on: dict[int, Callable[[], shoal.ObjectRef[Any]]] = {}

    def start(self, number: int, bundles: Bundles) -> shoal.ObjectRef[Any]:
        """Starts one. Returns a reference that is there when it is ready."""
        self._actors[number] = actor = self._made(number, bundles).remote(self._settings)
        reference: shoal.ObjectRef[Any] = actor.ready.remote()
        return reference

    def run(self, number: int, assignment: Assignment) -> shoal.ObjectRef[Any]:
        """Begins a trial. Raises SerializationError where its configuration cannot be pickled."""
        reference: shoal.ObjectRef[Any] = self._actors[number].start.remote(assignment)
        return reference

    def hold(self, number: int, assignment: Assignment, ticket: int) -> shoal.ObjectRef[Any]:
        """Gives one a trial that it begins after the one that it runs. Raises SerializationError as `run`."""
        reference: shoal.ObjectRef[Any] = self._actors[number].start_next.remote(assignment, ticket)
        return reference

    def take_back(self, number: int, ticket: int) -> shoal.ObjectRef[Any]:
        """Asks for a trial that one holds. Returns a reference to whether it had not begun it."""
        reference: shoal.ObjectRef[Any] = self._actors[number].give_back.remote(ticket)
        return reference

    def go_on(self, number: int) -> shoal.ObjectRef[Any]:
        """Has its trial go on: what most reports are answered with, so it costs as little as can be."""
        go_on = self._going_on.get(number)
        if go_on is None:
            go_on = self._going_on[number] = self._actors[number].go_on.remote
        return go_on()

    def decide(self, number: int, decision: int) -> shoal.ObjectRef[Any]:
        """Passes on what is decided of its trial."""
        reference: shoal.ObjectRef[Any] = self._actors[number].next.remote(decision)
        return reference

    def where(self, number: int) -> shoal.ObjectRef[Any]:
        """Asks where its trial is, while it owes another answer."""
        reference: shoal.ObjectRef[Any] = self._actors[number].where.remote()
        return reference

    def end(self, number: int) -> None:
        """Ends one, and what it runs."""
        actor = self._actors.pop(number, None)
        self._going_on.pop(number, None)
        if actor is not None:
            shoal.kill(actor)
        group = self._groups.pop(number, None)
        if group is not None:
            remove_placement_group(group)

    def end_all(self) -> None:
        """Ends all."""
        for number in list(self._actors):
            self.end(number)

    def _made(self, number: int, bundles: Bundles) -> Any:
        """Returns the actor class with its options."""
        if not self._reserves:
            bundles = ({},)
        head = bundles[0]
        key = tuple(sorted(head.items()))
        if len(bundles) > 1:
            group = self._groups[number] = placement_group([dict(one) for one in _filled(bundles)], self._strategy)
            strategy = PlacementGroupSchedulingStrategy(
                group, placement_group_bundle_index=0 if head else -1, placement_group_capture_child_tasks=True
            )
            return shoal.remote(**_options(head), scheduling_strategy=strategy)(TrialExecutor)
        if key not in self._plain:
            self._plain[key] = shoal.remote(**_options(head))(TrialExecutor)
        return self._plain[key]


def _filled(bundles: Bundles) -> Sequence[dict[str, float]]:
    """Groups have no empty bundles: a trial that needs nothing itself runs beside the others."""
    return [bundle for bundle in bundles if bundle]


def _options(bundle: dict[str, float]) -> dict[str, Any]:
    others = dict(bundle)
    options: dict[str, Any] = {
        "num_cpus": others.pop("CPU", 0.0),
        "num_gpus": others.pop("GPU", 0.0),
        # Calls about trials come one after the other; questions beside them. The trial has a thread of its own.
        "concurrency_groups": {QUESTIONS: 1},
    }
    if "memory" in others:
        options["memory"] = int(others.pop("memory"))
    if others:
        options["resources"] = others
    return options
