"""Modules: default ones for spaces of any kind, those of users, several together, and their folders."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from shoal.rllib._internal.learning.episode_batch import to_tensor
from shoal.rllib._internal.nested import stack
from shoal.rllib.core.columns import Columns
from shoal.rllib.core.models.torch.layers import ImageEncoder, SamePadding
from shoal.rllib.core.rl_module.default_model_config import DefaultModelConfig
from shoal.rllib.core.rl_module.multi_rl_module import MultiRLModule, MultiRLModuleSpec
from shoal.rllib.core.rl_module.rl_module import RLModule, RLModuleSpec
from shoal.rllib.core.rl_module.torch import TorchRLModule
from shoal.rllib.core.rl_module.torch.default_actor_critic_rl_module import DefaultActorCriticRLModule
from shoal.rllib.utils.error import CheckpointError, ConfigError, UnknownSettingError, UnsupportedSpaceException

VECTOR = gym.spaces.Box(-1, 1, (3,), np.float32)
TWO = gym.spaces.Discrete(2)


def made(observations: Any = VECTOR, actions: Any = TWO, **model_config: Any) -> Any:
    return RLModuleSpec(
        DefaultActorCriticRLModule, observations, actions, model_config={"fcnet_hiddens": [8], **model_config}
    ).build()


def observed(space: gym.Space[Any], rows: int = 5) -> Any:
    space.seed(0)
    return to_tensor(stack([space.sample() for _ in range(rows)]))


@pytest.mark.parametrize(
    "space",
    [
        VECTOR,
        gym.spaces.Box(-1, 1, (), np.float32),
        gym.spaces.Box(-1, 1, (2, 3), np.float64),
        gym.spaces.Discrete(4),
        gym.spaces.Discrete(4, start=2),
        gym.spaces.MultiDiscrete([2, 3]),
        gym.spaces.MultiDiscrete([[2, 3], [4, 5]]),
        gym.spaces.MultiBinary(3),
        gym.spaces.Box(0, 255, (10, 10, 4), np.uint8),
        gym.spaces.Box(0, 255, (84, 84, 3), np.uint8),
        gym.spaces.Box(0, 1, (3, 3, 2), np.int8),  # a board, as of PettingZoo's tictactoe
        gym.spaces.Dict({"a": gym.spaces.Discrete(3), "b.c": gym.spaces.Box(0, 255, (10, 10, 1), np.uint8)}),
        gym.spaces.Tuple([gym.spaces.Discrete(3), gym.spaces.Dict({"x": VECTOR})]),
    ],
    ids=str,
)
def test_default_modules_take_observations_of_any_kind(space: gym.Space[Any]) -> None:
    module = made(space)
    out = module.forward_train({Columns.OBS: observed(space)})
    assert out[Columns.ACTION_DIST_INPUTS].shape == (5, 2)
    assert module.compute_values({Columns.OBS: observed(space)}).shape == (5,)


@pytest.mark.parametrize(
    ("layer", "height", "width"),
    [
        ([1, 4, 2], 4, 6),
        ([1, 4, 2, "same"], 4, 6),
        ([1, 3, 2, "valid"], 3, 5),
        ([1, 3, 1, 2], 9, 13),
        ([1, 3, [2, 1]], 4, 11),
    ],
)
def test_images_are_padded_as_their_filters_say(layer: list[Any], height: int, width: int) -> None:
    space = gym.spaces.Box(-1, 1, (7, 11, 2), np.float32)
    encoder = ImageEncoder(space.shape, [layer], "relu")
    assert encoder.output_size == height * width
    assert encoder(observed(space)).shape == (5, height * width)


def test_of_an_odd_number_of_zeros_more_come_after_the_image() -> None:
    assert SamePadding(4, 2)(torch.ones(1, 1, 5)).tolist() == [[[0] * 8, [0, 1, 1, 1, 1, 1, 0, 0], [0] * 8, [0] * 8]]
    assert SamePadding(2, 1)(torch.ones(1, 2, 2)).tolist() == [[[1, 1, 0], [1, 1, 0], [0, 0, 0]]]


def test_spaces_that_cannot_be_are_refused() -> None:
    with pytest.raises(UnsupportedSpaceException, match=r"observation_space\['a'\] is Text"):
        made(gym.spaces.Dict({"a": gym.spaces.Text(3)}))
    with pytest.raises(UnsupportedSpaceException, match="Text"):
        made(VECTOR, gym.spaces.Text(3))
    with pytest.raises(UnsupportedSpaceException, match="conv_filters"):
        made(gym.spaces.Box(0, 1, (10, 10, 3)), conv_filters=[[8, 20, 1, "valid"]])
    with pytest.raises(UnsupportedSpaceException, match=r"conv_filters.*'same'"):
        made(gym.spaces.Box(0, 1, (10, 10, 3)), conv_filters=[[8, 3, 1, "Same"]])
    with pytest.raises(ConfigError, match=r"module_class is <class 'dict'>; give a class derived from TorchRLModule"):
        RLModuleSpec(dict)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="observation_space is None"):
        RLModuleSpec(DefaultActorCriticRLModule).build()


def test_model_settings_that_cannot_be_are_refused() -> None:
    with pytest.raises(UnknownSettingError, match="'fcnet_hiddens'"):
        made(fcnet_hidden=[3])
    with pytest.raises(ConfigError, match="'tanh'"):
        DefaultModelConfig(fcnet_activation="tahn")
    with pytest.raises(ConfigError, match="fcnet_hiddens is"):
        DefaultModelConfig(fcnet_hiddens=[0])
    with pytest.raises(UnknownSettingError, match=r"'use_attention': use_lstm=True gives a memory.*module_class="):
        made(use_attention=True)
    with pytest.raises(ConfigError, match="PrevActionsPrevRewards"):
        DefaultModelConfig(lstm_use_prev_action=True)


def test_names_of_networks_in_the_old_api_stack_mean_those_of_today() -> None:
    old = {"post_fcnet_hiddens": [8], "post_fcnet_weights_initializer": "orthogonal_", "uses_new_env_runners": True}
    config = DefaultModelConfig.of({**old, "post_fcnet_weights_initializer_config": {"gain": 0.1}})
    assert config.head_fcnet_hiddens == [8]
    assert config.head_fcnet_kernel_initializer == "orthogonal_"
    assert config.head_fcnet_kernel_initializer_kwargs == {"gain": 0.1}


def test_networks_have_the_form_that_is_asked_for() -> None:
    module = made(fcnet_hiddens=[7, 5], head_fcnet_hiddens=[3], fcnet_activation="relu", vf_share_layers=True)
    shapes = {name: tuple(value.shape) for name, value in module.named_parameters()}
    assert shapes["encoder.layers.0.weight"] == (7, 3) and shapes["encoder.layers.2.weight"] == (5, 7)
    assert shapes["pi.0.weight"] == (3, 5) and shapes["vf.2.weight"] == (1, 3)
    assert not any("critic" in name for name in shapes)
    apart = made(vf_share_layers=False, fcnet_kernel_initializer="zeros_")
    assert any(name.startswith("critic_encoder") for name, _ in apart.named_parameters())
    assert not bool(apart.encoder.layers[0].weight.any())


def test_the_spread_of_a_gaussian_can_be_a_parameter() -> None:
    module = made(VECTOR, gym.spaces.Box(-1, 1, (2,)), free_log_std=True, log_std_clip_param=0.5)
    with torch.no_grad():
        module.log_std.fill_(3.0)
    out = module.forward_train({Columns.OBS: observed(VECTOR)})[Columns.ACTION_DIST_INPUTS]
    assert out.shape == (5, 4) and bool((out[:, 2:] == 0.5).all())


def test_a_memory_goes_from_step_to_step() -> None:
    module = made(use_lstm=True, lstm_cell_size=6)
    assert module.is_stateful()
    state = {name: value.unsqueeze(0) for name, value in module.get_initial_state().items()}
    steps = observed(VECTOR, 4).unsqueeze(0)
    whole = module.forward_train({Columns.OBS: steps, Columns.STATE_IN: state})
    one_by_one = []
    for t in range(4):
        out = module.forward_exploration({Columns.OBS: steps[:, t : t + 1], Columns.STATE_IN: state})
        state = out[Columns.STATE_OUT]
        one_by_one.append(out[Columns.ACTION_DIST_INPUTS])
    torch.testing.assert_close(torch.cat(one_by_one, 1), whole[Columns.ACTION_DIST_INPUTS])


def test_runners_get_what_actions_need_and_no_more() -> None:
    whole = made(vf_share_layers=False)
    acting = RLModuleSpec(
        DefaultActorCriticRLModule, VECTOR, gym.spaces.Discrete(2), inference_only=True,
        model_config={"fcnet_hiddens": [8], "vf_share_layers": False},
    ).build()  # fmt: skip
    state = whole.get_state(inference_only=True)
    assert not any(name.startswith(("vf", "critic")) for name in state)
    acting.set_state(state)
    batch = {Columns.OBS: observed(VECTOR)}
    assert torch.equal(
        acting.forward_inference(batch)[Columns.ACTION_DIST_INPUTS],
        whole.forward_inference(batch)[Columns.ACTION_DIST_INPUTS],
    )
    with pytest.raises(ConfigError, match="inference_only"):
        acting.forward_train(batch)  # type: ignore[attr-defined]


def test_states_that_do_not_fit_are_refused() -> None:
    module, wider = made(), made(fcnet_hiddens=[9])
    with pytest.raises(CheckpointError, match=r"shape \(8, 3\), and \(9, 3\)"):
        module.set_state(wider.get_state())
    with pytest.raises(CheckpointError, match="has no"):
        module.set_state({})


class Doubled(TorchRLModule):
    """A module as users write it."""

    def setup(self) -> None:
        assert self.observation_space is not None
        self.layer = torch.nn.Linear(3, int(self.model_config["outputs"]))

    def _forward(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {Columns.ACTION_DIST_INPUTS: self.layer(batch[Columns.OBS])}


def test_a_users_module_has_its_settings_and_its_spaces_distribution() -> None:
    module: Any = RLModuleSpec(Doubled, VECTOR, gym.spaces.Discrete(2), model_config={"outputs": 2}).build()
    out = module.forward_inference({Columns.OBS: observed(VECTOR)})
    kind = module.get_inference_action_dist_cls()
    actions = kind.from_logits(out[Columns.ACTION_DIST_INPUTS]).to_deterministic().sample()
    assert torch.equal(actions, out[Columns.ACTION_DIST_INPUTS].argmax(-1))
    assert not out[Columns.ACTION_DIST_INPUTS].requires_grad


def test_modules_stand_together_under_their_ids(tmp_path: Path) -> None:
    spec = MultiRLModuleSpec(rl_module_specs={name: RLModuleSpec.from_module(made()) for name in ("a", "b")})
    multi = spec.build()
    assert list(multi) == ["a", "b"] and "a" in multi and len(multi) == 2
    assert multi.foreach_module(lambda name, module: name) == ["a", "b"]
    with pytest.raises(ConfigError, match="already"):
        multi.add_module("a", made())
    with pytest.raises(KeyError, match="There are"):
        multi["c"]
    path = multi.save_to_path(tmp_path / "modules")
    again = MultiRLModule.from_checkpoint(path)
    for name in ("a", "b"):
        mine, its = multi[name].get_state(), again[name].get_state()
        assert all(np.array_equal(mine[key], its[key]) for key in mine)
    alone = RLModule.from_checkpoint(tmp_path / "modules" / "a")
    assert isinstance(alone, DefaultActorCriticRLModule)
    start = RLModuleSpec.from_module(made())
    start.load_state_path = str(tmp_path / "modules" / "b")
    assert np.array_equal(start.build().get_state()["pi.0.bias"], multi["b"].get_state()["pi.0.bias"])
    multi.remove_module("a")
    assert list(multi) == ["b"]


def test_a_state_without_a_value_function_is_taken_and_another_module_s_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    whole, state = made(vf_share_layers=True), made(vf_share_layers=True).get_state()
    before = whole.get_state()
    part = {name: value + 1 for name, value in state.items() if not name.startswith("vf.")}
    whole.set_state(part)
    after = whole.get_state()
    assert all(np.array_equal(after[name], part.get(name, before[name])) for name in after)
    assert "DefaultActorCriticRLModule takes a state without ['vf.0.weight', 'vf.0.bias']" in caplog.text
    for other in ({**part, "q.0.weight": part["pi.0.weight"]}, {}):
        with pytest.raises(CheckpointError, match="the state has no '"):
            whole.set_state(other)


def test_of_a_folder_of_modules_the_default_one_is_taken(tmp_path: Path) -> None:
    several = MultiRLModuleSpec(
        rl_module_specs={name: RLModuleSpec.from_module(made()) for name in ("default_policy", "b")}
    )
    multi = several.build()
    start = RLModuleSpec.from_module(made())
    start.load_state_path = multi.save_to_path(tmp_path / "modules")
    wanted = multi["default_policy"].get_state()
    assert np.array_equal(start.build().get_state()["pi.0.bias"], wanted["pi.0.bias"])
    multi.remove_module("default_policy")
    multi.save_to_path(tmp_path / "others")
    with pytest.raises(
        CheckpointError, match=r"the state is of several modules, \['b'\].*the folder 'b' of the checkpoint"
    ):
        made().restore_from_path(tmp_path / "others")


def test_a_policy_loads_in_another_process_without_environments(tmp_path: Path) -> None:
    module = made()
    path = module.save_to_path(tmp_path / "policy")
    expected = module.forward_inference({Columns.OBS: torch.ones(1, 3)})[Columns.ACTION_DIST_INPUTS].tolist()
    program = (
        "import sys, json, torch\n"
        "from shoal.rllib.core.rl_module.rl_module import RLModule\n"
        "policy = RLModule.from_checkpoint(sys.argv[1])\n"
        "out = policy.forward_inference({'obs': torch.ones(1, 3)})['action_dist_inputs']\n"
        "assert not any(name.startswith('shoal.rllib.env') for name in sys.modules), 'environments were loaded'\n"
        "print(json.dumps(out.tolist()))\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], check=True, capture_output=True, text=True)
    assert json.loads(done.stdout) == expected


def test_folders_that_are_no_checkpoints_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such folder"):
        RLModule.from_checkpoint(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(CheckpointError, match=r"no metadata\.json"):
        RLModule.from_checkpoint(tmp_path / "empty")
    path = made().save_to_path(tmp_path / "module")
    with pytest.raises(CheckpointError, match="use DefaultActorCriticRLModule"):
        Doubled.from_checkpoint(path)


class AlwaysZero(RLModule):
    """Needs no framework: it learns nothing."""

    def _forward_inference(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return {Columns.ACTIONS: np.zeros(len(batch[Columns.OBS]), np.int64)}

    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        return self._forward_inference(batch, **kwargs)


class OneAfterTheOther(MultiRLModule):
    def _forward_exploration(self, batch: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
        found = super()._forward_exploration(batch, **kwargs)
        return {**found, "order": list(batch)}


def test_modules_without_parameters_act_beside_others() -> None:
    specs = {"fixed": RLModuleSpec(AlwaysZero, VECTOR, TWO), "other": RLModuleSpec(AlwaysZero, VECTOR, TWO)}
    multi = MultiRLModuleSpec(multi_rl_module_class=OneAfterTheOther, rl_module_specs=specs).build()
    batch = {name: {Columns.OBS: observed(VECTOR)} for name in ("other", "fixed")}
    found = multi.forward_exploration(batch)
    assert found["order"] == ["other", "fixed"] and found["fixed"][Columns.ACTIONS].tolist() == [0] * 5
    multi.set_state(multi.get_state())
    assert multi.get_state() == {"fixed": {}, "other": {}}


class TakesTheMaskAway(DefaultActorCriticRLModule):
    def __init__(self, *, observation_space: Any, **arguments: Any) -> None:
        super().__init__(observation_space=observation_space["seen"], **arguments)


def test_a_derived_module_may_look_after_the_mask_itself() -> None:
    space = gym.spaces.Dict({"action_mask": gym.spaces.Box(0, 1, (2,)), "seen": VECTOR})
    config = {"fcnet_hiddens": [8], "action_mask_key": "action_mask"}
    module = RLModuleSpec(TakesTheMaskAway, space, TWO, model_config=config).build()
    assert module.forward_train({Columns.OBS: observed(VECTOR)})[Columns.ACTION_DIST_INPUTS].shape == (5, 2)
