"""All learners of an algorithm: one in this process, or several as actors."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from shoal.rllib._internal.learning.sharding import shard
from shoal.rllib.core import COMPONENT_LEARNER, COMPONENT_RL_MODULE
from shoal.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from shoal.rllib.core.rl_module.rl_module import RLModule, RLModuleSpec
from shoal.rllib.utils.checkpoints import Checkpointable, Components
from shoal.rllib.utils.error import ConfigError, LearnerLostError

if TYPE_CHECKING:
    from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig
    from shoal.rllib.core.learner.learner import Learner


_WAIT_FOR_OTHERS_S = 5.0
"""How long learners have to answer where one of them has failed."""


class LearnerGroup(Checkpointable):
    """Learns with one learner here (`num_learners=0`), or with actors that average their gradients.

    Args:
        config: the algorithm's configuration.
        module_spec: how the modules are made; None to work it out.
        placement_group: where the actors run; None for anywhere.

    Raises:
        ConfigError: (a ValueError) the modules cannot be made or trained.
    """

    def __init__(
        self,
        *,
        config: AlgorithmConfig,
        module_spec: MultiRLModuleSpec | RLModuleSpec | None = None,
        placement_group: Any = None,
    ) -> None:
        self.config = config
        self._module_spec = module_spec
        self._learner: Learner | None = None
        self._actors: list[Any] = []
        self._pending: list[list[Any]] = []
        self._meeting_folder: str | None = None
        self._has_connectors: bool | None = None
        self._changes = 0  # how often weights may have changed
        self._copies: dict[str, tuple[int, RLModule]] = {}
        spec = module_spec if module_spec is not None else config.get_multi_rl_module_spec()
        arguments: dict[str, Any] = {"config": config, "module_spec": spec}
        learner_class = config.learner_class
        if config.num_learners == 0:
            self._learner = learner_class(**arguments)
            self._learner.build()
        else:
            self._start_actors(learner_class, arguments, placement_group)

    def _start_actors(self, learner_class: type[Any], arguments: dict[str, Any], placement_group: Any) -> None:
        import shoal
        from shoal.rllib._internal.learning.learner_actor import LearnerActor

        config, world = self.config, self.config.num_learners
        self._meeting_folder = tempfile.mkdtemp(prefix="shoal-learners-")
        meeting_point = os.path.join(self._meeting_folder, "store")
        cpus = config.num_cpus_per_learner
        if cpus == "auto":
            cpus = 0 if config.num_gpus_per_learner > 0 else 1
        options: dict[str, Any] = {"num_cpus": cpus, "num_gpus": config.num_gpus_per_learner}
        if config.custom_resources_per_learner:
            options["resources"] = dict(config.custom_resources_per_learner)
        if placement_group is not None:
            options["placement_group"] = placement_group
        try:
            self._actors = [
                shoal.remote(LearnerActor)
                .options(**options)
                .remote(learner_class, arguments, rank, world, meeting_point)
                for rank in range(world)
            ]
            shoal.get([actor.ready.remote() for actor in self._actors])
        except BaseException:
            self.shutdown()
            raise

    # --- what it is ---------------------------------------------------------------------------------------------------------------

    @property
    def is_local(self) -> bool:
        """Whether the learner is in this process."""
        return self._learner is not None

    @property
    def is_remote(self) -> bool:
        return not self.is_local

    def __len__(self) -> int:
        return max(1, len(self._actors))

    # --- learning -----------------------------------------------------------------------------------------------------------------

    def update(
        self,
        *,
        batch: Any = None,
        episodes: Any = None,
        episodes_refs: Any = None,
        data_iterators: Any = None,
        training_data: Any = None,
        timesteps: Mapping[str, int] | None = None,
        async_update: bool = False,
        return_state: bool = False,
        num_epochs: int = 1,
        minibatch_size: int | None = None,
        shuffle_batch_per_epoch: bool = False,
        **kwargs: Any,
    ) -> list[Any]:
        """Learns from one of: a batch, episodes, references to lists of episodes, or iterators of batches.

        Args:
            batch: columns by module; with several learners, each has a part of it.
            episodes: episodes; with several learners, each has as many steps of them.
            episodes_refs: references to lists of episodes.
            data_iterators: one for each learner.
            training_data: any of these, as TrainingData.
            timesteps: `num_env_steps_sampled_lifetime`, for schedules.
            async_update: whether actors learn while this returns; results are those of earlier updates.
            return_state: whether the results of the first learner have the modules' weights, under `_rl_module_state_after_update`.
            num_epochs: how often the batch is gone through.
            minibatch_size: steps of one gradient of each learner; None for all.
            shuffle_batch_per_epoch: whether each pass has an order of its own.
            **kwargs: for the learners.

        Returns:
            What each learner logged, in the order of their ranks.

        Raises:
            NonFiniteLossError: a loss came out infinite, or as no number.
            LearnerLostError: a learner's process has ended.
        """
        self._changes += 1
        if training_data is not None:
            training_data.validate()
            batch, episodes = training_data.batch, training_data.episodes
            episodes_refs, data_iterators = training_data.episodes_refs, training_data.data_iterators
        arguments: dict[str, Any] = {
            "timesteps": timesteps,
            "num_epochs": num_epochs,
            "minibatch_size": minibatch_size,
            "shuffle_batch_per_epoch": shuffle_batch_per_epoch,
            **kwargs,
        }
        if self._learner is not None:
            if episodes_refs is not None:
                import shoal

                episodes = [episode for some in shoal.get(list(episodes_refs)) for episode in some]
            results = self._learner.update(batch=batch, episodes=episodes, data_iterators=data_iterators, **arguments)
            if return_state:
                results["_rl_module_state_after_update"] = self._learner.module.get_state(inference_only=True)
            return [results]
        return self._update_remotely(
            batch,
            episodes,
            episodes_refs,
            data_iterators,
            arguments,
            async_update,
            {"inference_only": True} if return_state else None,
        )

    def _update_remotely(
        self,
        batch: Any,
        episodes: Any,
        refs: Any,
        iterators: Any,
        arguments: dict[str, Any],
        asynchronous: bool,
        wanted_state: Any,
    ) -> list[Any]:
        import shoal

        world = len(self._actors)
        if refs is not None and world == 1:
            calls = [self._actors[0].update_from_references.remote(list(refs), arguments, wanted_state)]
        else:
            if refs is not None:
                episodes = [episode for some in shoal.get(list(refs)) for episode in some]
            data = self._shares(batch, episodes, iterators, world)
            if world > 1 and episodes is not None and arguments["minibatch_size"] is not None:
                steps = sum(len(episode) for episode in episodes) // world
                passes = arguments["num_epochs"] * max(1, steps)
                arguments["num_total_minibatches"] = max(1, -(-passes // arguments["minibatch_size"]))
            calls = [
                actor.update.remote(share, arguments, wanted_state if rank == 0 else None)
                for rank, (actor, share) in enumerate(zip(self._actors, data, strict=True))
            ]
        if not asynchronous:
            return [_unpacked(answer) for answer in self._answers(calls)]
        self._pending.append(calls)
        return self._finished(limit=self.config.max_requests_in_flight_per_learner)

    def _shares(self, batch: Any, episodes: Any, iterators: Any, world: int) -> list[dict[str, Any]]:
        if episodes is not None:
            if sum(len(episode) for episode in episodes) < world:
                raise ConfigError(
                    f"there are fewer steps than learners, of which there are {world}; sample more, or set num_learners lower"
                )
            return [{"episodes": share} for share in shard(episodes, world)]
        if iterators is not None:
            return [{"data_iterators": [iterator]} for iterator in iterators]
        if batch is not None:
            return [{"batch": _every_nth(batch, rank, world)} for rank in range(world)]
        raise ConfigError("update() was given nothing to learn from: give batch=, episodes= or data_iterators=")

    def _finished(self, limit: int) -> list[Any]:
        """Returns the results of updates that are over, in order; waits where more than `limit` are not."""
        import shoal

        results: list[Any] = []
        while self._pending:
            calls = self._pending[0]
            ready, _ = shoal.wait(calls, num_returns=len(calls), timeout=None if len(self._pending) > limit else 0)
            if len(ready) < len(calls):
                break
            results.extend(_unpacked(answer) for answer in self._answers(calls))
            self._pending.pop(0)
        return results

    def finish(self) -> list[Any]:
        """Waits for all updates that are under way. Returns their results."""
        return self._finished(limit=0)

    # --- all of them --------------------------------------------------------------------------------------------------------------

    @property
    def has_connectors(self) -> bool:
        """Whether learners have pieces that want to see episodes or their columns."""
        if self._learner is not None:
            return self._learner.has_connectors
        if self._has_connectors is None:
            asked = self._actors[0].call.remote(lambda learner: learner.has_connectors, (), None)
            self._has_connectors = bool(self._answers([asked])[0])
        return self._has_connectors

    def foreach_learner(
        self,
        func: Callable[..., Any] | str,
        *,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        remote_actor_ids: Collection[int] | None = None,
        **_: Any,
    ) -> list[Any]:
        """Returns what a function of a learner (or a method, by its name) returns of each."""
        if func != "get_state":
            self._changes += 1
        if self._learner is not None:
            if callable(func):
                return [func(self._learner, *args, **(kwargs or {}))]
            return [getattr(self._learner, func)(*args, **(kwargs or {}))]

        chosen = [
            actor for rank, actor in enumerate(self._actors) if remote_actor_ids is None or rank in remote_actor_ids
        ]
        return self._answers([actor.call.remote(func, args, kwargs) for actor in chosen])

    def _answers(self, calls: list[Any]) -> list[Any]:
        """Returns what learners answer. Where one has died the others' errors are about that, so that is told first."""
        import shoal

        try:
            found: list[Any] = shoal.get(calls)
            return found
        except Exception as error:
            shoal.wait(calls, num_returns=len(calls), timeout=_WAIT_FOR_OTHERS_S)
            name = getattr(self.config.algo_class, "__name__", "Algorithm")
            for rank, actor in enumerate(self._actors):
                asked = actor.ready.remote()
                shoal.wait([asked], timeout=_WAIT_FOR_OTHERS_S)
                if (died := _death(asked)) is not None:
                    raise LearnerLostError(
                        f"learner {rank} of {len(self._actors)} has died, and what was learned since the last checkpoint went with it: "
                        f"{died}\nTo go on, call stop(), and {name}.from_checkpoint(path) with the last checkpoint "
                        "that save_to_path() made; in Tune, RunConfig(failure_config=FailureConfig(max_failures=...)) does so, with "
                        "CheckpointConfig(checkpoint_frequency=...). If it was killed for its memory, a smaller minibatch_size needs less"
                    ) from error
            raise

    def _of_first(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self.foreach_learner(method, args=args, kwargs=kwargs, remote_actor_ids=[0])[0]

    def get_module(self, module_id: str) -> RLModule | None:
        """Returns a module with all that is learned: the learner's own, or, of actors, a copy as trained so far; None if there is none."""
        if self._learner is not None:
            found: RLModule | None = self._learner.module.get(module_id)
            return found
        changes, copy = self._copies.get(module_id, (-1, None))
        if copy is None or changes != self._changes:
            specs = self.module_specs()
            if module_id not in specs:
                self._copies.pop(module_id, None)
                return None
            copy = copy or specs[module_id].build()
            weights = self.get_weights([module_id])[module_id]
            copy.set_state({name: np.array(value) for name, value in weights.items()})
            self._copies[module_id] = self._changes, copy
        return copy

    def get_weights(self, module_ids: Collection[str] | None = None, inference_only: bool = False) -> dict[str, Any]:
        """Returns modules' weights, by module and name."""
        weights: dict[str, Any] = self._of_first(
            "get_state", components=COMPONENT_RL_MODULE, inference_only=inference_only
        )[COMPONENT_RL_MODULE]
        return weights if module_ids is None else {key: value for key, value in weights.items() if key in module_ids}

    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Gives all learners these weights."""
        self.foreach_learner("set_state", args=({COMPONENT_RL_MODULE: dict(weights)},))

    def load_module_state(self, module_ids_to_paths: Mapping[str, str] | None = None, **_: Any) -> None:
        """Gives modules the weights that folders of modules have."""
        from pathlib import Path

        from shoal.rllib._internal.checkpoint_reading import read_state

        self.set_weights({name: read_state(Path(path)) for name, path in (module_ids_to_paths or {}).items()})

    def add_module(self, **kwargs: Any) -> MultiRLModuleSpec:
        """Adds a module to all learners. Arguments as of `Learner.add_module`."""
        spec: MultiRLModuleSpec = self.foreach_learner("add_module", kwargs=kwargs)[0]
        if self.is_remote:  # all start alike
            self.set_weights(self.get_weights())
        return spec

    def remove_module(self, module_id: str, **kwargs: Any) -> MultiRLModuleSpec:
        """Removes a module from all learners."""
        spec: MultiRLModuleSpec = self.foreach_learner("remove_module", args=(module_id,), kwargs=kwargs)[0]
        return spec

    def reconfigure(self, config: AlgorithmConfig, module_spec: MultiRLModuleSpec) -> None:
        """Has all learners go by another configuration from now on: its modules came or went."""
        self.config, self._module_spec = config, module_spec
        self.foreach_learner("reconfigure", args=(config,))

    def module_specs(self) -> MultiRLModuleSpec:
        """Returns how the modules are made that learners have now."""
        return self._of_first_spec()

    def get_state(
        self, components: Components = None, *, not_components: Components = None, **kwargs: Any
    ) -> dict[str, Any]:
        """Returns the first learner's state; of others, what differs."""
        prefix = f"{COMPONENT_LEARNER}/"
        names = [components] if isinstance(components, str) else components
        inner = None if names is None else [name.removeprefix(prefix) for name in names if name.startswith(prefix)]
        states = self.foreach_learner(
            "get_state", kwargs={"components": inner or None, "not_components": not_components, **kwargs}
        )
        return {COMPONENT_LEARNER: states[0], "chance": [state.get("chance") for state in states]}

    def set_state(self, state: Mapping[str, Any]) -> None:
        if COMPONENT_LEARNER in state:
            self.foreach_learner("set_state", args=(state[COMPONENT_LEARNER],))
        chances = state.get("chance") or []
        for rank in range(len(self._actors)):
            if rank < len(chances) and chances[rank] is not None:
                self.foreach_learner("set_state", args=({"chance": chances[rank]},), remote_actor_ids=[rank])

    def get_checkpointable_components(self) -> list[tuple[str, Checkpointable]]:
        learner = self._learner
        if learner is None:
            learner = self.config.learner_class(config=self.config, module_spec=self._module_spec)
            specs = self._of_first_spec()
            learner.module = specs.build()
        return [(COMPONENT_LEARNER, learner)]

    def _of_first_spec(self) -> MultiRLModuleSpec:
        def spec(learner: Any) -> Any:
            return learner.get_ctor_args_and_kwargs()[1]["module_spec"]

        found: MultiRLModuleSpec = self.foreach_learner(spec, remote_actor_ids=[0])[0]
        return found

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (), {"config": self.config, "module_spec": self._module_spec}

    def shutdown(self) -> None:
        """Ends the actors."""
        if self._actors:
            import shoal

            if shoal.is_initialized():
                for actor in self._actors:
                    shoal.kill(actor)
            self._actors = []
        if self._meeting_folder is not None:
            shutil.rmtree(self._meeting_folder, ignore_errors=True)
            self._meeting_folder = None


def _death(asked: Any) -> Exception | None:
    """Returns what an actor died of that was asked something, None where it has not died (or does not answer)."""
    import shoal

    try:
        shoal.get(asked, timeout=0)
    except shoal.exceptions.ActorError as error:
        return error
    except shoal.exceptions.GetTimeoutError:
        return None
    return None


def _unpacked(answer: Any) -> Any:
    if isinstance(answer, tuple):
        results, state = answer
        results["_rl_module_state_after_update"] = state
        return results
    return answer


def _every_nth(batch: Any, rank: int, world: int) -> Any:
    """One learner's part of a batch."""
    if isinstance(batch, Mapping):
        return {key: _every_nth(part, rank, world) for key, part in batch.items()}
    return batch[rank::world]
