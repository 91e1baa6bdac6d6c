"""Settings that are accepted and change nothing, and what to do instead. Whoever misses something by that is told so."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from types import FrameType
from typing import Any

from shoal.rllib.utils.error import ConfigError, NoEffectWarning

_COLUMNS = "all steps are in columns, and what depends on weights is worked out where they are"
_OLD_STACK = "it is of Ray's old API stack"
_BATCHES = "batches are put together where they are learned from"
_FIRST_LEARNER = (
    "recorded data is evaluated on where it is learned from, by the first learner; dataset_num_iters_per_offline_eval_runner is how many "
    "batches of offline_eval_batch_size_per_runner steps it has"
)
_LOGS = "Python's logging, and Tune's callbacks, are the program's to set"

WITHOUT_EFFECT: dict[str, str] = {
    "prelearner_buffer_class": _COLUMNS,
    "prelearner_buffer_kwargs": _COLUMNS,
    "prelearner_module_synch_period": _COLUMNS,
    "input_compress_columns": "what is packed is unpacked, whichever columns it is",
    "output_compress_columns": "Parquet packs all columns",
    "output_max_file_size": "output_max_rows_per_file bounds files",
    "input_spaces_jsonable": "spaces are those of environment(observation_space=..., action_space=...)",
    "input_config": "input_read_method_kwargs are the arguments of what reads",
    "output_config": "output_write_method_kwargs are the arguments of what writes",
    "offline_sampling": _OLD_STACK,
    "postprocess_inputs": _OLD_STACK,
    "shuffle_buffer_size": "each pass over the data has an order of its own",
    "num_aggregator_actors_per_learner": _BATCHES,
    "max_requests_in_flight_per_aggregator_actor": _BATCHES,
    "use_env_runner_state_server": "weights travel through shared memory",
    "compress_observations": "episodes travel through shared memory",
    "episodes_to_numpy": "episodes always are arrays when they are returned; callbacks see them as they grow",
    "num_offline_eval_runners": _FIRST_LEARNER,
    "offline_eval_runner_class": "offline_loss_for_module_fn gives another loss",
    "off_policy_estimation_methods": _OLD_STACK,
    "_torch_grad_scaler_class": "override a learner's compute_gradients() and apply_gradients()",
    "policy_map_capacity": _OLD_STACK,
    "policy_states_are_swappable": _OLD_STACK,
    "observation_fn": "use a connector: env_runners(env_to_module_connector=...)",
    "fake_sampler": _OLD_STACK,
    "keep_per_episode_custom_metrics": 'metrics_logger.log_value(..., reduce="item_series") keeps them',
    "logger_config": _LOGS,
    "logger_creator": _LOGS,
    "_use_msgpack_checkpoints": "checkpoints are pickles",
}
"""By the setting's name, why it changes nothing, or what to do instead."""

NOT_MISSED = frozenset(
    {
        "compress_observations",
        "input_compress_columns",
        "max_requests_in_flight_per_aggregator_actor",
        "num_aggregator_actors_per_learner",
        "policy_map_capacity",
        "policy_states_are_swappable",
        "prelearner_module_synch_period",
        "use_env_runner_state_server",
    }
)
"""Those by which Ray comes to the same results faster, or with less memory. Programs set them as a matter of course."""

_CONNECTOR = "env_runners(env_to_module_connector=lambda env, spaces, device: MeanStdFilter())"
_QUIET = ("NoFilter", "deepmind")
_ASKS_FOR_WHAT_IS = ("enable_", "_enable_", "_disable_")

WITHOUT_MEANING: dict[str, str] = {
    "eager_tracing": _OLD_STACK,
    "eager_max_retraces": _OLD_STACK,
    "tf_session_args": _OLD_STACK,
    "local_tf_session_args": _OLD_STACK,
    "simple_optimizer": _OLD_STACK,
    "num_gpus": "devices are those of learners(num_gpus_per_learner=...)",
    "enable_connectors": _OLD_STACK,
    "preprocessor_pref": "frames are prepared by wrap_atari_for_new_api_stack",
    "observation_filter": f"observations are normalised by {_CONNECTOR}",
    "create_env_on_driver": "it is called env_runners(create_env_on_local_worker=...)",
    "_enable_learner_api": _OLD_STACK,
    "_enable_rl_module_api": _OLD_STACK,
    "_disable_preprocessor_api": _OLD_STACK,
    "fake_gpus": _OLD_STACK,
    "num_gpu_loader_threads": _OLD_STACK,
    "num_multi_gpu_tower_stacks": _OLD_STACK,
    "minibatch_buffer_size": _OLD_STACK,
    "learner_queue_timeout": _OLD_STACK,
    "timeout_s_sampler_manager": _OLD_STACK,
    "timeout_s_aggregator_manager": _OLD_STACK,
    "optimizer": "override a learner's configure_optimizers_for_module()",
    "use_worker_filter_stats": "merge_env_runner_states says whether states of connectors are merged",
    "update_worker_filter_stats": "broadcast_env_runner_states says whether states of connectors are sent to runners",
    "remote_worker_envs": 'gym_env_vectorize_mode="async" steps environments in processes of their own',
    "remote_env_batch_wait_ms": _OLD_STACK,
    "sample_collector": _OLD_STACK,
    "sampler_perf_stats_ema_coef": _OLD_STACK,
    "env_task_fn": "change environments in a callback: on_train_result, and env_runner_group.foreach_env()",
    "auto_wrap_old_gym_envs": "environments are Gymnasium's",
    "always_attach_evaluation_results": "results of the last evaluation stay where a callback keeps them",
    "enable_async_evaluation": "evaluation_parallel_to_training=True evaluates while the algorithm trains",
    "ope_split_batch_by_episode": _OLD_STACK,
    "metrics_episode_collection_timeout_s": _OLD_STACK,
    "num_cpus_per_aggregator_actor": _BATCHES,
    "custom_resources_per_aggregator_actor": _BATCHES,
    "offline_evaluation_duration": _FIRST_LEARNER,
    "offline_evaluation_parallel_to_training": _FIRST_LEARNER,
    "offline_evaluation_timeout_s": _FIRST_LEARNER,
    "offline_eval_rl_module_inference_only": _FIRST_LEARNER,
    "num_cpus_per_offline_eval_runner": _FIRST_LEARNER,
    "num_gpus_per_offline_eval_runner": _FIRST_LEARNER,
    "custom_resources_per_offline_eval_runner": _FIRST_LEARNER,
    "max_requests_in_flight_per_offline_eval_runner": _FIRST_LEARNER,
    "broadcast_offline_eval_runner_states": _FIRST_LEARNER,
    "validate_offline_eval_runners_after_construction": _FIRST_LEARNER,
    "restart_failed_offline_eval_runners": _FIRST_LEARNER,
    "ignore_offline_eval_runner_failures": _FIRST_LEARNER,
    "max_num_offline_eval_runner_restarts": _FIRST_LEARNER,
    "offline_eval_runner_health_probe_timeout_s": _FIRST_LEARNER,
    "offline_eval_runner_restore_timeout_s": _FIRST_LEARNER,
    "exploration_config": "how a module explores is the module's affair: DQN has training(epsilon=...)",
}
"""Settings of Ray's, most of its old API stack, that are no settings here, and what there is instead."""

_STACK = ("enable_rl_module_and_learner", "enable_env_runner_and_connector_v2", "_enable_new_api_stack")


def tell(name: str, value: Any, before: Any) -> None:
    """Warns where a setting changes that has no effect, and whoever set it may miss it."""
    if name in WITHOUT_EFFECT and name not in NOT_MISSED and not _same(value, before):
        _warn(f"{name} is {value!r}, and has no effect: {WITHOUT_EFFECT[name]}")


def passed_over(name: str, value: Any) -> bool:
    """Whether a name means nothing any more. Warns where the value asks for something. Raises ConfigError for the old API stack."""
    if name in _STACK:
        if value is False:
            raise ConfigError(f"{name} is False, which is Ray's old API stack; there is the new one alone")
        return True
    if name not in WITHOUT_MEANING:
        return False
    if value and value not in _QUIET and not name.startswith(_ASKS_FOR_WHAT_IS):
        _warn(f"{name} is {value!r}, and has no effect: {WITHOUT_MEANING[name]}")
    return True


def _warn(text: str) -> None:
    """Warns, and names the line of the program, however many calls within this package there are between."""
    frame: FrameType | None = sys._getframe()
    level = 0
    while frame is not None and str(frame.f_globals.get("__name__")).startswith("shoal.rllib."):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, NoEffectWarning, stacklevel=level + 1)


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, Mapping) and isinstance(other, Mapping):
        return dict(value) == dict(other)
    if isinstance(value, list | tuple) and isinstance(other, list | tuple):
        return list(value) == list(other)
    return type(value) is type(other) and bool(value == other)
