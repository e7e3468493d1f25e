"""The command `stillgate` for a shell, in a process that is forked: what `tests.rig.forked.command` has it run.

It imports next to nothing, and is started without what Python imports by itself: that is all its advantage.
"""

from __future__ import annotations

import json
import os
import socket
import sys


def main() -> int:
    """Have it forked with the streams, the folder and the environment given; return its exit code, as a shell tells it."""
    control = socket.socket(fileno=int(sys.argv[1]))
    ours, line = socket.socketpair()
    order = {
        "module": "proxy.cli",
        "argv": sys.argv[2:],
        "cwd": os.getcwd(),  # noqa: PTH109 - pathlib would take as long to import as all the rest
        "env": dict(os.environ),
        "limits": [],
        "passed": [],
    }
    with line:
        socket.send_fds(control, [json.dumps(order).encode()], [0, 1, 2, line.fileno()])
    with ours, ours.makefile() as told:
        _pid, code = (int(each) for each in told)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
