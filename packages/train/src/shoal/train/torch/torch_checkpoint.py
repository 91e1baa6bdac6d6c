"""Checkpoints that hold a model of torch."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from shoal.train.checkpoint import Checkpoint
from shoal.train.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    import torch


class TorchCheckpoint(Checkpoint):
    """A folder with weights, or a whole model, in the file 'model.pt'. Read only what you trust: a whole model is unpickled.

    Example:
        >>> from shoal.train.torch import TorchCheckpoint
        >>> def stored(model):
        ...     return TorchCheckpoint.from_state_dict(model.state_dict())
    """

    MODEL_FILENAME = "model.pt"

    @classmethod
    def from_state_dict(cls, state_dict: Mapping[str, Any], *, preprocessor: Any = None) -> Self:
        """Writes weights to a new temporary folder, which stays. Raises OSError.

        Args:
            state_dict: of a model.
            preprocessor: of shoal.data; stored beside.
        """
        return cls._of(dict(state_dict), preprocessor)

    @classmethod
    def from_model(cls, model: torch.nn.Module, *, preprocessor: Any = None) -> Self:
        """Writes a whole model to a new temporary folder, which stays. Raises OSError.

        Args:
            model: whose class is imported when it is read.
            preprocessor: of shoal.data; stored beside.
        """
        return cls._of(model, preprocessor)

    @classmethod
    def _of(cls, content: Any, preprocessor: Any) -> Self:
        import torch

        folder = Path(tempfile.mkdtemp(prefix="shoal-torch-"))
        torch.save(content, folder / cls.MODEL_FILENAME)
        if preprocessor is not None:
            torch.save(preprocessor, folder / "preprocessor.pt")
        return cls(folder)

    def get_model(self, model: torch.nn.Module | None = None) -> torch.nn.Module:
        """Returns the model.

        Args:
            model: gets the weights, where the checkpoint holds weights.

        Raises:
            InvalidArgumentError: (a ValueError) there is no model in the folder, or weights and no model for them.
        """
        import torch

        with self.as_directory() as folder:
            path = Path(folder) / self.MODEL_FILENAME
            if not path.exists():
                raise InvalidArgumentError(
                    f"{self!r} has no file {self.MODEL_FILENAME!r}, which TorchCheckpoint writes"
                )
            found = torch.load(path, map_location="cpu", weights_only=False)
        if isinstance(found, torch.nn.Module):
            return found
        if model is None:
            raise InvalidArgumentError(f"{self!r} holds weights; give model=, which gets them")
        # As prepare_model leaves them.
        model.load_state_dict({name.removeprefix("module."): weights for name, weights in found.items()})
        return model

    def get_preprocessor(self) -> Any:
        """Returns what was stored beside; None where nothing was."""
        import torch

        with self.as_directory() as folder:
            path = Path(folder) / "preprocessor.pt"
            return torch.load(path, weights_only=False) if path.exists() else None
