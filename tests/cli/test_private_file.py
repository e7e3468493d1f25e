"""What names customers is for its owner alone, whatever was there before."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from proxy.cli.private_file import write_private
from proxy.errors import ConfigurationError


@pytest.mark.parametrize("before", [None, 0o600, 0o644, 0o666])
def test_a_file_is_its_owners_alone_also_where_one_was_before(tmp_path: Path, before: int | None) -> None:
    file = tmp_path / "members.jsonl"
    if before is not None:
        file.write_bytes(b"what was there before")
        file.chmod(before)
    write_private(file, b"names")
    assert file.read_bytes() == b"names"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_device_stays_what_it_is() -> None:
    before = Path("/dev/null").stat().st_mode
    write_private(Path("/dev/null"), b"names")
    assert Path("/dev/null").stat().st_mode == before


def test_what_cannot_be_written_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written: No such file"):
        write_private(tmp_path / "no" / "file", b"")
    with pytest.raises(ConfigurationError, match="/dev/full: cannot be written: No space left on device"):
        write_private(Path("/dev/full"), b"names")
