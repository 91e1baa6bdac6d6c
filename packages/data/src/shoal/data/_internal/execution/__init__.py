"""Carrying a plan out: physical operators, the pure scheduling policy, and the executor that drives tasks and actors by it."""
