from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import NoReturn

import pytest

from proxy.config import shipped_pack
from proxy.documents.problem import YamlProblems
from proxy.errors import ConfigurationError
from proxy.packs.patterns import patterns_digest, read_patterns
from proxy.patterns.sets import load_pattern_sets
from tests.rig.unwritable import unwritable

SET = (shipped_pack("default.yaml").parent / "patterns" / "rubric-grading.yaml").read_bytes()


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    (tmp_path / "patterns").mkdir()
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / "patterns" / name).write_bytes(SET)
    return tmp_path / "pack.yaml"


def test_any_change_beside_the_pack_is_another_digest_and_changing_it_back_is_the_same(
    pack: Path, tmp_path: Path
) -> None:
    digest = read_patterns(pack).digest
    assert patterns_digest(pack) == digest
    file = tmp_path / "patterns" / "a.yaml"
    for change, back in (
        (lambda: file.write_text("c"), lambda: file.write_bytes(SET)),
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


def test_without_sets_there_is_no_digest(pack: Path, tmp_path: Path) -> None:
    for file in (tmp_path / "patterns").iterdir():
        file.unlink()
    assert read_patterns(pack) == ("", ())


def test_sets_that_cannot_be_used_are_shown_where_they_are_wrong(pack: Path, tmp_path: Path) -> None:
    (tmp_path / "patterns" / "b.yaml").write_text("kind: [")
    with pytest.raises(YamlProblems, match=f"{tmp_path}/patterns/b.yaml:1:"):
        read_patterns(pack)


def test_what_is_no_file_or_too_many_are_refused_in_a_sentence(pack: Path, tmp_path: Path) -> None:
    pipe = tmp_path / "patterns" / "c.yaml"
    os.mkfifo(pipe)
    with pytest.raises(ConfigurationError, match="is not a file"):
        read_patterns(pack)
    assert patterns_digest(pack) == "different"
    pipe.unlink()
    for number in range(100):
        (tmp_path / "patterns" / f"{number}.yaml").touch()
    with pytest.raises(ConfigurationError, match="more than 100"):
        read_patterns(pack)


def test_a_folder_that_cannot_be_listed_is_not_one_without_sets(
    pack: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "listdir", _may_not)
    monkeypatch.setattr(os, "scandir", _may_not)
    with pytest.raises(ConfigurationError, match="patterns: cannot be read: Permission denied"):
        read_patterns(pack)
    with pytest.raises(YamlProblems, match="patterns: error: cannot be read: Permission denied"):
        load_pattern_sets(tmp_path / "patterns")
    assert patterns_digest(pack) == "different"


def test_a_folder_that_cannot_be_seen_is_not_one_without_sets(pack: Path) -> None:
    pack.parent.chmod(0)
    try:
        with unwritable():
            assert patterns_digest(pack) == "different"
            with pytest.raises(ConfigurationError, match="patterns: cannot be read: Permission denied"):
                read_patterns(pack)
    finally:
        pack.parent.chmod(0o700)


def _may_not(folder: Path) -> NoReturn:
    raise PermissionError(errno.EACCES, "Permission denied", str(folder))
