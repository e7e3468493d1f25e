"""The whole proxy on a cluster and behind sentinels and TLS: keys, quotas from the first request to a revocation."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.end_to_end.scene import CHAT, chat
from tests.end_to_end.test_store_away import sharing, until
from tests.rig.authority import HERE, Authority, pem
from tests.rig.process import GENEROUS_PACK
from tests.rig.raw_client import post
from tests.rig.tls_front import TlsFront
from tests.rig.valkey import Sentinel, Valkey
from tests.rig.valkey_cluster import ValkeyCluster

TEN = [{"measure": "requests", "max": 10, "window": "1h"}]
Made = tuple[str, dict[str, Any], set[int]]  # its URL, what else the settings say, ports that it leads to


@asynccontextmanager
async def cluster(folder: Path) -> AsyncIterator[Made]:
    with ValkeyCluster(folder / "cluster") as made:
        yield made.url, {}, set()


@asynccontextmanager
async def sentinel(folder: Path) -> AsyncIterator[Made]:
    (folder / "sentinels").write_text("canary-sentinels")
    with Valkey(folder / "valkey") as valkey:
        with Sentinel(folder / "sentinel", valkey.url, "main", password="canary-sentinels") as watching:
            yield (
                f"redis+sentinel://{watching.place}/main/0",
                {"sentinel_password_file": "sentinels"},
                {urlsplit(valkey.url).port or 0},
            )


@asynccontextmanager
async def tls(folder: Path) -> AsyncIterator[Made]:
    authority = Authority("an authority that is trusted")
    (folder / "ca.pem").write_bytes(pem(authority.certificate))
    with Valkey(folder / "valkey") as valkey:
        async with TlsFront(valkey.url) as front:
            front.context.load_cert_chain(authority.issue(folder, HERE))
            yield f"rediss://127.0.0.1:{front.port}/0", {"store_tls": {"ca_file": "ca.pem"}}, set()


SOAK = pytest.mark.soak  # a start each, of what is tested from the store upwards elsewhere


@pytest.mark.parametrize("kind", [cluster, pytest.param(sentinel, marks=SOAK), pytest.param(tls, marks=SOAK)])
async def test_a_proxy_runs_on_every_kind_of_store(
    tmp_path: Path, kind: Callable[[Path], AbstractAsyncContextManager[Made]]
) -> None:
    pack = GENEROUS_PACK | {"quotas": [{"id": "ten", "per": "key", "limits": TEN}]}
    async with kind(tmp_path) as (url, settings, led_to), sharing(tmp_path, url, settings, pack=pack) as scene:
        scene.gate.led_to = led_to
        statuses = [(await scene.ask(scene.ordinary(), accepted=True)).status for _ in range(14)]
        assert statuses.count(200) == 10, statuses
        assert set(statuses) == {200, 429}
        other = await scene.gate.create_key(account="other", tenant="other")
        raw = post(CHAT, chat(), [("Authorization", f"Bearer {other}")])
        assert (await scene.ask(raw, accepted=True)).status == 200
        key_id = scene.gate.keys[-1]["id"]
        assert (await scene.gate.admin_request("POST", f"/keys/{key_id}/revoke", {"reason": "a test"}))[0] == 200

        async def refused() -> int:
            return (await scene.ask(raw)).status

        await until(refused, 401)
        assert (await scene.gate.metrics())["stillgate_store_breaker_opens_total"] == 0
        await scene.at_peace()
