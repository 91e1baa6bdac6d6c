"""Networks of default modules, in PyTorch."""
