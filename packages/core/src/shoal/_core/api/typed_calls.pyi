from collections.abc import Callable
from typing import Any, Concatenate, Generic, ParamSpec, final, overload

from typing_extensions import TypeVar

from shoal._core.process.object_ref import ObjectRef

F_co = TypeVar("F_co", covariant=True, default=Callable[..., Any])
Out_co = TypeVar("Out_co", covariant=True, default=Any)
P = ParamSpec("P")
Out = TypeVar("Out")
T0 = TypeVar("T0")
T1 = TypeVar("T1")
T2 = TypeVar("T2")
T3 = TypeVar("T3")
T4 = TypeVar("T4")
T5 = TypeVar("T5")
T6 = TypeVar("T6")
T7 = TypeVar("T7")
T8 = TypeVar("T8")
T9 = TypeVar("T9")

class RemoteCall(Generic[F_co, Out_co]):
    __slots__ = ()

    # The first takes values, with all that Python's parameters can do; the others take references for the first 1 to 10 arguments.
    @overload
    def remote(self: RemoteCall[Callable[P, Any], Out], /, *args: P.args, **kwargs: P.kwargs) -> Out: ...
    @overload
    def remote(
        self: RemoteCall[Callable[Concatenate[T0, P], Any], Out],
        a0: T0 | ObjectRef[T0],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Out: ...
    @overload
    def remote(
        self: RemoteCall[Callable[Concatenate[T0, T1, P], Any], Out],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Out: ...
    @overload
    def remote(
        self: RemoteCall[Callable[Concatenate[T0, T1, T2, P], Any], Out],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Out: ...
    @overload
    def remote(
        self: RemoteCall[Callable[Concatenate[T0, T1, T2, T3, P], Any], Out],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        a3: T3 | ObjectRef[T3],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Out: ...
    @overload
    def remote(
        self: RemoteCall[Callable[Concatenate[T0, T1, T2, T3, T4, P], Any], Out],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        a3: T3 | ObjectRef[T3],
        a4: T4 | ObjectRef[T4],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Out: ...
    @overload
    def remote(
        self: RemoteCall[Callable[Concatenate[T0, T1, T2, T3, T4, T5, P], Any], Out],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        a3: T3 | ObjectRef[T3],
        a4: T4 | ObjectRef[T4],
        a5: T5 | ObjectRef[T5],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Out: ...
    @overload
    def remote(
        self: RemoteCall[Callable[Concatenate[T0, T1, T2, T3, T4, T5, T6, P], Any], Out],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        a3: T3 | ObjectRef[T3],
        a4: T4 | ObjectRef[T4],
        a5: T5 | ObjectRef[T5],
        a6: T6 | ObjectRef[T6],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Out: ...
    @overload
    def remote(
        self: RemoteCall[Callable[Concatenate[T0, T1, T2, T3, T4, T5, T6, T7, P], Any], Out],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        a3: T3 | ObjectRef[T3],
        a4: T4 | ObjectRef[T4],
        a5: T5 | ObjectRef[T5],
        a6: T6 | ObjectRef[T6],
        a7: T7 | ObjectRef[T7],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Out: ...
    @overload
    def remote(
        self: RemoteCall[Callable[Concatenate[T0, T1, T2, T3, T4, T5, T6, T7, T8, P], Any], Out],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        a3: T3 | ObjectRef[T3],
        a4: T4 | ObjectRef[T4],
        a5: T5 | ObjectRef[T5],
        a6: T6 | ObjectRef[T6],
        a7: T7 | ObjectRef[T7],
        a8: T8 | ObjectRef[T8],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Out: ...
    @overload
    def remote(
        self: RemoteCall[Callable[Concatenate[T0, T1, T2, T3, T4, T5, T6, T7, T8, T9, P], Any], Out],
        a0: T0 | ObjectRef[T0],
        a1: T1 | ObjectRef[T1],
        a2: T2 | ObjectRef[T2],
        a3: T3 | ObjectRef[T3],
        a4: T4 | ObjectRef[T4],
        a5: T5 | ObjectRef[T5],
        a6: T6 | ObjectRef[T6],
        a7: T7 | ObjectRef[T7],
        a8: T8 | ObjectRef[T8],
        a9: T9 | ObjectRef[T9],
        /,
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> Out: ...

@final
class Undeclared: ...

class BoundMethod(RemoteCall[F_co, Out_co]):
    @property
    def __call__(self) -> F_co: ...

class RemoteMethod(Generic[F_co, Out_co]):
    def __get__(self, instance: Any, owner: Any) -> BoundMethod[F_co, Out_co]: ...
