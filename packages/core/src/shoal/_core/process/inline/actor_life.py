"""One life of an actor: an instance of its class, and threads that serve its calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from shoal._core.process.construction import construct
from shoal._core.process.inline.calls import Call
from shoal._core.process.inline.runner import ActorExit, ProcessExit
from shoal._core.process.inline.seat import Abandoned, Seat
from shoal._core.schema.ids import new_id
from shoal._core.system.task_errors import capture_task_error, load_error
from shoal.exceptions import DeathCause

if TYPE_CHECKING:
    from shoal._core.process.inline.actor import Actor
    from shoal._core.process.inline.actors import Actors
    from shoal._core.process.inline.admission import Grant


class ActorLife:
    """What all kinds of actors have in common. Methods without an underscore belong inside of `with turns:`.

    Args:
        actors: who made it, and hears how it goes.
        actor: whose life it is.
        grant: its resources.
    """

    def __init__(self, actors: Actors, actor: Actor, grant: Grant) -> None:
        self.worker_id = new_id()
        self.grant = grant
        self._actors = actors
        self._actor = actor
        self._session = actors.session
        self._turns = actors.turns
        self._runner = actors.runner
        self._seats: dict[Seat, None] = {}
        self._instance: Any = None
        self._is_constructed = False
        self._is_over = False
        self._last_calls: list[Call] | None = None
        """Once it drains: the calls that are still done."""

    def begin(self) -> None:
        """Starts with the constructor."""
        self._add_thread(self._actor.template.definition.name, self._serve)

    def look_for_calls(self) -> None:
        """A call has become ready, or is over."""
        raise NotImplementedError

    def drain(self) -> None:
        """No more calls come: end when all are done."""
        self._last_calls = list(self._actor.open_calls)
        self.look_for_calls()

    def cancel(self, call: Call) -> None:
        """A call that runs is cancelled: it can see that it is, and goes on."""

    def end(self) -> None:
        """The life is over, at once."""
        self._is_over = True
        for seat in list(self._seats):
            if not self._turns.withdraw(seat):
                self._turns.abandon(seat)

    # --- threads ----------------------------------------------------------------------------------------------------------------

    def _serve(self) -> None:
        """What the first thread runs."""
        raise NotImplementedError

    def _add_thread(self, name: str, body: Callable[[], None]) -> Seat:
        seat = Seat(name, lambda: self._thread(seat, body))
        self._seats[seat] = None
        self._turns.add(seat)
        return seat

    def _thread(self, seat: Seat, body: Callable[[], None]) -> None:
        self._session.sit(seat)
        try:
            body()
        except Abandoned:
            pass  # whoever ended this life has settled its calls
        finally:
            self._seats.pop(seat, None)
            if self._is_over:
                self._instance = None
            self._turns.ended(seat)

    # --- the instance -------------------------------------------------------------------------------------------------------------

    def _construct(self) -> bool:
        """Runs the constructor. Returns whether it went well."""
        actor = self._actor
        template = actor.template
        call = self._creation()
        try:
            actor_class = self._runner.definition(template.definition)
            args, kwargs = self._runner.arguments(call)
            self._instance = construct(actor_class, args, kwargs)
            del args, kwargs
        except Abandoned:
            raise
        except SystemExit as error:
            self._exit(ProcessExit.of(error))
            return False
        except ActorExit as error:
            self._exit(error)
            return False
        except BaseException as error:
            data = capture_task_error(
                error, f"{template.definition.name}.__init__", pid=self._session.pid, actor_id=actor.id.hex()
            )
            with self._turns:
                self._actors.construction_failed(actor, load_error(data))
            return False
        with self._turns:
            if self._is_over:
                raise Abandoned
            self._is_constructed = True
            self._actors.constructed(actor, _own_repr(self._instance))
        return True

    def _creation(self) -> Call:
        """Stands for the constructor's call: what code in it may know of itself."""
        from shoal._core.process.inline.running_call import current_call
        from shoal._core.schema.definitions import MethodTemplate
        from shoal._core.schema.options import MethodOptions

        actor = self._actor
        template = MethodTemplate(actor.id, "__init__", MethodOptions(num_returns=0))
        call = Call(actor.record.spec.creation_task_id, template, actor.arguments, None, actor)
        call.grant = self.grant
        current_call.set(call)
        return call

    def _function_of(self, call: Call) -> Callable[..., Any]:
        name = call.template.name
        if name in ("__ray_ready__", "__shoal_ready__"):
            return lambda: True
        if name in ("__ray_call__", "__shoal_call__"):
            return lambda function, *args, **kwargs: function(self._instance, *args, **kwargs)
        if name in ("__ray_terminate__", "__shoal_terminate__"):
            return _terminate
        method: Callable[..., Any] = getattr(self._instance, name)
        return method

    def _exit(self, exit_request: ActorExit | ProcessExit) -> None:
        with self._turns:
            if not self._is_over:
                self._actors.exited(self._actor, exit_request)
        raise Abandoned

    def _is_drained(self) -> bool:
        return self._last_calls is not None and all(call.is_over for call in self._last_calls)


def end_of_exit(exit_request: ActorExit | ProcessExit) -> tuple[str, DeathCause | None]:
    """Returns why an actor ends on purpose ('' where it does not), and how its process did."""
    if isinstance(exit_request, ActorExit):
        return str(exit_request), None
    if exit_request.status == 0:
        return exit_request.reason, None
    return "", DeathCause(exit_request.reason, exit_code=exit_request.status)


def _terminate() -> None:
    raise ActorExit("__ray_terminate__ was called")


def _own_repr(instance: Any) -> str:
    """The instance's `repr`, where its class has one of its own."""
    if "__repr__" not in {name for base in type(instance).__mro__[:-1] for name in vars(base)}:
        return ""
    try:
        return repr(instance)
    except Exception:
        return ""
