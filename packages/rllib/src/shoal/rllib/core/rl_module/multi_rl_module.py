"""Several modules under their ids."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, ItemsView, Iterator, KeysView, Mapping, ValuesView
from dataclasses import dataclass, field
from typing import Any, TypeVar

from shoal.rllib.core import DEFAULT_MODULE_ID
from shoal.rllib.core.rl_module.rl_module import RLModule, RLModuleSpec
from shoal.rllib.utils.checkpoints import Checkpointable, Components, wants
from shoal.rllib.utils.error import ConfigError, close_matches

R = TypeVar("R")


class MultiRLModule(RLModule):
    """Modules under their ids. A batch for it has a batch for each.

    Derive from it for networks that several modules share: build them in `setup`, and hand them to the modules; or go forward by all of
    them at once, in `_forward_exploration` and the like.

    Args:
        observation_space: where the modules share something that has one.
        action_space: likewise.
        inference_only: whether only what computes actions is wanted.
        model_config: anything that `setup` wants to know.
        rl_module_specs: how the modules are made.
    """

    def __init__(
        self,
        *,
        observation_space: Any = None,
        action_space: Any = None,
        inference_only: bool | None = None,
        model_config: Any = None,
        rl_module_specs: Mapping[str, RLModuleSpec] | None = None,
        **kwargs: Any,
    ) -> None:
        self.rl_module_specs = dict(rl_module_specs or {})
        self._rl_modules: dict[str, RLModule] = {}
        super().__init__(
            observation_space=observation_space,
            action_space=action_space,
            inference_only=inference_only,
            model_config=model_config,
            **kwargs,
        )

    def setup(self) -> None:
        for module_id, spec in self.rl_module_specs.items():
            self._rl_modules[module_id] = spec.build()

    def add_module(self, module_id: str, module: RLModule, *, override: bool = False) -> None:
        """Adds a module. Raises ConfigError where there is one of that id, unless `override`."""
        if module_id in self._rl_modules and not override:
            raise ConfigError(f"there is a module {module_id!r} already; give override=True to replace it")
        self._rl_modules[module_id] = module

    def remove_module(self, module_id: str, *, raise_err_if_not_found: bool = True) -> None:
        """Removes a module. Raises ConfigError where there is none of that id."""
        if self._rl_modules.pop(module_id, None) is None and raise_err_if_not_found:
            raise ConfigError(self._missing(module_id))

    def __getitem__(self, module_id: str) -> RLModule:
        try:
            return self._rl_modules[module_id]
        except KeyError:
            raise KeyError(self._missing(module_id)) from None

    def _missing(self, module_id: str) -> str:
        return f"there is no module {module_id!r}.{close_matches(str(module_id), self._rl_modules)} There are: {list(self._rl_modules)}"

    def get(self, module_id: str, default: Any = None) -> Any:
        """Returns a module, or the default."""
        return self._rl_modules.get(module_id, default)

    def __contains__(self, module_id: object) -> bool:
        return module_id in self._rl_modules

    def __iter__(self) -> Iterator[str]:
        return iter(self._rl_modules)

    def __len__(self) -> int:
        return len(self._rl_modules)

    def keys(self) -> KeysView[str]:
        return self._rl_modules.keys()

    def values(self) -> ValuesView[RLModule]:
        return self._rl_modules.values()

    def items(self) -> ItemsView[str, RLModule]:
        return self._rl_modules.items()

    def foreach_module(
        self, func: Callable[..., R], *, return_dict: bool = False, **kwargs: Any
    ) -> list[R] | dict[str, R]:
        """Returns what `func(id, module)` returns of each."""
        found = {
            module_id: func(module_id, module.unwrapped(), **kwargs) for module_id, module in self._rl_modules.items()
        }
        return found if return_dict else list(found.values())

    def _forward_inference(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {module_id: self[module_id].forward_inference(part, **kwargs) for module_id, part in batch.items()}

    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {module_id: self[module_id].forward_exploration(part, **kwargs) for module_id, part in batch.items()}

    def _forward_train(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {module_id: self[module_id].forward_train(part, **kwargs) for module_id, part in batch.items()}

    def get_initial_state(self) -> Any:
        found = {module_id: module.get_initial_state() for module_id, module in self._rl_modules.items()}
        return found if any(found.values()) else {}

    def as_multi_rl_module(self) -> MultiRLModule:
        return self

    def get_state(
        self,
        components: Components = None,
        *,
        not_components: Components = None,
        inference_only: bool = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        return {
            module_id: module.get_state(inference_only=inference_only)
            for module_id, module in self._rl_modules.items()
            if wants(module_id, components, not_components)
        }

    def set_state(self, state: Mapping[str, Any]) -> None:
        for module_id, part in state.items():
            if module_id in self._rl_modules:
                self._rl_modules[module_id].set_state(part)

    def get_checkpointable_components(self) -> list[tuple[str, Checkpointable]]:
        return list(self._rl_modules.items())

    def get_ctor_args_and_kwargs(self) -> tuple[tuple[Any, ...], dict[str, Any]]:
        return (), {
            "observation_space": self.observation_space,
            "action_space": self.action_space,
            "inference_only": self.inference_only,
            "model_config": self.model_config,
            "rl_module_specs": {
                module_id: RLModuleSpec.from_module(module) for module_id, module in self._rl_modules.items()
            },
        }

    def __repr__(self) -> str:
        return f"MultiRLModule({', '.join(f'{name}: {type(module).__name__}' for name, module in self._rl_modules.items())})"


@dataclass
class MultiRLModuleSpec:
    """How several modules are made.

    Args:
        multi_rl_module_class: a class derived from `MultiRLModule`.
        observation_space: as of `MultiRLModule`.
        action_space: as of `MultiRLModule`.
        inference_only: as of `MultiRLModule`.
        model_config: as of `MultiRLModule`; modules' own settings go before it.
        rl_module_specs: by id, how each is made.
        load_state_path: the folder of modules in a checkpoint, from which they start.
        modules_to_load: ids of those that do; None for all.
    """

    multi_rl_module_class: type[MultiRLModule] = MultiRLModule
    observation_space: Any = None
    action_space: Any = None
    inference_only: bool | None = None
    model_config: Any = None
    rl_module_specs: dict[str, RLModuleSpec] = field(default_factory=dict)
    load_state_path: str | None = None
    modules_to_load: Collection[str] | None = None

    def __post_init__(self) -> None:
        if isinstance(self.rl_module_specs, RLModuleSpec):
            self.rl_module_specs = {DEFAULT_MODULE_ID: self.rl_module_specs}
        elif isinstance(self.rl_module_specs, set | list | tuple):
            self.rl_module_specs = {module_id: RLModuleSpec() for module_id in sorted(self.rl_module_specs)}
        self.rl_module_specs = dict(self.rl_module_specs)

    def build(self, module_id: str | None = None) -> Any:
        """Returns all modules as a MultiRLModule, or one of them. Raises ConfigError, CheckpointError."""
        if module_id is not None:
            return self[module_id].build()
        multi = self.multi_rl_module_class(
            observation_space=self.observation_space,
            action_space=self.action_space,
            inference_only=self.inference_only,
            model_config=self.model_config,
            rl_module_specs=self.rl_module_specs,
        )
        if self.load_state_path is not None:
            from pathlib import Path

            for name, module in multi.items():
                if self.modules_to_load is None or name in self.modules_to_load:
                    module.restore_from_path(Path(self.load_state_path) / name)
        return multi

    def __getitem__(self, module_id: str) -> RLModuleSpec:
        if module_id not in self.rl_module_specs:
            raise KeyError(
                f"there is no module {module_id!r}.{close_matches(module_id, self.rl_module_specs)} There are: {list(self.rl_module_specs)}"
            )
        return self.rl_module_specs[module_id]

    def __contains__(self, module_id: object) -> bool:
        return module_id in self.rl_module_specs

    def add_modules(self, rl_module_specs: Mapping[str, RLModuleSpec], override: bool = True) -> None:
        """Adds modules; those of the same id are replaced, or updated where not `override`."""
        for module_id, spec in rl_module_specs.items():
            if override or module_id not in self.rl_module_specs:
                self.rl_module_specs[module_id] = spec
            else:
                self.rl_module_specs[module_id].update(spec)

    def remove_modules(self, module_ids: str | Collection[str]) -> None:
        """Removes modules."""
        for module_id in [module_ids] if isinstance(module_ids, str) else list(module_ids):
            self.rl_module_specs.pop(module_id, None)

    def copy(self) -> MultiRLModuleSpec:
        specs = {module_id: spec.copy() for module_id, spec in self.rl_module_specs.items()}
        return dataclasses.replace(self, rl_module_specs=specs)

    def as_multi_rl_module_spec(self) -> MultiRLModuleSpec:
        return self

    def to_dict(self) -> dict[str, Any]:
        """Returns the fields by name."""
        found = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        found["rl_module_specs"] = {module_id: spec.to_dict() for module_id, spec in self.rl_module_specs.items()}
        return found

    @classmethod
    def from_dict(cls, given: Mapping[str, Any]) -> MultiRLModuleSpec:
        """Returns what `to_dict` was asked of."""
        specs = {
            module_id: RLModuleSpec.from_dict(spec) for module_id, spec in given.get("rl_module_specs", {}).items()
        }
        return cls(**{**given, "rl_module_specs": specs})

    def update(self, other: MultiRLModuleSpec, override: bool = False) -> None:
        """Takes what another one has."""
        self.add_modules(other.rl_module_specs, override=override)
