"""The runtime behind shoal's public names. Nothing in here is public; see docs/architecture.md for the rooms."""
