"""Loggers on the real libraries, in a real run."""

from __future__ import annotations

import io
import os
import pickle
import struct
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from shoal import train
from shoal.air.exceptions import LoggerSetupError, MissingLibraryError
from shoal.train import Checkpoint, Result, RunConfig, ScalingConfig
from shoal.train.data_parallel_trainer import DataParallelTrainer

# What mlflow and wandb warn of is theirs.
pytestmark = pytest.mark.filterwarnings("ignore")


def loop(config: dict[str, Any]) -> None:
    for step in range(3):
        folder = Path(tempfile.mkdtemp())
        (folder / "x").write_text(str(step))
        train.report(
            {"loss": 1 / (step + 1), "deep": {"acc": step / 10}, "name": "x", "weights": [0.0, 1.0, 1.0, 3.0]},
            checkpoint=Checkpoint.from_directory(folder) if step == 2 else None,
        )


def fit(folder: Path, callback: Any, function: Any = loop, workers: int = 2) -> Result:
    return DataParallelTrainer(
        function,
        train_loop_config={"lr": 0.1, "layers": {"sizes": [3, 4]}},
        scaling_config=ScalingConfig(num_workers=workers),
        run_config=RunConfig("run", storage_path=folder, verbose=0, callbacks=[callback] if callback else None),
    ).fit()


def test_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.plugins.hparams import plugin_data_pb2

    from shoal.air.integrations.tensorboard import TBXLoggerCallback

    callback = pickle.loads(pickle.dumps(TBXLoggerCallback()))
    result = fit(tmp_path, callback)
    events = EventAccumulator(result.path)
    events.Reload()
    scalars = events.Scalars("ray/tune/deep/acc")
    assert [(event.step, round(event.value, 6)) for event in scalars] == [(1, 0.0), (2, 0.1), (3, 0.2)]
    assert "ray/tune/name" not in events.Tags()["scalars"]
    histogram = events.Histograms("ray/tune/weights")[0].histogram_value
    assert (histogram.num, histogram.min, histogram.max, histogram.sum) == (4, 0.0, 3.0, 5.0)
    data = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    found = plugin_data_pb2.HParamsPluginData.FromString(data).session_start_info.hparams
    assert found["lr"].number_value == 0.1
    assert found["layers/sizes"].string_value == "[3, 4]"


def test_records_are_the_same_with_checksums_in_c_and_in_python(monkeypatch: pytest.MonkeyPatch) -> None:
    from shoal.air.integrations.event_file import _Records, _records

    def written() -> tuple[bool, bytes]:
        file = io.BytesIO()
        records = _records(file)
        for length in (0, 1, 7, 300):
            records.write(bytes(range(256)) * 2 if length == 300 else b"x" * length)
        records.flush()
        return isinstance(records, _Records), file.getvalue()

    fast = written()
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    slow = written()
    assert (fast[0], slow[0]) == (True, False)
    assert fast[1] == slow[1]


def test_the_tensorboard_logger_loads_neither_torch_nor_tensorflow() -> None:
    program = (
        "import sys; from shoal.air.integrations.tensorboard import TBXLoggerCallback\n"
        "from shoal.air.integrations.event_file import EventFile\n"
        "import tempfile; file = EventFile(tempfile.mkdtemp()); file.add({'a': 1.0}, {'b': [1.0, 2.0]}, 0); file.close()\n"
        "assert not {'torch', 'tensorflow', 'pandas', 'grpc'} & set(sys.modules), sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of MLflow's that is quickly made."""
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return f"file://{tmp_path}/mlflow"


def runs(store: str, experiment: str) -> list[Any]:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(store)
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id]))


def check_run(run: Any, status: str = "FINISHED") -> None:
    assert run.info.status == status
    assert run.info.run_name == "run"
    assert run.data.params == {"lr": "0.1", "layers/sizes": "[3, 4]"}
    assert run.data.metrics["deep/acc"] == 0.2
    assert run.data.metrics["training_iteration"] == 3
    assert run.data.tags["kind"] == "test"
    assert run.data.tags["trial_name"] == "run"


@pytest.mark.parametrize("at_end", [False, True])
def test_mlflow(store: str, at_end: bool, tmp_path: Path) -> None:
    from mlflow.tracking import MlflowClient

    from shoal.air.integrations.mlflow import MLflowLoggerCallback

    callback = MLflowLoggerCallback(
        store, experiment_name="digits", tags={"kind": "test"}, save_artifact=True, log_params_on_trial_end=at_end
    )
    fit(tmp_path, callback)
    (run,) = runs(store, "digits")
    check_run(run)
    history = MlflowClient(store).get_metric_history(run.info.run_id, "loss")
    assert [(metric.step, metric.value) for metric in history] == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    assert "result.json" in {file.path for file in MlflowClient(store).list_artifacts(run.info.run_id)}


@pytest.mark.slow
def test_mlflow_in_a_database(tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    from shoal.air.integrations.mlflow import MLflowLoggerCallback

    store = f"sqlite:///{tmp_path}/runs.db"
    fit(tmp_path, MLflowLoggerCallback(store, experiment_name="digits", tags={"kind": "test"}))
    check_run(runs(store, "digits")[0])


def test_mlflow_of_a_run_that_failed(store: str, tmp_path: Path) -> None:
    from shoal.air.integrations.mlflow import MLflowLoggerCallback

    def fails(config: dict[str, Any]) -> None:
        train.report({"loss": 1.0})
        raise ValueError("no")

    with pytest.raises(Exception, match="no"):
        fit(tmp_path, MLflowLoggerCallback(store), fails, 0)
    (run,) = runs(store, "run")
    assert (run.info.status, run.data.metrics["loss"]) == ("FAILED", 1.0)


def test_mlflow_inside_of_the_loop(store: str, tmp_path: Path) -> None:
    """Rank 0's run alone is there; other ranks call the same functions."""

    def inside(config: dict[str, Any]) -> None:
        from shoal.air.integrations.mlflow import setup_mlflow

        os.environ["MLFLOW_ALLOW_FILE_STORE"] = "true"
        mlflow = setup_mlflow(config, store, create_experiment_if_not_exists=True, tags={"kind": "test"})
        mlflow.log_metric("loss", train.get_context().get_world_rank() + 0.5)
        with mlflow.start_run(nested=True):
            pass
        mlflow.end_run()

    fit(tmp_path, None, inside)
    found = {run.info.run_name: run for run in runs(store, "run")}
    assert len(found) == 2
    assert found["run"].data.metrics == {"loss": 0.5}
    assert found["run"].data.params == {"lr": "0.1", "layers/sizes": "[3, 4]"}


def test_an_experiment_of_mlflow_that_is_not_there(store: str) -> None:
    from shoal.air.integrations.mlflow import setup_mlflow

    with pytest.raises(LoggerSetupError, match="there is no experiment 'missing' in MLflow; give experiment_name="):
        setup_mlflow(tracking_uri=store, experiment_name="missing")


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    found = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "data"))
    yield found
    found.teardown()


def records(folder: Path) -> list[Any]:
    """What wandb has written offline: a log of LevelDB's kind, in blocks of 32 KiB, with records of protobuf."""
    import wandb
    from wandb.proto import wandb_internal_pb2

    wandb.teardown()  # Its process writes the last of it when it ends.
    (path,) = folder.rglob("*.wandb")
    data, at, found, record = path.read_bytes(), 7, [], b""
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
        length, kind = struct.unpack_from("<HB", data, at + 4)
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            found.append(wandb_internal_pb2.Record.FromString(record))
            record = b""
    return found


def test_wandb_offline(wandb: Any, tmp_path: Path) -> None:
    from shoal.air.integrations.wandb import WandbLoggerCallback

    callback = WandbLoggerCallback("digits", excludes=["name"], upload_checkpoints=True)
    result = fit(tmp_path, pickle.loads(pickle.dumps(callback)))
    found = records(Path(result.path))
    (run,) = [record.run for record in found if record.HasField("run")]
    assert (run.project, run.display_name, run.run_group) == ("digits", "run", "run")
    assert {item.key: item.value_json for item in run.config.update}["lr"] == "0.1"
    history = [
        {(item.key or "/".join(item.nested_key)): item.value_json for item in record.history.item}
        for record in found
        if record.HasField("history")
    ]
    assert [float(row["loss"]) for row in history] == [1.0, 0.5, 1 / 3]
    assert float(history[2]["deep/acc"]) == 0.2
    assert "name" not in history[0]
    assert [r.request for r in found if r.HasField("artifact")] or [r for r in found if "artifact" in str(r)[:2000]]
    assert [record.exit.exit_code for record in found if record.HasField("exit")] == [0]


def test_wandb_inside_of_the_loop(wandb: Any, tmp_path: Path) -> None:
    def inside(config: dict[str, Any]) -> bool:
        from shoal.air.integrations.wandb import setup_wandb

        run = setup_wandb(config, project="digits", mode="offline", dir=config.get("dir", str(tmp_path)))
        run.log({"loss": 0.5})
        run.finish()
        return bool(run.disabled)

    assert fit(tmp_path, None, inside, 0).return_value is False
    (run,) = [record.run for record in records(tmp_path) if record.HasField("run")]
    assert (run.project, run.display_name) == ("digits", "run")


def test_wandb_without_a_key(wandb: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from shoal.air.integrations.wandb import WandbLoggerCallback

    monkeypatch.setenv("WANDB_MODE", "online")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    with pytest.raises(LoggerSetupError, match=r"wandb has no API key; give api_key=, .* mode=\"offline\""):
        WandbLoggerCallback("digits")
    with pytest.raises(LoggerSetupError, match="api_key and api_key_file are both given"):
        WandbLoggerCallback("digits", api_key="a", api_key_file="b")
    with pytest.raises(LoggerSetupError, match="which cannot be read"):
        WandbLoggerCallback("digits", api_key_file="/nowhere")
    (tmp_path / "key").write_text("k" * 40)
    WandbLoggerCallback("digits", api_key_file=str(tmp_path / "key"))
    assert os.environ["WANDB_API_KEY"] == "k" * 40


def test_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    from shoal.air.integrations.comet import CometLoggerCallback

    monkeypatch.setitem(sys.modules, "comet_ml", None)
    with pytest.raises(MissingLibraryError, match=r"comet_ml is not installed; `pip install 'shoal-train\[comet\]'`"):
        CometLoggerCallback()
