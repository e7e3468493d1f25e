"""`stillgate demo`: honest customers and a small campaign before a proxy of its own; half a minute, and no traces."""

from __future__ import annotations

import asyncio
import errno
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack
from typing import Annotated

import typer
import uvloop
from rich.console import Console

from proxy.cli.demo_screen import document, showing, summary
from proxy.cli.options import AsJson, told_plainly
from proxy.cli.printing import print_json
from proxy.clock import Clock, SystemClock
from proxy.demo.play import Play, Progress
from proxy.demo.scene import scene
from proxy.log import configure

_EXIT_NOT_SHOWN = 1
_EXIT_INTERRUPTED = 130


def demo(
    seed: Annotated[int, typer.Option(help="Another seed gives other customers and other words.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Show a campaign being found, named and contained, and honest customers left alone, in half a minute.

    It starts a proxy of its own with the strict pack, in a temporary folder and on free ports, in front of a stand-in
    model; everything is gone at the end. The hunter judges every second instead of every thirty; nothing else differs.

    Exit: 0 the campaign was found and contained and no honest account was touched, 1 otherwise.
    """
    clock, progress = SystemClock(), Progress()
    began = clock.monotonic()
    console = Console()
    with told_plainly(), ExitStack() as stack:
        configure("error", sys.stderr)

        def told(words: str) -> None:
            if not as_json and not console.is_terminal:
                typer.echo(f"{clock.monotonic() - began:5.1f} s  {words}")

        if not as_json and console.is_terminal:
            stack.enter_context(showing(console, progress, lambda: clock.monotonic() - began))
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_play(clock, progress, seed, told))
        except (KeyboardInterrupt, asyncio.CancelledError):
            raise typer.Exit(_EXIT_INTERRUPTED) from None
        except ExceptionGroup as group:
            if group.subgroup(BrokenPipeError) is None:
                raise
            raise BrokenPipeError(errno.EPIPE, "nobody reads it any more") from None
    if as_json:
        print_json(document(progress, clock.monotonic() - began))
    else:
        typer.echo(f"\n{summary(progress)}")
    raise typer.Exit(0 if progress.good else _EXIT_NOT_SHOWN)


async def _play(clock: Clock, progress: Progress, seed: int, told: Callable[[str], None]) -> None:
    """Play until the end, or until somebody ends it; the proxy ends with it."""
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    told("starting a proxy, its store, a hunter and a stand-in model")
    async with scene(clock) as stage:
        await Play(stage, clock, progress, told, seed).run()
