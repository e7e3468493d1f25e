"""What a browser on this machine can be made to send to the port of the admin side is refused."""

from __future__ import annotations

import pytest

from tests.admin_side.ground import Ground
from tests.rig.raw_client import RawClient, Response, request

PATHS = ("/healthz", "/readyz", "/metrics", "/status", "/keys", "/nothing")
STRANGE = (
    "evil.example",
    "evil.example:9090",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1@evil.example",
    "evil.example@127.0.0.1",
    "192.0.2.1",
    "0.0.0.0",
    "[2001:db8::1]:9090",
    "[::1",
    "127.0.0.1/",
    "127.0.0.1#",
    "",
)


async def ask(ground: Ground, path: str, *headers: tuple[str, str]) -> Response:
    good = ground.headers["operator"]
    async with await RawClient.connect(ground.port) as client:
        return await client.ask(request("GET", path, [*headers, *good]))


@pytest.mark.parametrize("host", STRANGE)
async def test_a_host_that_is_not_this_machine_is_refused_on_every_path(ground: Ground, host: str) -> None:
    """DNS rebinding: the page's own host name, resolved to the loopback address."""
    for path in PATHS:
        answer = await ask(ground, path, ("Host", host))
        assert answer.status in {400, 421}, (path, answer)
        assert b"up 1" not in answer.body


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "localhost:9090", "127.8.0.1:1", "[::1]:9090", "LOCALHOST"])
async def test_a_host_that_names_this_machine_is_answered(ground: Ground, host: str) -> None:
    assert (await ask(ground, "/status", ("Host", host))).status == 200


async def test_two_hosts_or_none_are_refused(ground: Ground) -> None:
    assert (await ask(ground, "/status", ("Host", "localhost"), ("Host", "localhost"))).status in {400, 421}
    assert (await ask(ground, "/status")).status in {400, 421}


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8000"])
async def test_what_a_page_sends_is_refused_whatever_token_it_has(ground: Ground, origin: str) -> None:
    answer = await ask(ground, "/status", ("Host", "localhost"), ("Origin", origin))
    assert (answer.status, answer.header("content-type")) == (403, "application/problem+json")
    assert answer.header("access-control-allow-origin") is None
