"""What is called: pickled functions and classes, and the templates that calls are made from.

A template is made once (a decorated function, an `.options(...)`, a method of a handle) and used for many calls; engines may
key their own per-template state by its identity, so templates compare by identity.
"""

from __future__ import annotations

from shoal._core.schema.options import ActorOptions, MethodOptions, TaskOptions


class Definition:
    """A function or class, pickled once, known by the hash of its content."""

    __slots__ = ("data", "id", "is_generator", "name", "value")

    def __init__(self, *, id: bytes, data: bytes, name: str, is_generator: bool, value: object) -> None:
        self.id = id
        """Hash of `data`."""
        self.data = data
        self.name = name
        """Qualified name for people: 'train', 'Counter'."""
        self.is_generator = is_generator
        self.value = value
        """The function or class itself (for engines that run in this process)."""


class TaskTemplate:
    """A function with its options: everything about a call but its arguments."""

    __slots__ = ("definition", "name", "options")

    def __init__(self, definition: Definition, options: TaskOptions) -> None:
        self.definition = definition
        self.options = options
        self.name = options.name or definition.name


class MethodDefinition:
    """What a handle knows of one method of its actor's class."""

    __slots__ = ("is_async", "is_generator", "name", "options", "signature")

    def __init__(
        self, *, name: str, options: MethodOptions, is_async: bool, is_generator: bool, signature: object | None
    ) -> None:
        self.name = name
        self.options = options
        """From the `@method` decorator, over defaults."""
        self.is_async = is_async
        self.is_generator = is_generator
        self.signature = signature
        """For checking arguments at the call (made by `api/signature.py`)."""


class ActorTemplate:
    """An actor class with its options: everything about an actor but its constructor's arguments."""

    __slots__ = ("definition", "handle_data", "is_async", "methods", "options")

    def __init__(self, definition: Definition, options: ActorOptions, methods: dict[str, MethodDefinition]) -> None:
        self.definition = definition
        self.options = options
        self.methods = methods
        self.is_async = any(method.is_async for method in methods.values())
        """True if any method is a coroutine function or async generator: the actor then runs an event loop."""
        self.handle_data: bytes | None = None
        """What engines send along with handles, made once."""

    def without_definition_data(self) -> ActorTemplate:
        """Returns what handles in other processes need: everything but the class."""
        definition = self.definition
        bare = Definition(
            id=definition.id, data=b"", name=definition.name, is_generator=definition.is_generator, value=None
        )
        return ActorTemplate(bare, self.options, self.methods)


class MethodTemplate:
    """A method of one actor with the options of its calls: everything about a call but its arguments."""

    __slots__ = ("actor_id", "name", "options")

    def __init__(self, actor_id: bytes, name: str, options: MethodOptions) -> None:
        self.actor_id = actor_id
        self.name = name
        self.options = options
