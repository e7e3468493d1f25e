"""The hunter's process with a core that tests foresee; `fake_cli` has the supervisor start it."""

from __future__ import annotations

import sys

from proxy.processes.hunter_process import main
from tests.hunting.fake_hunt import FakeHunt

if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), FakeHunt))
