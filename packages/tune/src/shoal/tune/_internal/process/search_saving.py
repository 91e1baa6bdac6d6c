"""When what is saved of a search: what has changed at once, the rest now and then."""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
from collections.abc import Callable
from typing import Any

from pyarrow import fs

from shoal.train import Checkpoint
from shoal.tune._internal.logic.search_state import SearchState
from shoal.tune._internal.process.search_storage import SearchStorage
from shoal.tune.experiment.trial import Trial

logger = logging.getLogger(__name__)

SHARE = 0.05
"""Of the time, for saving what searcher and scheduler know."""
RESULTS_SECONDS = 0.5
"""Until a trial's results are saved where nothing else has changed."""
SEND_SECONDS = 10.0
"""Between sends to a storage elsewhere."""


class SearchSaving:
    """Saves one search.

    Args:
        state: of it.
        storage: its folder.
        others: returns what callbacks and the stopper know; they write what they have gathered.
        send_seconds: between sends to a storage that is not on this machine.
    """

    def __init__(
        self,
        state: SearchState,
        storage: SearchStorage,
        others: Callable[[], dict[str, Any]],
        send_seconds: float = SEND_SECONDS,
    ) -> None:
        self._state = state
        self._storage = storage
        self._others = others
        self._send_seconds = send_seconds
        self._is_urgent = False
        self._ties = state.scheduler.ties_trials
        self._is_behind = False
        """A trial is over, and the search's state does not know of it: that matters only where the one goes with the other."""
        self._gone: list[Checkpoint] = []
        """Checkpoints that nobody needs once the search's state is saved."""
        self._last_trials = 0.0
        self._search_at = 0.0
        self._send_at = 0.0
        self._began = time.monotonic()
        self._used_before = state.time_used
        self._sender: threading.Thread | None = None

    @property
    def next_deadline(self) -> float | None:
        """When `turn_ended` has to be called at last."""
        return self._last_trials + RESULTS_SECONDS if self._state.book.has_changed else None

    def begin(self) -> None:
        """The search begins: what is random in it is known now."""
        self._save_search()

    def trial_changed(self, trial: Trial) -> None:
        """More than a trial's results has changed."""
        self._is_urgent = True
        self._is_behind = self._is_behind or (self._ties and trial.is_finished())

    def turn_ended(self) -> None:
        """Saves what is due. Raises OSError."""
        now = time.monotonic()
        if self._state.book.has_changed and (self._is_urgent or now - self._last_trials >= RESULTS_SECONDS):
            self._save_trials()
            self._last_trials = now
            if (now >= self._search_at or self._is_behind) and (not self._ties or self._state.is_settled):
                self._save_search()
        if (
            not self._storage.is_local
            and now >= self._send_at
            and (self._sender is None or not self._sender.is_alive())
        ):
            self._send_at = now + self._send_seconds
            self._sender = threading.Thread(target=self._send, name="shoal-tune-send", daemon=True)
            self._sender.start()

    def end(self) -> None:
        """The search ends here: saves all. Raises OSError."""
        self._save_trials()
        self._save_search()
        if self._sender is not None:
            self._sender.join()
        self._storage.send()

    def delete(self, checkpoint: Checkpoint) -> None:
        """Removes a checkpoint that nobody needs."""
        if self._ties:  # a search that is restored may go back to before it was not needed
            self._gone.append(checkpoint)
        else:
            self._remove(checkpoint)

    def _remove(self, checkpoint: Checkpoint) -> None:
        try:
            if isinstance(checkpoint.filesystem, fs.LocalFileSystem):
                # Out of sight at once, so that no half of it is ever taken for a whole one.
                gone = f"{checkpoint.path}.part"
                os.rename(checkpoint.path, gone)
                shutil.rmtree(gone)
            else:
                checkpoint.filesystem.delete_dir(checkpoint.path)
        except OSError as error:
            logger.warning("%s cannot be removed: %s", checkpoint.path, error)

    def _save_trials(self) -> None:
        changed = self._state.book.take_changed()
        self._is_urgent = False
        if changed:
            self._storage.save_trials(changed, self._state.lives.values())

    def _save_search(self) -> None:
        began = time.monotonic()
        state = self._state
        state.time_used = self._used_before + began - self._began
        self._storage.save_search(
            {
                "suggestions": state.suggestions.get_state(),
                "scheduler": state.scheduler.get_state(),
                "trials": len(state.trials),
                "over": [trial.trial_id for trial in state.trials if trial.is_finished()],
                "time_used": state.time_used,
                **self._others(),
            }
        )
        self._is_behind = False
        gone, self._gone = self._gone, []
        for checkpoint in gone:
            self._remove(checkpoint)
        took = time.monotonic() - began
        self._search_at = began + took / SHARE

    def _send(self) -> None:
        try:
            self._storage.send()
        except OSError as error:
            logger.warning("What is new cannot be sent to %s: %s; it is tried again", self._storage.path, error)
