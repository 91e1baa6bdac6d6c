"""One version of an application that was asked for: whether it runs, and what it takes the place of."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from shoal.serve._internal.logic.deployment_state import DeploymentState
from shoal.serve._internal.schema.deployments import ApplicationSpec, DeploymentId
from shoal.serve.schema import ApplicationDetails
from shoal.serve.status import ApplicationStatus, ApplicationStatusOverview, DeploymentStatus


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
        elif self.fallback is not None:
            self.serving = self.fallback
        self.settled.set()

    def overview(self, states: Mapping[DeploymentId, DeploymentState]) -> ApplicationStatusOverview:
        """Returns how it is, by the states of its deployments."""
        deployments = {one.id.name: states[one.id].overview() for one in self.spec.deployments}
        found = {one.status for one in deployments.values()}
        trouble = self.error or self.refused
        if trouble or DeploymentStatus.DEPLOY_FAILED in found:
            status = ApplicationStatus.DEPLOY_FAILED
        elif DeploymentStatus.UNHEALTHY in found:
            status = ApplicationStatus.UNHEALTHY
        elif DeploymentStatus.UPDATING in found:
            status = ApplicationStatus.DEPLOYING
        else:
            status = ApplicationStatus.RUNNING
        message = trouble or "; ".join(one.message for one in deployments.values() if one.message)
        return ApplicationStatusOverview(status, message, self.deployed_at, deployments)

    def details(self, states: Mapping[DeploymentId, DeploymentState]) -> ApplicationDetails:
        """Returns the same with what its deployments are set to."""
        shown = self.overview(states)
        return ApplicationDetails(
            name=self.spec.name,
            route_prefix=self.spec.route_prefix,
            status=shown.status,
            message=shown.message,
            last_deployed_time_s=shown.last_deployed_time_s,
            deployments={spec.id.name: states[spec.id].details() for spec in self.spec.deployments},
        )
