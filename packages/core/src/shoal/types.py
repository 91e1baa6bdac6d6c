"""Types for annotations."""

from __future__ import annotations

from shoal._core.api.generator import ObjectRefGenerator
from shoal._core.process.object_ref import ObjectRef

__all__ = ["ObjectRef", "ObjectRefGenerator"]
