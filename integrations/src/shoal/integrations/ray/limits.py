"""What Ray cannot do for shoal. Needs no Ray: the table in `docs/engines.md` is made of it."""

from __future__ import annotations

from shoal.engines import EngineLimits

RAY = EngineLimits(
    "ray",
    {
        "completed_errors": "Look at the last item: `get` of it raises the error.",
        "cancel_queued_calls": "The call is dropped when its turn comes: `get` of it raises then.",
        "custom_serializers": "Register them with `ray.util.register_serializer`: values are pickled by Ray.",
        "deadlock_detection": "Give `get` a timeout: Ray waits for ever.",
        "infeasible_detection": "Give `get` a timeout: Ray waits for a cluster that grows (`ray status` shows what for).",
        "memory_limits": "Ray ends workers where a whole machine runs short (RAY_memory_usage_threshold); `memory=` only places.",
        "shared_parts": "Do not rely on identity within arguments and results: Ray sends lists, dicts and texts by value.",
    },
)
_JOIN = "Run the driver on a machine of the cluster, with init('ray')"
RAY_CLIENT = EngineLimits(
    "ray",
    {
        **RAY.missing,
        "shared_memory": f"{_JOIN}: values travel over the network, one by one.",
        "state": f"{_JOIN}, or ask `ray list`.",
        "streaming": f"{_JOIN}, or return a list.",
        "zero_copy": f"{_JOIN}: arrays arrive as copies.",
    },
)
"""Of a driver that has joined by Ray Client (`ray://`)."""
WITHOUT_DASHBOARD = "Start the cluster with its dashboard: pip install 'ray[default]', ray start --head."
