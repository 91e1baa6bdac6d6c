"""Puts an ASGI application, such as FastAPI's, in front of a deployment's class."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from shoal.serve._internal.process.request_context import HERE
from shoal.serve._internal.process.user_code import ASGI_APP
from shoal.serve.exceptions import InvalidArgumentError

BUILD_APP = "__serve_build_asgi_app__"
"""A method that makes the application, where `serve.ingress` got none. Ray has given it that name."""


class Ingress:
    """What `serve.ingress(app)()` makes a deployment of: it keeps what it is bound to."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.args = args
        self.kwargs = kwargs


def ingress(app: Any = None) -> Callable[..., Any]:
    """Has an ASGI application answer for a deployment. Stands below `@serve.deployment`.

    Methods of the class may be routes of a FastAPI application: `self` is the replica's object. Where no class is needed,
    `serve.deployment(serve.ingress(app)())` is a deployment.

    Args:
        app: an application of FastAPI or Starlette or any other ASGI application; or a function without arguments that makes one, in each
            replica. None where the class has a method `__serve_build_asgi_app__(self)`, which returns one; it is called after `__init__`.

    Raises:
        InvalidArgumentError: (a ValueError) the app is neither, or the decorated thing is no class, or is a deployment already.

    Example:
        >>> from fastapi import FastAPI
        >>> from shoal import serve
        >>> app = FastAPI()
        >>> @serve.deployment
        ... @serve.ingress(app)
        ... class Adder:
        ...     @app.get("/add")
        ...     def add(self, a: int, b: int):
        ...         return a + b
    """
    if app is not None and not callable(app):
        raise InvalidArgumentError(
            f"@serve.ingress got {app!r}; give an ASGI application, or a function that makes one"
        )

    def decorate(cls: Any = None) -> Any:
        if cls is None:
            cls = type(Ingress.__name__, (Ingress,), {})
        if not inspect.isclass(cls):
            raise InvalidArgumentError(
                f"@serve.ingress is on {cls!r}, which is no class; it stands below @serve.deployment, directly above the class"
            )
        if app is None:
            if not callable(getattr(cls, BUILD_APP, None)):
                raise InvalidArgumentError(
                    f"@serve.ingress() got no application, and {cls.__name__} has no method {BUILD_APP}(self) that makes one; "
                    f"give an application, or that method"
                )
            setattr(cls, ASGI_APP, OfObject())
            return cls
        _bind_methods(app, cls)
        setattr(cls, ASGI_APP, Builder(app) if _is_builder(app) else Ready(app))
        return cls

    return decorate


class Ready:
    """An application that is there."""

    def __init__(self, app: Any) -> None:
        self._app = app

    def make(self, instance: Any) -> Any:
        """Returns it. Routers may have been included after the class was decorated."""
        _bind_methods(self._app, type(instance))
        return self._app


class Builder:
    """An application that each replica makes for itself."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build

    def make(self, instance: Any) -> Any:
        """Returns it, made now."""
        app = self._build()
        _bind_methods(app, type(instance))
        return app


class OfObject:
    """An application that the replica's object makes."""

    def make(self, instance: Any) -> Any:
        """Returns it, made now."""
        return getattr(instance, BUILD_APP)()


def _is_fastapi(app: Any) -> bool:
    return any(kind.__module__.startswith("fastapi.") and kind.__name__ == "FastAPI" for kind in type(app).__mro__)


def _is_builder(app: Any) -> bool:
    """An ASGI application takes three arguments, and one that builds it none."""
    if not inspect.isroutine(app):
        return False
    return all(
        one.default is not one.empty or one.kind in (one.VAR_KEYWORD, one.VAR_POSITIONAL)
        for one in inspect.signature(app).parameters.values()
    )


async def servable() -> Any:
    """Returns the object whose replica this runs in: what `self` is in a route that is a method."""
    return HERE.get().servable_object


def _bind_methods(app: Any, cls: type) -> None:
    """Has routes that are methods of the class get its object: FastAPI had taken `self` for a parameter of the request."""
    if not _is_fastapi(app):
        return
    functions = {value for kind in cls.__mro__ for value in vars(kind).values() if inspect.isfunction(value)}
    for router in _routers_of(app):
        routes = router.routes
        unbound = [position for position, route in enumerate(routes) if _takes_no_object(route, functions)]
        for endpoint in {routes[position].endpoint for position in unbound}:
            _inject_object(endpoint)
        for position in unbound:
            routes[position] = _made_again(routes[position])
        if unbound and hasattr(router, "_mark_routes_changed"):
            # Where a router's routes are looked up when they are asked for, what was made of them is made anew.
            router._mark_routes_changed()


def _routers_of(app: Any) -> list[Any]:
    """Returns the router of an application of FastAPI, those that it includes, and those of applications that are mounted in it."""
    found: dict[int, Any] = {}
    left = [app.router]
    while left:
        router = left.pop()
        if id(router) in found:
            continue
        found[id(router)] = router
        for route in router.routes:
            # Newer versions keep the router that is included, older ones copy its routes.
            included: Any = getattr(route, "original_router", None)
            mounted: Any = getattr(route, "app", None)
            if included is not None:
                left.append(included)
            elif _is_fastapi(mounted):
                left.append(mounted.router)
    return list(found.values())


def _takes_no_object(route: Any, functions: set[Any]) -> bool:
    """Whether a route is one of these methods, and FastAPI knows nothing of its object."""
    dependant = getattr(route, "dependant", None)
    if dependant is None or getattr(route, "endpoint", None) not in functions:
        return False
    return all(one.call is not servable for one in dependant.dependencies)


def _inject_object(endpoint: Any) -> None:
    from fastapi import Depends

    signature = inspect.signature(endpoint)
    itself, *others = signature.parameters.values()
    if itself.default is not itself.empty:
        return
    # What is named takes any place, so a default of the first one bothers nobody.
    injected = itself.replace(default=Depends(servable), kind=inspect.Parameter.KEYWORD_ONLY)
    rest = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in others]
    endpoint.__signature__ = signature.replace(parameters=[injected, *rest])


def _made_again(route: Any) -> Any:
    """Returns the same route, which looks at its function's signature once more. Routes keep the arguments that they were made with."""
    arguments = inspect.signature(type(route).__init__).parameters
    return type(route)(**{name: vars(route)[name] for name in arguments if name in vars(route)})
