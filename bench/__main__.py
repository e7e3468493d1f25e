"""The benchmark's command line: `python -m bench`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import orjson
import typer
import uvloop
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from bench.load import BenchError
from bench.measure import OnStage, measure, stages
from bench.results import rounded
from bench.stage import divided_cores
from bench.tables import show

_RESULTS = Path(__file__).with_name("results.json")
_QUICK_ROUNDS, _QUICK_S = 3, 0.4


def run(
    rounds: Annotated[int, typer.Option(min=1, help="Measured rounds, after one that warms up.")] = 7,
    seconds: Annotated[float, typer.Option(min=0.2, help="How long a proxy is measured at a time.")] = 2.0,
    quick: Annotated[bool, typer.Option("--quick", help="A few short rounds: to see that it works.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
    output: Annotated[Path, typer.Option(help="Where the results are kept.")] = _RESULTS,
) -> None:
    """Measure the proxy against a bare aiohttp pass-through; exit code 1 if something could not be measured."""
    if quick:
        rounds, seconds = _QUICK_ROUNDS, _QUICK_S
    try:
        with (
            _progress(stages(rounds)) as on_stage,
            divided_cores() as cores,
            asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
        ):
            results = rounded(runner.run(measure(rounds, seconds, cores, on_stage)))
    except (BenchError, OSError, TimeoutError) as error:
        print(f"bench: {str(error) or type(error).__name__}", file=sys.stderr)
        raise typer.Exit(1) from None
    document = orjson.dumps(results, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    output.write_bytes(document)
    if as_json:
        print(document.decode(), end="")
    else:
        show(Console(), results)


@contextmanager
def _progress(total: int) -> Iterator[OnStage]:
    """Show how far the run is, on a terminal only."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<16}"), BarColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=total)

        def on_stage(name: str) -> None:
            progress.update(task, description=name, advance=1)

        yield on_stage


if __name__ == "__main__":
    typer.run(run)
