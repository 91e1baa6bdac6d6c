"""Not there; the error tells what to use instead."""

from __future__ import annotations

from shoal._core.api.absent_modules import refuse_import

refuse_import(__name__)
