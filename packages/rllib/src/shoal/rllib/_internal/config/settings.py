"""The settings of the base configuration: their names and what they are unless something is set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from shoal.rllib.core import DEFAULT_POLICY_ID
from shoal.rllib.utils.error import FrozenConfigError

LOG_LEVEL = "WARN"


class MadeWhole(type):
    """Lets a configuration know when all of its classes have set their settings: what is set then is looked at."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        made = super().__call__(*args, **kwargs)
        made.__dict__["_frozen"] = False
        return made


class Settings(metaclass=MadeWhole):
    """Settings, by the methods that set them. Once frozen, they stay as they are."""

    def __init__(self) -> None:
        self._frozen: bool | None = None  # not before all settings are there
        # Creators of environments that were registered in the process which this came from.
        self._luggage: dict[str, bytes | str] = {}
        # environment
        self.env: Any = None
        self.env_config: dict[str, Any] = {}
        self.observation_space: Any = None
        self.action_space: Any = None
        self.render_env = False
        self.clip_rewards: bool | float | None = None
        self.normalize_actions = True
        self.clip_actions = False
        self.disable_env_checking = False
        self._is_atari: bool | None = None
        self.action_mask_key = "action_mask"
        # env_runners
        self.env_runner_cls: type[Any] | None = None
        self.num_env_runners = 0
        self.create_local_env_runner = True
        self.create_env_on_local_worker = False
        self.num_envs_per_env_runner = 1
        self.gym_env_vectorize_mode: Any = "sync"
        self.num_cpus_per_env_runner: float = 1
        self.num_gpus_per_env_runner: float = 0
        self.custom_resources_per_env_runner: dict[str, float] = {}
        self.validate_env_runners_after_construction = True
        self.sample_timeout_s: float | None = 60.0
        self.max_requests_in_flight_per_env_runner = 1
        self.env_to_module_connector: Callable[..., Any] | None = None
        self.module_to_env_connector: Callable[..., Any] | None = None
        self.add_default_connectors_to_env_to_module_pipeline = True
        self.add_default_connectors_to_module_to_env_pipeline = True
        self.episode_lookback_horizon = 1
        self.merge_env_runner_states: bool | str = "training_only"
        self.broadcast_env_runner_states = True
        self.episodes_to_numpy = True
        self.use_env_runner_state_server = False
        self.compress_observations = False
        self.rollout_fragment_length: int | str = 200
        self.batch_mode = "truncate_episodes"
        self.explore = True
        # learners
        self.num_learners = 0
        self.num_gpus_per_learner: float = 0
        self.num_cpus_per_learner: float | str = "auto"
        self.num_aggregator_actors_per_learner = 0
        self.max_requests_in_flight_per_aggregator_actor: int = 3
        self.max_requests_in_flight_per_learner: int = 3
        self.local_gpu_idx = 0
        self.custom_resources_per_learner: dict[str, float] = {}
        self._learner_class: type[Any] | None = None
        self.learner_connector: Callable[..., Any] | None = None
        self.add_default_connectors_to_learner_pipeline = True
        self.learner_config_dict: dict[str, Any] = {}
        # training
        self.gamma = 0.99
        self.lr: Any = 0.001
        self.grad_clip: Any = None
        self.grad_clip_by = "global_norm"
        self._train_batch_size_per_learner: int | None = None
        self.train_batch_size: int = 32
        self.num_epochs = 1
        self.minibatch_size: int | None = None
        self.shuffle_batch_per_epoch = False
        # rl_module
        self._model_config: Any = {}
        self._rl_module_spec: Any = None
        self.algorithm_config_overrides_per_module: dict[str, Any] = {}
        # multi_agent
        self.policies: Any = {DEFAULT_POLICY_ID}
        self.policy_mapping_fn: Callable[..., str] = default_policy_mapping
        self.policies_to_train: Any = None
        self.count_steps_by = "env_steps"
        self.policy_map_capacity = 100
        self.policy_states_are_swappable = False
        self.observation_fn: Callable[..., Any] | None = None
        # evaluation
        self.evaluation_interval: int | None = None
        self.evaluation_duration: int | str = 10
        self.evaluation_duration_unit = "episodes"
        self.evaluation_sample_timeout_s: float | None = 120.0
        self.evaluation_auto_duration_min_env_steps_per_sample = 100
        self.evaluation_auto_duration_max_env_steps_per_sample = 2000
        self.evaluation_parallel_to_training = False
        self.evaluation_force_reset_envs_before_iteration = True
        self.evaluation_config: Any = None
        self.evaluation_num_env_runners = 0
        self.custom_evaluation_function: Callable[..., Any] | None = None
        self.in_evaluation = False
        self.offline_evaluation_interval: int | None = None
        self.num_offline_eval_runners = 0
        self.offline_evaluation_type: str | None = None
        self.offline_eval_runner_class: Any = None
        self.offline_loss_for_module_fn: Callable[..., Any] | None = None
        self.offline_eval_batch_size_per_runner = 256
        self.dataset_num_iters_per_offline_eval_runner = 1
        self.off_policy_estimation_methods: dict[str, Any] = {}
        # offline_data
        self.input_: Any = "sampler"
        self.offline_data_class: Any = None
        self.offline_data_class_kwargs: dict[str, Any] = {}
        self.offline_sampling = False
        self.input_read_method: Any = "read_parquet"
        self.input_read_method_kwargs: dict[str, Any] = {}
        self.input_read_schema: dict[str, str] = {}
        self.input_read_episodes = False
        self.input_read_sample_batches = False
        self.input_read_batch_size: int | None = None
        self.input_filesystem: Any = None
        self.input_filesystem_kwargs: dict[str, Any] = {}
        self.input_compress_columns: list[str] = ["obs", "new_obs"]
        self.input_spaces_jsonable = True
        self.materialize_data = False
        self.materialize_mapped_data = True
        self.map_batches_kwargs: dict[str, Any] = {}
        self.iter_batches_kwargs: dict[str, Any] = {}
        self.ignore_final_observation = False
        self.prelearner_class: Any = None
        self.prelearner_buffer_class: Any = None
        self.prelearner_buffer_kwargs: dict[str, Any] = {}
        self.prelearner_module_synch_period = 10
        self.dataset_num_iters_per_learner: int | None = None
        self.input_config: dict[str, Any] = {}
        self.actions_in_input_normalized = False
        self.postprocess_inputs = False
        self.shuffle_buffer_size = 0
        self.output: Any = None
        self.output_config: dict[str, Any] = {}
        self.output_compress_columns: list[str] = ["obs", "new_obs"]
        self.output_max_file_size = 64 * 1024 * 1024
        self.output_max_rows_per_file: int | None = None
        self.output_write_remaining_data = False
        self.output_write_method = "write_parquet"
        self.output_write_method_kwargs: dict[str, Any] = {}
        self.output_filesystem: Any = None
        self.output_filesystem_kwargs: dict[str, Any] = {}
        self.output_write_episodes = True
        # callbacks
        self.callbacks_class: Any = None
        self.callbacks_functions: dict[str, Any] = {}
        # framework
        self.framework_str = "torch"
        self.torch_compile_learner = False
        self.torch_compile_learner_what_to_compile: Any = None
        self.torch_compile_learner_dynamo_backend: str | None = None
        self.torch_compile_learner_dynamo_mode: str | None = None
        self.torch_compile_worker = False
        self.torch_compile_worker_dynamo_backend: str | None = None
        self.torch_compile_worker_dynamo_mode: str | None = None
        self.torch_ddp_kwargs: dict[str, Any] = {}
        self.torch_skip_nan_gradients = False
        # reporting
        self.keep_per_episode_custom_metrics = False
        self.metrics_num_episodes_for_smoothing = 100
        self.min_time_s_per_iteration: float | None = None
        self.min_train_timesteps_per_iteration: int | None = 0
        self.min_sample_timesteps_per_iteration: int | None = 0
        self.log_gradients = False
        self.custom_stats_cls_lookup: dict[str, Any] | None = None
        # checkpointing
        self.export_native_model_files = False
        self.checkpoint_trainable_policies_only = False
        # debugging
        self.logger_creator: Any = None
        self.logger_config: dict[str, Any] | None = None
        self.log_level = LOG_LEVEL
        self.log_sys_usage = True
        self.fake_sampler = False
        self.seed: int | None = None
        # fault_tolerance
        self.restart_failed_env_runners = True
        self.ignore_env_runner_failures = False
        self.max_num_env_runner_restarts = 1000
        self.delay_between_env_runner_restarts_s = 60.0
        self.restart_failed_sub_environments = False
        self.num_consecutive_env_runner_failures_tolerance = 100
        self.env_runner_health_probe_timeout_s = 30.0
        self.env_runner_restore_timeout_s = 1800.0
        # resources, python_environment, experimental
        self.num_cpus_for_main_process: float = 1
        self.custom_resources_for_main_process: dict[str, float] = {}
        self.placement_strategy = "PACK"
        self.extra_python_environs_for_driver: dict[str, str] = {}
        self.extra_python_environs_for_worker: dict[str, str] = {}
        self._validate_config = True
        self._use_msgpack_checkpoints = False
        self._torch_grad_scaler_class: Any = None
        self._torch_lr_scheduler_classes: Any = None

    def __setattr__(self, name: str, value: Any) -> None:
        if self.__dict__.get("_frozen") and name != "_frozen":
            raise FrozenConfigError(
                f"{type(self).__name__}.{name} cannot be set to {value!r}: an algorithm goes by this configuration, so it is frozen. "
                "Change a copy: config.copy(copy_frozen=False)"
            )
        object.__setattr__(self, name, value)


def default_policy_mapping(agent_id: Any, episode: Any = None, **_: Any) -> str:
    """Every agent goes by the one policy."""
    return DEFAULT_POLICY_ID
