"""From episodes to gradients: batches, minibatches, chance."""
