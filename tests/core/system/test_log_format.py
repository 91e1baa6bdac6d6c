"""What loggers write, in a program and in its workers."""

from __future__ import annotations

import json
import subprocess
import sys

PROGRAM = """
import logging
import shoal

shoal.init(num_cpus=1, logging_config=shoal.LoggingConfig(encoding=ENCODING, log_level="DEBUG", additional_log_standard_attrs=["name"]))
logging.getLogger("mine").debug("from the driver")

@shoal.remote
def write():
    logging.getLogger("mine").info("from a worker")

shoal.get(write.remote())
shoal.shutdown()
"""


def lines_of(encoding: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.replace("ENCODING", repr(encoding))],
        capture_output=True,
        text=True,
        timeout=50,
        check=True,
    )
    return done.stderr.splitlines()


def test_json_lines_come_from_the_driver_and_from_workers() -> None:
    driver, worker = lines_of("JSON")
    assert json.loads(driver)["message"] == "from the driver"
    prefix, _, rest = worker.partition(") ")
    assert prefix.startswith("(write pid=")
    record = json.loads(rest)
    assert (record["levelname"], record["message"], record["name"]) == ("INFO", "from a worker", "mine")


def test_text_lines() -> None:
    driver, worker = lines_of("TEXT")
    assert driver.endswith("from the driver\tname=mine")
    assert worker.endswith("from a worker\tname=mine")
