"""Networks as files that PyTorch reads alone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

NATIVE_MODEL_FILE = "model.pt"


def write_native_model_files(folder: Path, weights: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes each module's state as `<folder>/<module's id>/model.pt`: `load_state_dict(torch.load(file))` takes it.

    Args:
        folder: has a folder for each module.
        weights: arrays, by module and name.
    """
    import numpy as np
    import torch

    for module_id, state in weights.items():
        tensors = {
            name: torch.from_numpy(np.array(value)) for name, value in state.items() if isinstance(value, np.ndarray)
        }
        (folder / module_id).mkdir(parents=True, exist_ok=True)
        torch.save(tensors, folder / module_id / NATIVE_MODEL_FILE)
