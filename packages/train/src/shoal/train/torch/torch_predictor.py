"""Predictions of a model of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Self

from shoal.train.checkpoint import Checkpoint
from shoal.train.predictor import PREDICTIONS, Predictor
from shoal.train.torch.torch_checkpoint import TorchCheckpoint

if TYPE_CHECKING:
    import numpy as np
    import torch


class TorchPredictor(Predictor):
    """Gives a model a tensor of the batch: of its one column, or of all columns side by side.

    Args:
        model: of torch.
        preprocessor: that batches go through first; None for none.
        use_gpu: run on the GPU.
    """

    def __init__(self, model: torch.nn.Module, preprocessor: Any = None, use_gpu: bool = False) -> None:
        super().__init__(preprocessor)
        self._device = "cuda" if use_gpu else "cpu"
        self.model = model.to(self._device).eval()

    @classmethod
    def from_checkpoint(
        cls, checkpoint: Checkpoint, model: torch.nn.Module | None = None, use_gpu: bool = False, **kwargs: Any
    ) -> Self:
        """Returns a predictor with the checkpoint's model.

        Args:
            checkpoint: as TorchCheckpoint writes it.
            model: gets the weights, where the checkpoint holds weights.
            use_gpu: run on the GPU.
        """
        found = TorchCheckpoint(checkpoint.path, checkpoint.filesystem)
        return cls(found.get_model(model), found.get_preprocessor(), use_gpu)

    def call_model(self, inputs: torch.Tensor) -> Any:
        """Returns what the model makes of a tensor; override it for models that take something else."""
        return self.model(inputs)

    def _predict_numpy(
        self, data: Mapping[str, np.ndarray], dtype: Any = None, **kwargs: Any
    ) -> Mapping[str, np.ndarray]:
        import numpy as np
        import torch

        columns = [np.stack(list(column)) if column.dtype == object else column for column in data.values()]
        whole = columns[0] if len(columns) == 1 and columns[0].ndim > 1 else np.stack(columns, axis=1)
        inputs = torch.as_tensor(whole, dtype=dtype or torch.float32, device=self._device)
        with torch.no_grad():
            outputs = self.call_model(inputs)
        if isinstance(outputs, Mapping):
            return {name: output.cpu().numpy() for name, output in outputs.items()}
        return {PREDICTIONS: outputs.cpu().numpy()}
