"""Why a value cannot be pickled: which part of it refuses, by name and path. Runs only after pickling has failed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import islice, pairwise
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
    if RecursionError in (type(error), type(error.__cause__)):
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
        for part in _parts_of(culprit.value, culprit.path[-1]):
            if id(part.value) in seen:
                continue
            trials += 1
            if trials > _MOST_TRIALS:
                return culprit
            part_error = refusal(part.value)
            if part_error is not None:
                seen.add(id(part.value))
                culprit = Culprit((*culprit.path, part.expression), part.value, part_error)
                break
        else:
            return culprit
    return culprit


class _Part(NamedTuple):
    """Something inside a value: its name there, an expression that leads to it from the outermost value, and it."""

    name: str
    expression: str
    value: Any


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
    if error is None:
        print(f"{name} can be serialized.", file=print_file)
        return True, set()
    print(f"{name} cannot be serialized: {error}", file=print_file)
    found = FailureTuple(base_obj, name, None, name)
    failures = set(_innermost_failures(found, (name,), depth, {id(base_obj)}, print_file))
    print(f"\n{_text_of(find_culprit(base_obj, name, error))}", file=print_file)
    return False, failures


def _innermost_failures(
    failure: FailureTuple, path: tuple[str, ...], depth: int, seen: set[int], print_file: TextIO | None
) -> Iterator[FailureTuple]:
    found = False
    if depth > 0:
        for part in islice(_parts_of(failure.obj, path[-1]), _MOST_TRIALS):
            if id(part.value) in seen:
                continue
            error = refusal(part.value)
            if error is None:
                continue
            found = True
            seen.add(id(part.value))
            inner_path = (*path, part.expression)
            print(f"{'    ' * len(path)}{part.expression}: {error}", file=print_file)
            inner = FailureTuple(part.value, part.name, failure.obj, _readable_path(inner_path))
            yield from _innermost_failures(inner, inner_path, depth - 1, seen, print_file)
    if not found:
        yield failure


class _Nowhere:
    """A file that keeps nothing."""

    def write(self, data: Any) -> None: ...


def _parts_of(value: Any, name: str) -> Iterator[_Part]:
    """Yields what pickle would pickle for a value that is reached by the expression `name`."""
    if isinstance(value, dict):
        yield from _entries_of(value.items(), name)
        if type(value) is dict:
            return
    elif isinstance(value, (list, tuple)):
        yield from _items_of(value, name)
        if type(value) in (list, tuple):
            return
    elif isinstance(value, (set, frozenset)):
        for item in value:
            yield _Part("item", f"an item of {name}", item)
    elif isinstance(value, MethodType):
        yield _Part("__self__", f"{name}.__self__", value.__self__)
        yield _Part("__func__", f"{name}.__func__", value.__func__)
    elif isinstance(value, partial):
        yield _Part("func", f"{name}.func", value.func)
        yield from _items_of(value.args, f"{name}.args")
        yield from _entries_of(value.keywords.items(), f"{name}.keywords")
    elif isinstance(value, (FunctionType, type)):
        if is_sent_by_value(value):
            for capture in captures_of(value):
                yield _Part(capture.name, f"{capture.name} ({capture.origin} that {name} uses)", capture.value)
        return
    yield from _reduced_parts_of(value, name)


def _entries_of(entries: Iterable[tuple[Any, Any]], name: str) -> Iterator[_Part]:
    for key, item in entries:
        yield _Part("key", f"a key of {name}", key)
        yield _Part(f"[{_short(key)}]", f"{name}[{_short(key)}]", item)


def _items_of(items: Sequence[Any], name: str, start: int = 0) -> Iterator[_Part]:
    if len(items) <= _SMALL_SEQUENCE:
        for place, item in enumerate(items, start):
            yield _Part(f"[{place}]", f"{name}[{place}]", item)
        return
    half = len(items) // 2
    for part, begin in ((items[:half], start), (items[half:], start + half)):
        if refusal(list(part)) is not None:
            yield from _items_of(part, name, begin)


def _reduced_parts_of(value: Any, name: str) -> Iterator[_Part]:
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
    yield _Part(maker_name, f"the function {maker_name} that makes {name}", maker)
    for arg in args or ():
        if isinstance(arg, type):
            yield _Part(arg.__qualname__, f"the class {arg.__qualname__} of {name}", arg)
        else:
            yield _Part("argument", f"an argument that {maker_name} makes {name} from", arg)
    for item in items or ():
        yield _Part("item", f"an item of {name}", item)
    yield from _entries_of(pairs or (), name)


def _state_parts_of(state: Any, name: str) -> Iterator[_Part]:
    if isinstance(state, tuple) and len(state) == 2 and all(part is None or isinstance(part, dict) for part in state):
        # __dict__ and slots.
        for part in state:
            yield from _state_parts_of(part, name)
    elif isinstance(state, dict):
        for key, item in state.items():
            yield _Part(str(key), f"{name}.{key}", item)
    elif state is not None:
        yield _Part("state", f"the state of {name}", state)


def _text_of(culprit: Culprit) -> str:
    kind = type(culprit.value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    why = f"which cannot be pickled ({_short_text(culprit.error)})"
    return f"{_readable_path(culprit.path)} is a {name}, {why}. {_advice_on(culprit.value)}"


def _readable_path(path: tuple[str, ...]) -> str:
    """The steps, without those that the next one repeats."""
    steps = [step for step, following in pairwise(path) if not following.startswith(step)]
    return " -> ".join((*steps, path[-1]))


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
