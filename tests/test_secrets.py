"""Secrets from files: agreed on by all processes, for their owner only, shown nowhere."""

from __future__ import annotations

import base64
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import pytest

from proxy.auth.admin import AdminToken, MintedToken, Role
from proxy.auth.api_key import KeyRecord, KeyRequest
from proxy.auth.key_registry import Minted
from proxy.errors import ConfigurationError
from proxy.replay.reading import Wants
from proxy.secrets import Master, Purpose, load_or_create_master, read_header_file, read_secret_file
from proxy.upstream.model_api import Origin

CANARY = bytes(range(32))


def test_a_new_master_secret_is_its_owners_only_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "data" / "master.secret"
    first = load_or_create_master(path).derive(Purpose.KEY_DIGEST)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert len(base64.b64decode(path.read_bytes().strip(), validate=True)) == 32
    assert [child.name for child in path.parent.iterdir()] == ["master.secret"]
    assert load_or_create_master(path).derive(Purpose.KEY_DIGEST) == first


def test_processes_that_start_together_agree_on_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        masters = list(pool.map(load_or_create_master, [tmp_path / "master.secret"] * 16))
    assert len({master.derive(Purpose.KEY_DIGEST) for master in masters}) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_two_deployments_have_two_secrets(tmp_path: Path) -> None:
    keys = {load_or_create_master(tmp_path / name).derive(Purpose.KEY_DIGEST) for name in ("a", "b")}
    assert len(keys) == 2


DERIVED = {
    Purpose.KEY_DIGEST: "d490f38dde957b11",
    Purpose.MEMBERS: "580bf3922f001a5b",
    Purpose.SEALS: "592b3a510fdf01c4",
    Purpose.PRINTS: "0bf32b5e0d8e9305",
    Purpose.LINKS: "d41ffb9e3ca5004e",
    Purpose.MARKS: "9e50a805f1d82357",
    Purpose.VECTORS: "3c132314a6563ab5",
    Purpose.PACE: "1d2f0c7933f79026",
    Purpose.REASONING: "153d7798400a72dd",
    Purpose.ISSUED_IDS: "625677da88abdde3",
    Purpose.SAMPLES: "253191c6c5b62b2b",
    Purpose.IDEMPOTENCY: "7f66be777fcd0812",
    Purpose.ADMIN_TOKEN_DIGEST: "23491d4a2864fd7e",
    Purpose.STORE: "d04a6ff3cad4b2d9",
    Purpose.SECRET_ID: "20ce96f6a304845a",
}


@pytest.mark.parametrize("purpose", Purpose)
def test_derived_keys_never_change(purpose: Purpose) -> None:
    """Digests and names that are stored, and what clients hold, hang on these: computed apart, by RFC 5869."""
    assert Master(CANARY).derive(purpose).hex()[:16] == DERIVED[purpose]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666, 0o610])
def test_a_master_secret_that_others_may_touch_is_refused_with_the_fix(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "master.secret"
    path.write_bytes(base64.b64encode(CANARY))
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match=f"chmod 600 {path}"):
        load_or_create_master(path)


@pytest.mark.parametrize(
    ("owner", "mode", "taken"),
    [
        (0, 0o440, True),
        (0, 0o400, True),
        (0, 0o460, False),
        (0, 0o444, False),
        (1000, 0o400, True),
        (1000, 0o440, False),
    ],
)
def test_a_secret_of_roots_that_the_groups_members_may_read_is_taken_from_whoever_is_not_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int, mode: int, *, taken: bool
) -> None:
    """As Kubernetes mounts secrets, with `fsGroup`."""
    path = tmp_path / "master.secret"
    path.write_bytes(base64.b64encode(CANARY))
    path.chmod(mode)
    fstat = os.fstat
    monkeypatch.setattr(os, "fstat", lambda file: os.stat_result((*fstat(file)[:4], owner, *fstat(file)[5:])))
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    with nullcontext() if taken else pytest.raises(ConfigurationError, match="chmod 600"):
        load_or_create_master(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", base64.b64encode(CANARY[:31]), base64.b64encode(bytes(32)), base64.b64encode(b"changeme" * 8),
     b"not base64 at all, and long enough to be a secret", b"\xff" * 64, base64.b64encode(CANARY) + b"\nmore"],
)  # fmt: skip
def test_what_is_no_master_secret_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    """G-12: a default or a pattern is none either."""
    path = tmp_path / "master.secret"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigurationError, match="is not a master secret") as caught:
        load_or_create_master(path)
    shown = content.strip()
    assert not shown or shown.decode("latin-1") not in str(caught.value)
    assert path.read_bytes() == content


def test_a_file_as_large_as_it_may_be_is_taken_and_a_larger_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "master.secret"
    path.touch(mode=0o600)
    path.write_bytes(base64.b64encode(CANARY * 192))
    assert load_or_create_master(path).id == Master(CANARY * 192).id
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(ConfigurationError, match="is not a master secret"):
        load_or_create_master(path)


def test_a_place_where_no_secret_can_be_made_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"file/master\.secret: the master secret cannot be read or made"):
        load_or_create_master(tmp_path / "file" / "master.secret")


def test_a_master_secret_that_cannot_be_read_is_an_error_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "master.secret").mkdir()
    with pytest.raises(ConfigurationError, match=r"master\.secret: the master secret cannot be read: Is a directory"):
        load_or_create_master(tmp_path / "master.secret")


RECORD = KeyRecord("key_1", "a", "t", "p", 0, 0, "nary")
TOKEN = AdminToken("alice", Role.REVIEWER, 0, "digest")


@pytest.mark.parametrize(
    "holder",
    [
        Origin("default", "https://a", "sk-canary", 1, 1, 1, 1, 1),
        KeyRequest("acme", "acme", secret="sk-canary"),
        Minted(RECORD, "sk-canary"),
        MintedToken(TOKEN, "sk-canary"),
        Wants(frozenset(), None, {}, frozenset(), b"sk-canary", b"sk-canary"),
    ],
    ids=lambda holder: type(holder).__name__,
)
def test_whatever_holds_a_secret_does_not_show_it(holder: object) -> None:
    """G-15: neither in a message nor in a traceback that shows its arguments."""
    assert "sk-canary" not in f"{holder!r} {holder}"


def test_a_master_shows_nothing_of_itself() -> None:
    master = Master(CANARY)
    for shown in (repr(master), str(master), f"{master}"):
        assert repr(CANARY)[2:-1] not in shown
        assert "secret" not in shown.replace("proxy.secrets", "")
    assert not hasattr(master, "__dict__")


@pytest.mark.parametrize(
    ("content", "secret"),
    [(b"sk-canary", "sk-canary"), (b"sk-canary\n", "sk-canary"), (b"sk-canary\r\n", "sk-canary"), (b" a b ", " a b ")],
)
def test_a_credential_loses_the_newline_at_its_end_and_no_more(tmp_path: Path, content: bytes, secret: str) -> None:
    path = tmp_path / "credential"
    path.write_bytes(content)
    assert read_secret_file(path) == secret


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"sk-canary\n\n", "control characters or more than one line"),
        (b"sk-canary\nX-Header: 1", "control characters or more than one line"),
        (b"sk-\x00canary", "control characters or more than one line"),
        (b"sk-\xffcanary", "is not UTF-8"),
        (b"sk-canary" * 1000, "is larger than 8192 bytes"),
    ],
)
def test_what_cannot_be_a_credential_is_refused_and_not_shown(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "credential"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=message) as caught:
        read_secret_file(path)
    assert "canary" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_header_is_read_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "header"
    path.write_bytes(b"X-Api-Key:  sk:canary \n")
    assert read_header_file(path) == ("X-Api-Key", "sk:canary")


@pytest.mark.parametrize(
    "content", [b"sk-canary", b": sk-canary", b"x y: sk-canary", b"x:", b"x:  \n", "x: sk-canary-\xe9".encode()]
)
def test_what_is_no_header_is_refused_and_not_shown(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "header"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match="holds no header such as") as caught:
        read_header_file(path)
    assert "canary" not in str(caught.value)


def test_a_credential_that_is_not_there_is_an_error_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"missing: the secret cannot be read: No such file"):
        read_secret_file(tmp_path / "missing")
