"""A folder that the test may not write to, whoever runs it: root takes the rights of nobody for that long."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_NOBODY = 65534


@contextmanager
def unwritable() -> Iterator[Path]:
    """Yield the folder; only for tests in which nothing else runs, since the rights are those of the whole process."""
    with tempfile.TemporaryDirectory() as made:
        folder, user = Path(made), os.geteuid()
        folder.chmod(0o555)
        try:
            if user == 0:
                os.seteuid(_NOBODY)
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o700)
