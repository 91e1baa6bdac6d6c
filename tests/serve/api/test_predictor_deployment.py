"""A model of a checkpoint behind HTTP and handles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pandas as pd
import pytest

from shoal import serve
from shoal.serve.http_adapters import json_to_multi_ndarray, pandas_read_json
from shoal.train import Checkpoint
from shoal.train.predictor import Predictor


class Scaled(Predictor):
    """Multiplies by what is in the checkpoint."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, **kwargs: Any) -> Scaled:
        with checkpoint.as_directory() as folder:
            return cls(float((Path(folder) / "factor").read_text()))

    def _predict_numpy(self, data: Any, **kwargs: Any) -> Any:
        (first, *_) = data.values()
        return {"predictions": first * self.factor}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    folder = tmp_path_factory.mktemp("checkpoint")
    (folder / "factor").write_text("3")
    return Checkpoint(str(folder))


service = serve.PredictorDeployment.options(name="Scaled", max_ongoing_requests=50, ray_actor_options={"num_cpus": 0})


def test_requests_are_batched_and_answered_apart(url: str, checkpoint: Checkpoint) -> None:
    handle = serve.run(service.bind(Scaled, checkpoint), name="scaled", route_prefix="/scaled")
    answer = httpx.post(f"{url}/scaled", json={"array": [1, 2]}, follow_redirects=True)
    assert answer.json() == [3, 6]
    responses = [handle.predict.remote(np.array([n])) for n in range(20)]
    assert [response.result().tolist() for response in responses] == [[3 * n] for n in range(20)]
    assert httpx.post(f"{url}/scaled/predict", json={"arra": []}).status_code == 422
    serve.delete("scaled")


def test_adapters_give_frames_and_several_arrays(url: str, checkpoint: Checkpoint) -> None:
    serve.run(service.bind(Scaled, checkpoint.path, pandas_read_json), name="frames", route_prefix="/frames")
    assert httpx.post(f"{url}/frames/", json=[{"x": 1}, {"x": 2}]).json() == [{"predictions": 3}, {"predictions": 6}]
    serve.run(service.bind(Scaled, checkpoint, json_to_multi_ndarray), name="frames", route_prefix="/frames")
    assert httpx.post(f"{url}/frames/", json={"x": {"array": [1]}}).json() == {"predictions": [3]}
    serve.delete("frames")


def test_without_batching_an_input_is_a_batch(checkpoint: Checkpoint) -> None:
    handle = serve.run(service.bind(Scaled, checkpoint, batching_params=False), name="alone", local_testing_mode=True)
    assert handle.predict.remote(np.array([1, 2])).result().tolist() == [3, 6]
    frame = handle.predict.remote(pd.DataFrame({"x": [1, 2]})).result()
    assert frame["predictions"].tolist() == [3, 6]
