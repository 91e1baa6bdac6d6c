"""The Trainer of transformers in real workers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shoal.data
from shoal import train
from shoal.train import RunConfig, ScalingConfig
from shoal.train.exceptions import InvalidArgumentError
from shoal.train.huggingface import transformers as integration
from shoal.train.torch import TorchTrainer

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("accelerate")


TWO = pytest.param(2, marks=pytest.mark.slow)


def tokens(rows: int) -> Any:
    """Rows whose label is whether they begin with a small number."""
    generator = np.random.default_rng(0)
    ids = generator.integers(2, 30, (rows, 6))
    return ids, (ids[:, 0] < 16).astype(np.int64)


def model() -> Any:
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=30,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=8,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return transformers.BertForSequenceClassification(config)


def arguments(folder: Path, **others: Any) -> Any:
    return transformers.TrainingArguments(
        output_dir=str(folder),
        use_cpu=True,
        learning_rate=1e-2,
        lr_scheduler_type="constant",
        report_to=[],
        disable_tqdm=True,
        logging_steps=2,
        **others,
    )


class Rows(torch.utils.data.Dataset):  # type: ignore[misc,name-defined] # a class of a module that may be missing
    """Rows in a dataset of torch."""

    def __init__(self, rows: int) -> None:
        self._ids, self._labels = tokens(rows)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": torch.tensor(self._ids[index]), "labels": int(self._labels[index])}


def fit(loop: Any, folder: Path, workers: int = 2, **options: Any) -> train.Result:
    return TorchTrainer(
        loop,
        scaling_config=ScalingConfig(num_workers=workers),
        run_config=RunConfig(storage_path=folder / "runs"),
        **options,
    ).fit()


@pytest.mark.slow
def test_two_ranks_train_as_one_with_twice_the_batch(tmp_path: Path) -> None:
    def loop() -> list[float]:
        size = max(1, train.get_context().get_world_size())
        args = arguments(
            tmp_path / f"of{size}",
            max_steps=4,
            per_device_train_batch_size=8 // size,
            optim="sgd",
            save_steps=2,
            save_total_limit=1,
        )
        trainer = transformers.Trainer(model(), args, train_dataset=Rows(8))
        trainer.add_callback(integration.RayTrainReportCallback())
        trainer = integration.prepare_trainer(trainer)
        trainer.train()
        assert trainer.args.world_size == size
        return [float(value.detach().sum()) for value in trainer.model.parameters()]

    results = {workers: fit(loop, tmp_path, workers) for workers in (0, 2)}
    assert results[0].return_value == pytest.approx(results[2].return_value, abs=1e-3)
    for result in results.values():
        assert [metrics["step"] for metrics in result.history] == [2, 4]
        assert result.metrics is not None
        assert result.metrics["loss"] > 0
        assert len(result.best_checkpoints) == 2
        assert result.checkpoint is not None
        with result.checkpoint.as_directory() as folder:
            saved = Path(folder) / integration.RayTrainReportCallback.CHECKPOINT_NAME
            names = {file.name for file in saved.iterdir()}
            assert {"config.json", "model.safetensors", "trainer_state.json", "optimizer.pt"} <= names
            loaded = transformers.BertForSequenceClassification.from_pretrained(saved)
            assert [float(v.detach().sum()) for v in loaded.parameters()] == pytest.approx(
                result.return_value, abs=1e-6
            )
    with results[2].checkpoint.as_directory() as folder:  # type: ignore[union-attr]
        assert (Path(folder) / "checkpoint" / "rng_state_1.pth").exists()


@pytest.mark.parametrize("workers", [0, TWO])
def test_a_run_of_the_same_name_goes_on_from_its_checkpoint(workers: int, tmp_path: Path) -> None:
    def loop(config: dict[str, Any]) -> int:
        args = arguments(tmp_path / "out", max_steps=config["steps"], per_device_train_batch_size=4, save_steps=3)
        trainer = transformers.Trainer(model(), args, train_dataset=Rows(32))
        trainer.add_callback(integration.RayTrainReportCallback())
        found = train.get_checkpoint()
        if found is None:
            trainer.train()
            return 0
        with found.as_directory() as folder:
            trainer.train(resume_from_checkpoint=f"{folder}/checkpoint")
        return len(trainer.state.log_history)

    def run(steps: int) -> train.Result:
        return TorchTrainer(
            loop,
            train_loop_config={"steps": steps},
            scaling_config=ScalingConfig(num_workers=workers),
            run_config=RunConfig(storage_path=tmp_path / "runs", name="again"),
        ).fit()

    assert [metrics["step"] for metrics in run(3).history] == [3]
    again = run(6)
    assert [metrics["step"] for metrics in again.history] == [6]
    assert again.return_value > 3


@pytest.mark.parametrize("workers", [0, TWO])
def test_batches_of_a_dataset(workers: int, tmp_path: Path) -> None:
    def loop() -> tuple[int, int, float]:
        shard = train.get_dataset_shard("train")
        seen: list[int] = []

        class Counting(transformers.Trainer):  # type: ignore[misc,name-defined]
            def compute_loss(self, model: Any, inputs: Any, *rest: Any, **others: Any) -> Any:
                if model.training:
                    seen.append(len(inputs["labels"]))
                return super().compute_loss(model, inputs, *rest, **others)

        args = arguments(tmp_path / "out", max_steps=10, save_steps=10, eval_strategy="steps", eval_steps=10)
        trainer = Counting(
            model(),
            args,
            train_dataset=shard.iter_torch_batches(batch_size=8),
            eval_dataset=train.get_dataset_shard("valid").iter_torch_batches(batch_size=8),
        )
        trainer.add_callback(integration.RayTrainReportCallback())
        trainer = integration.prepare_trainer(trainer)
        assert integration.prepare_trainer(trainer) is trainer
        trainer.train()
        assert isinstance(trainer, Counting)
        return len(seen), sum(seen), trainer.evaluate()["eval_loss"]

    ids, labels = tokens(128)
    parts = {"train": slice(0, 96), "valid": slice(96, 128)}
    found = {
        name: shoal.data.from_items(
            [{"input_ids": row, "labels": int(label)} for row, label in zip(ids[part], labels[part], strict=True)]
        )
        for name, part in parts.items()
    }
    result = fit(loop, tmp_path, workers, datasets=found)
    steps, rows, loss = result.return_value
    assert (steps, rows) == (10, 80)
    assert result.metrics is not None
    assert result.metrics["eval_loss"] == pytest.approx(loss, abs=1e-5)
    assert loss < 0.69


def test_what_is_no_trainer() -> None:
    with pytest.raises(InvalidArgumentError, match=r"trainer is 3; give a transformers\.Trainer"):
        integration.prepare_trainer(3)  # type: ignore[arg-type]


def test_importing_loads_no_transformers() -> None:
    code = "import sys, shoal.train.huggingface.transformers as x; sys.exit('transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
