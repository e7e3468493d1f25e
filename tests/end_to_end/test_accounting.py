"""Two replicas on one store admit exactly what the pack allows, whoever asks which of them and however many at once.

The pack counts requests per key, account and tenant, output tokens per model and dollars for everybody, so that each
test meets one quota and none of the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from tests.end_to_end.customers import record_of
from tests.end_to_end.replicas import AT_ONCE, Replicas, two_replicas
from tests.rig.scripted_upstream import json_answer

pytestmark = pytest.mark.asyncio(loop_scope="module")

PER_KEY, PER_ACCOUNT, PER_TENANT, SHADOW = 20, 60, 100, 3
PACK: dict[str, Any] = {
    "apiVersion": "stillgate/v1",
    "kind": "PolicyPack",
    "metadata": {"name": "accounting", "version": "1", "owner": "tests"},
    "defaults": {"mode": "enforce"},
    "quotas": [
        {"id": "key-requests", "per": "key", "limits": [{"measure": "requests", "max": PER_KEY, "window": "1h"}]},
        {
            "id": "account-requests",
            "per": "account",
            "limits": [{"measure": "requests", "max": PER_ACCOUNT, "window": "1h", "exact": True}],
        },
        {
            "id": "tenant-requests",
            "per": "tenant",
            "limits": [{"measure": "requests", "max": PER_TENANT, "window": "1h"}],
        },
        {"id": "model-tokens", "per": "model", "limits": [{"measure": "output_tokens", "max": 10_000, "window": "1h"}]},
        {"id": "all-dollars", "per": "global", "limits": [{"measure": "cost_usd", "max": 1, "window": "1h"}]},
        {
            "id": "watched",
            "per": "account",
            "mode": "shadow",
            "limits": [{"measure": "requests", "max": SHADOW, "window": "1h"}],
        },
    ],
}
SETTINGS: dict[str, Any] = {
    "models": {
        "m-large": {"input_usd_per_million": 0, "output_usd_per_million": 0},
        "m-small": {"max_output_tokens": 10_000, "input_usd_per_million": 0, "output_usd_per_million": 0},
        "m-gold": {"max_output_tokens": 1_000, "output_usd_per_million": 1_000},  # a tenth of a cent a token
    },
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def replicas(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Replicas]:
    async with two_replicas(tmp_path_factory.mktemp("replicas"), SETTINGS, PACK) as replicas:
        yield replicas


@pytest.mark.parametrize(
    ("quota", "limit", "shared"),
    [
        ("account-requests", PER_ACCOUNT, {"account": "exact"}),
        ("tenant-requests", PER_TENANT, {"tenant": "leased"}),
    ],
)
@pytest.mark.parametrize("left", ["one", "all"])
async def test_two_replicas_admit_exactly_the_limit_of_two_hundred_at_once(
    replicas: Replicas, quota: str, limit: int, shared: dict[str, str], left: str
) -> None:
    """Q-01, Q-12: by forty keys of it. With `left` all, nobody has seen the account before."""
    keys = await replicas.keys(40, **{name: f"{value}-{left}" for name, value in shared.items()})
    spent = limit - 1 if left == "one" else 0
    await replicas.spend(keys, spent)
    calls = len(replicas.upstream.requests)
    refused = await replicas.refused(keys)
    assert AT_ONCE - len(refused) == limit - spent
    assert len(replicas.upstream.requests) - calls == limit - spent
    assert replicas.deciders(refused) == {quota: len(refused)}
    # Nothing comes back later: what the others were refused was not lent to them.
    await asyncio.sleep(1)  # longer than a replica holds on to what it does not use
    assert len(await replicas.refused(keys, 20)) == 20


async def test_a_key_has_its_own_count_and_its_accounts_other_key_another(replicas: Replicas) -> None:
    used, other = await replicas.keys(2, account="two-keys", tenant="two-keys")
    await replicas.spend([used], PER_KEY)
    assert replicas.deciders([await replicas.ask(used)]) == {"key-requests": 1}
    assert (await replicas.ask(other)).status == 200


async def test_a_model_has_its_own_count_whoever_asks_for_it(replicas: Replicas) -> None:
    used, other = await replicas.keys(2)
    usage = {"prompt_tokens": 1, "completion_tokens": 9_990, "total_tokens": 9_991}
    replicas.upstream.script(json_answer(200, {"choices": [], "usage": usage}))
    assert (await replicas.ask(used, model="m-small", max_tokens=9_990)).status == 200
    for gate in replicas.gates:
        assert replicas.deciders([await replicas.ask(other, gate, model="m-small")]) == {"model-tokens": 1}
        assert (await replicas.ask(other, gate, model="m-large")).status == 200


async def test_everybody_shares_one_count_of_dollars(replicas: Replicas) -> None:
    used, other = await replicas.keys(2)
    usage = {"prompt_tokens": 0, "completion_tokens": 990, "total_tokens": 990}
    replicas.upstream.script(json_answer(200, {"choices": [], "usage": usage}))
    answer = await replicas.ask(used, model="m-gold", max_tokens=990)
    assert (await record_of(replicas.gates[0], answer.header("x-request-id")))["cost_microusd"] == 990_000
    for gate in replicas.gates:
        assert replicas.deciders([await replicas.ask(other, gate, model="m-gold")]) == {"all-dollars": 1}
        assert (await replicas.ask(other, gate)).status == 200


async def test_a_quota_in_shadow_refuses_nobody_and_shows_whom_it_would_have(replicas: Replicas) -> None:
    (key,) = await replicas.keys(1)
    gate = replicas.gates[0]
    counted = 'stillgate_quota_denials_total{measure="requests",mode="shadow",quota="watched"}'
    before = (await gate.metrics()).get(counted, 0)
    answers = [await replicas.ask(key) for _ in range(SHADOW + 2)]
    assert [answer.status for answer in answers] == [200] * (SHADOW + 2)
    records = [await record_of(gate, answer.header("x-request-id")) for answer in answers]
    assert [record["shadow"]["denied_by"] for record in records] == [[]] * SHADOW + [["watched"]] * 2
    assert {record["effect"] for record in records} == {"allow"}
    assert (await gate.metrics())[counted] - before == 2
