"""Names that Ray's own pages take from `ray._raylet`."""

from __future__ import annotations

from shoal._core.api.generator import ObjectRefGenerator
from shoal._core.process.dynamic_refs import DynamicObjectRefGenerator
from shoal._core.process.object_ref import ObjectRef

__all__ = ["DynamicObjectRefGenerator", "ObjectRef", "ObjectRefGenerator"]
