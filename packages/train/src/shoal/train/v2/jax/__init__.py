"""JAX: not offered."""

from shoal.train._internal.unsupported import unsupported

_INSTEAD = (
    "run JAX in a shoal.train.data_parallel_trainer.DataParallelTrainer, and call jax.distributed.initialize() in the loop with "
    "MASTER_ADDR, MASTER_PORT, WORLD_SIZE and RANK of its environment"
)

JaxTrainer = unsupported("JaxTrainer", _INSTEAD)
JaxConfig = unsupported("JaxConfig", _INSTEAD)

__all__ = ["JaxConfig", "JaxTrainer"]
