"""Other libraries' environments, and wrappers for Atari games."""
