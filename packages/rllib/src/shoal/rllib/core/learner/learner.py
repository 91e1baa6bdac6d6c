"""A learner: holds modules and optimizers, and makes steps of batches. `TorchLearner` is the one that there is."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shoal.rllib._internal.config.changed_modules import with_modules
from shoal.rllib._internal.learning.episode_batch import EpisodeBatch, batch_of, by_module
from shoal.rllib._internal.learning.minibatches import Minibatches, batch_rows
from shoal.rllib._internal.learning.update_report import report_all_modules, report_losses, report_steps
from shoal.rllib.connectors.connector_pipeline_v2 import through_pieces
from shoal.rllib.core import COMPONENT_OPTIMIZER, COMPONENT_RL_MODULE
from shoal.rllib.core.rl_module.multi_rl_module import MultiRLModule, MultiRLModuleSpec
from shoal.rllib.core.rl_module.rl_module import RLModule, RLModuleSpec
from shoal.rllib.utils.checkpoints import Checkpointable, Components, wants
from shoal.rllib.utils.error import ConfigError
from shoal.rllib.utils.metrics import WEIGHTS_SEQ_NO
from shoal.rllib.utils.metrics.metrics_logger import MetricsLogger

if TYPE_CHECKING:
    from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig

DEFAULT_OPTIMIZER = "default_optimizer"
Batch = dict[str, Any]


class Learner(Checkpointable, abc.ABC):
    """Holds the modules that are trained, makes batches of episodes, and takes steps.

    An algorithm's learner defines `compute_loss_for_module`, and `prepare_batch` where it needs more columns than episodes have.

    Args:
        config: the algorithm's configuration.
        module_spec: how the modules are made.
        module: the modules themselves, in place of `module_spec`.
    """

    framework = "torch"
    STATE_FILE_NAME = "learner_state"
    TOTAL_LOSS_KEY = "total_loss"
    # Modules' outputs that the loss needs of episodes; None for all that were recorded.
    recorded_outputs: Sequence[str] | None = None

    def __init__(
        self,
        *,
        config: AlgorithmConfig,
        module_spec: MultiRLModuleSpec | RLModuleSpec | None = None,
        module: RLModule | None = None,
    ) -> None:
        self.config = config
        self.metrics = MetricsLogger(stats_cls_lookup=config.custom_stats_cls_lookup)
        self._module_spec = module_spec
        self._given_module = module
        self.module: MultiRLModule = MultiRLModule()
        self._is_built = False
        self._should_module_be_updated = config.is_policy_to_train
        self._weights_seq_no = 0
        self._learner_connector: Any = None
        self._configs: dict[str, AlgorithmConfig] = {}
        # Of the last minibatches, by module and name: tensors, read when the update is over.
        self._logged: dict[str, dict[str, Any]] = {}

    # --- building -----------------------------------------------------------------------------------------------------------------

    def build(self) -> None:
        """Makes the modules and the optimizers. Called once. Raises ConfigError."""
        if self._is_built:
            return
        self.module = self._make_module()
        for module_id in self.module:
            self._check_apis(module_id)
        self.configure_optimizers()
        self._learner_connector = self._made_pipeline()
        self._is_built = True

    def _made_pipeline(self) -> Any:
        first = next(iter(self.module.values()))
        pipeline = self.config.build_learner_connector(first.observation_space, first.action_space, self.device)
        if self.config.add_default_connectors_to_learner_pipeline:
            pipeline.add_own_steps()
        return pipeline

    @property
    def has_connectors(self) -> bool:
        """Whether there are pieces, of the configuration's or of the learner's own, that want to see episodes or their columns."""
        return bool(self._learner_connector.has_pieces)

    def _make_module(self) -> MultiRLModule:
        if self._given_module is not None:
            return self._given_module.as_multi_rl_module()
        if self._module_spec is None:
            raise ConfigError(f"{type(self).__name__} has neither module_spec nor module; give one of them")
        multi: MultiRLModule = self._module_spec.as_multi_rl_module_spec().build()
        return multi

    @classmethod
    def rl_module_required_apis(cls) -> list[type]:
        """Returns what a module has to offer to be trained by this."""
        return []

    def rl_module_is_compatible(self, module: RLModule) -> bool:
        """Whether a module can be trained by this."""
        return all(isinstance(module, api) for api in self.rl_module_required_apis())

    def _check_apis(self, module_id: str) -> None:
        module = self.module[module_id].unwrapped()
        from shoal.rllib.core.rl_module.apis.self_supervised_loss_api import SelfSupervisedLossAPI

        if isinstance(module, SelfSupervisedLossAPI) or not self._should_module_be_updated(module_id, None):
            return
        if not self.rl_module_is_compatible(module):
            missing = [api.__name__ for api in self.rl_module_required_apis() if not isinstance(module, api)]
            methods = [
                name for api in self.rl_module_required_apis() for name in getattr(api, "__abstractmethods__", ())
            ]
            raise ConfigError(
                f"module {module_id!r} is a {type(module).__name__}, and {type(self).__name__} needs {', '.join(missing)} of it: "
                f"derive it from that, too, and define {', '.join(sorted(set(methods)))}"
            )

    def config_of(self, module_id: str) -> AlgorithmConfig:
        """Returns the configuration with what differs for a module."""
        found = self._configs.get(module_id)
        if found is None:
            found = self._configs[module_id] = self.config.get_config_for_module(module_id)
        return found

    def configure_optimizers(self) -> None:
        """Makes an optimizer for each module."""
        for module_id in self.module:
            if self._should_module_be_updated(module_id, None):
                self.configure_optimizers_for_module(module_id=module_id, config=self.config_of(module_id))

    def add_module(
        self,
        *,
        module_id: str,
        module_spec: RLModuleSpec,
        config_overrides: Any = None,
        new_should_module_be_updated: Any = None,
    ) -> MultiRLModuleSpec:
        """Adds a module, and makes its optimizer. Raises ConfigError."""
        if new_should_module_be_updated is not None:
            self._set_should_be_updated(new_should_module_be_updated)
        modules = {**dict.fromkeys(self.module.keys()), module_id: module_spec}
        overrides = {module_id: config_overrides} if config_overrides else None
        self.reconfigure(with_modules(self.config, modules, overrides=overrides))
        self.module.add_module(module_id, self._built(module_spec))
        self._check_apis(module_id)
        if self._should_module_be_updated(module_id, None):
            self.configure_optimizers_for_module(module_id=module_id, config=self.config_of(module_id))
        specs = {name: RLModuleSpec.from_module(module) for name, module in self.module.items()}
        return MultiRLModuleSpec(rl_module_specs=specs)

    def reconfigure(self, config: AlgorithmConfig) -> None:
        """Goes by another configuration from now on: its modules came or went."""
        self.config, self._configs = config, {}

    def _built(self, spec: RLModuleSpec) -> RLModule:
        return spec.build()

    def _set_should_be_updated(self, given: Any) -> None:
        self._should_module_be_updated = given if callable(given) else lambda module_id, batch=None: module_id in given

    def remove_module(self, module_id: str, *, new_should_module_be_updated: Any = None) -> MultiRLModuleSpec:
        """Removes a module, and its optimizer. Raises ConfigError."""
        if new_should_module_be_updated is not None:
            self._set_should_be_updated(new_should_module_be_updated)
        self.module.remove_module(module_id)
        self._forget_optimizers(module_id)
        specs = {name: RLModuleSpec.from_module(module) for name, module in self.module.items()}
        return MultiRLModuleSpec(rl_module_specs=specs)

    def should_module_be_updated(self, module_id: str, multi_agent_batch: Any = None) -> bool:
        """Whether a module is trained."""
        return bool(self._should_module_be_updated(module_id, multi_agent_batch))

    # --- what an algorithm or framework defines -----------------------------------------------------------------------------------

    @abc.abstractmethod
    def compute_loss_for_module(self, *, module_id: str, config: Any, batch: Batch, fwd_out: dict[str, Any]) -> Any:
        """Returns a module's loss, a tensor without axes.

        Args:
            module_id: which module.
            config: the configuration, with what differs for it.
            batch: its columns.
            fwd_out: what its `forward_train` returned for them.
        """

    @abc.abstractmethod
    def configure_optimizers_for_module(self, module_id: str, config: Any = None) -> None:
        """Makes a module's optimizers, and registers each by `register_optimizer`."""

    @abc.abstractmethod
    def compute_gradients(self, loss_per_module: Mapping[str, Any], **kwargs: Any) -> dict[Any, Any]:
        """Returns gradients of the losses' sum, by parameter."""

    @abc.abstractmethod
    def apply_gradients(self, gradients_dict: Mapping[Any, Any]) -> None:
        """Takes a step with each optimizer."""

    @abc.abstractmethod
    def _forget_optimizers(self, module_id: str) -> None:
        """Lets go of a module's optimizers."""

    def prepare_batch(self, module_id: str, batch: EpisodeBatch) -> Batch:
        """Returns the columns that the loss needs, of episodes. Algorithms add theirs: advantages, next observations, ...."""
        return batch.columns

    def before_gradient_based_update(self, *, timesteps: Mapping[str, int]) -> None:
        """Is called before an update. `timesteps` has `num_env_steps_sampled_lifetime`."""

    def after_gradient_based_update(self, *, timesteps: Mapping[str, int]) -> None:
        """Is called after an update."""

    def compute_losses(self, *, fwd_out: Mapping[str, Any], batch: Mapping[str, Batch]) -> dict[str, Any]:
        """Returns the loss of each module."""
        from shoal.rllib.core.rl_module.apis.self_supervised_loss_api import SelfSupervisedLossAPI

        losses: dict[str, Any] = {}
        for module_id, out in fwd_out.items():
            module = self.module[module_id].unwrapped()
            arguments = {
                "module_id": module_id,
                "config": self.config_of(module_id),
                "batch": batch[module_id],
                "fwd_out": out,
            }
            if isinstance(module, SelfSupervisedLossAPI):
                loss = module.compute_self_supervised_loss(learner=self, **arguments)
                if isinstance(loss, dict):
                    loss = sum(loss.values())
            else:
                loss = self.compute_loss_for_module(**arguments)
            losses[module_id] = loss
        return losses

    def postprocess_gradients(self, gradients_dict: dict[Any, Any]) -> dict[Any, Any]:
        """Returns gradients as they are applied: clipped, as configured."""
        changed = dict(gradients_dict)
        for module_id in self.module:
            own = self.filter_param_dict_for_module(gradients_dict, module_id)
            if own:
                changed.update(
                    self.postprocess_gradients_for_module(
                        module_id=module_id, config=self.config_of(module_id), module_gradients_dict=own
                    )
                )
        return changed

    @abc.abstractmethod
    def postprocess_gradients_for_module(
        self, *, module_id: str, config: Any = None, module_gradients_dict: dict[Any, Any]
    ) -> dict[Any, Any]:
        """Returns a module's gradients as they are applied."""

    @abc.abstractmethod
    def filter_param_dict_for_module(self, param_dict: Mapping[Any, Any], module_id: str) -> dict[Any, Any]:
        """Returns what of it belongs to a module."""

    # --- updating -----------------------------------------------------------------------------------------------------------------

    def update(
        self,
        batch: Any = None,
        episodes: Any = None,
        data_iterators: Any = None,
        training_data: Any = None,
        *,
        timesteps: Mapping[str, int] | None = None,
        num_total_minibatches: int = 0,
        num_epochs: int = 1,
        minibatch_size: int | None = None,
        shuffle_batch_per_epoch: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Learns from a batch, or from episodes.

        Args:
            batch: by module, columns of tensors or arrays.
            episodes: episodes, in place of a batch.
            data_iterators: iterators of batches, in place of a batch; the first is used.
            training_data: any of these, as TrainingData.
            timesteps: `num_env_steps_sampled_lifetime`, for schedules.
            num_total_minibatches: how many steps are taken; 0 for as many as the epochs have.
            num_epochs: how often the batch is gone through.
            minibatch_size: rows of one step; None for the whole batch.
            shuffle_batch_per_epoch: whether each pass has an order of its own.
            **kwargs: accepted for Ray's sake.

        Returns:
            What was logged, for `MetricsLogger.aggregate`.

        Raises:
            NonFiniteLossError: a loss came out infinite, or as no number.
        """
        if not self._is_built:
            raise ConfigError(f"{type(self).__name__} is not built; call build() first")
        if training_data is not None:
            batch, episodes, data_iterators = training_data.batch, training_data.episodes, training_data.data_iterators
        timesteps = dict(timesteps or {})
        with self._at_work():
            self.before_gradient_based_update(timesteps=timesteps)
            for prepared in self._batches(batch, episodes, data_iterators, kwargs.get("num_iters")):
                self._go_through(prepared, num_total_minibatches, num_epochs, minibatch_size, shuffle_batch_per_epoch)
            self._weights_seq_no += 1
            self.after_gradient_based_update(timesteps=timesteps)
            skips = self.config.torch_skip_nan_gradients
            report_losses(self.metrics, self._logged, total_key=self.TOTAL_LOSS_KEY, may_be_infinite=skips)
            self._logged = {}
        return self.metrics.reduce()

    def _batches(
        self, batch: Any, episodes: Any, data_iterators: Any, iterations: int | None
    ) -> Iterable[dict[str, Batch]]:
        if batch is not None:
            yield self._as_tensors(batch)
        elif episodes is not None:
            yield self.batch_from_episodes(episodes)
        elif data_iterators is not None:
            iterator = data_iterators[0] if isinstance(data_iterators, list | tuple) else data_iterators
            for count, one in enumerate(iterator, 1):
                yield self._as_tensors(one)
                if iterations is not None and count >= iterations:
                    return
        else:
            raise ConfigError("update() was given nothing to learn from: give batch=, episodes= or data_iterators=")

    def batch_from_episodes(self, episodes: Sequence[Any]) -> dict[str, Batch]:
        """Returns columns by module, of episodes of single or several agents."""
        on_episodes, on_columns, on_all_columns = self._learner_connector.stages
        arguments: dict[str, Any] = {
            "rl_module": self.module,
            "explore": None,
            "shared_data": {},
            "metrics": self.metrics,
        }
        given: dict[str, Batch] = {}
        if on_episodes:
            episodes, given = self._through_connectors(on_episodes, episodes, arguments)
        wholes: dict[str, EpisodeBatch] = {}
        for module_id, own in by_module(episodes).items():
            if module_id in self.module and self.should_module_be_updated(module_id):
                wholes[module_id] = batch_of(own, self.device, extras=self.recorded_outputs)
                wholes[module_id].columns.update(given.get(module_id, {}))
        batches: dict[str, Batch] = {module_id: whole.columns for module_id, whole in wholes.items()}
        if on_columns:
            batches = through_pieces(on_columns, batches, episodes=episodes, **arguments)
        for module_id, whole in wholes.items():
            if module_id in batches:
                whole.columns = batches[module_id]
                batches[module_id] = self.prepare_batch(module_id, whole)
        if on_all_columns:
            batches = through_pieces(on_all_columns, batches, episodes=episodes, **arguments)
        if not batches:
            raise ConfigError(
                f"there are no steps of a module that is trained: modules are {list(self.module.keys())}, and those that acted "
                f"{sorted(by_module(episodes), key=str)}"
            )
        return batches

    @property
    def device(self) -> Any:
        """Where the modules are."""
        raise NotImplementedError

    def _go_through(
        self, batch: Mapping[str, Batch], total: int, epochs: int, minibatch_size: int | None, shuffle: bool
    ) -> None:
        streams: dict[str, Minibatches] = {}
        for module_id, columns in batch.items():
            if self.should_module_be_updated(module_id, batch):
                streams[module_id] = Minibatches(columns, self._minibatch_rows(columns, minibatch_size), shuffle)
        count = total or max(stream.count(epochs) for stream in streams.values())
        steps = 0
        for _ in range(count):
            part = {module_id: stream.next() for module_id, stream in streams.items()}
            self._step(part)
        for module_id, columns in batch.items():
            if module_id in streams:
                rows = self._steps_in(columns)
                steps += rows
                minibatch = min(rows, minibatch_size or rows)
                report_steps(self.metrics, module_id, rows * epochs, minibatch, self._weights_seq_no)
        report_all_modules(self.metrics, steps * epochs, self._parameter_counts())

    def _minibatch_rows(self, columns: Batch, minibatch_size: int | None) -> int | None:
        """Rows that a minibatch of so many steps has. A row of a module with a memory is a sequence."""
        if minibatch_size is None or "loss_mask" not in columns or columns["loss_mask"].dim() < 2:
            return minibatch_size
        return max(1, minibatch_size // int(columns["loss_mask"].shape[1]))

    def _steps_in(self, columns: Batch) -> int:
        mask = columns.get("loss_mask")
        return batch_rows(columns) if mask is None else int(mask.sum())

    def _step(self, batch: dict[str, Batch]) -> None:
        """One gradient: forward, losses, backward, a step."""
        fwd_out = self.module.forward_train(batch)
        losses = self.compute_losses(fwd_out=fwd_out, batch=batch)
        gradients = self.compute_gradients(losses)
        self.apply_gradients(self.postprocess_gradients(gradients))
        for module_id, loss in losses.items():
            self._logged.setdefault(module_id, {})[self.TOTAL_LOSS_KEY] = loss

    def log_losses(self, module_id: str, values: Mapping[str, Any]) -> None:
        """Notes numbers (tensors) of a minibatch; the last ones are reported. Costs next to nothing."""
        self._logged.setdefault(module_id, {}).update(values)

    @abc.abstractmethod
    def _parameter_counts(self) -> tuple[int, int]:
        """Returns how many numbers are trained, and how many are not."""

    @abc.abstractmethod
    def _at_work(self) -> Any:
        """Returns the context in which an update happens."""

    @abc.abstractmethod
    def _as_tensors(self, batch: Any) -> dict[str, Batch]:
        """Returns columns of tensors by module."""

    def _through_connectors(
        self, pieces: Sequence[Any], episodes: Sequence[Any], arguments: Mapping[str, Any]
    ) -> tuple[Sequence[Any], dict[str, Batch]]:
        """Runs connector pieces. Returns the episodes after them, and columns that they added."""
        from shoal.rllib.connectors.learner.learner_connector_pipeline import columns_by_module

        episodes = list(episodes)
        batch = through_pieces(pieces, {}, episodes=episodes, **arguments)
        return episodes, self._as_tensors(columns_by_module(batch, episodes)) if batch else {}

    # --- state --------------------------------------------------------------------------------------------------------------------

    def get_state(
        self,
        components: Components = None,
        *,
        not_components: Components = None,
        inference_only: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Returns the modules' state, the optimizers', and what else goes on from it."""
        state: dict[str, Any] = {
            "should_module_be_updated": None,
            WEIGHTS_SEQ_NO: self._weights_seq_no,
            "metrics": self.metrics.get_state(),
        }
        if wants(COMPONENT_RL_MODULE, components, not_components):
            state[COMPONENT_RL_MODULE] = self.module.get_state(inference_only=inference_only)
        if wants(COMPONENT_OPTIMIZER, components, not_components):
            state[COMPONENT_OPTIMIZER] = self._get_optimizer_state()
            state["chance"] = self._get_chance()
            state["algorithm"] = self.get_algorithm_state()
        return state

    def set_state(self, state: Mapping[str, Any]) -> None:
        if COMPONENT_RL_MODULE in state:
            self.module.set_state(state[COMPONENT_RL_MODULE])
        if COMPONENT_OPTIMIZER in state:
            self._set_optimizer_state(state[COMPONENT_OPTIMIZER])
        if "chance" in state:
            self._set_chance(state["chance"])
        if "algorithm" in state:
            self.set_algorithm_state(state["algorithm"])
        if WEIGHTS_SEQ_NO in state:
            self._weights_seq_no = state[WEIGHTS_SEQ_NO]
        if "metrics" in state:
            self.metrics.set_state(state["metrics"])

    def get_algorithm_state(self) -> dict[str, Any]:
        """Returns what an algorithm's learner has besides: coefficients that follow something, and the like."""
        return {}

    def set_algorithm_state(self, state: Mapping[str, Any]) -> None:
        """Takes what `get_algorithm_state` gave."""

    @abc.abstractmethod
    def _get_optimizer_state(self) -> dict[str, Any]: ...

    @abc.abstractmethod
    def _set_optimizer_state(self, state: Mapping[str, Any]) -> None: ...

    @abc.abstractmethod
    def _get_chance(self) -> Any: ...

    @abc.abstractmethod
    def _set_chance(self, state: Any) -> None: ...

    def get_checkpointable_components(self) -> list[tuple[str, Checkpointable]]:
        return [(COMPONENT_RL_MODULE, self.module)]

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        specs = {name: RLModuleSpec.from_module(module) for name, module in self.module.items()}
        spec = MultiRLModuleSpec(multi_rl_module_class=type(self.module), rl_module_specs=specs)
        return (), {"config": self.config, "module_spec": spec}

    def _check_is_built(self) -> None:
        if not self._is_built:
            raise ConfigError(f"{type(self).__name__} is not built; call build() first")
