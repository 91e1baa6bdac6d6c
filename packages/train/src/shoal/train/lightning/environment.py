"""Who this worker is, in Lightning's words. Importing this imports lightning."""

from __future__ import annotations

from lightning.fabric.plugins.environments.lightning import LightningEnvironment

from shoal.train.context import get_context


class RayLightningEnvironment(LightningEnvironment):
    """Tells Lightning that the processes are there already, and which one this is.

    Raises:
        RuntimeError: outside of a training loop, when it is asked.

    Example:
        >>> from shoal.train.lightning import RayDDPStrategy, RayLightningEnvironment
        >>> def loop():
        ...     # trainer = lightning.Trainer(strategy=RayDDPStrategy(), plugins=[RayLightningEnvironment()])
        ...     pass
    """

    @property
    def creates_processes_externally(self) -> bool:
        """True: the trainer of shoal made them."""
        return True

    def world_size(self) -> int:
        """Returns how many workers there are."""
        return get_context().get_world_size()

    def global_rank(self) -> int:
        """Returns this worker's number among all."""
        return get_context().get_world_rank()

    def local_rank(self) -> int:
        """Returns this worker's number among those of its node."""
        return get_context().get_local_rank()

    def node_rank(self) -> int:
        """Returns the node's number among those of the run."""
        return get_context().get_node_rank()

    def set_world_size(self, size: int) -> None:
        """Does nothing: Lightning knows the devices of one process only."""

    def set_global_rank(self, rank: int) -> None:
        """Does nothing: Lightning knows the devices of one process only."""

    def teardown(self) -> None:
        """Does nothing: the process group stays for what the loop does next."""
