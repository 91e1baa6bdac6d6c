"""Networks of default modules."""
