"""Reading `scheduling_strategy=` (and the older `placement_group=`), and what tasks inherit from the task that submits them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from shoal._core.api.placement_group import PlacementGroup, check_fits
from shoal._core.api.scheduling_strategies import (
    DoesNotExist,
    Exists,
    In,
    LabelMatchExpressions,
    NodeAffinitySchedulingStrategy,
    NodeLabelSchedulingStrategy,
    NotIn,
    PlacementGroupSchedulingStrategy,
)
from shoal._core.schema import resources as schema
from shoal._core.schema.resources import (
    DEFAULT,
    SPREAD,
    LabelMatch,
    LabelSelector,
    NodeAffinityStrategy,
    NodeLabelStrategy,
    PlacementGroupStrategy,
    ResourceSet,
    SchedulingStrategy,
)
from shoal._core.schema.session import ExecutionContext
from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError

OLD_KEYWORDS = ("placement_group", "placement_group_bundle_index", "placement_group_capture_child_tasks")
FORMS = (
    "give 'DEFAULT', 'SPREAD', or one of PlacementGroupSchedulingStrategy, NodeAffinitySchedulingStrategy, "
    "NodeLabelSchedulingStrategy from shoal.util.scheduling_strategies"
)


class StrategyOption:
    """A strategy as asked for: what of it is fixed, and what the context of the call decides.

    Attributes:
        fixed: the strategy where the context does not matter.
        group: the placement group to run in, if one was named.
        from_context: a task that captures its children decides (a part of) it.
    """

    __slots__ = ("bundle_index", "capture", "fixed", "from_context", "group")

    def __init__(
        self,
        fixed: SchedulingStrategy = DEFAULT,
        group: PlacementGroup | None = None,
        bundle_index: int = -1,
        capture: bool | None = None,
        from_context: bool = False,
    ) -> None:
        self.fixed = fixed
        self.group = group
        self.bundle_index = bundle_index
        self.capture = capture
        self.from_context = from_context

    def check_fits(self, request: ResourceSet, who: str) -> None:
        """Raises InvalidOptionError (a ValueError) where the named group can never hold the request."""
        if self.group is not None:
            check_fits(self.group, self.bundle_index, request, who)

    def depends_on_caller(self, engine: Any) -> bool:
        """Returns whether the task that calls may decide (a part of) the strategy, so that `resolve` has to be asked."""
        # Engines whose processes run one task at a time may say so in a plain attribute: asked for every call of a task's.
        return self.from_context and bool(getattr(engine, "capture_children", True))

    def resolve(self, context: ExecutionContext) -> SchedulingStrategy:
        """Returns the strategy for a call that is made where `context` says."""
        if not context.capture_child_tasks:
            return self.fixed
        if self.group is not None:
            return PlacementGroupStrategy(self.group.id.binary(), self.bundle_index, True)
        return PlacementGroupStrategy(context.placement_group_id, -1, True)


def parse_strategy(given: Mapping[str, Any]) -> StrategyOption:
    """Returns the strategy that options ask for. Raises InvalidOptionError, InvalidOptionTypeError."""
    value = given.get("scheduling_strategy")
    old = {name: given[name] for name in OLD_KEYWORDS if name in given}
    if old.get("placement_group", "default") != "default":
        if value is not None:
            raise InvalidOptionError(
                "placement_group",
                old["placement_group"],
                "scheduling_strategy is given too; name the group there alone",
            )
        value = PlacementGroupSchedulingStrategy(
            old["placement_group"],
            old.get("placement_group_bundle_index", -1),
            old.get("placement_group_capture_child_tasks"),
        )
    if value is None:
        return StrategyOption(from_context=True)
    if isinstance(value, str):
        if value not in ("DEFAULT", "SPREAD"):
            raise InvalidOptionError("scheduling_strategy", value, FORMS)
        return StrategyOption(SPREAD if value == "SPREAD" else DEFAULT)
    if isinstance(value, PlacementGroupSchedulingStrategy):
        return _placement_group_option(value)
    if isinstance(value, NodeAffinitySchedulingStrategy):
        return StrategyOption(
            NodeAffinityStrategy(value.node_id, value.soft, value._spill_on_unavailable, value._fail_on_unavailable)
        )
    if isinstance(value, NodeLabelSchedulingStrategy):
        return StrategyOption(NodeLabelStrategy(_selector(value.hard), _selector(value.soft)))
    raise InvalidOptionTypeError("scheduling_strategy", value, FORMS)


def _placement_group_option(value: PlacementGroupSchedulingStrategy) -> StrategyOption:
    group = value.placement_group
    if group is None:
        return StrategyOption()
    index: Any = value.placement_group_bundle_index
    if not isinstance(index, int) or index < -1:
        raise InvalidOptionError("placement_group_bundle_index", index, "give the number of a bundle, or -1 for any")
    capture = value.placement_group_capture_child_tasks
    return StrategyOption(
        PlacementGroupStrategy(group.id.binary(), index, bool(capture)),
        group,
        index,
        capture,
        from_context=capture is None,
    )


def _selector(expressions: LabelMatchExpressions) -> LabelSelector:
    return tuple(_condition(key, expressions[key]) for key in sorted(expressions))


def _condition(key: str, expression: In | NotIn | Exists | DoesNotExist) -> LabelMatch:
    if isinstance(expression, In):
        return LabelMatch(key, schema.IN, tuple(sorted(set(expression.values))))
    if isinstance(expression, NotIn):
        return LabelMatch(key, schema.NOT_IN, tuple(sorted(set(expression.values))))
    return LabelMatch(key, schema.EXISTS if isinstance(expression, Exists) else schema.DOES_NOT_EXIST)
