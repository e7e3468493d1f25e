from __future__ import annotations

import resource
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.errors import ConfigurationError
from proxy.packs.archive import Note, PackArchive, archived_file, in_shadow, load_archived
from proxy.rules.conditions.condition import AllOf
from proxy.rules.pack.pack import FlagSpec, Pack, Rule
from proxy.rules.pack.words import Mode, OnError, Severity, Subject
from proxy.rules.pack_file.loading import check_pack


def made(name: str) -> tuple[Pack, bytes]:
    limits = "[{measure: requests, max: 1, window: 1m}]"
    data = (
        f"apiVersion: stillgate/v1\nkind: PolicyPack\nmetadata: {{name: {name}, version: '1', owner: tests}}\n"
        f"defaults: {{mode: enforce}}\nquotas: [{{id: q, per: key, limits: {limits}}}]\n"
    ).encode()
    pack, problems = check_pack(data, name)
    assert pack, problems
    return pack, data


def rule(name: str, mode: Mode) -> Rule:
    flag = FlagSpec("f", (Subject.ACCOUNT,), 1, 1000)
    return Rule(name, Severity.LOW, mode, AllOf(()), flag, "", OnError.SKIP)


def test_what_was_kept_loads_as_it_was_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    archive = PackArchive(tmp_path / "packs")
    pack, data = made("one")
    archive.keep(pack, data, Note(1.0, "start"))
    assert load_archived(tmp_path / "packs", pack.digest) == pack
    for file in (tmp_path / "packs").iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_a_disk_without_room_is_told_with_the_place(tmp_path: Path) -> None:
    pack, data = made("one")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        with pytest.raises(
            ConfigurationError, match=f"^{tmp_path}/packs: the pack cannot be archived: File too large$"
        ):
            PackArchive.begun_with(tmp_path / "packs", pack, data, 1.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_pack_that_is_archived_already_takes_no_room(tmp_path: Path) -> None:
    """A full disk keeps no restart from serving."""
    pack, data = made("one")
    PackArchive.begun_with(tmp_path, pack, data, 1.0)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, limits[1]))
    try:
        assert PackArchive.begun_with(tmp_path, pack, data, 2.0).revisions[-1].note == Note(1.0, "start")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_a_file_that_cannot_be_read_is_replaced(tmp_path: Path) -> None:
    pack, data = made("one")
    archived_file(tmp_path, pack.digest).symlink_to("/proc/self/mem")  # whose first page nobody can read
    PackArchive.begun_with(tmp_path, pack, data, 1.0)
    assert load_archived(tmp_path, pack.digest) == pack


def test_a_file_that_was_changed_or_removed_is_not_loaded(tmp_path: Path) -> None:
    archive = PackArchive(tmp_path)
    pack, data = made("one")
    archive.keep(pack, data, Note(1.0, "start"))
    archived_file(tmp_path, pack.digest).write_bytes(made("two")[1])
    with pytest.raises(ConfigurationError, match="was changed"):
        load_archived(tmp_path, pack.digest)
    archived_file(tmp_path, pack.digest).unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_archived(tmp_path, pack.digest)


def test_the_latest_fifty_are_kept_each_once_and_found_again_by_the_next_start(tmp_path: Path) -> None:
    archive = PackArchive(tmp_path)
    for number in range(60):
        for name in (f"p{number}", "often"):
            pack, data = made(name)
            archive.keep(pack, data, Note(float(number), "file"))
    again = PackArchive(tmp_path)
    assert again.revisions == archive.revisions
    names = [revision.name for revision in again.revisions]
    assert names == [f"p{number}" for number in range(11, 60)] + ["often"]
    assert len(list(tmp_path.glob("*.yaml"))) == 50
    assert all(archived_file(tmp_path, revision.digest).exists() for revision in again.revisions)


def test_a_revision_is_found_by_how_its_digest_begins_if_only_one_does(tmp_path: Path) -> None:
    archive = PackArchive(tmp_path)
    for name in ("one", "two"):
        archive.keep(*made(name), Note(1.0, "file"))
    assert archive.find(archive.revisions[0].digest[:12]).name == "one"
    with pytest.raises(ConfigurationError, match="2 revisions"):
        archive.find("")
    with pytest.raises(ConfigurationError, match="no revisions"):
        archive.find("x")


def test_an_age_in_shadow_counts_from_the_first_activation_and_begins_anew_after_another_mode(tmp_path: Path) -> None:
    archive = PackArchive(tmp_path)
    pack, data = made("one")
    for time, mode in ((1.0, Mode.SHADOW), (2.0, Mode.SHADOW), (3.0, Mode.ENFORCE), (4.0, Mode.SHADOW)):
        archive.keep(replace(pack, rules=(rule("a", mode), rule("b", Mode.SHADOW))), data, Note(time, "file"))
        if time == 2.0:
            assert PackArchive(tmp_path).shadow == {"rule:a": 1.0, "rule:b": 1.0}
    assert PackArchive(tmp_path).shadow == {"rule:a": 4.0, "rule:b": 1.0}
    assert in_shadow(pack) == []


def test_whatever_has_a_mode_is_named_while_it_is_in_shadow() -> None:
    text = (Path(__file__).parents[1] / "rules" / "packs" / "specification.yaml").read_text()
    pack, _ = check_pack(text.replace("mode: enforce", "mode: shadow").encode(), "f")
    assert pack
    named = {
        *(f"rule:{each.id}" for each in pack.rules),
        *(f"quota:{each.id}" for each in pack.quotas),
        *(f"campaign:{each.id}" for each in pack.campaigns),
    }
    assert len(named) >= 3
    assert set(in_shadow(pack)) == named


@pytest.mark.parametrize(
    "index", [b"", b"[]", b"{", b'{"revisions": [{}], "shadow": {}}', b'{"revisions": [], "shadow": 3}']
)
def test_an_index_that_makes_no_sense_begins_anew(tmp_path: Path, index: bytes) -> None:
    (tmp_path / "index.json").write_bytes(index)
    archive = PackArchive(tmp_path)
    assert (archive.revisions, archive.shadow) == ([], {})
    archive.keep(*made("one"), Note(1.0, "start"))
    assert len(PackArchive(tmp_path).revisions) == 1
