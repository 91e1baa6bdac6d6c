"""Settings of an algorithm do what they say: those that no other test shows. `test_every_setting.py` holds the list of all."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

import shoal
from shoal.rllib._internal.evaluation import Evaluation
from shoal.rllib._internal.runners.restarts import RestartSettings
from shoal.rllib._internal.runners.runner_actors import Request, RunnerActors
from shoal.rllib.algorithms.algorithm import Algorithm
from shoal.rllib.algorithms.bc import BCConfig
from shoal.rllib.algorithms.ppo import PPO, PPOConfig
from shoal.rllib.connectors.connector_v2 import ConnectorV2
from shoal.rllib.connectors.env_to_module.mean_std_filter import MeanStdFilter
from shoal.rllib.core.learner.learner_group import LearnerGroup
from shoal.rllib.env.env_runner_group import EnvRunnerGroup
from shoal.rllib.env.single_agent_env_runner import SingleAgentEnvRunner
from shoal.rllib.offline.offline_data import OfflineData
from shoal.rllib.utils.error import ConfigError, EnvError, OfflineDataError
from shoal.rllib.utils.metrics.stats import Mean

# --- runners -----------------------------------------------------------------------------------------------------------------------


def small(**training: Any) -> PPOConfig:
    config = PPOConfig().environment("CartPole-v1").env_runners(num_env_runners=0).debugging(seed=1)
    config.training(**{"train_batch_size_per_learner": 40, "minibatch_size": 20, "num_epochs": 2, **training})
    return config.rl_module(model_config={"fcnet_hiddens": [4]})


class OwnRunner(SingleAgentEnvRunner):
    """A class of one's own."""


@pytest.fixture
def spaces() -> dict[str, Any]:
    runner = SingleAgentEnvRunner(config=small())
    found = runner.get_spaces()
    runner.stop()
    return found


class FakeActors:
    """Actors that are none: what they are asked is kept."""

    def __init__(self, spaces: Any = None, count: int = 2) -> None:
        self.spaces, self.count = spaces, count
        self.waited: list[int] = []
        self.asked: list[tuple[str, Any]] = []
        self.requests: list[Any] = []
        self.runner_state: Any = {}
        self.version = 0
        self.recreated: list[int] = []

    def make(self, index: int, recreated: bool) -> Any:
        return index

    def set_up(self, index: int, setup: Any) -> Any:
        self.waited.append(index)
        return self.spaces

    def going_on(self) -> list[int]:
        return list(range(1, self.count + 1))

    def __len__(self) -> int:
        return self.count

    def ask(self, index: int, timesteps: Any, arguments: Any) -> Any:
        return SimpleNamespace(index=index)

    def call(self, index: int, func: Any, arguments: Any) -> Any:
        self.asked.append((func, arguments))
        return index

    def collect(self, func: Any, arguments: Any, references: Any, timeout: Any) -> Any:
        return [(index, None) for index in references]

    def stop(self) -> None:
        pass


@pytest.fixture
def group_of(monkeypatch: pytest.MonkeyPatch, spaces: Any) -> Iterator[Any]:
    made: list[EnvRunnerGroup] = []

    def make(config: Any, **arguments: Any) -> tuple[EnvRunnerGroup, FakeActors]:
        actors = FakeActors(spaces, config.num_env_runners)
        monkeypatch.setattr("shoal.rllib.env.env_runner_group.RunnerActors", lambda config, *_: actors)
        made.append(EnvRunnerGroup(config, **arguments))
        return made[-1], actors

    yield make
    for group in made:
        group.stop()


def test_runners_are_of_the_class_and_in_the_place_that_is_asked_for(
    group_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    group, _ = group_of(small().env_runners(env_runner_cls=OwnRunner))
    assert isinstance(group.local_env_runner, OwnRunner)
    monkeypatch.setattr(Algorithm, "sync_weights", lambda self: None)
    group_of(small())  # from here on, actors are fakes
    with PPO(config=small().env_runners(num_env_runners=2, create_local_env_runner=False)) as algo:
        assert algo.env_runner is None
    group, _ = group_of(small().env_runners(num_env_runners=2))
    assert group.local_env_runner.env is None
    group, _ = group_of(small().env_runners(num_env_runners=2, create_env_on_local_worker=True))
    assert group.local_env_runner.env is not None


def test_all_actors_are_waited_for_or_the_first_alone(group_of: Any) -> None:
    config = small().env_runners(num_env_runners=3)
    assert group_of(config)[1].waited == [1, 2, 3]
    assert group_of(config.env_runners(validate_env_runners_after_construction=False))[1].waited == [1]


def test_actors_have_calls_waiting(group_of: Any) -> None:
    group, actors = group_of(small().env_runners(num_env_runners=2, max_requests_in_flight_per_env_runner=3))
    group._ask_all({})
    group._ask_all({})
    assert [request.index for request in actors.requests] == [1, 1, 1, 2, 2, 2]


class Own(ConnectorV2):
    """A piece of one's own."""

    def __call__(self, *, batch: Any, **_: Any) -> Any:
        return batch


def test_default_connectors_may_be_left_out(spaces: Any) -> None:
    def pieces(config: Any) -> list[int]:
        config.env_runners(env_to_module_connector=lambda *_: Own(), module_to_env_connector=lambda *_: Own())
        both = (
            config.build_env_to_module_connector(spaces=spaces),
            config.build_module_to_env_connector(spaces=spaces),
        )
        return [len(pipeline.connectors) for pipeline in both]

    assert min(pieces(small())) > 3
    left_out = {
        "add_default_connectors_to_env_to_module_pipeline": False,
        "add_default_connectors_to_module_to_env_pipeline": False,
    }
    assert pieces(small().env_runners(**left_out)) == [1, 1]


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({}, ["get_state", "get_state", "set_state", "set_state"]),
        ({"merge_env_runner_states": False}, ["set_state", "set_state"]),
        ({"broadcast_env_runner_states": False}, ["get_state", "get_state"]),
    ],
)
def test_states_of_connectors_are_merged_and_sent(group_of: Any, settings: Any, asked: Any) -> None:
    config = small().env_runners(num_env_runners=2, env_to_module_connector=lambda *_: MeanStdFilter(), **settings)
    group, actors = group_of(config)
    group.sync_env_runner_states()
    assert [func for func, _ in actors.asked] == asked


def test_restarts_go_by_the_settings() -> None:
    config = small().fault_tolerance(
        restart_failed_env_runners=False,
        ignore_env_runner_failures=True,
        max_num_env_runner_restarts=3,
        delay_between_env_runner_restarts_s=4.0,
        num_consecutive_env_runner_failures_tolerance=5,
    )
    settings = RunnerActors(config, object, 0)._restarts.settings
    assert settings == RestartSettings(restart=False, ignore=True, most_restarts=3, delay_s=4.0, consecutive_failures=5)


def test_deadlines_of_actors(monkeypatch: pytest.MonkeyPatch) -> None:
    limits: list[Any] = []
    killed: list[Any] = []

    def get(reference: Any, *, timeout: Any = None) -> Any:
        limits.append(timeout)
        raise shoal.exceptions.GetTimeoutError("it hangs")

    monkeypatch.setattr(shoal, "wait", lambda references, **_: ([], list(references)))
    monkeypatch.setattr(shoal, "get", get)
    monkeypatch.setattr(shoal, "kill", killed.append)
    config = small().fault_tolerance(env_runner_restore_timeout_s=0.0, env_runner_health_probe_timeout_s=0.25)
    actors = RunnerActors(config, object, 1)
    actor = SimpleNamespace(where=SimpleNamespace(remote=lambda: "where"))
    actors._actors = {1: actor}
    with pytest.raises(EnvError, match=r"not made within 0 s \(env_runner_restore_timeout_s\)"):
        actors._wait_for_setup(1, "setup")
    actors._look_after(Request(1, None, None, 0.0), 1.0)
    assert (limits, killed) == ([0.25], [actor])


def test_how_passes_are_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    from shoal.rllib.core.rl_module.torch.compiling import compile_for_acting, compile_for_learning

    modes: list[Any] = []
    monkeypatch.setattr(torch, "compile", lambda function, *, backend, mode: (modes.append(mode), function)[1])
    module = SimpleNamespace(forward_train=0, forward_exploration=0, forward_inference=0)
    config = PPOConfig().framework(torch_compile_learner=True, torch_compile_worker=True)
    config.framework(torch_compile_learner_dynamo_mode="max-autotune", torch_compile_worker_dynamo_mode="default")
    compile_for_learning(module, config)
    compile_for_acting(module, config)
    assert modes == ["max-autotune", "default", "default"]


# --- resources, processes ----------------------------------------------------------------------------------------------------------


def test_resources_are_asked_for() -> None:
    config = small().env_runners(
        num_env_runners=1, num_gpus_per_env_runner=0.5, custom_resources_per_env_runner={"arcade": 2}
    )
    config.learners(num_learners=1, num_gpus_per_learner=1, num_cpus_per_learner=3)
    config.learners(custom_resources_per_learner={"school": 1})
    config.resources(
        num_cpus_for_main_process=2, custom_resources_for_main_process={"desk": 1}, placement_strategy="SPREAD"
    )
    asked = PPO.default_resource_request(config)
    assert [dict(bundle) for bundle in asked.bundles] == [
        {"CPU": 2, "desk": 1},
        {"CPU": 3, "GPU": 1, "school": 1},
        {"CPU": 1, "GPU": 0.5, "arcade": 2},
    ]
    assert asked.strategy == "SPREAD"


def test_learners_have_updates_waiting(monkeypatch: pytest.MonkeyPatch, spaces: Any) -> None:
    limits: list[Any] = []
    actor = SimpleNamespace(update=SimpleNamespace(remote=lambda *_: "an update"))
    monkeypatch.setattr(LearnerGroup, "_start_actors", lambda group, *_: group._actors.append(actor))
    config = small().learners(num_learners=1, max_requests_in_flight_per_learner=2)
    group = LearnerGroup(config=config, module_spec=config.get_multi_rl_module_spec(spaces=spaces))
    monkeypatch.setattr(shoal, "wait", lambda calls, *, num_returns, timeout: (limits.append(timeout), ([], calls))[1])
    for _ in range(3):
        group.update(batch={"default_policy": {"obs": np.zeros((2, 1))}}, async_update=True)
    assert limits == [0, 0, None]  # the third waits for the first


def test_devices_are_those_that_are_asked_for(monkeypatch: pytest.MonkeyPatch, spaces: Any) -> None:
    config = small().learners(num_gpus_per_learner=1, local_gpu_idx=3)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    learner = config.learner_class(config=config, module_spec=config.get_multi_rl_module_spec(spaces=spaces))
    monkeypatch.setattr(learner, "_on_device", lambda module: module)
    learner.build()
    assert learner.device == torch.device("cuda", 3)


def test_an_algorithm_sets_what_its_process_has(monkeypatch: pytest.MonkeyPatch) -> None:
    loggers = logging.getLogger("shoal.rllib")
    monkeypatch.setattr(loggers, "level", logging.NOTSET)
    monkeypatch.setenv("OF_THE_DRIVER", "before")
    config = small().python_environment(extra_python_environs_for_driver={"OF_THE_DRIVER": "set"})
    config.build_algo().stop()
    assert (os.environ["OF_THE_DRIVER"], loggers.level) == ("set", logging.NOTSET)
    config.debugging(log_level="DEBUG").build_algo().stop()
    assert loggers.level == logging.DEBUG


def test_an_actor_sets_what_its_process_has(monkeypatch: pytest.MonkeyPatch) -> None:
    from shoal.rllib._internal.runners.env_runner_actor import EnvRunnerActor

    monkeypatch.setenv("OF_THE_WORKER", "before")
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    config = small().python_environment(extra_python_environs_for_worker={"OF_THE_WORKER": "set"})
    actor = EnvRunnerActor()
    actor.set_up(SingleAgentEnvRunner, {"config": config})
    actor.call("stop", {})
    assert os.environ["OF_THE_WORKER"] == "set"


def test_what_does_not_fit_may_be_tried() -> None:
    config = small(minibatch_size=400)
    with pytest.raises(ConfigError, match="minibatch_size"):
        config.build_algo()
    with config.experimental(_validate_config=False).build_algo() as algo:
        assert algo.config.minibatch_size == 400


# --- learning and reporting --------------------------------------------------------------------------------------------------------


def test_what_an_update_goes_by() -> None:
    def weights(**training: Any) -> dict[str, Any]:
        with small(**training).build_algo() as algo:
            algo.train()
            found: dict[str, Any] = algo.get_weights()["default_policy"]
            return found

    usual = weights()
    for other in (
        {"gamma": 0.5},
        {"num_epochs": 1},
        {"minibatch_size": 40},
        {"shuffle_batch_per_epoch": not small().shuffle_batch_per_epoch},
    ):
        assert any((usual[key] != value).any() for key, value in weights(**other).items()), other


def test_what_an_iteration_reports() -> None:
    config = small(train_batch_size_per_learner=200)
    with config.build_algo() as algo:
        usual = algo.train()
    assert {"cpu_util_percent", "ram_util_percent"} == set(usual["perf"])
    assert not any("global_norm" in key for key in usual["learners"]["default_policy"])
    config.reporting(metrics_num_episodes_for_smoothing=1, log_gradients=True).debugging(log_sys_usage=False)
    with config.build_algo() as algo:
        other = algo.train()
    assert "perf" not in other
    assert any("global_norm" in key for key in other["learners"]["default_policy"])
    found = other["env_runners"]
    assert found["episode_return_min"] == found["episode_return_max"] == found["episode_return_mean"]
    assert usual["env_runners"]["episode_return_min"] < usual["env_runners"]["episode_return_max"]


class Middle(Mean):
    """The median."""

    NAME = "middle"

    def _reduced(self, numbers: list[Any]) -> Any:
        return float(np.median(numbers))


def test_what_is_logged_may_be_reduced_in_ways_of_ones_own() -> None:
    def log(metrics_logger: Any, **_: Any) -> None:
        for value in (1.0, 2.0, 12.0):
            metrics_logger.log_value("own", value, reduce="middle", window=3)

    config = small().reporting(custom_stats_cls_lookup={"middle": Middle}).callbacks(on_sample_end=log)
    with config.build_algo() as algo:
        assert algo.train()["env_runners"]["own"] == 2.0


def test_an_iteration_takes_as_long_as_it_is_to(monkeypatch: pytest.MonkeyPatch) -> None:
    config = small().reporting(min_time_s_per_iteration=3)
    steps: list[None] = []
    with config.build_algo() as algo:
        monkeypatch.setattr("shoal.rllib.algorithms.algorithm.time.perf_counter", lambda: float(len(steps)))
        monkeypatch.setattr(algo, "training_step", lambda: steps.append(None))
        algo._training_steps()
    assert len(steps) == 3


def test_classes_and_functions_are_told_of_what_happens() -> None:
    from shoal.rllib.callbacks.callbacks import RLlibCallback

    told: list[str] = []

    class Told(RLlibCallback):
        def on_algorithm_init(self, **_: Any) -> None:
            told.append("the class")

    config = small().callbacks(Told, on_algorithm_init=lambda **_: told.append("the function"))
    config.build_algo().stop()
    assert sorted(told) == ["the class", "the function"]


def test_torch_alone_loads_a_module(tmp_path: Path) -> None:
    file = "learner_group/learner/rl_module/default_policy/model.pt"
    with small().checkpointing(export_native_model_files=True).build_algo() as algo:
        algo.save_to_path(tmp_path / "with")
        module: Any = algo.get_module()
        loaded = torch.load(tmp_path / "with" / file)
        assert loaded.keys() == module.state_dict().keys()
        assert all(torch.equal(value, loaded[key]) for key, value in module.state_dict().items())
    with small().build_algo() as algo:
        algo.save_to_path(tmp_path / "without")
    assert not (tmp_path / "without" / file).exists()


@pytest.mark.parametrize("evaluation_duration_unit", ["episodes", "timesteps"])
def test_how_long_an_evaluation_is(monkeypatch: pytest.MonkeyPatch, evaluation_duration_unit: str) -> None:
    rounds: list[Any] = []
    config = small().evaluation(
        evaluation_duration=5,
        evaluation_duration_unit=evaluation_duration_unit,
        evaluation_sample_timeout_s=7.0,
        evaluation_force_reset_envs_before_iteration=False,
        evaluation_auto_duration_min_env_steps_per_sample=10,
        evaluation_auto_duration_max_env_steps_per_sample=25,
    )
    evaluation = Evaluation(config, None)
    with monkeypatch.context() as patched:
        patched.setattr(evaluation, "_round", lambda *arguments: bool(rounds.append(arguments)) or True)
        evaluation._sample(lambda: True)
        config.evaluation_duration = "auto"
        evaluation._sample(lambda: len(rounds) > 3)
        # One deadline, 7 s after it began, for all of its parts. No part begins that would not be over by then.
        auto = [(steps, "timesteps", False) for steps in (10, 20, 25)]
        assert [given for *given, _ in rounds] == [list(part) for part in [(5, evaluation_duration_unit, False), *auto]]
        assert {deadline for *_, deadline in rounds[1:]} == {rounds[1][-1]}
        now = [0.0]
        patched.setattr("shoal.rllib._internal.evaluation.time", SimpleNamespace(monotonic=lambda: now[0]))
        patched.setattr(evaluation, "_round", lambda steps, *rest: bool(now.append(now.pop() + steps / 10)) or True)
        evaluation._sample(lambda: False)
        assert now == [1.0 + 2.0 + 2.5]
    evaluation.group.stop()
    asked: list[Any] = []
    evaluation.group = SimpleNamespace(  # type: ignore[assignment]
        num_env_runners=1,
        healthy_env_runner_ids=lambda: [1],
        work_through=lambda func, work, timeout_s: (asked.append(timeout_s), ([], []))[1],
    )
    evaluation._round(5, "timesteps", False, time.monotonic() + 7.0)
    evaluation._round(5, "timesteps", False, None)
    assert 0 < asked[0] <= 7.0 and asked[1] is None


# --- recorded data -----------------------------------------------------------------------------------------------------------------

ROWS = {"obs": np.zeros((6, 4), np.float32), "actions": np.arange(6) % 2}


class Rows:
    """A dataset that tells how it was read."""

    def __init__(self) -> None:
        self.arguments: dict[str, Any] = {}

    def iter_batches(self, **arguments: Any) -> Any:
        self.arguments = arguments
        yield dict(ROWS)


class OwnData(OfflineData):
    """A class of one's own."""

    def __init__(self, config: Any, *, colour: str, **arguments: Any) -> None:
        super().__init__(config, **arguments)
        self.colour = colour


def cloning(input_: Any, **offline: Any) -> BCConfig:
    config = BCConfig().environment("CartPole-v1").rl_module(model_config={"fcnet_hiddens": [4]})
    return config.offline_data(input_=input_, ignore_final_observation=True, **offline)


def test_recorded_data_is_read_as_it_is_asked_for() -> None:
    rows = Rows()
    config = cloning(
        rows,
        map_batches_kwargs={"batch_size": 3},
        iter_batches_kwargs={"prefetch_batches": 5},
        offline_data_class=OwnData,
        offline_data_class_kwargs={"colour": "blue"},
    )
    with config.build_algo() as algo:
        assert algo.offline_data.colour == "blue" and len(algo.offline_data) == 6
    assert rows.arguments == {"prefetch_batches": 5, "batch_size": 3, "batch_format": "numpy"}


def test_files_are_read_and_written_with_arguments(monkeypatch: pytest.MonkeyPatch) -> None:
    from shoal.rllib._internal.offline import recording
    from shoal.rllib.offline import offline_data

    called: list[Any] = []

    class Disk:
        def __init__(self, **arguments: Any) -> None:
            self.arguments = arguments

    def read_parquet(path: Any, **arguments: Any) -> Any:
        called.append((path, arguments.pop("filesystem").arguments, arguments))
        return Rows()

    monkeypatch.setattr(offline_data, "data_library", lambda why: SimpleNamespace(read_parquet=read_parquet))
    how = {"input_filesystem": Disk, "input_filesystem_kwargs": {"room": 1}}
    OfflineData(cloning("somewhere", input_read_method_kwargs={"columns": ["obs"]}, **how))
    assert called == [("somewhere", {"room": 1}, {"columns": ["obs"]})]

    class Written:
        def write_parquet(self, path: Any, **arguments: Any) -> None:
            called.append((path, arguments.pop("filesystem").arguments, arguments))

    library = SimpleNamespace(Dataset=Written, from_arrow=lambda table: Written())
    monkeypatch.setattr(recording, "data_library", lambda why: library)
    monkeypatch.setattr(recording, "_first_free", lambda *_: 0)
    config = small().offline_data(
        output="/elsewhere",
        output_filesystem=Disk,
        output_filesystem_kwargs={"room": 2},
        output_write_method_kwargs={"compression": "zstd"},
        output_write_remaining_data=True,
    )
    runner = EnvRunnerGroup(config).local_runner
    runner.sample(num_episodes=1)
    runner.stop()
    ((path, room, arguments),) = called[1:]
    assert path.startswith("/elsewhere/") and (room, arguments) == ({"room": 2}, {"compression": "zstd"})


def test_recorded_actions_are_as_they_are_said_to_be() -> None:
    space = gym.spaces.Box(-4.0, 4.0, (1,), np.float32)
    rows = {"obs": ROWS["obs"][:2], "actions": np.array([[1.0], [-0.5]], np.float32)}

    def actions(normalized: bool) -> Any:
        config = cloning(rows, actions_in_input_normalized=normalized).environment(action_space=space)
        steps = OfflineData(config).steps
        assert steps is not None
        return np.ravel(steps.pairs(np.arange(2))["actions"]).tolist()

    assert actions(True) == [1.0, -0.5]
    assert actions(False) == [0.25, -0.125]
    rows["actions"][1] = 1.5
    with pytest.raises(OfflineDataError, match=r"action \[1.5\], which is not between -1 and 1.*cut them at -1 and 1"):
        actions(True)
