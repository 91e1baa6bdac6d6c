"""An exception with all that hangs on it: causes, contexts, members of groups."""

from __future__ import annotations

from shoal._core.errors.remote_frames import frame_lines, remade_traceback

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from shoal._core.errors.remote_frames import FrameLine

_MOST_LINKS = 200
"""How many exceptions of one chain travel."""

NOTHING = -1


class Link:
    """One exception of a chain, and its neighbours by their place in the list of links.

    Args:
        error: the exception; where a chain travels, something to make it from.
        frames: its traceback's frames.
        cause: place of its `__cause__`, or NOTHING.
        context: place of its `__context__`, or NOTHING.
        suppress_context: its `__suppress_context__`.
        members: places of a group's members; None for what is no group.
    """

    __slots__ = ("cause", "context", "error", "frames", "members", "suppress_context")

    def __init__(
        self,
        error: Any,
        frames: tuple[FrameLine, ...],
        cause: int = NOTHING,
        context: int = NOTHING,
        suppress_context: bool = False,
        members: tuple[int, ...] | None = None,
    ) -> None:
        self.error = error
        self.frames = frames
        self.cause = cause
        self.context = context
        self.suppress_context = suppress_context
        self.members = members

    def __reduce__(self) -> tuple[Any, ...]:
        state = (self.error, self.frames, self.cause, self.context, self.suppress_context, self.members)
        return Link, state


def chain_of(root: BaseException) -> list[Link]:
    """Returns `root` and what hangs on it, root first. Loops and shared errors are one link each."""
    errors: list[BaseException] = [root]
    places = {id(root): 0}
    links: list[Link] = []

    def place_of(error: BaseException | None, *, needed: bool = False) -> int:
        if error is None:
            return NOTHING
        place = places.get(id(error))
        if place is None:
            if len(errors) >= _MOST_LINKS and not needed:
                return NOTHING
            place = places[id(error)] = len(errors)
            errors.append(error)
        return place

    while len(links) < len(errors):
        error = errors[len(links)]
        members = None
        if isinstance(error, BaseExceptionGroup):
            # A group cannot be made without its members.
            members = tuple(place_of(member, needed=True) for member in error.exceptions)
        links.append(
            Link(
                error,
                frame_lines(error.__traceback__),
                place_of(error.__cause__),
                place_of(error.__context__),
                error.__suppress_context__,
                members,
            )
        )
    return links


def join_chain(
    links: Sequence[Link], make: Callable[[Link, list[BaseException] | None], BaseException]
) -> list[BaseException]:
    """Makes the exceptions of a chain and hangs them together again.

    Args:
        links: the chain, root first.
        make: makes the exception of one link; gets the members too if it is a group.

    Returns:
        The exceptions in the order of their links.
    """
    made: dict[int, BaseException] = {}

    def error_at(place: int) -> BaseException:
        error = made.get(place)
        if error is None:
            link = links[place]
            members = None if link.members is None else [error_at(member) for member in link.members]
            error = made[place] = make(link, members)
        return error

    errors = [error_at(place) for place in range(len(links))]
    for place, (link, error) in enumerate(zip(links, errors, strict=True)):
        # The root's own frames are told by the trace of the task.
        hang_on(
            error,
            cause=errors[link.cause] if link.cause != NOTHING else None,
            context=errors[link.context] if link.context != NOTHING else None,
            suppress_context=link.suppress_context,
        )
        if place:
            BaseException.__setattr__(error, "__traceback__", remade_traceback(link.frames))
    return errors


def hang_on(
    error: BaseException, *, cause: BaseException | None, context: BaseException | None, suppress_context: bool
) -> None:
    """Sets what an error was raised from, and while handling what."""
    # Not by assignment: classes may refuse it (frozen dataclasses do).
    BaseException.__setattr__(error, "__cause__", cause)
    BaseException.__setattr__(error, "__context__", context)
    BaseException.__setattr__(error, "__suppress_context__", suppress_context)
