"""TensorFlow: TF_CONFIG for the workers of a `MultiWorkerMirroredStrategy`. Importing this does not import tensorflow."""

from shoal.train.tensorflow.dataset_shard import prepare_dataset_shard
from shoal.train.tensorflow.tensorflow_checkpoint import TensorflowCheckpoint
from shoal.train.tensorflow.tensorflow_config import TensorflowConfig
from shoal.train.tensorflow.tensorflow_trainer import TensorflowTrainer

__all__ = [
    "TensorflowCheckpoint",
    "TensorflowConfig",
    "TensorflowTrainer",
    "prepare_dataset_shard",
]
