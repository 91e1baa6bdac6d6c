"""The line that tells how far a run is: on a real terminal, and nowhere else."""

from __future__ import annotations

import errno
import os
import pty
import subprocess
import sys

PROGRAM = """
import time, shoal
shoal.init(num_cpus=2)
def slow(batch):
    time.sleep(0.4)
    return batch
shoal.data.range(4, override_num_blocks=4).map_batches(slow, num_cpus=1).materialize()
print("done")
"""


ENVIRONMENT = {**os.environ, "TERM": "xterm", "COLUMNS": "200"}


def test_a_terminal_shows_the_stages() -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, stderr=theirs, env=ENVIRONMENT)
    os.close(theirs)
    # Read as it comes: a terminal that nobody reads holds its writers up.
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError as error:  # Linux says so when the last writer has closed a terminal
        if error.errno != errno.EIO:
            raise
    os.close(ours)
    output, _ = process.communicate(timeout=30)
    assert output == b"done\n"
    assert b"MapBatches(slow)" in shown
    assert b"rows" in shown


def test_a_pipe_stays_quiet() -> None:
    found = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, env=ENVIRONMENT, timeout=30, check=True
    )
    assert (found.stdout, found.stderr) == (b"done\n", b"")
