"""A store behind TLS: its certificate and name are verified before it hears anything, and it can ask for ours."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from cryptography import x509

from proxy.config import Settings
from proxy.errors import ConfigurationError, StoreAway, StoreUnavailable
from proxy.settings.store_address import Access
from proxy.start import store_access
from proxy.store.redis import RedisStore
from tests.rig.authority import DAY, HERE, NOW, Authority, pem
from tests.rig.tls_front import TlsFront
from tests.rig.valkey import Valkey
from tests.rig.waiting import until
from tests.store.redis_calls import ASK, PATIENT_S

OTHER = x509.DNSName("store.example")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> tuple[Authority, Path]:
    authority = Authority("an authority that is trusted")
    file = tmp_path_factory.mktemp("authority") / "ca.pem"
    file.write_bytes(pem(authority.certificate))
    return authority, file


@pytest.fixture
async def front(clean: Valkey, authority: tuple[Authority, Path], tmp_path: Path) -> AsyncIterator[TlsFront]:
    async with TlsFront(clean.url) as front:
        front.context.load_cert_chain(authority[0].issue(tmp_path, HERE))
        yield front


def url(front: TlsFront) -> str:
    return f"rediss://127.0.0.1:{front.port}/0"


async def works(front: TlsFront, access: Access) -> None:
    store = await RedisStore.connect(url(front), access=access, deadline=PATIENT_S)
    try:
        assert (await store.reserve([ASK], "op"))[0].granted == 1
        await store.changes((await store.changes(None, 0)).cursor, 1)
    finally:
        await store.close()


async def test_a_store_is_reached_through_tls_by_an_authority_that_the_settings_name(
    front: TlsFront, authority: tuple[Authority, Path]
) -> None:
    await works(front, Access(ca_file=authority[1]))


async def test_a_store_is_found_again_through_tls(
    front: TlsFront, clean: Valkey, authority: tuple[Authority, Path]
) -> None:
    store = await RedisStore.connect(url(front), access=Access(ca_file=authority[1]), deadline=PATIENT_S)
    try:
        for _ in range(2):
            clean.command("CLIENT", "KILL", "TYPE", "normal")
            await until(lambda: store._way.links[0]._lane.broken_at is not None)
            await store.ping()
        assert front.accepted == 3
    finally:
        await store.close()


@pytest.mark.parametrize("wrong", ["no authority named", "another authority", "another name", "expired"])
async def test_a_store_with_a_wrong_certificate_hears_nothing(
    front: TlsFront, clean: Valkey, authority: tuple[Authority, Path], tmp_path: Path, wrong: str
) -> None:
    """R-12."""
    access = Access(password="canary-password", ca_file=authority[1])
    if wrong == "no authority named":
        access = access._replace(ca_file=None)
    elif wrong == "another authority":
        front.context.load_cert_chain(Authority("an authority that is trusted").issue(tmp_path, HERE))
    elif wrong == "another name":
        front.context.load_cert_chain(authority[0].issue(tmp_path, OTHER))
    else:
        front.context.load_cert_chain(authority[0].issue(tmp_path, HERE, NOW - DAY))
    before = clean.command("INFO", "stats").split(b"total_commands_processed:")[1].split(b"\r\n")[0]
    with pytest.raises(StoreUnavailable, match="certificate") as failed:
        await RedisStore.connect(url(front), access=access)
    assert "canary" not in str(failed.value)
    after = clean.command("INFO", "stats").split(b"total_commands_processed:")[1].split(b"\r\n")[0]
    assert int(after) == int(before) + 1  # our own question


async def test_who_asks_a_store_that_is_left_alone_is_told_of_its_wrong_certificate(
    front: TlsFront, authority: tuple[Authority, Path], tmp_path: Path
) -> None:
    """A server that must not be used is not one that is down, however late the question."""
    front.context.load_cert_chain(authority[0].issue(tmp_path, OTHER))
    store = await RedisStore.connect(url(front), access=Access(ca_file=authority[1]), required=False)
    try:
        for _ in range(3):
            tries = front.tried
            await until(lambda: front.tried > tries + 1)  # noqa: B023 - it is asked before the next turn
            with pytest.raises(StoreAway) as failed:
                await store.reserve([ASK], "op")
            assert "certificate" in str(failed.value.__cause__)
    finally:
        await store.close()


async def test_a_store_may_have_another_name_than_its_address(
    front: TlsFront, authority: tuple[Authority, Path], tmp_path: Path
) -> None:
    front.context.load_cert_chain(authority[0].issue(tmp_path, OTHER))
    await works(front, Access(ca_file=authority[1], server_name="store.example"))


async def test_a_store_that_asks_who_we_are_is_shown_our_certificate(
    front: TlsFront, authority: tuple[Authority, Path], tmp_path: Path
) -> None:
    front.context.load_verify_locations(authority[1])
    front.context.verify_mode = ssl.CERT_REQUIRED
    ours = authority[0].issue(tmp_path, x509.DNSName("stillgate"))
    access = Access(ca_file=authority[1], certificate_file=ours, key_file=ours)
    await works(front, access)
    with pytest.raises(StoreUnavailable):
        await RedisStore.connect(url(front), access=access._replace(certificate_file=None))


async def test_certificates_that_change_are_read_again_for_the_next_connection(
    front: TlsFront, clean: Valkey, authority: tuple[Authority, Path], tmp_path: Path
) -> None:
    front.context.load_verify_locations(authority[1])
    front.context.verify_mode = ssl.CERT_REQUIRED
    name = x509.DNSName("stillgate")
    trusted, ours = tmp_path / "ca.pem", tmp_path / "ours.pem"
    trusted.write_bytes(authority[1].read_bytes())
    authority[0].issue(tmp_path, name).rename(ours)
    tls = {"ca_file": str(trusted), "certificate_file": str(ours), "key_file": str(ours)}
    settings = Settings.model_validate(
        {"apiVersion": "stillgate/v1", "kind": "Settings", "store": url(front), "store_tls": tls}
    )
    store = await RedisStore.connect(url(front), access=store_access(settings), deadline=PATIENT_S)
    try:
        ours.write_text("half a")  # as while it is written
        await _connects_again(store, clean)
        other = Authority("another authority")
        front.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        front.context.load_cert_chain(other.issue(tmp_path, HERE))
        trusted.write_bytes(pem(other.certificate))
        front.context.load_verify_locations(trusted)
        front.context.verify_mode = ssl.CERT_REQUIRED
        other.issue(tmp_path, name).rename(ours)
        await _connects_again(store, clean)
    finally:
        await store.close()


async def _connects_again(store: RedisStore, server: Valkey) -> None:
    server.command("CLIENT", "KILL", "TYPE", "normal")
    await until(lambda: store._way.links[0]._lane.broken_at is not None)
    await store.ping()


async def test_files_that_are_no_certificates_are_named(authority: tuple[Authority, Path], tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.pem"
    nothing.write_text("nothing")
    for access in (
        Access(ca_file=nothing),
        Access(ca_file=authority[1], certificate_file=authority[1], key_file=nothing),
    ):
        with pytest.raises(ConfigurationError, match="cannot be used for TLS to the store"):
            await RedisStore.connect("rediss://127.0.0.1:1", access=access)
