"""Each setting has an effect, which a test shows, or whoever changes it is warned that it has none, unless nobody misses it."""

from __future__ import annotations

import ast
import functools
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import shoal
from shoal.rllib._internal.config.without_effect import NOT_MISSED, WITHOUT_EFFECT, WITHOUT_MEANING
from shoal.rllib._internal.evaluation import Evaluation
from shoal.rllib._internal.runners.restarts import RestartSettings
from shoal.rllib._internal.runners.runner_actors import Request, RunnerActors
from shoal.rllib.algorithms.algorithm import Algorithm
from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig
from shoal.rllib.algorithms.bc import BCConfig
from shoal.rllib.algorithms.ppo import PPO, PPOConfig
from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.connectors.env_to_module.mean_std_filter import MeanStdFilter
from shoal.rllib.core.learner.learner_group import LearnerGroup
from shoal.rllib.env.env_runner_group import EnvRunnerGroup
from shoal.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from shoal.rllib.offline.offline_data import OfflineData
from shoal.rllib.utils.error import ConfigError, EnvError, NoEffectWarning
from shoal.rllib.utils.metrics.stats import Mean

TESTS = Path(__file__).parents[1]

SHOWN_BY = {
    "env": "env/test_registration.py::test_names_classes_and_functions",
    "env_config": "env/test_environment_settings.py::test_an_algorithm_is_asked_about_each_environment",
    "observation_space": "env/test_environment_settings.py::test_spaces_are_the_environments_own",
    "action_space": "env/test_environment_settings.py::test_spaces_are_the_environments_own",
    "render_env": "env/test_environment_settings.py::test_the_first_environment_is_shown_as_it_steps",
    "clip_rewards": "env/test_environment_settings.py::"
    "test_rewards_are_learned_from_within_bounds_and_reported_as_they_are",
    "normalize_actions": "connectors/test_connectors.py::test_actions_of_spaces_of_any_kind_reach_their_bounds",
    "clip_actions": "connectors/test_connectors.py::test_actions_of_spaces_of_any_kind_reach_their_bounds",
    "disable_env_checking": "env/test_env_checks.py::"
    "test_runners_look_before_they_sample_unless_they_are_told_not_to",
    "is_atari": "env/test_environment_settings.py::test_rewards_of_atari_games_are_signs_unless_something_else_is_said",
    "action_mask_key": "env/test_environment_settings.py::test_modules_and_chance_keep_to_the_mask",
    "env_runner_cls": "algorithms/test_every_setting.py::test_runners_are_of_the_class_and_in_the_place_that_is_asked_for",
    "num_env_runners": "algorithms/test_algorithm_config.py::test_fragments_make_up_the_batch",
    "create_local_env_runner": "algorithms/test_every_setting.py::"
    "test_runners_are_of_the_class_and_in_the_place_that_is_asked_for",
    "create_env_on_local_worker": "algorithms/test_every_setting.py::"
    "test_runners_are_of_the_class_and_in_the_place_that_is_asked_for",
    "num_envs_per_env_runner": "env/test_environment_settings.py::"
    "test_an_algorithm_is_asked_about_each_environment",
    "gym_env_vectorize_mode": "env/test_single_agent_env_runner.py::test_processes_of_gymnasium_step_as_well",
    "num_cpus_per_env_runner": "tune/test_algorithms_in_tune.py::test_what_a_trial_needs_follows_from_its_settings",
    "num_gpus_per_env_runner": "algorithms/test_every_setting.py::test_resources_are_asked_for",
    "custom_resources_per_env_runner": "algorithms/test_every_setting.py::test_resources_are_asked_for",
    "validate_env_runners_after_construction": "algorithms/test_every_setting.py::"
    "test_all_actors_are_waited_for_or_the_first_alone",
    "sample_timeout_s": "env/test_env_runner_group.py::test_a_runner_that_hangs_is_ended_and_its_place_is_told",
    "max_requests_in_flight_per_env_runner": "algorithms/test_every_setting.py::test_actors_have_calls_waiting",
    "env_to_module_connector": "connectors/test_connectors.py::"
    "test_functions_and_custom_pieces_may_take_what_they_need",
    "module_to_env_connector": "connectors/test_connectors.py::"
    "test_actions_may_be_changed_on_their_way_to_the_environment",
    "add_default_connectors_to_env_to_module_pipeline": "algorithms/test_every_setting.py::"
    "test_default_connectors_may_be_left_out",
    "add_default_connectors_to_module_to_env_pipeline": "algorithms/test_every_setting.py::"
    "test_default_connectors_may_be_left_out",
    "episode_lookback_horizon": "connectors/test_connectors.py::"
    "test_latest_actions_and_rewards_are_a_part_of_observations",
    "merge_env_runner_states": "algorithms/test_every_setting.py::test_states_of_connectors_are_merged_and_sent",
    "broadcast_env_runner_states": "algorithms/test_every_setting.py::test_states_of_connectors_are_merged_and_sent",
    "rollout_fragment_length": "env/test_single_agent_env_runner.py::"
    "test_how_much_is_sampled_follows_the_configuration",
    "batch_mode": "env/test_single_agent_env_runner.py::test_how_much_is_sampled_follows_the_configuration",
    "explore": "algorithms/test_algorithm_config.py::test_evaluation_has_settings_that_differ",
    "num_learners": "algorithms/test_bc.py::test_actors_learn_together",
    "num_gpus_per_learner": "algorithms/test_every_setting.py::test_resources_are_asked_for",
    "num_cpus_per_learner": "algorithms/test_every_setting.py::test_resources_are_asked_for",
    "max_requests_in_flight_per_learner": "algorithms/test_every_setting.py::test_learners_have_updates_waiting",
    "local_gpu_idx": "algorithms/test_every_setting.py::test_devices_are_those_that_are_asked_for",
    "custom_resources_per_learner": "algorithms/test_every_setting.py::test_resources_are_asked_for",
    "learner_class": "algorithms/test_ppo.py::test_a_users_learner_changes_the_loss",
    "learner_connector": "algorithms/test_ppo.py::test_a_users_connector_changes_episodes_and_adds_columns",
    "add_default_connectors_to_learner_pipeline": "learner/test_learner_connectors.py::"
    "test_no_pieces_at_all_are_refused",
    "learner_config_dict": "algorithms/test_ppo.py::test_a_users_learner_changes_the_loss",
    "gamma": "algorithms/test_every_setting.py::test_what_an_update_goes_by",
    "lr": "algorithms/test_ppo_multi_agent.py::test_policies_have_learning_rates_of_their_own",
    "grad_clip": "algorithms/test_ppo.py::test_gradients_are_clipped",
    "grad_clip_by": "algorithms/test_ppo.py::test_gradients_are_clipped",
    "train_batch_size_per_learner": "algorithms/test_algorithm_config.py::test_fragments_make_up_the_batch",
    "train_batch_size": "algorithms/test_bc.py::test_actors_learn_together",
    "num_epochs": "algorithms/test_every_setting.py::test_what_an_update_goes_by",
    "minibatch_size": "algorithms/test_every_setting.py::test_what_an_update_goes_by",
    "shuffle_batch_per_epoch": "algorithms/test_every_setting.py::test_what_an_update_goes_by",
    "model_config": "algorithms/test_algorithm_config.py::test_model_settings_fill_the_modules_spec",
    "rl_module_spec": "algorithms/test_algorithm_config.py::test_model_settings_fill_the_modules_spec",
    "algorithm_config_overrides_per_module": "algorithms/test_ppo_multi_agent.py::"
    "test_policies_have_learning_rates_of_their_own",
    "policies": "algorithms/test_algorithm_config.py::test_modules_have_settings_that_differ",
    "policy_mapping_fn": "algorithms/test_algorithm_config.py::test_modules_have_settings_that_differ",
    "policies_to_train": "algorithms/test_ppo_multi_agent.py::test_only_policies_that_are_to_be_trained_are",
    "count_steps_by": "env/test_multi_agent_env_runner.py::test_agents_that_act_in_turns_with_different_spaces",
    "evaluation_interval": "algorithms/test_cql.py::test_it_is_evaluated_on_an_environment",
    "evaluation_duration": "algorithms/test_cql.py::test_it_is_evaluated_on_an_environment",
    "evaluation_duration_unit": "algorithms/test_every_setting.py::test_how_long_an_evaluation_is",
    "evaluation_sample_timeout_s": "algorithms/test_every_setting.py::test_how_long_an_evaluation_is",
    "evaluation_auto_duration_min_env_steps_per_sample": "algorithms/test_every_setting.py::"
    "test_how_long_an_evaluation_is",
    "evaluation_auto_duration_max_env_steps_per_sample": "algorithms/test_every_setting.py::"
    "test_how_long_an_evaluation_is",
    "evaluation_parallel_to_training": "algorithms/test_repeatability.py::"
    "test_evaluation_beside_training_changes_nothing_of_it",
    "evaluation_force_reset_envs_before_iteration": "algorithms/test_every_setting.py::test_how_long_an_evaluation_is",
    "evaluation_config": "algorithms/test_algorithm_config.py::test_evaluation_has_settings_that_differ",
    "evaluation_num_env_runners": "algorithms/test_repeatability.py::"
    "test_evaluation_beside_training_changes_nothing_of_it",
    "custom_evaluation_function": "algorithms/test_ppo.py::test_a_custom_evaluation_is_called_instead",
    "in_evaluation": "algorithms/test_algorithm_config.py::test_evaluation_has_settings_that_differ",
    "offline_evaluation_interval": "algorithms/test_bc.py::test_it_is_evaluated_on_recorded_data",
    "offline_evaluation_type": "algorithms/test_bc.py::test_it_is_evaluated_on_recorded_data",
    "offline_loss_for_module_fn": "algorithms/test_bc.py::test_it_is_evaluated_on_recorded_data",
    "offline_eval_batch_size_per_runner": "algorithms/test_bc.py::test_it_is_evaluated_on_recorded_data",
    "dataset_num_iters_per_offline_eval_runner": "algorithms/test_bc.py::test_it_is_evaluated_on_recorded_data",
    "input_": "algorithms/test_bc.py::test_what_cannot_be_is_refused_before_anything_is_made",
    "offline_data_class": "algorithms/test_every_setting.py::test_recorded_data_is_read_as_it_is_asked_for",
    "offline_data_class_kwargs": "algorithms/test_every_setting.py::test_recorded_data_is_read_as_it_is_asked_for",
    "input_read_method": "offline/test_offline_data.py::test_columns_episodes_datasets_and_files_hold_the_same",
    "input_read_method_kwargs": "algorithms/test_every_setting.py::test_files_are_read_and_written_with_arguments",
    "input_read_schema": "offline/test_rows.py::test_missing_columns_are_told_with_what_looks_like_them",
    "input_read_episodes": "offline/test_offline_data.py::test_pickled_episodes_are_recognised_and_checked",
    "input_read_sample_batches": "offline/test_offline_data.py::test_batches_of_the_old_stack_are_taken_apart",
    "input_read_batch_size": "offline/test_offline_data.py::test_windows_are_gone_through_one_after_the_other",
    "input_filesystem": "algorithms/test_every_setting.py::test_files_are_read_and_written_with_arguments",
    "input_filesystem_kwargs": "algorithms/test_every_setting.py::test_files_are_read_and_written_with_arguments",
    "materialize_data": "offline/test_offline_data.py::test_columns_episodes_datasets_and_files_hold_the_same",
    "materialize_mapped_data": "offline/test_offline_data.py::test_windows_are_gone_through_one_after_the_other",
    "map_batches_kwargs": "algorithms/test_every_setting.py::test_recorded_data_is_read_as_it_is_asked_for",
    "iter_batches_kwargs": "algorithms/test_every_setting.py::test_recorded_data_is_read_as_it_is_asked_for",
    "ignore_final_observation": "offline/test_offline_data.py::test_bc_needs_neither_rewards_nor_ends",
    "prelearner_class": "offline/test_offline_data.py::test_prelearners_of_ones_own_make_episodes_or_batches",
    "dataset_num_iters_per_learner": "algorithms/test_bc.py::test_iterations_are_as_many_batches_as_asked_for",
    "actions_in_input_normalized": "algorithms/test_every_setting.py::test_recorded_actions_are_as_they_are_said_to_be",
    "output": "offline/test_recording.py::test_files_have_as_many_rows_as_were_asked_for",
    "output_max_rows_per_file": "offline/test_recording.py::test_files_have_as_many_rows_as_were_asked_for",
    "output_write_remaining_data": "offline/test_recording.py::test_files_have_as_many_rows_as_were_asked_for",
    "output_write_method": "offline/test_recording.py::test_other_forms_and_what_cannot_be",
    "output_write_method_kwargs": "algorithms/test_every_setting.py::test_files_are_read_and_written_with_arguments",
    "output_filesystem": "algorithms/test_every_setting.py::test_files_are_read_and_written_with_arguments",
    "output_filesystem_kwargs": "algorithms/test_every_setting.py::test_files_are_read_and_written_with_arguments",
    "output_write_episodes": "offline/test_recording.py::test_rows_are_what_other_programs_understand",
    "callbacks_class": "algorithms/test_every_setting.py::test_classes_and_functions_are_told_of_what_happens",
    "callbacks_functions": "algorithms/test_every_setting.py::test_classes_and_functions_are_told_of_what_happens",
    "framework_str": "algorithms/test_algorithm_config.py::test_dicts_are_refused_what_setters_are_refused",
    "torch_compile_learner": "learner/test_torch_learner.py::test_compiled_passes_give_the_same",
    "torch_compile_learner_what_to_compile": "learner/test_torch_learner.py::test_what_cannot_be_compiled_is_refused",
    "torch_compile_learner_dynamo_backend": "learner/test_torch_learner.py::test_compiled_passes_give_the_same",
    "torch_compile_learner_dynamo_mode": "algorithms/test_every_setting.py::test_how_passes_are_compiled",
    "torch_compile_worker": "learner/test_torch_learner.py::test_compiled_passes_give_the_same",
    "torch_compile_worker_dynamo_backend": "learner/test_torch_learner.py::test_compiled_passes_give_the_same",
    "torch_compile_worker_dynamo_mode": "algorithms/test_every_setting.py::test_how_passes_are_compiled",
    "torch_ddp_kwargs": "learner/test_torch_learner.py::test_arguments_of_ddp_that_change_a_result_are_refused",
    "torch_skip_nan_gradients": "learner/test_torch_learner.py::"
    "test_steps_whose_gradients_are_no_numbers_are_left_out_where_that_is_asked_for",
    "metrics_num_episodes_for_smoothing": "algorithms/test_every_setting.py::test_what_an_iteration_reports",
    "min_time_s_per_iteration": "algorithms/test_every_setting.py::test_an_iteration_takes_as_long_as_it_is_to",
    "min_train_timesteps_per_iteration": "algorithms/test_dqn.py::"
    "test_an_iteration_learns_from_as_many_steps_as_it_is_asked_to",
    "min_sample_timesteps_per_iteration": "algorithms/test_ppo.py::test_an_iteration_is_as_long_as_it_is_asked_to_be",
    "log_gradients": "algorithms/test_every_setting.py::test_what_an_iteration_reports",
    "custom_stats_cls_lookup": "algorithms/test_every_setting.py::test_what_is_logged_may_be_reduced_in_ways_of_ones_own",
    "checkpoint_trainable_policies_only": "algorithms/test_ppo_multi_agent.py::test_only_policies_that_are_to_be_trained_are",
    "export_native_model_files": "algorithms/test_every_setting.py::test_torch_alone_loads_a_module",
    "log_level": "algorithms/test_every_setting.py::test_an_algorithm_sets_what_its_process_has",
    "log_sys_usage": "algorithms/test_every_setting.py::test_what_an_iteration_reports",
    "seed": "algorithms/test_bc.py::test_it_is_the_same_again_and_resumed",
    "restart_failed_env_runners": "algorithms/test_every_setting.py::test_restarts_go_by_the_settings",
    "ignore_env_runner_failures": "algorithms/test_every_setting.py::test_restarts_go_by_the_settings",
    "max_num_env_runner_restarts": "algorithms/test_every_setting.py::test_restarts_go_by_the_settings",
    "delay_between_env_runner_restarts_s": "algorithms/test_every_setting.py::test_restarts_go_by_the_settings",
    "num_consecutive_env_runner_failures_tolerance": "algorithms/test_every_setting.py::"
    "test_restarts_go_by_the_settings",
    "restart_failed_sub_environments": "env/test_single_agent_env_runner.py::"
    "test_an_environment_that_fails_is_made_anew_where_that_is_wanted",
    "env_runner_health_probe_timeout_s": "algorithms/test_every_setting.py::test_deadlines_of_actors",
    "env_runner_restore_timeout_s": "algorithms/test_every_setting.py::test_deadlines_of_actors",
    "num_cpus_for_main_process": "algorithms/test_every_setting.py::test_resources_are_asked_for",
    "custom_resources_for_main_process": "algorithms/test_every_setting.py::test_resources_are_asked_for",
    "placement_strategy": "algorithms/test_every_setting.py::test_resources_are_asked_for",
    "extra_python_environs_for_driver": "algorithms/test_every_setting.py::test_an_algorithm_sets_what_its_process_has",
    "extra_python_environs_for_worker": "algorithms/test_every_setting.py::test_an_actor_sets_what_its_process_has",
    "_validate_config": "algorithms/test_every_setting.py::test_what_does_not_fit_may_be_tried",
}  # fmt: skip
"""By setting, a test that fails where the setting has no effect."""

_STORED = {
    "_is_atari": "is_atari",
    "_learner_class": "learner_class",
    "_model_config": "model_config",
    "_rl_module_spec": "rl_module_spec",
    "_train_batch_size_per_learner": "train_batch_size_per_learner",
}
SETTINGS = sorted(
    _STORED.get(name, name) for name in vars(AlgorithmConfig()) if name not in ("_frozen", "_luggage", "algo_class")
)


@functools.cache
def functions_of(file: str) -> dict[str, str]:
    """Returns the sources of a file's tests."""
    text = (TESTS / file).read_text()
    tests = [item for item in ast.parse(text).body if isinstance(item, ast.FunctionDef)]
    lines = text.splitlines()
    return {
        test.name: "\n".join(lines[min([test.lineno, *(d.lineno for d in test.decorator_list)]) - 1 : test.end_lineno])
        for test in tests
    }


def other_than(value: Any) -> Any:
    """Returns another value of the same kind."""
    kinds: dict[type[Any], Any] = {bool: not value, int: 7, float: 0.5, dict: {"other": 1}, list: ["other"]}
    return kinds.get(type(value), "other")


@pytest.mark.parametrize("setting", SETTINGS)
def test_each_has_an_effect_or_says_that_it_has_none(setting: str) -> None:
    if setting in WITHOUT_EFFECT:
        assert setting not in SHOWN_BY
        before = getattr(AlgorithmConfig(), setting)
        assert AlgorithmConfig.from_dict({setting: before})[setting] == before  # the default: nothing is said
        if setting in NOT_MISSED:
            AlgorithmConfig.from_dict({setting: other_than(before)})
            return
        with pytest.warns(NoEffectWarning, match=rf"{setting} is .* has no effect: "):
            AlgorithmConfig.from_dict({setting: other_than(before)})
        return
    file, name = SHOWN_BY[setting].split("::")
    tests = functions_of(file)
    assert name in tests, f"{file} has no {name}"
    spelled = {"framework_str": "framework", "_learner_class": "learner_class"}.get(setting, setting)
    spelled = {"callbacks_class": "callbacks", "callbacks_functions": r"on_\w+"}.get(spelled, spelled)
    assert re.search(rf"\b{spelled}\b", tests[name]), f"{name} says nothing of {spelled}"


def test_nothing_is_listed_that_is_no_setting() -> None:
    assert set(SHOWN_BY) | set(WITHOUT_EFFECT) <= set(SETTINGS)
    assert set(WITHOUT_EFFECT) >= NOT_MISSED


@pytest.mark.parametrize("name", sorted(WITHOUT_MEANING))
def test_old_names_that_mean_nothing_say_so(name: str) -> None:
    AlgorithmConfig.from_dict({name: None})
    if name.startswith(("enable_", "_enable_", "_disable_")):
        AlgorithmConfig.from_dict({name: True})  # so it is
        return
    with pytest.warns(NoEffectWarning, match=f"{name} is 'MeanStdFilter', and has no effect"):
        AlgorithmConfig().update_from_dict({name: "MeanStdFilter"})


@pytest.mark.parametrize(
    "change",
    [
        lambda: AlgorithmConfig().debugging(fake_sampler=True),
        lambda: AlgorithmConfig().resources(num_gpus=1),
        lambda: AlgorithmConfig().update_from_dict({"fake_sampler": True}),
        lambda: AlgorithmConfig.from_dict({"num_gpus": 1}),
    ],
)
def test_a_warning_names_the_line_of_the_program(change: Any) -> None:
    with pytest.warns(NoEffectWarning) as told:
        change()
    assert [(one.filename, one.lineno) for one in told] == [(__file__, change.__code__.co_firstlineno)]


# --- runners -----------------------------------------------------------------------------------------------------------------------


def small(**training: Any) -> PPOConfig:
    config = PPOConfig().environment("CartPole-v1").env_runners(num_env_runners=0).debugging(seed=1)
    config.training(**{"train_batch_size_per_learner": 40, "minibatch_size": 20, "num_epochs": 2, **training})
    return config.rl_module(model_config={"fcnet_hiddens": [4]})


class OwnRunner(SingleAgentEnvRunner):
    """A class of one's own."""


@pytest.fixture
def spaces() -> dict[str, Any]:
    runner = SingleAgentEnvRunner(config=small())
    found = runner.get_spaces()
    runner.stop()
    return found


class FakeActors:
    """Actors that are none: what they are asked is kept."""

    def __init__(self, spaces: Any = None, count: int = 2) -> None:
        self.spaces, self.count = spaces, count
        self.waited: list[int] = []
        self.asked: list[tuple[str, Any]] = []
        self.requests: list[Any] = []
        self.runner_state: Any = {}
        self.version = 0
        self.recreated: list[int] = []

    def make(self, index: int, recreated: bool) -> Any:
        return index

    def set_up(self, index: int, setup: Any) -> Any:
        self.waited.append(index)
        return self.spaces

    def going_on(self) -> list[int]:
        return list(range(1, self.count + 1))

    def __len__(self) -> int:
        return self.count

    def ask(self, index: int, timesteps: Any, arguments: Any) -> Any:
        return SimpleNamespace(index=index)

    def call(self, index: int, func: Any, arguments: Any) -> Any:
        self.asked.append((func, arguments))
        return index

    def collect(self, func: Any, arguments: Any, references: Any, timeout: Any) -> Any:
        return [(index, None) for index in references]

    def stop(self) -> None:
        pass


@pytest.fixture
def group_of(monkeypatch: pytest.MonkeyPatch, spaces: Any) -> Iterator[Any]:
    made: list[EnvRunnerGroup] = []

    def make(config: Any, **arguments: Any) -> tuple[EnvRunnerGroup, FakeActors]:
        actors = FakeActors(spaces, config.num_env_runners)
        monkeypatch.setattr("shoal.rllib.env.env_runner_group.RunnerActors", lambda config, *_: actors)
        made.append(EnvRunnerGroup(config, **arguments))
        return made[-1], actors

    yield make
    for group in made:
        group.stop()


def test_runners_are_of_the_class_and_in_the_place_that_is_asked_for(
    group_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, _ = group_of(small().env_runners(env_runner_cls=OwnRunner))
    assert isinstance(group.local_env_runner, OwnRunner)
    monkeypatch.setattr(Algorithm, "sync_weights", lambda self: None)
    group_of(small())  # from here on, actors are fakes
    with PPO(config=small().env_runners(num_env_runners=2, create_local_env_runner=False)) as algo:
        assert algo.env_runner is None
    group, _ = group_of(small().env_runners(num_env_runners=2))
    assert group.local_env_runner.env is None
    group, _ = group_of(small().env_runners(num_env_runners=2, create_env_on_local_worker=True))
    assert group.local_env_runner.env is not None


def test_all_actors_are_waited_for_or_the_first_alone(group_of: Any) -> None:
    config = small().env_runners(num_env_runners=3)
    assert group_of(config)[1].waited == [1, 2, 3]
    assert group_of(config.env_runners(validate_env_runners_after_construction=False))[1].waited == [1]


def test_actors_have_calls_waiting(group_of: Any) -> None:
    group, actors = group_of(small().env_runners(num_env_runners=2, max_requests_in_flight_per_env_runner=3))
    group._ask_all({})
    group._ask_all({})
    assert [request.index for request in actors.requests] == [1, 1, 1, 2, 2, 2]


class Own(ConnectorV2):
    """A piece of one's own."""

    def __call__(self, *, batch: Any, **_: Any) -> Any:
        return batch


def test_default_connectors_may_be_left_out(spaces: Any) -> None:
    def pieces(config: Any) -> list[int]:
        config.env_runners(env_to_module_connector=lambda *_: Own(), module_to_env_connector=lambda *_: Own())
        both = (
            config.build_env_to_module_connector(spaces=spaces),
            config.build_module_to_env_connector(spaces=spaces),
        )
        return [len(pipeline.connectors) for pipeline in both]

    assert min(pieces(small())) > 3
    left_out = {
        "add_default_connectors_to_env_to_module_pipeline": False,
        "add_default_connectors_to_module_to_env_pipeline": False,
    }
    assert pieces(small().env_runners(**left_out)) == [1, 1]


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({}, ["get_state", "get_state", "set_state", "set_state"]),
        ({"merge_env_runner_states": False}, ["set_state", "set_state"]),
        ({"broadcast_env_runner_states": False}, ["get_state", "get_state"]),
    ],
)
def test_states_of_connectors_are_merged_and_sent(group_of: Any, settings: Any, asked: Any) -> None:
    config = small().env_runners(num_env_runners=2, env_to_module_connector=lambda *_: MeanStdFilter(), **settings)
    group, actors = group_of(config)
    group.sync_env_runner_states()
    assert [func for func, _ in actors.asked] == asked


def test_restarts_go_by_the_settings() -> None:
    config = small().fault_tolerance(
        restart_failed_env_runners=False,
        ignore_env_runner_failures=True,
        max_num_env_runner_restarts=3,
        delay_between_env_runner_restarts_s=4.0,
        num_consecutive_env_runner_failures_tolerance=5,
    )
    settings = RunnerActors(config, object, 0)._restarts.settings
    assert settings == RestartSettings(restart=False, ignore=True, most_restarts=3, delay_s=4.0, consecutive_failures=5)


def test_deadlines_of_actors(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[Any] = []
    killed: list[Any] = []

    def get(reference: Any, *, timeout: Any = None) -> Any:
        limits.append(timeout)
        raise shoal.exceptions.GetTimeoutError("it hangs")

    monkeypatch.setattr(shoal, "wait", lambda references, **_: ([], list(references)))
    monkeypatch.setattr(shoal, "get", get)
    monkeypatch.setattr(shoal, "kill", killed.append)
    config = small().fault_tolerance(env_runner_restore_timeout_s=0.0, env_runner_health_probe_timeout_s=0.25)
    actors = RunnerActors(config, object, 1)
    actor = SimpleNamespace(where=SimpleNamespace(remote=lambda: "where"))
    actors._actors = {1: actor}
    with pytest.raises(EnvError, match=r"not made within 0 s \(env_runner_restore_timeout_s\)"):
        actors._wait_for_setup(1, "setup")
    actors._look_after(Request(1, None, None, 0.0), 1.0)
    assert (limits, killed) == ([0.25], [actor])


def test_how_passes_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    from shoal.rllib.core.rl_module.torch.compiling import compile_for_acting, compile_for_learning

    modes: list[Any] = []
    monkeypatch.setattr(torch, "compile", lambda function, *, backend, mode: (modes.append(mode), function)[1])
    module = SimpleNamespace(forward_train=0, forward_exploration=0, forward_inference=0)
    config = PPOConfig().framework(torch_compile_learner=True, torch_compile_worker=True)
    config.framework(torch_compile_learner_dynamo_mode="max-autotune", torch_compile_worker_dynamo_mode="default")
    compile_for_learning(module, config)
    compile_for_acting(module, config)
    assert modes == ["max-autotune", "default", "default"]


# --- resources, processes ----------------------------------------------------------------------------------------------------------


def test_resources_are_asked_for() -> None:
    config = small().env_runners(
        num_env_runners=1, num_gpus_per_env_runner=0.5, custom_resources_per_env_runner={"arcade": 2}
    )
    config.learners(num_learners=1, num_gpus_per_learner=1, num_cpus_per_learner=3)
    config.learners(custom_resources_per_learner={"school": 1})
    config.resources(
        num_cpus_for_main_process=2, custom_resources_for_main_process={"desk": 1}, placement_strategy="SPREAD"
    )
    asked = PPO.default_resource_request(config)
    assert [dict(bundle) for bundle in asked.bundles] == [
        {"CPU": 2, "desk": 1},
        {"CPU": 3, "GPU": 1, "school": 1},
        {"CPU": 1, "GPU": 0.5, "arcade": 2},
    ]
    assert asked.strategy == "SPREAD"


def test_learners_have_updates_waiting(monkeypatch: pytest.MonkeyPatch, spaces: Any) -> None:
    limits: list[Any] = []
    actor = SimpleNamespace(update=SimpleNamespace(remote=lambda *_: "an update"))
    monkeypatch.setattr(LearnerGroup, "_start_actors", lambda group, *_: group._actors.append(actor))
    config = small().learners(num_learners=1, max_requests_in_flight_per_learner=2)
    group = LearnerGroup(config=config, module_spec=config.get_multi_rl_module_spec(spaces=spaces))
    monkeypatch.setattr(shoal, "wait", lambda calls, *, num_returns, timeout: (limits.append(timeout), ([], calls))[1])
    for _ in range(3):
        group.update(batch={"default_policy": {"obs": np.zeros((2, 1))}}, async_update=True)
    assert limits == [0, 0, None]  # the third waits for the first


def test_devices_are_those_that_are_asked_for(monkeypatch: pytest.MonkeyPatch, spaces: Any) -> None:
    config = small().learners(num_gpus_per_learner=1, local_gpu_idx=3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    learner = config.learner_class(config=config, module_spec=config.get_multi_rl_module_spec(spaces=spaces))
    monkeypatch.setattr(learner, "_on_device", lambda module: module)
    learner.build()
    assert learner.device == torch.device("cuda", 3)


def test_an_algorithm_sets_what_its_process_has(monkeypatch: pytest.MonkeyPatch) -> None:
    loggers = logging.getLogger("shoal.rllib")
    monkeypatch.setattr(loggers, "level", logging.NOTSET)
    monkeypatch.setenv("OF_THE_DRIVER", "before")
    config = small().python_environment(extra_python_environs_for_driver={"OF_THE_DRIVER": "set"})
    config.build_algo().stop()
    assert (os.environ["OF_THE_DRIVER"], loggers.level) == ("set", logging.NOTSET)
    config.debugging(log_level="DEBUG").build_algo().stop()
    assert loggers.level == logging.DEBUG


def test_an_actor_sets_what_its_process_has(monkeypatch: pytest.MonkeyPatch) -> None:
    from shoal.rllib._internal.runners.env_runner_actor import EnvRunnerActor

    monkeypatch.setenv("OF_THE_WORKER", "before")
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    config = small().python_environment(extra_python_environs_for_worker={"OF_THE_WORKER": "set"})
    actor = EnvRunnerActor()
    actor.set_up(SingleAgentEnvRunner, {"config": config})
    actor.call("stop", {})
    assert os.environ["OF_THE_WORKER"] == "set"


def test_what_does_not_fit_may_be_tried() -> None:
    config = small(minibatch_size=400)
    with pytest.raises(ConfigError, match="minibatch_size"):
        config.build_algo()
    with config.experimental(_validate_config=False).build_algo() as algo:
        assert algo.config.minibatch_size == 400


# --- learning and reporting --------------------------------------------------------------------------------------------------------


def test_what_an_update_goes_by() -> None:
    def weights(**training: Any) -> dict[str, Any]:
        with small(**training).build_algo() as algo:
            algo.train()
            found: dict[str, Any] = algo.get_weights()["default_policy"]
            return found

    usual = weights()
    for other in (
        {"gamma": 0.5},
        {"num_epochs": 1},
        {"minibatch_size": 40},
        {"shuffle_batch_per_epoch": not small().shuffle_batch_per_epoch},
    ):
        assert any((usual[key] != value).any() for key, value in weights(**other).items()), other


def test_what_an_iteration_reports() -> None:
    config = small(train_batch_size_per_learner=200)
    with config.build_algo() as algo:
        usual = algo.train()
    assert {"cpu_util_percent", "ram_util_percent"} == set(usual["perf"])
    assert not any("global_norm" in key for key in usual["learners"]["default_policy"])
    config.reporting(metrics_num_episodes_for_smoothing=1, log_gradients=True).debugging(log_sys_usage=False)
    with config.build_algo() as algo:
        other = algo.train()
    assert "perf" not in other
    assert any("global_norm" in key for key in other["learners"]["default_policy"])
    found = other["env_runners"]
    assert found["episode_return_min"] == found["episode_return_max"] == found["episode_return_mean"]
    assert usual["env_runners"]["episode_return_min"] < usual["env_runners"]["episode_return_max"]


class Middle(Mean):
    """The median."""

    NAME = "middle"

    def _reduced(self, numbers: list[Any]) -> Any:
        return float(np.median(numbers))


def test_what_is_logged_may_be_reduced_in_ways_of_ones_own() -> None:
    def log(metrics_logger: Any, **_: Any) -> None:
        for value in (1.0, 2.0, 12.0):
            metrics_logger.log_value("own", value, reduce="middle", window=3)

    config = small().reporting(custom_stats_cls_lookup={"middle": Middle}).callbacks(on_sample_end=log)
    with config.build_algo() as algo:
        assert algo.train()["env_runners"]["own"] == 2.0


def test_an_iteration_takes_as_long_as_it_is_to(monkeypatch: pytest.MonkeyPatch) -> None:
    config = small().reporting(min_time_s_per_iteration=3)
    steps: list[None] = []
    with config.build_algo() as algo:
        monkeypatch.setattr("shoal.rllib.algorithms.algorithm.time.perf_counter", lambda: float(len(steps)))
        monkeypatch.setattr(algo, "training_step", lambda: steps.append(None))
        algo._training_steps()
    assert len(steps) == 3


def test_classes_and_functions_are_told_of_what_happens() -> None:
    from shoal.rllib.callbacks.callbacks import RLlibCallback

    told: list[str] = []

    class Told(RLlibCallback):
        def on_algorithm_init(self, **_: Any) -> None:
            told.append("the class")

    config = small().callbacks(Told, on_algorithm_init=lambda **_: told.append("the function"))
    config.build_algo().stop()
    assert sorted(told) == ["the class", "the function"]


def test_torch_alone_loads_a_module(tmp_path: Path) -> None:
    file = "learner_group/learner/rl_module/default_policy/model.pt"
    with small().checkpointing(export_native_model_files=True).build_algo() as algo:
        algo.save_to_path(tmp_path / "with")
        module: Any = algo.get_module()
        loaded = torch.load(tmp_path / "with" / file)
        assert loaded.keys() == module.state_dict().keys()
        assert all(torch.equal(value, loaded[key]) for key, value in module.state_dict().items())
    with small().build_algo() as algo:
        algo.save_to_path(tmp_path / "without")
    assert not (tmp_path / "without" / file).exists()


@pytest.mark.parametrize("evaluation_duration_unit", ["episodes", "timesteps"])
def test_how_long_an_evaluation_is(monkeypatch: pytest.MonkeyPatch, evaluation_duration_unit: str) -> None:
    rounds: list[Any] = []
    config = small().evaluation(
        evaluation_duration=5,
        evaluation_duration_unit=evaluation_duration_unit,
        evaluation_sample_timeout_s=7.0,
        evaluation_force_reset_envs_before_iteration=False,
        evaluation_auto_duration_min_env_steps_per_sample=10,
        evaluation_auto_duration_max_env_steps_per_sample=25,
    )
    evaluation = Evaluation(config, None)
    with monkeypatch.context() as patched:
        patched.setattr(evaluation, "_round", lambda *arguments: bool(rounds.append(arguments)) or True)
        evaluation._sample(lambda: True)
        config.evaluation_duration = "auto"
        evaluation._sample(lambda: len(rounds) > 3)
    auto = [(steps, "timesteps", False) for steps in (10, 20, 25)]
    assert rounds == [(5, evaluation_duration_unit, False), *auto]
    evaluation.group.stop()
    asked: list[Any] = []
    evaluation.group = SimpleNamespace(  # type: ignore[assignment]
        num_env_runners=1,
        healthy_env_runner_ids=lambda: [1],
        work_through=lambda func, work, timeout_s: (asked.append(timeout_s), ([], []))[1],
    )
    evaluation._round(5, "timesteps", False)
    assert asked == [7.0]


# --- recorded data -----------------------------------------------------------------------------------------------------------------

ROWS = {"obs": np.zeros((6, 4), np.float32), "actions": np.arange(6) % 2}


class Rows:
    """A dataset that tells how it was read."""

    def __init__(self) -> None:
        self.arguments: dict[str, Any] = {}

    def iter_batches(self, **arguments: Any) -> Any:
        self.arguments = arguments
        yield dict(ROWS)


class OwnData(OfflineData):
    """A class of one's own."""

    def __init__(self, config: Any, *, colour: str, **arguments: Any) -> None:
        super().__init__(config, **arguments)
        self.colour = colour


def cloning(input_: Any, **offline: Any) -> BCConfig:
    config = BCConfig().environment("CartPole-v1").rl_module(model_config={"fcnet_hiddens": [4]})
    return config.offline_data(input_=input_, ignore_final_observation=True, **offline)


def test_recorded_data_is_read_as_it_is_asked_for() -> None:
    rows = Rows()
    config = cloning(
        rows,
        map_batches_kwargs={"batch_size": 3},
        iter_batches_kwargs={"prefetch_batches": 5},
        offline_data_class=OwnData,
        offline_data_class_kwargs={"colour": "blue"},
    )
    with config.build_algo() as algo:
        assert algo.offline_data.colour == "blue" and len(algo.offline_data) == 6
    assert rows.arguments == {"prefetch_batches": 5, "batch_size": 3, "batch_format": "numpy"}


def test_files_are_read_and_written_with_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    from shoal.rllib._internal.offline import recording
    from shoal.rllib.offline import offline_data

    called: list[Any] = []

    class Disk:
        def __init__(self, **arguments: Any) -> None:
            self.arguments = arguments

    def read_parquet(path: Any, **arguments: Any) -> Any:
        called.append((path, arguments.pop("filesystem").arguments, arguments))
        return Rows()

    monkeypatch.setattr(offline_data, "data_library", lambda why: SimpleNamespace(read_parquet=read_parquet))
    how = {"input_filesystem": Disk, "input_filesystem_kwargs": {"room": 1}}
    OfflineData(cloning("somewhere", input_read_method_kwargs={"columns": ["obs"]}, **how))
    assert called == [("somewhere", {"room": 1}, {"columns": ["obs"]})]

    class Written:
        def write_parquet(self, path: Any, **arguments: Any) -> None:
            called.append((path, arguments.pop("filesystem").arguments, arguments))

    library = SimpleNamespace(Dataset=Written, from_arrow=lambda table: Written())
    monkeypatch.setattr(recording, "data_library", lambda why: library)
    monkeypatch.setattr(recording, "_first_free", lambda *_: 0)
    config = small().offline_data(
        output="/elsewhere",
        output_filesystem=Disk,
        output_filesystem_kwargs={"room": 2},
        output_write_method_kwargs={"compression": "zstd"},
        output_write_remaining_data=True,
    )
    runner = EnvRunnerGroup(config).local_runner
    runner.sample(num_episodes=1)
    runner.stop()
    ((path, room, arguments),) = called[1:]
    assert path.startswith("/elsewhere/") and (room, arguments) == ({"room": 2}, {"compression": "zstd"})


def test_recorded_actions_are_as_they_are_said_to_be() -> None:
    space = gym.spaces.Box(-4.0, 4.0, (1,), np.float32)
    rows = {"obs": ROWS["obs"][:2], "actions": np.array([[1.0], [-0.5]], np.float32)}

    def actions(normalized: bool) -> Any:
        config = cloning(rows, actions_in_input_normalized=normalized).environment(action_space=space)
        steps = OfflineData(config).steps
        assert steps is not None
        return np.ravel(steps.pairs(np.arange(2))["actions"]).tolist()

    assert actions(True) == [1.0, -0.5]
    assert actions(False) == [0.25, -0.125]
