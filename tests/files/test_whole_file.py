"""A file that is replaced is the old one or the new one, and what cannot be written leaves nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxy.files.whole_file import write_whole


def test_what_cannot_be_written_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    (target / "inside").touch()
    with pytest.raises(OSError, match="irectory"):
        write_whole(target, b"new")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["target"]
