"""Each setting has an effect, which a test shows, or whoever changes it is warned that it has none, unless nobody misses it."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path
from typing import Any

import pytest

from shoal.rllib._internal.config.without_effect import NOT_MISSED, WITHOUT_EFFECT, WITHOUT_MEANING
from shoal.rllib.algorithms.algorithm_config import AlgorithmConfig
from shoal.rllib.utils.error import NoEffectWarning

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
    "env_runner_cls": "algorithms/test_effects_of_settings.py::test_runners_are_of_the_class_and_in_the_place_that_is_asked_for",
    "num_env_runners": "algorithms/test_algorithm_config.py::test_fragments_make_up_the_batch",
    "create_local_env_runner": "algorithms/test_effects_of_settings.py::"
    "test_runners_are_of_the_class_and_in_the_place_that_is_asked_for",
    "create_env_on_local_worker": "algorithms/test_effects_of_settings.py::"
    "test_runners_are_of_the_class_and_in_the_place_that_is_asked_for",
    "num_envs_per_env_runner": "env/test_environment_settings.py::"
    "test_an_algorithm_is_asked_about_each_environment",
    "gym_env_vectorize_mode": "env/test_single_agent_env_runner.py::test_processes_of_gymnasium_step_as_well",
    "num_cpus_per_env_runner": "tune/test_algorithms_in_tune.py::test_what_a_trial_needs_follows_from_its_settings",
    "num_gpus_per_env_runner": "algorithms/test_effects_of_settings.py::test_resources_are_asked_for",
    "custom_resources_per_env_runner": "algorithms/test_effects_of_settings.py::test_resources_are_asked_for",
    "validate_env_runners_after_construction": "algorithms/test_effects_of_settings.py::"
    "test_all_actors_are_waited_for_or_the_first_alone",
    "sample_timeout_s": "env/test_env_runner_group.py::test_a_runner_that_hangs_is_ended_and_its_place_is_told",
    "max_requests_in_flight_per_env_runner": "algorithms/test_effects_of_settings.py::test_actors_have_calls_waiting",
    "env_to_module_connector": "connectors/test_connectors.py::"
    "test_functions_and_custom_pieces_may_take_what_they_need",
    "module_to_env_connector": "connectors/test_connectors.py::"
    "test_actions_may_be_changed_on_their_way_to_the_environment",
    "add_default_connectors_to_env_to_module_pipeline": "algorithms/test_effects_of_settings.py::"
    "test_default_connectors_may_be_left_out",
    "add_default_connectors_to_module_to_env_pipeline": "algorithms/test_effects_of_settings.py::"
    "test_default_connectors_may_be_left_out",
    "episode_lookback_horizon": "connectors/test_connectors.py::"
    "test_latest_actions_and_rewards_are_a_part_of_observations",
    "merge_env_runner_states": "algorithms/test_effects_of_settings.py::test_states_of_connectors_are_merged_and_sent",
    "broadcast_env_runner_states": "algorithms/test_effects_of_settings.py::test_states_of_connectors_are_merged_and_sent",
    "rollout_fragment_length": "env/test_single_agent_env_runner.py::"
    "test_how_much_is_sampled_follows_the_configuration",
    "batch_mode": "env/test_single_agent_env_runner.py::test_how_much_is_sampled_follows_the_configuration",
    "explore": "algorithms/test_algorithm_config.py::test_evaluation_has_settings_that_differ",
    "num_learners": "algorithms/test_bc.py::test_actors_learn_together",
    "num_gpus_per_learner": "algorithms/test_effects_of_settings.py::test_resources_are_asked_for",
    "num_cpus_per_learner": "algorithms/test_effects_of_settings.py::test_resources_are_asked_for",
    "max_requests_in_flight_per_learner": "algorithms/test_effects_of_settings.py::test_learners_have_updates_waiting",
    "local_gpu_idx": "algorithms/test_effects_of_settings.py::test_devices_are_those_that_are_asked_for",
    "custom_resources_per_learner": "algorithms/test_effects_of_settings.py::test_resources_are_asked_for",
    "learner_class": "algorithms/test_ppo.py::test_a_users_learner_changes_the_loss",
    "learner_connector": "algorithms/test_ppo.py::test_a_users_connector_changes_episodes_and_adds_columns",
    "add_default_connectors_to_learner_pipeline": "learner/test_learner_connectors.py::"
    "test_no_pieces_at_all_are_refused",
    "learner_config_dict": "algorithms/test_ppo.py::test_a_users_learner_changes_the_loss",
    "gamma": "algorithms/test_effects_of_settings.py::test_what_an_update_goes_by",
    "lr": "algorithms/test_ppo_multi_agent.py::test_policies_have_learning_rates_of_their_own",
    "grad_clip": "algorithms/test_ppo.py::test_gradients_are_clipped",
    "grad_clip_by": "algorithms/test_ppo.py::test_gradients_are_clipped",
    "train_batch_size_per_learner": "algorithms/test_algorithm_config.py::test_fragments_make_up_the_batch",
    "train_batch_size": "algorithms/test_bc.py::test_actors_learn_together",
    "num_epochs": "algorithms/test_effects_of_settings.py::test_what_an_update_goes_by",
    "minibatch_size": "algorithms/test_effects_of_settings.py::test_what_an_update_goes_by",
    "shuffle_batch_per_epoch": "algorithms/test_effects_of_settings.py::test_what_an_update_goes_by",
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
    "evaluation_duration_unit": "algorithms/test_effects_of_settings.py::test_how_long_an_evaluation_is",
    "evaluation_sample_timeout_s": "algorithms/test_effects_of_settings.py::test_how_long_an_evaluation_is",
    "evaluation_auto_duration_min_env_steps_per_sample": "algorithms/test_effects_of_settings.py::"
    "test_how_long_an_evaluation_is",
    "evaluation_auto_duration_max_env_steps_per_sample": "algorithms/test_effects_of_settings.py::"
    "test_how_long_an_evaluation_is",
    "evaluation_parallel_to_training": "algorithms/test_repeatability.py::"
    "test_evaluation_beside_training_changes_nothing_of_it",
    "evaluation_force_reset_envs_before_iteration": "algorithms/test_effects_of_settings.py::test_how_long_an_evaluation_is",
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
    "offline_data_class": "algorithms/test_effects_of_settings.py::test_recorded_data_is_read_as_it_is_asked_for",
    "offline_data_class_kwargs": "algorithms/test_effects_of_settings.py::test_recorded_data_is_read_as_it_is_asked_for",
    "input_read_method": "offline/test_offline_data.py::test_columns_episodes_datasets_and_files_hold_the_same",
    "input_read_method_kwargs": "algorithms/test_effects_of_settings.py::test_files_are_read_and_written_with_arguments",
    "input_read_schema": "offline/test_rows.py::test_missing_columns_are_told_with_what_looks_like_them",
    "input_read_episodes": "offline/test_offline_data.py::test_pickled_episodes_are_recognised_and_checked",
    "input_read_sample_batches": "offline/test_offline_data.py::test_batches_of_the_old_stack_are_taken_apart",
    "input_read_batch_size": "offline/test_offline_data.py::test_windows_are_gone_through_one_after_the_other",
    "input_filesystem": "algorithms/test_effects_of_settings.py::test_files_are_read_and_written_with_arguments",
    "input_filesystem_kwargs": "algorithms/test_effects_of_settings.py::test_files_are_read_and_written_with_arguments",
    "materialize_data": "offline/test_offline_data.py::test_columns_episodes_datasets_and_files_hold_the_same",
    "materialize_mapped_data": "offline/test_offline_data.py::test_windows_are_gone_through_one_after_the_other",
    "map_batches_kwargs": "algorithms/test_effects_of_settings.py::test_recorded_data_is_read_as_it_is_asked_for",
    "iter_batches_kwargs": "algorithms/test_effects_of_settings.py::test_recorded_data_is_read_as_it_is_asked_for",
    "ignore_final_observation": "offline/test_offline_data.py::test_bc_needs_neither_rewards_nor_ends",
    "prelearner_class": "offline/test_offline_data.py::test_prelearners_of_ones_own_make_episodes",
    "dataset_num_iters_per_learner": "algorithms/test_bc.py::test_iterations_are_as_many_batches_as_asked_for",
    "actions_in_input_normalized": "algorithms/test_effects_of_settings.py::test_recorded_actions_are_as_they_are_said_to_be",
    "output": "offline/test_recording.py::test_files_have_as_many_rows_as_were_asked_for",
    "output_max_rows_per_file": "offline/test_recording.py::test_files_have_as_many_rows_as_were_asked_for",
    "output_write_remaining_data": "offline/test_recording.py::test_files_have_as_many_rows_as_were_asked_for",
    "output_write_method": "offline/test_recording.py::test_other_forms_and_what_cannot_be",
    "output_write_method_kwargs": "algorithms/test_effects_of_settings.py::test_files_are_read_and_written_with_arguments",
    "output_filesystem": "algorithms/test_effects_of_settings.py::test_files_are_read_and_written_with_arguments",
    "output_filesystem_kwargs": "algorithms/test_effects_of_settings.py::test_files_are_read_and_written_with_arguments",
    "output_write_episodes": "offline/test_recording.py::test_rows_are_what_other_programs_understand",
    "callbacks_class": "algorithms/test_effects_of_settings.py::test_classes_and_functions_are_told_of_what_happens",
    "callbacks_functions": "algorithms/test_effects_of_settings.py::test_classes_and_functions_are_told_of_what_happens",
    "framework_str": "algorithms/test_algorithm_config.py::test_dicts_are_refused_what_setters_are_refused",
    "torch_compile_learner": "learner/test_torch_learner.py::test_compiled_passes_give_the_same",
    "torch_compile_learner_what_to_compile": "learner/test_torch_learner.py::test_what_cannot_be_compiled_is_refused",
    "torch_compile_learner_dynamo_backend": "learner/test_torch_learner.py::test_compiled_passes_give_the_same",
    "torch_compile_learner_dynamo_mode": "algorithms/test_effects_of_settings.py::test_how_passes_are_compiled",
    "torch_compile_worker": "learner/test_torch_learner.py::test_compiled_passes_give_the_same",
    "torch_compile_worker_dynamo_backend": "learner/test_torch_learner.py::test_compiled_passes_give_the_same",
    "torch_compile_worker_dynamo_mode": "algorithms/test_effects_of_settings.py::test_how_passes_are_compiled",
    "_torch_lr_scheduler_classes": "learner/test_torch_learner.py::"
    "test_torchs_own_schedulers_step_after_each_update_and_go_on_from_a_state",
    "torch_ddp_kwargs": "learner/test_torch_learner.py::test_arguments_of_ddp_that_change_a_result_are_refused",
    "torch_skip_nan_gradients": "learner/test_torch_learner.py::"
    "test_steps_whose_gradients_are_no_numbers_are_left_out_where_that_is_asked_for",
    "metrics_num_episodes_for_smoothing": "algorithms/test_effects_of_settings.py::test_what_an_iteration_reports",
    "min_time_s_per_iteration": "algorithms/test_effects_of_settings.py::test_an_iteration_takes_as_long_as_it_is_to",
    "min_train_timesteps_per_iteration": "algorithms/test_dqn.py::"
    "test_an_iteration_learns_from_as_many_steps_as_it_is_asked_to",
    "min_sample_timesteps_per_iteration": "algorithms/test_ppo.py::test_an_iteration_is_as_long_as_it_is_asked_to_be",
    "log_gradients": "algorithms/test_effects_of_settings.py::test_what_an_iteration_reports",
    "custom_stats_cls_lookup": "algorithms/test_effects_of_settings.py::test_what_is_logged_may_be_reduced_in_ways_of_ones_own",
    "checkpoint_trainable_policies_only": "algorithms/test_ppo_multi_agent.py::test_only_policies_that_are_to_be_trained_are",
    "export_native_model_files": "algorithms/test_effects_of_settings.py::test_torch_alone_loads_a_module",
    "log_level": "algorithms/test_effects_of_settings.py::test_an_algorithm_sets_what_its_process_has",
    "log_sys_usage": "algorithms/test_effects_of_settings.py::test_what_an_iteration_reports",
    "seed": "algorithms/test_bc.py::test_it_is_the_same_again_and_resumed",
    "restart_failed_env_runners": "algorithms/test_effects_of_settings.py::test_restarts_go_by_the_settings",
    "ignore_env_runner_failures": "algorithms/test_effects_of_settings.py::test_restarts_go_by_the_settings",
    "max_num_env_runner_restarts": "algorithms/test_effects_of_settings.py::test_restarts_go_by_the_settings",
    "delay_between_env_runner_restarts_s": "algorithms/test_effects_of_settings.py::test_restarts_go_by_the_settings",
    "num_consecutive_env_runner_failures_tolerance": "algorithms/test_effects_of_settings.py::"
    "test_restarts_go_by_the_settings",
    "restart_failed_sub_environments": "env/test_single_agent_env_runner.py::"
    "test_an_environment_that_fails_is_made_anew_where_that_is_wanted",
    "env_runner_health_probe_timeout_s": "algorithms/test_effects_of_settings.py::test_deadlines_of_actors",
    "env_runner_restore_timeout_s": "algorithms/test_effects_of_settings.py::test_deadlines_of_actors",
    "num_cpus_for_main_process": "algorithms/test_effects_of_settings.py::test_resources_are_asked_for",
    "custom_resources_for_main_process": "algorithms/test_effects_of_settings.py::test_resources_are_asked_for",
    "placement_strategy": "algorithms/test_effects_of_settings.py::test_resources_are_asked_for",
    "extra_python_environs_for_driver": "algorithms/test_effects_of_settings.py::test_an_algorithm_sets_what_its_process_has",
    "extra_python_environs_for_worker": "algorithms/test_effects_of_settings.py::test_an_actor_sets_what_its_process_has",
    "_validate_config": "algorithms/test_effects_of_settings.py::test_what_does_not_fit_may_be_tried",
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
