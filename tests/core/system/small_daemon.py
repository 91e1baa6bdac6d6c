"""A daemon that forks its fork server, for tests that kill one of them:

    small_daemon.py '[("sleep",), ("start_strays", 2)]'

starts one worker a program, and prints one line each: the pid of the fork server, what each worker prints first, then
every event. Ends when its input does.
"""

from __future__ import annotations

import ast
import os
import select
import sys

from shoal._core.system.fork_server import ForkServer


def main(programs: str) -> None:
    server = ForkServer.start("worker_programs:run")
    print(server.pid, flush=True)
    for token, program in enumerate(ast.literal_eval(programs)):
        reading, writing = os.pipe()
        server.spawn(token, repr(program).encode(), writing, 2)
        os.close(writing)
        with open(reading) as file:
            print(file.readline(), end="", flush=True)
    poll = select.poll()
    poll.register(server.fileno(), select.POLLIN)
    poll.register(0, select.POLLIN | select.POLLHUP)
    while not server.finished:
        ready = dict(poll.poll())
        if 0 in ready:
            poll.unregister(0)
            server.stop()
        for event in server.read_events():
            print(event, flush=True)


if __name__ == "__main__":
    sys.path.insert(0, os.path.dirname(__file__))
    main(sys.argv[1])
