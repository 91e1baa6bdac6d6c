"""Several environments stepped together."""
