"""Autoscaling policies that come with shoal.serve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shoal.serve._internal.logic.autoscaling import replicas_for
from shoal.serve._internal.schema.absent_names import absence
from shoal.serve.config import AutoscalingContext


def replica_queue_length_autoscaling_policy(ctx: AutoscalingContext) -> tuple[float, dict[str, Any]]:
    """Returns as many replicas as have `target_ongoing_requests` each, by the rule that holds without any policy. Policies may call it.

    Args:
        ctx: what is known of the deployment.
    """
    return replicas_for(ctx.total_num_requests, ctx.current_num_replicas, ctx.config), {}


default_autoscaling_policy = replica_queue_length_autoscaling_policy


if not TYPE_CHECKING:  # What is not here stays an error for type checkers.

    def __getattr__(name: str) -> Any:
        raise absence(__name__, name)
