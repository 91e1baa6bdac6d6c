"""How much an input of an exchange will bring, told from its first blocks. Depends on their order alone, never on timing."""

from __future__ import annotations

from shoal.data._internal.execution.bundle import Bundle


class InputEstimate:
    """Looks at blocks in order until they are `enough` bytes, and stand for a known part of the sources.

    Args:
        enough: bytes.
    """

    def __init__(self, enough: int) -> None:
        self._enough = enough
        self._size = 0
        self._progress: float | None = 0.0
        self.blocks = 0
        """Blocks that the estimate was made from."""
        self.total: int | None = None
        """Bytes of all blocks; None while not known."""
        self._frozen = False

    def add(self, bundle: Bundle) -> None:
        """One more block, the next in order."""
        if self._frozen:
            return
        if bundle.progress is None:
            self._frozen = True  # nobody can tell how far it is
            return
        previous = self._progress or 0.0
        if bundle.progress > previous > 0 and self._size >= self._enough:
            # Only here, where a part of the sources has come whole, is it known what the blocks stand for.
            self.total = int(self._size / previous)
            self._frozen = True
            return
        self._progress = bundle.progress
        self._size += bundle.size
        self.blocks += 1

    def ended(self) -> None:
        """The input has no more blocks."""
        if not self._frozen:
            self.total = self._size
            self._frozen = True
