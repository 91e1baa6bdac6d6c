"""What a trial needs, as bundles of a placement group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shoal.tune.exceptions import InvalidArgumentError


class PlacementGroupFactory:
    """Bundles of resources for one trial: the first for the trial itself, the others for tasks and actors that it starts.

    Args:
        bundles: amounts by resource, at least one bundle; the first may be empty, then the trial itself needs nothing.
        strategy: 'PACK', 'SPREAD', 'STRICT_PACK' or 'STRICT_SPREAD'.

    Raises:
        InvalidArgumentError: (a ValueError) an argument cannot be.

    Example:
        >>> from shoal import tune
        >>> tune.PlacementGroupFactory([{"CPU": 1}, {"CPU": 2}]).required_resources
        {'CPU': 3.0}
    """

    def __init__(
        self, bundles: Sequence[Mapping[str, float]], strategy: str = "PACK", *args: Any, **kwargs: Any
    ) -> None:
        if not bundles:
            raise InvalidArgumentError("bundles is empty; give at least one, e.g. [{'CPU': 1}]")
        for bundle in bundles:
            for name, amount in bundle.items():
                if isinstance(amount, bool) or not isinstance(amount, int | float) or amount < 0:
                    raise InvalidArgumentError(f"bundles has {name!r}: {amount!r}; give an amount >= 0")
        strategies = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")
        if strategy not in strategies:
            raise InvalidArgumentError(f"strategy is {strategy!r}; give one of {', '.join(strategies)}")
        self.bundles: list[dict[str, float]] = [
            {name: float(amount) for name, amount in bundle.items() if amount} for bundle in bundles
        ]
        self.strategy = strategy

    @property
    def head_cpus(self) -> float:
        """CPUs of the trial itself."""
        return self.bundles[0].get("CPU", 0.0)

    @property
    def required_resources(self) -> dict[str, float]:
        """Of all bundles together."""
        total: dict[str, float] = {}
        for bundle in self.bundles:
            for name, amount in bundle.items():
                total[name] = total.get(name, 0.0) + amount
        return total

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlacementGroupFactory) and (self.bundles, self.strategy) == (
            other.bundles,
            other.strategy,
        )

    def __hash__(self) -> int:
        return hash((tuple(tuple(sorted(bundle.items())) for bundle in self.bundles), self.strategy))

    def __repr__(self) -> str:
        return f"PlacementGroupFactory({self.bundles}, strategy={self.strategy!r})"
