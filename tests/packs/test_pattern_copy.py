from __future__ import annotations

import errno
import os
import resource
from pathlib import Path
from typing import NoReturn

import pytest

from proxy.documents.problem import YamlProblems
from proxy.errors import ConfigurationError
from proxy.packs.pattern_copy import PATTERNS_FOLDER, copied_patterns, copy_patterns, patterns_digest
from proxy.patterns.sets import load_pattern_sets
from tests.rig.unwritable import unwritable


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    (tmp_path / "patterns").mkdir()
    (tmp_path / "patterns" / "a.yaml").write_text("a")
    (tmp_path / "patterns" / "b.yaml").write_text("b")
    (tmp_path / "data").mkdir()
    return tmp_path / "pack.yaml"


def test_the_copy_is_what_lay_there_whatever_becomes_of_the_folder(pack: Path, tmp_path: Path) -> None:
    digest = copy_patterns(pack, tmp_path / "data")
    (tmp_path / "patterns" / "a.yaml").write_text("broken")
    (tmp_path / "patterns" / "b.yaml").unlink()
    folder = copied_patterns(tmp_path / "data", digest)
    assert folder is not None
    assert {path.name: path.read_text() for path in folder.iterdir()} == {"a.yaml": "a", "b.yaml": "b"}


def test_any_change_beside_the_pack_is_another_digest_and_changing_it_back_is_the_same(
    pack: Path, tmp_path: Path
) -> None:
    digest = copy_patterns(pack, tmp_path / "data")
    assert patterns_digest(pack) == digest
    file = tmp_path / "patterns" / "a.yaml"
    for change, back in (
        (lambda: file.write_text("c"), lambda: file.write_text("a")),
        (lambda: file.rename(file.with_name("c.yaml")), lambda: file.with_name("c.yaml").rename(file)),
        (
            lambda: (tmp_path / "patterns").rename(tmp_path / "away"),
            lambda: (tmp_path / "away").rename(tmp_path / "patterns"),
        ),
    ):
        change()
        assert patterns_digest(pack) != digest
        back()
        assert patterns_digest(pack) == digest


def test_without_sets_there_is_no_copy_and_an_older_one_goes(pack: Path, tmp_path: Path) -> None:
    copy_patterns(pack, tmp_path / "data")
    for file in (tmp_path / "patterns").iterdir():
        file.unlink()
    assert copy_patterns(pack, tmp_path / "data") == ""
    assert not (tmp_path / "data" / PATTERNS_FOLDER).exists()
    assert copied_patterns(tmp_path / "data", "") is None


def test_a_disk_without_room_for_the_copy_is_told_with_the_place(pack: Path, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, limits[1]))
    try:
        with pytest.raises(
            ConfigurationError, match="data/patterns: the pattern sets cannot be copied: File too large"
        ):
            copy_patterns(pack, tmp_path / "data")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_copy_that_was_changed_is_not_used(pack: Path, tmp_path: Path) -> None:
    digest = copy_patterns(pack, tmp_path / "data")
    (tmp_path / "data" / PATTERNS_FOLDER / "a.yaml").write_text("c")
    with pytest.raises(ConfigurationError, match="was changed since it was copied"):
        copied_patterns(tmp_path / "data", digest)


def test_what_is_no_file_or_too_many_are_refused_in_a_sentence(pack: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "patterns" / "c.yaml"
    os.mkfifo(pipe)
    with pytest.raises(ConfigurationError, match="is no file"):
        copy_patterns(pack, tmp_path / "data")
    assert patterns_digest(pack) == "different"
    pipe.unlink()
    for number in range(100):
        (tmp_path / "patterns" / f"{number}.yaml").touch()
    with pytest.raises(ConfigurationError, match="more than 100"):
        copy_patterns(pack, tmp_path / "data")


def test_a_folder_that_cannot_be_listed_is_not_one_without_sets(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "listdir", _may_not)
    monkeypatch.setattr(os, "scandir", _may_not)
    with pytest.raises(ConfigurationError, match="patterns: cannot be read: Permission denied"):
        copy_patterns(pack, tmp_path / "data")
    with pytest.raises(YamlProblems, match="patterns: error: cannot be read: Permission denied"):
        load_pattern_sets(tmp_path / "patterns")
    assert patterns_digest(pack) == "different"


def test_a_folder_that_cannot_be_seen_is_not_one_without_sets(pack: Path, tmp_path: Path) -> None:
    pack.parent.chmod(0)
    try:
        with unwritable():
            assert patterns_digest(pack) == "different"
            with pytest.raises(ConfigurationError, match="patterns: cannot be read: Permission denied"):
                copy_patterns(pack, tmp_path / "data")
    finally:
        pack.parent.chmod(0o700)


def _may_not(folder: Path) -> NoReturn:
    raise PermissionError(errno.EACCES, "Permission denied", str(folder))
