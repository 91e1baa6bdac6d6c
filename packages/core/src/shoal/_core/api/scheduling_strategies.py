"""Where tasks and actors shall run: what users give as `scheduling_strategy=`."""

from __future__ import annotations

from typing import Any

from shoal._core.api.placement_group import PlacementGroup
from shoal._core.process.object_ref import BaseID
from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError

PLACEMENT_GROUP_BUNDLE_INDEX_ANY = -1


class PlacementGroupSchedulingStrategy:
    """Run in the resources that a placement group has reserved.

    Args:
        placement_group: the group; None for none, also where the caller's own group is inherited.
        placement_group_bundle_index: which bundle, from 0; -1 for any.
        placement_group_capture_child_tasks: True if tasks and actors that the task itself submits run in the group too; None: as
            it is for the caller.

    Example:
        >>> from shoal.util.scheduling_strategies import PlacementGroupSchedulingStrategy
        >>> PlacementGroupSchedulingStrategy(None).placement_group_bundle_index
        -1
    """

    def __init__(
        self,
        placement_group: PlacementGroup | None,
        placement_group_bundle_index: int = -1,
        placement_group_capture_child_tasks: bool | None = None,
    ) -> None:
        if placement_group is not None and not isinstance(placement_group, PlacementGroup):
            raise InvalidOptionTypeError("placement_group", placement_group, "give a PlacementGroup, or None")
        self.placement_group = None if placement_group is None or placement_group.is_empty else placement_group
        self.placement_group_bundle_index = placement_group_bundle_index
        self.placement_group_capture_child_tasks = placement_group_capture_child_tasks

    @property
    def _num_bundles(self) -> int:
        return self.placement_group.bundle_count if self.placement_group is not None else 0

    def __repr__(self) -> str:
        return f"PlacementGroupSchedulingStrategy({self.placement_group!r}, {self.placement_group_bundle_index})"


class NodeAffinitySchedulingStrategy:
    """Run on one node.

    Args:
        node_id: its id, hex (`shoal.get_runtime_context().get_node_id()`, or 'NodeID' of `shoal.nodes()`).
        soft: True if any node will do where that one is gone, or can never hold the request; else the task fails.
        _spill_on_unavailable: with soft, any node will do also where that one is busy.
        _fail_on_unavailable: fail where the node is busy, rather than wait.
    """

    def __init__(
        self, node_id: str | BaseID, soft: bool, _spill_on_unavailable: bool = False, _fail_on_unavailable: bool = False
    ) -> None:
        self.node_id = node_id.hex() if isinstance(node_id, BaseID) else node_id
        if not isinstance(self.node_id, str):
            raise InvalidOptionTypeError(
                "node_id", node_id, "give a node's id as a hexadecimal string, see shoal.nodes()"
            )
        try:
            bytes.fromhex(self.node_id)
        except ValueError:
            raise InvalidOptionError(
                "node_id", node_id, "give a node's id as a hexadecimal string, see shoal.nodes()"
            ) from None
        if _fail_on_unavailable and soft:
            raise InvalidOptionError(
                "_fail_on_unavailable", True, "with soft=True another node is taken; give one of both"
            )
        if _spill_on_unavailable and not soft:
            raise InvalidOptionError(
                "_spill_on_unavailable", True, "no other node may be taken with soft=False; give soft=True"
            )
        self.soft = bool(soft)
        self._spill_on_unavailable = bool(_spill_on_unavailable)
        self._fail_on_unavailable = bool(_fail_on_unavailable)

    def __repr__(self) -> str:
        return f"NodeAffinitySchedulingStrategy({self.node_id!r}, soft={self.soft})"


class _Values:
    """An operator over label values."""

    def __init__(self, *values: str) -> None:
        name = type(self).__name__
        if not values:
            raise InvalidOptionError("values", values, f"give at least one, as in {name}('a', 'b')")
        for value in values:
            if not isinstance(value, str):
                raise InvalidOptionError("values", value, f"values of labels are strings, as in {name}('a', 'b')")
        self.values = list(values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(map(repr, self.values))})"


class In(_Values):
    """The node has the label, with one of these values."""


class NotIn(_Values):
    """The node has the label with none of these values, or does not have it."""


class Exists:
    """The node has the label."""

    def __repr__(self) -> str:
        return "Exists()"


class DoesNotExist:
    """The node does not have the label."""

    def __repr__(self) -> str:
        return "DoesNotExist()"


LabelMatchExpressions = dict[str, In | NotIn | Exists | DoesNotExist]


class NodeLabelSchedulingStrategy:
    """Run on a node with certain labels. New code says so with the option `label_selector`.

    Args:
        hard: label -> `In`, `NotIn`, `Exists` or `DoesNotExist`: what the node must have.
        soft: the same, for what is preferred.
    """

    def __init__(self, hard: LabelMatchExpressions, *, soft: LabelMatchExpressions | None = None) -> None:
        self.hard = _expressions("hard", hard)
        self.soft = _expressions("soft", soft or {})
        if not self.hard and not self.soft:
            raise InvalidOptionError("hard", hard, "give at least one label in hard or soft")

    def __repr__(self) -> str:
        return f"NodeLabelSchedulingStrategy({self.hard!r}, soft={self.soft!r})"


def _expressions(argument: str, expressions: Any) -> LabelMatchExpressions:
    fix = "give a dict of labels and In(...), NotIn(...), Exists() or DoesNotExist()"
    if not isinstance(expressions, dict):
        raise InvalidOptionTypeError(argument, expressions, fix)
    for key, expression in expressions.items():
        if not isinstance(key, str) or not isinstance(expression, (In, NotIn, Exists, DoesNotExist)):
            raise InvalidOptionError(argument, expressions, f"{fix}, which {key!r}: {expression!r} is not")
    return dict(expressions)
