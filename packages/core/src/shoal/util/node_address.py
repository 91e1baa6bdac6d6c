"""Which machine this is."""

from __future__ import annotations

import socket


def get_node_ip_address(address: str | None = None) -> str:
    """Returns the address by which other machines reach this one; 127.0.0.1 where there are none.

    Args:
        address: host:port of a machine that is to be reached, for machines with several networks.
    """
    host = address.rpartition(":")[0] if address else "8.8.8.8"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 53))  # sends nothing: it only chooses a route
            found: str = probe.getsockname()[0]
        except OSError:
            return "127.0.0.1"
    return found


def get_node_instance_id() -> str:
    """Returns the id that the cloud gave this machine (SHOAL_CLOUD_INSTANCE_ID), '' for none."""
    import os

    return os.environ.get("SHOAL_CLOUD_INSTANCE_ID", "")
