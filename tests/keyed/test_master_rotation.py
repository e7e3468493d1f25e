"""Promises about rotating the master secret: what hangs on which secret, and that its file is never lost or shown."""

from __future__ import annotations

import base64
import os
import stat
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from proxy.errors import ConfigurationError
from proxy.keyed.issued_ids import IssuedIds
from proxy.keyed.master_rotation import retire, rotate
from proxy.keyed.sealed_reasoning import SealedReasoning
from proxy.secrets import Master, Purpose, State, load_master, load_or_create_master, read_master_file

CANARY = bytes(range(32))
AT = "2026-03-01T09:00:00Z"
CHANGES = {Purpose.MARKS, Purpose.VECTORS, Purpose.PACE, Purpose.REASONING, Purpose.ISSUED_IDS, Purpose.SAMPLES}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "master.secret"
    path.touch(mode=0o600)
    path.write_bytes(base64.b64encode(CANARY) + b"\n")
    return path


def ids(master: Master, tenant: str = "acme") -> IssuedIds:
    key, others = master.derive(Purpose.ISSUED_IDS), master.others(Purpose.ISSUED_IDS)
    return IssuedIds(key, tenant, "default", frozenset(), others)


def handles(master: Master, tenant: str = "acme") -> SealedReasoning:
    return SealedReasoning(master.derive(Purpose.REASONING), tenant, master.others(Purpose.REASONING))


@pytest.mark.parametrize("purpose", Purpose)
def test_names_in_the_store_stay_and_what_customers_get_changes(path: Path, purpose: Purpose) -> None:
    before = Master(CANARY).derive(purpose)
    rotate(path, AT)
    rotate(path, AT)
    after = load_master(path).derive(purpose)
    assert (after != before) == (purpose in CHANGES)
    retire(path, AT)
    assert load_master(path).derive(purpose) == after


def test_the_secret_that_was_there_is_kept_and_the_file_stays_its_owners_only(path: Path) -> None:
    kept = rotate(path, AT)
    assert [(each.state, each.since) for each in kept] == [("old", AT), ("in-force", AT)]
    assert read_master_file(path) == tuple(kept)
    assert kept[0].secret == CANARY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [child.name for child in path.parent.iterdir()] == ["master.secret"]
    assert "secret=" not in repr(kept)


def test_what_was_given_before_is_taken_until_it_is_retired(path: Path) -> None:
    before = load_master(path)
    given, handle = ids(before).give("resp_0123456"), handles(before).seal({"thinking": "so"})
    rotate(path, AT)
    after = load_master(path)
    assert ids(after).take(given) == "resp_0123456"
    assert handles(after).open(handle) == {"thinking": "so"}
    assert ids(after).give("resp_0123456") != given
    assert handles(before).open(handles(after).seal({})) is None
    retire(path, AT)
    retired = load_master(path)
    assert ids(retired).take(given) is None
    assert handles(retired).open(handle) is None
    assert ids(retired).take(ids(after).give("resp_0123456")) == "resp_0123456"


def test_another_tenants_are_not_taken_whichever_secret_they_were_given_under(path: Path) -> None:
    before = load_master(path)
    given, handle = ids(before).give("resp_0123456"), handles(before).seal({"thinking": "so"})
    rotate(path, AT)
    foreign = handles(load_master(path), "eve")
    assert foreign.open(handle) is None
    assert foreign.foreign
    assert ids(load_master(path), "eve").take(given) is None


def test_a_secret_made_ahead_is_taken_everywhere_before_one_makes_use_of_it(path: Path) -> None:
    rotate(path, AT, ahead=True)
    behind = load_master(path)
    assert behind.derive(Purpose.MARKS) == Master(CANARY).derive(Purpose.MARKS)
    with pytest.raises(ConfigurationError, match="has a next secret already"):
        rotate(path, AT, ahead=True)
    kept = rotate(path, AT)
    assert [each.state for each in kept] == [State.OLD, State.IN_FORCE]
    ahead = load_master(path)
    for one, other in ((ahead, behind), (behind, ahead)):
        assert ids(one).take(ids(other).give("resp_0123456")) == "resp_0123456"
        assert handles(one).open(handles(other).seal({"thinking": "so"})) == {"thinking": "so"}
    assert set(ahead.marks().values()) == set(behind.marks().values())


def test_a_process_that_is_started_again_keeps_to_the_secret_of_the_others(path: Path) -> None:
    others = load_master(path)
    rotate(path, AT)
    again = load_master(path, others.id)
    assert again.derive(Purpose.ISSUED_IDS) == others.derive(Purpose.ISSUED_IDS)
    assert ids(again).take(ids(load_master(path)).give("resp_0123456")) == "resp_0123456"
    retire(path, AT)
    assert ids(load_master(path, others.id)).take(ids(others).give("resp_0123456")) == "resp_0123456"


def test_marks_of_retired_secrets_are_still_looked_for(path: Path) -> None:
    first = load_master(path)
    rotate(path, AT)
    retire(path, AT)
    found = load_master(path).marks()
    assert list(found) == ["", first.id]
    assert found[first.id] == first.derive(Purpose.MARKS)


def test_rotations_at_once_all_take_place(path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: rotate(path, AT), range(8)))
    kept = read_master_file(path)
    assert Counter(each.state for each in kept) == {State.OLD: 8, State.IN_FORCE: 1}
    assert kept[0].secret == CANARY


def test_what_a_rotation_that_was_killed_left_is_in_nobodys_way(path: Path) -> None:
    (path.parent / ".master.secret.new").write_bytes(b"half of a li")
    rotate(path, AT)
    assert len(read_master_file(path)) == 2
    assert [child.name for child in path.parent.iterdir()] == ["master.secret"]


def test_a_link_to_the_file_stays_a_link(path: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(path)
    rotate(link, AT)
    assert link.is_symlink()
    assert len(read_master_file(path)) == 2


def test_somebody_elses_file_is_not_taken_from_them(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        rotate(path, AT)


def test_there_is_nothing_to_retire_or_to_rotate(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no old secret"):
        retire(path, AT)
    with pytest.raises(ConfigurationError, match="cannot be replaced: No such file"):
        rotate(tmp_path / "missing", AT)


def test_a_full_file_stays_as_it_is(path: Path) -> None:
    path.write_bytes(base64.b64encode(CANARY * 190) + b"\n")
    content = path.read_bytes()
    with pytest.raises(ConfigurationError, match="is full"):
        rotate(path, AT)
    assert path.read_bytes() == content


SECRET = base64.b64encode(CANARY).decode()
OTHER = base64.b64encode(CANARY[::-1]).decode()


@pytest.mark.parametrize(
    "lines",
    [
        [f"in-force - {SECRET}", f"in-force - {OTHER}"],
        [f"old - {SECRET}", f"retired - {OTHER}"],
        [f"in-force - {SECRET}", f"old - {SECRET}"],
        [f"in-force - {SECRET}", f"next - {OTHER}", f"next - {base64.b64encode(CANARY * 2).decode()}"],
        [f"in-force yesterday {SECRET}"],
        [f"in-force - {SECRET}", ""] * 2,
        [f"kept - {SECRET}"],
        [SECRET, f"old - {OTHER}"],
        [f"in-force - {SECRET} {OTHER}"],
    ],
)
def test_a_file_that_is_out_of_order_is_refused_and_not_shown(path: Path, lines: list[str]) -> None:
    path.write_text("\n".join(lines) + "\n")
    with pytest.raises(ConfigurationError, match="is not a master secret") as refused:
        load_or_create_master(path)
    assert SECRET[:8] not in str(refused.value)
    assert refused.value.__cause__ is None
