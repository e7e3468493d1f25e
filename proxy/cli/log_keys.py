"""`stillgate log keygen | rotate | key`: the key that signs the decision log's checkpoints."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Annotated

import typer

from proxy.cli.options import Config, Data, told_plainly
from proxy.config import load_settings
from proxy.decisions import signing
from proxy.errors import ConfigurationError
from proxy.keyed.sample_keys import make_private


def keygen(
    file: Annotated[Path, typer.Argument(help="Where the private key goes, with mode 0600; nothing may be there.")],
    name: Annotated[str, typer.Option(help="Its name in the signatures.")] = f"stillgate/{socket.gethostname()}",
    samples: Annotated[
        bool, typer.Option("--samples", help="Make one that opens samples instead; keep it with those who review.")
    ] = False,
) -> None:
    """Make a private key for `decision_log.key_file`, and print the public one, which verifies what it signs.

    With --samples, the public one is for `decision_log.samples.public_key`, and no proxy needs the private one.
    Exit code 1 if something is there already or nothing can be written.
    """
    with told_plainly():
        try:
            taken = file.exists()
        except OSError as error:  # a folder on the way may not be searched
            raise ConfigurationError(f"{file}: the key cannot be made: {error.strerror}") from None
        if taken:
            instead = "choose another file" if samples else "a key in use is replaced with: stillgate log rotate"
            raise ConfigurationError(f"{file}: is there already; {instead}")
        typer.echo(make_private(file) if samples else signing.load_or_create_signer(file, name).public)


def rotate(config: Config = None, data: Data = None) -> None:
    """Replace the key by a new one that the old one vouches for; running processes take it with their next checkpoint.

    Prints the new public key. Keep the old public one: what was signed before is verified with it, and it introduces
    the new one to the verifier. Exit code 1 if the file is another user's, or cannot be replaced.
    """
    with told_plainly():
        _, new = signing.rotate(load_settings(config, {"data": data}).log_key)
        typer.echo(new.public)


def key(config: Config = None, data: Data = None) -> None:
    """Print the public key of the key in use. Keep it where nobody who can change the log can change it."""
    with told_plainly():
        typer.echo(signing.load_signer(load_settings(config, {"data": data}).log_key).public)
