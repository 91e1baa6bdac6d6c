"""Makes the Trainer of transformers take a worker's part of a dataset."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shoal.train.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from transformers import Trainer


def prepare_trainer(trainer: Trainer) -> Trainer:
    """Returns the trainer, which now also takes batches of `get_dataset_shard(...).iter_torch_batches(...)` as a dataset.

    Such batches are this worker's already: they are neither divided among the ranks again, nor collated. As they have no length, the
    Trainer's `max_steps` says when it ends. Datasets of torch and of Hugging Face are left to the Trainer.

    Args:
        trainer: of transformers, made in the training loop.

    Raises:
        InvalidArgumentError: (a ValueError) it is none.
    """
    from transformers import Trainer

    from shoal.train.huggingface.transformers.batch_loaders import BatchLoaders

    if not isinstance(trainer, Trainer):
        raise InvalidArgumentError(f"trainer is {trainer!r}; give a transformers.Trainer")
    kind = type(trainer)
    if not issubclass(kind, BatchLoaders):
        # The trainer may be of a user's own class, whose methods stay.
        trainer.__class__ = type(kind.__name__, (BatchLoaders, kind), {})
    return trainer
