from __future__ import annotations

from pathlib import Path

import pytest

from proxy.errors import ConfigurationError
from proxy.packs.activation import put_in_place
from tests.rig.unwritable import unwritable


def test_a_file_is_replaced_whole_with_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "pack.yaml"
    path.write_bytes(b"old")
    path.chmod(0o640)
    with path.open("rb") as reader:
        put_in_place(path, b"new")
        assert reader.read() == b"old"
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"new", 0o640)
    assert [entry.name for entry in tmp_path.iterdir()] == ["pack.yaml"]


def test_a_file_that_is_gone_is_made_again(tmp_path: Path) -> None:
    put_in_place(tmp_path / "pack.yaml", b"new")
    assert (tmp_path / "pack.yaml").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("named", ["pack.yaml", "..data/pack.yaml"])
def test_a_link_as_a_config_map_makes_it_is_left_alone(tmp_path: Path, named: str) -> None:
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..2026" / "pack.yaml").write_bytes(b"old")
    (tmp_path / "..data").symlink_to("..2026")
    (tmp_path / "pack.yaml").symlink_to("..data/pack.yaml")
    with pytest.raises(ConfigurationError, match="as a ConfigMap makes it; change it where it comes from"):
        put_in_place(tmp_path / named, b"new")
    assert (tmp_path / "pack.yaml").read_bytes() == b"old"


def test_a_folder_by_another_name_is_no_config_map(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    put_in_place(tmp_path / "link" / "pack.yaml", b"new")
    assert (tmp_path / "real" / "pack.yaml").read_bytes() == b"new"


def test_a_folder_that_may_not_be_written_to_is_told_as_somebody_elses() -> None:
    with (
        unwritable() as folder,
        pytest.raises(ConfigurationError, match="may not write to; change it where it comes from"),
    ):
        put_in_place(folder / "pack.yaml", b"new")


def test_a_folder_that_may_not_be_looked_into_is_told_as_somebody_elses(tmp_path: Path) -> None:
    tmp_path.chmod(0)
    try:
        with unwritable(), pytest.raises(ConfigurationError, match="may not write to; change it where it comes from"):
            put_in_place(tmp_path / "pack.yaml", b"new")
    finally:
        tmp_path.chmod(0o700)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written: No such file"):
        put_in_place(tmp_path / "away" / "pack.yaml", b"new")
