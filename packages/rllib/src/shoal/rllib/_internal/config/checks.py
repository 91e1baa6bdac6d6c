"""Which values each setting takes. A setting that is not listed takes anything."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from shoal.rllib._internal.config.hooks import check_callbacks_class
from shoal.rllib.utils.error import ConfigError

Check = Callable[[str, Any], None]


def is_search_space(value: Any) -> bool:
    """Whether Tune puts a value in its place: a grid, or a domain to sample from."""
    if isinstance(value, Mapping):
        return len(value) == 1 and "grid_search" in value
    return type(value).__module__.startswith("shoal.tune.")


def check_setting(name: str, value: Any) -> None:
    """Raises ConfigError where a setting cannot have a value."""
    check = CHECKS.get(name)
    if check is not None and not is_search_space(value):
        check(name, value)


def _is_number(value: Any) -> bool:
    return (isinstance(value, int | float) and not isinstance(value, bool)) or hasattr(value, "__float__")


def integer(minimum: int, *, or_none: bool = False, words: tuple[str, ...] = ()) -> Check:
    wanted = f"a whole number >= {minimum}" + "".join(f" or {word!r}" for word in words)
    wanted += " or None" if or_none else ""

    def check(name: str, value: Any) -> None:
        if (or_none and value is None) or (isinstance(value, str) and value in words):
            return
        whole = isinstance(value, int) or (hasattr(value, "__index__"))
        if isinstance(value, bool) or not whole or value < minimum:
            raise ConfigError(f"{name} is {value!r}; give {wanted}")

    return check


def number(
    minimum: float = -math.inf, maximum: float = math.inf, *, or_none: bool = False, words: tuple[str, ...] = ()
) -> Check:
    span = f">= {minimum}" if maximum == math.inf else f"from {minimum} to {maximum}"
    wanted = "a number" + (f" {span}" if minimum != -math.inf else "") + "".join(f" or {word!r}" for word in words)
    wanted += " or None" if or_none else ""

    def check(name: str, value: Any) -> None:
        if (or_none and value is None) or (isinstance(value, str) and value in words):
            return
        if isinstance(value, bool | str) or not _is_number(value) or not minimum <= float(value) <= maximum:
            raise ConfigError(f"{name} is {value!r}; give {wanted}")

    return check


def boolean(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{name} is {value!r}; give True or False")


def choice(*options: Any) -> Check:
    def check(name: str, value: Any) -> None:
        if value not in options:
            raise ConfigError(f"{name} is {value!r}; give {' or '.join(map(repr, options))}")

    return check


def mapping(name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} is {value!r}; give a dict")


def schedule(minimum: float = -math.inf, maximum: float = math.inf, *, or_none: bool = False) -> Check:
    """A number, or `[[timestep, value], ...]` from time step 0 on."""
    one = number(minimum, maximum)

    def check(name: str, value: Any) -> None:
        if value is None and or_none:
            return
        if not isinstance(value, Sequence) or isinstance(value, str):
            one(name, value)
            return
        points = list(value)
        if len(points) < 2 or not all(isinstance(point, Sequence) and len(point) == 2 for point in points):
            raise ConfigError(
                f"{name} is {value!r}; give a number, or a schedule of two or more [timestep, value] pairs"
            )
        for point in points:
            integer(0)(f"{name}'s timestep", point[0])
            one(f"{name}'s value at {point[0]}", point[1])
        if points[0][0] != 0:
            raise ConfigError(f"{name} starts at timestep {points[0][0]}; the first entry of a schedule stands at 0")
        if any(later[0] <= earlier[0] for earlier, later in itertools.pairwise(points)):
            raise ConfigError(f"{name} is {value!r}; the timesteps of a schedule must rise")

    return check


def function_or_none(name: str, value: Any) -> None:
    if value is not None and not callable(value):
        raise ConfigError(f"{name} is {value!r}; give a function or None")


def classes_or_none(name: str, value: Any) -> None:
    for one in value if isinstance(value, list | tuple) else [value]:
        if one is not None and not callable(one):
            raise ConfigError(f"{name} is {value!r}; give a class derived from RLlibCallback, several, or None")
        if isinstance(one, type):
            check_callbacks_class(one)


def lr_schedulers_or_none(name: str, value: Any) -> None:
    for several in value.values() if isinstance(value, Mapping) else [value]:
        listed = isinstance(several, list | tuple) and all(map(callable, several))
        if several is not None and not listed:
            raise ConfigError(
                f"{name} is {value!r}; give a list of classes of torch.optim.lr_scheduler, or of functions that make one of an optimizer, "
                "such as functools.partial(ExponentialLR, gamma=0.99); or a dictionary of such lists by module"
            )


def spec_or_none(name: str, value: Any) -> None:
    if value is not None and (isinstance(value, type) or not callable(getattr(value, "build", None))):
        example = getattr(value, "__name__", "MyModule")
        raise ConfigError(
            f"{name} is {value!r}; give RLModuleSpec(module_class={example}), a MultiRLModuleSpec, or None"
        )


def bound_of_gradients(name: str, value: Any) -> None:
    schedule(0, or_none=True)(name, value)
    if _is_number(value) and float(value) == 0:
        raise ConfigError(
            f"{name} is {value!r}, which leaves nothing of any gradient; give a number > 0, or None for no bound"
        )


def torch_alone(name: str, value: Any) -> None:
    if value != "torch":
        raise ConfigError(f"framework is {value!r}; there is 'torch' alone")


def reward_bounds(name: str, value: Any) -> None:
    """None, True or False, a bound, or a pair of bounds."""
    if value is None or isinstance(value, bool):
        return
    bounds = list(value) if isinstance(value, list | tuple) else [value]
    numbers = all(_is_number(bound) and not isinstance(bound, str) for bound in bounds)
    if (
        not numbers
        or len(bounds) > 2
        or (len(bounds) == 2 and bounds[0] > bounds[1])
        or (bounds == [value] and value < 0)
    ):
        raise ConfigError(
            f"{name} is {value!r}; give True for signs, False or None, a bound >= 0, or a pair of the least and the most"
        )


def vectorize_mode(name: str, value: Any) -> None:
    known = ("sync", "async", "vector_entry_point", "envpool")
    if getattr(value, "value", value) not in known:
        raise ConfigError(f"{name} is {value!r}; give {', '.join(map(repr, known[:-1]))} or {known[-1]!r}")


CHECKS: dict[str, Check] = {
    "_torch_lr_scheduler_classes": lr_schedulers_or_none,
    "callbacks_class": classes_or_none,
    "framework": torch_alone,
    "framework_str": torch_alone,
    "clip_rewards": reward_bounds,
    "gym_env_vectorize_mode": vectorize_mode,
    "log_level": choice("DEBUG", "INFO", "WARN", "WARNING", "ERROR"),
    "log_sys_usage": boolean,
    "merge_env_runner_states": choice(True, False, "training_only"),
    "env_config": mapping,
    "render_env": boolean,
    "normalize_actions": boolean,
    "clip_actions": boolean,
    "disable_env_checking": boolean,
    "num_env_runners": integer(0),
    "num_envs_per_env_runner": integer(1),
    "rollout_fragment_length": integer(1, words=("auto",)),
    "batch_mode": choice("truncate_episodes", "complete_episodes"),
    "explore": boolean,
    "env_to_module_connector": function_or_none,
    "module_to_env_connector": function_or_none,
    "num_cpus_per_env_runner": number(0),
    "num_gpus_per_env_runner": number(0),
    "custom_resources_per_env_runner": mapping,
    "sample_timeout_s": number(0, or_none=True),
    "max_requests_in_flight_per_env_runner": integer(1),
    "episode_lookback_horizon": integer(0),
    "num_learners": integer(0),
    "num_gpus_per_learner": number(0),
    "num_cpus_per_learner": number(0, words=("auto",)),
    "learner_connector": function_or_none,
    "rl_module_spec": spec_or_none,
    "learner_config_dict": mapping,
    "lr": schedule(0, or_none=True),
    "gamma": number(0, 1),
    "train_batch_size": integer(1),
    "train_batch_size_per_learner": integer(1, or_none=True),
    "num_epochs": integer(1),
    "minibatch_size": integer(1, or_none=True),
    "shuffle_batch_per_epoch": boolean,
    "grad_clip": bound_of_gradients,
    "grad_clip_by": choice("value", "norm", "global_norm"),
    "count_steps_by": choice("env_steps", "agent_steps"),
    "policy_mapping_fn": function_or_none,
    "evaluation_interval": integer(0, or_none=True),
    "evaluation_duration": integer(1, words=("auto",)),
    "offline_evaluation_interval": integer(0, or_none=True),
    "offline_eval_batch_size_per_runner": integer(1),
    "dataset_num_iters_per_offline_eval_runner": integer(1),
    "offline_loss_for_module_fn": function_or_none,
    "evaluation_duration_unit": choice("episodes", "timesteps"),
    "evaluation_num_env_runners": integer(0),
    "evaluation_parallel_to_training": boolean,
    "evaluation_sample_timeout_s": number(0, or_none=True),
    "custom_evaluation_function": function_or_none,
    "metrics_num_episodes_for_smoothing": integer(1),
    "min_time_s_per_iteration": number(0, or_none=True),
    "min_train_timesteps_per_iteration": integer(0, or_none=True),
    "min_sample_timesteps_per_iteration": integer(0, or_none=True),
    "seed": integer(0, or_none=True),
    "restart_failed_env_runners": boolean,
    "ignore_env_runner_failures": boolean,
    "max_num_env_runner_restarts": integer(0),
    "delay_between_env_runner_restarts_s": number(0),
    "restart_failed_sub_environments": boolean,
    # PPO and its relatives
    "lambda_": number(0, 1),
    "clip_param": number(0),
    "vf_clip_param": number(0),
    "vf_loss_coeff": number(0),
    "kl_coeff": number(0),
    "kl_target": number(0),
    "entropy_coeff": schedule(),
    # IMPALA and APPO
    "vtrace": boolean,
    "vtrace_clip_rho_threshold": number(0),
    "vtrace_clip_pg_rho_threshold": number(0),
    "learner_queue_size": integer(1),
    "broadcast_interval": integer(1),
    "use_kl_loss": boolean,
    "target_worker_clipping": number(0),
    "use_circular_buffer": boolean,
    "circular_buffer_num_batches": integer(1),
    "circular_buffer_iterations_per_batch": integer(1),
    "simple_queue_size": integer(1),
    # algorithms that learn from a buffer
    "tau": number(0, 1),
    "target_network_update_freq": number(0),
    "actor_lr": schedule(0),
    "critic_lr": schedule(0),
    "alpha_lr": schedule(0),
    "epsilon": schedule(0, 1),
    "num_steps_sampled_before_learning_starts": integer(0),
    "num_atoms": integer(1),
    "dueling": boolean,
    "double_q": boolean,
    "noisy": boolean,
    "twin_q": boolean,
}
