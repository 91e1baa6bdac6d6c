"""PettingZoo's own games as multi-agent environments."""

from __future__ import annotations

from typing import Any

import pytest

from shoal.rllib.algorithms.ppo import PPOConfig
from shoal.rllib.connectors.env_to_module.flatten_observations import FlattenObservations
from shoal.rllib.env.multi_agent_env_runner import MultiAgentEnvRunner
from shoal.rllib.env.wrappers.pettingzoo_env import ParallelPettingZooEnv, PettingZooEnv
from shoal.rllib.utils.error import EnvError, MultiAgentEnvError

pytest.importorskip("pettingzoo")


def runner_of(make: Any) -> MultiAgentEnvRunner:
    config = PPOConfig().environment(lambda context: make()).debugging(seed=1)
    config = config.env_runners(
        num_env_runners=0, env_to_module_connector=lambda env, spaces, device: FlattenObservations(multi_agent=True)
    )
    config = config.multi_agent(policies={"p"}, policy_mapping_fn=lambda agent, episode, **kwargs: "p")
    return MultiAgentEnvRunner(config=config.rl_module(model_config={"fcnet_hiddens": [8]}))


@pytest.mark.parametrize("kind", ["aec", "parallel"])
def test_rock_paper_scissors_is_a_game_of_zero_sum(kind: str) -> None:
    from pettingzoo.classic.rps import rps

    def make() -> Any:
        if kind == "aec":
            return PettingZooEnv(rps.env(num_actions=3, max_cycles=7))
        return ParallelPettingZooEnv(rps.parallel_env(num_actions=3, max_cycles=7))

    for episode in runner_of(make).sample(num_episodes=3):
        assert len(episode) == (14 if kind == "aec" else 7)
        players = [episode.agent_episodes[f"player_{i}"] for i in range(2)]
        assert [len(player) for player in players] == [7, 7]
        assert sum(player.get_return() for player in players) == 0.0
        assert all(player.is_done for player in players)
        won = [player.get_rewards().tolist() for player in players]
        assert won[0] == [-reward for reward in won[1]]
        for mine, theirs in ((players[0], players[1]), (players[1], players[0])):
            # Each sees what the other chose last: the four values are rock, paper, scissors and nothing.
            seen = mine.get_observations().argmax(-1).tolist()
            chosen = theirs.get_actions().tolist()
            assert set(seen[1:]) <= {0, 1, 2, 3} and chosen


def test_games_of_the_other_kind_are_refused_with_what_takes_them() -> None:
    from pettingzoo.classic.rps import rps

    with pytest.raises(MultiAgentEnvError, match="in turns; use ParallelPettingZooEnv"):
        PettingZooEnv(rps.parallel_env())
    with pytest.raises(MultiAgentEnvError, match="in turns; use PettingZooEnv"):
        ParallelPettingZooEnv(rps.env())
    for made, wrapper in ((rps.env, "PettingZooEnv"), (rps.parallel_env, "ParallelPettingZooEnv")):
        with pytest.raises(EnvError, match=rf"no gymnasium\.Env; wrap it by shoal\..*\.{wrapper}$"):
            runner_of(made)


def test_a_game_in_turns() -> None:
    from pettingzoo.classic.rps import rps

    env = PettingZooEnv(rps.env(num_actions=3, max_cycles=2))
    observations, _ = env.reset(seed=0)
    assert list(observations) == ["player_0"]
    with pytest.raises(ValueError, match="it is 'player_0'"):
        env.step({"player_1": 0})
    observations, _, terminateds, _, _ = env.step({"player_0": 0})
    assert list(observations) == ["player_1"] and not terminateds["__all__"]
    env.close()
