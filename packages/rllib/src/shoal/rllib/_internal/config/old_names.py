"""What settings were called before."""

from __future__ import annotations

OLD_NAMES = {
    "num_workers": "num_env_runners",
    "num_rollout_workers": "num_env_runners",
    "num_envs_per_worker": "num_envs_per_env_runner",
    "num_cpus_per_worker": "num_cpus_per_env_runner",
    "num_gpus_per_worker": "num_gpus_per_env_runner",
    "num_learner_workers": "num_learners",
    "num_gpus_per_learner_worker": "num_gpus_per_learner",
    "num_cpus_per_learner_worker": "num_cpus_per_learner",
    "sgd_minibatch_size": "minibatch_size",
    "mini_batch_size_per_learner": "minibatch_size",
    "num_sgd_iter": "num_epochs",
    "shuffle_sequences": "shuffle_batch_per_epoch",
    "evaluation_num_workers": "evaluation_num_env_runners",
    "recreate_failed_env_runners": "restart_failed_env_runners",
    "recreate_failed_workers": "restart_failed_env_runners",
    "ignore_worker_failures": "ignore_env_runner_failures",
    "max_requests_in_flight_per_sampler_worker": "max_requests_in_flight_per_env_runner",
    "max_num_worker_restarts": "max_num_env_runner_restarts",
    "delay_between_worker_restarts_s": "delay_between_env_runner_restarts_s",
    "num_consecutive_worker_failures_tolerance": "num_consecutive_env_runner_failures_tolerance",
    "worker_health_probe_timeout_s": "env_runner_health_probe_timeout_s",
    "worker_restore_timeout_s": "env_runner_restore_timeout_s",
    "validate_workers_after_construction": "validate_env_runners_after_construction",
    "custom_resources_per_worker": "custom_resources_per_env_runner",
    "num_cpus_for_driver": "num_cpus_for_main_process",
    "num_cpus_for_local_worker": "num_cpus_for_main_process",
    "metrics_smoothing_episodes": "metrics_num_episodes_for_smoothing",
    "lr_schedule": "lr",
    "entropy_coeff_schedule": "entropy_coeff",
    "lambda": "lambda_",
    "input": "input_",
    "model_config_dict": "model_config",
}
"""Old names that mean the same as these."""

SCHEDULES = frozenset({"lr_schedule", "entropy_coeff_schedule"})
"""Those of which None means that there is none, rather than a value."""

MOVED: dict[str, tuple[str, ...]] = {
    "resources": (
        "num_cpus_per_worker",
        "num_gpus_per_worker",
        "custom_resources_per_worker",
        "num_learner_workers",
        "num_cpus_per_learner_worker",
        "num_gpus_per_learner_worker",
        "local_gpu_idx",
    ),
    "training": (
        "num_aggregator_actors_per_learner",
        "max_requests_in_flight_per_aggregator_actor",
        "max_requests_in_flight_per_sampler_worker",
    ),
    "multi_agent": ("algorithm_config_overrides_per_module",),
}
"""By setter, what it was given before, and another is given now."""
