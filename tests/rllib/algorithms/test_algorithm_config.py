"""Settings: set, refused, copied, frozen."""

from __future__ import annotations

import inspect
import pickle
from typing import Any

import gymnasium as gym
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.rllib.algorithms.algorithm_config import SETTERS, AlgorithmConfig
from shoal.rllib.algorithms.dqn import DQNConfig
from shoal.rllib.algorithms.ppo import PPO, PPOConfig
from shoal.rllib.core.rl_module.default_model_config import DefaultModelConfig
from shoal.rllib.core.rl_module.multi_rl_module import MultiRLModuleSpec
from shoal.rllib.core.rl_module.rl_module import RLModuleSpec
from shoal.rllib.utils.error import ConfigError, FrozenConfigError, NoEffectWarning, UnknownSettingError

BOX_AND_DISCRETE = (gym.spaces.Box(-1, 1, (4,)), gym.spaces.Discrete(2))


def test_setters_chain_and_leave_alone_what_is_not_given() -> None:
    config = AlgorithmConfig().environment("CartPole-v1").training(lr=0.1, gamma=0.5).env_runners(num_env_runners=3)
    assert (config.env, config.lr, config.gamma, config.num_env_runners) == ("CartPole-v1", 0.1, 0.5, 3)
    assert config.training(lr=0.2).gamma == 0.5


@pytest.mark.parametrize("setter", SETTERS)
def test_every_argument_of_a_setter_has_a_place(setter: str) -> None:
    config = PPOConfig()
    known = set(config.to_dict()) | {"callbacks_class", "framework", "model"}
    for cls in (AlgorithmConfig, PPOConfig):
        for name in inspect.signature(getattr(cls, setter)).parameters:
            if name not in ("self", "others") and not name.startswith("on_"):
                assert name in known, f"{setter}({name}=...) sets nothing"


def test_unknown_arguments_are_refused_with_what_looks_like_them() -> None:
    with pytest.raises(UnknownSettingError, match=r"no argument 'gama'.*Did you mean 'gamma'"):
        PPOConfig().training(gama=0.9)
    with pytest.raises(TypeError, match=r"It is set by env_runners\(num_env_runners"):
        PPOConfig().training(num_env_runners=2)
    with pytest.raises(TypeError, match=r"It is set by env_runners\(num_cpus_per_env_runner=\.\.\.\)"):
        PPOConfig().learners(num_cpus_per_worker=2)
    with pytest.raises(TypeError, match=r"rl_module\(model_config=\{'vf_share_layers'"):
        PPOConfig().training(vf_share_layers=True)
    with pytest.raises(UnknownSettingError, match="'clip_param'"):
        PPOConfig().training(clip_parm=0.2)
    with pytest.raises(UnknownSettingError, match="'lambda_'"):
        PPOConfig().update_from_dict({"lambd": 0.9})
    with pytest.raises(KeyError, match="gamma"):
        PPOConfig()["gama"]


def test_old_names_mean_the_new_ones() -> None:
    config = PPOConfig().training(num_sgd_iter=7, sgd_minibatch_size=50).env_runners(num_rollout_workers=4)
    assert (config.num_epochs, config.minibatch_size, config.num_env_runners) == (7, 50, 4)
    assert config.rollouts(num_envs_per_worker=3).num_envs_per_env_runner == 3
    assert PPOConfig.from_dict({"num_workers": 1, "lambda": 0.9}).lambda_ == 0.9
    assert config.training(**{"lambda": 0.8}).lambda_ == 0.8
    assert config.fault_tolerance(ignore_worker_failures=True).ignore_env_runner_failures
    rates = [[0, 1e-3], [100, 1e-4]]
    assert config.training(lr_schedule=rates, entropy_coeff_schedule=None).lr == rates
    assert PPOConfig.from_dict({"entropy_coeff_schedule": rates, "lr_schedule": None}).entropy_coeff == rates
    assert config.rl_module(model_config_dict={"fcnet_hiddens": [9]}).model_config["fcnet_hiddens"] == [9]
    assert config.experimental(_enable_new_api_stack=True) is config


def test_what_another_setter_was_given_before_is_set() -> None:
    config = PPOConfig().resources(num_learner_workers=2, num_cpus_per_worker=3, num_gpus_per_worker=0, local_gpu_idx=1)
    assert (config.num_learners, config.num_cpus_per_env_runner, config.local_gpu_idx) == (2, 3, 1)
    config.training(lr=0.1, max_requests_in_flight_per_sampler_worker=4)
    assert (config.lr, config.max_requests_in_flight_per_env_runner) == (0.1, 4)
    config.multi_agent(algorithm_config_overrides_per_module={"default_policy": {"lr": 0.2}})
    assert config.get_config_for_module("default_policy").lr == 0.2
    with pytest.raises(ConfigError, match="num_learners is -1"):
        config.resources(num_learner_workers=-1)


def test_attributes_are_looked_at_as_arguments_are() -> None:
    config: Any = PPOConfig()
    config.num_workers, config.model_config = 3, {"fcnet_hiddens": [5]}
    config.kept_by_the_program = 7  # looks like no setting
    assert (config.num_env_runners, config.model_config["fcnet_hiddens"], config.kept_by_the_program) == (3, [5], 7)
    assert config.copy().kept_by_the_program == 7
    for name, value, told in (
        ("num_env_runer", 3, "no setting 'num_env_runer'. Did you mean 'num_env_runners'"),
        ("lr", "fast", "lr is 'fast'"),
        ("train_batch_size_per_learner", 0, "train_batch_size_per_learner is 0"),
        ("training", {"lr": 1}, r"training is a method, and no setting; call config.training\("),
        ("is_offline", True, "follows from settings"),
    ):
        with pytest.raises(ConfigError, match=told):
            setattr(config, name, value)
    with pytest.warns(NoEffectWarning, match="fake_sampler"):
        config.fake_sampler = True

    class Own(PPOConfig):
        def __init__(self) -> None:
            super().__init__()
            self.gama = 0.5  # a class may have settings of any name

    assert Own().gama == 0.5 and Own().training(lr=0.5).copy().gama == 0.5


@pytest.mark.parametrize(
    ("method", "arguments", "says"),
    [
        ("training", {"lr": -1}, "lr is -1"),
        ("training", {"gamma": 1.5}, "gamma is 1.5; give a number from 0 to 1"),
        ("training", {"lr": [[10, 0.1], [20, 0.2]]}, "starts at timestep 10"),
        ("training", {"lr": [[0, 0.1], [0, 0.2]]}, "must rise"),
        ("training", {"minibatch_size": 0}, "minibatch_size is 0"),
        ("training", {"grad_clip_by": "norms"}, "'global_norm'"),
        ("env_runners", {"num_env_runners": -1}, "whole number >= 0"),
        ("env_runners", {"num_env_runners": True}, "num_env_runners is True"),
        ("env_runners", {"rollout_fragment_length": "long"}, "or 'auto'"),
        ("evaluation", {"evaluation_duration_unit": "steps"}, "'episodes' or 'timesteps'"),
        ("callbacks", {"on_train_result": 3}, "on_train_result is 3"),
        ("callbacks", {"callbacks_class": 3}, "callbacks_class is 3"),
        ("rl_module", {"rl_module_spec": PPO}, "; give RLModuleSpec(module_class=PPO"),
        ("training", {"grad_clip": 0.0}, "leaves nothing of any gradient"),
        ("framework", {"framework": "tf2"}, "'torch' alone"),
        ("api_stack", {"enable_rl_module_and_learner": False}, "old API stack"),
        ("environment", {"env_config": [1]}, "give a dict"),
    ],
)
def test_values_that_cannot_be_are_refused_as_they_are_set(
    method: str, arguments: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigError, match=says.replace("(", r"\(")):
        getattr(PPOConfig(), method)(**arguments)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: c.training(train_batch_size_per_learner=100, minibatch_size=128), "minibatch_size is 128"),
        (lambda c: c.evaluation(evaluation_parallel_to_training=True), "evaluation_num_env_runners"),
        (lambda c: c.evaluation(evaluation_duration="auto"), "evaluation_parallel_to_training"),
        (lambda c: c.multi_agent(policies={"a", "b"}, policies_to_train=["c"]), "none of policies"),
        (lambda c: c.env_runners(rollout_fragment_length=5000), "more than the batch of 4000"),
        (lambda c: c.training(lr={"grid_search": [1, 2]}), "Tuner"),
        (lambda c: c.training(lr=None), "lr is None; give a learning rate"),
        (lambda c: c.offline_data(input_="/tmp/records"), "PPO learns from what it samples; BC, MARWIL"),
        (
            lambda c: c.env_runners(num_env_runners=0, env_to_module_connector=lambda *_: 3),
            "connector function returned 3",
        ),
    ],
)
def test_settings_that_do_not_fit_one_another_are_refused_when_it_is_built(change: object, says: str) -> None:
    config = PPOConfig().environment("CartPole-v1")
    change(config)  # type: ignore[operator]
    with pytest.raises(ConfigError, match=says):
        config.build_algo()


def test_the_new_api_stack_is_what_there_is() -> None:
    config = PPOConfig()
    config.enable_rl_module_and_learner = config.enable_env_runner_and_connector_v2 = True
    assert config.enable_rl_module_and_learner and config["enable_env_runner_and_connector_v2"]
    with pytest.raises(ConfigError, match="old API stack"):
        config.enable_rl_module_and_learner = False


def test_a_frozen_configuration_cannot_be_changed_and_a_copy_can() -> None:
    config = PPOConfig().training(lr=0.1)
    config.freeze()
    with pytest.raises(FrozenConfigError, match="copy_frozen=False"):
        config.training(lr=0.2)
    copy = config.copy(copy_frozen=False).training(lr=0.3)
    assert (config.lr, copy.lr) == (0.1, 0.3)
    with pytest.raises(FrozenConfigError):
        config.copy().gamma = 0.1


def test_a_copy_shares_nothing_that_changes() -> None:
    config = PPOConfig().environment(env_config={"a": [1]})
    copy = config.copy()
    copy.env_config["a"].append(2)
    assert config.env_config == {"a": [1]}


def test_dicts_states_and_pickles_make_the_same_configuration() -> None:
    config = PPOConfig().environment("CartPole-v1").training(lr=[[0, 0.1], [10, 0.2]]).debugging(seed=1)
    assert PPOConfig.from_dict(config.to_dict()) == config
    assert AlgorithmConfig.from_state(config.get_state()) == config
    assert pickle.loads(pickle.dumps(config)) == config
    assert config.serialize()["lr"] == [[0, 0.1], [10, 0.2]]
    assert config.as_param_space() == {"env": "CartPole-v1", "lr": [[0, 0.1], [10, 0.2]], "seed": 1}


def test_what_was_pickled_before_a_setting_was_there_has_its_default() -> None:
    state = PPOConfig().training(lr=0.1).__getstate__()
    del state["_luggage"], state["log_sys_usage"]
    older = PPOConfig.__new__(PPOConfig)
    older.__setstate__(state)
    assert older == PPOConfig().training(lr=0.1)
    assert pickle.loads(pickle.dumps(older)) == older


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"framework": "tf2"}, "'torch' alone"),
        ({"framework_str": "tf"}, "'torch' alone"),
        ({"enable_rl_module_and_learner": False}, "old API stack"),
        ({"gym_env_vectorize_mode": "threads"}, "'vector_entry_point' or 'envpool'"),
        ({"log_level": "LOUD"}, "'DEBUG' or 'INFO'"),
    ],
)
def test_dicts_are_refused_what_setters_are_refused(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        PPOConfig().update_from_dict(settings)


def test_it_can_be_read_as_a_mapping() -> None:
    config = PPOConfig()
    assert config["kl_coeff"] == config.get("kl_coeff") == dict(config.items())["kl_coeff"] == 0.2
    assert "kl_coeff" in config and "nothing" not in config
    assert config.get("nothing", 3) == 3


def test_modules_have_settings_that_differ() -> None:
    config = PPOConfig().multi_agent(
        policies={"a", "b"}, policy_mapping_fn=lambda agent, episode, **_: agent, policies_to_train=["a"]
    )
    config.rl_module(algorithm_config_overrides_per_module={"a": PPOConfig.overrides(lr=0.5)})
    assert config.is_multi_agent
    assert (config.get_config_for_module("a").lr, config.get_config_for_module("b").lr) == (0.5, 5e-5)
    assert config.is_policy_to_train("a") and not config.is_policy_to_train("b")
    with pytest.raises(UnknownSettingError):
        PPOConfig.overrides(lrr=1)


def test_model_settings_fill_the_modules_spec() -> None:
    spaces = {"default_policy": BOX_AND_DISCRETE}
    config = PPOConfig().rl_module(model_config={"fcnet_hiddens": [8]})
    spec = config.get_rl_module_spec(spaces=spaces, inference_only=True)
    assert spec.model_config == {"vf_share_layers": False, "fcnet_hiddens": [8]} and spec.inference_only
    config.rl_module(model_config=DefaultModelConfig(fcnet_hiddens=[4]))
    assert config.get_rl_module_spec(spaces=spaces).model_config["vf_share_layers"] is True
    config.rl_module(rl_module_spec=RLModuleSpec(model_config={"fcnet_hiddens": [2]}))
    assert config.get_rl_module_spec(spaces=spaces).model_config["fcnet_hiddens"] == [2]


def test_what_is_said_of_one_module_goes_before_what_is_said_of_all() -> None:
    def hiddens(config: AlgorithmConfig) -> dict[str, object]:
        config.multi_agent(policies={"a", "b"}, policy_mapping_fn=lambda agent, episode, **_: agent)
        specs = config.get_multi_rl_module_spec(spaces=dict.fromkeys("ab", BOX_AND_DISCRETE)).rl_module_specs
        return {name: spec.model_config["fcnet_hiddens"] for name, spec in specs.items()}

    own = {"a": PPOConfig.overrides(model_config={"fcnet_hiddens": [1]})}

    def config(spec: object = None) -> PPOConfig:
        made = PPOConfig().rl_module(model_config={"fcnet_hiddens": [8]}, algorithm_config_overrides_per_module=own)
        return made if spec is None else made.rl_module(rl_module_spec=spec)

    assert hiddens(config()) == {"a": [1], "b": [8]}
    assert hiddens(config(RLModuleSpec(model_config={"fcnet_hiddens": [4]}))) == {"a": [1], "b": [4]}
    several = {"a": RLModuleSpec(model_config=DefaultModelConfig(fcnet_hiddens=[2])), "b": RLModuleSpec()}
    assert hiddens(config(MultiRLModuleSpec(rl_module_specs=several))) == {"a": [2], "b": [8]}
    of_all = MultiRLModuleSpec(model_config={"fcnet_hiddens": [6]}, rl_module_specs={"a": RLModuleSpec()})
    assert hiddens(config(of_all)) == {"a": [1], "b": [6]}
    # What the algorithm's own settings say of the network differs by module, too.
    nets = DQNConfig().rl_module(algorithm_config_overrides_per_module={"a": DQNConfig.overrides(dueling=False)})
    nets.multi_agent(policies={"a", "b"}, policy_mapping_fn=lambda agent, episode, **_: agent)
    specs = nets.get_multi_rl_module_spec(spaces=dict.fromkeys("ab", BOX_AND_DISCRETE)).rl_module_specs
    assert {name: spec.model_config["dueling"] for name, spec in specs.items()} == {"a": False, "b": True}


def test_evaluation_has_settings_that_differ() -> None:
    config = PPOConfig().evaluation(evaluation_config=PPOConfig.overrides(explore=False), evaluation_num_env_runners=1)
    evaluating = config.get_evaluation_config_object()
    assert evaluating is not None
    assert (evaluating.explore, evaluating.num_env_runners, evaluating.in_evaluation) == (False, 1, True)
    assert config.explore


@given(batch=st.integers(1, 5000), runners=st.integers(0, 8), envs=st.integers(1, 16), learners=st.integers(0, 3))
def test_fragments_make_up_the_batch(batch: int, runners: int, envs: int, learners: int) -> None:
    config = PPOConfig().training(train_batch_size_per_learner=batch).learners(num_learners=learners)
    config.env_runners(num_env_runners=runners, num_envs_per_env_runner=envs)
    lengths = [config.get_rollout_fragment_length(index) for index in range(1, max(runners, 1) + 1)]
    total = sum(lengths) * envs
    assert config.total_train_batch_size == batch * max(learners, 1)
    assert config.total_train_batch_size <= total < config.total_train_batch_size + max(runners, 1) * envs


def test_what_builds_nothing_says_so() -> None:
    with pytest.raises(ConfigError, match="algo_class"):
        AlgorithmConfig().build_algo()
    with pytest.raises(ConfigError, match="no environment"):
        PPOConfig().env_runners(num_env_runners=0).build_algo()


def test_importing_it_loads_no_torch() -> None:
    import subprocess
    import sys

    program = "import sys, shoal.rllib.algorithms.algorithm_config as c; c.AlgorithmConfig(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_algorithms_have_names() -> None:
    from shoal.rllib.algorithms.registry import get_algorithm_class

    assert get_algorithm_class("PPO") is PPO
    with pytest.raises(ConfigError, match="'PPO'"):
        get_algorithm_class("PPOO")


class WithDefaults(PPOConfig):
    def get_default_rl_module_spec(self) -> RLModuleSpec:
        spec = super().get_default_rl_module_spec()
        spec.model_config = {"fcnet_hiddens": [7], "vf_share_layers": True}
        return spec


def test_the_default_modules_settings_are_known_and_users_change_them() -> None:
    config = WithDefaults().environment("CartPole-v1")
    env = gym.make("CartPole-v1")
    plain = config.get_rl_module_spec(env=env).model_config
    assert (plain["fcnet_hiddens"], plain["vf_share_layers"]) == ([7], True)
    changed = config.rl_module(model_config={"fcnet_hiddens": [9]}).get_rl_module_spec(env=env).model_config
    assert (changed["fcnet_hiddens"], changed["vf_share_layers"]) == ([9], True)


def test_a_module_beside_the_policy_sees_what_it_sees_and_has_settings_of_its_own() -> None:
    specs = MultiRLModuleSpec(rl_module_specs={"default_policy": RLModuleSpec(), "beside": RLModuleSpec()})
    config = PPOConfig().rl_module(
        rl_module_spec=specs, algorithm_config_overrides_per_module={"beside": PPOConfig.overrides(lr=0.5)}
    )
    config.validate()
    assert config.get_config_for_module("beside").lr == 0.5
    spaces = (gym.spaces.Box(0, 1, (3,)), gym.spaces.Discrete(2))
    filled = config.get_multi_rl_module_spec(spaces={"default_policy": spaces, "__env__": spaces})
    assert filled["beside"].observation_space is spaces[0]
