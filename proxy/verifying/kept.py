"""Reads files of checkpoints that were kept elsewhere, line by line: they may hold years, and much else besides."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from io import StringIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO


@contextmanager
def kept_lines(path: Path) -> Iterator[Iterator[str]]:
    """Open a file and yield the lines that it has now, whatever is written to it until they are read. Raises OSError.

    Of what can be read only once, such as a pipe, there is a copy meanwhile.
    """
    with ExitStack() as stack:
        file: IO[bytes] = stack.enter_context(path.open("rb"))
        if not file.seekable():
            copy = stack.enter_context(TemporaryFile())
            shutil.copyfileobj(file, copy)
            copy.seek(0)
            file = copy
        yield _lines(path, file, os.fstat(file.fileno()).st_size)


def _lines(path: Path, file: IO[bytes], size: int) -> Iterator[str]:
    while size > 0:
        line = file.readline(size)
        if not line:
            raise OSError(errno.EIO, "it was cut while it was read", str(path))
        size -= len(line)
        yield from StringIO(line.decode(errors="replace"), newline=None)  # with every line end that there is
