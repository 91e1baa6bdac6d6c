"""Not there; the error tells what to use instead."""

from __future__ import annotations

from shoal.rllib._internal.absent_modules import refuse_import

refuse_import(__name__)
