"""The loaders of batches that are a worker's own. Importing this imports transformers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from torch.utils.data import DataLoader, Dataset, IterableDataset
from transformers import Trainer


class BatchLoaders(Trainer):
    """A Trainer whose datasets may be batches to loop over."""

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Returns the loader of the batches to train on."""
        loader = _loader(self.train_dataset)
        return loader if loader is not None else super().get_train_dataloader()

    def get_eval_dataloader(self, eval_dataset: str | Dataset[Any] | None = None) -> DataLoader[Any]:
        """Returns the loader of the batches to evaluate on; of `eval_dataset` where there are several, or another one."""
        own: Any = self.eval_dataset
        if isinstance(eval_dataset, str):
            loader = _loader(own[eval_dataset])
        else:
            loader = _loader(eval_dataset if eval_dataset is not None else own)
        return loader if loader is not None else super().get_eval_dataloader(eval_dataset)


class _Batches(IterableDataset[Any]):
    def __init__(self, batches: Iterable[Any]) -> None:
        self._batches = batches

    def __iter__(self) -> Iterator[Any]:
        return iter(self._batches)


def _loader(dataset: Any) -> DataLoader[Any] | None:
    """Returns the loader of batches; None where the dataset is one of rows, which the Trainer divides and collates by itself."""
    if dataset is None or hasattr(dataset, "__getitem__") or isinstance(dataset, IterableDataset):
        return None
    return DataLoader(_Batches(dataset), batch_size=None)
