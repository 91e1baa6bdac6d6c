"""A whole session in one process: a driver, workers, node and head on a virtual clock and network, all chance from one seed.

What is simulated is the shells; what decides is the real `_core/logic` (TaskPool, Ownership, ActorDirectory, Leases), and messages
are the real ones. Programs of random tasks and actors run while workers are killed, and invariants are checked at each step. The same
seed gives the same trace.

    python -m shoal.testing.simulation --seeds 1000
"""

from __future__ import annotations

from shoal.testing.simulation.world import Outcome, World, simulate

__all__ = ["Outcome", "World", "simulate"]
