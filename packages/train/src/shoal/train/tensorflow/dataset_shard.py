"""Datasets of TensorFlow that are divided already."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow as tf


def prepare_dataset_shard(tf_dataset_shard: tf.data.Dataset) -> tf.data.Dataset:
    """Returns the dataset with TensorFlow's own division among workers turned off: it is this worker's part already.

    Args:
        tf_dataset_shard: as of `get_dataset_shard(...).to_tf(...)`.
    """
    import tensorflow as tf

    options = tf.data.Options()
    options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.OFF
    return tf_dataset_shard.with_options(options)
