"""The command line, whose `serve` starts hunters with a core that tests foresee, and whose `hunter` is one."""

from __future__ import annotations

import sys
from functools import partial

import proxy.cli.hunter
import proxy.processes.supervisor
from proxy import cli
from proxy.processes.children import Program
from proxy.processes.hunter_keeper import HunterKeeper
from tests.hunting.fake_hunt import FakeHunt

FAKE = Program("hunter", (sys.executable, "-P", "-m", "tests.hunting.fake_process"))


def main() -> None:
    """Run it, with what stands in for the hunt put in its place."""
    vars(proxy.processes.supervisor)["HunterKeeper"] = partial(HunterKeeper, program=FAKE)
    vars(proxy.cli.hunter)["hunt"] = lambda: FakeHunt
    cli.main()


if __name__ == "__main__":
    main()
