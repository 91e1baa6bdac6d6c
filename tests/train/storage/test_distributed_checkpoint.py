"""Checkpoints of torch.distributed.checkpoint: each rank writes its part into the same folder."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest

from shoal import train
from shoal.train import Checkpoint, CheckpointUploadMode, RunConfig, ScalingConfig
from shoal.train.torch import TorchTrainer

pytest.importorskip("torch")


def loop(config: dict[str, Any]) -> list[float]:
    """Saves, or loads, a tensor of which each of two ranks has a half."""
    import torch
    import torch.distributed.checkpoint as dcp
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor

    mesh = init_device_mesh("cpu", (2,))
    found = train.get_checkpoint()
    whole = torch.arange(8.0) if found is None else torch.zeros(8)
    state = {"weights": distribute_tensor(whole, mesh, [Shard(0)])}
    if found is None:
        # On machines of their own, ranks have folders of their own: the run's has all files.
        folder = tempfile.mkdtemp()
        dcp.save(state, checkpoint_id=train.collective.broadcast_from_rank_zero(folder))
        train.collective.barrier()
        checkpoint = Checkpoint.from_directory(train.collective.broadcast_from_rank_zero(folder))
        is_first = train.get_context().get_world_rank() == 0
        train.report({}, checkpoint if is_first else None, checkpoint_upload_mode=config["mode"])
    else:
        with found.as_directory() as path:
            dcp.load(state, checkpoint_id=path)
    weights: list[float] = state["weights"].full_tensor().tolist()
    return weights


def test_parts_of_two_ranks_are_saved_and_loaded(tmp_path: Path) -> None:
    trainer = TorchTrainer(
        loop,
        train_loop_config={"mode": CheckpointUploadMode.ASYNC},
        scaling_config=ScalingConfig(num_workers=2),
        run_config=RunConfig("run", storage_path=tmp_path, verbose=0),
    )
    trainer.fit()
    (folder,) = [path for path in (tmp_path / "run").iterdir() if path.is_dir()]
    assert {".metadata", "__0_0.distcp", "__1_0.distcp"} <= {path.name for path in folder.iterdir()}
    assert trainer.fit().return_value == [float(number) for number in range(8)]
