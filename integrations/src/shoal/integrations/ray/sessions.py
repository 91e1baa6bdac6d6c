"""shoal's session in processes that Ray has started: it is the ray engine again."""

from __future__ import annotations

import ray

import shoal


def ensure_session() -> None:
    """Makes the Ray of this process shoal's session, if it has none yet: in workers, at the first task or reference that arrives."""
    if not shoal.is_initialized() and ray.is_initialized():
        shoal.init("ray", configure_logging=False, ignore_reinit_error=True)


class Arrival:
    """Travels before what needs a session where it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return arrive, ()


def arrive() -> Arrival:
    """What an Arrival becomes where it arrives."""
    ensure_session()
    return Arrival()
