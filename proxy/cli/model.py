"""`stillgate model`: the stand-in model as a process of its own."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from typing import Annotated

import typer
import uvloop

from proxy.standin.server import Options, serve

_STDIN = 0
_READ_BYTES = 4096  # what is written to standard input means nothing; only its end does


def model(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = 8081,
    first_token_ms: Annotated[float, typer.Option(min=0, help="Milliseconds until the first token.")] = 0.0,
    tokens_per_second: Annotated[float, typer.Option(min=0, help="Speed of an answer; 0: no limit.")] = 0.0,
    seed: Annotated[int, typer.Option(help="Another seed gives other words to the same request.")] = 0,
    credential_file: Annotated[
        Path | None, typer.Option(help="File with the one API key to accept; without it any key will do.")
    ] = None,
    announce_fd: Annotated[
        int | None, typer.Option(min=0, help="Write the URL and a newline to this file descriptor and close it.")
    ] = None,
    until_stdin_closes: Annotated[
        bool, typer.Option("--until-stdin-closes", help="End when standard input does, as it does when a parent dies.")
    ] = False,
) -> None:
    """Run a stand-in model: an API that answers in OpenAI's and Anthropic's formats without a model behind it."""
    options = Options(
        first_token_ms=first_token_ms,
        tokens_per_second=tokens_per_second,
        seed=seed,
        credential=None if credential_file is None else _read_credential(credential_file),
    )

    def on_ready(url: str) -> None:
        if announce_fd is None:
            typer.echo(f"stand-in model listening on {url}", err=True)
            return
        os.write(announce_fd, f"{url}\n".encode())
        os.close(announce_fd)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        if until_stdin_closes:
            _stop_with_stdin(loop, stop)
        await serve(options, host=host, port=port, stop=stop, on_ready=on_ready)

    try:
        uvloop.run(run())
    except OSError as error:
        typer.echo(f"cannot serve on {host} port {port}: {error.strerror}", err=True)
        raise typer.Exit(1) from error


def _stop_with_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    """Set `stop` at the end of standard input."""

    def on_readable() -> None:
        if not os.read(_STDIN, _READ_BYTES):
            loop.remove_reader(_STDIN)
            stop.set()

    try:
        loop.add_reader(_STDIN, on_readable)
    except OSError:  # a plain file or the null device cannot be waited for: nobody holds its other end
        stop.set()


def _read_credential(path: Path) -> str:
    """Return the key that a file holds. The message never shows the contents."""
    try:
        credential = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise typer.BadParameter(f"cannot read {path}") from error
    if not credential:
        raise typer.BadParameter(f"{path} is empty")
    return credential
