"""One version of an application that was asked for: whether it runs, and what it takes the place of."""

from __future__ import annotations

import asyncio

from shoal.serve._internal.schema.deployments import ApplicationSpec, DeploymentId


class Application:
    """One version of an application that was asked for, and whether it came to run.

    Args:
        spec: what is asked for.
        deployed_at: when, in seconds since 1970.
        before: the version before it; None for none.
    """

    def __init__(self, spec: ApplicationSpec, deployed_at: float, before: Application | None) -> None:
        self.spec = spec
        self.deployed_at = deployed_at
        self.error = ""
        self.open = {one.id for one in spec.deployments}
        """Deployments that have not settled yet."""
        self.settled = asyncio.Event()
        self.works = False
        self.refused = ""
        """Why the version that was to take its place did not come to run."""
        self.fallback: ApplicationSpec | None = None
        """What goes on where this does not come to run: the last version that did."""
        self.leftovers: set[DeploymentId] = set()
        """Deployments of versions before, which may be used until this one has taken over."""
        self.ingresses = {DeploymentId(spec.name, spec.ingress)}
        """Its own, and those of versions before."""
        if before is not None:
            self.fallback = before.spec if before.works else before.fallback
            self.ingresses |= before.ingresses
            self.leftovers = before.leftovers | {one.id for one in before.spec.deployments}
        self.leftovers -= self.open
        self.serving: ApplicationSpec = before.serving if before is not None and self.fallback is not None else spec
        """Whose ingress answers under whose prefix: the version before until this one runs."""

    def settle(self, error: str = "") -> None:
        """It runs; with an `error` it does not."""
        if self.settled.is_set():
            return
        self.error = error
        if not error:
            self.works = True
            self.serving = self.spec
        self.settled.set()
