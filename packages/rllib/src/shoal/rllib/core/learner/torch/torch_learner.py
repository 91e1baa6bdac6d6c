"""A learner of PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from shoal.rllib._internal.learning.chance import LEARNER, OwnChance, derived_seed
from shoal.rllib._internal.learning.episode_batch import to_tensor
from shoal.rllib._internal.learning.threads import threads_for
from shoal.rllib._internal.nested import map_leaves
from shoal.rllib.core import DEFAULT_MODULE_ID
from shoal.rllib.core.learner.learner import DEFAULT_OPTIMIZER, Batch, Learner
from shoal.rllib.core.rl_module.multi_rl_module import MultiRLModule
from shoal.rllib.core.rl_module.rl_module import RLModule, RLModuleSpec
from shoal.rllib.core.rl_module.torch.compiling import compile_for_learning
from shoal.rllib.utils.error import CheckpointError, ConfigError, close_matches
from shoal.rllib.utils.metrics import ALL_MODULES
from shoal.rllib.utils.schedules.scheduler import Scheduler

if TYPE_CHECKING:
    from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig

Params = list[nn.Parameter]

NUM_STEPS_SKIPPED_LIFETIME = "num_steps_skipped_lifetime"
"""The key of how many steps were left out as their gradients were not finite."""

# Arguments of DistributedDataParallel. None is needed: gradients are averaged in one exchange, and parameters without any count as zeros.
_DDP_ARGUMENTS = (
    "broadcast_buffers",
    "bucket_cap_mb",
    "find_unused_parameters",
    "gradient_as_bucket_view",
    "init_sync",
    "static_graph",
)
_LR_SCHEDULERS = "lr_schedulers"


class TorchLearner(Learner):
    """Losses, gradients and steps in PyTorch. An algorithm's learner defines `compute_loss_for_module`.

    Arguments as of `Learner`.

    Example:
        >>> from shoal.rllib.algorithms.ppo import PPOConfig
        >>> from shoal.rllib.algorithms.ppo.torch.ppo_torch_learner import PPOTorchLearner
        >>> class Regularised(PPOTorchLearner):
        ...     def compute_loss_for_module(self, *, module_id, config, batch, fwd_out):
        ...         loss = super().compute_loss_for_module(module_id=module_id, config=config, batch=batch, fwd_out=fwd_out)
        ...         return loss + 1e-4 * sum(p.square().sum() for p in self.module[module_id].parameters())
        >>> config = PPOConfig().learners(learner_class=Regularised)
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.rank, self.distributed = 0, False
        self._device = torch.device("cpu")
        self._optimizers: dict[tuple[str, str], torch.optim.Optimizer] = {}
        self._optimizer_params: dict[tuple[str, str], Params] = {}
        self._schedules: dict[tuple[str, str], Scheduler] = {}
        self._lr_schedulers: dict[tuple[str, str], list[Any]] = {}  # torch's own, that a configuration asks for
        self._clips: dict[str, Scheduler] = {}
        self._module_params: dict[str, Params] = {}
        self._params: Params = []
        self._timestep = 0
        self._counted: tuple[int, ...] | None = None
        self._counts = (0, 0)
        self._chance = OwnChance(derived_seed(self.config.seed, LEARNER))

    @property
    def device(self) -> torch.device:
        return self._device

    def build(self) -> None:
        if self._is_built:
            return
        if self.config.num_gpus_per_learner > 0:
            if not torch.cuda.is_available():
                raise ConfigError(
                    f"num_gpus_per_learner is {self.config.num_gpus_per_learner}, and torch sees no CUDA device here; set it to 0"
                )
            self._device = torch.device("cuda", self.config.local_gpu_idx if self.config.num_learners == 0 else 0)
        check_ddp_arguments(self.config.torch_ddp_kwargs)
        with self._chance():
            super().build()
        for module_id, module in self.module.items():
            compile_for_learning(module, self.config_of(module_id))

    def _make_module(self) -> MultiRLModule:
        multi = super()._make_module()
        for module in multi.values():
            self._on_device(module)
        return multi

    def _built(self, spec: RLModuleSpec) -> RLModule:
        with self._chance():
            module = self._on_device(spec.build())
        compile_for_learning(module, self.config)
        return module

    def _on_device(self, module: RLModule) -> RLModule:
        if isinstance(module, nn.Module):
            module.to(self._device)
        return module

    # --- optimizers ---------------------------------------------------------------------------------------------------------------

    def configure_optimizers_for_module(self, module_id: str, config: AlgorithmConfig | None = None) -> None:
        """Makes a module's optimizer: Adam over all its parameters. Override it for others."""
        config = config or self.config_of(module_id)
        params = self.get_parameters(self.module[module_id])
        if params:
            self.register_optimizer(
                module_id=module_id, optimizer=self.adam(params), params=params, lr_or_lr_schedule=config.lr
            )

    def adam(self, params: Params, lr: float = 0.0, eps: float = 1e-8) -> torch.optim.Adam:
        """Returns Adam in its fastest form; registering it sets the learning rate."""
        return torch.optim.Adam(params, lr=lr, eps=eps, fused=all(p.dtype == torch.float32 for p in params))

    def register_optimizer(
        self,
        *,
        module_id: str = DEFAULT_MODULE_ID,
        optimizer_name: str = DEFAULT_OPTIMIZER,
        optimizer: torch.optim.Optimizer,
        params: Sequence[nn.Parameter],
        lr_or_lr_schedule: Any = None,
    ) -> None:
        """Has an optimizer take steps with parameters.

        Args:
            module_id: whose parameters.
            optimizer_name: its name, where a module has several.
            optimizer: it.
            params: what it changes.
            lr_or_lr_schedule: its learning rate, or a schedule of it; None for the optimizer's own.
        """
        key = (module_id, optimizer_name)
        self._optimizers[key] = optimizer
        self._optimizer_params[key] = list(params)
        if lr_or_lr_schedule is not None:
            self._schedules[key] = Scheduler(lr_or_lr_schedule, framework=None)
            self._set_optimizer_lr(optimizer, float(self._schedules[key].get_current_value()))
        made = self.config._torch_lr_scheduler_classes or ()
        of_module = (made.get(module_id) or ()) if isinstance(made, Mapping) else made
        self._lr_schedulers[key] = [make(optimizer) for make in of_module]
        self._gather_params()

    def _gather_params(self) -> None:
        self._params = [param for params in self._optimizer_params.values() for param in params]
        self._module_params = {}
        for (module_id, _), params in self._optimizer_params.items():
            self._module_params.setdefault(module_id, []).extend(params)

    def _forget_optimizers(self, module_id: str) -> None:
        for key in [key for key in self._optimizers if key[0] == module_id]:
            del self._optimizers[key], self._optimizer_params[key], self._lr_schedulers[key]
            self._schedules.pop(key, None)
        self._clips.pop(module_id, None)
        self._gather_params()

    def get_optimizer(
        self, module_id: str = DEFAULT_MODULE_ID, optimizer_name: str = DEFAULT_OPTIMIZER
    ) -> torch.optim.Optimizer:
        """Returns an optimizer. Raises ConfigError."""
        if (module_id, optimizer_name) not in self._optimizers:
            raise ConfigError(
                f"there is no optimizer {optimizer_name!r} of module {module_id!r}; there are {list(self._optimizers)}"
            )
        return self._optimizers[module_id, optimizer_name]

    def get_optimizers_for_module(self, module_id: str) -> list[tuple[str, torch.optim.Optimizer]]:
        """Returns a module's optimizers, with their names."""
        return [(name, optimizer) for (owner, name), optimizer in self._optimizers.items() if owner == module_id]

    def get_parameters(self, module: RLModule) -> Params:
        """Returns what of a module is trained."""
        return [param for param in module.parameters() if param.requires_grad] if isinstance(module, nn.Module) else []

    def get_param_ref(self, param: nn.Parameter) -> nn.Parameter:
        """Returns what stands for a parameter in dictionaries of gradients: itself."""
        return param

    @staticmethod
    def _set_optimizer_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
        for group in optimizer.param_groups:
            group["lr"] = lr

    # --- one gradient -------------------------------------------------------------------------------------------------------------

    def compute_gradients(self, loss_per_module: Mapping[str, Any], **kwargs: Any) -> dict[Any, Any]:
        losses = list(loss_per_module.values())
        total = losses[0] if len(losses) == 1 else sum(losses)
        for param in self._params:
            param.grad = None
        total.backward()
        if self.distributed:
            self._average_gradients()
        return {param: param.grad for param in self._params if param.grad is not None}

    def _average_gradients(self) -> None:
        """Has all learners go by the mean of their gradients: one exchange of one flat tensor."""
        import torch.distributed as dist

        gradients = [torch.zeros_like(param) if param.grad is None else param.grad for param in self._params]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        dist.all_reduce(flat)
        flat /= dist.get_world_size()
        at = 0
        for param in self._params:
            param.grad = flat[at : at + param.numel()].view_as(param)
            at += param.numel()

    def postprocess_gradients(self, gradients_dict: dict[Any, Any]) -> dict[Any, Any]:
        overridden = type(self).postprocess_gradients_for_module is not TorchLearner.postprocess_gradients_for_module
        if not overridden and all(
            (own := self.config_of(module_id)).grad_clip is None and not own.log_gradients
            for module_id in self._module_params
        ):
            return gradients_dict
        return super().postprocess_gradients(gradients_dict)

    def postprocess_gradients_for_module(
        self, *, module_id: str, config: AlgorithmConfig | None = None, module_gradients_dict: dict[Any, Any]
    ) -> dict[Any, Any]:
        config = config or self.config_of(module_id)
        for name, _ in self.get_optimizers_for_module(module_id):
            own = [param for param in self._optimizer_params[module_id, name] if param in module_gradients_dict]
            gradients = [module_gradients_dict[param] for param in own]
            if config.log_gradients or (config.grad_clip is not None and config.grad_clip_by == "global_norm"):
                norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
                self.log_losses(module_id, {f"gradients_{name}_global_norm": norm})
            if config.grad_clip is None:
                continue
            bound = self._bound(module_id, config)
            if config.grad_clip_by == "value":
                torch._foreach_clamp_min_(gradients, -bound)
                torch._foreach_clamp_max_(gradients, bound)
            elif config.grad_clip_by == "norm":
                for gradient in gradients:
                    gradient.mul_((bound / (gradient.norm() + 1e-6)).clamp(max=1.0))
            else:
                torch._foreach_mul_(gradients, (bound / (norm + 1e-6)).clamp(max=1.0))
        return module_gradients_dict

    def _bound(self, module_id: str, config: Any) -> float:
        """What a module's gradients are bounded by, now."""
        if module_id not in self._clips:
            self._clips[module_id] = Scheduler(config.grad_clip, framework=None)
            self._clips[module_id].update(self._timestep)
        return float(self._clips[module_id].get_current_value())

    def filter_param_dict_for_module(self, param_dict: Mapping[Any, Any], module_id: str) -> dict[Any, Any]:
        return {param: param_dict[param] for param in self._module_params.get(module_id, ()) if param in param_dict}

    def filter_param_dict_for_optimizer(
        self, param_dict: Mapping[Any, Any], optimizer: torch.optim.Optimizer
    ) -> dict[Any, Any]:
        """Returns what of it an optimizer changes."""
        own = next(self._optimizer_params[key] for key, one in self._optimizers.items() if one is optimizer)
        return {param: param_dict[param] for param in own if param in param_dict}

    def apply_gradients(self, gradients_dict: Mapping[Any, Any]) -> None:
        if self.config.torch_skip_nan_gradients and not all(
            bool(torch.isfinite(gradient).all()) for gradient in gradients_dict.values()
        ):
            self.metrics.log_value((ALL_MODULES, NUM_STEPS_SKIPPED_LIFETIME), 1, reduce="lifetime_sum")
            return
        for param, gradient in gradients_dict.items():
            param.grad = gradient
        for optimizer in self._optimizers.values():
            optimizer.step()

    # --- around an update ---------------------------------------------------------------------------------------------------------

    @contextmanager
    def _at_work(self) -> Iterator[None]:
        with threads_for(self._params), self._chance():
            yield

    def before_gradient_based_update(self, *, timesteps: Mapping[str, int]) -> None:
        super().before_gradient_based_update(timesteps=timesteps)
        now = self._timestep = timesteps.get("num_env_steps_sampled_lifetime", 0)
        for clip in self._clips.values():
            clip.update(now)
        for (module_id, name), schedule in self._schedules.items():
            if schedule.use_schedule and not self._lr_schedulers[module_id, name]:
                self._set_optimizer_lr(self._optimizers[module_id, name], float(schedule.update(now)))
            lr = self._optimizers[module_id, name].param_groups[0]["lr"]
            self.metrics.log_value((module_id, f"{name}_learning_rate"), lr, window=1)
            if name == DEFAULT_OPTIMIZER:
                self.metrics.log_value((module_id, "curr_lr"), lr, window=1)

    def after_gradient_based_update(self, *, timesteps: Mapping[str, int]) -> None:
        super().after_gradient_based_update(timesteps=timesteps)
        for schedulers in self._lr_schedulers.values():
            for scheduler in schedulers:
                scheduler.step()

    def _as_tensors(self, batch: Any) -> dict[str, Batch]:
        batches = getattr(batch, "policy_batches", batch)
        columns = {module_id: part if isinstance(part, Mapping) else None for module_id, part in batches.items()}
        if any(part is None for part in columns.values()):
            columns = {DEFAULT_MODULE_ID: batches}
        return {
            module_id: {name: to_tensor(column, self._device) for name, column in dict(part or {}).items()}
            for module_id, part in columns.items()
            if module_id in self.module
        }

    def _parameter_counts(self) -> tuple[int, int]:
        of = (len(self._params), *map(id, self.module.values()))
        if self._counted != of:  # they stay as long as the modules do
            self._counted, self._counts = of, self._count_parameters()
        return self._counts

    def _count_parameters(self) -> tuple[int, int]:
        trained = sum(param.numel() for param in self._params)
        every = sum(
            param.numel()
            for module in self.module.values()
            if isinstance(module, nn.Module)
            for param in module.parameters()
        )
        return trained, every - trained

    # --- state --------------------------------------------------------------------------------------------------------------------

    def _get_optimizer_state(self) -> dict[str, Any]:
        def plain(leaf: Any) -> Any:
            return leaf.detach().cpu().numpy().copy() if isinstance(leaf, torch.Tensor) else leaf

        state = {}
        for (module_id, name), optimizer in self._optimizers.items():
            state[f"{module_id}/{name}"] = _map_all(plain, optimizer.state_dict())
            if schedulers := self._lr_schedulers[module_id, name]:
                state[f"{module_id}/{name}"][_LR_SCHEDULERS] = [scheduler.state_dict() for scheduler in schedulers]
        return state

    def _set_optimizer_state(self, state: Mapping[str, Any]) -> None:
        def tensors(leaf: Any) -> Any:
            return torch.from_numpy(leaf.copy()) if isinstance(leaf, np.ndarray) else leaf

        for (module_id, name), optimizer in self._optimizers.items():
            key = f"{module_id}/{name}"
            if key not in state:
                raise CheckpointError(f"the state has no optimizer {key!r}; it has {sorted(state)}")
            own = dict(state[key])
            states = own.pop(_LR_SCHEDULERS, ())
            optimizer.load_state_dict(_map_all(tensors, own))
            for scheduler, its in zip(self._lr_schedulers[module_id, name], states, strict=False):
                scheduler.load_state_dict(its)

    def _get_chance(self) -> Any:
        return self._chance.get_state()

    def _set_chance(self, state: Any) -> None:
        self._chance.set_state(state)


def check_ddp_arguments(given: Mapping[str, Any]) -> None:
    """Raises ConfigError where there is an argument that asks for something else than what is done anyway."""
    for name in given:
        if name not in _DDP_ARGUMENTS:
            raise ConfigError(
                f"torch_ddp_kwargs has {name!r}, which cannot be had: learners average their gradients themselves, without "
                f"DistributedDataParallel. Accepted, as they change no result, are {', '.join(_DDP_ARGUMENTS)}."
                + close_matches(name, _DDP_ARGUMENTS)
            )


def _map_all(function: Any, tree: Any) -> Any:
    """Like `map_leaves`, in lists, too."""
    if isinstance(tree, list):
        return [_map_all(function, part) for part in tree]
    if isinstance(tree, dict):
        return {key: _map_all(function, part) for key, part in tree.items()}
    return map_leaves(function, tree)
