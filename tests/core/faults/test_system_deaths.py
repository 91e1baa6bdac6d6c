"""The fork server, the daemon or the driver dies."""

from __future__ import annotations

import os
import signal
import time

import pytest

import shoal
