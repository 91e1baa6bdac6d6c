"""What engines can do, by name, and what each lacks: conformance, errors and the table in `docs/engines.md` are made of it."""

from __future__ import annotations

import msgspec

from shoal.exceptions import NotSupportedByEngineError

CAPABILITIES: dict[str, str] = {
    "actors": "Actors: state between calls, the calls of one caller in order",
    "async_actors": "Coroutine methods, side by side in one event loop",
    "threaded_actors": "`max_concurrency`: ordinary methods side by side in threads",
    "concurrency_groups": "Methods with a limit of their own",
    "actor_restarts": "`max_restarts`, `max_task_retries`",
    "detached_actors": "Named actors that outlive who made them",
    "streaming": "Generators: items are there before the task ends",
    "completed_errors": "`completed()` of a generator raises its task's error",
    "cancel_running": "`cancel` interrupts a task that runs",
    "force_cancel": "`cancel(force=True)` ends a task that does not react",
    "cancel_queued_calls": "`cancel` drops an actor's call that has not begun, at once",
    "placement_groups": "Resources reserved together",
    "runtime_env": "Environments of tasks and actors: variables, packages, files",
    "custom_serializers": "`shoal.util.register_serializer`",
    "shared_parts": "What a value holds twice is one thing where it arrives, too",
    "process_isolation": "Tasks and actors run in other processes than the program",
    "own_processes": "Each actor has a process of its own",
    "shared_memory": "Processes of a machine share large objects",
    "zero_copy": "Large arrays are read where they lie",
    "spilling": "Objects that do not fit in memory go to disk",
    "memory_limits": "`memory=` is enforced, task by task",
    "deadlock_detection": "A wait that cannot end is an error",
    "lends_cpus": "A task that waits for others lends them its CPUs",
    "infeasible_detection": "A request that can never be met is an error at once",
    "state": "Lists of tasks, actors, objects; the timeline",
    "several_machines": "One program on several machines",
}
"""Capability -> what an engine that has it does."""


class EngineLimits(msgspec.Struct, frozen=True):
    """What one engine lacks; all else it can do.

    Args:
        engine: its name.
        missing: capability -> what to do instead, as a sentence.
    """

    engine: str
    missing: dict[str, str]

    def __post_init__(self) -> None:
        unknown = self.missing.keys() - CAPABILITIES.keys()
        if unknown:
            raise ValueError(f"no such capabilities: {', '.join(sorted(unknown))}")

    @property
    def capabilities(self) -> frozenset[str]:
        """What the engine can do."""
        return frozenset(CAPABILITIES.keys() - self.missing.keys())

    def refusal(self, capability: str, feature: str) -> NotSupportedByEngineError:
        """Returns the error for a call that needs what is missing.

        Args:
            capability: what the call needs.
            feature: what was asked for, in words that begin a sentence.
        """
        return NotSupportedByEngineError(feature, self.missing[capability], self.engine)


NATIVE = EngineLimits(
    "native",
    {"several_machines": "Use the ray or the dask engine: `init(address)` is all that changes."},
)
INLINE = EngineLimits(
    "inline",
    {
        "runtime_env": "Everything runs in this process there: set variables and install packages before it starts, or leave out "
        "local_mode=True.",
        "process_isolation": "Leave local_mode out: everything runs in this process, one thing at a time.",
        "own_processes": "Leave local_mode out.",
        "shared_memory": "Nothing to share: there is one process.",
        "spilling": "Leave local_mode out: objects stay in this process's memory.",
        "memory_limits": "Leave local_mode out.",
        "several_machines": "Use the ray or the dask engine: `init(address)` is all that changes.",
    },
)
