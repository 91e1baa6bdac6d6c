"""What all tests share: marks, and one profile for property tests that gives the same answer every time."""

from __future__ import annotations

import signal

import pytest

MARKS = (
    "needs(*capabilities): the test runs only on engines that have these capabilities",
    "session(**init_arguments): arguments of shoal.init for this test, over the suite's own",
    "no_session: the test calls shoal.init itself, or not at all",
)


def pytest_configure(config: pytest.Config) -> None:
    # A shell has its background jobs ignore Ctrl-C, and what they start with them.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for mark in MARKS:
        config.addinivalue_line("markers", mark)
    try:
        from hypothesis import settings
    except ImportError:  # the conformance suite also runs where only pytest is installed
        return
    settings.register_profile("shoal", derandomize=True, deadline=None)
    settings.load_profile("shoal")
