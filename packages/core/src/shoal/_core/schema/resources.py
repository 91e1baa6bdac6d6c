"""Resources, who may have them where, and which requests are alike.

Amounts are whole numbers of ten-thousandths (`UNIT` is 1.0): sums are exact, and what was taken always goes back in
full. Requests that agree in everything a scheduler looks at have equal `SchedulingClass`es and share leases.

All types here are frozen, hashable and travel as msgpack.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import SupportsFloat

import msgspec

from shoal.exceptions import InvalidOptionError, InvalidOptionTypeError

UNIT = 10_000
"""One of a resource."""

CPU = "CPU"
GPU = "GPU"
MEMORY = "memory"
OBJECT_STORE_MEMORY = "object_store_memory"
HEAD_NODE = "node:__internal_head__"
"""Every head node has 1 of this."""

_MAX_AMOUNT = 2**63
_BYTES = (MEMORY, OBJECT_STORE_MEMORY)


def node_resource(node_ip: str) -> str:
    """Returns the name of the resource of which just the node with this address has 1."""
    return f"node:{node_ip}"


def accelerator_resource(accelerator_type: str) -> str:
    """Returns the name of the resource of which nodes with this type of accelerator have 1."""
    return f"accelerator_type:{accelerator_type}"


def is_node_mark(name: str) -> bool:
    """Returns whether a resource only says what kind of node this is, and is not used up by anybody."""
    return name.startswith(("node:", "accelerator_type:"))


# --- amounts ----------------------------------------------------------------------------------------------------------


def parse_amount(argument: str, value: object) -> int:
    """Returns an amount that a user gave (a number, also of numpy) in ten-thousandths.

    Fractions are rounded down, so that six sixths of a CPU fit in one.

    Args:
        argument: what the user calls it, for errors: 'num_cpus'.
        value: what the user gave.

    Raises:
        InvalidOptionTypeError: it is no number.
        InvalidOptionError: it is negative, not finite, too large, or above 0 and below 0.0001.
    """
    if isinstance(value, int):
        amount = value * UNIT
    elif isinstance(value, SupportsFloat):
        number = float(value)
        if number != number or number in (float("inf"), float("-inf")):
            raise InvalidOptionError(argument, value, "give a finite number")
        # A millionth of a ten-thousandth makes up for what binary fractions lack: 0.29 * 10000 is 2899.9999999999995.
        amount = int(number * UNIT + 1e-6)
        if amount == 0 and number > 0:
            raise InvalidOptionError(argument, value, "resources have a precision of 0.0001; give 0, or at least that")
        if number < 0:
            amount = -1
    else:
        raise InvalidOptionTypeError(argument, value, "give a number")
    if amount < 0:
        raise InvalidOptionError(argument, value, "amounts of resources cannot be negative")
    if amount >= _MAX_AMOUNT:
        raise InvalidOptionError(argument, value, f"amounts of resources must be below {_MAX_AMOUNT // UNIT}")
    return amount


def parse_gpu_amount(argument: str, value: object) -> int:
    """Returns an amount of GPUs in ten-thousandths. Raises as `parse_amount`, and InvalidOptionError for 1.5: a task has
    part of one GPU, or some GPUs to itself."""
    amount = parse_amount(argument, value)
    if amount > UNIT and amount % UNIT:
        raise InvalidOptionError(argument, value, "above 1, give a whole number of GPUs")
    return amount


def format_amount(name: str, amount: int) -> str:
    """Returns an amount for people: '2 CPU', '0.5 GPU', '3.0 GiB memory'."""
    if name in _BYTES:
        size = amount / UNIT
        for unit in ("B", "KiB", "MiB"):
            if abs(size) < 1024:
                return f"{size:.4g} {unit} {name}"
            size /= 1024
        return f"{size:.1f} GiB {name}"
    return f"{amount / UNIT:.10g} {name}"


def format_amounts(amounts: Mapping[str, int]) -> str:
    """Returns amounts for people: '2 CPU, 0.5 GPU'; 'nothing' where there are none."""
    return ", ".join(format_amount(name, amounts[name]) for name in amounts) or "nothing"


class ResourceSet(msgspec.Struct, frozen=True, array_like=True, cache_hash=True, gc=False):
    """How much of each resource: a small immutable mapping from name to ten-thousandths, without zeros.

    Make one with `parse` (floats that a user gave) or `of_units`; read it like a dict.
    """

    amounts: tuple[tuple[str, int], ...] = ()
    """Sorted by name, so that equal sets are equal."""

    @classmethod
    def parse(cls, amounts: Mapping[str, object], argument: str = "resources") -> ResourceSet:
        """Returns the set for amounts that a user gave.

        Args:
            amounts: resource name -> number; memory in bytes. Zeros count as absent.
            argument: what the user calls the mapping, for errors.

        Raises:
            InvalidOptionTypeError: not a mapping of names to numbers.
            InvalidOptionError: an amount that cannot be (see `parse_amount`, `parse_gpu_amount`), or an empty name.
        """
        if not isinstance(amounts, Mapping):
            raise InvalidOptionTypeError(argument, amounts, "give a dict of resource names and amounts")
        units: dict[str, int] = {}
        for name, value in amounts.items():
            if not isinstance(name, str):
                raise InvalidOptionTypeError(argument, name, "names of resources are strings")
            if not name:
                raise InvalidOptionError(argument, name, "names of resources cannot be empty")
            parse_one = parse_gpu_amount if name == GPU else parse_amount
            units[name] = parse_one(f"{argument}[{name!r}]", value)
        return cls.of_units(units)

    @classmethod
    def of_units(cls, units: Mapping[str, int]) -> ResourceSet:
        """Returns the set for amounts in ten-thousandths (what `dict(resource_set)` gives)."""
        return cls(tuple(sorted((name, amount) for name, amount in units.items() if amount)))

    def keys(self) -> list[str]:
        return [name for name, _ in self.amounts]

    def items(self) -> tuple[tuple[str, int], ...]:
        return self.amounts

    def get(self, name: str, default: int = 0) -> int:
        for own, amount in self.amounts:
            if own == name:
                return amount
        return default

    def __getitem__(self, name: str) -> int:
        for own, amount in self.amounts:
            if own == name:
                return amount
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        return any(own == name for own, _ in self.amounts)

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def __len__(self) -> int:
        return len(self.amounts)

    @property
    def is_empty(self) -> bool:
        return not self.amounts

    def plus(self, other: ResourceSet) -> ResourceSet:
        units = dict(self.amounts)
        for name, amount in other.amounts:
            units[name] = units.get(name, 0) + amount
        return ResourceSet.of_units(units)

    def minus(self, other: ResourceSet) -> ResourceSet:
        """Returns what is left. Raises ValueError where `other` is not part of this."""
        units = dict(self.amounts)
        for name, amount in other.amounts:
            left = units.get(name, 0) - amount
            if left < 0:
                raise ValueError(f"cannot take {format_amount(name, amount)} from {format_amounts(dict(self.amounts))}")
            units[name] = left
        return ResourceSet.of_units(units)

    def largest_of_each(self, other: ResourceSet) -> ResourceSet:
        """Returns, for each resource, the larger of the two amounts."""
        units = dict(self.amounts)
        for name, amount in other.amounts:
            if amount > units.get(name, 0):
                units[name] = amount
        return ResourceSet.of_units(units)

    def fits_in(self, available: Mapping[str, int]) -> bool:
        """Returns whether so much is there (ten-thousandths; whether it is on one GPU is for the node to see)."""
        return all(available.get(name, 0) >= amount for name, amount in self.amounts)

    def to_floats(self) -> dict[str, float]:
        """Returns the amounts as users write them."""
        return {name: amount / UNIT for name, amount in self.amounts}

    def __str__(self) -> str:
        return format_amounts(dict(self.amounts))


def to_floats(units: Mapping[str, int]) -> dict[str, float]:
    """Returns amounts in ten-thousandths as users write them."""
    return {name: amount / UNIT for name, amount in units.items()}


NO_RESOURCES = ResourceSet()


# --- labels -----------------------------------------------------------------------------------------------------------

IN = "in"
NOT_IN = "!in"
EXISTS = "exists"
DOES_NOT_EXIST = "!exists"


class LabelMatch(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One condition on a node's labels."""

    key: str
    operator: str
    """IN, NOT_IN (also true where the label is absent), EXISTS or DOES_NOT_EXIST."""
    values: tuple[str, ...] = ()

    def matches(self, labels: Mapping[str, str]) -> bool:
        value = labels.get(self.key)
        if self.operator == IN:
            return value is not None and value in self.values
        if self.operator == NOT_IN:
            return value is None or value not in self.values
        return (value is not None) == (self.operator == EXISTS)

    def __str__(self) -> str:
        if self.operator == EXISTS:
            return f"{self.key} is set"
        if self.operator == DOES_NOT_EXIST:
            return f"{self.key} is not set"
        sign = "" if self.operator == IN else "not "
        if len(self.values) == 1:
            return f"{self.key} is {sign}{self.values[0]!r}"
        return f"{self.key} is {sign}in ({', '.join(self.values)})"


LabelSelector = tuple[LabelMatch, ...]
"""All of these must hold."""


def selector_matches(selector: LabelSelector, labels: Mapping[str, str]) -> bool:
    """Returns whether a node with these labels may be chosen."""
    return all(condition.matches(labels) for condition in selector)


def format_selector(selector: LabelSelector) -> str:
    return " and ".join(str(condition) for condition in selector)


def parse_label_selector(selector: Mapping[str, str], argument: str = "label_selector") -> LabelSelector:
    """Returns the conditions that a user wrote.

    Args:
        selector: label -> 'value', '!value', 'in(a, b)' or '!in(a, b)'.
        argument: what the user calls it, for errors.

    Raises:
        InvalidOptionTypeError: not a mapping of strings to strings.
        InvalidOptionError: a key or condition that cannot be.
    """
    if not isinstance(selector, Mapping):
        raise InvalidOptionTypeError(argument, selector, "give a dict of labels and conditions")
    return tuple(_parse_condition(key, selector[key], argument) for key in sorted(selector))


def parse_labels(labels: Mapping[str, str], argument: str = "labels") -> dict[str, str]:
    """Returns the labels that a user gave a node. Raises as `parse_label_selector`."""
    if not isinstance(labels, Mapping):
        raise InvalidOptionTypeError(argument, labels, "give a dict of labels and values")
    for key, value in labels.items():
        _check_key(key, argument)
        if not isinstance(value, str):
            raise InvalidOptionTypeError(f"{argument}[{key!r}]", value, "values of labels are strings")
        _check_value(value, value, f"{argument}[{key!r}]")
    return dict(labels)


def _parse_condition(key: str, condition: str, argument: str) -> LabelMatch:
    _check_key(key, argument)
    argument = f"{argument}[{key!r}]"
    if not isinstance(condition, str):
        raise InvalidOptionTypeError(argument, condition, "give a string: 'value', '!value', 'in(a, b)' or '!in(a, b)'")
    text = condition.strip()
    negated = text.startswith("!")
    if negated:
        text = text[1:]
    if text.startswith("in(") and text.endswith(")"):
        values = tuple(sorted({value.strip() for value in text[3:-1].split(",")}))
        required = True
    else:
        values = (text,)
        required = negated
    for value in values:
        if required and not value:
            fix = "a value is missing; write 'value', '!value', 'in(a, b)' or '!in(a, b)'"
            raise InvalidOptionError(argument, condition, fix)
        _check_value(value, condition, argument)
    return LabelMatch(key, NOT_IN if negated else IN, values)


def _check_key(key: object, argument: str) -> None:
    if not isinstance(key, str):
        raise InvalidOptionTypeError(argument, key, "names of labels are strings")
    prefix, slash, name = key.rpartition("/")
    if not _is_label_word(name) or (slash and not all(_is_label_word(part) for part in prefix.split("."))):
        raise InvalidOptionError(
            argument,
            key,
            "names of labels have up to 63 letters and digits, with '-', '_' and '.' between them, "
            "and may be prefixed by a domain and '/'",
        )


def _check_value(value: str, written: str, argument: str) -> None:
    if value and not _is_label_word(value):
        raise InvalidOptionError(
            argument,
            written,
            "values of labels have up to 63 letters and digits, with '-', '_' and '.' between them; "
            "conditions are 'value', '!value', 'in(a, b)' or '!in(a, b)'",
        )


def _is_label_word(text: str) -> bool:
    if not 0 < len(text) <= 63 or not text.isascii() or not (text[0].isalnum() and text[-1].isalnum()):
        return False
    return text.replace("-", "").replace("_", "").replace(".", "").isalnum()


# --- strategies -------------------------------------------------------------------------------------------------------


class DefaultStrategy(msgspec.Struct, frozen=True, array_like=True, tag=0, gc=False):
    """Pack on nodes that are half empty, then balance."""


class SpreadStrategy(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """One node after the other."""


class NodeAffinityStrategy(msgspec.Struct, frozen=True, array_like=True, tag=2, gc=False):
    """On this node."""

    node_id: str
    """Hex."""
    soft: bool = False
    """Another node will do where this one is dead or can never hold the request."""
    spill_on_unavailable: bool = False
    """With soft: another node will do also where this one is busy."""
    fail_on_unavailable: bool = False
    """Fail rather than wait where the node is busy."""


class NodeLabelStrategy(msgspec.Struct, frozen=True, array_like=True, tag=3, gc=False):
    """On a node with these labels."""

    hard: LabelSelector = ()
    soft: LabelSelector = ()
    """Nodes that also match this come first."""


class PlacementGroupStrategy(msgspec.Struct, frozen=True, array_like=True, tag=4, gc=False):
    """In what a placement group has reserved."""

    group_id: bytes
    bundle_index: int = -1
    """-1 = any."""
    capture_children: bool = False
    """What the task submits runs in the group as well."""


SchedulingStrategy = (
    DefaultStrategy | SpreadStrategy | NodeAffinityStrategy | NodeLabelStrategy | PlacementGroupStrategy
)

DEFAULT = DefaultStrategy()
SPREAD = SpreadStrategy()


# --- scheduling classes -----------------------------------------------------------------------------------------------


class SchedulingClass(msgspec.Struct, frozen=True, array_like=True, cache_hash=True, gc=False):
    """All that decides where a task may run. Tasks of equal classes may share a worker, one after the other."""

    resources: ResourceSet
    """Held while the task runs, or for the life of the actor."""
    environment_key: str = ""
    """Hash of the runtime environment; empty for none."""
    strategy: SchedulingStrategy = DEFAULT
    label_selector: LabelSelector = ()
    fallbacks: tuple[LabelSelector, ...] = ()
    """Selectors to try, in order, where no node matches `label_selector`."""

    @classmethod
    def of(
        cls,
        resources: ResourceSet,
        environment_key: str = "",
        strategy: SchedulingStrategy = DEFAULT,
        label_selector: Mapping[str, str] | None = None,
        fallback_strategy: Iterable[Mapping[str, str]] = (),
    ) -> SchedulingClass:
        """Returns the class for selectors as users write them. Raises as `parse_label_selector`."""
        return cls(
            resources,
            environment_key,
            strategy,
            parse_label_selector(label_selector or {}),
            tuple(parse_label_selector(selector, "fallback_strategy") for selector in fallback_strategy),
        )

    @property
    def placement_group_id(self) -> bytes:
        """Empty where the class is outside of placement groups."""
        strategy = self.strategy
        return strategy.group_id if type(strategy) is PlacementGroupStrategy else b""

    @property
    def bundle_index(self) -> int:
        strategy = self.strategy
        return strategy.bundle_index if type(strategy) is PlacementGroupStrategy else -1

    @property
    def capture_children(self) -> bool:
        strategy = self.strategy
        return strategy.capture_children if type(strategy) is PlacementGroupStrategy else False
