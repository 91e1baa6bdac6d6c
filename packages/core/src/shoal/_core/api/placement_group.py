"""Placement groups: resources reserved together, on one node or on several, for tasks and actors to run in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from shoal._core.api.checks import text
from shoal._core.api.ids import PlacementGroupID
from shoal._core.api.runtime import SESSION
from shoal._core.process.object_ref import ObjectRef
from shoal._core.schema.resources import UNIT, ResourceSet, parse_amount, parse_label_selector
from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError, UnsupportedError

STRATEGIES = ("PACK", "SPREAD", "STRICT_PACK", "STRICT_SPREAD")
Bundle = dict[str, float]


class PlacementGroup:
    """A placement group. Make one with `shoal.util.placement_group`; it can be passed to tasks and actors.

    Attributes:
        id: its id.
    """

    __slots__ = ("_bundles", "id")

    def __init__(self, id: PlacementGroupID, bundle_cache: list[Bundle] | None = None) -> None:
        self.id = id
        self._bundles = bundle_cache

    @staticmethod
    def empty() -> PlacementGroup:
        """Returns the group that stands for none."""
        return PlacementGroup(_NO_GROUP_ID, [])

    @property
    def is_empty(self) -> bool:
        """True for the group that stands for none."""
        return self.id.is_nil()

    @property
    def bundle_specs(self) -> list[Bundle]:
        """What each bundle reserves: resource name -> amount."""
        if self._bundles is None:
            bundles = _row_of(self)["bundles"]
            self._bundles = [dict(bundles[index]) for index in sorted(bundles)]
        return self._bundles

    @property
    def bundle_count(self) -> int:
        return len(self.bundle_specs)

    def ready(self) -> ObjectRef[Any]:
        """Returns a reference that is ready once all bundles are reserved.

        `get` of it raises where the group was removed, or can never be reserved.
        """
        return SESSION.require().placement_group_ready(self.id.binary(), self)

    def wait(self, timeout_seconds: float = 30) -> bool:
        """Waits until all bundles are reserved. Returns False if they are not after `timeout_seconds`."""
        engine = SESSION.require()
        ready = engine.wait([engine.placement_group_ready(self.id.binary(), None)], 1, max(0.0, timeout_seconds), True)
        return bool(ready)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlacementGroup) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)

    def __repr__(self) -> str:
        return f"PlacementGroup({self.id.hex()})"

    def __reduce__(self) -> tuple[Any, ...]:
        return PlacementGroup, (self.id, self._bundles)


_NO_GROUP_ID = PlacementGroupID(bytes(PlacementGroupID.SIZE))


def placement_group(
    bundles: list[Bundle],
    strategy: str = "PACK",
    name: str = "",
    lifetime: str | None = None,
    bundle_label_selector: list[dict[str, str]] | None = None,
    topology_strategy: str | None = None,
    _soft_target_node_id: str | None = None,
) -> PlacementGroup:
    """Asks for a placement group and returns it at once; its bundles are reserved all together, when there is room.

    Args:
        bundles: what to reserve, one dict a bundle: resource name -> amount ('CPU', 'GPU', 'memory' in bytes, custom ones).
        strategy: 'PACK' (few nodes), 'SPREAD' (many), 'STRICT_PACK' (one node), 'STRICT_SPREAD' (one node a bundle).
        name: to find it with `get_placement_group`; unique in the namespace.
        lifetime: 'detached' for a group that outlives this program; None for one that ends with it.
        bundle_label_selector: for each bundle the labels that its node must have, {} for any.
        topology_strategy: not supported.

    Raises:
        InvalidOptionError: (a ValueError) for bundles, names or strategies that cannot be.

    Example:
        >>> import shoal
        >>> from shoal.util import placement_group, remove_placement_group
        >>> _ = shoal.init(num_cpus=2)
        >>> group = placement_group([{"CPU": 1}, {"CPU": 1}])
        >>> group.wait(10)
        True
        >>> remove_placement_group(group)
        >>> shoal.shutdown()
    """
    if topology_strategy is not None:
        raise UnsupportedError(
            "placement_group(topology_strategy=...)", "Choose nodes by label, with bundle_label_selector."
        )
    checked = parse_bundles(bundles)
    if strategy not in STRATEGIES:
        raise InvalidOptionError("strategy", strategy, f"give one of {', '.join(STRATEGIES)}")
    if lifetime not in (None, "detached"):
        raise InvalidOptionError("lifetime", lifetime, "give None or 'detached'")
    selectors = _label_selectors(bundle_label_selector, len(checked))
    group_id = SESSION.require().create_placement_group(
        checked, strategy, text("name", name or ""), lifetime == "detached", selectors
    )
    return PlacementGroup(PlacementGroupID(group_id), checked)


def parse_bundles(bundles: object) -> list[Bundle]:
    """Returns the bundles that a user gave, without zeros. Raises InvalidOptionError, InvalidOptionTypeError."""
    fix = "give a list with at least one dict of resources, as in [{'CPU': 1}, {'CPU': 1, 'GPU': 1}]"
    if not isinstance(bundles, Sequence) or isinstance(bundles, (str, bytes)) or not bundles:
        raise InvalidOptionError("bundles", bundles, fix)
    checked = []
    for index, bundle in enumerate(bundles):
        argument = f"bundles[{index}]"
        if not isinstance(bundle, Mapping):
            raise InvalidOptionError(argument, bundle, fix)
        reserved: Bundle = {}
        for name, value in bundle.items():
            if not isinstance(name, str) or not name:
                raise InvalidOptionTypeError(argument, bundle, "names of resources are strings")
            if isinstance(value, str):
                raise InvalidOptionError(f"{argument}[{name!r}]", value, "give a number")
            units = parse_amount(f"{argument}[{name!r}]", value)
            if units:
                reserved[name] = units / UNIT
        if not reserved:
            raise InvalidOptionError(argument, bundle, "a bundle reserves at least one resource, more than 0 of it")
        checked.append(reserved)
    return checked


def _label_selectors(selectors: object, count: int) -> list[dict[str, str]]:
    if selectors is None:
        return []
    if not isinstance(selectors, Sequence) or len(selectors) != count:
        raise InvalidOptionError(
            "bundle_label_selector", selectors, f"give a list of {count} dicts, one for each bundle"
        )
    for index, selector in enumerate(selectors):
        parse_label_selector(selector, f"bundle_label_selector[{index}]")
    return [dict(selector) for selector in selectors]


def remove_placement_group(placement_group: PlacementGroup) -> None:
    """Gives the group's resources back. Tasks and actors that run in it are ended; returns without waiting for that.

    Args:
        placement_group: the group.
    """
    if not isinstance(placement_group, PlacementGroup):
        raise InvalidOptionTypeError(
            "placement_group", placement_group, "give what shoal.util.placement_group returned"
        )
    SESSION.require().remove_placement_group(placement_group.id.binary())


def placement_group_table(placement_group: PlacementGroup | None = None) -> dict[str, Any]:
    """Returns what is known of one group, or of all by their ids (hex).

    Keys: 'placement_group_id', 'name', 'bundles', 'bundles_to_node_id', 'strategy', 'state' ('PENDING', 'CREATED', 'REMOVED',
    'RESCHEDULING'), 'stats'.
    """
    if placement_group is not None:
        return _row_of(placement_group)
    return {row["placement_group_id"]: row for row in SESSION.require().placement_groups()}


def _row_of(group: PlacementGroup) -> dict[str, Any]:
    for row in SESSION.require().placement_groups():
        if row["placement_group_id"] == group.id.hex():
            return row
    raise InvalidOptionError("placement_group", group, "this session has no such placement group")


def get_placement_group(placement_group_name: str) -> PlacementGroup:
    """Returns the living group with a name. Raises InvalidOptionError (a ValueError) where there is none."""
    argument = "placement_group_name"
    text(argument, placement_group_name, may_be_empty=False)
    engine = SESSION.require()
    for row in engine.placement_groups():
        same_namespace = row.get("namespace", engine.session.namespace) == engine.session.namespace
        if row["name"] == placement_group_name and row["state"] != "REMOVED" and same_namespace:
            return PlacementGroup(PlacementGroupID.from_hex(row["placement_group_id"]))
    raise InvalidOptionError(argument, placement_group_name, "no placement group of this namespace has that name")


def get_current_placement_group() -> PlacementGroup | None:
    """Returns the group that the calling task or actor runs in; None in none, and in the driver."""
    group_id = SESSION.require().context().placement_group_id
    return PlacementGroup(PlacementGroupID(group_id)) if group_id else None


def check_fits(group: PlacementGroup, bundle_index: int, request: ResourceSet, who: str) -> None:
    """Raises InvalidOptionError where a request can never run in a group."""
    bundles = group.bundle_specs
    if not -1 <= bundle_index < len(bundles):
        raise InvalidOptionError(
            "placement_group_bundle_index",
            bundle_index,
            f"the group has {len(bundles)} bundles: give 0 to {len(bundles) - 1}, or -1 for any",
        )
    candidates = bundles if bundle_index < 0 else [bundles[bundle_index]]
    wanted = {name: amount for name, amount in request.items() if not name.startswith("accelerator_type:")}
    for bundle in candidates:
        if all(amount <= round(bundle.get(name, 0) * UNIT) for name, amount in wanted.items()):
            return
    raise InvalidOptionError(
        "scheduling_strategy",
        group,
        f"{who} asks for {request}, and no bundle that it may use has so much: {candidates}",
    )
