"""Modules that come to an algorithm of several agents, and go."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from shoal.rllib._internal.algorithm_state import AlgorithmState
from shoal.rllib._internal.config.changed_modules import with_modules
from shoal.rllib.utils.error import ConfigError

if TYPE_CHECKING:
    from shoal.rllib.core.rl_module.rl_module import RLModuleSpec


class ModuleChanges(AlgorithmState):
    """An algorithm's modules, as they change while it is at work. `Algorithm` derives from it."""

    _spaces: Any

    def sync_weights(self, module_ids: Collection[str] | None = None) -> None:
        """Has the runners go by the learners' weights."""
        raise NotImplementedError

    def add_module(
        self,
        module_id: str,
        module_spec: RLModuleSpec,
        *,
        config_overrides: Any = None,
        new_agent_to_module_mapping_fn: Callable[..., str] | None = None,
        new_should_module_be_updated: Any = None,
        add_to_learners: bool = True,
        add_to_env_runners: bool = True,
        add_to_eval_env_runners: bool = True,
    ) -> Any:
        """Adds a module to an algorithm of several agents.

        Args:
            module_id: its id.
            module_spec: how it is made.
            config_overrides: settings that differ for it.
            new_agent_to_module_mapping_fn: which agent goes by which module from now on.
            new_should_module_be_updated: ids of modules that are trained from now on, or a function of an id and a batch.
            add_to_learners: whether learners have it.
            add_to_env_runners: whether runners have it.
            add_to_eval_env_runners: whether runners that evaluate have it.

        Returns:
            How all modules are made.

        Raises:
            ConfigError: (a ValueError) there is such a module already, or it cannot be made.
        """
        self._check_several_agents("add_module")
        module_spec = self._filled(module_id, module_spec)
        if add_to_learners:
            arguments = {
                "module_id": module_id,
                "module_spec": module_spec,
                "config_overrides": config_overrides,
                "new_should_module_be_updated": new_should_module_be_updated,
            }
            self.learner_group.add_module(**arguments)
        self._on_runners(
            "add_module",
            {
                "module_id": module_id,
                "module_spec": replace(module_spec, inference_only=True),
                "new_agent_to_module_mapping_fn": new_agent_to_module_mapping_fn,
            },
            add_to_env_runners,
            add_to_eval_env_runners,
        )
        spec = self._modules_changed(
            {} if add_to_learners else {module_id: module_spec},
            overrides={module_id: config_overrides} if config_overrides else None,
            mapping=new_agent_to_module_mapping_fn,
            to_train=new_should_module_be_updated,
        )
        self.sync_weights()
        return spec

    def _check_several_agents(self, method: str) -> None:
        if not self.config.is_multi_agent:
            raise ConfigError(
                f"{method}() is for algorithms of several policies, and this one has one agent: give "
                "multi_agent(policies=..., policy_mapping_fn=...), and a MultiAgentEnv"
            )

    def _modules_changed(self, besides: Mapping[str, RLModuleSpec], **changes: Any) -> Any:
        """Has everything go by the modules that there are now, runners that are made later and checkpoints, too. Returns their specs."""
        spec = self.learner_group.module_specs()
        self.config = with_modules(self.config, {**spec.rl_module_specs, **besides}, **changes)
        self.learner_group.reconfigure(self.config, spec)
        if self.env_runner_group is not None:
            self.env_runner_group.reconfigure(self.config)
        if self._evaluation is not None:
            self._evaluation.reconfigure(self.config)
        return spec

    def _filled(self, module_id: str, given: RLModuleSpec) -> RLModuleSpec:
        """Returns how a module is made, with what was left out as the algorithm's default has it."""
        spec = given.copy()
        default = self.config.get_default_rl_module_spec()
        if spec.module_class is None:
            spec.module_class = getattr(default, "module_class", None)
        if spec.model_config is None:
            spec.model_config = self.config.model_config
        observations, actions = (self._spaces or {}).get(module_id, (None, None))
        spec.observation_space = observations if spec.observation_space is None else spec.observation_space
        spec.action_space = actions if spec.action_space is None else spec.action_space
        return spec

    def remove_module(
        self,
        module_id: str,
        *,
        new_agent_to_module_mapping_fn: Callable[..., str] | None = None,
        new_should_module_be_updated: Any = None,
        remove_from_learners: bool = True,
        remove_from_env_runners: bool = True,
        remove_from_eval_env_runners: bool = True,
    ) -> Any:
        """Removes a module. Arguments as of `add_module`."""
        self._check_several_agents("remove_module")
        self._on_runners(
            "remove_module",
            {"module_id": module_id, "new_agent_to_module_mapping_fn": new_agent_to_module_mapping_fn},
            remove_from_env_runners,
            remove_from_eval_env_runners,
        )
        if remove_from_learners:
            self.learner_group.remove_module(module_id, new_should_module_be_updated=new_should_module_be_updated)
        return self._modules_changed({}, mapping=new_agent_to_module_mapping_fn, to_train=new_should_module_be_updated)

    def _on_runners(self, method: str, arguments: dict[str, Any], training: bool, evaluating: bool) -> None:
        for group, wanted in ((self.env_runner_group, training), (self.eval_env_runner_group, evaluating)):
            if group is not None and wanted:
                group.foreach_env_runner(method, kwargs=arguments)
