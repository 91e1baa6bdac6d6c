"""CQL's learner and module, where Ray has them."""
