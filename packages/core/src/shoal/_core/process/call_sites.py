"""Where references were made, for `shoal memory` and errors: recorded only where SHOAL_record_ref_creation_sites is 1,
since looking costs about a microsecond a reference."""

from __future__ import annotations

import os
import sys

from shoal._core.errors.remote_frames import is_runtime_file


class CallSites:
    """The places of one client's references."""

    def __init__(self, recording: bool) -> None:
        self._places: dict[bytes, str] | None = {} if recording else None

    @classmethod
    def of_environment(cls) -> CallSites:
        """Returns those of a process, as its environment asks for."""
        return cls(os.environ.get("SHOAL_record_ref_creation_sites", "0") not in ("", "0"))  # noqa: SIM112  Ray's spelling

    def made(self, object_id: bytes) -> None:
        """The caller of the runtime makes a reference."""
        if self._places is None:
            return
        frame = sys._getframe(1)
        while frame.f_back is not None and is_runtime_file(frame.f_code.co_filename):
            frame = frame.f_back
        self._places[object_id] = f"{frame.f_code.co_filename}:{frame.f_code.co_name}:{frame.f_lineno}"

    def freed(self, object_id: bytes) -> None:
        """Nobody refers to it any more."""
        if self._places is not None:
            self._places.pop(object_id, None)

    def of(self, object_id: bytes) -> str:
        """Returns file, function and line; '' where they are not known."""
        return self._places.get(object_id, "") if self._places is not None else ""
