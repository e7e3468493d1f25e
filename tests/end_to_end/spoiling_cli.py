"""The command line, whose `serve` spoils packs on their way to workers while there is a file called `spoilt`."""

from __future__ import annotations

from pathlib import Path

import proxy.processes.fleet
from proxy import cli
from proxy.handing import HandedPack
from proxy.processes.children import Worker
from proxy.settings.types import is_file


class _Spoiling(Worker):
    async def switch(self, pack: HandedPack) -> None:
        await super().switch(pack._replace(text="AAAA") if is_file(Path("spoilt")) else pack)


def main() -> None:
    """Run it."""
    vars(proxy.processes.fleet)["Worker"] = _Spoiling
    cli.main()


if __name__ == "__main__":
    main()
