"""A mark says what takes the place of what, or that there is nothing of that name."""

from __future__ import annotations

import typing

import pytest

import shoal.rllib.utils.typing as names
from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.utils.annotations import override


def test_a_marked_method_is_what_it_was() -> None:
    def reset_state(self: object) -> None: ...

    assert override(ConnectorV2)(reset_state) is reset_state


def test_a_method_that_nobody_would_call_is_refused() -> None:
    def reset_stats(self: object) -> None: ...

    with pytest.raises(NameError, match=r"connector_v2\.ConnectorV2 has no method 'reset_stats'"):
        override(ConnectorV2)(reset_stats)


def test_names_of_types_can_be_used_when_the_program_runs() -> None:
    def mapping(agent_id: names.AgentID, episode: names.EpisodeType) -> names.ModuleID | names.TensorType: ...

    assert set(typing.get_type_hints(mapping, {**vars(names), **_later()})) == {"agent_id", "episode", "return"}
    assert typing.Optional[names.Optimizer] and typing.Optional[names.EnvCreator]  # noqa: UP045


def _later() -> dict[str, object]:
    import numpy as np
    import torch

    from shoal.rllib.env.multi_agent_episode import MultiAgentEpisode
    from shoal.rllib.env.single_agent_episode import SingleAgentEpisode

    return {
        "np": np,
        "torch": torch,
        "MultiAgentEpisode": MultiAgentEpisode,
        "SingleAgentEpisode": SingleAgentEpisode,
        "names": names,
    }
