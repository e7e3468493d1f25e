"""The command line, whose `serve` starts hunters with a core that tests foresee, and whose `hunter` is one."""

from __future__ import annotations

import sys
from functools import partial

import proxy.cli.hunter
import proxy.supervisor
from proxy.children import Program
from proxy.cli import main
from proxy.hunter_keeper import HunterKeeper
from tests.hunting.fake_hunt import FakeHunt

FAKE = Program("hunter", (sys.executable, "-m", "tests.hunting.fake_process"))

if __name__ == "__main__":
    vars(proxy.supervisor)["HunterKeeper"] = partial(HunterKeeper, program=FAKE)
    vars(proxy.cli.hunter)["hunt"] = lambda: FakeHunt
    main()
