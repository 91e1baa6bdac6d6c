"""Settings of one job, for `shoal.init(job_config=...)`."""

from __future__ import annotations

from shoal._core.api.job_config import JobConfig

__all__ = ["JobConfig"]
