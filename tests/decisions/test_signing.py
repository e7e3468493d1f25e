"""The key that vouches for a log: what is taken for one, and that no error shows it."""

from __future__ import annotations

import base64
import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import orjson
import pytest

from proxy.clock import VirtualClock
from proxy.decisions.checkpoints import Terms
from proxy.decisions.signing import handover_file, load_or_create_signer, load_signer, new_private_key, rotate
from proxy.errors import ConfigurationError
from tests.decisions.bindings import sealed
from tests.decisions.endings import STARTED


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "log.key"
    load_or_create_signer(path, "stillgate/host-1")
    return path


def split(text: str) -> tuple[str, str]:
    """Return what stands before the seed, and the seed, which may have a plus of its own."""
    *start, seed = text.strip().split("+", 4)
    return "+".join(start), seed


def with_seed(text: str, change: Callable[[bytes], bytes]) -> str:
    start, seed = split(text)
    return f"{start}+{base64.b64encode(change(base64.b64decode(seed))).decode()}"


BROKEN: dict[str, Callable[[str], str]] = {
    "not of this kind": lambda text: text.removeprefix("PRIVATE+KEY+"),
    "without a seed": lambda text: split(text)[0],
    "not in base 64": lambda text: text.strip() + "!",
    "too short": lambda text: with_seed(text, lambda seed: seed[:-1]),
    "too long": lambda text: with_seed(text, lambda seed: seed + b"\0"),
    "of another algorithm": lambda text: with_seed(text, lambda seed: b"\2" + seed[1:]),
    "with a name that no note can carry": lambda text: text.replace("host-1", "host 1"),
    "with a name that is too long": lambda text: text.replace("host-1", "h" * 81),
}


@pytest.mark.parametrize("how", BROKEN)
def test_what_is_no_key_is_refused_and_not_shown(key: Path, how: str) -> None:
    text = key.read_text()
    key.write_text(BROKEN[how](text))
    with pytest.raises(ConfigurationError, match="is not a log's private key") as caught:
        load_signer(key)
    assert split(text)[1][:20] not in str(caught.value)


def test_a_key_that_was_edited_is_refused(key: Path) -> None:
    text = key.read_text()
    for edited in (text.replace("host-1", "host-2"), with_seed(text, lambda seed: seed[:-1] + bytes([seed[-1] ^ 1]))):
        key.write_text(edited)
        with pytest.raises(ConfigurationError, match="does not belong to its name"):
            load_signer(key)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610])
def test_a_key_that_others_may_use_is_refused(key: Path, mode: int) -> None:
    key.chmod(mode)
    with pytest.raises(ConfigurationError, match="may read the log's key"):
        load_signer(key)
    key.chmod(0o600)
    assert load_signer(key).name == "stillgate/host-1"


@pytest.mark.parametrize(("mode", "taken"), [(0o440, True), (0o400, True), (0o460, False), (0o444, False)])
def test_a_key_of_roots_that_the_groups_members_may_read_is_taken_from_whoever_is_not_root(
    key: Path, monkeypatch: pytest.MonkeyPatch, mode: int, *, taken: bool
) -> None:
    """As Kubernetes mounts secrets, with `fsGroup`: where a pod's own folder ends with it, the key is one."""
    key.chmod(mode)
    facts = key.stat()
    monkeypatch.setattr(Path, "stat", lambda _: os.stat_result((*facts[:4], 0, *facts[5:])))  # root's
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    with nullcontext() if taken else pytest.raises(ConfigurationError, match="chmod 600"):
        load_signer(key)


def test_a_name_has_to_fit_a_note() -> None:
    assert new_private_key("a" * 80).startswith("PRIVATE+KEY+")
    for name in ("", "a" * 81, "a b", "a+b", "a\n"):
        with pytest.raises(ConfigurationError, match="a log key's name"):
            new_private_key(name)


def test_where_no_key_can_be_made_or_replaced_the_old_one_stays(key: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be made"):
        load_or_create_signer(tmp_path / "log.key" / "below a file", "name")
    before = key.read_text()
    handover_file(key).mkdir()
    with pytest.raises(ConfigurationError, match="cannot be replaced"):
        rotate(key)
    assert key.read_text() == before
    assert not [
        path
        for path in tmp_path.iterdir()
        if "log.key." in path.name and path.is_file() and "handover" not in path.name
    ]


def test_somebody_elses_key_is_not_taken_from_them(key: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = key.read_text()
    monkeypatch.setattr(os, "geteuid", lambda: key.stat().st_uid + 1)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        rotate(key)
    assert key.read_text() == before
    assert not handover_file(key).exists()


def test_a_new_key_that_cannot_be_used_is_told_of_and_the_old_one_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "decisions" / "log.jsonl"
    path.parent.mkdir()
    seal = sealed(path, VirtualClock(STARTED), Terms(lines=1))
    seal.open(b"")
    seal.bind(b"{}\n")
    key = path.parent.with_name("decisions.log.key")
    name = load_signer(key).name
    key.unlink()
    key.write_text("nothing of the kind")
    key.chmod(0o600)
    assert f"\u2014 {name} " in orjson.loads(seal.checkpoint())["note"]
    assert "the log's new key cannot be used; the old one goes on" in caplog.text
