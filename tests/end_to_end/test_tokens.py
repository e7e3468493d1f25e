"""Customers who sign in with an identity provider's tokens, in both dialects: who gets in, who does not, and when.

The identity provider is a server of the test's own: it publishes what it is told to and counts who asks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anthropic
import pytest
import pytest_asyncio
from aiohttp import web

from tests.auth.tokens import AUDIENCE, ISS, Json, claims, jwk, jwks, key_for, rsa_key, sign
from tests.end_to_end.customers import ask, openai_client, record_of
from tests.end_to_end.scene import CHAT, MESSAGES, Scene, chat, staged
from tests.rig.invariants import Dialect
from tests.rig.process import GENEROUS_PACK
from tests.rig.raw_client import Response, post
from tests.rig.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATHS: list[tuple[str, Dialect]] = [(CHAT, "openai"), (MESSAGES, "anthropic")]
PACK: dict[str, Any] = {
    **GENEROUS_PACK,
    "rules": [
        {
            "id": "mallory",
            "when": {"account.name": {"eq": "corp~mallory"}},
            "flag": {"name": "suspended", "on": "account", "score": 100, "ttl": "1d"},
        }
    ],
    "ladder": [
        {
            "rung": "block",
            "score": 100,
            "do": [{"reject": {"status": 403}}],
            "client": {"code": "access_paused", "message": "Access paused (ref {exchange_id})."},
        }
    ],
}


class Provider:
    """The identity provider; `keys` is what it publishes, None while it is down."""

    def __init__(self) -> None:
        self.keys: list[Json] | None = [jwk(rsa_key())]
        self.asked = 0
        self.url = ""

    async def _answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(status=500) if self.keys is None else web.Response(body=jwks(*self.keys))

    @classmethod
    @asynccontextmanager
    async def running(cls) -> AsyncIterator[Provider]:
        provider = cls()
        app = web.Application()
        app.router.add_get("/jwks", provider._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        provider.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
        try:
            yield provider
        finally:
            await runner.cleanup()


def trusting(provider: Provider, **settings: Any) -> Json:
    """Return the settings of a proxy that trusts the provider."""
    said = {"tenant": "org", "plan": "plan", "attributes": {"payment": "billing.card"}}
    corp = {"issuer": ISS, "audience": [AUDIENCE], "algorithms": ["RS256", "ES256"], "jwks_url": provider.url}
    return {"issuers": {"corp": {**corp, "claims": said, **settings}}}


def token(key: Any = None, *, kid: str = "k1", algorithm: str = "RS256", **said: Any) -> str:
    """Sign what a customer says, now; without a key, with the provider's first."""
    now = time.time()  # noqa: TID251 - the proxy's clock is the real one
    return sign(claims(now, **{"org": "acme", **said}), key or rsa_key(), algorithm, kid=kid)


def private(secret: str) -> list[str]:
    """Return the parts of a token that must be nowhere: its claims and its signature."""
    return [part for part in secret.split(".")[1:] if len(part) > 8]


async def sent(scene: Scene, secret: str, path: str = CHAT, dialect: Dialect = "openai") -> Response:
    version = [("anthropic-version", "2023-06-01")] if dialect == "anthropic" else []
    raw = post(path, chat(), [("Authorization", f"Bearer {secret}"), *version])
    answer = await scene.ask(raw, dialect=dialect)
    assert not any(part in answer.raw.decode() for part in private(secret))
    return answer


async def statuses(scene: Scene, *secrets: str) -> list[int]:
    return [answer.status for answer in await asyncio.gather(*[sent(scene, secret) for secret in secrets])]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def provider() -> AsyncIterator[Provider]:
    async with Provider.running() as provider:
        yield provider


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def scene(tmp_path_factory: pytest.TempPathFactory, provider: Provider) -> AsyncIterator[Scene]:
    async with staged(tmp_path_factory.mktemp("tokens"), trusting(provider), pack=PACK) as scene:
        yield scene


async def test_a_token_opens_both_dialects_beside_keys_and_the_record_tells_callers_apart(scene: Scene) -> None:
    callers = {
        "alice": token(plan="pro"),
        "alice again": token(plan="pro", jti="2"),
        "alice elsewhere": token(org="globex"),
        "bob": token(sub="bob"),
        "a key": scene.key,
    }
    records = {}
    for name, secret in callers.items():
        answers = [await sent(scene, secret, *where) for where in PATHS]
        assert [answer.status for answer in answers] == [200, 200]
        ids = [answer.header("x-request-id") or answer.header("request-id") for answer in answers]
        records[name] = [await record_of(scene.gate, exchange_id) for exchange_id in ids]
        assert len({record["account"] + record["tenant"] + record["key"] for record in records[name]}) == 1
    of = {name: found[0] for name, found in records.items()}
    assert (of["alice"]["plan"], of["bob"]["plan"]) == ("pro", "default")
    for column in ("key", "account", "tenant"):
        assert of["alice"][column] == of["alice again"][column]
    assert of["alice"]["account"] == of["alice elsewhere"]["account"]
    assert len({record["account"] for record in of.values()}) == 3
    assert len({record["key"] for record in of.values()}) == 4
    assert of["alice"]["tenant"] == of["bob"]["tenant"] != of["a key"]["tenant"]  # whose claim says `acme` is no key's
    await scene.at_peace()


async def test_the_official_clients_take_a_token_where_a_key_would_stand(scene: Scene) -> None:
    async with (
        openai_client(scene.gate, token()) as theirs,
        anthropic.AsyncAnthropic(base_url=scene.gate.data_url, auth_token=token(), max_retries=0) as ours,
        anthropic.AsyncAnthropic(base_url=scene.gate.data_url, api_key=token(), max_retries=0) as older,
    ):
        for client in (theirs, ours, older):
            assert (await ask(client)).id
    await scene.at_peace()


REFUSED: dict[str, Callable[[], str]] = {
    "another's signature": lambda: token(rsa_key(1)),
    "expired": lambda: token(exp=1),
    "without an end": lambda: token(exp=None),
    "for somebody else": lambda: token(aud="staging"),
    "of nobody we know": lambda: token(iss="https://evil.example.com"),
    "without an organisation": lambda: token(org=None),
    "of an organisation that is no text": lambda: token(org=["acme"]),
    "unsigned": lambda: f"{token().rpartition('.')[0]}.",
    "encrypted": lambda: "eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d",
    "of another algorithm": lambda: token(algorithm="RS512"),
    "injecting": lambda: token(sub="a\r\nX-Evil: 1\0${jndi}'; DROP"),
}


@pytest.mark.parametrize("wrong", REFUSED)
async def test_whatever_is_wrong_with_a_token_is_one_401_in_the_dialect(scene: Scene, wrong: str) -> None:
    """K-01 to K-04, G-04."""
    calls, secret = scene.calls, REFUSED[wrong]()
    openai, anthropic = [await sent(scene, secret, *where) for where in PATHS]
    error = {
        "message": "The token is not valid.",
        "type": "invalid_request_error",
        "param": None,
        "code": "invalid_token",
    }
    assert (openai.status, openai.json()) == (401, {"error": error})
    assert (anthropic.status, anthropic.json()["error"]["type"]) == (401, "authentication_error")
    assert anthropic.json()["error"]["message"] == "The token is not valid."
    assert scene.calls == calls
    said = "".join(
        path.read_text() for path in [*scene.gate.folder.glob("std*.log"), *scene.gate.data.glob("decisions/*.jsonl")]
    )
    _, status = await scene.gate.admin("GET", "/metrics")
    assert not any(part in said + status.decode() for part in private(secret))
    await scene.at_peace()


async def test_an_account_that_rules_suspend_is_refused_whatever_token_it_brings(scene: Scene) -> None:
    assert await statuses(scene, token(sub="mallory"), token(sub="mallory", jti="2"), token()) == [403, 403, 200]
    await scene.at_peace()


async def test_a_token_and_a_key_at_once_are_refused(scene: Scene) -> None:
    """B-01."""
    both = [("Authorization", f"Bearer {token()}"), ("x-api-key", scene.key)]
    assert (await scene.ask(post(CHAT, chat(), both))).status == 400
    await scene.at_peace()


async def test_keys_rotate_while_customers_are_served_and_invented_names_make_nobody_ask(
    tmp_path: Path, provider: Provider
) -> None:
    """K-05, K-11."""
    async with staged(tmp_path, trusting(provider)) as scene:
        provider.keys = [jwk(rsa_key())]
        assert await statuses(scene, token()) == [200]
        asked = provider.asked
        provider.keys = [jwk(rsa_key()), jwk(key_for("ES256"), "k2")]
        new = token(key_for("ES256"), kid="k2", algorithm="ES256")
        assert await statuses(scene, *[token(), new] * 10) == [200] * 20
        assert provider.asked == asked + 1
        flood = [token(kid=f"../{number}") for number in range(200)]
        assert await statuses(scene, *flood, new, token()) == [503] * 200 + [200] * 2  # another new key may be there
        assert provider.asked == asked + 1
        found = await scene.gate.metrics()
        assert found['stillgate_refusals_total{reason="issuer_unavailable"}'] == 200
        assert found['stillgate_issuer_loads_total{issuer="corp",result="loaded"}'] == 2
        await scene.at_peace()


async def test_an_issuer_that_is_away_is_done_without_for_a_while_and_then_answered_503(tmp_path: Path) -> None:
    """K-06."""
    async with Provider.running() as provider:
        settings = trusting(provider, refresh_seconds=1, max_age_seconds=3)
        async with staged(tmp_path, settings) as scene:
            good, newest = token(), token(rsa_key(1), kid="k9")
            assert await statuses(scene, good) == [200]
            provider.keys = None

            async def failing() -> bool:
                found = await scene.gate.metrics()
                return found.get('stillgate_issuer_loads_total{issuer="corp",result="failed"}', 0) > 0

            await until(failing)
            assert await statuses(scene, good, newest, token(rsa_key(1))) == [200, 503, 401]

            async def too_old() -> bool:
                return await statuses(scene, good) == [503]

            await until(too_old)
            for path, dialect in PATHS:
                answer = await sent(scene, good, path, dialect)
                assert (answer.status, answer.header("retry-after")) == (503, "5")
                assert answer.json()["error"]["message"] == "Tokens cannot be checked right now."
            assert await statuses(scene, scene.key) == [200]
            found = await scene.gate.metrics()
            assert found['stillgate_issuer_keys_age_seconds{issuer="corp"}'] > 3
            assert found['stillgate_refusals_total{reason="issuer_unavailable"}'] >= 4
            provider.keys = [jwk(rsa_key(1), "k9")]

            async def well() -> bool:
                return await statuses(scene, newest) == [200]

            await until(well)
            assert await statuses(scene, good) == [401]  # its key is gone for good
            await scene.at_peace()


async def test_an_issuer_that_is_down_at_the_start_keeps_nobody_else_out(tmp_path: Path) -> None:
    async with Provider.running() as provider:
        provider.keys = None
        async with staged(tmp_path, trusting(provider), workers=2) as scene:
            assert await statuses(scene, token(), scene.key) == [503, 200]
            provider.keys = [jwk(rsa_key())]

            async def both_have_keys() -> bool:
                found = await scene.gate.metrics()
                return found.get('stillgate_issuer_loads_total{issuer="corp",result="loaded"}') == 2

            await until(both_have_keys)
            assert await statuses(scene, *[token()] * 4) == [200] * 4
            await scene.at_peace()
