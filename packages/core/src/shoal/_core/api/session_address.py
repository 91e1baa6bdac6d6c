"""Reading `init(address=...)`: what kind of session it asks for."""

from __future__ import annotations

import os
import re

from shoal._core.schema.session_request import ADAPTER, JOIN, START
from shoal.exceptions import InvalidOptionError

_SCHEME = re.compile(r"([a-z][a-z0-9_+.-]*)://")
_HOST_AND_PORT = re.compile(r"[^/\\]*:\d+")
ADAPTER_NAMES = ("ray", "dask")
"""Engines that are named without a '://', too."""

FORMS = (
    "give None or 'local' for a session of your own, 'auto' for the newest one on this machine that may be joined, "
    "the folder of a session, or the address of an engine ('ray', 'ray://host:10001', 'dask://host:8786')"
)


def read_address(address: str | None) -> tuple[str, str, str]:
    """Returns what kind of session an address means, the address to join, and the engine's scheme.

    Raises InvalidOptionError for an address that is none, or that asks for what cannot be done.
    """
    if address is None or address == "local":
        return START, "", ""
    if address == "auto":
        return JOIN, "auto", ""
    if not address.strip():
        raise InvalidOptionError("address", address, FORMS)
    scheme = _SCHEME.match(address)
    if scheme is not None:
        return ADAPTER, address, scheme.group(1)
    if address in ADAPTER_NAMES:
        return ADAPTER, address, address
    if _HOST_AND_PORT.fullmatch(address) and not os.path.isdir(address):
        raise InvalidOptionError(
            "address",
            address,
            "sessions are joined on their own machine: 'auto', or the folder of a session. "
            "For a Ray cluster on the network give 'ray://host:10001'",
        )
    return JOIN, address, ""
