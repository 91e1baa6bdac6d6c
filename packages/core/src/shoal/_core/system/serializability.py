"""Why a value cannot be pickled: which part of it refuses, by name and path. Runs only after pickling has failed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from types import FunctionType, GeneratorType, MethodType, ModuleType
from typing import Any, NamedTuple, TextIO

from shoal._core.system.by_value import ByValuePickler
from shoal._core.system.captures import captures_of, is_sent_by_value
from shoal._core.system.custom_reducers import custom_reducers
from shoal.exceptions import SerializationError

_MOST_TRIALS = 500
"""How often a part is pickled on trial before the search ends where it is."""
_MOST_STEPS = 40
_SMALL_SEQUENCE = 32

_ADVICE = {
    "lock": "Locks belong to one process: make it in the task or actor, or leave it out in __getstate__.",
    "generator": "A generator cannot leave its process: pass a list of its items, or yield them from a streaming task.",
    "coroutine": "A coroutine cannot leave its process: await it here, or pass the async function and its arguments.",
    "module": "Import the module inside the task instead.",
    "socket": "Open the connection inside the task or actor instead.",
    "file": "Pass the path, and open the file inside the task or actor.",
    "thread": "Start the thread inside the actor instead.",
    "other": (
        "Make it inside the task or actor, leave it out in __getstate__, "
        "or call shoal.util.register_serializer for its class."
    ),
}


class Culprit(NamedTuple):
    """The innermost part that refuses.

    Attributes:
        path: expressions from the value to the part: ('model', 'model.lock').
        value: the part.
        error: what pickling it raises.
    """

    path: tuple[str, ...]
    value: Any
    error: BaseException


def explanation(value: Any, root_name: str, error: BaseException, *, what: str = "") -> SerializationError:
    """Returns the error to raise for a value that pickle refused.

    Args:
        value: what was to be pickled.
        root_name: the variable that holds it.
        error: what pickle raised.
        what: the value in words ("argument 'model' of train()"); the variable by default.
    """
    if isinstance(error, RecursionError):
        text = "it is nested too deeply; pass it in smaller pieces, or raise sys.setrecursionlimit"
        return SerializationError(f"cannot serialize {what or root_name}: {text}", path=(root_name,))
    culprit = find_culprit(value, root_name, error)
    text = _text_of(culprit)
    return SerializationError(f"cannot serialize {what or root_name}: {text}", path=culprit.path)


def explain_unserializable(value: Any, root_name: str) -> str:
    """Returns which part of a value cannot be pickled, why, and what to do; '' if all of it can."""
    error = refusal(value)
    return "" if error is None else _text_of(find_culprit(value, root_name, error))


def argument_error(
    args: Sequence[Any], kwargs: Mapping[str, Any], function_name: str, parameter_names: Sequence[str]
) -> SerializationError | None:
    """Returns the error that names the argument which cannot be pickled; None if each alone can.

    Args:
        args: positional arguments of the call.
        kwargs: keyword arguments of the call.
        function_name: name of the function, for the message.
        parameter_names: names of its positional parameters, as far as they are known.
    """
    names = [*parameter_names[: len(args)], *(f"args[{place}]" for place in range(len(parameter_names), len(args)))]
    for name, value in (*zip(names, args, strict=True), *kwargs.items()):
        error = refusal(value)
        if error is not None:
            return explanation(value, name, error, what=f"argument {name!r} of {function_name}()")
    return None


def refusal(value: Any) -> Exception | None:
    """Returns what pickling the value raises, None if it works. Keeps no bytes."""
    try:
        ByValuePickler(_Nowhere(), lambda buffer: False).dump(value)
    except Exception as error:
        return error
    return None


def find_culprit(value: Any, root_name: str, error: BaseException) -> Culprit:
    """Returns the innermost part of a value that cannot be pickled, the first such. The search is bounded."""
    culprit = Culprit((root_name,), value, error)
    seen = {id(value)}
    trials = 0
    for _ in range(_MOST_STEPS):
        for expression, part in _parts_of(culprit.value, culprit.path[-1]):
            if id(part) in seen:
                continue
            trials += 1
            if trials > _MOST_TRIALS:
                return culprit
            part_error = refusal(part)
            if part_error is not None:
                seen.add(id(part))
                culprit = Culprit((*culprit.path, expression), part, part_error)
                break
        else:
            return culprit
    return culprit


class FailureTuple:
    """Something that cannot be pickled, found by `inspect_serializability`.

    Attributes:
        obj: it.
        name: its name where it was found.
        parent: what holds it; None for what was asked about.
    """

    def __init__(self, obj: Any, name: str, parent: Any, path: str = "") -> None:
        self.obj = obj
        self.name = name
        self.parent = parent
        self.path = path or name

    def __repr__(self) -> str:
        return f"FailureTuple({self.name} [path={self.path}, obj={self.obj!r}, parent={self.parent!r}])"


def inspect_serializability(
    base_obj: Any, name: str | None = None, depth: int = 3, print_file: TextIO | None = None
) -> tuple[bool, set[FailureTuple]]:
    """Finds what in an object cannot be pickled, and prints what it finds.

    Args:
        base_obj: the object.
        name: what to call it.
        depth: how many levels to look into.
        print_file: where to print; standard output by default.

    Returns:
        Whether it can be pickled, and what cannot.
    """
    name = name or str(getattr(base_obj, "__qualname__", None) or type(base_obj).__name__)
    error = refusal(base_obj)
    failures: set[FailureTuple] = set()
    if error is None:
        print(f"{name} can be serialized.", file=print_file)
        return True, failures
    print(f"{name} cannot be serialized: {error}", file=print_file)
    _collect_failures(Culprit((name,), base_obj, error), None, depth, failures, {id(base_obj)}, print_file)
    print(f"\n{_text_of(find_culprit(base_obj, name, error))}", file=print_file)
    return False, failures


def _collect_failures(
    culprit: Culprit, parent: Any, depth: int, failures: set[FailureTuple], seen: set[int], print_file: TextIO | None
) -> None:
    found = False
    if depth > 0:
        for expression, part in islice(_parts_of(culprit.value, culprit.path[-1]), _MOST_TRIALS):
            if id(part) in seen:
                continue
            error = refusal(part)
            if error is None:
                continue
            found = True
            seen.add(id(part))
            path = (*culprit.path, expression)
            print(f"{'    ' * (len(path) - 1)}{expression}: {error}", file=print_file)
            _collect_failures(Culprit(path, part, error), culprit.value, depth - 1, failures, seen, print_file)
    if not found:
        name = culprit.path[-1]
        failures.add(FailureTuple(culprit.value, name.rpartition(".")[2], parent, " -> ".join(culprit.path)))


class _Nowhere:
    """A file that keeps nothing."""

    def write(self, data: Any) -> None: ...


def _parts_of(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yields what pickle would pickle for a value, each with an expression that leads to it."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"a key of {name}", key
            yield f"{name}[{_short(key)}]", item
        if type(value) is dict:
            return
    elif isinstance(value, (list, tuple)):
        yield from _items_of(value, name)
        if type(value) in (list, tuple):
            return
    elif isinstance(value, (set, frozenset)):
        for item in value:
            yield f"an item of {name}", item
    elif isinstance(value, MethodType):
        yield f"{name}.__self__", value.__self__
        yield f"{name}.__func__", value.__func__
    elif isinstance(value, partial):
        yield f"{name}.func", value.func
        yield from _items_of(value.args, f"{name}.args")
        for key, item in value.keywords.items():
            yield f"{name}.keywords[{key!r}]", item
    elif isinstance(value, (FunctionType, type)):
        if is_sent_by_value(value):
            for capture in captures_of(value):
                yield f"{capture.name} ({capture.origin} that {name} uses)", capture.value
        return
    yield from _reduced_parts_of(value, name)


def _items_of(items: Sequence[Any], name: str, start: int = 0) -> Iterator[tuple[str, Any]]:
    if len(items) <= _SMALL_SEQUENCE:
        for place, item in enumerate(items, start):
            yield f"{name}[{place}]", item
        return
    half = len(items) // 2
    for part, begin in ((items[:half], start), (items[half:], start + half)):
        if refusal(list(part)) is not None:
            yield from _items_of(part, name, begin)


def _reduced_parts_of(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    try:
        reducer = (custom_reducers.table() or {}).get(type(value))
        reduced = reducer(value) if reducer is not None else value.__reduce_ex__(5)
    except Exception:
        # It refuses by itself: nothing inside of it is to blame.
        return
    if not isinstance(reduced, tuple):
        return
    maker, args, state, items, pairs = (*reduced, None, None, None)[:5]
    yield from _state_parts_of(state, name)
    maker_name = getattr(maker, "__qualname__", repr(maker))
    yield f"the function {maker_name} that makes {name}", maker
    for arg in args or ():
        if isinstance(arg, type):
            yield f"the class {arg.__qualname__} of {name}", arg
        else:
            yield f"an argument that {maker_name} makes {name} from", arg
    for item in items or ():
        yield f"an item of {name}", item
    for key, item in pairs or ():
        yield f"{name}[{_short(key)}]", item


def _state_parts_of(state: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(state, tuple) and len(state) == 2 and all(part is None or isinstance(part, dict) for part in state):
        # __dict__ and slots.
        for part in state:
            yield from _state_parts_of(part, name)
    elif isinstance(state, dict):
        for key, item in state.items():
            yield f"{name}.{key}", item
    elif state is not None:
        yield f"the state of {name}", state


def _text_of(culprit: Culprit) -> str:
    kind = type(culprit.value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    path = " -> ".join(culprit.path)
    return f"{path} is a {name}, which cannot be pickled ({_short_text(culprit.error)}). {_advice_on(culprit.value)}"


def _advice_on(value: Any) -> str:
    name = type(value).__name__.lower()
    if isinstance(value, GeneratorType):
        return _ADVICE["generator"]
    if isinstance(value, ModuleType):
        return _ADVICE["module"]
    if hasattr(value, "fileno") and hasattr(value, "read"):
        return _ADVICE["file"]
    for word in ("lock", "coroutine", "socket", "thread"):
        if word in name:
            return _ADVICE[word]
    return _ADVICE["other"]


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _short_text(error: BaseException) -> str:
    text = f"{error}" or type(error).__name__
    return text if len(text) <= 300 else f"{text[:297]}..."
