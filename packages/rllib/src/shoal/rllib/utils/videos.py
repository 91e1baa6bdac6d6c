"""Videos of what a policy does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shoal.rllib.utils.error import ConfigError, MissingLibraryError

if TYPE_CHECKING:
    from shoal.rllib.algorithms.algorithm import Algorithm


def record_video(
    algorithm: Algorithm,
    folder: str | os.PathLike[str],
    *,
    episodes: int = 1,
    explore: bool = False,
    seed: int | None = None,
    name_prefix: str = "episode",
) -> list[Path]:
    """Records episodes of an algorithm's policy, with its connectors, by gymnasium's RecordVideo. Needs the extra `video`.

    The algorithm goes on as if this had not been: the environment is another copy, made with `render_mode="rgb_array"`.

    Args:
        algorithm: of one agent.
        folder: where the videos go; it is made.
        episodes: how many; each has a file of its own.
        explore: whether actions are drawn, rather than the likeliest.
        seed: of the environment; None for the algorithm's own.
        name_prefix: what files' names begin with.

    Returns:
        The files, in the order of the episodes.

    Raises:
        ConfigError: (a ValueError) there are several agents, or the environment makes no pictures.
        MissingLibraryError: (an ImportError) moviepy is not installed.

    Example:
        >>> from shoal.rllib.algorithms.ppo import PPOConfig
        >>> from shoal.rllib.utils.videos import record_video
        >>> with PPOConfig().environment("CartPole-v1").env_runners(num_env_runners=0).build_algo() as algo:
        ...     files = record_video(algo, "/tmp/cartpole")
        >>> files[0].name
        'episode-episode-0.mp4'
    """
    from shoal.rllib.core import COMPONENT_ENV_TO_MODULE_CONNECTOR, COMPONENT_MODULE_TO_ENV_CONNECTOR
    from shoal.rllib.env.single_agent_env_runner import SingleAgentEnvRunner

    evaluating: Any = algorithm.config.get_evaluation_config_object()
    if evaluating.is_multi_agent:
        raise ConfigError(
            "record_video() is for algorithms of one agent; several agents' environments draw by their own render()"
        )
    if evaluating.env is None:
        raise ConfigError("the algorithm has no environment to record; give evaluation(evaluation_config={'env': ...})")
    target = Path(folder)
    env = _recorded(evaluating, target, name_prefix)
    evaluating.environment(env=lambda context: env)
    evaluating.env_runners(num_env_runners=0, num_envs_per_env_runner=1, gym_env_vectorize_mode="sync")
    evaluating.offline_data(output=None)
    evaluating.freeze()
    runner = SingleAgentEnvRunner(config=evaluating, seed=seed)
    try:
        runner.set_weights(algorithm.learner_group.get_weights(inference_only=True))
        trained = algorithm.env_runner
        if trained is not None:
            parts = [COMPONENT_ENV_TO_MODULE_CONNECTOR, COMPONENT_MODULE_TO_ENV_CONNECTOR]
            runner.set_state(trained.get_state(components=parts))
        runner.sample(num_episodes=episodes, explore=explore)
    finally:
        runner.stop()  # the last video is written then
    return [target / f"{name_prefix}-episode-{number}.mp4" for number in range(episodes)]


def _recorded(config: Any, folder: Path, name_prefix: str) -> Any:
    """An environment whose episodes are recorded."""
    import gymnasium as gym

    from shoal.rllib.env.env_context import EnvContext
    from shoal.rllib.env.registration import name_of, resolve_env

    create = resolve_env(config.env, config._luggage)
    env: Any = create(EnvContext({**config.env_config, "render_mode": "rgb_array"}, worker_index=0))
    if env.render_mode not in ("rgb_array", "rgb_array_list"):
        mode = env.render_mode
        env.close()
        raise ConfigError(
            f"environment {name_of(config.env)!r} has render_mode={mode!r}, and a video needs pictures: have it take "
            "render_mode='rgb_array' from its configuration (env_config), and return arrays from render()"
        )
    try:
        return gym.wrappers.RecordVideo(
            env, str(folder), episode_trigger=lambda number: True, name_prefix=name_prefix, disable_logger=True
        )
    except gym.error.DependencyNotInstalled as error:
        env.close()
        raise MissingLibraryError(f"videos need moviepy: pip install 'shoal-rllib[video]' ({error})") from error
