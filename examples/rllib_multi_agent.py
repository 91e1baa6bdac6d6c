"""Several agents: two of them, on a square of fields, learn to meet as fast as they can.

Each sees where both are, and chooses a direction. They go by a policy each, or (`--shared`) by the same one. How many steps they need at
the end is compared with what is possible: they are as fast as can be where both walk towards one another.

    ./run-example rllib_multi_agent               # or: python examples/rllib_multi_agent.py
    ./run-example rllib_multi_agent --shared      # one policy for both
    ./run-example rllib_multi_agent --quick       # two small iterations
"""

from __future__ import annotations

import argparse
import math
import sys
from typing import Any

import gymnasium as gym
import numpy as np

from shoal.rllib.algorithms.algorithm import Algorithm
from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.callbacks.callbacks import RLlibCallback
from shoal.rllib.env.multi_agent_env import MultiAgentEnv

AGENTS = ["red", "blue"]
MOVES = np.array([[0, 0], [0, 1], [1, 0], [0, -1], [-1, 0]])


class Rendezvous(MultiAgentEnv):
    """Two agents meet where they stand on the same field, or have changed places. Each step costs both 0.1; meeting brings both 1.

    Args:
        config: `size` of the square (6 if not given), and `patience`, the most steps (30).
    """

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        super().__init__()
        given = config or {}
        self.size, self.patience = int(given.get("size", 6)), int(given.get("patience", 30))
        self.possible_agents = self.agents = list(AGENTS)
        # Where the other one is, from here, and where oneself is.
        space: gym.Space[Any] = gym.spaces.Box(-1.0, 1.0, (4,), np.float32)
        self.observation_spaces = dict.fromkeys(AGENTS, space)
        self.action_spaces = {agent: gym.spaces.Discrete(len(MOVES)) for agent in AGENTS}
        self.places = np.zeros((2, 2), int)
        self.steps = self.fewest = 0

    @property
    def distance(self) -> int:
        return int(np.abs(self.places[0] - self.places[1]).sum())

    @property
    def fewest_steps(self) -> int:
        """How many steps two need that walk towards one another."""
        return math.ceil(self.distance / 2)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[Any, Any], dict[Any, Any]]:
        gym.Env.reset(self, seed=seed)
        self.steps = 0
        self.places = self.np_random.integers(self.size, size=(2, 2))
        while self.distance < 2:
            self.places = self.np_random.integers(self.size, size=(2, 2))
        self.fewest = self.fewest_steps
        return self._observations(), {}

    def step(self, action_dict: dict[Any, Any]) -> Any:
        before = self.places
        moved = before + MOVES[[int(action_dict[agent]) for agent in AGENTS]]
        self.places = moved.clip(0, self.size - 1)
        self.steps += 1
        changed_places = bool((self.places == before[::-1]).all())
        met = self.distance == 0 or changed_places
        rewards = dict.fromkeys(AGENTS, 1.0 if met else -0.1)
        late = self.steps >= self.patience and not met
        infos = {agent: {"detour": self.steps - self.fewest} for agent in AGENTS}
        return self._observations(), rewards, {"__all__": met}, {"__all__": late}, infos

    def _observations(self) -> dict[Any, Any]:
        scale = self.size - 1
        seen = {}
        for number, agent in enumerate(AGENTS):
            own, other = self.places[number], self.places[1 - number]
            seen[agent] = np.concatenate([(other - own) / scale, 2 * own / scale - 1]).astype(np.float32)
        return seen


class Detours(RLlibCallback):
    """Logs how many steps more than possible it took them, as the environment tells at the end."""

    def on_episode_end(self, *, episode: Any, metrics_logger: Any = None, **kwargs: Any) -> None:
        detour = episode.agent_episodes[AGENTS[0]].get_infos(-1)["detour"]
        metrics_logger.log_value("detour", detour, window=100)


def main() -> int:
    options = parse_arguments()
    config = configured(options.shared, options.seed)
    if options.quick:
        config.training(train_batch_size_per_learner=400, minibatch_size=100, num_epochs=2)
    with config.build_algo() as algo:
        for _ in range(2 if options.quick else options.iterations):
            result = algo.train()
            sampled = result["env_runners"]
            means = sorted(sampled["agent_episode_returns_mean"].items())
            shown = ", ".join(f"{name} {value:.2f}" for name, value in means)
            number, detour = result["training_iteration"], sampled["detour"]
            print(f"iteration {number:3}: {detour:5.1f} steps too many; mean returns: {shown}", flush=True)
        print(f"policies: {', '.join(sorted(algo.get_weights()))}")
        needed, fewest = meet(algo, options.shared, games=3 if options.quick else 50)
    print(f"{needed:.2f} steps to meet; {fewest:.2f} is the least")
    return 0


def configured(shared: bool, seed: int) -> PPOConfig:
    """Returns the settings: a policy each, or one for both."""
    config = (
        PPOConfig()
        .environment(Rendezvous, env_config={"size": 6})
        .env_runners(num_env_runners=0, num_envs_per_env_runner=8)
        .training(lr=1e-3, gamma=0.95, lambda_=0.9, entropy_coeff=0.005)
        .training(train_batch_size_per_learner=1500, minibatch_size=250, num_epochs=8)
        .rl_module(model_config={"fcnet_hiddens": [64, 64]})
        .callbacks(Detours)
        .debugging(seed=seed)
    )
    if shared:
        return config.multi_agent(policies={"both"}, policy_mapping_fn=lambda agent, episode, **_: "both")
    return config.multi_agent(policies=set(AGENTS), policy_mapping_fn=lambda agent, episode, **_: agent)


def meet(algo: Algorithm, shared: bool, games: int) -> tuple[float, float]:
    """Has the policies play, each agent's move computed by its own. Returns the mean steps, and the fewest that were possible."""
    env = Rendezvous({"size": 6})
    needed = fewest = 0
    for number in range(games):
        seen, _ = env.reset(seed=number)
        fewest += env.fewest_steps
        over = False
        while not over:
            actions = {
                agent: algo.compute_single_action(observation, explore=False, policy_id="both" if shared else agent)
                for agent, observation in seen.items()
            }
            seen, _, terminateds, truncateds, _ = env.step(actions)
            over = terminateds["__all__"] or truncateds["__all__"]
        needed += env.steps
    return needed / games, fewest / games


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Two agents learn to meet.")
    parser.add_argument("--shared", action="store_true", help="one policy for both agents")
    parser.add_argument("--iterations", type=int, default=25, metavar="N", help="of 1500 steps each (default: 25)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="two small iterations, to see that it works")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
