"""Commands reach a session, and leave it again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import click

import shoal
from shoal.exceptions import ShoalError


def checked_address(address: str | None) -> str:
    """Returns what an --address means. Raises UsageError for what only Ray's servers understand."""
    if address and address.startswith(("http://", "https://")):
        raise click.UsageError(
            f"--address is {address!r}; this command is for sessions on this machine: give the folder of one, or leave it out"
        )
    return address or os.environ.get("SHOAL_ADDRESS") or "auto"


@contextmanager
def joined(address: str | None) -> Iterator[None]:
    """Is in the session that an --address means. Raises ClickException where none runs."""
    try:
        shoal.init(address=checked_address(address), log_to_driver=False)
    except (ShoalError, OSError) as error:
        raise click.ClickException(str(error)) from None
    try:
        yield
    finally:
        shoal.shutdown()


@contextmanager
def joined_or_own(address: str | None, may_be_own: bool) -> Iterator[None]:
    """Is in the session that an --address means, or that runs; in one of its own where none does.

    Args:
        address: as given; None for none.
        may_be_own: else there has to be one: what is started stays when the command ends.

    Raises:
        ClickException: none runs, and there has to be one.
    """
    if checked_address(address) != "auto":
        with joined(address):
            yield
        return
    try:
        shoal.init(address="auto")
    except (ShoalError, OSError) as error:
        if not may_be_own:
            raise click.ClickException(f"{error}") from None
        shoal.init()
    try:
        yield
    finally:
        shoal.shutdown()
