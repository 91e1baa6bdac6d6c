"""The cases about reinforcement learning, started by rllib.py with a backend's own interpreter, a process for each row:

python rllib_cases.py '{"backend": "shoal", "case": "steps", "quick": true}' OUTPUT_FD
"""

from __future__ import annotations

import itertools
import json
import math
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

HIDDENS = (256, 256)
BATCH, MINIBATCH, EPOCHS, ENVS = 4000, 128, 30, 8
RETURN = 450.0
TO_450: dict[str, Any] = {"lr": 3e-4, "lambda_": 0.95, "epochs": 10}
"""What is not as RLlib has it by default where 450 is to be reached."""


@dataclass(frozen=True)
class Setting:
    """What a case is given.

    Args:
        backend: `shoal`, `ray`, `sb3`, `single` or `products`.
        quick: a glance instead of a measurement.
    """

    backend: str
    quick: bool

    def count(self, full: int, quick: int) -> int:
        return quick if self.quick else full


# --- shoal and RLlib: one API ----------------------------------------------------------------------------------------------------


def ppo_config(setting: Setting, epochs: int = EPOCHS, **training: Any) -> Any:
    if setting.backend == "ray":
        from ray.rllib.algorithms.ppo import PPOConfig
    else:
        from shoal.rllib.algorithms.ppo import PPOConfig
    training["num_epochs"] = setting.count(epochs, 2)
    config: Any = PPOConfig().environment("CartPole-v1").training(**training)
    if setting.backend == "ray":
        config = config.env_runners(num_env_runners=2)
    else:
        config = config.env_runners(num_env_runners=0, num_envs_per_env_runner=ENVS)
    return config.debugging(seed=0)


def built(config: Any) -> Any:
    return config.build_algo() if hasattr(config, "build_algo") else config.build()


def steps_of(result: dict[str, Any]) -> int:
    return int(result["env_runners"]["num_env_steps_sampled_lifetime"])


def rate(algo: Any, iterations: int) -> float:
    before = steps_of(algo.train())
    start = time.perf_counter()
    for _ in range(iterations):
        result = algo.train()
    seconds = time.perf_counter() - start
    return (steps_of(result) - before) / seconds


def until_450(algo: Any, setting: Setting) -> float:
    wanted, whole = (RETURN, 100) if not setting.quick else (20.0, 1)
    start = time.perf_counter()
    latest: list[tuple[float, int]] = []
    while time.perf_counter() - start < 280:
        returned = algo.train()["env_runners"]
        mean = returned.get("episode_return_mean", math.nan)
        if (
            setting.backend == "ray"
        ):  # its mean is one of few episodes where iterations are short, and of none of them at times
            latest = [*latest, (mean, int(returned.get("num_episodes", 0)))]
            latest = [one for one in latest if one[1]]
            while sum(count for _, count in latest[1:]) >= whole:
                latest = latest[1:]
            episodes = sum(count for _, count in latest)
            mean = sum(mean * count for mean, count in latest) / episodes if episodes >= whole else math.nan
        if mean >= wanted:
            return time.perf_counter() - start
    raise RuntimeError("450 was not reached in 280 s")


def steps(setting: Setting) -> float:
    algo = built(ppo_config(setting))
    try:
        return rate(algo, setting.count(5, 1))
    finally:
        algo.stop()


def to_450(setting: Setting) -> float:
    algo = built(ppo_config(setting, **TO_450))
    try:
        return until_450(algo, setting)
    finally:
        algo.stop()


def zoo_config(setting: Setting) -> Any:
    config = ppo_config(setting, lr=[[0, 1e-3], [100_000, 0.0]], gamma=0.98, lambda_=0.8, clip_param=0.2)
    if setting.backend == "ray":
        config = config.env_runners(num_env_runners=0, num_envs_per_env_runner=ENVS)
    config.training(
        train_batch_size_per_learner=256, minibatch_size=256, num_epochs=20, use_kl_loss=False, vf_loss_coeff=0.5,
        vf_clip_param=float("inf"), grad_clip=0.5,
    )  # fmt: skip
    return config.rl_module(
        model_config={"fcnet_hiddens": [64, 64], "fcnet_activation": "tanh", "vf_share_layers": False}
    )


def zoo_steps(setting: Setting) -> float:
    algo = built(zoo_config(setting))
    try:
        return rate(algo, setting.count(60, 2))
    finally:
        algo.stop()


def zoo_to_450(setting: Setting) -> float:
    algo = built(zoo_config(setting))
    try:
        return until_450(algo, setting)
    finally:
        algo.stop()


def build(setting: Setting) -> float:
    built(ppo_config(setting)).stop()
    start = time.perf_counter()
    algo = built(ppo_config(setting))
    seconds = time.perf_counter() - start
    algo.stop()
    return seconds


# --- shoal against a loop written by hand ----------------------------------------------------------------------------------------


def in_turns(first: Callable[[], float], second: Callable[[], float], rounds: int) -> tuple[float, float]:
    """Returns the medians of two measurements that take turns, so that both have the machine in the same state."""
    ours, theirs = [], []
    for _ in range(rounds):
        ours.append(first())
        theirs.append(second())
    return statistics.median(ours), statistics.median(theirs)


def timed(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def sampling(setting: Setting) -> float:
    import rllib_single_file as single
    import torch

    torch.set_num_threads(1)
    algo = built(ppo_config(setting))
    runner = algo.env_runner
    policy, _ = single.network(HIDDENS)
    bare = single.Sampler(ENVS)
    count = setting.count(500, 20)

    def ours() -> float:
        start = time.perf_counter()
        steps = sum(map(len, runner.sample(num_timesteps=count * ENVS)))
        return (time.perf_counter() - start) / steps

    def theirs() -> float:
        start = time.perf_counter()
        steps = int(bare.sample(policy, count)["valid"].sum())  # the others were resets
        return (time.perf_counter() - start) / steps

    ours()
    theirs()
    mine, its = in_turns(ours, theirs, setting.count(9, 2))
    algo.stop()
    return 100 * its / mine


def update(setting: Setting) -> float:
    import rllib_single_file as single
    import torch

    torch.set_num_threads(1)
    algo = built(ppo_config(setting))
    epochs = setting.count(5, 1)
    episodes = algo.env_runner.sample(num_timesteps=BATCH)
    learner = algo.learner_group._learner
    policy, critic = single.network(HIDDENS)
    optimizer = single.adam(policy, critic, 5e-5)
    sampled = single.Sampler(ENVS).sample(policy, BATCH // ENVS)

    def ours() -> float:
        return timed(
            lambda: learner.update(
                episodes=episodes, num_epochs=epochs, minibatch_size=MINIBATCH, shuffle_batch_per_epoch=True
            )
        )

    def theirs() -> float:
        def work() -> None:
            batch = single.batch_of(sampled, critic, 0.99, 1.0)
            single.update(policy, critic, optimizer, batch, epochs=epochs, minibatch=MINIBATCH)

        return timed(work)

    ours()
    theirs()
    mine, its = in_turns(ours, theirs, setting.count(9, 2))
    algo.stop()
    return 100 * mine / its


def elsewhere(setting: Setting) -> float:
    """What an iteration takes of this process's processor seconds, less what its environments and its networks take without anything else.

    Both go by the medians of iterations that take turns with programs that do nothing but step environments, draw actions of the same
    networks, and follow gradients of the same losses. As a difference of measurements it may come out a little below zero.
    """
    import copy

    import rllib_single_file as single
    import torch

    torch.set_num_threads(1)
    algo = built(ppo_config(setting))
    algo.train()
    module = copy.deepcopy(algo.get_module())
    policy, critic = (
        lambda seen: module.pi(module.encoder.layers(seen)),
        lambda seen: module.vf(module.critic_encoder.layers(seen)),
    )
    optimizer = torch.optim.Adam(module.parameters(), lr=5e-5, fused=True)
    sampled = single.Sampler(ENVS).sample(policy, BATCH // ENVS)
    envs = single.made(ENVS)
    epochs = setting.count(EPOCHS, 2)
    wholes, needed = [], []
    for _ in range(setting.count(7, 1)):
        start = time.process_time()
        algo.train()
        middle = time.process_time()
        single.step_alone(envs, BATCH // ENVS)
        single.act_alone(policy, ENVS, BATCH // ENVS)
        batch = single.batch_of(sampled, critic, 0.99, 1.0)
        single.update(policy, critic, optimizer, batch, epochs=epochs, minibatch=MINIBATCH)
        wholes.append(middle - start)
        needed.append(time.process_time() - middle)
    algo.stop()
    whole = statistics.median(wholes)
    return 100 * (whole - statistics.median(needed)) / whole


# --- the single file -------------------------------------------------------------------------------------------------------------


class SingleFile:
    """PPO as rllib_single_file has it.

    Args:
        setting: of the case.
        zoo: whether with SB3's settings.
    """

    def __init__(
        self, setting: Setting, zoo: bool, lr: float = 5e-5, lambda_: float = 1.0, epochs: int = EPOCHS
    ) -> None:
        import rllib_single_file as single
        import torch

        if zoo:  # small layers
            torch.set_num_threads(1)
        torch.manual_seed(0)
        self._single = single
        self._gamma, self._lambda = (0.98, 0.8) if zoo else (0.99, lambda_)
        self._steps, self._minibatch = (32, 256) if zoo else (BATCH // ENVS, MINIBATCH)
        self._epochs = setting.count(20 if zoo else epochs, 2)
        self._policy, self._critic = single.network((64, 64) if zoo else HIDDENS)
        self._optimizer = single.adam(self._policy, self._critic, 1e-3 if zoo else lr)
        self._sampler = single.Sampler(ENVS)
        self._sampled = 0

    def train(self) -> dict[str, Any]:
        sampled = self._sampler.sample(self._policy, self._steps)
        batch = self._single.batch_of(sampled, self._critic, self._gamma, self._lambda)
        self._sampled += len(batch["obs"])
        self._single.update(
            self._policy, self._critic, self._optimizer, batch, epochs=self._epochs, minibatch=self._minibatch
        )
        last = self._sampler.returns[-100:]
        return {
            "env_runners": {
                "num_env_steps_sampled_lifetime": self._sampled,
                "episode_return_mean": sum(last) / max(1, len(last)),
            }
        }


SINGLE: dict[str, Callable[[Setting], float]] = {
    "steps": lambda setting: rate(SingleFile(setting, zoo=False), setting.count(5, 1)),
    "to_450": lambda setting: until_450(SingleFile(setting, zoo=False, **TO_450), setting),
    "zoo_steps": lambda setting: rate(SingleFile(setting, zoo=True), setting.count(60, 2)),
    "zoo_to_450": lambda setting: until_450(SingleFile(setting, zoo=True), setting),
}


# --- the products of matrices, and nothing else -----------------------------------------------------------------------------------


def products(hiddens: tuple[int, int], minibatch: int, steps_per_gradient: float, setting: Setting) -> float:
    """Steps/s of a program that does no more than the products of matrices in the gradients, all processors at them."""
    import torch

    multiply = torch.ops.mkldnn._linear_pointwise  # the faster way to have one here
    sizes = (4, *hiddens)
    inputs = [torch.randn(minibatch, size) for size in sizes]
    weights = [torch.randn(later, size) for size, later in itertools.pairwise(sizes)]

    def network() -> None:
        for before, after, weight in zip(inputs, inputs[1:], weights, strict=False):
            multiply(before, weight, None, "none", [], "")
            multiply(after.t(), before.t(), None, "none", [], "")  # the weight's gradient
        for after, weight in zip(inputs[2:], weights[1:], strict=True):
            multiply(after, weight.t(), None, "none", [], "")  # the gradient that is handed on

    def gradient() -> None:
        network()
        network()

    def gradients() -> None:
        for _ in range(count):
            gradient()

    count = setting.count(500, 5)
    gradient()
    return steps_per_gradient * count / min(timed(gradients) for _ in range(setting.count(5, 1)))


PRODUCTS: dict[str, Callable[[Setting], float]] = {
    "steps": lambda setting: products(HIDDENS, MINIBATCH, MINIBATCH / EPOCHS, setting),
    "zoo_steps": lambda setting: products((64, 64), 256, 256 / 20, setting),
}


# --- stable-baselines3 -----------------------------------------------------------------------------------------------------------


def sb3_model(setting: Setting, zoo: bool, lr: float = 5e-5, lambda_: float = 1.0, epochs: int = EPOCHS) -> Any:
    import torch
    from stable_baselines3 import PPO
    from stable_baselines3.common.env_util import make_vec_env

    if zoo:  # small layers
        torch.set_num_threads(1)
    env = make_vec_env("CartPole-v1", n_envs=ENVS, seed=0)
    common: dict[str, Any] = {"policy": "MlpPolicy", "env": env, "seed": 0, "device": "cpu"}
    if zoo:
        return PPO(
            **common, n_steps=32, batch_size=256, gae_lambda=0.8, gamma=0.98, n_epochs=setting.count(20, 2), ent_coef=0.0,
            learning_rate=lambda left: left * 1e-3, clip_range=lambda left: left * 0.2,
        )  # fmt: skip
    return PPO(
        **common, n_steps=BATCH // ENVS, batch_size=MINIBATCH, gae_lambda=lambda_, gamma=0.99, n_epochs=setting.count(epochs, 2),
        ent_coef=0.0, learning_rate=lr, clip_range=0.3, vf_coef=1.0, policy_kwargs={"net_arch": list(HIDDENS)},
    )  # fmt: skip


def sb3_rate(setting: Setting, zoo: bool) -> float:
    model = sb3_model(setting, zoo)
    batch = 256 if zoo else BATCH
    model.learn(batch)
    amount = batch * setting.count(60 if zoo else 5, 1)
    return amount / timed(lambda: model.learn(amount, reset_num_timesteps=False))


def sb3_until_450(setting: Setting, zoo: bool) -> float:
    from stable_baselines3.common.callbacks import BaseCallback

    wanted = RETURN if not setting.quick else 20.0

    class UntilGood(BaseCallback):  # type: ignore[misc]
        def _on_step(self) -> bool:
            return True

        def _on_rollout_end(self) -> None:
            last = [episode["r"] for episode in self.model.ep_info_buffer or ()]
            self.done = bool(last) and statistics.fmean(last) >= wanted

        def _on_rollout_start(self) -> None:
            if getattr(self, "done", False):
                raise StopIteration

    model = sb3_model(setting, zoo, **TO_450)
    start = time.perf_counter()
    try:
        model.learn(100_000 if zoo else 1_000_000, callback=UntilGood())
    except StopIteration:
        return time.perf_counter() - start
    raise RuntimeError("450 was not reached")


SB3: dict[str, Callable[[Setting], float]] = {
    "steps": lambda setting: sb3_rate(setting, zoo=False),
    "to_450": lambda setting: sb3_until_450(setting, zoo=False),
    "zoo_steps": lambda setting: sb3_rate(setting, zoo=True),
    "zoo_to_450": lambda setting: sb3_until_450(setting, zoo=True),
}
BOTH: dict[str, Callable[[Setting], float]] = {
    function.__name__: function for function in (steps, to_450, zoo_steps, zoo_to_450, build)
}
SHOAL: dict[str, Callable[[Setting], float]] = {
    function.__name__: function for function in (sampling, update, elsewhere)
}
CASES: dict[str, dict[str, Callable[[Setting], float]]] = {
    "shoal": BOTH | SHOAL,
    "ray": BOTH,
    "sb3": SB3,
    "single": SINGLE,
    "products": PRODUCTS,
}


def main() -> None:
    request = json.loads(sys.argv[1])
    with os.fdopen(int(sys.argv[2]), "w", buffering=1) as output:
        try:
            if request["backend"] == "ray":
                import ray

                ray.init(num_cpus=4, include_dashboard=False, log_to_driver=False)
            figure = CASES[request["backend"]][request["case"]](Setting(request["backend"], request["quick"]))
        except Exception as error:
            print(json.dumps({"error": f"{type(error).__name__}: {error}"[:300]}), file=output)
        else:
            print(json.dumps({"figure": figure}), file=output)


if __name__ == "__main__":
    main()
