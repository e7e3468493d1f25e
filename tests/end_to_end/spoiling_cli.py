"""The command line, whose `serve` spoils packs on their way to its children while there is a file called `spoilt`."""

from __future__ import annotations

from pathlib import Path

from proxy import cli
from proxy.handing import HandedPack
from proxy.processes.children import Worker
from proxy.settings.types import is_file


def main() -> None:
    """Run it."""
    switch = Worker.switch

    async def switch_spoilt(worker: Worker, pack: HandedPack) -> None:
        await switch(worker, pack._replace(text="AAAA") if is_file(Path("spoilt")) else pack)

    Worker.switch = switch_spoilt  # type: ignore[method-assign]
    cli.main()


if __name__ == "__main__":
    main()
