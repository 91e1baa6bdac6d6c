"""What handles know of their actor, in the form that travels."""

from __future__ import annotations

from functools import lru_cache

from shoal import cloudpickle
from shoal.engines import ActorTemplate

_KEPT = 1024


def template_data(template: ActorTemplate) -> bytes:
    """Returns a template without its class, pickled once."""
    if template.handle_data is None:
        template.handle_data = cloudpickle.dumps(template.without_definition_data())
    return template.handle_data


@lru_cache(maxsize=_KEPT)
def template_of(data: bytes) -> ActorTemplate:
    """Returns the template; handles of one class share it."""
    template: ActorTemplate = cloudpickle.loads(data)
    template.handle_data = data
    return template
